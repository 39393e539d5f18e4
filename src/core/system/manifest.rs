//! A system's manifest, parsed. Connection settings are references to secrets, never secrets.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::dataset::Dataset;
use crate::document::At;
use crate::time::Millis;

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Manifest {
    pub system: String,
    /// `sqlite`, `postgres`, `memory`, …
    pub kind: String,
    pub mode: Mode,
    /// Settings by name; values may hold `${env:…}` and `${file:…}`, resolved by the shell at use.
    pub connection: BTreeMap<String, String>,
    pub owner: Option<String>,
    pub region: Option<String>,
    pub purposes: Vec<String>,
    /// Keeps the copy a statutory minimum asks for.
    pub retains: bool,
    /// The system's own expiry, in milliseconds.
    pub expires: Option<i64>,
    pub limits: Limits,
    pub windows: Vec<Window>,
    pub erase_after: Vec<String>,
    pub scan: Option<Scan>,
    pub verify_with: Option<String>,
    pub copies_of: Vec<CopiesOf>,
    pub datasets: Vec<Dataset>,
    /// `kind: files`: which files, and which of their fields holds an identity.
    pub files: Vec<FileSet>,
    /// `kind: http`: the partner's calls.
    pub http: Option<HttpCalls>,
    /// Where things stand in the file; no part of what the manifest says.
    #[serde(skip)]
    pub places: Places,
}

/// Observe is the default: plans and counts; enforce deletes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Mode {
    #[default]
    Observe,
    Enforce,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Limits {
    pub batch: u32,
    pub concurrency: u32,
    pub per_second: Option<u32>,
    pub replica_lag_max: Option<i64>,
}

impl Default for Limits {
    fn default() -> Self {
        Self { batch: 500, concurrency: 2, per_second: None, replica_lag_max: None }
    }
}

/// Hours, in the policy's zone, in which this system may be written to.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Window {
    /// 1 = Monday … 7 = Sunday.
    pub days: Vec<i8>,
    /// Minutes from midnight; `to` up to 1440, and before `from` where the window goes past midnight.
    pub from: u16,
    pub to: u16,
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Scan {
    /// Milliseconds.
    pub every: i64,
    pub by: Option<String>,
}

/// Derived copies: one for every item with a copy in that system and dataset.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct CopiesOf {
    pub system: String,
    /// `dataset.collection`; None = every dataset of that system.
    pub dataset: Option<String>,
    /// The other keys (`key`, `set`, `member`) with their `{column}` templates, for the connector.
    pub rest: BTreeMap<String, String>,
    /// Only these fields of the hash under `key`.
    pub fields: Vec<String>,
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct FileSet {
    /// Below the connection's folder; `{date}` and `*` stand for one segment's part.
    pub path: String,
    pub format: FileFormat,
    /// Top-level field → identity type.
    #[serde(rename = "match")]
    pub match_: BTreeMap<String, String>,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FileFormat {
    #[default]
    Jsonl,
    Csv,
}

/// How a partner is told, asked and checked.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct HttpCalls {
    /// The identity type the partner knows people by.
    pub identity: String,
    pub submit: Call,
    pub poll: Option<Poll>,
    pub read_back: Option<ReadBackCall>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub correct: Option<CorrectCall>,
    /// Milliseconds; past it a command is `failed(retryable)`.
    pub deadline: Option<i64>,
}

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Call {
    pub method: String,
    pub path: String,
    /// `"{values}"` in it becomes the list of identity values.
    pub body: Option<serde_json::Value>,
    /// JSON pointer to the partner's reference in its answer.
    #[serde(rename = "ref")]
    pub reference: Option<String>,
}

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Poll {
    /// With `{ref}`.
    pub path: String,
    /// Milliseconds.
    pub every: i64,
    /// JSON pointer → the values that mean done.
    pub done: BTreeMap<String, Vec<String>>,
    /// JSON pointer → the values that mean it has failed, and is tried again.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub failed: BTreeMap<String, Vec<String>>,
}

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct ReadBackCall {
    pub path: String,
    pub body: Option<serde_json::Value>,
    /// JSON pointer → the value that means nothing is there.
    pub absent: BTreeMap<String, serde_json::Value>,
}

/// Sets new values of a person.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct CorrectCall {
    /// `"{corrections}"` in its body becomes an object: category → new value, or null.
    #[serde(flatten)]
    pub call: Call,
    pub read_back: Option<HoldsCall>,
}

/// Asks what the partner holds of a person.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct HoldsCall {
    #[serde(flatten)]
    pub call: ReadBackCall,
    /// JSON pointer → the category that stands there.
    pub holds: BTreeMap<String, String>,
}

/// Where the parts of a manifest stand, for findings that need the other systems too.
///
/// Two manifests that say the same are equal wherever they stand.
#[derive(Clone, Debug, Default)]
pub struct Places {
    pub file: String,
    pub at: BTreeMap<String, At>,
}

impl PartialEq for Places {
    fn eq(&self, _: &Self) -> bool {
        true
    }
}

impl Manifest {
    /// The form that travels in the ledger: one line of JSON, the same bytes for the same content.
    pub fn canonical_json(&self) -> String {
        // Every field is text, number, list or map with text keys: nothing JSON cannot say.
        serde_json::to_string(self).unwrap_or_default()
    }

    pub fn from_canonical(text: &str) -> Result<Self, serde_json::Error> {
        serde_json::from_str(text)
    }

    /// Somebody other than the system itself can look whether a record is gone there.
    pub fn reads_back(&self) -> bool {
        match self.kind.as_str() {
            "http" => self.proves_by_reading(),
            "opendsr" | "kafka" | "webhook" | "manual" | "exec" => false,
            _ => true,
        }
    }

    /// A partner that can be asked what it still holds: its word alone carries nothing out.
    pub fn proves_by_reading(&self) -> bool {
        self.http.as_ref().is_some_and(|http| http.read_back.is_some())
    }

    /// How long what it accepted may take, in milliseconds.
    pub fn answers_within(&self) -> i64 {
        self.http.as_ref().and_then(|http| http.deadline).unwrap_or(30 * Millis::DAY)
    }

    /// Readers fill it by themselves from what it holds copies of.
    pub fn is_cache(&self) -> bool {
        self.kind == "redis"
    }

    /// Copies here go before the one at `origin` that they are made of, and once more after it, so that no reader
    /// refills them unseen: a cache's do, and those of what the origin's `erase_after` names.
    pub fn goes_before(&self, manifest: Option<&Manifest>, origin: &str) -> bool {
        let told = manifest.is_some_and(|m| m.erase_after.contains(&self.system));
        told || (self.is_cache() && !self.erase_after.iter().any(|s| s == origin))
    }

    /// The file said a mode: on a known system an absent one keeps the present mode.
    pub fn states_mode(&self) -> bool {
        self.places.at.contains_key("mode")
    }

    /// Whether it knows people and not records, so that what is erased there takes everything of theirs along.
    pub fn knows_people_only(&self) -> bool {
        matches!(self.kind.as_str(), "files" | "http")
    }

    /// The collection that `dataset.collection` names.
    pub fn collection(&self, name: &str) -> Option<(&Dataset, &super::dataset::Collection)> {
        self.datasets.iter().find_map(|d| {
            let rest = name.strip_prefix(d.fides_key.as_str())?.strip_prefix('.')?;
            d.collections.iter().find(|c| c.name == rest).map(|c| (d, c))
        })
    }
}
