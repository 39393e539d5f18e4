//! What a connector is: one trait, the values it takes and the values it answers.
//!
//! The laws (checked by `connectors/conformance` on every connector):
//! 1. An outcome per target, for every target, in any order; never a roll-up.
//! 2. Never success for something that did not change: `Removed(0)` does not exist, `Absent` says it.
//! 3. Nothing is committed that the [`Gate`] did not let through right before the commit, or after the permit's
//!    `not_after` by the target's own clock.
//! 4. Only the target named is touched: its key *and* nothing else.
//! 5. The same command again changes nothing more.
//! 6. `verify` is another session and another code path than `erase`; it reads by primary key and by identity.
//! 7. Every failure says whether a retry may help and whether the effect might have happened.
//! 8. Secrets and identity values never show in Debug or in errors.
//! 9. `scan` reads every row that stands still once, in short statements, and changes nothing; `catalogue` reads no
//!    rows at all.
//!
//! Rejected: a connector that reports "done" for a batch, and one that decides what to erase.

#![forbid(unsafe_code)]

pub mod catalogue;
mod fields;
mod locator;
mod outcome;
mod permit;
mod scan;
mod target;

use std::collections::BTreeMap;
use std::sync::Arc;

use async_trait::async_trait;

pub use catalogue::Catalogue;
pub use fields::{fields_to_correct, fields_to_mask, identity_columns, key_columns};
pub use locator::Locator;
pub use outcome::{Failure, Finding, Outcome, ReadBack, TargetOutcome};
pub use permit::{Gate, Permit, Verdict};
pub use scan::{Page, Reading, ScannedRow, Since, time_of_number, time_of_text};
pub use target::{Change, CommandId, Identity, Scalar, Secret, Target, Work};

/// A registered system, as the dispatcher sees it.
#[async_trait]
pub trait Connector: Send + Sync + std::fmt::Debug {
    /// What this connector can do; never touches the target.
    fn describe(&self) -> Capabilities;

    /// Reach, rights, schema, indexes, clock skew: everything that would make a command fail. Read only.
    async fn check(&self) -> CheckReport;

    /// Deletes or masks each target, set-wise, in short transactions. `gate.may_commit` is asked inside each
    /// transaction right before its commit; what it does not let through is rolled back and answered `Blocked`.
    async fn erase(&self, targets: &[Target], permit: &Permit, gate: Arc<dyn Gate>) -> Vec<TargetOutcome>;

    /// Sets corrected values; never inserts.
    async fn correct(&self, targets: &[Target], permit: &Permit, gate: Arc<dyn Gate>) -> Vec<TargetOutcome>;

    /// The independent read-back: own session, own code path, by primary key and by identity fields.
    async fn verify(&self, targets: &[Target]) -> Vec<ReadBack>;

    /// Where commands stand that were answered `Accepted(ref)`: each target with its reference. The target comes
    /// along because a connector keeps nothing between calls, and may have to look for itself before it says gone.
    async fn poll(&self, accepted: &[(Target, String)]) -> Vec<TargetOutcome>;

    /// The target's own clock, milliseconds since the epoch; None when it has none.
    async fn now(&self) -> Result<Option<i64>, Failure>;

    /// One page of what lies in a collection, in the order of its keys. Read only, on a session that holds nothing
    /// once it has answered. Only where [`Capabilities::scan`] says so.
    async fn scan(&self, reading: &Reading) -> Result<Page, Failure> {
        let what = format!("{}: this kind of system cannot be scanned", reading.dataset);
        Err(Failure::fatal("cannot_execute", what))
    }

    /// Whether whoever runs the target signed this: their callback then makes us ask again, and says nothing else.
    fn is_signed(&self, _headers: &BTreeMap<String, String>, _body: &[u8]) -> bool {
        false
    }

    /// Takes back what was `Accepted` and may not have been carried out yet: a hold covers it. What becomes of each is
    /// told by the next [`Connector::poll`]. Only where [`Capabilities::recall`] says so.
    async fn recall(&self, _accepted: &[(Target, String)]) {}

    /// What [`Connector::poll`] said of these commands, up to these attempts, is durable: nobody asks for it again.
    async fn settled(&self, _answered: &[(CommandId, u32)]) {}

    /// Up to where its log is written now; what was committed before the answer lies before it. Only where
    /// [`Capabilities::replicates`] says so.
    async fn position(&self) -> Result<String, Failure> {
        Err(Failure::fatal("cannot_execute", "this kind of system has no log that replicas follow"))
    }

    /// Whether a read here shows everything up to `position` of the system that this one is a replica of.
    async fn has_reached(&self, _position: &str) -> Result<bool, Failure> {
        Err(Failure::fatal("cannot_execute", "this kind of system cannot say what it has replayed"))
    }

    /// How far the slowest replica is behind, in milliseconds; None where there is none.
    async fn replica_lag(&self) -> Result<Option<i64>, Failure> {
        Err(Failure::fatal(
            "cannot_execute",
            "this kind of system cannot say how far its replicas are behind",
        ))
    }

    /// What the target's own catalogue says of it; reads no rows. Only where [`Capabilities::catalogue`] says so.
    async fn catalogue(&self) -> Result<Catalogue, Failure> {
        Err(Failure::fatal("cannot_execute", "this kind of system has no catalogue"))
    }
}

/// What a connector can execute. What it cannot, `system check` says and dispatch refuses.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Capabilities {
    pub kind: &'static str,
    pub erase: bool,
    pub mask: bool,
    pub anonymise: bool,
    pub pseudonymise: bool,
    pub restrict: bool,
    pub correct: bool,
    /// Reads back through a session of its own; without it nothing here is ever `verified`.
    pub verify: bool,
    /// Answers `Accepted` and wants polling.
    pub poll: bool,
    /// Can take back what it handed over, where it was not carried out yet.
    pub recall: bool,
    /// Reads what lies there, page by page.
    pub scan: bool,
    /// Tells its tables and columns.
    pub catalogue: bool,
    /// Checks the gate and `not_after` inside the transaction, so that a hold is effective at once. Without it both
    /// are kept up to the moment of handing over.
    pub gated: bool,
    /// Holds copies that follow from others (`copies_of`) and are made anew from those: it finds them by a name made
    /// of the origin's key, and corrects by taking the stale copy away.
    pub derived: bool,
    /// Asks somebody outside, who answers for themselves: what was there before is not known, and people are known
    /// by an identity alone.
    pub outside: bool,
    /// Finds records by the subject's identities alone, and takes all that lies under them: a key is not looked at.
    pub by_identity: bool,
    /// Erases nothing: what it holds ends by itself, and every erasure is answered `Residual`.
    pub residual: bool,
    /// Says up to where its log is written, replayed and behind: replicas can be waited for.
    pub replicates: bool,
}

/// What `system check` found. Empty = ready for `enforce`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct CheckReport {
    pub problems: Vec<Problem>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// Stops `enforce`; else a warning.
    pub fatal: bool,
    /// `unreachable`, `denied`, `missing_table`, `missing_column`, `not_null`, `missing_index`, `clock_skew`,
    /// `cannot_execute`, `missing_key`, `constraint` (a mask the database would refuse), `cascade`,
    /// `missing_file`, `rotation`, `restored` (and not verified since), `replica`.
    pub code: &'static str,
    /// `dataset.collection[.field]`, or the system.
    pub place: String,
    pub detail: String,
    pub fix: String,
}
