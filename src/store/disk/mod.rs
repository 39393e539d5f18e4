//! The store on disk: a memtable in front of sorted runs of pages.
//!
//! Rows are appended blindly and folded when read. Every look-up gathers the rows it concerns, puts them in the order
//! they were written and asks the store in memory what they add up to: so the two cannot disagree. Invariant: a row is
//! in the memtable or in exactly one run that the root names, whatever was flushed or merged, and after any crash.

mod alive;
mod answers;
mod apart;
mod blocks;
mod bytes;
mod census;
mod change;
pub mod decode;
mod directory;
mod duties;
mod flush;
mod forgotten;
mod group;
mod index;
mod joined;
mod keyed;
mod laid;
mod log;
mod memtable;
mod merge;
mod opening;
mod order;
mod page;
mod queue;
mod reach;
mod resolved;
mod rewrite;
mod root;
mod row;
mod run;
mod shapes;
mod sift;
#[cfg(test)]
mod sift_tests;
mod snapshot;
#[cfg(test)]
mod tests;
mod told;

use std::collections::BTreeSet;
use std::convert::Infallible;
use std::sync::atomic::{AtomicBool, AtomicU32};
use std::sync::{Arc, Mutex};

use quietus_core::engine::{Found, Needs, Row, Sieve};
use quietus_core::identity::{ItemId, ShownItem, SubjectKey};
use quietus_core::item::Subject;
use quietus_core::life::Lives;

pub use apart::{Apart, Copies};
pub use blocks::{Database, StoreError};
pub(crate) use keyed::{KeyMap, KeySet};
pub use laid::{LaidOut, Laying};
use merge::Work;
pub use merge::{Merge, Merged};
pub use rewrite::{REWRITE_ABOVE, Rewrite};
pub use sift::{Rows, part_of};
pub use snapshot::{Naming, Snapshot};

use super::census::Census;
use super::memory::MemoryStore;
use super::{Beside, DutyRow, Part, Store, Unkept};
use crate::faults::{self, Point};
use blocks::Blocks;
use group::Group;
use memtable::Memtable;
use root::List;
use row::{Family, Stored};
use shapes::Shapes;
use sift::Range;
use snapshot::Pinned;

/// When to flush and to merge; tests choose small ones.
#[derive(Clone, Copy, Debug)]
pub struct Sizes {
    /// Rows in memory before a flush.
    pub flush_rows: usize,
    /// Frames that came since the last flush, and so are read again at a start, before the next one.
    pub flush_frames: u64,
    /// Groups of a level that are merged into one.
    pub fan_in: usize,
    pub run_rows: u64,
    /// Rows read at a time when many items are looked at.
    pub slice_rows: u64,
    /// A pass of so many parts reads pages once for all of them.
    pub laid_from: u64,
    /// A page that is looked up costs as much as so many that are read in order.
    pub apart: usize,
    /// Duties in memory from which on those at rest leave it.
    pub duties_held: usize,
}

impl Default for Sizes {
    fn default() -> Self {
        Self {
            flush_rows: 64 * 1024,
            // Four hours of nothing but ticks.
            flush_frames: 16 * 1024,
            fan_in: 8,
            run_rows: merge::MAX_RUN_ROWS,
            slice_rows: 256 * 1024,
            laid_from: 16,
            apart: 2,
            duties_held: 16 * 1024,
        }
    }
}

/// One partition's rows, and what lies beside them.
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
    /// …and frames that are in before it.
    flush_after: u64,
    groups: Vec<Group>,
    /// Duties that no root names yet.
    spilled: Vec<Group>,
    /// The next run's number; numbers below are taken.
    numbers: Arc<AtomicU32>,
    merging: bool,
    /// …what persons have is being joined.
    resolving: bool,
    /// Runs that a pass is laid out from beside the store.
    read_beside: BTreeSet<u32>,
    /// How often what was forgotten was let go since it was opened.
    forgettings: u64,
    list: List,
    /// The run that the list itself lies in.
    list_run: u32,
    /// Oldest first: what they name is not dropped.
    snapshots: Vec<Pinned>,
    /// One that is being named, or whose naming failed: it may have its name or not.
    naming: Option<Pinned>,
    /// What was forgotten could not be let go: tried again after the next flush.
    forgets_later: bool,
    /// A plan had to read what a join would have told it.
    wants_resolved: AtomicBool,
    /// Its root was a snapshot when it was opened.
    went_back: bool,
    /// It shows a snapshot, and is never flushed: the root is another's.
    looks_back: bool,
}

