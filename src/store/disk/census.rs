//! A census from page headers: a page is read where its header is too wide to count by.
//!
//! Everything is counted by the facts that items were recorded by; those of whom more is told are then found, taken off
//! again and shown, subjects by subjects. Rejected: reading the pages to count what nothing more is told of, which costs
//! what is kept and not what was told.

use std::ops::ControlFlow;

use quietus_core::identity::SubjectKey;

use super::keyed::KeySet;
use super::page::Group;
use super::resolved::Resolved;
use super::row::{Family, Stored};
use super::sift::Range;
use super::{DiskStore, StoreError, change};
use crate::store::census::Census;

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
                let mut outcome = Ok(());
                run.filtered(&self.blocks, page, &mut |row| {
                    match numbers.of(row.shape) {
                        Ok(Some(number)) => census.count(number, row.start.map(|at| (at, at)), 1),
                        Ok(None) => {}
                        Err(error) => outcome = Err(error),
                    }
                    false
                })?;
                outcome?;
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
        let resolved = self.resolved(&told, &is_moved);
        if let Some(resolved) = &resolved {
            resolved.each(&mut |person, (shape, start)| {
                if is_moved(shape)
                    && let Ok(Some(number)) = numbers.of(shape)
                {
                    census.consented(number, start, person);
                }
            })?;
        }
        let mut facts: Vec<Stored> = Vec::new();
        // True = it is to be shown.
        let mut meet = |subject, item, shape, start| {
            if numbers.is_shown(shape) || told.is_whole(subject, item) {
                return true;
            }
            if is_moved(shape)
                && let (Some(person), Ok(Some(number))) = (told.person(subject), numbers.of(shape))
            {
                census.consented(number, start, person);
            }
            false
        };
        // The others were joined or looked up, but for what came later.
        let is_asked = |subject, seq, shape| {
            numbers.is_shown(shape) || resolved.as_ref().is_none_or(|resolved| resolved.misses(subject, seq))
        };
        if let Some(resolved) = &resolved {
            let mut found = Vec::new();
            for subject in &resolved.rest {
                self.facts_of(*subject, &|row| !numbers.is_shown(row.shape), &mut found)?;
            }
            let found = found.into_iter().map(|(_, row)| row);
            facts.extend(found.filter(|row| meet(row.subject, row.item, row.shape, row.start)));
        }
        for (family, row) in self.memtable.iter() {
            let is_mine = *family == Family::Facts && range.holds(row.subject);
            let is_joined =
                |resolved: &Resolved<'_>| resolved.has(row.subject, row.seq) && !numbers.is_shown(row.shape);
            if is_mine
                && !resolved.as_ref().is_some_and(is_joined)
                && meet(row.subject, row.item, row.shape, row.start)
            {
                facts.push(row.clone());
            }
        }
        let is_whole = !told.items.is_empty() || !told.persons.is_empty();
        for (_, run) in self.runs().filter(|(family, _)| *family == Family::Facts) {
            let pages = |group: &Group| {
                numbers.is_shown(group.shape)
                    || match &resolved {
                        Some(resolved) => resolved.may_miss(run) && is_moved(group.shape),
                        None => is_whole || is_moved(group.shape),
                    }
            };
            for page in run.pages_where(&pages) {
                facts.extend(run.filtered(&self.blocks, page, &mut |row| {
                    range.holds(row.subject)
                        && is_asked(row.subject, row.seq, row.shape)
                        && meet(row.subject, row.item, row.shape, row.start)
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
        if !shown.is_empty() && told.heard().any(|subject| shown.contains(subject)) {
            self.each_of(&[Family::Changes], range, &change::is_of_consent, &mut |family, row| {
                if shown.contains(&row.subject) {
                    rows.push((family, row));
                }
                Ok(ControlFlow::Continue(()))
            })?;
        }
        rows.extend(facts.into_iter().map(|row| (Family::Facts, row)));
        self.each_piece(rows, &mut |piece| {
            piece.each_here(&mut |lives, subject| census.whole(lives, subject))
        })
    }
}
