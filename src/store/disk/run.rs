//! A run: sorted rows in pages, with a directory and two indexes; written once, read until it is merged away.

use std::borrow::Cow;
use std::cmp::Ordering;
use std::ops::ControlFlow;

use quietus_core::identity::{ItemKey, SubjectKey};

use super::blocks::{Blocks, StoreError};
use super::bytes::{Reader, Writer};
use super::directory::Directory;
use super::index::{Collected, Index};
use super::page::{self, Body, Builder, Group, PageRow};
use super::queue::Queue;
use super::reach::Reach;
use super::row::{Family, Stored};

/// More would make a page's number in the index longer.
pub const MAX_PAGES: usize = 60_000;
/// The header's block.
const HEADER: u32 = u32::MAX;

/// Whether who is shown rows has seen enough.
pub(super) type Flow = Result<ControlFlow<()>, StoreError>;

/// One run, as much of it as is in memory.
#[derive(Debug)]
pub struct Run {
    pub number: u32,
    pub family: Family,
    /// How often its rows were merged.
    pub level: u8,
    pub rows: u64,
    /// None = one from before it was kept.
    reach: Option<Reach>,
    directory: Directory,
    items: Index,
    subjects: Index,
}

/// Writes a run from rows that come in order.
#[derive(Debug)]
pub struct RunWriter<'a> {
    blocks: &'a Blocks,
    queue: Queue<'a>,
    number: u32,
    family: Family,
    next: u32,
    rows: u64,
    reach: Reach,
    page: Builder<'a>,
    directory: Directory,
    items: Collected,
    subjects: Collected,
}

impl<'a> RunWriter<'a> {
    pub fn new(blocks: &'a Blocks, number: u32, family: Family) -> Self {
        Self {
            blocks,
            queue: Queue::new(blocks),
            number,
            family,
            next: 0,
            rows: 0,
            reach: Reach::NONE,
            page: Builder::new(family),
            directory: Directory::default(),
            items: Collected::default(),
            subjects: Collected::default(),
        }
    }

    /// An empty one for the rows that come after.
    pub fn successor(&self, number: u32) -> Self {
        Self::new(self.blocks, number, self.family)
    }

    pub fn rows(&self) -> u64 {
        self.rows
    }

    pub fn is_full(&self) -> bool {
        self.directory.len() >= MAX_PAGES
    }

    pub fn push(&mut self, row: Cow<'a, Stored>) -> Result<(), StoreError> {
        if !self.page.has_room(&row) {
            self.end_page()?;
        }
        let far = if Builder::is_far(&row) {
            let block = self.next;
            self.next += self.queue.put_long(self.number, block, &row.body)?;
            Some((row.body.len() as u64, block))
        } else {
            None
        };
        let page = u16::try_from(self.directory.len()).unwrap_or(u16::MAX);
        // They are read in order.
        if self.family != Family::Resolved {
            self.subjects.push(&row.subject.0, page);
        }
        if let Some(item) = &row.item {
            self.items.push(&item.0, page);
        }
        self.rows += 1;
        self.reach = self.reach.and(&row);
        self.page.push(row, far);
        Ok(())
    }

    fn end_page(&mut self) -> Result<(), StoreError> {
        if !self.page.is_empty() {
            let (bytes, groups) = self.page.finish();
            self.queue.put(self.number, self.next, bytes)?;
            self.directory.push(self.next, groups);
            self.next += 1;
        }
        Ok(())
    }

    /// Writes directory, indexes and header; None = there was no row.
    pub fn finish(mut self, level: u8) -> Result<Option<Run>, StoreError> {
        self.end_page()?;
        if self.rows == 0 {
            return Ok(None);
        }
        let directory = self.directory.encode();
        let mut header = Writer::default();
        header.byte(self.family.byte()).byte(level).number(self.rows);
        header.number(directory.len() as u64).number(u64::from(self.next));
        self.next += self.queue.put_long(self.number, self.next, &directory)?;
        let (items, count) = self.items.write(&mut self.queue, self.number, self.next)?;
        header.number(u64::from(self.next)).number(u64::from(count));
        self.next += count;
        let (subjects, count) = self.subjects.write(&mut self.queue, self.number, self.next)?;
        header.number(u64::from(self.next)).number(u64::from(count));
        self.reach.write(&mut header);
        self.queue.put(self.number, HEADER, header.0)?;
        self.queue.end()?;
        let (number, family, rows, directory) = (self.number, self.family, self.rows, self.directory.close());
        Ok(Some(Run { number, family, level, rows, reach: Some(self.reach), directory, items, subjects }))
    }
}

