//! What leaves memory for the disk: runs first, then the list that names them, then the root.
//!
//! Invariant: until the root names it, nothing that is written here counts; a number is taken once, also by what failed.

use std::borrow::Cow;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use quietus_core::record::EVENTS_REMEMBERED;

use super::blocks::StoreError;
use super::group::Group;
use super::queue::Queue;
use super::row::{Family, Stored};
use super::run::RunWriter;
use super::{DiskStore, log};
use crate::store::Unkept;

impl DiskStore {
    /// Everything but the root; answers the runs that the next root has no use for.
    pub(super) fn write_out(&mut self, applied: u64, beside: Unkept<'_>) -> Result<Vec<u32>, StoreError> {
        if self.shapes.len() > self.shapes_kept {
            let bytes = self.shapes.write(self.shapes_kept);
            self.list.shapes.push(self.put_long(&bytes)?);
        }
        let forgotten = self.memtable.iter().filter(|(family, row)| row.is_forgotten(*family));
        self.list.forgotten = forgotten.map(|(_, row)| row.seq).max().unwrap_or(0).max(self.list.forgotten);
        for family in Family::ROWS {
            let groups = self.put_run(family, self.memtable.sorted(family).map(Cow::Borrowed))?;
            self.groups.extend(groups);
        }
        let (mut duties, spilled) = (beside.duties, std::mem::take(&mut self.spilled));
        self.groups.extend(spilled);
        let groups = self.put_duties(&mut *duties)?;
        self.groups.extend(groups);

        let mut unused: Vec<u32> = self.list.state.into_iter().map(|(run, _)| run).collect();
        self.list.state = Some(self.put_long(&beside.state)?);
        if self.list.entries.0 == 0 {
            self.list.entries.0 = self.take_number();
        }
        let (run, len) = self.list.entries;
        self.list.entries.1 = log::append(&self.blocks, run, len, &beside.entries)?;
        if !beside.events.is_empty() {
            let bytes: Vec<u8> = beside.events.iter().flat_map(|id| id.to_le_bytes()).collect();
            self.list.events.push(self.put_long(&bytes)?);
        }
        unused.extend(self.forget_events());
        self.list.applied = applied;
        Ok(unused)
    }

    /// Rows in order, as groups of one run each.
    fn put_run<'a>(
        &'a self,
        family: Family,
        rows: impl Iterator<Item = Cow<'a, Stored>>,
    ) -> Result<Vec<Group>, StoreError> {
        let mut runs = Runs::new(self, family);
        rows.into_iter().try_for_each(|row| runs.push(row))?;
        runs.finish()
    }

    fn put_long(&self, bytes: &[u8]) -> Result<(u32, u64), StoreError> {
        let run = self.take_number();
        let mut queue = Queue::new(&self.blocks);
        queue.put_long(run, 0, bytes)?;
        queue.end()?;
        Ok((run, bytes.len() as u64))
    }

    /// The oldest hashes go as soon as enough are left without them.
    pub(super) fn forget_events(&mut self) -> Vec<u32> {
        let mut left = self.list.events.iter().map(|(_, len)| len / 8).sum::<u64>();
        let spare = self.list.events.iter().take_while(|(_, len)| {
            left -= len / 8;
            left >= EVENTS_REMEMBERED as u64
        });
        let spare = spare.count();
        self.list.events.drain(..spare).map(|(run, _)| run).collect()
    }

    /// Lets the root name what is there now.
    pub(super) fn commit(&mut self) -> Result<(), StoreError> {
        let run = self.take_number();
        self.name(run)?;
        let old = std::mem::replace(&mut self.list_run, run);
        self.drop_runs((old != 0).then_some(old))
    }

    /// Writes the list as this run, and the root that names it.
    pub(super) fn name(&mut self, run: u32) -> Result<(), StoreError> {
        self.list.next_run = self.numbers.load(Ordering::Relaxed);
        self.list.groups =
            self.groups.iter().map(|group| group.runs.iter().map(|run| run.number).collect()).collect();
        self.list.commit(&self.blocks, run)
    }

    pub(super) fn take_number(&self) -> u32 {
        self.numbers.fetch_add(1, Ordering::Relaxed)
    }
}

/// Rows of one family as they come, in order: as many runs as they need, each a group of its own.
pub(super) struct Runs<'a> {
    store: &'a DiskStore,
    family: Family,
    writer: RunWriter<'a>,
    groups: Vec<Group>,
}

impl<'a> Runs<'a> {
    pub fn new(store: &'a DiskStore, family: Family) -> Self {
        let writer = RunWriter::new(&store.blocks, store.take_number(), family);
        Self { store, family, writer, groups: Vec::new() }
    }

    pub fn push(&mut self, row: Cow<'a, Stored>) -> Result<(), StoreError> {
        if self.writer.is_full() {
            let next = self.writer.successor(self.store.take_number());
            self.end(next)?;
        }
        self.writer.push(row)
    }

    pub fn finish(mut self) -> Result<Vec<Group>, StoreError> {
        let none = self.writer.successor(0);
        self.end(none)?;
        Ok(self.groups)
    }

    fn end(&mut self, next: RunWriter<'a>) -> Result<(), StoreError> {
        let (family, level) = (self.family, 0);
        let run = std::mem::replace(&mut self.writer, next).finish(level)?;
        self.groups.extend(run.map(|run| Group { family, level, runs: vec![Arc::new(run)] }));
        Ok(())
    }
}
