//! What a pass over the items is shown: part by part in key order, each part's pages read once.
//!
//! A sweep asks by shape and start first: page headers in memory say which pages hold such rows, so that it costs
//! what is due and not what is kept. What changed since and may make an item due earlier is joined by one table a
//! part; such an item's rows are looked up one by one where they are few, else every page is read. Invariant: of an
//! item that is shown every row is shown, and of its subject all that every item needs ([`Due::needs_persons`]:
//! every item's rows).

use std::collections::BTreeMap;
use std::ops::ControlFlow;

use quietus_core::engine::{Due, Row, Sieve};
use quietus_core::identity::{ItemId, ItemKey, SubjectKey};
use quietus_core::policy::Bound;
use quietus_core::time::Millis;

use super::keyed::{KeyMap, KeySet};
use super::laid::LaidOut;
use super::page::{Group, PageRow};
use super::row::{Family, Stored};
use super::run::{Flow, Run};
use super::shapes::Shapes;
use super::{DiskStore, StoreError, change};
use crate::store::MemoryStore;

/// A person has about so many items.
pub(super) const OF_PERSON: usize = 8;
/// Parts are folded in so many pieces: folded rows take ten times the room, and what is decided of them is decided at
/// once. Larger ones leave the processor's cache, and their lists are memory that the system makes anew each time.
const PIECES: usize = 1_024;

/// One part's rows, a subject's together and in the order they were written; taken from the end.
#[derive(Debug, Default)]
pub struct Rows(Vec<(Family, Stored)>);

/// The subjects of one part: a range of the first bytes of their keys.
#[derive(Clone, Copy, Debug)]
pub(super) struct Range {
    pub n: u64,
    pub of: u64,
}

impl Range {
    pub fn holds(self, key: SubjectKey) -> bool {
        self.part(key) == self.n
    }

    /// Its two halves; None = it is too small for that.
    pub fn halves(self) -> Option<[Self; 2]> {
        let half = |n| Self { n: self.n * 2 + n, of: self.of * 2 };
        (self.of < 1 << 15).then(|| [half(0), half(1)])
    }

    fn part(self, key: SubjectKey) -> u64 {
        part_of(key, self.of)
    }
}

/// In which of so many parts a subject is.
pub fn part_of(SubjectKey([a, b, ..]): SubjectKey, of: u64) -> u64 {
    (u64::from(u16::from_be_bytes([a, b])) * of) >> 16
}

/// What of a part's facts is wanted beside what its bounds let through.
#[derive(Debug, Default)]
pub(super) struct Joined {
    items: KeySet<ItemId>,
    /// Purpose → persons for whom it ended.
    ended: BTreeMap<String, KeySet<SubjectKey>>,
}

impl Joined {
    /// Takes in whose duties may be taken back.
    pub fn stand(&mut self, due: &Due<'_>, range: Range) {
        self.items.extend(due.standing().filter(|id| range.holds(id.subject)));
    }

    pub fn items(&self) -> usize {
        self.items.len()
    }

    pub fn persons(&self) -> usize {
        self.ended.values().map(KeySet::len).sum()
    }

    pub fn subjects(&self) -> impl Iterator<Item = SubjectKey> {
        self.items.iter().map(|id| id.subject).chain(self.ended.values().flatten().copied())
    }

    /// Takes in what was told later.
    pub fn hear(
        &mut self,
        due: &Due<'_>,
        family: Family,
        row: &Stored,
        shapes: &Shapes,
    ) -> Result<(), StoreError> {
        let read = row.row(family, shapes);
        match read.ok_or_else(change::unreadable)? {
            // A second one of its item.
            Row::Fact(fact) => {
                self.items.insert(fact.id);
            }
            Row::Change(change) => {
                if let Some(id) = change.what.item().filter(|_| due.reopens(&change.what)) {
                    self.items.insert(id);
                }
                if let Some(purpose) = due.ends(&change.what) {
                    self.ended.entry(purpose.to_owned()).or_default().insert(row.subject);
                }
            }
            Row::Identity { .. } => {}
        }
        Ok(())
    }
}

/// A sweep's question, answered once for every shape.
#[derive(Debug)]
pub(super) struct Bounds(Vec<Bound>);