impl Run {
    pub fn open(blocks: &Blocks, number: u32) -> Result<Self, StoreError> {
        let damaged = || StoreError::Damaged(format!("run {number} has no readable header"));
        let header = blocks.get(number, HEADER)?;
        let mut reader = Reader(&header);
        let family = reader.byte().and_then(Family::of_byte).ok_or_else(damaged)?;
        let level = reader.byte().ok_or_else(damaged)?;
        let rows = reader.number().ok_or_else(damaged)?;
        let len = reader.number().ok_or_else(damaged)?;
        let at = reader.small().ok_or_else(damaged)?;
        let bytes = blocks.get_long(number, at, len)?;
        let directory = Directory::decode(&bytes).ok_or_else(damaged)?;
        let mut index = || -> Result<Index, StoreError> {
            let (first, count) = (reader.small().ok_or_else(damaged)?, reader.small().ok_or_else(damaged)?);
            Index::open(blocks, number, first, count)
        };
        let (items, subjects) = (index()?, index()?);
        Ok(Self { number, family, level, rows, reach: Reach::read(&mut reader), directory, items, subjects })
    }

    pub fn pages(&self) -> usize {
        self.directory.len()
    }

    /// True for some that it does not hold.
    pub fn may_hold(&self, item: ItemKey) -> bool {
        self.items.may_hold(&item.0)
    }

    /// Its last number is this at least. One of which that is not known is older than anything that is asked about.
    pub fn reaches(&self, seq: u64) -> bool {
        self.reach.is_some_and(|reach| reach.reaches(seq))
    }

    /// Every change is of consent, or of a touch where `touches`, and has a lower number than this.
    pub fn tells_of_consent_alone(&self, touches: bool, below: u64) -> bool {
        self.reach.is_some_and(|reach| !reach.reaches(below) && reach.is_of_consent(touches))
    }

    /// Some subject of its rows may be among those that are equal in this order of keys.
    pub fn may_meet(&self, order: &dyn Fn(SubjectKey) -> Ordering) -> bool {
        self.reach.is_none_or(|reach| reach.may_meet(order))
    }

    /// Rows of the groups that are let through.
    pub fn rows_where(&self, group: &dyn Fn(&Group) -> bool) -> u64 {
        self.directory.groups().filter(|g| group(g)).map(|g| u64::from(g.rows)).sum()
    }

    /// Pages with a group that is let through.
    pub fn pages_where(&self, group: &dyn Fn(&Group) -> bool) -> impl Iterator<Item = usize> {
        (0..self.pages()).filter(move |page| self.groups_of(*page).any(|g| group(&g)))
    }

    /// Of a run that lies by subject: the page where subjects `at_least` begin.
    pub fn first_page(
        &self,
        blocks: &Blocks,
        at_least: &dyn Fn(SubjectKey) -> bool,
    ) -> Result<usize, StoreError> {
        let (mut low, mut high) = (0, self.pages());
        while low < high {
            let middle = low.midpoint(high);
            let first = self.page(blocks, middle)?.first().map(|row| row.subject);
            if first.is_some_and(at_least) { high = middle } else { low = middle + 1 }
        }
        // The page before it may end with them.
        Ok(low.saturating_sub(1))
    }

    /// Rows of one page, in order.
    pub fn page(&self, blocks: &Blocks, page: usize) -> Result<Vec<Stored>, StoreError> {
        self.filtered(blocks, page, &mut |_| true)
    }

    /// Those of subjects that `wanted` lets through.
    pub fn page_of(
        &self,
        blocks: &Blocks,
        page: usize,
        wanted: &dyn Fn(SubjectKey) -> bool,
    ) -> Result<Vec<Stored>, StoreError> {
        self.filtered(blocks, page, &mut |row| wanted(row.subject))
    }

    /// What the page's header says.
    pub fn groups_of(&self, page: usize) -> impl Iterator<Item = Group> + Clone {
        self.directory.groups_of(page)
    }

    /// Adds every row of a subject.
    pub fn of_subject(
        &self,
        blocks: &Blocks,
        key: SubjectKey,
        rows: &mut Vec<Stored>,
    ) -> Result<(), StoreError> {
        self.find(blocks, &self.subjects, &key.0, rows, &mut |row| row.subject == key)
    }

    /// Adds those that name no item, and those of these items.
    pub fn of_subject_about(
        &self,
        blocks: &Blocks,
        key: SubjectKey,
        items: &[ItemKey],
        rows: &mut Vec<Stored>,
    ) -> Result<(), StoreError> {
        self.find(blocks, &self.subjects, &key.0, rows, &mut |row| {
            row.subject == key && row.item.is_none_or(|item| items.contains(&item))
        })
    }

