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

/// A partition's log, signed: keep it elsewhere.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct CheckpointView {
    pub partition: u32,
    /// Entries.
    pub size: u64,
    /// RFC 6962 root over them, hex.
    pub root: String,
    /// C2SP tlog-checkpoint, signed with Ed25519.
    pub note: String,
}

/// The public key of a partition's log: `NAME+ID+KEY`.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct KeyView {
    pub partition: u32,
    pub key: String,
}

/// C2SP tlog-proof of one entry: verified with the public key alone.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct ProofView {
    pub proof: String,
}

/// `POST /v1/audit/verify`
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct VerifyView {
    pub ok: bool,
    /// Of the ledger's files.
    pub frames: u64,
    pub bytes: u64,
    pub entries: u64,
    pub decisions: u64,
    /// Entries that the signed checkpoint kept beside the ledger vouches for.
    pub signed: u64,
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
