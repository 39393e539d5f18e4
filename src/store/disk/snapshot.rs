//! Roots that are kept as they were: to go back to when the newest cannot be read, and to look at.
//!
//! | field | is |
//! |---|---|
//! | version (byte) | 1 |
//! | at (signed) | the partition's *now*, milliseconds |
//! | applied | frames of the ledger that are in |
//! | k | entries of the control log that were applied |
//! | entries, head (32 bytes) | of the audit chain: how many, and the hash of the last |
//! | run, length | the list that the root named, see [`super::root`] |
//!
//! Invariant: what a snapshot names is whole, is never dropped before it, and was synced to the disk before it was
//! named. Runs never change, so that a snapshot costs what was merged or dropped since, and its list; the run of the audit
//! log alone grows, and a list says how many of its bytes count. A copy outside sled is made only where a ledger is
//! truncated: see [`super::apart`].

use std::collections::BTreeSet;

use super::DiskStore;
use super::apart::Apart;
use super::blocks::{Blocks, StoreError};
use super::bytes::{Reader, Writer};
use super::root::List;
use crate::faults::{self, Point};

const VERSION: u8 = 1;
/// Places that a snapshot may lie in: a new one takes the older one's.
pub const PLACES: [u32; 2] = [1, 2];

/// What a partition was when its root was made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Snapshot {
    /// Frames of the ledger that are in: the offset to go on from.
    pub applied: u64,
    /// Its *now*, milliseconds.
    pub at: i64,
    /// Entries of the control log that it had applied.
    pub k: u64,
    /// Of its audit chain.
    pub entries: u64,
    /// The hash of the last of them.
    pub head: [u8; 32],
}

/// A snapshot with what may not be dropped because of it.
#[derive(Clone, Debug)]
pub struct Pinned {
    pub snapshot: Snapshot,
    pub place: u32,
    pub list: List,
    pub list_run: u32,
    runs: BTreeSet<u32>,
}

impl Pinned {
    /// Every snapshot there is, oldest first. One that cannot be read is none: a root is there, or the other.
    pub fn all(blocks: &Blocks) -> Result<Vec<Self>, StoreError> {
        let mut all = Vec::new();
        for place in PLACES {
            match Self::read(blocks, place) {
                Ok(found) => all.extend(found),
                Err(StoreError::Damaged(why)) => {
                    tracing::warn!(why, "a snapshot of the store cannot be read: it is given up");
                }
                Err(error) => return Err(error),
            }
        }
        // Of two with the same frames the later has the later list.
        all.sort_by_key(|pinned: &Self| (pinned.snapshot.applied, pinned.list_run));
        Ok(all)
    }

    fn read(blocks: &Blocks, place: u32) -> Result<Option<Self>, StoreError> {
        let Some(bytes) = blocks.snapshot(place)? else { return Ok(None) };
        let (snapshot, list_run, len) =
            decode(&bytes).ok_or_else(|| StoreError::Damaged("it is of another version".to_owned()))?;
        let list = List::decode(&blocks.get_long(list_run, 0, len)?)
            .ok_or_else(|| StoreError::Damaged("its list cannot be read".to_owned()))?;
        Ok(Some(Self::of(snapshot, place, list, list_run)))
    }

    fn of(snapshot: Snapshot, place: u32, list: List, list_run: u32) -> Self {
        let runs = list.runs().chain([list_run]).collect();
        Self { snapshot, place, list, list_run, runs }
    }

    /// The root as it is now; it is to take the place of the oldest of `known`, if there is no free one.
    pub fn of_root(blocks: &Blocks, snapshot: Snapshot, known: &[Self]) -> Result<Self, StoreError> {
        let root = List::read(blocks)?.filter(|(list, _)| list.applied == snapshot.applied);
        let (list, list_run) =
            root.ok_or_else(|| StoreError::Disk("the root is not the one to be kept".to_owned()))?;
        let taken = |place: &u32| known.iter().any(|pinned| pinned.place == *place);
        let free = PLACES.into_iter().find(|place| !taken(place));
        let place = free.or(known.first().map(|oldest| oldest.place)).unwrap_or(PLACES[0]);
        Ok(Self::of(snapshot, place, list, list_run))
    }

