//! A census from page headers: a page is read where its header is too wide to count by.
//!
//! Everything is counted by the facts that items were recorded by; those of whom more is told are then found, taken off
//! again and shown, subjects by subjects. Rejected: reading the pages to count what nothing more is told of, which costs
//! what is kept and not what was told.

use std::cell::RefCell;
use std::ops::ControlFlow;

use quietus_core::engine::Row;
use quietus_core::identity::{ItemId, ItemKey, SubjectKey};

use super::keyed::{KeyMap, KeySet};
use super::page::Group;
use super::row::{Family, Stored};
use super::sift::{OF_PERSON, Range};
use super::{DiskStore, StoreError, change};
use crate::store::census::{Census, Matters};

/// Rows folded at once.
const PIECE: usize = 1_024;

/// What the census calls each shape; None = each of its items is to be shown.
struct Numbers(Vec<Option<usize>>);

impl Numbers {
    fn of(&self, shape: u32) -> Result<Option<usize>, StoreError> {
        let known = usize::try_from(shape).ok().and_then(|at| self.0.get(at).copied());
        known.ok_or_else(|| StoreError::Damaged(format!("there is no shape {shape}")))
    }

    fn is_shown(&self, shape: u32) -> bool {
        self.of(shape).is_ok_and(|number| number.is_none())
    }
}

/// Items of which more matters than the fact that they were recorded by.
#[derive(Debug, Default)]
struct Told {
    items: KeySet<ItemId>,
    persons: KeySet<SubjectKey>,
    /// What the census calls those who said something of consent.
    consents: KeyMap<SubjectKey, usize>,
    /// What was told.
    rows: Vec<(Family, Stored)>,
}

impl Told {
    /// About so many facts come with them.
    fn facts(&self) -> u64 {
        (self.items.len() + self.persons.len().saturating_mul(OF_PERSON)) as u64
    }

    fn subjects(&self) -> KeySet<SubjectKey> {
        let of_items = self.items.iter().map(|id| id.subject);
        of_items.chain(self.persons.iter().copied()).chain(self.consents.keys().copied()).collect()
    }

    /// More is known of it than a person's consent.
    fn is_whole(&self, subject: SubjectKey, item: Option<ItemKey>) -> bool {
        let is_told = |item| self.items.contains(&ItemId { subject, item });
        !self.persons.is_empty() && self.persons.contains(&subject)
            || !self.items.is_empty() && item.is_some_and(is_told)
    }
}

impl DiskStore {
    pub(super) fn count(&self, census: &mut dyn Census) -> Result<(), StoreError> {
        let numbers = Numbers(self.shapes.iter().map(|shape| census.shape(shape)).collect());
        self.count_facts(&numbers, census)?;
        let of = self.told_parts(&numbers);
        (0..of).try_for_each(|n| self.correct(Range { n, of }, &numbers, census))
    }

    /// Counts every item by its fact.
    fn count_facts(&self, numbers: &Numbers, census: &mut dyn Census) -> Result<(), StoreError> {
        for (_, row) in self.memtable.iter().filter(|(family, _)| *family == Family::Facts) {
            if let Some(number) = numbers.of(row.shape)? {
                census.count(number, row.start.map(|at| (at, at)), 1);
            }
        }
        for (_, run) in self.runs().filter(|(family, _)| *family == Family::Facts) {
            for page in 0..run.pages() {
                let mut counted = Vec::new();
                for group in run.groups_of(page) {
                    counted.extend(numbers.of(group.shape)?.map(|number| (number, group)));
                }
                if counted.iter().all(|(number, group)| census.is_narrow(*number, group.starts)) {
                    for (number, group) in counted {
                        census.count(number, group.starts, i64::from(group.rows));
                    }
                    continue;
                }
                let counting = RefCell::new((&mut *census, Ok(())));
                run.filtered(&self.blocks, page, &|row| {
                    let (census, outcome) = &mut *counting.borrow_mut();
                    match numbers.of(row.shape) {
                        Ok(Some(number)) => census.count(number, row.start.map(|at| (at, at)), 1),
                        Ok(None) => {}
                        Err(error) => *outcome = Err(error),
                    }
                    false
                })?;
                counting.into_inner().1?;
            }
        }
        Ok(())
    }

    /// Into how many parts what is to be shown is cut: it is in memory at once. What is told of others is not known yet, and
    /// halves a part where it is much.
    fn told_parts(&self, numbers: &Numbers) -> u64 {
        let facts = self.runs().filter(|(family, _)| *family == Family::Facts);
        let shown = facts.map(|(_, run)| run.rows_where(&|group| numbers.is_shown(group.shape)));
        let rows = shown.sum::<u64>() + self.memtable.len() as u64;
        (rows / self.sizes.slice_rows.max(1) + 1).min(1 << 15)
    }

