//! Many sorted groups into one: page by page, so that memory does not grow with the rows. Or all there are, without what
//! was forgotten: then it grows with that. What persons have is joined in the same way, beside the store.

use std::borrow::Cow;
use std::collections::BinaryHeap;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use super::apart::{MARGIN, room};
use super::blocks::{Blocks, StoreError};
use super::forgotten::Forgotten;
use super::group::Group;
use super::resolved::Resolving;
use super::row::{Family, Stored};
use super::run::{Run, RunWriter};
use crate::faults::{self, Point};

/// At most so many rows in a run: a larger merge writes several, one after the other in their order.
pub const MAX_RUN_ROWS: u64 = 512 * 1024;

/// Groups to be merged, each family's into one: run beside the store, which goes on with the groups as they are.
#[derive(Debug)]
pub struct Merge {
    pub(super) blocks: Blocks,
    pub(super) groups: Vec<Group>,
    pub(super) work: Work,
    pub(super) run_rows: u64,
    pub(super) numbers: Arc<AtomicU32>,
    /// Runs that it has begun: nothing names them if it fails.
    pub(super) begun: Mutex<Vec<u32>>,
}

/// What takes the place of the groups.
#[derive(Debug)]
pub(super) enum Work {
    /// Each family's rows in one.
    Merging,
    /// The same of all there are, without what was forgotten up to this row.
    Forgetting(u64),
    /// What persons have, joined anew.
    Resolving(Resolving),
}

/// What came of a [`Merge`].
#[derive(Debug)]
pub struct Merged(pub(super) Vec<Group>);

impl Merge {
    pub fn run(&self) -> Result<Merged, StoreError> {
        let forgotten = match &self.work {
            Work::Merging => None,
            Work::Forgetting(_) => {
                self.has_room()?;
                Some(Forgotten::of(&self.blocks, self.groups.iter())?)
            }
            Work::Resolving(resolving) => return self.resolved(resolving),
        };
        let mut merged = Vec::new();
        for family in Family::ALL {
            let groups = self.groups.iter().filter(|group| group.family == family);
            let groups: Vec<&Group> = groups.collect();
            if !groups.is_empty() {
                let group = self.merged(family, &groups, forgotten.as_ref())?;
                merged.extend(Some(group).filter(|group| !group.runs.is_empty()));
                if forgotten.is_some() {
                    faults::pass(Point::AmidForgetting);
                }
            }
        }
        Ok(Merged(merged))
    }

    fn merged(
        &self,
        family: Family,
        groups: &[&Group],
        forgotten: Option<&Forgotten>,
    ) -> Result<Group, StoreError> {
        let level = groups.iter().map(|g| g.level).max().unwrap_or_default().saturating_add(1);
        let mut cursors: Vec<Cursor<'_>> = groups.iter().map(|g| Cursor::new(&self.blocks, g)).collect();
        let mut heads = BinaryHeap::new();
        for (n, cursor) in cursors.iter_mut().enumerate() {
            heads.extend(cursor.next()?.map(|row| Head(row, n)));
        }
        let mut out = Group { family, level, runs: Vec::new() };
        let mut writer = RunWriter::new(&self.blocks, self.number(), family);
        let mut held: Option<Stored> = None;
        let stays = |row: &Stored| forgotten.is_none_or(|forgotten| forgotten.leaves(row, family));
        while let Some(Head(row, n)) = heads.pop() {
            if let Some(cursor) = cursors.get_mut(n) {
                heads.extend(cursor.next()?.map(|row| Head(row, n)));
            }
            // Rows of a key come oldest first.
            let before = held.take().filter(|old| !old.is_superseded_by(&row, family));
            if let Some(before) = before.filter(stays) {
                self.push(&mut out, &mut writer, before)?;
            }
            held = Some(row);
        }
        if let Some(last) = held.filter(stays) {
            self.push(&mut out, &mut writer, last)?;
        }
        out.runs.extend(writer.finish(level)?.map(Arc::new));
        Ok(out)
    }

    fn resolved(&self, resolving: &Resolving) -> Result<Merged, StoreError> {
        let mut out = Group { family: Family::Resolved, level: 0, runs: Vec::new() };
        let mut writer = RunWriter::new(&self.blocks, self.number(), out.family);
        resolving.each(&self.blocks, &mut |row| self.push(&mut out, &mut writer, row))?;
        out.runs.extend(writer.finish(out.level)?.map(Arc::new));
        Ok(Merged(Some(out).filter(|group| !group.runs.is_empty()).into_iter().collect()))
    }

    fn push<'a>(
        &'a self,
        out: &mut Group,
        writer: &mut RunWriter<'a>,
        row: Stored,
    ) -> Result<(), StoreError> {
        if writer.rows() >= self.run_rows || writer.is_full() {
            let next = writer.successor(self.number());
            let full = std::mem::replace(writer, next);
            out.runs.extend(full.finish(out.level)?.map(Arc::new));
        }
        writer.push(Cow::Owned(row))
    }

    /// All there is lies there twice for a while: of snapshots as long as there are such.
    fn has_room(&self) -> Result<(), StoreError> {
        let dir = self.blocks.dir();
        let runs = self.groups.iter().flat_map(|group| &group.runs);
        let sizes = runs.map(|run| self.blocks.size_of_run(run.number));
        let needed = sizes.sum::<Result<u64, StoreError>>()?.saturating_add(MARGIN);
        let free = room(dir).map_err(|cause| StoreError::Disk(format!("{}: {cause}", dir.display())))?;
        if free < needed {
            let what = format!(
                "letting go what was forgotten needs {needed} bytes of free disk, there are {free}: make room, it is tried again"
            );
            return Err(StoreError::Disk(what));
        }
        Ok(())
    }

    /// Runs that nothing names, where it failed.
    pub(super) fn left(&self) -> Vec<u32> {
        std::mem::take(&mut *self.begun.lock().unwrap_or_else(PoisonError::into_inner))
    }

    fn number(&self) -> u32 {
        let number = self.numbers.fetch_add(1, Ordering::Relaxed);
        self.begun.lock().unwrap_or_else(PoisonError::into_inner).push(number);
        number
    }
}

/// The heap's greatest is the row that comes first.
struct Head(Stored, usize);

impl PartialEq for Head {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other).is_eq()
    }
}

impl Eq for Head {}

impl PartialOrd for Head {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Head {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        other.0.order(&self.0).then(other.1.cmp(&self.1))
    }
}

/// Walks a group's rows in order, one page in memory.
struct Cursor<'a> {
    blocks: &'a Blocks,
    runs: std::slice::Iter<'a, Arc<Run>>,
    run: Option<&'a Arc<Run>>,
    page: usize,
    rows: std::vec::IntoIter<Stored>,
}

impl<'a> Cursor<'a> {
    fn new(blocks: &'a Blocks, group: &'a Group) -> Self {
        let mut runs = group.runs.iter();
        let run = runs.next();
        Self { blocks, runs, run, page: 0, rows: Vec::new().into_iter() }
    }

    fn next(&mut self) -> Result<Option<Stored>, StoreError> {
        loop {
            if let Some(row) = self.rows.next() {
                return Ok(Some(row));
            }
            let Some(run) = self.run else { return Ok(None) };
            if self.page == run.pages() {
                self.run = self.runs.next();
                self.page = 0;
            } else {
                self.rows = run.page(self.blocks, self.page)?.into_iter();
                self.page += 1;
            }
        }
    }
}
