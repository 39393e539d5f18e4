//! The shell around the plan: one reconciler per system, on a period and on a nudge.
//!
//! It takes no input: what is to be done stands in the partitions' states. A crash at any point loses nothing but
//! time, because the next round finds the same duties standing there.

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use futures_util::future::join_all;
use quietus_contract::Connector;
use quietus_core::engine::awaits_read_back;
use quietus_core::obligation::{Obligation, ObligationId, Stand};
use quietus_core::record::{Ordered, Record};
use quietus_core::system::Manifest;
use tokio::sync::{AcquireError, Notify, Semaphore, SemaphorePermit};
use tracing::Instrument;

use super::breaker::{Breaker, Room};
use super::gate::held;
use super::plan::propose;
use super::polls::Polls;
use super::queue::{Queue, in_parts};
use super::reaudit::LastHour;
use super::send;
use super::throttle::Throttle;
use crate::node::Node;
use crate::partition::Partition;
use crate::telemetry::trace;

/// A round without a nudge.
const PERIOD: Duration = Duration::from_millis(250);

/// Where a duty may stand that awaits its read-back.
const WAITING: [Stand; 4] = [Stand::Executed, Stand::Ordered, Stand::Accepted, Stand::Residual];

/// Runs one system until it is told to stop.
#[derive(Debug)]
pub struct Dispatcher {
    node: Arc<Node>,
    manifest: Manifest,
    connector: Arc<dyn Connector>,
    throttle: Throttle,
    workers: Arc<Semaphore>,
    queue: Queue<Obligation>,
    nudge: Arc<Notify>,
    /// Which partition is asked first in the next round.
    turn: AtomicUsize,
    /// Being read back right now.
    looking: Mutex<BTreeSet<ObligationId>>,
    polls: Polls,
    last_hour: LastHour,
    breaker: Breaker,
}

impl Dispatcher {
    pub fn new(node: Arc<Node>, manifest: Manifest, connector: Arc<dyn Connector>) -> Arc<Self> {
        let size = |n: u32| usize::try_from(n.max(1)).unwrap_or(1);
        let (batch, concurrency) = (size(manifest.limits.batch), size(manifest.limits.concurrency));
        // Without a gate inside its transactions a call is handed over whole, and a limited rate is for small calls.
        let several = connector.describe().gated && manifest.limits.per_second.is_none();
        Arc::new(Self {
            throttle: Throttle::new(manifest.limits.per_second),
            queue: Queue::new(batch, several),
            workers: Arc::new(Semaphore::new(concurrency)),
            nudge: Arc::new(Notify::new()),
            turn: AtomicUsize::new(0),
            looking: Mutex::default(),
            polls: Polls::new(&manifest),
            last_hour: LastHour::default(),
            breaker: Breaker::default(),
            node,
            manifest,
            connector,
        })
    }

    /// Something may be owed: look now.
    pub fn nudge(&self) {
        self.nudge.notify_one();
    }

    /// What was accepted is asked about now, whenever it was asked about last.
    pub fn ask_now(&self) {
        self.polls.forget();
        self.nudge();
    }

    /// Rounds for ever; the task is aborted when the system is retired or replaced.
    pub async fn run(self: Arc<Self>) {
        loop {
            let _ = tokio::time::timeout(PERIOD, self.nudge.notified()).await;
            self.take_back();
            self.ask_again();
            self.reaudit();
            let room = self.breaker.room(self.node.clock.monotonic());
            // What is read back in vain costs tries too; one record asks for both.
            let asks = self.look_back(room) > 0 && room == Room::Probe;
            let asks = asks || self.propose(room).await > 0;
            if room == Room::Probe && !asks {
                self.breaker.put_back(self.node.clock.monotonic());
            }
        }
    }

    /// Commands that the engine let through: they wait in line for a worker.
    pub fn send(self: &Arc<Self>, duties: Vec<Obligation>) {
        for _ in 0..self.queue.push(duties) {
            tokio::spawn(Arc::clone(self).call());
        }
    }

