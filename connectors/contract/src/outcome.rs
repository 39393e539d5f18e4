//! What a connector answers, per target.

use std::sync::Arc;

use crate::target::CommandId;

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TargetOutcome {
    pub command: CommandId,
    pub outcome: Outcome,
    /// The target's own clock at commit, milliseconds since the epoch.
    pub at: Option<i64>,
    /// The target's log position at commit (an LSN, a change number).
    pub position: Option<Arc<str>>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// This many records were deleted: at least one.
    Removed(u64),
    /// This many records were changed in place: at least one, every field asked for.
    Changed(u64),
    /// There was nothing at the locator.
    Absent,
    /// The record is there and was left as it is.
    Unchanged {
        reason: String,
    },
    /// Taken on, not yet done; poll with this reference.
    Accepted {
        reference: String,
    },
    /// The gate stopped it, or a lock of the store's own.
    Blocked {
        cause: String,
        until: Option<i64>,
    },
    /// Gone from here but for what ends by itself at `until` (a backup's rotation, a cache's expiry): never success.
    Residual {
        cause: String,
        until: Option<i64>,
    },
    /// Will not be done, whatever the retry.
    Refused {
        reason: String,
    },
    Failed(Failure),
}

/// Every failure answers: may I retry, and might it have happened?
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{code}: {detail}")]
pub struct Failure {
    /// `unreachable`, `timeout`, `denied`, `missing_table`, `missing_column`, `constraint`, `expired`, `conflict`, `internal`.
    pub code: &'static str,
    /// Never holds a value of the target's data.
    pub detail: String,
    pub may_retry: bool,
    pub might_have_happened: bool,
}

impl Failure {
    /// Nothing happened, and the same call may go through later.
    pub fn retry(code: &'static str, detail: impl Into<String>) -> Self {
        Self { code, detail: detail.into(), may_retry: true, might_have_happened: false }
    }

    /// Nothing happened, and the same call would fail again until somebody mends something.
    pub fn fatal(code: &'static str, detail: impl Into<String>) -> Self {
        Self { code, detail: detail.into(), may_retry: false, might_have_happened: false }
    }

    /// No answer came: it may have happened.
    pub fn unknown(code: &'static str, detail: impl Into<String>) -> Self {
        Self { code, detail: detail.into(), may_retry: true, might_have_happened: true }
    }
}

/// What the independent read-back saw of one target.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReadBack {
    pub command: CommandId,
    pub finding: Finding,
    /// Records of the collection that carry any of the subject's identities, this target's own included; they may be
    /// live items. None = no identity field could be read.
    pub identity_rows: Option<u64>,
    /// How it was read: `primary key`, `identity customer_id`, a replica's name. Shared, as those of a call mostly are.
    pub scope: Arc<[String]>,
    /// What could not be looked at, in words.
    pub not_checked: Vec<String>,
    /// The target's own clock when it was read.
    pub at: Option<i64>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Finding {
    /// Not there (deleted), or every field holds its replacement (masked).
    Gone,
    /// Still there: this many records, found in this way.
    Found { count: u64, by: String },
    /// Could not be read.
    Unreadable(Failure),
}
