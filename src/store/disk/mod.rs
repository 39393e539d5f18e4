//! The store on disk: a memtable in front of sorted runs of pages.
//!
//! Rows are appended blindly and folded when read. Every look-up gathers the rows it concerns, puts them in the order
//! they were written and asks the store in memory what they add up to: so the two cannot disagree. Invariant: a row is
//! in the memtable or in exactly one run that the root names, whatever was flushed or merged, and after any crash.

mod answers;
mod blocks;
mod bytes;
mod change;
pub mod decode;
mod group;
mod index;
mod memtable;
mod merge;
mod page;
mod root;
mod row;
mod run;
mod shapes;
#[cfg(test)]
mod tests;

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use quietus_core::engine::{Found, Needs, Row};
use quietus_core::identity::{ItemId, ShownItem, SubjectKey};
use quietus_core::item::Subject;
use quietus_core::life::Lives;

pub use blocks::{Database, StoreError};
pub use merge::{Merge, Merged};

use super::Store;
use super::memory::MemoryStore;
use blocks::Blocks;
use group::Group;
use memtable::Memtable;
use root::List;
use row::{Family, Stored};
use run::RunWriter;
use shapes::Shapes;

/// When to flush and to merge; tests choose small ones.
#[derive(Clone, Copy, Debug)]
pub struct Sizes {
    /// Rows in memory before a flush.
    pub flush_rows: usize,
    /// Groups of a level that are merged into one.
    pub fan_in: usize,
    pub run_rows: u64,
    /// Rows folded at a time when everything is looked at.
    pub slice_rows: u64,
}

impl Default for Sizes {
    fn default() -> Self {
        Self { flush_rows: 64 * 1024, fan_in: 8, run_rows: merge::MAX_RUN_ROWS, slice_rows: 128 * 1024 }
    }
}

/// One partition's rows.
#[derive(Debug)]
pub struct DiskStore {
    blocks: Blocks,
    sizes: Sizes,
    shapes: Shapes,
    /// So many of them are on the disk.
    shapes_kept: usize,
    memtable: Memtable,
    /// Rows in memory before the next flush: more than usual after one that failed.
    flush_at: usize,
    groups: Vec<Group>,
    /// The next run's number; numbers below are taken.
    numbers: Arc<AtomicU32>,
    merging: bool,
    list: List,
    /// The run that the list itself lies in.
    list_run: u32,
}

impl DiskStore {
    /// Opens what the last root names, and removes what it does not name.
    pub fn open(database: &Database, partition: u32, sizes: Sizes) -> Result<Self, StoreError> {
        let blocks = database.partition(partition);
        let (list, list_run) = List::read(&blocks)?.unwrap_or((List { next_run: 1, ..List::default() }, 0));
        let live: Vec<u32> = list.runs().chain([list_run]).collect();
        for run in blocks.runs()?.into_iter().filter(|run| !live.contains(run)) {
            blocks.drop_run(run)?;
        }
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
            memtable: Memtable::default(),
            flush_at: sizes.flush_rows,
            groups,
            numbers: Arc::new(AtomicU32::new(list.next_run)),
            merging: false,
            list,
            list_run,
        })
    }

    /// Frames of the ledger whose rows survive a crash.
    pub fn applied(&self) -> u64 {
        self.list.applied
    }

    /// Brings the memtable to disk.
    pub fn flush(&mut self, applied: u64) -> Result<(), StoreError> {
        let (before, shapes) = (self.groups.len(), self.list.shapes.len());
        let flushed = self.write_out(applied);
        match flushed {
            Ok(()) => {
                self.shapes_kept = self.shapes.len();
                self.memtable.clear();
                self.flush_at = self.sizes.flush_rows;
            }
            // Nothing names what was half written; the rows are in memory still, and tried again when there are more.
            Err(_) => {
                self.groups.truncate(before);
                self.list.shapes.truncate(shapes);
                self.flush_at = self.memtable.len() + self.sizes.flush_rows / 8 + 1;
            }
        }
        flushed
    }

    fn write_out(&mut self, applied: u64) -> Result<(), StoreError> {
        if self.shapes.len() > self.shapes_kept {
            let bytes = self.shapes.write(self.shapes_kept);
            let run = self.take_number();
            self.blocks.put_long(run, 0, &bytes)?;
            self.list.shapes.push((run, bytes.len() as u64));
        }
        for family in Family::ALL {
            let mut writer = RunWriter::new(&self.blocks, self.take_number(), family);
            for row in self.memtable.sorted(family) {
                writer.push(row)?;
            }
            if let Some(run) = writer.finish(0)? {
                self.groups.push(Group { family, level: 0, runs: vec![Arc::new(run)] });
            }
        }
        self.list.applied = applied;
        self.commit()
    }

    /// The groups of a level that has too many.
    fn crowded(&self) -> Option<Vec<Group>> {
        let mut levels: Vec<(u8, Family)> =
            self.groups.iter().map(|group| (group.level, group.family)).collect();
        levels.sort_unstable();
        let mut levels = levels.chunk_by(|a, b| a == b);
        let (level, family) = *levels.find(|same| same.len() >= self.sizes.fan_in)?.first()?;
        let mine = self.groups.iter().filter(|group| group.family == family && group.level == level);
        Some(mine.take(self.sizes.fan_in).cloned().collect())
    }

    /// Lets the root name what is there now.
    fn commit(&mut self) -> Result<(), StoreError> {
        let run = self.take_number();
        self.list.next_run = self.numbers.load(Ordering::Relaxed);
        self.list.groups =
            self.groups.iter().map(|group| group.runs.iter().map(|run| run.number).collect()).collect();
        self.list.commit(&self.blocks, run)?;
        let old = std::mem::replace(&mut self.list_run, run);
        if old != 0 {
            self.blocks.drop_run(old)?;
        }
        Ok(())
    }

    fn take_number(&self) -> u32 {
        self.numbers.fetch_add(1, Ordering::Relaxed)
    }
}