    /// The value that names it.
    pub fn encode(&self) -> Vec<u8> {
        encode(&self.snapshot, self.list_run, self.list.encode().len() as u64)
    }

    pub fn names(&self, run: u32) -> bool {
        self.runs.contains(&run)
    }

    pub fn runs(&self) -> impl Iterator<Item = u32> {
        self.runs.iter().copied()
    }
}

/// A snapshot that has no name yet: it is given one beside the store, whose owner does not wait for the disk.
#[derive(Debug)]
pub struct Naming {
    pub(super) blocks: Blocks,
    pub(super) pinned: Pinned,
}

impl Naming {
    /// Durable when this returns: it, and before it what it names.
    pub fn run(&self) -> Result<(), StoreError> {
        let bytes = self.pinned.encode();
        faults::pass(Point::BeforeSnapshot);
        self.blocks.set_snapshot(self.pinned.place, &bytes)?;
        faults::pass(Point::AfterSnapshot);
        Ok(())
    }

    pub fn snapshot(&self) -> Snapshot {
        self.pinned.snapshot
    }
}

impl DiskStore {
    /// Nothing that the root names is dropped from here on.
    pub(super) fn pin_root(&mut self, snapshot: Snapshot) -> Result<Naming, StoreError> {
        let pinned = Pinned::of_root(&self.blocks, snapshot, &self.snapshots)?;
        self.naming = Some(pinned.clone());
        Ok(Naming { blocks: self.blocks.clone(), pinned })
    }

    /// The newest snapshot, to be copied out of sled beside the store.
    pub(super) fn newest_apart(&self) -> Option<Apart> {
        let pinned = self.snapshots.last()?.clone();
        Some(Apart { blocks: self.blocks.clone(), pinned })
    }

    /// It has its name: what the one whose place it took named goes, unless something else names it.
    pub(super) fn take_up(&mut self, pinned: Pinned) -> Result<(), StoreError> {
        self.naming = None;
        let replaced = self.snapshots.iter().position(|known| known.place == pinned.place);
        let replaced = replaced.map(|at| self.snapshots.remove(at));
        self.snapshots.push(pinned);
        let root: BTreeSet<u32> = self.list.runs().chain([self.list_run]).collect();
        self.drop_runs(replaced.iter().flat_map(Pinned::runs).filter(|run| !root.contains(run)))
    }
}

fn encode(snapshot: &Snapshot, list_run: u32, len: u64) -> Vec<u8> {
    let mut out = Writer::default();
    out.byte(VERSION).signed(snapshot.at).number(snapshot.applied).number(snapshot.k);
    out.number(snapshot.entries).raw(&snapshot.head).number(u64::from(list_run)).number(len);
    out.0
}

fn decode(bytes: &[u8]) -> Option<(Snapshot, u32, u64)> {
    let mut reader = Reader(bytes);
    if reader.byte()? != VERSION {
        return None;
    }
    let (at, applied, k) = (reader.signed()?, reader.number()?, reader.number()?);
    let (entries, head) = (reader.number()?, reader.array()?);
    let read = (Snapshot { applied, at, k, entries, head }, reader.small()?, reader.number()?);
    reader.is_empty().then_some(read)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read_and_nothing_else() {
        let snapshot = Snapshot { applied: 300, at: -5, k: 7, entries: 1 << 40, head: [9; 32] };
        let bytes = encode(&snapshot, 77, 4_000);
        assert_eq!(decode(&bytes), Some((snapshot, 77, 4_000)));
        (0..bytes.len()).for_each(|end| assert_eq!(decode(&bytes[..end]), None));
        assert_eq!(decode(&[bytes.as_slice(), &[0]].concat()), None);
        assert_eq!(decode(&[&[VERSION + 1], &bytes[1..]].concat()), None);
    }
}
