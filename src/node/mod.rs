//! A running node: the ledger, its partitions, the control log, and the tasks between them.
//!
//! Every change goes in by an append and takes effect when its frame is read back: what answers "done" here waits
//! for that. Start order: open the partitions where the store left them, replay the rest of the ledger, own them,
//! then run.

mod aside;
mod audit;
mod certificates;
pub mod conform;
mod coverage;
mod dead_letters;
mod difference;
mod error;
mod explain;
mod exposures;
mod feed;
mod holds;
mod import;
mod intake;
mod letters;
mod lookup;
mod news;
mod offline;
mod once;
mod open;
mod policies;
mod reading;
mod reapplies;
mod registry;
mod replicas;
mod requests;
mod rest;
mod resume;
mod run;
mod scans;
mod snapshots;
mod sources;
mod stored;
mod systems;
#[cfg(test)]
mod tests;
mod topics;
mod unusable;

use std::sync::{Arc, Mutex, RwLock};

use quietus_core::engine::control::Control;
use quietus_core::identity::SubjectKey;
use quietus_core::record::{Frame, Record};
use quietus_core::time::Millis;
use tokio::sync::{Notify, watch};

use crate::clock::Clock;
use crate::dispatch::Underway;
use crate::ledger::codec::encode_frame;
use crate::ledger::embedded::Ledger;
use crate::ledger::{LedgerError, Stream};
use crate::partition::{Partition, Report, Subjects};
use crate::schedule::clock::Steady;
use crate::sealing::Keys;
use crate::telemetry::{Metrics, trace};

pub use crate::intake::kafka::FETCH_BACKOFF_MS;
pub use audit::Audited;
pub use coverage::{CoverageView, Uncovered};
pub use difference::{Difference, Moved, RuleDifference};
pub use error::NodeError;
pub use explain::{Explained, Unsettled, rule_change};
pub use exposures::{Exposed, Exposure};
pub use feed::{FedRecords, LETTERS_MAX};
pub use holds::HoldOrder;
pub use import::Imported;
pub use intake::{Desk, Prepared, Taken, Unprepared};
pub use lookup::Wanted;
pub use offline::{Evidence, Held, Replayed, Signed, replay_dir};
pub use once::{Once, REMEMBERED, WantedId};
pub use open::NodeOptions;
pub use policies::{Checked, Refusal, check as check_policy, check_over as check_policy_over};
pub use reapplies::Reapplied;
pub use registry::{Registry, Resolver, connect};
pub use requests::RequestOrder;
pub use run::Running;
pub use scans::{CollectionScanned, ScanView};
pub use snapshots::SNAPSHOT_EVERY;
pub use sources::{KafkaOptions, Ready, SourceState, Sources};
pub use systems::Put;

/// One node. Everything in it is shared; nothing in it is a second source of truth.
#[derive(Debug)]
pub struct Node {
    pub partitions: Arc<Vec<Arc<Partition>>>,
    pub keys: Keys,
    pub clock: Arc<dyn Clock>,
    pub metrics: Metrics,
    desk: Desk,
    /// Signs the audit's checkpoints.
    audit_key: crate::sealing::Secret,
    sources: Sources,
    ledger: Ledger,
    /// The control log, folded up to its durable end.
    control: RwLock<Control>,
    control_at: watch::Sender<u64>,
    /// Entries of the control log that connectors and consumers go by.
    followed: watch::Sender<u64>,
    /// What the gate let through, and the holds that it asks.
    pub underway: Arc<Underway>,
    registry: Registry,
    scans: scans::Scans,
    beginning: snapshots::Beginning,
    /// Held while the ledger is read again for a certificate.
    certifying: Mutex<()>,
    /// Sweeps whose report stands in the control log or is being written.
    closing: Mutex<std::collections::BTreeSet<String>>,
    /// The running sweep's report, for those who ask often.
    pub counted: crate::schedule::Counted,
    /// What the wall clock is held against.
    steady: Mutex<Steady>,
    /// Something moved: partitions' loops wake who waits for an outcome.
    pub moved: Notify,
    options: NodeOptions,
    read_at_start: std::sync::atomic::AtomicU64,
    running: std::sync::atomic::AtomicBool,
    /// Nothing is read any more: who waits for it waits in vain.
    ended: watch::Sender<bool>,
    /// Why the ledger took nothing, at the last try.
    trouble: Mutex<Option<String>>,
}