impl Bounds {
    fn of_shape(&self, shape: u32) -> Bound {
        // A shape nobody knows is looked at.
        usize::try_from(shape).ok().and_then(|n| self.0.get(n)).copied().unwrap_or(Bound::All)
    }

    pub fn lets_through(&self, shape: u32, start: Option<Millis>) -> bool {
        match self.of_shape(shape) {
            Bound::All => true,
            Bound::None => false,
            Bound::Recorded(last) => start.is_some_and(|start| start <= last),
        }
    }

    pub fn group(&self, group: &Group) -> bool {
        match self.of_shape(group.shape) {
            Bound::All => true,
            Bound::None => false,
            Bound::Recorded(last) => group.starts.is_some_and(|(first, _)| first <= last),
        }
    }
}

impl DiskStore {
    pub(super) fn bounds(&self, due: &Due<'_>) -> Bounds {
        Bounds(self.shapes.iter().map(|shape| due.bound(shape)).collect())
    }

    /// Into how many parts a pass is cut.
    pub(super) fn parts_of(&self, sieve: &Sieve<'_>) -> u64 {
        let bounds = match sieve {
            Sieve::Everything => None,
            Sieve::Due(due) => Some(self.bounds(due)),
        };
        let rows = |(family, run): (Family, &Run)| match (&bounds, family) {
            (Some(bounds), Family::Facts) => run.rows_where(&|group| bounds.group(group)),
            (Some(_), Family::Identities | Family::Duties | Family::Rests) | (_, Family::Resolved) => 0,
            (Some(_), Family::Changes) | (None, _) => run.rows,
        };
        let rows = self.runs().map(rows).sum::<u64>() + self.memtable.len() as u64 + self.resting();
        // Keys are hashes: equal ranges of them hold about equally many rows.
        (rows / self.sizes.slice_rows.max(1) + 1).min(1 << 16)
    }

    /// `also`: items that are shown whatever their shapes say.
    pub(super) fn rows_of(
        &self,
        sieve: &Sieve<'_>,
        also: &[ItemId],
        range: Range,
        laid: Option<&LaidOut>,
    ) -> Result<Rows, StoreError> {
        let laid = laid.filter(|laid| laid.serves(range, self.forgettings));
        let by = |laid| match sieve {
            Sieve::Everything => {
                let mut rows = self.of_families(&[Family::Changes, Family::Identities], range)?;
                self.facts(range, &|_| true, &|_| true, laid, &mut rows)?;
                Ok(rows)
            }
            Sieve::Due(due) => self.due(due, also, range, laid),
        };
        let mut rows = match (by(laid), laid) {
            (Err(StoreError::Disk(why)), Some(_)) => {
                tracing::warn!(why, "a part of a pass reads the pages");
                by(None)?
            }
            (rows, _) => rows?,
        };
        // A row is found by its bound and by its item.
        rows.sort_unstable_by_key(|(_, row)| (std::cmp::Reverse(row.subject), std::cmp::Reverse(row.seq)));
        rows.dedup_by_key(|(_, row)| row.seq);
        Ok(Rows(rows))
    }

    /// The next piece of a part, folded; None = there is no more.
    pub(super) fn piece(&self, rows: &mut Rows) -> Result<Option<MemoryStore>, StoreError> {
        let most = usize::try_from(self.sizes.slice_rows).unwrap_or(usize::MAX) / PIECES;
        let mut from = rows.0.len().saturating_sub(most.max(1));
        let subject = rows.0.get(from).map(|(_, row)| row.subject);
        while from > 0 && rows.0.get(from - 1).map(|(_, row)| row.subject) == subject {
            from -= 1;
        }
        let piece = rows.0.split_off(from);
        if piece.is_empty() { Ok(None) } else { self.fold(piece).map(Some) }
    }