    /// One worker's call. Workers are counted while the system is at work, not while the ledger is.
    async fn call(self: Arc<Self>) {
        let Ok(worker) = self.workers.acquire().await else { return };
        let batches = self.queue.next_call();
        let sizes: Vec<usize> = batches.iter().map(Vec::len).collect();
        let duties: Vec<Obligation> = batches.into_iter().flatten().collect();
        if duties.is_empty() {
            return;
        }
        self.throttle.take(duties.len()).await;
        let (node, system) = (&self.node, &self.manifest.system);
        let span = trace::child("dispatch", duties.iter().find_map(|d| d.trace.as_deref()));
        tracing::Span::record(&span, "system", system);
        async {
            let started = node.clock.monotonic();
            let outcomes = send::call(node, &*self.connector, system, &duties).await;
            let reached = send::reached(&outcomes);
            self.queue.learn(duties.len(), node.clock.monotonic().saturating_sub(started), reached);
            self.heard(reached);
            drop(worker);
            send::answered(node, system, &duties, &sizes, &outcomes).await;
        }
        .instrument(span)
        .await;
        self.nudge();
    }

    fn heard(&self, reached: bool) {
        if self.breaker.heard(reached, self.node.clock.monotonic()) {
            let system = &self.manifest.system;
            match reached {
                true => tracing::info!(system, "reached again"),
                false => tracing::warn!(system, "cannot be reached: one record at a time until it is"),
            }
        }
    }

    /// Nothing but probes is sent: the system cannot be reached.
    pub fn is_broken(&self) -> bool {
        self.breaker.is_open()
    }

    /// Proposes what is owed, as much as the workers can soon take; how many records it was.
    async fn propose(&self, room: Room) -> usize {
        let (batch, concurrency) = self.limits();
        // Twice what can run at once keeps the workers busy while the ledger syncs; more would only age in line.
        let free = (batch * self.queue.batches() * concurrency * 2).saturating_sub(self.out());
        // Whole batches, one partition after the other: a little from everywhere would make small transactions of
        // all that follows. What is less than a batch waits until room is there for one.
        let partitions = self.node.partitions.len().max(1);
        let share = batch * (free / batch).div_ceil(partitions);
        let first = self.turn.fetch_add(1, Ordering::Relaxed) % partitions;
        let whole = match room {
            Room::All => free / batch * batch,
            Room::Probe => 1,
            Room::Nothing => 0,
        };
        let mut left = whole;
        let order = self.node.partitions.iter().cycle().skip(first).take(partitions);
        let proposals = order.filter_map(|partition| {
            let inner = partition.read();
            let proposal = propose(&inner.state, &self.manifest, left.min(share), self.node.lease_ms())?;
            left = left.saturating_sub(proposal.0.orders.len());
            Some((partition.index(), proposal))
        });
        // A frame a batch: readers come in between two of them.
        let frames: Vec<(u32, Ordered)> = proposals
            .flat_map(|(partition, proposal)| proposal.in_batches(batch).map(move |o| (partition, o)))
            .collect();
        let appended = frames.into_iter().map(|(partition, ordered)| async move {
            match self.node.append(partition, vec![Record::Ordered(ordered)], None).await {
                // Seen applied before the next round, or that would propose the same again.
                Ok(offset) => self.node.has_applied(partition, offset).await,
                Err(error) => tracing::warn!(%error, "could not order"),
            }
        });
        join_all(appended).await;
        whole - left
    }

    pub(super) fn node(&self) -> &Node {
        &self.node
    }

    pub(super) fn manifest(&self) -> &Manifest {
        &self.manifest
    }

    pub(super) fn connector(&self) -> &Arc<dyn Connector> {
        &self.connector
    }

    pub(super) fn last_hour(&self) -> &LastHour {
        &self.last_hour
    }

    pub(super) fn batch(&self) -> usize {
        self.limits().0
    }

