//! What the rig believes: what it was told, and nothing more.

use std::collections::BTreeMap;

use serde_json::Value;

/// As the policy says.
pub const KEEP_MS: i64 = 4_000;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A row whose only purpose is over after [`KEEP_MS`].
    Short,
    /// A row whose consent lasts for years, and may be ended by a request.
    Long,
    /// A row that stays; one field of it goes after [`KEEP_MS`].
    Masked,
}

/// What is known of one person's row.
#[derive(Debug)]
pub struct Known {
    pub kind: Kind,
    pub recorded_at: i64,
    pub acknowledged: bool,
    /// When the first request was sent, whether or not it was acknowledged.
    pub requested_at: Option<i64>,
    /// Somebody put the row there again, after it was verified gone; the node knows nothing of it.
    pub back: bool,
}

impl Known {
    /// Nothing may touch it before this time.
    pub fn due(&self) -> i64 {
        match self.kind {
            Kind::Short | Kind::Masked => self.recorded_at + KEEP_MS,
            Kind::Long => self.requested_at.unwrap_or(i64::MAX),
        }
    }
}

/// A call that makes something: its repeat must make nothing more.
#[derive(Clone, Debug)]
pub struct Call {
    pub path: &'static str,
    pub body: Value,
    pub key: String,
    /// The row it is about; 0 = none.
    pub row: i64,
}

/// A hold as it was acknowledged effective.
#[derive(Clone, Debug)]
pub struct Held {
    pub row: i64,
    /// By the node's answer.
    pub from: i64,
}

#[derive(Debug, Default)]
pub struct Books {
    /// Rows that a re-audit found again, by the node's own count.
    pub found_again: u64,
    pub rows: BTreeMap<i64, Known>,
    /// Request id → row.
    pub requests: BTreeMap<String, i64>,
    /// Hold id → what is known of it.
    pub holds: BTreeMap<String, Held>,
    /// Row, effective from, release sent at.
    pub held: Vec<(i64, i64, i64)>,
    /// Sent, never answered: repeated in the next life.
    pub unanswered: Vec<Call>,
    /// Answered with this id: some are repeated in the next life.
    pub answered: Vec<(Call, String)>,
    /// Every id that a call was answered with.
    pub ids: std::collections::BTreeSet<String>,
    pub next: i64,
    pub lost: Vec<String>,
    pub twice: Vec<String>,
}