    /// Takes off those of whom more is told, and shows them instead.
    fn correct(&self, range: Range, numbers: &Numbers, census: &mut dyn Census) -> Result<(), StoreError> {
        census.forget_persons();
        let halves = range.halves();
        let room = if halves.is_some() { self.sizes.slice_rows / 2 } else { u64::MAX };
        let told = self.told(range, room, census)?.filter(|told| told.facts() <= room);
        let Some(mut told) = told else {
            return halves.into_iter().flatten().try_for_each(|half| self.correct(half, numbers, census));
        };
        let moved: Vec<bool> = numbers.0.iter().map(|n| n.is_some_and(|n| census.is_moved(n))).collect();
        let is_moved = |shape: u32| usize::try_from(shape).ok().and_then(|at| moved.get(at)) == Some(&true);
        // An item is looked up by its person.
        let persons = told.items.len() + told.persons.len() + told.consents.len();
        let few = self.look_up_cost(0, persons) < self.fact_pages();
        let pages = |group: &Group| {
            let is_whole = !told.items.is_empty() || !told.persons.is_empty();
            numbers.is_shown(group.shape) || !few && (is_whole || is_moved(group.shape))
        };
        let mut facts: Vec<Stored> = Vec::new();
        // True = it is to be shown.
        let mut meet = |subject, item, shape, start| {
            if numbers.is_shown(shape) || told.is_whole(subject, item) {
                return true;
            }
            if is_moved(shape)
                && let (Some(person), Ok(Some(number))) = (told.consents.get(&subject), numbers.of(shape))
            {
                census.consented(number, start, *person);
            }
            false
        };
        for (family, row) in self.memtable.iter() {
            let is_mine = *family == Family::Facts && range.holds(row.subject);
            if is_mine && meet(row.subject, row.item, row.shape, row.start) {
                facts.push(row.clone());
            }
        }
        if few {
            let mut found = Vec::new();
            for subject in told.subjects() {
                self.facts_of(subject, &|row| !numbers.is_shown(row.shape), &mut found)?;
            }
            let found = found.into_iter().map(|(_, row)| row);
            facts.extend(found.filter(|row| meet(row.subject, row.item, row.shape, row.start)));
        }
        let meet = RefCell::new(meet);
        for (_, run) in self.runs().filter(|(family, _)| *family == Family::Facts) {
            for page in run.pages_where(&pages) {
                facts.extend(run.filtered(&self.blocks, page, &|row| {
                    // The others were looked up.
                    let is_asked = !few || numbers.is_shown(row.shape);
                    is_asked
                        && range.holds(row.subject)
                        && (meet.borrow_mut())(row.subject, row.item, row.shape, row.start)
                })?);
            }
        }
        for row in &facts {
            if let Some(number) = numbers.of(row.shape)? {
                census.count(number, row.start.map(|at| (at, at)), -1);
            }
        }
        let shown: KeySet<SubjectKey> = facts.iter().map(|row| row.subject).collect();
        let mut rows = std::mem::take(&mut told.rows);
        rows.retain(|(_, row)| shown.contains(&row.subject));
        rows.extend(facts.into_iter().map(|row| (Family::Facts, row)));
        self.show(rows, census)
    }

    fn show(&self, mut rows: Vec<(Family, Stored)>, census: &mut dyn Census) -> Result<(), StoreError> {
        rows.sort_unstable_by_key(|(_, row)| (row.subject, row.seq));
        let mut rest = rows.as_slice();
        while let Some(last) = rest.get(PIECE.min(rest.len()).wrapping_sub(1)).map(|(_, row)| row.subject) {
            let end = rest.partition_point(|(_, row)| row.subject <= last);
            let (piece, later) = rest.split_at(end);
            self.fold(piece.to_vec())?.each_here(&mut |lives, subject| census.whole(lives, subject));
            rest = later;
        }
        Ok(())
    }

    /// None = there is more than this.
    fn told(&self, range: Range, room: u64, census: &mut dyn Census) -> Result<Option<Told>, StoreError> {
        let mut told = Told::default();
        let minds_touches = census.minds_touches();
        let wanted = |body: &[u8]| minds_touches || body.first() != Some(&change::TOUCHED);
        self.each_of(&[Family::Changes], range, &wanted, &mut |family, row| {
            if told.rows.len() as u64 > room {
                return Ok(ControlFlow::Break(()));
            }
            let read = row.row(family, &self.shapes);
            let matters =
                match read.ok_or_else(|| StoreError::Damaged("a change cannot be read".to_owned()))? {
                    // A second one of its item.
                    Row::Fact(_) => Matters::Item,
                    Row::Change(change) => {
                        let matters = census.matters(&change.what);
                        if matters == Matters::Consent {
                            let known = told.consents.get(&row.subject).copied();
                            told.consents.insert(row.subject, census.hear(known, &change.what));
                        }
                        matters
                    }
                    Row::Identity { .. } => Matters::Nothing,
                };
            match (matters, row.item) {
                (Matters::Nothing, _) => return Ok(ControlFlow::Continue(())),
                (Matters::Consent, _) => {}
                (Matters::Item, Some(item)) => {
                    told.items.insert(ItemId { subject: row.subject, item });
                }
                (Matters::Person, _) | (Matters::Item, None) => {
                    told.persons.insert(row.subject);
                }
            }
            told.rows.push((family, row));
            Ok(ControlFlow::Continue(()))
        })?;
        Ok(Some(told).filter(|told| told.rows.len() as u64 <= room))
    }
}
