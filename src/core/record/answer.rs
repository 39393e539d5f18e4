//! Commands that were ordered, and what came back.

use serde::{Deserialize, Serialize};

/// The dispatcher proposes to send these; judged once more when read.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Ordered {
    pub system: String,
    /// The control log position the plan was made at.
    pub control_k: i64,
    pub orders: Vec<Order>,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Order {
    #[serde(with = "serde_bytes")]
    pub obligation: Vec<u8>,
    pub attempt: i32,
    /// Milliseconds: past this nothing may be committed.
    pub not_after: i64,
}

/// What a connector said, per target.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Confirmed {
    pub system: String,
    pub answers: Vec<Answer>,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Answer {
    #[serde(with = "serde_bytes")]
    pub obligation: Vec<u8>,
    pub attempt: i32,
    pub kind: AnswerKind,
    pub count: i64,
    /// A reason, a failure's code and text; never a value of the target.
    pub detail: Option<String>,
    /// What to poll with, of `Accepted`.
    pub reference: Option<String>,
    pub until: Option<i64>,
    pub may_retry: bool,
    pub might_have_happened: bool,
    /// The target's own clock at commit, milliseconds.
    pub at: Option<i64>,
    /// The target's log position at commit.
    pub position: Option<String>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum AnswerKind {
    Removed,
    Changed,
    Absent,
    Unchanged,
    Accepted,
    Blocked,
    Refused,
    Failed,
    Residual,
}

/// What the independent read-back saw, per target.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ReadBack {
    pub system: String,
    pub seen: Vec<Seen>,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Seen {
    #[serde(with = "serde_bytes")]
    pub obligation: Vec<u8>,
    pub attempt: i32,
    pub finding: FindingKind,
    pub count: i64,
    /// Rows of the same collection that carry the subject's identity, the target's own not counted.
    pub identity_rows: Option<i64>,
    pub scope: Vec<String>,
    pub not_checked: Vec<String>,
    pub detail: Option<String>,
    pub at: Option<i64>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum FindingKind {
    Gone,
    Found,
    Unreadable,
}
