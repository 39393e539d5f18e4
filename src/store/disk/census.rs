//! A census from page headers: a page is read where its header is too wide to count by.
//!
//! Everything is counted by the facts that items were recorded by; those of whom more is told are then found, taken off
//! again and shown, subjects by subjects. Rejected: reading the pages to count what nothing more is told of, which costs
//! what is kept and not what was told.

use std::cell::RefCell;
use std::collections::BTreeMap;

use quietus_core::engine::Row;
use quietus_core::identity::{ItemId, ItemKey, SubjectKey};

use super::keyed::KeySet;
use super::page::Group;
use super::row::{Family, Stored};
use super::sift::Range;
use super::{DiskStore, StoreError};
use crate::store::census::{Census, Matters};

/// A look-up costs as much as so many pages read in order.
const PROBE: usize = 4;
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
    /// By the purpose of the shapes that it concerns; None = every shape.
    persons: BTreeMap<Option<String>, KeySet<SubjectKey>>,
    /// What was told of them.
    rows: Vec<(Family, Stored)>,
}

impl Told {
    fn len(&self) -> usize {
        self.items.len() + self.persons.values().map(KeySet::len).sum::<usize>()
    }

    fn subjects(&self) -> KeySet<SubjectKey> {
        let of_items = self.items.iter().map(|id| id.subject);
        of_items.chain(self.persons.values().flatten().copied()).collect()
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
            for (page, groups) in run.groups() {
                let mut counted = Vec::with_capacity(groups.len());
                for group in groups {
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

    /// Into how many parts what is shown is cut: its rows are in memory at once.
    fn told_parts(&self, numbers: &Numbers) -> u64 {
        let rows = |(family, run): (Family, &super::run::Run)| match family {
            Family::Facts => run.rows_where(&|group| numbers.is_shown(group.shape)),
            // With each comes a fact at least.
            Family::Changes => run.rows * 2,
            Family::Identities | Family::Duties => 0,
        };
        let rows = self.runs().map(rows).sum::<u64>() + self.memtable.len() as u64;
        (rows / self.sizes.slice_rows.max(1) + 1).min(1 << 16)
    }

    /// Takes off those of whom more is told, and shows them instead.
    fn correct(&self, range: Range, numbers: &Numbers, census: &mut dyn Census) -> Result<(), StoreError> {
        let mut told = self.told(range, census)?;
        let concerns: Vec<Vec<&KeySet<SubjectKey>>> = {
            let of = |shape| {
                let mine = told.persons.iter().filter(|(purpose, _)| {
                    purpose.as_deref().is_none_or(|purpose| census.is_for(shape, purpose))
                });
                mine.map(|(_, persons)| persons).collect()
            };
            self.shapes.iter().map(|shape| of(shape)).collect()
        };
        let concern = |shape: u32| usize::try_from(shape).ok().and_then(|at| concerns.get(at));
        let is_told = |subject: SubjectKey, item: Option<ItemKey>, shape: u32| {
            concern(shape).into_iter().flatten().any(|persons| persons.contains(&subject))
                || item.is_some_and(|item| told.items.contains(&ItemId { subject, item }))
        };
        let few = told.len().saturating_mul(PROBE) < self.fact_pages();
        let pages = |group: &Group| {
            let concerned =
                || !told.items.is_empty() || concern(group.shape).is_some_and(|of| !of.is_empty());
            numbers.is_shown(group.shape) || !few && concerned()
        };
        let mut facts: Vec<Stored> = Vec::new();
        let of_memory = self.memtable.iter().filter(|(family, row)| {
            let is_shown = || numbers.is_shown(row.shape) || is_told(row.subject, row.item, row.shape);
            *family == Family::Facts && range.holds(row.subject) && is_shown()
        });
        facts.extend(of_memory.map(|(_, row)| row.clone()));
        for (_, run) in self.runs().filter(|(family, _)| *family == Family::Facts) {
            for page in run.pages_where(&pages) {
                facts.extend(run.filtered(&self.blocks, page, &|row| {
                    let is_told = || !few && is_told(row.subject, row.item, row.shape);
                    range.holds(row.subject) && (numbers.is_shown(row.shape) || is_told())
                })?);
            }
        }
        if few {
            let mut found = Vec::new();
            for subject in told.subjects() {
                let counted =
                    |row: &Stored| !numbers.is_shown(row.shape) && is_told(row.subject, row.item, row.shape);
                self.facts_of(subject, &counted, &mut found)?;
            }
            facts.extend(found.into_iter().map(|(_, row)| row));
        }
        for row in &facts {
            if let Some(number) = numbers.of(row.shape)? {
                census.count(number, row.start.map(|at| (at, at)), -1);
            }
        }
        drop(concerns);
        let mut rows = std::mem::take(&mut told.rows);
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

    fn told(&self, range: Range, census: &dyn Census) -> Result<Told, StoreError> {
        let mut told = Told::default();
        for (family, row) in self.of_families(&[Family::Changes], range)? {
            let read = row.row(family, &self.shapes);
            let matters =
                match read.ok_or_else(|| StoreError::Damaged("a change cannot be read".to_owned()))? {
                    // A second one of its item.
                    Row::Fact(_) => Matters::Item,
                    Row::Change(change) => census.matters(&change.what),
                    Row::Identity { .. } => Matters::Nothing,
                };
            match (matters, row.item) {
                (Matters::Nothing, _) => continue,
                (Matters::Person(purpose), _) => {
                    told.persons.entry(purpose).or_default().insert(row.subject);
                }
                (Matters::Item, Some(item)) => {
                    told.items.insert(ItemId { subject: row.subject, item });
                }
                (Matters::Item, None) => {
                    told.persons.entry(None).or_default().insert(row.subject);
                }
            }
            told.rows.push((family, row));
        }
        Ok(told)
    }
}
