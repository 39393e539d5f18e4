//! What can go wrong with the ledger. Every failure answers: may I retry, might it have happened, which status?

use std::path::{Path, PathBuf};

/// A place in the files that is not what was written there.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{}: damaged at byte {at}: {what}", .file.display())]
pub struct Damage {
    pub file: PathBuf,
    pub at: u64,
    pub what: String,
}

impl Damage {
    pub fn new(file: &Path, at: u64, what: impl Into<String>) -> Self {
        Self { file: file.to_owned(), at, what: what.into() }
    }
}

#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum LedgerError {
    #[error("{}: another process holds this ledger: stop the other node, or give this one a `dir` of its own", .dir.display())]
    Locked { dir: PathBuf },
    #[error("{}: {reason}", .dir.display())]
    Mismatch { dir: PathBuf, reason: String },
    #[error("{}: there is no ledger here", .dir.display())]
    Missing { dir: PathBuf },
    #[error("{0}. Nothing was changed: restore `dir` from a backup and run `quietus reapply`")]
    Damaged(#[from] Damage),
    #[error(
        "the disk that holds the ledger is full: free some space; appends go on by themselves, and nothing acknowledged is lost"
    )]
    Full,
    #[error(
        "the ledger could not be made durable ({cause}): what was being appended may or may not be there; restart the node, which reads what the disk kept"
    )]
    SyncFailed { cause: String },
    #[error(
        "the ledger takes nothing more since an earlier write failed ({cause}): restart the node, which reads what the disk kept"
    )]
    Poisoned { cause: String },
    #[error("a ledger append has {bytes} bytes, the limit is {limit}: split it")]
    TooLarge { bytes: usize, limit: usize },
    #[error("this ledger has no {stream}: it was made with {partitions} partitions")]
    UnknownStream { stream: super::Stream, partitions: u32 },
    #[error(
        "{stream} has no offset {offset} any more: the ledger was truncated up to {first}; start from a snapshot"
    )]
    Truncated { stream: super::Stream, offset: u64, first: u64 },
    #[error("the ledger is closed")]
    Closed,
    #[error("{}: cannot {doing}: {cause}", .path.display())]
    Io { path: PathBuf, doing: &'static str, cause: String },
}

impl LedgerError {
    /// The same call may go through later, without a restart.
    pub fn may_retry(&self) -> bool {
        matches!(self, Self::Full | Self::Locked { .. })
    }

    /// What was appended may be found in the ledger after a restart although the append failed.
    pub fn might_have_happened(&self) -> bool {
        matches!(self, Self::SyncFailed { .. })
    }

    /// The HTTP status that says the same.
    pub fn status(&self) -> u16 {
        match self {
            Self::TooLarge { .. } => 413,
            Self::UnknownStream { .. } => 404,
            Self::Truncated { .. } => 410,
            Self::Full => 507,
            Self::Locked { .. } | Self::SyncFailed { .. } | Self::Poisoned { .. } | Self::Closed => 503,
            Self::Mismatch { .. } | Self::Missing { .. } | Self::Damaged(_) | Self::Io { .. } => 500,
        }
    }

    pub(super) fn io(path: &Path, doing: &'static str) -> impl FnOnce(std::io::Error) -> Self {
        let path = path.to_owned();
        move |cause| Self::Io { path, doing, cause: cause.to_string() }
    }
}