    fn due(
        &self,
        due: &Due<'_>,
        also: &[ItemId],
        range: Range,
        laid: Option<&LaidOut>,
    ) -> Result<Vec<(Family, Stored)>, StoreError> {
        let bounds = self.bounds(due);
        let mut later = self.of_families(&[Family::Changes], range)?;
        let mut joined = Joined::default();
        later.iter().try_for_each(|(family, row)| joined.hear(due, *family, row, &self.shapes))?;
        joined.stand(due, range);
        // The items that lie there are not looked up.
        let has_asked = laid.is_some_and(LaidOut::has_asked);
        let (items, persons) = if has_asked { (0, 0) } else { (joined.items(), joined.persons()) };
        let few = self.look_up_cost(items + also.len(), persons) < self.fact_pages();
        let laid = laid.filter(|_| few);
        let looked_up: Vec<ItemId> = match has_asked && few {
            true => also.to_vec(),
            false => joined.items.iter().chain(also).copied().collect(),
        };
        joined.items.extend(also);
        let mut found = Vec::new();
        let pages = |group: &Group| !few || bounds.group(group);
        let purposes: Vec<Vec<&KeySet<SubjectKey>>> = self
            .shapes
            .iter()
            .map(|shape| {
                let of = joined.ended.iter().filter(|(purpose, _)| due.is_for(shape, purpose));
                of.map(|(_, subjects)| subjects).collect()
            })
            .collect();
        let ended = |row: &Stored| {
            let of_shape = usize::try_from(row.shape).ok().and_then(|n| purposes.get(n));
            of_shape.into_iter().flatten().any(|subjects| subjects.contains(&row.subject))
        };
        let wanted = |row: &Stored| {
            let id = row.item.map(|item| ItemId { subject: row.subject, item });
            bounds.lets_through(row.shape, row.start)
                || ended(row)
                || id.is_some_and(|id| joined.items.contains(&id))
        };
        self.facts(range, &pages, &wanted, laid, &mut found)?;
        if few {
            for id in looked_up {
                self.facts_of_item(id, &mut found)?;
            }
        }
        if few && !has_asked {
            for subject in joined.ended.values().flatten() {
                self.facts_of(*subject, &ended, &mut found)?;
            }
        }
        if due.needs_persons() {
            let persons: KeySet<SubjectKey> = found.iter().map(|(_, row)| row.subject).collect();
            found.clear();
            self.facts(range, &|_| true, &|row| persons.contains(&row.subject), laid, &mut found)?;
            later.retain(|(_, row)| persons.contains(&row.subject));
        } else {
            let mut shown: KeyMap<SubjectKey, Vec<Option<ItemKey>>> = KeyMap::default();
            found.iter().for_each(|(_, row)| shown.entry(row.subject).or_default().push(row.item));
            // What a subject was told of is every item's.
            let is_shown = |row: &Stored| {
                shown.get(&row.subject).is_some_and(|items| row.item.is_none() || items.contains(&row.item))
            };
            later.retain(|(_, row)| is_shown(row));
        }
        found.append(&mut later);
        Ok(found)
    }

    /// Rows of families that lie by subject.
    pub(super) fn of_families(
        &self,
        families: &[Family],
        range: Range,
    ) -> Result<Vec<(Family, Stored)>, StoreError> {
        let mut rows = Vec::new();
        self.each_of(families, range, &|_| true, &mut |family, row| {
            rows.push((family, row));
            Ok(ControlFlow::Continue(()))
        })?;
        Ok(rows)
    }

    /// The same, one by one until one is enough, and none whose body is not `wanted`.
    pub(super) fn each_of(
        &self,
        families: &[Family],
        range: Range,
        wanted: &dyn Fn(&[u8]) -> bool,
        visit: &mut dyn FnMut(Family, Stored) -> Flow,
    ) -> Result<(), StoreError> {
        self.each_met(families, range, &|_| true, &mut |family, row, body| match wanted(body) {
            true => visit(family, row.stored(body.to_vec())),
            false => Ok(ControlFlow::Continue(())),
        })
    }

