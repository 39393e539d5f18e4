//! Dead letters: what a source delivered and nobody could read.

use serde::{Deserialize, Serialize};

/// A source's record could not be taken in, and waits for a person.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct DeadLettered {
    /// `dl_…`, derived from the position: one position has one.
    pub id: String,
    pub source: String,
    pub source_generation: i32,
    /// Topic, or digest of a file; None where the source has no positions.
    pub topic: Option<String>,
    pub partition: Option<i32>,
    /// Offset, or number of the record in its file.
    pub offset: Option<i64>,
    /// Stable code, kebab case.
    pub reason: String,
    /// Never a value of the record.
    pub detail: String,
    /// The record, sealed; None = too large to be kept.
    #[serde(with = "serde_bytes")]
    pub payload: Option<Vec<u8>>,
    pub at: i64,
    pub expires: i64,
}

/// A dead letter was taken in after all; it is no longer kept.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct DeadLetterClosed {
    pub id: String,
    pub by: Option<String>,
    pub at: i64,
}
