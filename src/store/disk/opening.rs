//! Opening a partition's store: at its root, at a snapshot when there is no root, or as it was at one.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};

use quietus_core::engine::Sieve;

use super::blocks::{Blocks, Database, StoreError};
use super::group::Group;
use super::memtable::Memtable;
use super::root::List;
use super::shapes::Shapes;
use super::sift::Range;
use super::snapshot::{Pinned, Snapshot};
use super::{DiskStore, Sizes};

impl DiskStore {
    /// Opens what the last root names, and removes what neither it nor a snapshot names. Where the root cannot be read,
    /// or was found to name what cannot, it goes back to a snapshot: what came after that is in the ledger.
    pub fn open(database: &Database, partition: u32, sizes: Sizes) -> Result<Self, StoreError> {
        let blocks = database.partition(partition);
        let snapshots = Pinned::all(&blocks)?;
        let root = List::read(&blocks).and_then(|root| match root {
            Some((list, run)) => Self::load(&blocks, sizes, list, run),
            None => Self::load(&blocks, sizes, List { next_run: 1, ..List::default() }, 0),
        });
        let store = match root {
            Ok(store) if snapshots.is_empty() || (store.list_run != 0 && !blocks.is_suspect()?) => {
                Self { snapshots, ..store }
            }
            Ok(store) if !snapshots.is_empty() => {
                let back = Self::go_back(&blocks, sizes, snapshots.clone());
                back.or_else(|error| Self::believed(store, snapshots).ok_or(error))?
            }
            Err(StoreError::Damaged(_)) if !snapshots.is_empty() => Self::go_back(&blocks, sizes, snapshots)?,
            Ok(_) => return Err(StoreError::Damaged("it has no root".to_owned())),
            Err(error) => return Err(error),
        };
        let root: Vec<u32> = store.list.runs().chain([store.list_run]).collect();
        let there = blocks.runs()?;
        // A number is given once: what a power cut brings back of a run must not be taken for another's.
        let beyond = there.last().map_or(1, |last| last.saturating_add(1));
        store.numbers.fetch_max(beyond, Ordering::Relaxed);
        store.drop_runs(there.into_iter().filter(|run| !root.contains(run)))?;
        Ok(store)
    }

    /// The newest snapshot that can be read, as the root. Until one was found nothing is given up.
    fn go_back(blocks: &Blocks, sizes: Sizes, mut snapshots: Vec<Pinned>) -> Result<Self, StoreError> {
        let mut damaged = Vec::new();
        while let Some(newest) = snapshots.last() {
            match Self::of_pinned(blocks, sizes, newest) {
                Ok(store) => {
                    store.list.commit(blocks, newest.list_run)?;
                    damaged.into_iter().try_for_each(|place| blocks.remove_snapshot(place))?;
                    blocks.trust()?;
                    tracing::warn!(frames = store.list.applied, "the store goes back to a snapshot");
                    return Ok(Self { snapshots, went_back: true, ..store });
                }
                Err(StoreError::Damaged(why)) => {
                    tracing::warn!(why, "a snapshot of the store cannot be read");
                    damaged.extend(snapshots.pop().map(|pinned| pinned.place));
                }
                Err(error) => return Err(error),
            }
        }
        Err(StoreError::Damaged("neither its root nor a snapshot of it can be read".to_owned()))
    }

    /// What a snapshot names, all of it read.
    pub(super) fn of_pinned(blocks: &Blocks, sizes: Sizes, pinned: &Pinned) -> Result<Self, StoreError> {
        pinned.runs().try_for_each(|run| blocks.read_run(run))?;
        let store = Self::load(blocks, sizes, pinned.list.clone(), pinned.list_run)?;
        store.read_named()?;
        Ok(store)
    }

    /// A root under suspicion, where no snapshot can be gone back to: what was come upon may not have been its own.
    fn believed(root: Self, snapshots: Vec<Pinned>) -> Option<Self> {
        let blocks = &root.blocks;
        let whole = root.list_run != 0
            && root.list.runs().try_for_each(|run| blocks.read_run(run)).is_ok()
            && root.read_named().is_ok();
        (whole && blocks.trust().is_ok()).then_some(Self { snapshots, ..root })
    }