    /// The same where they lie, each with its body; of runs that are to be `read`.
    pub(super) fn each_met(
        &self,
        families: &[Family],
        range: Range,
        read: &dyn Fn(&Run) -> bool,
        visit: &mut dyn FnMut(Family, &PageRow<'_>, &[u8]) -> Flow,
    ) -> Result<(), StoreError> {
        let mine = |(family, row): &&(Family, Stored)| families.contains(family) && range.holds(row.subject);
        for (family, row) in self.memtable.iter().filter(mine) {
            if visit(*family, &row.as_in_page(), &row.body)?.is_break() {
                return Ok(());
            }
        }
        let may_hold = |run: &Run| run.may_meet(&|key| range.part(key).cmp(&range.n));
        for (family, run) in self.runs_of(families).filter(|(_, run)| may_hold(run) && read(run)) {
            // From the page before the first that begins in the range.
            let mut page = run.first_page(&self.blocks, &|key| range.part(key) >= range.n)?;
            while page < run.pages() {
                // As its last row is.
                let mut beyond = false;
                let flow = run.visit(&self.blocks, page, &mut |row, body| {
                    let part = range.part(row.subject);
                    beyond = part > range.n;
                    if part == range.n { visit(family, row, body) } else { Ok(ControlFlow::Continue(())) }
                })?;
                if flow.is_break() {
                    return Ok(());
                }
                page = if beyond { run.pages() } else { page + 1 };
            }
        }
        Ok(())
    }

    /// Adds facts of the pages that some group lets through, or of what was laid out of them.
    pub(super) fn facts(
        &self,
        range: Range,
        pages: &dyn Fn(&Group) -> bool,
        wanted: &dyn Fn(&Stored) -> bool,
        laid: Option<&LaidOut>,
        rows: &mut Vec<(Family, Stored)>,
    ) -> Result<(), StoreError> {
        let mine = |(family, row): &&(Family, Stored)| {
            *family == Family::Facts && range.holds(row.subject) && wanted(row)
        };
        rows.extend(self.memtable.iter().filter(mine).cloned());
        if let Some(laid) = laid {
            return laid.each(range.n, &mut |row| {
                if wanted(&row) {
                    rows.push((Family::Facts, row));
                }
            });
        }
        for (family, run) in self.runs().filter(|(family, _)| *family == Family::Facts) {
            for page in run.pages_where(pages) {
                let found = run.page_of(&self.blocks, page, &|key| range.holds(key))?;
                rows.extend(found.into_iter().filter(|row| wanted(row)).map(|row| (family, row)));
            }
        }
        Ok(())
    }

    pub(super) fn facts_of(
        &self,
        subject: SubjectKey,
        wanted: &dyn Fn(&Stored) -> bool,
        rows: &mut Vec<(Family, Stored)>,
    ) -> Result<(), StoreError> {
        for (family, run) in self.runs().filter(|(family, _)| *family == Family::Facts) {
            let mut found: Vec<Stored> = Vec::new();
            run.of_subject(&self.blocks, subject, &mut found)?;
            rows.extend(found.into_iter().filter(|row| wanted(row)).map(|row| (family, row)));
        }
        Ok(())
    }

    pub(super) fn facts_of_item(
        &self,
        id: ItemId,
        rows: &mut Vec<(Family, Stored)>,
    ) -> Result<(), StoreError> {
        for (family, run) in self.runs().filter(|(family, _)| *family == Family::Facts) {
            let mut found: Vec<Stored> = Vec::new();
            run.of_item(&self.blocks, id.item, &mut found)?;
            let mine = found.into_iter().filter(|row| row.subject == id.subject);
            rows.extend(mine.map(|row| (family, row)));
        }
        Ok(())
    }

    /// What it costs to look up so many items, and all that so many persons have, in pages that are read in order: of an
    /// item a block of an index and a page, of a person a block of every run's index and a page for each item.
    pub(super) fn look_up_cost(&self, items: usize, persons: usize) -> usize {
        let runs = self.runs().filter(|(family, _)| *family == Family::Facts).count();
        look_up_cost(runs, self.sizes.apart, items, persons)
    }

    pub(super) fn fact_pages(&self) -> usize {
        self.runs().filter(|(family, _)| *family == Family::Facts).map(|(_, run)| run.pages()).sum()
    }
}

/// [`DiskStore::look_up_cost`] where there are so many runs, and a page apart costs as much as so many in order.
pub(super) fn look_up_cost(runs: usize, apart: usize, items: usize, persons: usize) -> usize {
    let pages = items.saturating_mul(2).saturating_add(persons.saturating_mul(runs + OF_PERSON));
    pages.saturating_mul(apart)
}