impl Store for DiskStore {
    fn write(&mut self, rows: &[Row]) {
        for row in rows {
            let (family, stored) = Stored::of(self.list.next_seq, row, &mut self.shapes);
            self.list.next_seq += 1;
            self.memtable.push(family, stored);
        }
    }

    fn settle(&mut self, applied: u64) -> Result<(), StoreError> {
        if self.memtable.len() < self.flush_at { Ok(()) } else { self.flush(applied) }
    }

    fn begin_merge(&mut self) -> Option<Merge> {
        let groups = self.crowded().filter(|_| !self.merging)?;
        let family = groups.first()?.family;
        self.merging = true;
        let (blocks, run_rows) = (self.blocks.clone(), self.sizes.run_rows);
        Some(Merge { blocks, family, groups, run_rows, numbers: Arc::clone(&self.numbers) })
    }

    fn end_merge(&mut self, merge: Merge, merged: Result<Merged, StoreError>) -> Result<(), StoreError> {
        self.merging = false;
        let Merged(group) = merged?;
        let old: BTreeSet<u32> = merge.groups.iter().flat_map(|g| &g.runs).map(|run| run.number).collect();
        let before = self.groups.clone();
        self.groups.retain(|g| !g.runs.iter().any(|run| old.contains(&run.number)));
        self.groups.push(group);
        if let Err(error) = self.commit() {
            // What was there is there still; nothing names the merged runs.
            self.groups = before;
            return Err(error);
        }
        old.into_iter().try_for_each(|run| self.blocks.drop_run(run))
    }

    fn fetch(&self, needs: &Needs) -> Found {
        certain(self.found(needs))
    }

    fn lives(&self, id: ItemId) -> Option<Lives> {
        certain(self.item(id.item)).lives(id)
    }

    fn shown(&self, shown: ShownItem) -> Option<ItemId> {
        certain(self.item(shown.item)).shown(shown)
    }

    fn items_of(&self, subject: SubjectKey) -> Vec<ItemId> {
        certain(self.person(subject)).items_of(subject)
    }

    fn subject(&self, key: SubjectKey) -> Option<Subject> {
        certain(self.person(key)).subject(key)
    }

    fn identity(&self, key: SubjectKey) -> Option<Vec<u8>> {
        certain(self.person(key)).identity(key)
    }

    fn slices(&self, visit: &mut dyn FnMut(&MemoryStore)) {
        certain(self.cut(visit));
    }
}

/// What was read, or the end of this process: with rows that it cannot read it would answer wrongly or erase what it
/// must not. A start builds the store anew from the ledger.
fn certain<T>(read: Result<T, StoreError>) -> T {
    read.unwrap_or_else(|error| {
        tracing::error!(%error, "the store cannot be read: this node ends here");
        std::process::exit(3)
    })
}