    /// Whether there is anything to go on from, read or not: a root or a snapshot.
    pub fn is_there(database: &Database, partition: u32) -> Result<bool, StoreError> {
        let blocks = database.partition(partition);
        let has_root = !matches!(List::read(&blocks), Ok(None));
        Ok(has_root || !Pinned::all(&blocks)?.is_empty())
    }

    /// What this list names.
    fn load(blocks: &Blocks, sizes: Sizes, list: List, list_run: u32) -> Result<Self, StoreError> {
        let blocks = blocks.clone();
        let mut shapes = Shapes::default();
        for (run, len) in &list.shapes {
            let bytes = blocks.get_long(*run, 0, *len)?;
            shapes.read(&bytes).ok_or_else(|| StoreError::Damaged(format!("run {run} holds no shapes")))?;
        }
        let mut groups = Vec::new();
        for numbers in &list.groups {
            groups.extend(Group::open(&blocks, numbers)?);
        }
        Ok(Self {
            blocks,
            sizes,
            shapes_kept: shapes.len(),
            shapes,
            memtable: Memtable::with_room(sizes.flush_rows),
            flush_at: sizes.flush_rows,
            flush_after: list.applied + sizes.flush_frames,
            groups,
            spilled: Vec::new(),
            numbers: Arc::new(AtomicU32::new(list.next_run)),
            merging: false,
            resolving: false,
            read_beside: BTreeSet::new(),
            forgettings: 0,
            list,
            list_run,
            snapshots: Vec::new(),
            naming: None,
            forgets_later: false,
            wants_resolved: AtomicBool::new(false),
            went_back: false,
            looks_back: false,
        })
    }

    /// What it was at a snapshot, to be read and written to in memory.
    pub(super) fn as_of(&self, snapshot: &Snapshot) -> Result<Self, StoreError> {
        let pinned = self.snapshots.iter().find(|pinned| pinned.snapshot == *snapshot);
        let gone = || StoreError::Disk("the snapshot is not kept any more".to_owned());
        let Pinned { list, list_run, .. } = pinned.ok_or_else(gone)?;
        let store = Self::load(&self.blocks, self.sizes, list.clone(), *list_run)?;
        Ok(Self { looks_back: true, ..store })
    }

    /// It was opened at a snapshot, for its root could not be read.
    pub fn went_back(&self) -> bool {
        self.went_back
    }

    /// Every block and every row once: an error is what a look-up would come upon some day.
    pub fn read_all(&self) -> Result<(), StoreError> {
        self.blocks.read_all()?;
        self.read_named()
    }

    /// What the root names, once.
    fn read_named(&self) -> Result<(), StoreError> {
        self.beside()?;
        self.each_duty(&mut |_| Ok::<_, StoreError>(()))?;
        self.read_joined()?;
        let everything = Sieve::Everything;
        let of = self.parts_of(&everything);
        for n in 0..of {
            let mut rows = self.rows_of(&everything, &[], Range { n, of }, None)?;
            while self.piece(&mut rows)?.is_some() {}
        }
        Ok(())
    }

    /// Drops those that no snapshot names.
    pub(super) fn drop_runs(&self, runs: impl IntoIterator<Item = u32>) -> Result<(), StoreError> {
        let named = |run: &u32| self.snapshots.iter().chain(&self.naming).any(|pinned| pinned.names(*run));
        let is_read = |run: &u32| self.read_beside.contains(run);
        runs.into_iter()
            .filter(|run| !named(run) && !is_read(run))
            .try_for_each(|run| self.blocks.drop_run(run))
    }

    /// A ledger that was truncated cannot give back what a root names: with a snapshot the root stays, under suspicion.
    /// What was come upon in a snapshot says nothing about the root.
    pub(super) fn distrust(&self) -> Result<(), StoreError> {
        match (self.looks_back, self.snapshots.is_empty()) {
            (true, _) => Ok(()),
            (false, true) => self.blocks.remove_root(),
            (false, false) => self.blocks.suspect(),
        }
    }
}