    /// Leave to call the connector, while it is kept.
    pub(super) async fn worker(&self) -> Result<SemaphorePermit<'_>, AcquireError> {
        self.workers.acquire().await
    }

    fn limits(&self) -> (usize, usize) {
        let size = |n: u32| usize::try_from(n.max(1)).unwrap_or(1);
        (size(self.manifest.limits.batch), size(self.manifest.limits.concurrency))
    }

    /// Commands out at this system.
    fn out(&self) -> usize {
        let mine = |d: &&Obligation| *d.place.system == *self.manifest.system && !d.absent;
        self.node
            .partitions
            .iter()
            .map(|p| p.read().state.duties.standing(Stand::Ordered).filter(mine).count())
            .sum()
    }

    /// Starts reading back what awaits it; how many records it is.
    fn look_back(self: &Arc<Self>, room: Room) -> usize {
        if !self.connector.describe().verify {
            return 0;
        }
        let (batch, _) = self.limits();
        let mut looks = 0;
        for partition in self.node.partitions.iter() {
            let at_most = match room {
                Room::All => batch * 8,
                Room::Probe => 1_usize.saturating_sub(looks),
                Room::Nothing => 0,
            };
            let waiting = self.waiting(partition, at_most);
            looks += waiting.len();
            for one in in_parts(waiting, batch) {
                let this = Arc::clone(self);
                tokio::spawn(async move { this.look(one).await });
            }
        }
        looks
    }

    /// What awaits its read-back and is not being looked at; from now on it is.
    fn waiting(&self, partition: &Partition, at_most: usize) -> Vec<Obligation> {
        let inner = partition.read();
        let mut looking = self.looking.lock().unwrap_or_else(PoisonError::into_inner);
        let duties = WAITING.into_iter().flat_map(|s| inner.state.duties.standing(s));
        let ripe = duties
            .filter(|d| *d.place.system == *self.manifest.system && awaits_read_back(d))
            .filter(|d| d.not_before.is_none_or(|at| at <= inner.state.now));
        ripe.filter(|d| looking.insert(d.id)).take(at_most).cloned().collect()
    }

    /// Takes back what was accepted and is held now; what was carried out all the same is told all the same.
    fn take_back(self: &Arc<Self>) {
        if !self.connector.describe().recall {
            return;
        }
        let mut covered = Vec::new();
        for partition in self.node.partitions.iter() {
            let inner = partition.read();
            let accepted = inner.state.duties.standing(Stand::Accepted);
            let mine = accepted.filter(|d| *d.place.system == *self.manifest.system);
            covered.extend(mine.filter(|d| held(&inner, d)).cloned());
        }
        let duties = self.polls.to_recall(covered);
        if !duties.is_empty() {
            let this = Arc::clone(self);
            tokio::spawn(async move { send::recall(&this.node, &*this.connector, &duties).await });
        }
    }

    /// Asks where that stands which was accepted.
    fn ask_again(self: &Arc<Self>) {
        if !self.connector.describe().poll {
            return;
        }
        let (batch, _) = self.limits();
        for partition in self.node.partitions.iter() {
            let duties = self.polls.ripe(&partition.read().state, &self.manifest.system, batch);
            if duties.is_empty() {
                continue;
            }
            let this = Arc::clone(self);
            tokio::spawn(async move {
                let Ok(_worker) = this.workers.acquire().await else { return };
                send::poll(&this.node, Arc::clone(&this.connector), &this.manifest.system, duties).await;
                this.nudge();
            });
        }
    }

    async fn look(self: Arc<Self>, duties: Vec<Obligation>) {
        let ids: Vec<ObligationId> = duties.iter().map(|d| d.id).collect();
        if let Ok(_worker) = self.workers.acquire().await {
            let connector = Arc::clone(&self.connector);
            let reached = send::read_back(&self.node, connector, &self.manifest.system, duties).await;
            self.heard(reached);
        }
        let mut looking = self.looking.lock().unwrap_or_else(PoisonError::into_inner);
        ids.iter().for_each(|id| {
            looking.remove(id);
        });
    }
}
