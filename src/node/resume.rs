//! Partitions as the store has them: a start goes on where they stood.
//!
//! Invariant: what a store holds is believed only where the ledger bears it out: same ledger, same key, no more than
//! the ledger has, and the frame that it ended with is the frame that stands there. Otherwise it is built anew, or,
//! where the ledger was truncated, made of the copies of its snapshots; without copies that are this ledger's the node
//! does not start and nothing is touched.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;
use std::sync::Arc;

use quietus_core::engine::control::Control;
use quietus_core::record::Record;

use super::open::read;
use super::{Node, NodeError, NodeOptions, aside};
use crate::durable;
use crate::ledger::codec::Avro;
use crate::ledger::embedded::Ledger;
use crate::ledger::{LedgerError, Stream};
use crate::partition::{Home, Partition, Unfit};
use crate::store::{Copies, Database, DiskStore, Rewrite, Sizes, StoreError};

/// Every partition with the hashes of the events that it took in lately.
pub(super) type Opened = Vec<(Partition, Vec<u64>)>;

/// Why there is nothing to go on from.
enum Stopped {
    /// The store is not to be believed.
    Unfit(Unfit),
    Failed(NodeError),
}

impl From<NodeError> for Stopped {
    fn from(error: NodeError) -> Self {
        Self::Failed(error)
    }
}

impl From<LedgerError> for Stopped {
    fn from(error: LedgerError) -> Self {
        Self::Failed(error.into())
    }
}

impl From<Stopped> for NodeError {
    fn from(stopped: Stopped) -> Self {
        match stopped {
            Stopped::Unfit(why) => StoreError::Damaged(why.to_string()).into(),
            Stopped::Failed(error) => error,
        }
    }
}

/// From the store in `options.dir`, or empty ones where there is none or it is not to be believed.
pub(super) fn open(ledger: &Ledger, options: &NodeOptions, salt_key: &[u8]) -> Result<Opened, NodeError> {
    let dir = options.dir.join("store");
    aside::settle(&dir).and_then(|()| super::rest::remove(&dir)).map_err(disk(&dir))?;
    Copies::discard_drafts(&dir).and_then(|()| durable::discard_all(&dir)).map_err(disk(&dir))?;
    let all = |database: &Database| all(database, ledger, options, salt_key);
    let here = || {
        let database = Database::open(&dir).map_err(unfit)?;
        let opened = all(&database)?;
        Ok((database, opened))
    };
    let mut opened = attempt(here);
    if matches!(opened, Err(Stopped::Unfit(_))) && aside::come_back(&dir).map_err(disk(&dir))? {
        opened = attempt(here);
    }
    let why = match opened {
        Ok((database, opened)) => {
            aside::forget(&dir).map_err(disk(&dir))?;
            if !write_anew(&database, options, &dir).map_err(disk(&dir))? {
                return Ok(opened);
            }
            drop((database, opened));
            aside::exchange(&dir).map_err(disk(&dir))?;
            return instead(&dir, || Ok(here()?.1)).or_else(|why| {
                let why = NodeError::from(why).to_string();
                tracing::warn!(
                    why,
                    "the store that was written anew is not to be believed: the one of before stays"
                );
                Ok(attempt(here)?.1)
            });
        }
        Err(Stopped::Unfit(why)) => why,
        Err(Stopped::Failed(error)) => return Err(error),
    };
    if begins_late(ledger)? {
        let is_lost = matches!(why, Unfit::Store(_) | Unfit::Unreadable(_) | Unfit::Behind);
        let copies = is_lost.then(|| Copies::whole(&dir, options.partitions)).transpose()?;
        let Some(copies) = copies.flatten() else { return Err(lost(&dir, &why)) };
        tracing::warn!(%why, dir = %dir.display(), "the store cannot be gone on from: the copies of its snapshots are put in its place");
        aside::put(&dir).map_err(disk(&dir))?;
        return instead(&dir, || all(&copies.put_in(&dir).map_err(unfit)?)).map_err(
            |stopped| match stopped {
                Stopped::Unfit(why) => lost(&dir, &why),
                Stopped::Failed(error) => error,
            },
        );
    }
    tracing::warn!(%why, dir = %dir.display(), "the store is built anew from the ledger");
    Ok(all(&Database::anew(&dir)?)?)
}

