//! The control log's records: policies, systems, holds, sweeps, switches.
//!
//! Documents travel as text: a policy as its author wrote it, a manifest as canonical JSON.

use serde::{Deserialize, Serialize};

/// A policy was stored under its name; nothing changes until it is published.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct PolicyStored {
    pub name: String,
    pub document: String,
    pub by: Option<String>,
    pub at: i64,
}

/// A policy became the active one.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct PolicyPublished {
    pub name: String,
    pub version: i64,
    pub document: String,
    pub by: Option<String>,
    pub approved_by: Option<String>,
    pub at: i64,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct SystemPut {
    pub name: String,
    /// Canonical JSON of the manifest, its datasets inside; secrets are references.
    pub manifest: String,
    pub by: Option<String>,
    pub at: i64,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct SystemMode {
    pub name: String,
    /// `observe` or `enforce`.
    pub mode: String,
    pub by: Option<String>,
    pub at: i64,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct SystemRetired {
    pub name: String,
    pub by: Option<String>,
    pub at: i64,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct SourcePut {
    pub name: String,
    /// Canonical JSON; null = retired.
    pub document: Option<String>,
    pub generation: i32,
    pub by: Option<String>,
    pub at: i64,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct HoldPlaced {
    /// `hd_…`
    pub id: String,
    pub matter: String,
    pub authority: String,
    pub reference: Option<String>,
    pub owner: String,
    pub reason: String,
    /// JSON; identities, items and processes in it are keyed hashes.
    pub scope: String,
    /// When somebody must look at it again, RFC 3339 date or time.
    pub review: String,
    pub confidential: bool,
    /// Corrections it lets through.
    pub allow: Vec<String>,
    pub by: Option<String>,
    pub at: i64,
    /// Keyed hash of what was asked, 32 bytes: the same call repeated finds what it made. Null = nobody repeats it.
    #[serde(with = "serde_bytes")]
    pub asked: Option<Vec<u8>>,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct HoldReleased {
    pub id: String,
    pub by: Option<String>,
    pub reason: Option<String>,
    pub at: i64,
}

/// Every partition has applied the hold, and each covered command has answered or passed its `not_after`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct HoldEffective {
    pub id: String,
    pub at: i64,
    pub covered_items: i64,
    pub covered_copies: i64,
}

/// A sweep: each partition turns what is due into obligations, at most its quota.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct SweepOrdered {
    /// `sw_…`
    pub id: String,
    /// Decided as of this time, milliseconds: the watermark.
    pub as_of: i64,
    /// The control log position its plan was made at.
    pub planned_k: i64,
    /// Obligations a partition may open, by partition; empty = no limit.
    pub quota: Vec<i64>,
    /// Merkle root of the frozen set, when it was approved by a person.
    #[serde(with = "serde_bytes")]
    pub root: Option<Vec<u8>>,
    pub by: Option<String>,
    pub at: i64,
    /// Keyed hash of what was asked, 32 bytes: the same call repeated finds what it made. Null = nobody repeats it.
    #[serde(with = "serde_bytes")]
    pub asked: Option<Vec<u8>>,
}

/// A sweep that would do far more than sweeps lately did: it waits for a second person. Another that comes to wait
/// takes its place.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct SweepAwaiting {
    /// `sw_…`
    pub id: String,
    /// Planned as of this time, milliseconds: the watermark.
    pub as_of: i64,
    /// What was expected.
    pub forecast: i64,
    /// Merkle root of the frozen set that may be approved.
    #[serde(with = "serde_bytes")]
    pub root: Vec<u8>,
    /// The plan as a report, JSON.
    pub report: String,
    pub by: Option<String>,
    pub at: i64,
    /// Keyed hash of what was asked, 32 bytes: the same call repeated finds what it made. Null = nobody repeats it.
    #[serde(with = "serde_bytes")]
    pub asked: Option<Vec<u8>>,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct SweepClosed {
    pub id: String,
    /// `finished`, `stopped`, `failed`.
    pub state: String,
    /// The report, JSON.
    pub report: String,
    pub at: i64,
}

/// The stop switch.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct SweepSwitch {
    pub stopped: bool,
    pub by: Option<String>,
    pub at: i64,
}

/// A person looked at the clock after a gap and accepts it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ClockAccepted {
    pub now: i64,
    pub by: Option<String>,
}

/// A partition has applied the control log up to `k`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Acknowledged {
    pub partition: i32,
    pub k: i64,
    /// Of a hold: what it covers here, and which commands are out.
    pub hold: Option<String>,
    pub covered_items: i64,
    pub covered_copies: i64,
    /// 16 bytes a command.
    #[serde(with = "serde_bytes")]
    pub in_flight: Vec<u8>,
    pub at: i64,
}

/// Erasures again after a restore: what was carried out since a time is owed once more.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ReapplyOrdered {
    /// `ra_…`
    pub id: String,
    /// What was carried out at this time or later, milliseconds.
    pub since: i64,
    /// None = every system.
    pub system: Option<String>,
    /// The system was restored to the state of `since`: nothing of it counts as gone before it was read back again.
    pub restored: bool,
    pub by: Option<String>,
    pub at: i64,
}

/// What was gone longer than evidence is kept, and requests answered before then, are known no longer.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct EvidenceEnded {
    /// What was gone before this time, milliseconds.
    pub before: i64,
    pub at: i64,
}

/// Whether others are told what is decided: kept only where somebody listens.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct NewsSwitch {
    pub on: bool,
    pub at: i64,
}

/// How many identities one person may have before somebody must look.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct LinkLimit {
    pub max: i32,
    pub at: i64,
}
