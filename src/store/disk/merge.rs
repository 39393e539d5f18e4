//! Many sorted groups into one: page by page, so that memory does not grow with the rows.

use std::borrow::Cow;
use std::collections::BinaryHeap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use super::blocks::{Blocks, StoreError};
use super::group::Group;
use super::row::{Family, Stored};
use super::run::{Run, RunWriter};

/// At most so many rows in a run: a larger merge writes several, one after the other in their order.
pub const MAX_RUN_ROWS: u64 = 512 * 1024;

/// Groups to be merged into one: run beside the store, which goes on with the groups as they are.
#[derive(Debug)]
pub struct Merge {
    pub(super) blocks: Blocks,
    pub(super) family: Family,
    pub(super) groups: Vec<Group>,
    pub(super) run_rows: u64,
    pub(super) numbers: Arc<AtomicU32>,
}

/// What came of a [`Merge`].
#[derive(Debug)]
pub struct Merged(pub(super) Group);

impl Merge {
    pub fn run(&self) -> Result<Merged, StoreError> {
        let family = self.family;
        let level = self.groups.iter().map(|g| g.level).max().unwrap_or_default().saturating_add(1);
        let mut cursors: Vec<Cursor<'_>> = self.groups.iter().map(|g| Cursor::new(&self.blocks, g)).collect();
        let mut heads = BinaryHeap::new();
        for (n, cursor) in cursors.iter_mut().enumerate() {
            heads.extend(cursor.next()?.map(|row| Head(row, n)));
        }
        let mut out = Group { family, level, runs: Vec::new() };
        let mut writer = RunWriter::new(&self.blocks, self.number(), family);
        let mut held: Option<Stored> = None;
        while let Some(Head(row, n)) = heads.pop() {
            if let Some(cursor) = cursors.get_mut(n) {
                heads.extend(cursor.next()?.map(|row| Head(row, n)));
            }
            // Rows of a key come oldest first.
            if let Some(before) = held.take().filter(|old| !old.is_superseded_by(&row, family)) {
                self.push(&mut out, &mut writer, before)?;
            }
            held = Some(row);
        }
        if let Some(last) = held {
            self.push(&mut out, &mut writer, last)?;
        }
        out.runs.extend(writer.finish(level)?.map(Arc::new));
        Ok(Merged(out))
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

    fn number(&self) -> u32 {
        self.numbers.fetch_add(1, Ordering::Relaxed)
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