/// Another store, where most of this one is dead; true = it is there, whole, beside this one.
fn write_anew(database: &Database, options: &NodeOptions, dir: &Path) -> std::io::Result<bool> {
    let written = attempt(|| {
        let sparse = match crate::faults::rewrites() {
            true => Rewrite::of(database, options.partitions).map(Some),
            false => Rewrite::if_sparse(database, options.partitions, options.rewrite_above),
        };
        let Some(rewrite) = sparse.map_err(unfit)? else { return Ok(false) };
        rewrite.run(&aside::draft(dir)).map_err(unfit)?;
        Ok(true)
    });
    written.or_else(|why| {
        let why = NodeError::from(why).to_string();
        tracing::warn!(why, "the store is not written anew, and stays as large as it is");
        aside::take_away(&aside::draft(dir)).map(|()| false)
    })
}

/// sled ends some reads of what it never wrote with a panic.
fn attempt<T>(open: impl FnOnce() -> Result<T, Stopped>) -> Result<T, Stopped> {
    let cannot = |_| Err(Stopped::Unfit(Unfit::Store(StoreError::Damaged("it cannot be opened".to_owned()))));
    catch_unwind(AssertUnwindSafe(open)).unwrap_or_else(cannot)
}

/// Another store in the place of the one that was put aside, which comes back if the other is not this ledger's.
fn instead(dir: &Path, open: impl FnOnce() -> Result<Opened, Stopped>) -> Result<Opened, Stopped> {
    let opened = attempt(open);
    let ended = match &opened {
        Ok(_) => aside::forget(dir),
        // There was none, if none comes back.
        Err(_) => match aside::come_back(dir) {
            Ok(false) => aside::take_away(dir),
            back => back.map(drop),
        },
    };
    ended.map_err(|cause| NodeError::from(disk(dir)(cause)))?;
    opened
}

fn disk(dir: &Path) -> impl Fn(std::io::Error) -> StoreError {
    move |cause| StoreError::Disk(format!("{}: {cause}", dir.display()))
}

fn all(
    database: &Database,
    ledger: &Ledger,
    options: &NodeOptions,
    salt_key: &[u8],
) -> Result<Opened, Stopped> {
    // Who wants many flushes wants duties to leave memory, too.
    let small = |flush_rows| Sizes { flush_rows, duties_held: 0, ..options.store };
    let sizes = crate::faults::flush_rows().map_or(options.store, small);
    let entries = control_log(ledger)?;
    let truncated = begins_late(ledger)?;
    for index in 0..options.partitions {
        // Opened, an empty one gives up whatever no root names.
        if truncated && !DiskStore::is_there(database, index).map_err(unfit)? {
            return Err(Stopped::Unfit(Unfit::Behind));
        }
    }
    let one = |index| {
        let (of, salt_key) = (options.partitions, salt_key.to_vec());
        let home = Home { index, of, salt_key, ledger: ledger.id() };
        let store = DiskStore::open(database, index, sizes).map_err(unfit)?;
        let went_back = store.went_back();
        let opened = Partition::open(&home, store, |k| folded(&entries, k), &Avro);
        let (partition, events) = opened.map_err(unfit)?;
        stands_in(ledger, &partition)?;
        Ok((went_back, (partition, events)))
    };
    let opened = (0..options.partitions).map(one).collect::<Result<Vec<_>, Stopped>>()?;
    // News that a store does not know of is taken away: so not before each store is known to be this ledger's.
    let with_news = |(went_back, (partition, events)): (bool, (Partition, Vec<u64>))| {
        let news = options.dir.join("news").join(partition.index().to_string());
        partition.keep_news_in(&news, went_back, truncated).map_err(unfit)?;
        Ok((partition, events))
    };
    opened.into_iter().map(with_news).collect()
}

/// A disk that fails is no reason to throw away what it holds.
fn unfit(why: impl Into<Unfit>) -> Stopped {
    match why.into() {
        Unfit::Store(error @ StoreError::Disk(_)) => Stopped::Failed(error.into()),
        why => Stopped::Unfit(why),
    }
}

