//! One source, parsed.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::value::{Address, Value};

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Source {
    pub source: String,
    pub from: From,
    pub format: Format,
    /// Debezium without rules: what a row means, its dataset says.
    pub dataset: Option<Dataset>,
    /// How late facts may come, in milliseconds.
    pub settle: i64,
    /// The first that matches; none = a dead letter.
    pub rules: Vec<Rule>,
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum From {
    Kafka(Kafka),
    /// `POST /v1/sources/NAME`
    #[default]
    Http,
    /// Read by `quietus source import`.
    File(String),
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Kafka {
    pub topic: String,
    pub start: Start,
    /// How many consumers of this node share the topic's partitions.
    pub consumers: u32,
    /// Debezium's heartbeat topic; None = by the topic's own prefix.
    pub heartbeat: Option<String>,
}

/// Where a topic is read from that was never read before.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Start {
    #[default]
    Earliest,
    Latest,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Format {
    #[default]
    Json,
    Avro,
    Cloudevents,
    Debezium,
    Outbox,
}

/// `dataset: {system, name}`
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Dataset {
    pub system: String,
    /// `dataset.collection`
    pub name: String,
    /// Of time columns that come as bare numbers, where no schema says it.
    pub unit: Option<Unit>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Unit {
    S,
    Ms,
    Us,
    Days,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Rule {
    /// All must match; each takes any of its values.
    pub when: Vec<(Address, Vec<String>)>,
    pub what: What,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum What {
    Skip,
    Emit(Emit, Box<With>),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Emit {
    ItemRecorded,
    ItemCopied,
    ItemTouched,
    ItemGone,
    ItemCorrected,
    PurposeGranted,
    PurposeWithdrawn,
    SubjectEvent,
    SubjectLinked,
}

/// The fact's data, by the names of the lifecycle events.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct With {
    pub item: Option<Value>,
    pub subject: Option<SubjectOf>,
    pub category: Vec<Value>,
    pub purposes: Vec<Value>,
    pub jurisdiction: Option<Value>,
    pub process: Option<Value>,
    pub controller: Option<Value>,
    pub service: Option<Value>,
    pub recorded_at: Option<When>,
    pub at: Option<When>,
    pub copies: Vec<CopyOf>,
    pub system: Option<Value>,
    pub dataset: Option<Value>,
    pub purpose: Option<Value>,
    pub policy_version: Option<Value>,
    pub event: Option<Value>,
    pub also: Vec<SubjectOf>,
    /// Category → new value.
    pub values: BTreeMap<String, Value>,
    /// `to`, `authority`, `reference`.
    pub disclosure: BTreeMap<String, Value>,
}

/// `type:value` in one, or with its type beside it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SubjectOf {
    #[serde(rename = "type")]
    pub kind: Option<String>,
    pub value: Value,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct When {
    pub from: Value,
    /// None = RFC 3339, or what the schema says.
    pub unit: Option<Unit>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CopyOf {
    pub system: Value,
    pub dataset: Value,
    pub locator: BTreeMap<String, Value>,
    pub purposes: Vec<Value>,
}

impl Emit {
    pub const ALL: [(&str, Self); 9] = [
        ("item.recorded", Self::ItemRecorded),
        ("item.copied", Self::ItemCopied),
        ("item.touched", Self::ItemTouched),
        ("item.gone", Self::ItemGone),
        ("item.corrected", Self::ItemCorrected),
        ("purpose.granted", Self::PurposeGranted),
        ("purpose.withdrawn", Self::PurposeWithdrawn),
        ("subject.event", Self::SubjectEvent),
        ("subject.linked", Self::SubjectLinked),
    ];

    /// The CloudEvents type that says the same.
    pub fn kind(self) -> &'static str {
        match self {
            Self::ItemRecorded => "quietus.item.recorded.v1",
            Self::ItemCopied => "quietus.item.copied.v1",
            Self::ItemTouched => "quietus.item.touched.v1",
            Self::ItemGone => "quietus.item.gone.v1",
            Self::ItemCorrected => "quietus.item.corrected.v1",
            Self::PurposeGranted => "quietus.purpose.granted.v1",
            Self::PurposeWithdrawn => "quietus.purpose.withdrawn.v1",
            Self::SubjectEvent => "quietus.subject.event.v1",
            Self::SubjectLinked => "quietus.subject.linked.v1",
        }
    }

    /// The Avro record that says the same, in `quietus.lifecycle.v1`.
    pub fn record(self) -> &'static str {
        match self {
            Self::ItemRecorded => "ItemRecorded",
            Self::ItemCopied => "ItemCopied",
            Self::ItemTouched => "ItemTouched",
            Self::ItemGone => "ItemGone",
            Self::ItemCorrected => "ItemCorrected",
            Self::PurposeGranted => "PurposeGranted",
            Self::PurposeWithdrawn => "PurposeWithdrawn",
            Self::SubjectEvent => "SubjectEvent",
            Self::SubjectLinked => "SubjectLinked",
        }
    }
}

impl Unit {
    pub const ALL: [(&str, Self); 4] =
        [("s", Self::S), ("ms", Self::Ms), ("us", Self::Us), ("days", Self::Days)];

    /// So many of it since 1970, in milliseconds; rounded down.
    pub fn millis(self, count: i64) -> Option<i64> {
        match self {
            Self::S => count.checked_mul(1_000),
            Self::Ms => Some(count),
            Self::Us => Some(count.div_euclid(1_000)),
            Self::Days => count.checked_mul(86_400_000),
        }
    }
}

impl Source {
    /// One hour.
    pub const SETTLE: i64 = 3_600_000;

    /// The form that travels in the ledger: one line of JSON, the same bytes for the same content.
    pub fn canonical_json(&self) -> String {
        // Every field is text, number, list or map with text keys: nothing JSON cannot say.
        serde_json::to_string(self).unwrap_or_default()
    }

    pub fn from_canonical(text: &str) -> Option<Self> {
        serde_json::from_str(text).ok()
    }

    /// Another mapping, or other records: what was read is to be read again, as a new generation. How long facts may
    /// take and how many consumers share the work changes nothing of what is read.
    pub fn reads_anew(&self, before: &Self) -> bool {
        self.what_is_read() != before.what_is_read()
    }

    fn what_is_read(&self) -> Self {
        let from = match &self.from {
            From::Kafka(kafka) => From::Kafka(Kafka { consumers: 1, heartbeat: None, ..kafka.clone() }),
            other => other.clone(),
        };
        Self { from, settle: 0, ..self.clone() }
    }

    pub fn kafka(&self) -> Option<&Kafka> {
        match &self.from {
            From::Kafka(kafka) => Some(kafka),
            From::Http | From::File(_) => None,
        }
    }
}
