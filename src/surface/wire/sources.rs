//! `/v1/sources`, `/v1/dead-letters`

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::Finding;

/// A source was registered.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct SourceAnswer {
    pub name: String,
    /// `created`, `changed`, `unchanged`.
    pub result: String,
    /// A new one reads its records from the start.
    pub generation: i32,
    pub warnings: Vec<Finding>,
}

/// `GET /v1/sources[/{name}]`
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct SourceView {
    pub name: String,
    /// `running`, `stalled` (nothing that it feeds is swept), `error`.
    pub state: String,
    /// `topic_recreated`, `group_taken`, `topic_missing`, `brokers_unreachable`, …
    pub error: Option<String>,
    /// What is wrong, and what to do about it.
    pub detail: Option<String>,
    /// RFC 3339: everything older has been read.
    pub watermark: Option<String>,
    /// Records that wait; null = not known yet.
    pub lag: Option<u64>,
    pub generation: i32,
    pub format: String,
    /// In its canonical form.
    #[schema(value_type = Object)]
    pub source: serde_json::Value,
}

/// `POST /v1/sources/{name}/import`
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct ImportAnswer {
    /// The number of the record to go on with.
    pub next: u64,
    pub taken: u64,
    /// Became nothing, as the source's rules want it.
    pub skipped: u64,
    pub dead_letters: u64,
}

/// `GET /v1/dead-letters[/{id}]`
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct DeadLetterView {
    pub id: String,
    pub source: String,
    /// Of a file: `file:` and its digest.
    pub topic: Option<String>,
    pub partition: Option<i32>,
    /// Of a file: the number of the record, from 0.
    pub offset: Option<i64>,
    /// Kebab case, stable.
    pub reason: String,
    /// What is wrong, and what to do about it.
    pub detail: String,
    pub at: String,
    /// When it is erased.
    pub expires: String,
    /// Null in a list.
    pub record: Option<RecordView>,
}

/// The record itself. Bytes that are no text come as base64, after `base64:`.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct RecordView {
    pub key: Option<String>,
    pub value: Option<String>,
    pub headers: BTreeMap<String, String>,
    pub timestamp: Option<String>,
}