impl DiskStore {
    /// What the last root names beside the rows; None = there is no root.
    pub fn beside(&self) -> Result<Option<Beside>, StoreError> {
        let Some((run, len)) = self.list.state else { return Ok(None) };
        let (entries, of_entries) = self.list.entries;
        let mut events = Vec::new();
        for (run, len) in &self.list.events {
            let bytes = self.blocks.get_long(*run, 0, *len)?;
            events
                .extend(bytes.chunks_exact(8).filter_map(|id| Some(u64::from_le_bytes(*id.first_chunk()?))));
        }
        Ok(Some(Beside {
            state: self.blocks.get_long(run, 0, len)?,
            entries: log::read(&self.blocks, entries, of_entries)?,
            events,
        }))
    }

    /// What was read, or the end of this process: with rows that it cannot read it would answer wrongly or erase what
    /// it must not. Where the disk gave back something else than was put there, a start goes back to a
    /// snapshot or builds the store anew.
    fn certain<T>(&self, read: Result<T, StoreError>) -> T {
        read.unwrap_or_else(|error| {
            tracing::error!(%error, "the store cannot be read: this node ends here");
            if let StoreError::Damaged(_) = error
                && let Err(error) = self.distrust()
            {
                tracing::error!(%error, "the damaged root stays: the next start will come upon it again");
            }
            std::process::exit(3)
        })
    }

    fn merge(&mut self, groups: Vec<Group>, work: Work) -> Merge {
        self.merging = true;
        let (blocks, run_rows) = (self.blocks.clone(), self.sizes.run_rows);
        let numbers = Arc::clone(&self.numbers);
        Merge { blocks, groups, work, run_rows, numbers, begun: Mutex::default() }
    }

    fn forgets(&self) -> bool {
        self.list.forgotten > 0 && !self.forgets_later
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
}

impl Store for DiskStore {
    fn put(&mut self, row: &Row) {
        let (family, stored) = Stored::of(self.list.next_seq, row, &mut self.shapes);
        self.list.next_seq += 1;
        self.memtable.push(family, stored);
    }

    fn kept(&self) -> Option<u64> {
        Some(self.list.applied)
    }

    fn is_full(&self, beside: usize, applied: u64) -> bool {
        !self.looks_back && (self.memtable.len() + beside >= self.flush_at || applied >= self.flush_after)
    }

    fn flush(&mut self, applied: u64, beside: Unkept<'_>) -> Result<(), StoreError> {
        let (groups, list, spilled) = (self.groups.len(), self.list.clone(), self.spilled.clone());
        let flushed = self.write_out(applied, beside).and_then(|unused| {
            faults::pass(Point::BeforeRoot);
            self.commit()?;
            faults::pass(Point::AfterRoot);
            self.drop_runs(unused)
        });
        match flushed {
            Ok(()) => {
                self.forgets_later = false;
                self.shapes_kept = self.shapes.len();
                self.memtable.clear();
                self.flush_at = self.sizes.flush_rows;
                self.flush_after = applied + self.sizes.flush_frames;
            }
            // Nothing names what was half written; the rows are in memory still, and tried again when there are more.
            Err(_) => {
                self.groups.truncate(groups);
                (self.list, self.spilled) = (list, spilled);
                self.flush_at = self.memtable.len() + self.sizes.flush_rows / 8 + 1;
                self.flush_after = applied + self.sizes.flush_frames / 8 + 1;
            }
        }
        flushed
    }

    fn spill(
        &mut self,
        duties: &mut dyn Iterator<Item = Result<DutyRow, StoreError>>,
    ) -> Result<(), StoreError> {
        self.put_apart(duties)
    }

    fn spill_at(&self) -> usize {
        // What it shows lies in another's database.
        if self.looks_back { usize::MAX } else { self.sizes.flush_rows / 4 + 1 }
    }

    fn duty(&self, id: [u8; 16]) -> Option<DutyRow> {
        self.certain(self.resting_duty(id))
    }

    fn duties_of(&self, subject: SubjectKey) -> Vec<DutyRow> {
        self.certain(self.resting_of(subject))
    }

    fn duties_held(&self) -> usize {
        self.sizes.duties_held
    }

    fn unreadable(&self, what: &str) -> ! {
        match self.certain(Err::<Infallible, _>(StoreError::Damaged(format!("{what} cannot be read")))) {}
    }

    fn duty_parts(&self) -> u64 {
        self.resting_parts()
    }

    fn duties_in(&self, n: u64, of: u64) -> Vec<DutyRow> {
        self.certain(self.resting_in(n, of))
    }

    fn is_crowded(&self) -> bool {
        !self.merging && (self.crowded().is_some() || self.forgets())
    }

    fn is_merging(&self) -> bool {
        self.merging
    }

    fn wants_resolved(&self) -> bool {
        !self.merging && self.wants_resolved()
    }

    fn begin_resolving(&mut self) -> Option<Merge> {
        if !Store::wants_resolved(self) {
            return None;
        }
        let old = self.groups.iter().filter(|group| group.family == Family::Resolved).cloned().collect();
        self.resolving = true;
        let work = Work::Resolving(self.to_resolve());
        Some(self.merge(old, work))
    }