impl Node {
    /// Appends records to a partition as one frame; the offset is durable when this answers.
    pub async fn append(
        &self,
        partition: u32,
        records: Vec<Record>,
        trace: Option<String>,
    ) -> Result<u64, NodeError> {
        self.append_frame(partition, &Frame::of(records).traced(trace.or_else(trace::current))).await
    }

    pub async fn append_frame(&self, partition: u32, frame: &Frame) -> Result<u64, NodeError> {
        let bytes = encode_frame(frame)?;
        self.noted(self.ledger.append(Stream::Partition(partition), bytes).await)
    }

    /// Appends an entry to the control log and waits until every partition has applied it. Answers its `k`.
    pub async fn decree(&self, record: Record) -> Result<u64, NodeError> {
        let k = self.append_control(record).await?;
        self.has_decreed(k).await;
        Ok(k)
    }

    /// Appends an entry to the control log without waiting for the partitions. Answers its `k`.
    pub async fn append_control(&self, record: Record) -> Result<u64, NodeError> {
        let bytes = encode_frame(&Frame::of(vec![record]).traced(trace::current()))?;
        let offset = self.noted(self.ledger.append(Stream::Control, bytes).await)?;
        Ok(offset + 1)
    }

    /// Returns once entry `k` is folded into the control log's state, whatever the partitions have read.
    pub async fn has_folded(&self, k: u64) {
        let mut folded = self.control_at.subscribe();
        // The sender lives as long as `self`.
        let _ = folded.wait_for(|at| *at >= k).await;
    }

    /// Returns once every partition has come through entry `k`, which is in force before that.
    pub async fn has_come_through(&self, k: u64) {
        for partition in self.partitions.iter() {
            partition.has_come_through(k).await;
        }
    }

    /// Returns once entry `k` is in force in every partition, and connectors go by it.
    pub async fn has_decreed(&self, k: u64) {
        for partition in self.partitions.iter() {
            while partition.read().state.control.k < k {
                let next = partition.applied();
                if partition.read().state.control.k >= k {
                    break;
                }
                partition.has_applied(next).await;
            }
        }
        let (mut followed, mut ended) = (self.followed.subscribe(), self.ended.subscribe());
        tokio::select! {
            _ = followed.wait_for(|at| *at >= k) => {}
            _ = ended.wait_for(|ended| *ended) => {}
        }
    }

    pub async fn has_applied(&self, partition: u32, offset: u64) {
        if let Some(partition) = usize::try_from(partition).ok().and_then(|p| self.partitions.get(p)) {
            let mut ended = self.ended.subscribe();
            tokio::select! {
                () = partition.has_applied(offset) => {}
                _ = ended.wait_for(|ended| *ended) => {}
            }
        }
    }

    /// The partition a subject lives in.
    #[expect(clippy::indexing_slicing, reason = "a node has as many partitions as it takes the remainder by")]
    pub fn partition_of(&self, subject: SubjectKey) -> &Arc<Partition> {
        let of = u32::try_from(self.partitions.len()).unwrap_or(u32::MAX);
        &self.partitions[subject.partition(of) as usize]
    }

    /// Looks at the control log's state.
    pub fn with_control<R>(&self, look: impl FnOnce(&Control) -> R) -> R {
        look(&self.control.read().unwrap_or_else(std::sync::PoisonError::into_inner))
    }

    pub fn registry(&self) -> &Registry {
        &self.registry
    }

    pub fn options(&self) -> &NodeOptions {
        &self.options
    }

    /// Frames of the ledger that were folded in before the node ran: those that its store did not have.
    pub fn read_at_start(&self) -> u64 {
        self.read_at_start.load(std::sync::atomic::Ordering::Relaxed)
    }

    pub fn ledger(&self) -> &Ledger {
        &self.ledger
    }

    /// What this node is called where others might read the same topics.
    pub(super) fn short_id(&self) -> String {
        data_encoding::HEXLOWER.encode(&self.ledger.id()).chars().take(12).collect()
    }

    /// Remembers whether the ledger takes anything.
    fn noted<T>(&self, appended: Result<T, LedgerError>) -> Result<T, NodeError> {
        let trouble = match &appended {
            Ok(_) => None,
            // The call's own fault.
            Err(LedgerError::TooLarge { .. } | LedgerError::UnknownStream { .. }) => return Ok(appended?),
            Err(error) => Some(error.to_string()),
        };
        *self.trouble.lock().unwrap_or_else(std::sync::PoisonError::into_inner) = trouble;
        Ok(appended?)
    }