/// A partition's beginning was given up.
pub(super) fn begins_late(ledger: &Ledger) -> Result<bool, NodeError> {
    let firsts = (0..ledger.partitions()).map(|p| ledger.first(Stream::Partition(p)));
    Ok(firsts.collect::<Result<Vec<_>, _>>()?.into_iter().any(|first| first > 0))
}

/// Only the store knows what the ledger no longer does.
fn lost(dir: &Path, why: &Unfit) -> NodeError {
    let fix = match why {
        Unfit::Version => "run the version of quietus that wrote it; nothing was changed",
        Unfit::Foreign => {
            "put back the store, ledger and tenant key that belong together; nothing was changed"
        }
        Unfit::Store(_) | Unfit::Unreadable(_) | Unfit::Ahead(_) | Unfit::Behind => {
            "restore all of `dir` from a backup and run `quietus reapply`; nothing was changed"
        }
    };
    let why = match why {
        Unfit::Store(StoreError::Damaged(what)) => what.clone(),
        other => other.to_string(),
    };
    let what = format!(
        "{}: the store cannot be gone on from ({why}), and the ledger, whose beginning was given up, cannot build it anew",
        dir.display()
    );
    NodeError::Refused { code: "store-lost", what, fix: fix.to_owned() }
}

pub(super) fn control_log(ledger: &Ledger) -> Result<Vec<Record>, NodeError> {
    let mut entries = Vec::new();
    for frame in ledger.read(Stream::Control, 0)? {
        let frame = frame?;
        entries.extend(read(&frame)?.records);
    }
    Ok(entries)
}

/// The control log's first `k` entries; None = it has fewer.
pub(super) fn folded(entries: &[Record], k: u64) -> Option<Control> {
    let mut control = Control::default();
    for (n, entry) in (1..=k).zip(entries.get(..usize::try_from(k).ok()?)?) {
        control.apply(n, entry);
    }
    Some(control)
}

/// The last frame that the store has seen stands where it stood.
fn stands_in(ledger: &Ledger, partition: &Partition) -> Result<(), Stopped> {
    let (stream, applied) = (Stream::Partition(partition.index()), partition.applied());
    if ledger.end(stream)? < applied {
        return Err(Stopped::Unfit(Unfit::Ahead("ledger")));
    }
    if applied < ledger.first(stream)? {
        return Err(Stopped::Unfit(Unfit::Behind));
    }
    let Some(last) = applied.checked_sub(1) else { return Ok(()) };
    if last < ledger.first(stream)? {
        return Ok(());
    }
    let frame = ledger.read(stream, last)?.next().ok_or(LedgerError::Closed)??;
    match Some(crc32c::crc32c(&frame.body)) == partition.last_frame() {
        true => Ok(()),
        false => Err(Stopped::Unfit(Unfit::Foreign)),
    }
}

impl Node {
    /// The same as [`Node::keep`] where something was decided.
    pub(super) fn keep_news(&self) {
        for partition in self.partitions.iter() {
            if let Err(error) = partition.keep_news(&Avro) {
                tracing::warn!(%error, partition = partition.index(), "the store is not brought up to date: the next start reads as much again");
            }
        }
    }

    /// What a restart need not read again. A failure loses nothing: the ledger has it all.
    pub(super) fn keep(&self) {
        let one = |partition: &Arc<Partition>| partition.keep(&Avro);
        let kept = self.partitions.iter().map(one).collect::<Result<Vec<_>, _>>();
        let marked = kept.and_then(|kept| {
            let store = self.options.dir.join("store");
            // A mark that outlives a power cut must not speak of a root that does not.
            let synced = durable::sync_below(&store).and_then(|()| super::rest::write(&store, &kept));
            synced.map_err(|error| StoreError::Disk(error.to_string()))
        });
        if let Err(error) = marked {
            tracing::warn!(%error, "the store is not brought up to date: a start reads the ledger instead");
        }
    }

    /// Hands out what was opened, and tells intake what it took in lately.
    pub(super) fn recall(desk: &super::Desk, opened: Opened) -> Arc<Vec<Arc<Partition>>> {
        let partitions = opened.into_iter().map(|(partition, events)| {
            desk.resumed(partition.index(), partition.read().state.now, events);
            Arc::new(partition)
        });
        Arc::new(partitions.collect())
    }
}