    /// Adds every row of an item, whoever its subject is.
    pub fn of_item(&self, blocks: &Blocks, key: ItemKey, rows: &mut Vec<Stored>) -> Result<(), StoreError> {
        self.find(blocks, &self.items, &key.0, rows, &mut |row| row.item == Some(key))
    }

    fn find(
        &self,
        blocks: &Blocks,
        index: &Index,
        key: &[u8; 16],
        rows: &mut Vec<Stored>,
        wanted: &mut dyn FnMut(&PageRow<'_>) -> bool,
    ) -> Result<(), StoreError> {
        let mut pages = Vec::new();
        index.pages(blocks, key, &mut pages)?;
        for page in pages {
            rows.extend(self.filtered(blocks, usize::from(page), wanted)?);
        }
        Ok(())
    }

    /// Those rows of a page that `wanted` lets through; it is shown every one.
    pub(super) fn filtered(
        &self,
        blocks: &Blocks,
        page: usize,
        wanted: &mut dyn FnMut(&PageRow<'_>) -> bool,
    ) -> Result<Vec<Stored>, StoreError> {
        let damaged = || StoreError::Damaged(format!("run {} has no readable page {page}", self.number));
        let block = self.directory.block(page).ok_or_else(damaged)?;
        let bytes = blocks.get(self.number, block)?;
        let rows = page::read(&bytes, self.family, &mut |row| wanted(row)).ok_or_else(damaged)?;
        rows.into_iter().map(|row| self.stored(blocks, &row)).collect()
    }

    /// Shows the rows of a page with their bodies, wherever these lie, until one is enough.
    pub(super) fn visit(
        &self,
        blocks: &Blocks,
        page: usize,
        visit: &mut dyn FnMut(&PageRow<'_>, &[u8]) -> Flow,
    ) -> Flow {
        let mut outcome = Ok(ControlFlow::Continue(()));
        self.filtered(blocks, page, &mut |row| {
            if let Ok(ControlFlow::Continue(())) = outcome {
                outcome = match row.body {
                    Body::Here(body) => visit(row, body),
                    Body::Far { len, block } => {
                        blocks.get_long(self.number, block, len).and_then(|body| visit(row, &body))
                    }
                };
            }
            false
        })?;
        outcome
    }

    fn stored(&self, blocks: &Blocks, row: &PageRow<'_>) -> Result<Stored, StoreError> {
        let body = match row.body {
            Body::Here(bytes) => bytes.to_vec(),
            Body::Far { len, block } => blocks.get_long(self.number, block, len)?,
        };
        Ok(row.stored(body))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::Database;
    use crate::store::disk::change;

    /// What a plan skips says nothing but what was joined.
    #[test]
    fn a_run_says_whether_its_changes_are_of_consent_alone() {
        let dir = tempfile::tempdir().unwrap();
        let database = Database::open(dir.path()).unwrap();
        let blocks = database.partition(0);
        let written = |number: u32, kinds: &[u8]| {
            let mut writer = RunWriter::new(&blocks, number, Family::Changes);
            for (seq, kind) in (10..).zip(kinds) {
                let (subject, body) = (SubjectKey([1; 16]), vec![*kind, 7]);
                let row = Stored { seq, subject, item: None, shape: 0, start: None, body };
                writer.push(Cow::Owned(row)).unwrap();
            }
            writer.finish(0).unwrap().unwrap();
            // As it is read again.
            Run::open(&blocks, number).unwrap()
        };
        let touched = change::TOUCHED;
        let consents = [change::GRANTED, change::WITHDRAWN, change::ENDED];
        let asks = [(false, 12), (true, 12), (false, 13), (true, 13)];
        let says = |run: &Run| asks.map(|(touches, below)| run.tells_of_consent_alone(touches, below));
        assert_eq!(says(&written(1, &consents)), [false, false, true, true]);
        assert_eq!(says(&written(2, &[touched, touched, change::ENDED])), [false, false, false, true]);
        assert_eq!(says(&written(3, &[touched, touched, touched])), [false, false, false, true]);
        assert_eq!(says(&written(4, &[change::ENDED, change::FORGOTTEN, touched])), [false; 4]);
        assert_eq!(says(&written(5, &[change::FACT, change::ENDED, change::ENDED])), [false; 4]);
        // One from before it was kept: its header ends sooner.
        let header = blocks.get(1, HEADER).unwrap();
        blocks.put(1, HEADER, header.split_last().unwrap().1).unwrap();
        assert_eq!(says(&Run::open(&blocks, 1).unwrap()), [false; 4]);
    }
}
