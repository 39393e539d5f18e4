//! The tasks of a running node: a loop per partition, one for the control log, and the schedule.

use std::collections::BTreeMap;
use std::sync::Arc;

use quietus_core::engine::{Effect, Noticed};
use quietus_core::record::{ControlCopy, LinkLimit, Record};
use quietus_core::system::Manifest;
use tokio::runtime::{Handle, RuntimeFlavor};
use tokio::task::JoinSet;

use super::{Node, NodeError};
use crate::faults::{self, Point};
use crate::ledger::Stream;
use crate::ledger::codec::{Avro, encode_record};
use crate::partition::{Asked, Partition};
use crate::schedule;
use crate::store::StoreError;

const TIDY_EVERY: std::time::Duration = std::time::Duration::from_secs(1);
/// So many times it tidies, then it brings to disk what was decided: half a minute is what a start reads again.
const KEEP_EVERY: u32 = 30;

/// Keeps a node running; dropping it stops every task.
#[derive(Debug)]
pub struct Running {
    tasks: JoinSet<()>,
    node: Arc<Node>,
}

impl Node {
    /// Owns the partitions and runs.
    pub async fn start(self: &Arc<Self>) -> Result<Running, NodeError> {
        schedule::clock::may_start(self).await?;
        // What was read again is not read again after the next crash, however soon it comes.
        self.keep_news();
        self.own().await?;
        let mut tasks = JoinSet::new();
        for partition in self.partitions.iter() {
            let (node, stream) = (Arc::clone(self), Stream::Partition(partition.index()));
            let from = partition.applied();
            tasks.spawn(async move { node.follow(stream, from).await });
        }
        let (node, from) = (Arc::clone(self), self.control_end());
        tasks.spawn(async move { node.follow(Stream::Control, from).await });
        for partition in self.partitions.iter() {
            let (node, index) = (Arc::clone(self), partition.index());
            tasks.spawn(async move { node.copy_control(index).await });
        }
        for partition in self.partitions.iter() {
            tasks.spawn(super::letters::carry(Arc::clone(self), partition.index()));
        }
        self.follow_control();
        self.limit_links().await?;
        super::news::begin(self).await?;
        tasks.spawn(super::news::tell(Arc::clone(self)));
        tasks.spawn(schedule::ticks::run(Arc::clone(self)));
        tasks.spawn(schedule::barrier::run(Arc::clone(self)));
        tasks.spawn(schedule::sweeps::run(Arc::clone(self)));
        // Intake judges event times by the newest tick it has seen: it has seen one before it takes anything.
        for partition in self.partitions.iter() {
            let end = self.ledger.end(Stream::Partition(partition.index()))?;
            partition.has_applied(end.saturating_sub(1)).await;
        }
        tasks.spawn(schedule::scans::run(Arc::clone(self)));
        tasks.spawn(Arc::clone(self).tidy());
        tasks.spawn(Arc::clone(self).resolve());
        tasks.spawn(Arc::clone(self).keep_snapshots());
        self.running.store(true, std::sync::atomic::Ordering::Relaxed);
        self.follow_topics();
        Ok(Running { tasks, node: Arc::clone(self) })
    }

    /// What the configuration says of linked identities is judged by, and so stands in the control log.
    async fn limit_links(&self) -> Result<(), NodeError> {
        let max = self.options.max_linked;
        if self.with_control(|c| c.max_linked()) != max {
            let record = LinkLimit { max: i32::try_from(max).unwrap_or(i32::MAX), at: self.clock.now().0 };
            self.append_control(Record::LinkLimit(record)).await?;
        }
        Ok(())
    }

    fn control_end(&self) -> u64 {
        *self.control_at.borrow()
    }

    /// Takes in what becomes durable, for ever.
    async fn follow(self: Arc<Self>, stream: Stream, from: u64) {
        let mut reader = match self.ledger.read(stream, from) {
            Ok(reader) => reader,
            Err(error) => return tracing::error!(%error, %stream, "the ledger cannot be read"),
        };
        loop {
            let asked = match reader.tail().await {
                Ok(frame) => self.take_in(&frame),
                Err(error) => Err(error.into()),
            };
            match asked {
                Ok(Some(asked)) => self.carry_out(asked),
                Ok(None) => self.follow_control(),
                Err(error) => {
                    // A ledger that cannot be read is not guessed at: this stream stands still until a restart.
                    tracing::error!(%error, %stream, "the ledger cannot be read");
                    return;
                }
            }
            self.moved.notify_waiters();
        }
    }

    fn carry_out(self: &Arc<Self>, asked: Asked) {
        for effect in asked.effects {
            match effect {
                Effect::Send { system, duties } => {
                    faults::pass(Point::BeforeSend);
                    if let Some(dispatcher) = self.registry.dispatcher(&system) {
                        dispatcher.send(duties);
                    }
                }
                Effect::Applied { .. } => self.registry.nudge(),
                Effect::Tell(what) => alarm(&what),
                Effect::Forgotten { subject } => self.desk.intake().forget(&subject),
            }
        }
    }

