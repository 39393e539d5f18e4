//! What a node can answer instead of doing: which status, may I retry, might it have happened?

use crate::ledger::LedgerError;
use crate::ledger::codec::CodecError;
use crate::store::StoreError;

#[derive(Debug, thiserror::Error)]
pub enum NodeError {
    #[error(transparent)]
    Ledger(LedgerError),
    #[error("a record could not be written: {0}")]
    Codec(#[from] CodecError),
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error("{0}")]
    Keys(#[from] crate::sealing::KeyFileError),
    #[error("partition {partition} offset {offset} cannot be read: {cause}; restore `dir` from a backup")]
    Unreadable { partition: String, offset: u64, cause: String },
    /// The ledger does not go on from what this node signed.
    #[error("{what}; restore all of `dir` together with its keys, or, if an older copy was put back on purpose, take {} away", .path.display())]
    Rewritten { what: String, path: std::path::PathBuf },
    #[error("the clock moved from {last} to {now}: look at it, then run `quietus clock accept`")]
    ClockWaits { last: String, now: String },
    #[error("{what}")]
    NotFound { what: String },
    /// The input is wrong; `fix` says how to mend it.
    #[error("{what}; {fix}")]
    Refused { code: &'static str, what: String, fix: String },
    /// Something outside does not answer; nothing was changed.
    #[error("{what}; {fix}")]
    Elsewhere { code: &'static str, what: String, fix: String },
    /// It collides with what stands.
    #[error("{what}; {fix}")]
    Conflict { code: &'static str, what: String, fix: String },
}

impl NodeError {
    /// The HTTP status that says the same.
    pub fn status(&self) -> u16 {
        match self {
            Self::Ledger(e) => e.status(),
            Self::Store(_) => 500,
            Self::Codec(_) | Self::Unreadable { .. } | Self::Keys(_) | Self::Rewritten { .. } => 500,
            Self::ClockWaits { .. } => 503,
            Self::NotFound { .. } => 404,
            Self::Refused { .. } => 422,
            Self::Conflict { .. } => 409,
            Self::Elsewhere { .. } => 503,
        }
    }

    /// Kebab case: the last part of the problem's URN.
    pub fn code(&self) -> &'static str {
        match self {
            Self::Ledger(LedgerError::Full) => "disk-full",
            Self::Ledger(_) => "ledger",
            Self::Store(_) => "store",
            Self::Codec(_) => "codec",
            Self::Keys(_) => "keys",
            Self::Unreadable { .. } => "ledger-unreadable",
            Self::Rewritten { .. } => "ledger-rewritten",
            Self::ClockWaits { .. } => "clock-waits",
            Self::NotFound { .. } => "not-found",
            Self::Refused { code, .. } | Self::Conflict { code, .. } | Self::Elsewhere { code, .. } => code,
        }
    }

    /// What was kept says of itself that it is not as it was written.
    pub fn is_damage(&self) -> bool {
        match self {
            Self::Ledger(LedgerError::Damaged(_)) | Self::Store(StoreError::Damaged(_)) => true,
            Self::Unreadable { .. } | Self::Rewritten { .. } => true,
            Self::Ledger(_) | Self::Store(_) | Self::Codec(_) | Self::Keys(_) | Self::ClockWaits { .. } => {
                false
            }
            Self::NotFound { .. } | Self::Refused { .. } | Self::Elsewhere { .. } | Self::Conflict { .. } => {
                false
            }
        }
    }

    /// The same call may go through later.
    pub fn may_retry(&self) -> bool {
        match self {
            Self::Ledger(e) => e.may_retry(),
            Self::ClockWaits { .. } | Self::Elsewhere { .. } | Self::Store(_) => true,
            Self::Codec(_) | Self::Keys(_) | Self::Unreadable { .. } | Self::Rewritten { .. } => false,
            Self::NotFound { .. } | Self::Refused { .. } | Self::Conflict { .. } => false,
        }
    }

    pub fn might_have_happened(&self) -> bool {
        match self {
            Self::Ledger(e) => e.might_have_happened(),
            Self::Codec(_) | Self::Keys(_) | Self::Unreadable { .. } | Self::Rewritten { .. } => false,
            Self::ClockWaits { .. } | Self::Store(_) => false,
            Self::NotFound { .. } | Self::Refused { .. } | Self::Conflict { .. } => false,
            Self::Elsewhere { .. } => false,
        }
    }
}