    /// Why the ledger takes nothing now; None = it does.
    pub fn trouble(&self) -> Option<String> {
        self.trouble.lock().unwrap_or_else(std::sync::PoisonError::into_inner).clone()
    }

    /// The partitions are owned and the schedule runs.
    pub fn is_running(&self) -> bool {
        self.running.load(std::sync::atomic::Ordering::Relaxed)
    }

    /// Per partition: durable frames that it has not applied yet.
    pub fn lags(&self) -> Vec<u64> {
        let lag = |p: &Arc<Partition>| {
            let end = self.ledger.end(Stream::Partition(p.index())).unwrap_or_default();
            end.saturating_sub(p.applied())
        };
        self.partitions.iter().map(lag).collect()
    }

    /// The time to go by: the wall clock, unless it jumped further than the monotonic one allows.
    pub fn now(&self) -> Millis {
        // A simulated clock jumps by nature, and nothing else runs by it.
        if self.options.simulated {
            return self.clock.now();
        }
        self.steady(|steady| steady.now(&*self.clock))
    }

    pub fn steady<R>(&self, ask: impl FnOnce(&mut Steady) -> R) -> R {
        ask(&mut self.steady.lock().unwrap_or_else(std::sync::PoisonError::into_inner))
    }

    /// How long a command may take before nothing of it may be committed any more.
    pub fn lease_ms(&self) -> i64 {
        self.options.lease_ms
    }

    /// Digest over all partitions, in order.
    pub fn state_digest(&self) -> [u8; 32] {
        let mut all = quietus_core::digest::Digest::default();
        for partition in self.partitions.iter() {
            all.bytes(&partition.digest());
        }
        all.finish()
    }

    /// What is known of all duties since the ledger began.
    pub fn report(&self, counts: impl Fn(&quietus_core::obligation::Obligation) -> bool) -> Report {
        self.report_of(Subjects::Now, counts)
    }

    /// As [`Node::report`], with subjects as they were counted lately if that will do.
    pub fn report_of(
        &self,
        subjects: Subjects,
        counts: impl Fn(&quietus_core::obligation::Obligation) -> bool,
    ) -> Report {
        let mut report = self.report_without_duties(subjects);
        self.partitions.iter().for_each(|partition| report.add_duties(partition, &counts));
        report
    }

    /// What is counted without a look at any duty.
    pub fn report_without_duties(&self, subjects: Subjects) -> Report {
        let mut report = Report::default();
        let mut roots = quietus_core::merkle::Tree::default();
        for partition in self.partitions.iter() {
            let subjects = partition.subjects(subjects);
            let inner = partition.read();
            report.add(&inner, subjects);
            report.audit.entries += inner.chain.entries().len() as u64;
            report.audit.decisions += inner.chain.decisions();
            roots.push(inner.chain.root());
            report.audit.ok = crate::audit::chain::follows(inner.chain.entries()).is_ok();
        }
        report.audit.root = data_encoding::HEXLOWER.encode(&roots.root());
        report
    }

    /// True once per sweep: whoever gets it writes its report.
    pub fn take_closing(&self, sweep: &str) -> bool {
        self.closing.lock().unwrap_or_else(std::sync::PoisonError::into_inner).insert(sweep.to_owned())
    }

    /// The report could not be written.
    pub fn put_back_closing(&self, sweep: &str) {
        self.closing.lock().unwrap_or_else(std::sync::PoisonError::into_inner).remove(sweep);
    }
}

/// `hd_…`, `rq_…`, `sw_…`: 10 random bytes, base32 lower case.
pub fn fresh_id(prefix: &str) -> String {
    let mut bytes = [0; 10];
    // Without randomness the id would repeat and be refused where it is used; nothing is lost by it.
    let _ = aws_lc_rs::rand::fill(&mut bytes);
    id_of(prefix, bytes)
}

fn id_of(prefix: &str, bytes: [u8; 10]) -> String {
    format!("{prefix}_{}", data_encoding::BASE32_NOPAD.encode(&bytes).to_lowercase())
}

impl From<LedgerError> for NodeError {
    fn from(error: LedgerError) -> Self {
        Self::Ledger(error)
    }
}
