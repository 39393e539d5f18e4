//! What lives in a database, written to a fresh one: sled uses a dead place again and gives none back.
//!
//! Invariant: the database stays as it is; the other is whole and durable when [`Rewrite::run`] returns. Whose place it
//! takes is for the caller. How much lives is reckoned by what each run begins with, for reading everything would cost
//! every start as much as a rewrite costs one. Rejected: to give back the free places at the end of sled's file, where
//! what lives may lie in the last; a rewrite while others write (see ADR 32).

use std::path::Path;

use super::apart::{MARGIN, room};
use super::blocks::{Blocks, Database, StoreError};
use super::queue::Queue;
use crate::durable;

/// Smaller databases stay as they are.
pub const REWRITE_ABOVE: u64 = 64 << 20;
/// Some seconds' work.
const TELL_EVERY: u64 = 1 << 30;

/// A database of which more than half is dead, and which nobody else has open.
#[derive(Debug)]
pub struct Rewrite {
    partitions: Vec<Blocks>,
    live: u64,
    taken: u64,
}

impl Rewrite {
    /// None = as much lives as is dead, or it takes no more than `above` bytes. What nothing names was dropped before.
    pub fn if_sparse(database: &Database, partitions: u32, above: u64) -> Result<Option<Self>, StoreError> {
        let taken = database.taken_bytes()?;
        if taken <= above {
            return Ok(None);
        }
        let rewrite = Self::of(database, partitions)?;
        Ok((taken / 2 > rewrite.live).then_some(rewrite))
    }

    /// However much of it lives.
    pub fn of(database: &Database, partitions: u32) -> Result<Self, StoreError> {
        let taken = database.taken_bytes()?;
        let partitions: Vec<Blocks> = (0..partitions).map(|index| database.partition(index)).collect();
        let live = partitions.iter().map(live).sum::<Result<u64, StoreError>>()?;
        Ok(Self { partitions, live, taken })
    }

    /// Writes what lives to a database in this folder, whatever lay there.
    pub fn run(&self, into: &Path) -> Result<(), StoreError> {
        let failed = |cause: std::io::Error| StoreError::Disk(format!("{}: {cause}", into.display()));
        let (live, taken) = (self.live, self.taken);
        let folder = into.parent().unwrap_or(Path::new("."));
        let (needed, free) = (live + live / 8 + MARGIN, room(folder).map_err(failed)?);
        if free < needed {
            let what = format!("writing it anew needs {needed} bytes of free disk, there are {free}");
            return Err(StoreError::Disk(what));
        }
        tracing::info!(taken, live, "what lives in the store is written anew");
        let fresh = Database::anew(into)?;
        let mut progress = Progress { copied: 0, live, told: 0 };
        for (index, from) in (0u32..).zip(&self.partitions) {
            copy(from, &fresh.partition(index), &mut progress)?;
        }
        // What its end writes is to be durable too.
        drop(fresh);
        durable::sync_below(into).and_then(|()| durable::sync_above(into)).map_err(failed)?;
        tracing::info!(bytes = progress.copied, "the store was written anew");
        Ok(())
    }
}

/// About how many bytes a partition's runs take.
fn live(of: &Blocks) -> Result<u64, StoreError> {
    of.runs()?.into_iter().map(|run| of.size_of_run(run)).sum()
}

/// Its runs, then what names them.
fn copy(from: &Blocks, to: &Blocks, progress: &mut Progress) -> Result<(), StoreError> {
    let mut queue = Queue::new(to);
    for run in from.runs()? {
        for entry in from.of_run(run) {
            let (block, bytes) = entry?;
            progress.add(bytes.len());
            queue.put(run, block, bytes.to_vec())?;
        }
    }
    queue.end()?;
    from.names().try_for_each(|entry| {
        let (place, value) = entry?;
        to.put(0, place, &value)
    })
}

#[derive(Debug)]
struct Progress {
    copied: u64,
    live: u64,
    told: u64,
}

impl Progress {
    fn add(&mut self, bytes: usize) {
        self.copied += bytes as u64;
        if self.copied - self.told >= TELL_EVERY {
            self.told = self.copied;
            tracing::info!(bytes = self.copied, of = self.live, "the store is being written anew");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::disk::page::MAX_BYTES;

    /// Runs long and short, in two partitions, beside as much again and more that was dropped.
    fn sparse(dir: &Path) -> Database {
        let database = Database::open(&dir.join("store")).unwrap();
        for index in 0..2 {
            let blocks = database.partition(index);
            for run in 1..=8 {
                let mut queue = Queue::new(&blocks);
                let count = if run % 2 == 0 { 300 } else { 3 };
                for block in 0..count {
                    queue.put(run, block, vec![run as u8; MAX_BYTES - 40 * (block as usize % 9)]).unwrap();
                }
                queue.put(run, u32::MAX, vec![9; 30]).unwrap();
                queue.end().unwrap();
            }
            (3..=8).for_each(|run| blocks.drop_run(run).unwrap());
            blocks.set_root(b"a root").unwrap();
            blocks.set_snapshot(2, b"a snapshot").unwrap();
        }
        database
    }

    fn content(database: &Database) -> Vec<(u32, u32, Vec<u8>)> {
        let blocks = (0..2).flat_map(|index| {
            let of = database.partition(index);
            let runs: Vec<u32> = [0].into_iter().chain(of.runs().unwrap()).collect();
            let of_run =
                |run: u32| of.of_run(run).map(move |b| b.map(|(at, bytes)| (run, at, bytes.to_vec())));
            runs.into_iter().flat_map(of_run).collect::<Result<Vec<_>, _>>().unwrap()
        });
        blocks.collect()
    }

    #[test]
    fn what_lives_is_all_there_and_takes_less() {
        let dir = tempfile::tempdir().unwrap();
        let database = sparse(dir.path());
        let rewrite = Rewrite::if_sparse(&database, 2, 0).unwrap().unwrap();
        let live = database.live_bytes().unwrap();
        assert!(rewrite.live.abs_diff(live) * 20 < live, "reckoned {}, it is {live}", rewrite.live);
        let into = dir.path().join("store.new");
        std::fs::create_dir(&into).unwrap();
        std::fs::write(into.join("conf"), b"left by a start that was killed").unwrap();
        rewrite.run(&into).unwrap();
        let anew = Database::open(&into).unwrap();
        assert_eq!(content(&anew), content(&database));
        let (before, after) = (database.taken_bytes().unwrap(), anew.taken_bytes().unwrap());
        assert!(after < before / 2, "{after} of {before}");
        assert!(Rewrite::if_sparse(&anew, 2, 0).unwrap().is_none(), "once is enough: {live} live in {after}");
        assert!(Rewrite::if_sparse(&database, 2, before).unwrap().is_none(), "too small to be worth it");
    }

    #[test]
    fn with_a_block_that_is_not_there_nothing_is_whole() {
        let dir = tempfile::tempdir().unwrap();
        let database = sparse(dir.path());
        let rewrite = Rewrite::of(&database, 2).unwrap();
        database.partition(1).put(2, 7, &[]).unwrap();
        let damaged = rewrite.run(&dir.path().join("store.new"));
        assert_eq!(damaged, Err(StoreError::Damaged("run 2 lacks block 7".to_owned())));
    }
}
