//! Snapshots and the ledger's beginning: what a start goes back to, and, where it is asked for, what leaves the disk.
//!
//! Every so often the ledger begins a segment and each partition keeps a snapshot. With `truncate` the segments below
//! the older of two are given up: so a byte that may be forgotten is gone after twice that time and the time nobody
//! ran. Invariant: nothing is given up that a start from the older snapshot of any partition would read; both are
//! synced before, and the newer is copied to a file that nothing writes to again, for the store's own does not outlive
//! every power cut. A crash in between leaves more than is needed, never less. A simulated ledger has no snapshots: its
//! years pass in seconds.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use quietus_core::record::Record;
use quietus_core::time::Millis;

use super::open::read;
use super::resume::{begins_late, control_log, folded};
use super::{Node, NodeError};
use crate::ledger::Stream;
use crate::ledger::codec::Avro;
use crate::partition::{Home, Partition, Unfit};
use crate::schedule::ticks::tick_all;
use crate::store::{Snapshot, StoreError};

/// Seven days.
pub const SNAPSHOT_EVERY: i64 = 7 * Millis::DAY;
const LOOK_EVERY: Duration = Duration::from_secs(1);
/// Each try begins a segment.
const AGAIN: Duration = Duration::from_secs(60);
/// A copy that failed for want of room or for damage reads all of a snapshot again, and writes up to as much.
const COPY_AGAIN: Duration = Duration::from_secs(600);
/// A sweep that is under way takes longer: then there is no snapshot now.
const PATIENCE: Duration = Duration::from_secs(10);
const UNKNOWN: i64 = i64::MIN;

/// What is known of the ledger's beginning.
#[derive(Debug)]
pub(super) struct Beginning {
    /// Held to read while somebody looks back, to write while a snapshot takes another's place.
    looked_at: std::sync::RwLock<()>,
    /// The first tick that is still there, milliseconds.
    oldest: AtomicI64,
}

impl Default for Beginning {
    fn default() -> Self {
        Self { looked_at: std::sync::RwLock::default(), oldest: AtomicI64::new(UNKNOWN) }
    }
}

impl Node {
    /// Takes snapshots, and gives up the ledger's beginning where that is asked for, for ever.
    pub(super) async fn keep_snapshots(self: Arc<Self>) {
        if self.options.simulated {
            return;
        }
        let every = every(self.options.snapshot_every_ms);
        // What a crash between the snapshots and this left, or a start without `truncate`; and a ledger that was
        // truncated once needs its copies whoever runs it now.
        let mut owed = self.options.truncate || begins_late(&self.ledger).unwrap_or(true);
        loop {
            let mut pause = LOOK_EVERY;
            if let Err((error, again)) = self.keep_snapshot(&mut owed).await {
                let seconds = again.min(every).as_secs();
                tracing::warn!(%error, seconds, "no snapshot, or the ledger's beginning stays: it is tried again");
                pause = again;
            }
            tokio::time::sleep(pause.min(every)).await;
        }
    }

    /// One look; `owed` = something may be given up, or the copies are of snapshots that went. An error comes with how
    /// long to wait after it.
    async fn keep_snapshot(self: &Arc<Self>, owed: &mut bool) -> Result<(), (NodeError, Duration)> {
        *owed |= self.renew_snapshots().await.map_err(|error| (error, AGAIN))?;
        if *owed {
            let given_up = match self.options.truncate {
                true => self.give_up().await.map(drop),
                false => self.copy_snapshots().await,
            };
            given_up.map_err(|error| (error, COPY_AGAIN))?;
            *owed = false;
        }
        Ok(())
    }

    /// New snapshots where they are due; true = the copies are of others now, if there are any.
    async fn renew_snapshots(self: &Arc<Self>) -> Result<bool, NodeError> {
        let (node, every) = (Arc::clone(self), self.options.snapshot_every_ms);
        let is_due = move || Ok(node.partitions.iter().any(|partition| node.is_due(partition, every)));
        if !blocking(is_due).await? {
            return Ok(false);
        }
        self.take_snapshots(every).await?;
        Ok(self.options.truncate || begins_late(&self.ledger)?)
    }

    fn is_due(&self, partition: &Partition, every: i64) -> bool {
        let last = partition.snapshots().last().map(|snapshot| snapshot.at).or_else(|| self.oldest());
        last.is_some_and(|last| self.now().0.saturating_sub(last) >= every)
    }

    /// A snapshot of each partition that is due for one.
    pub(super) async fn take_snapshots(self: &Arc<Self>, every: i64) -> Result<(), NodeError> {
        self.ledger.begin_segment().await?;
        // Beyond the new segment's first frame a snapshot needs nothing of the segments before it.
        match tokio::time::timeout(PATIENCE, tick_all(self)).await {
            Ok(ticked) => drop(ticked?),
            Err(_) => return Err(not_now("a partition is behind")),
        }
        let node = Arc::clone(self);
        blocking(move || node.snapshot(every)).await
    }

