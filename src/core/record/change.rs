//! What happened to an item or a subject after it was recorded: written blindly, folded when read.

use serde::{Deserialize, Serialize};

/// Changes of one partition, in order.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Changes {
    pub source: String,
    pub source_generation: i32,
    pub marks: Vec<super::Mark>,
    pub rows: Vec<Change>,
}

/// One change. What a kind does not use is null.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Change {
    pub kind: ChangeKind,
    /// 16 bytes; null when the source knows the item only (offered to every partition).
    #[serde(with = "serde_bytes")]
    pub subject: Option<Vec<u8>>,
    #[serde(with = "serde_bytes")]
    pub item: Option<Vec<u8>>,
    #[serde(with = "serde_bytes")]
    pub process: Option<Vec<u8>>,
    /// Purpose of a grant, withdrawal or end; name of an event.
    pub name: Option<String>,
    /// Event time, milliseconds.
    pub at: i64,
    pub system: Option<String>,
    pub dataset: Option<String>,
    /// Policy version that a grant accepted.
    pub policy_version: Option<String>,
    /// Why a purpose ended: `object`, `erase`.
    pub cause: Option<String>,
    /// Of `Copied`.
    pub copies: Vec<NamedCopy>,
    /// Of `Linked`: 16 bytes an identity.
    #[serde(with = "serde_bytes")]
    pub linked: Option<Vec<u8>>,
    /// Of `Corrected`: whose values are others now.
    pub categories: Vec<String>,
    /// Of `Corrected`: the values, sealed as one cell.
    #[serde(with = "serde_bytes")]
    pub values: Option<Vec<u8>>,
    /// Where the news came from, see `Origin`.
    pub origin: i32,
    /// Hash of (event source, event id): 8 bytes.
    #[serde(with = "serde_bytes")]
    pub event_id: Option<Vec<u8>>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum ChangeKind {
    Touched,
    /// The subject was active.
    Active,
    Granted,
    Withdrawn,
    /// A declared event of a subject, process or item.
    Event,
    /// A purpose ended by an objection or an erasure request.
    Ended,
    Corrected,
    Copied,
    Gone,
    Linked,
    /// Activity of a linked identity that lives in another partition.
    Activity,
}

/// A further copy of an item.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct NamedCopy {
    pub system: String,
    pub dataset: String,
    pub purposes: Option<Vec<String>>,
    pub disclosure: Option<String>,
    #[serde(with = "serde_bytes")]
    pub cell: Vec<u8>,
}

impl Change {
    /// A change of this kind at this time with nothing else said.
    pub fn new(kind: ChangeKind, at: i64) -> Self {
        Self {
            kind,
            subject: None,
            item: None,
            process: None,
            name: None,
            at,
            system: None,
            dataset: None,
            policy_version: None,
            cause: None,
            copies: Vec::new(),
            linked: None,
            categories: Vec::new(),
            values: None,
            origin: 0,
            event_id: None,
        }
    }
}