    /// Merges the stores' runs, one merge at a time, and keeps what is new.
    async fn tidy(self: Arc<Self>) {
        for round in 1u32.. {
            tokio::time::sleep(TIDY_EVERY).await;
            let partitions = Arc::clone(&self.partitions);
            let tidied = tokio::task::spawn_blocking(move || {
                let tidy = |partition: &Arc<Partition>| {
                    if round.is_multiple_of(KEEP_EVERY) {
                        partition.keep_news(&Avro)?;
                    }
                    while partition.tidy()? {}
                    Ok::<(), StoreError>(())
                };
                partitions.iter().filter_map(|partition| tidy(partition).err()).collect::<Vec<_>>()
            });
            for error in tidied.await.unwrap_or_default() {
                tracing::error!(%error, "the store cannot be brought up to date: tried again");
            }
        }
    }

    /// Joins what persons have where a plan asked for it, while the stores' runs are merged.
    async fn resolve(self: Arc<Self>) {
        loop {
            tokio::time::sleep(TIDY_EVERY).await;
            let partitions = Arc::clone(&self.partitions);
            let resolved = tokio::task::spawn_blocking(move || {
                partitions.iter().filter_map(|partition| partition.resolve(&Avro).err()).collect::<Vec<_>>()
            });
            for error in resolved.await.unwrap_or_default() {
                tracing::warn!(%error, "what persons have cannot be joined: plans read pages");
            }
        }
    }

    /// Copies entry k + 1 of the control log into a partition, in order.
    async fn copy_control(self: Arc<Self>, index: u32) {
        let Some(partition) = self.partitions.get(index as usize) else { return };
        let mut next = partition.read().state.control.k;
        let Ok(mut reader) = self.ledger.read(Stream::Control, next) else { return };
        while let Ok(frame) = reader.tail().await {
            next += 1;
            let Ok(batch) = crate::ledger::codec::decode_frame(&frame.body) else { return };
            let [record] = batch.records.as_slice() else { continue };
            let Ok((schema, body)) = encode_record(record) else { continue };
            let k = i64::try_from(next).unwrap_or(i64::MAX);
            let copy = Record::ControlCopy(ControlCopy { k, schema, body });
            // Full disks end; until then nothing else goes in either.
            while let Err(error) = self.append(index, vec![copy.clone()], batch.trace.clone()).await {
                tracing::warn!(%error, "the control log waits");
                if !error.may_retry() {
                    return;
                }
                tokio::time::sleep(std::time::Duration::from_secs(1)).await;
            }
        }
    }

    /// Connectors and consumers follow what the control log says.
    fn follow_control(self: &Arc<Self>) {
        let k = self.control_end();
        self.follow_systems();
        self.follow_topics();
        self.followed.send_if_modified(|followed| {
            let is_news = *followed < k;
            *followed = k.max(*followed);
            is_news
        });
    }

    /// Connectors and dispatchers follow the registered systems.
    pub(super) fn follow_systems(self: &Arc<Self>) {
        let wanted: BTreeMap<String, Manifest> = self.with_control(|control| {
            control.systems.iter().map(|(name, system)| (name.clone(), system.manifest.clone())).collect()
        });
        self.registry.follow(self, &wanted, &self.options.resolver);
    }
}

/// A sweep takes its time: meanwhile this thread's other tasks go on elsewhere, where there is an elsewhere. Not for
/// every frame: the threads that take over cost a third of an ingest.
pub(super) fn beside_others<R>(work: impl FnOnce() -> R) -> R {
    match Handle::try_current().map(|handle| handle.runtime_flavor()) {
        Ok(RuntimeFlavor::MultiThread) => tokio::task::block_in_place(work),
        _ => work(),
    }
}

/// Names and shown ids only: an alarm holds no identity.
fn alarm(what: &Noticed) {
    match what {
        Noticed::Resurrected { item, place } => {
            tracing::warn!(%item, system = &*place.system, "erased, and there again: erased again");
        }
        Noticed::Breach { item, place, holds } => {
            tracing::error!(%item, system = &*place.system, holds = holds.join(","), "somebody deleted what is held");
        }
        Noticed::Overdue { request } => {
            tracing::error!(request, "past its date, and not answered");
        }
        Noticed::PastDeadline { item, place } => {
            tracing::warn!(%item, system = &*place.system, "accepted, and not answered before its deadline");
        }
        Noticed::Echo { .. } | Noticed::Reborn { .. } | Noticed::Late { .. } | Noticed::Undeclared { .. } => {
        }
    }
}

impl Running {
    /// Stops the tasks and leaves a clean-shutdown mark.
    pub async fn stop(mut self) -> Result<(), NodeError> {
        self.node.running.store(false, std::sync::atomic::Ordering::Relaxed);
        self.node.stop_topics().await;
        // The readers first: they would start what a late entry names.
        self.tasks.shutdown().await;
        self.node.registry.stop();
        self.node.ended.send_replace(true);
        self.node.keep_checkpoint();
        self.node.keep();
        self.node.ledger.close().await?;
        Ok(())
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.node.running.store(false, std::sync::atomic::Ordering::Relaxed);
        self.node.ended.send_replace(true);
        self.node.registry.stop();
    }
}