    /// The segments below the older snapshots; answers how many went.
    pub(super) async fn give_up(&self) -> Result<u64, NodeError> {
        let Some(floors) = self.floors() else { return Ok(0) };
        self.copy_snapshots().await?;
        let gone = self.ledger.truncate_before(floors).await?;
        if gone > 0 {
            self.beginning.oldest.store(UNKNOWN, Ordering::Relaxed);
            tracing::info!(segments = gone, "the ledger's beginning was given up");
        }
        Ok(gone)
    }

    /// What the ledger forgets must not lie in one database alone.
    async fn copy_snapshots(&self) -> Result<(), NodeError> {
        let partitions = Arc::clone(&self.partitions);
        let copied = move || Ok(partitions.iter().try_for_each(|partition| partition.copy_snapshot())?);
        blocking(copied).await
    }

    fn snapshot(&self, every: i64) -> Result<(), NodeError> {
        let waits = |what: &str| Err(not_now(what));
        // Who looks back holds it for as long as a ledger is read.
        let Ok(_alone) = self.beginning.looked_at.try_write() else {
            return waits("somebody looks at one");
        };
        for partition in self.partitions.iter().filter(|partition| self.is_due(partition, every)) {
            match partition.snapshot(&Avro)? {
                Some(kept) => {
                    tracing::info!(partition = partition.index(), frames = kept.applied, "snapshot")
                }
                None => return waits("a frame is being decided"),
            }
        }
        Ok(())
    }

    /// By slot, what a start from the older snapshots may read: the last frame before them too, which tells that the
    /// store is this ledger's. None = a partition has not two.
    fn floors(&self) -> Option<Vec<u64>> {
        let older = |p: &Arc<Partition>| match p.snapshots().as_slice() {
            [older, _] => Some(*older),
            _ => None,
        };
        let older = self.partitions.iter().map(older).collect::<Option<Vec<Snapshot>>>()?;
        let control = older.iter().map(|snapshot| snapshot.k).min()?;
        let applied = older.iter().map(|snapshot| snapshot.applied.saturating_sub(1));
        Some(std::iter::once(control).chain(applied).collect())
    }

    /// The time of the first tick that the ledger still has; None = it has none.
    fn oldest(&self) -> Option<i64> {
        let known = self.beginning.oldest.load(Ordering::Relaxed);
        if known != UNKNOWN {
            return Some(known);
        }
        let tick = self.first_tick()?;
        self.beginning.oldest.store(tick, Ordering::Relaxed);
        Some(tick)
    }

    /// None = the ledger has none, or cannot be read.
    fn first_tick(&self) -> Option<i64> {
        for frame in self.ledger.scan(&[u64::MAX]).ok()? {
            let batch = read(&frame.ok()?).ok()?;
            let tick = batch.records.iter().find_map(|record| match record {
                Record::Tick(tick) => Some(tick.now),
                _ => None,
            });
            if tick.is_some() {
                return tick;
            }
        }
        None
    }

    /// How old the oldest frame of the ledger is, whatever it holds.
    pub fn oldest_forgettable(&self) -> Option<Millis> {
        Some(Millis(self.now().0.saturating_sub(self.oldest()?).max(0)))
    }

    /// Keeps the snapshots as they are while somebody looks at one.
    pub(super) fn look_back(&self) -> std::sync::RwLockReadGuard<'_, ()> {
        self.beginning.looked_at.read().unwrap_or_else(std::sync::PoisonError::into_inner)
    }

    /// A partition as it was when its ledger began, or at its newest snapshot that this takes; None = the beginning
    /// is gone, and there is no such snapshot. Hold [`Node::look_back`] meanwhile.
    pub(super) fn as_of(
        &self,
        partition: &Partition,
        takes: impl Fn(&Snapshot) -> bool,
    ) -> Result<Option<Partition>, NodeError> {
        let stream = Stream::Partition(partition.index());
        let of = u32::try_from(self.partitions.len()).unwrap_or(u32::MAX);
        let salt_key = self.keys.audit_salt().to_vec();
        let Some(snapshot) = partition.snapshots().into_iter().rev().find(takes) else {
            let is_whole = self.ledger.first(stream)? == 0;
            return Ok(is_whole.then(|| Partition::new(partition.index(), of, &salt_key)));
        };
        let home = Home { index: partition.index(), of, salt_key, ledger: self.ledger.id() };
        let entries = control_log(&self.ledger)?;
        let past = partition.as_of(&snapshot, &home, |k| folded(&entries, k), &Avro);
        past.map(Some).map_err(|why| match why {
            Unfit::Store(error) => error.into(),
            other => StoreError::Damaged(other.to_string()).into(),
        })
    }
}

fn not_now(what: &str) -> NodeError {
    StoreError::Disk(format!("no snapshot now: {what}")).into()
}

fn every(milliseconds: i64) -> Duration {
    Duration::from_millis(u64::try_from(milliseconds).unwrap_or_default().max(100))
}

async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, NodeError> + Send + 'static,
) -> Result<T, NodeError> {
    let worked = tokio::task::spawn_blocking(work).await;
    worked.unwrap_or_else(|error| Err(StoreError::Disk(error.to_string()).into()))
}