    fn begin_merge(&mut self) -> Option<Merge> {
        if self.merging {
            return None;
        }
        let (groups, work) = match self.crowded() {
            Some(groups) => (groups, Work::Merging),
            None if self.forgets() => (self.groups.clone(), Work::Forgetting(self.list.forgotten)),
            None => return None,
        };
        Some(self.merge(groups, work))
    }

    fn end_merge(&mut self, merge: Merge, merged: Result<Merged, StoreError>) -> Result<(), StoreError> {
        (self.merging, self.resolving) = (false, false);
        let Merged(groups) = match merged {
            Ok(merged) => merged,
            Err(error) => {
                self.forgets_later |= matches!(merge.work, Work::Forgetting(_));
                self.drop_runs(merge.left())?;
                return Err(error);
            }
        };
        let old: BTreeSet<u32> = merge.groups.iter().flat_map(|g| &g.runs).map(|run| run.number).collect();
        let before = (self.groups.clone(), self.list.clone());
        self.groups.retain(|g| !g.runs.iter().any(|run| old.contains(&run.number)));
        self.groups.extend(groups);
        let (before_root, after_root) = match merge.work {
            Work::Merging | Work::Resolving(_) => (Point::BeforeMerged, Point::AfterMerged),
            Work::Forgetting(upto) => {
                self.forgettings += 1;
                if upto == self.list.forgotten {
                    self.list.forgotten = 0;
                }
                (Point::BeforeForgotten, Point::AfterForgotten)
            }
        };
        faults::pass(before_root);
        if let Err(error) = self.commit() {
            // What was there is there still; nothing names the merged runs.
            (self.groups, self.list) = before;
            return Err(error);
        }
        faults::pass(after_root);
        self.drop_runs(old)
    }

    fn snapshots(&self) -> Vec<Snapshot> {
        self.snapshots.iter().map(|pinned| pinned.snapshot).collect()
    }

    fn begin_snapshot(&mut self, snapshot: Snapshot) -> Result<Option<Naming>, StoreError> {
        self.pin_root(snapshot).map(Some)
    }

    fn end_snapshot(&mut self, naming: Naming, named: Result<(), StoreError>) -> Result<(), StoreError> {
        named.and_then(|()| self.take_up(naming.pinned))
    }

    fn newest_apart(&self) -> Option<Apart> {
        self.newest_apart()
    }

    fn look_back(&self, snapshot: &Snapshot) -> Result<Option<DiskStore>, StoreError> {
        self.as_of(snapshot).map(Some)
    }

    fn alive_parts(&self) -> u64 {
        self.parts_alive()
    }

    fn alive_in(&self, n: u64, of: u64) -> u64 {
        self.certain(self.count_alive(Range { n, of }))
    }

    fn census(&self, census: &mut dyn Census) {
        self.certain(self.count(census));
    }

    fn fetch(&self, needs: &Needs) -> Found {
        self.certain(self.found(needs))
    }

    fn lives(&self, id: ItemId) -> Option<Lives> {
        self.certain(self.item(id.item)).lives(id)
    }

    fn shown(&self, shown: ShownItem) -> Option<ItemId> {
        self.certain(self.item(shown.item)).shown(shown)
    }

    fn items_of(&self, subject: SubjectKey) -> Vec<ItemId> {
        self.certain(self.person(subject)).items_of(subject)
    }

    fn subject(&self, key: SubjectKey) -> Option<Subject> {
        self.certain(self.person(key)).subject(key)
    }

    fn identity(&self, key: SubjectKey) -> Option<Vec<u8>> {
        self.certain(self.person(key)).identity(key)
    }

    fn parts(&self, sieve: &Sieve<'_>) -> u64 {
        self.parts_of(sieve)
    }

    fn lays_out(&self, of: u64) -> bool {
        self.lays_out(of)
    }

    fn begin_laying(&mut self, sieve: &Sieve<'_>, of: u64) -> Option<Laying> {
        self.laying(sieve, of)
    }

    fn ask_for(&self, sieve: &Sieve<'_>, n: u64, laying: &mut Laying) {
        self.certain(self.ask_for(sieve, n, laying));
    }

    fn end_laying(&mut self) -> Result<(), StoreError> {
        self.stop_laying()
    }

    fn part(&self, sieve: &Sieve<'_>, also: &[ItemId], (n, of): (u64, u64), laid: Option<&LaidOut>) -> Part {
        Part::Rows(self.certain(self.rows_of(sieve, also, Range { n, of }, laid)))
    }

    fn next(&self, part: &mut Part) -> Option<MemoryStore> {
        match part {
            Part::Rows(rows) => self.certain(self.piece(rows)),
            Part::Whole(whole) => whole.take(),
        }
    }
}
