//! `/v1/audit`

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::audit::Entry;

/// One entry of a partition's chain; hashes are hex.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct EntryView {
    pub partition: u32,
    pub n: u64,
    pub offset: u64,
    pub frame: String,
    pub root: String,
    pub decisions: u32,
    pub previous: String,
    pub hash: String,
}

/// `GET /v1/audit/state-digest`: 64 hex digits, without ticks, offsets and owner records.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct DigestView {
    pub digest: String,
}

/// `POST /v1/audit/verify`
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct VerifyView {
    pub ok: bool,
    pub entries: u64,
    pub decisions: u64,
    /// RFC 6962 root over the partitions' roots, hex.
    pub root: String,
    /// What is wrong, and where.
    pub findings: Vec<String>,
}

impl From<&Entry> for EntryView {
    fn from(entry: &Entry) -> Self {
        let hex = |bytes: &[u8]| data_encoding::HEXLOWER.encode(bytes);
        Self {
            partition: entry.partition,
            n: entry.n,
            offset: entry.offset,
            frame: hex(&entry.frame),
            root: hex(&entry.root),
            decisions: entry.decisions,
            previous: hex(&entry.previous),
            hash: hex(&entry.hash()),
        }
    }
}
