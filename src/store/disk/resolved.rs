//! What persons have who said something of consent: shapes and starts of their facts, so that a plan asks for no page
//! of theirs.
//!
//! A row's body, of one person: facts · per fact, by start: shape × 2 + dated 0|1 · [start − the fact's before].
//! Invariant: a row names every fact of its person whose number is below the row's own, and all rows have one number;
//! what came later is read beside them. They say nothing that facts and changes do not: a merge that lets go what
//! was forgotten leaves them all out. Made when a plan would have needed them ([`DiskStore::wants_resolved`]), beside
//! the store, which reads its facts once for so many persons as are in memory at once. Rejected: to make them as rows come in, where each fact would have to ask what its person said, for plans that are
//! asked for a few times a month.

use std::ops::ControlFlow;
use std::sync::atomic::Ordering;

use quietus_core::identity::SubjectKey;
use quietus_core::time::Millis;

use super::blocks::{Blocks, StoreError};
use super::bytes::{Reader, Writer};
use super::group::Group;
use super::keyed::{KeyMap, KeySet};
use super::page::Body;
use super::row::{Family, Stored};
use super::run::Run;
use super::sift::{OF_PERSON, Range};
use super::told::Told;
use super::{DiskStore, change};

/// Shape and start of a fact.
pub(super) type Had = (u32, Option<Millis>);

/// Persons by what they have, as long as nothing came later.
#[derive(Debug, Default)]
pub(super) struct Resolved {
    /// By subject: what the census calls them, and their row's body.
    rows: Vec<(SubjectKey, usize, Vec<u8>)>,
    /// Those of whom more is told and who are not among them: they are looked up.
    pub rest: KeySet<SubjectKey>,
    /// Facts from this number on are in none.
    upto: u64,
}

impl Resolved {
    /// A fact of such a person that is in their row.
    pub fn has(&self, subject: SubjectKey, seq: u64) -> bool {
        seq < self.upto && self.holds(subject)
    }

    fn holds(&self, subject: SubjectKey) -> bool {
        self.rows.binary_search_by_key(&subject, |(key, ..)| *key).is_ok()
    }

    /// A fact of such a person that came later.
    pub fn misses(&self, subject: SubjectKey, seq: u64) -> bool {
        seq >= self.upto && self.holds(subject)
    }

    pub fn may_miss(&self, run: &Run) -> bool {
        !self.rows.is_empty() && run.reaches(self.upto)
    }

    /// By subject, as most were heard: what is known of one lies near the next one's.
    pub fn each(&self, visit: &mut dyn FnMut(usize, Had)) -> Result<(), StoreError> {
        for (_, person, body) in &self.rows {
            let damaged = || StoreError::Damaged("what a person has cannot be read".to_owned());
            read(body, &mut |had| visit(*person, had)).ok_or_else(damaged)?;
        }
        Ok(())
    }
}

impl DiskStore {
    /// The facts of those of whom more is told need not be sought in every page; None = that is cheaper.
    pub(super) fn resolved(
        &self,
        range: Range,
        told: &Told,
        is_moved: &dyn Fn(u32) -> bool,
    ) -> Result<Option<Resolved>, StoreError> {
        let (whole, pages) = (told.whole(), self.fact_pages());
        let alone = whole.iter().filter(|subject| !told.consents.contains_key(subject)).count();
        let all = alone + told.consents.len();
        let mut resolved = Resolved::default();
        if self.look_up_cost(0, all) < pages {
            resolved.rest = told.subjects();
            return Ok(Some(resolved));
        }
        self.each_of(&[Family::Resolved], range, &|_| true, &mut |_, row| {
            let person = told.consents.get(&row.subject).filter(|_| !whole.contains(&row.subject));
            resolved.rows.extend(person.map(|person| (row.subject, *person, row.body)));
            resolved.upto = row.seq;
            Ok(ControlFlow::Continue(()))
        })?;
        let facts = self.runs_of(&[Family::Facts]).filter(|(_, run)| resolved.may_miss(run));
        let later: usize =
            facts.map(|(_, run)| run.pages_where(&|group| is_moved(group.shape)).count()).sum();
        let cost = later + self.look_up_cost(0, all - resolved.rows.len());
        // Of no use to those of whom more than consent is known.
        let could = self.look_up_cost(0, whole.len());
        if !self.resolving && cost > could.saturating_add(pages / 8) {
            self.wants_resolved.store(true, Ordering::Relaxed);
        }
        if cost >= pages {
            return Ok(None);
        }
        if resolved.rows.len() < all {
            let mut rest = told.subjects();
            resolved.rows.iter().for_each(|(subject, ..)| {
                rest.remove(subject);
            });
            resolved.rest = rest;
        }
        Ok(Some(resolved))
    }

    /// An error is what a plan would come upon some day.
    pub(super) fn read_resolved(&self) -> Result<(), StoreError> {
        let everybody = Range { n: 0, of: 1 };
        self.each_of(&[Family::Resolved], everybody, &|_| true, &mut |_, row| {
            Resolved { rows: vec![(row.subject, 0, row.body)], ..Resolved::default() }
                .each(&mut |_, _| ())?;
            Ok(ControlFlow::Continue(()))
        })
    }

    /// A plan would have been faster with them; asked for once.
    pub(super) fn wants_resolved(&self) -> bool {
        self.wants_resolved.load(Ordering::Relaxed)
    }

    /// What is there now, to be joined beside the store.
    pub(super) fn to_resolve(&self) -> Resolving {
        self.wants_resolved.store(false, Ordering::Relaxed);
        let families = [Family::Facts, Family::Changes];
        let groups = self.groups.iter().filter(|group| families.contains(&group.family)).cloned().collect();
        let said = |(family, row): &&(Family, Stored)| *family == Family::Changes && is_of_consent(&row.body);
        let heard = self.memtable.iter().filter(said).map(|(_, row)| row.subject).collect();
        // What lies in memory gets other numbers after a crash.
        let upto = self.memtable.iter().next().map_or(self.list.next_seq, |(_, row)| row.seq);
        // Shape and start take less than half the room of a row.
        let room = usize::try_from(self.sizes.slice_rows).unwrap_or(usize::MAX).saturating_mul(2);
        let persons = room / OF_PERSON;
        Resolving { groups, heard, upto, at_once: persons.max(1) }
    }
}

/// Facts and changes that are to be joined.
#[derive(Debug)]
pub(super) struct Resolving {
    groups: Vec<Group>,
    /// In memory.
    heard: Vec<SubjectKey>,
    /// The facts on the disk have lower numbers.
    upto: u64,
    /// So many persons: the facts are read once for them.
    at_once: usize,
}

impl Resolving {
    /// Each person's row, by subject.
    pub fn each(
        &self,
        blocks: &Blocks,
        visit: &mut dyn FnMut(Stored) -> Result<(), StoreError>,
    ) -> Result<(), StoreError> {
        for persons in self.heard(blocks)?.chunks(self.at_once) {
            let (Some(first), Some(last)) = (persons.first(), persons.last()) else { continue };
            let mut found: KeyMap<SubjectKey, Vec<Had>> = persons.iter().map(|p| (*p, Vec::new())).collect();
            let mut meet = |subject: SubjectKey, had| {
                if (*first..=*last).contains(&subject)
                    && let Some(all) = found.get_mut(&subject)
                {
                    all.push(had);
                }
            };
            for run in self.runs(Family::Facts) {
                for page in 0..run.pages() {
                    run.filtered(blocks, page, &mut |row| {
                        meet(row.subject, (row.shape, row.start));
                        false
                    })?;
                }
            }
            for person in persons {
                let mut had = found.remove(person).unwrap_or_default();
                had.sort_unstable_by_key(|(shape, start)| (*start, *shape));
                visit(Stored {
                    seq: self.upto,
                    subject: *person,
                    item: None,
                    shape: 0,
                    start: None,
                    body: written(&had),
                })?;
            }
        }
        Ok(())
    }

    /// Who said something of consent.
    fn heard(&self, blocks: &Blocks) -> Result<Vec<SubjectKey>, StoreError> {
        let mut heard: KeySet<SubjectKey> = self.heard.iter().copied().collect();
        for run in self.runs(Family::Changes) {
            for page in 0..run.pages() {
                run.filtered(blocks, page, &mut |row| {
                    if matches!(row.body, Body::Here(body) if is_of_consent(body)) {
                        heard.insert(row.subject);
                    }
                    false
                })?;
            }
        }
        let mut heard: Vec<SubjectKey> = heard.into_iter().collect();
        heard.sort_unstable();
        Ok(heard)
    }

    fn runs(&self, family: Family) -> impl Iterator<Item = &Run> {
        self.groups.iter().filter(move |group| group.family == family).flat_map(|g| &g.runs).map(|run| &**run)
    }
}

/// What a census tells persons apart by. One whose purpose is so long that it lies apart is missed: its person is looked up.
pub(super) fn is_of_consent(body: &[u8]) -> bool {
    matches!(body.first(), Some(&(change::GRANTED | change::WITHDRAWN | change::ENDED)))
}

pub(super) fn written(facts: &[Had]) -> Vec<u8> {
    let mut body = Writer(Vec::with_capacity(1 + 8 * facts.len()));
    body.number(facts.len() as u64);
    let mut before = 0i64;
    for (shape, start) in facts {
        body.number(u64::from(*shape) << 1 | u64::from(start.is_some()));
        if let Some(Millis(at)) = start {
            body.signed(at.wrapping_sub(before));
            before = *at;
        }
    }
    body.0
}

/// None = bytes that say no such thing.
pub(super) fn read(body: &[u8], visit: &mut dyn FnMut(Had)) -> Option<()> {
    let mut reader = Reader(body);
    let mut before = 0i64;
    for _ in 0..reader.number()? {
        let head = reader.number()?;
        let start = match head & 1 {
            0 => None,
            _ => {
                before = before.wrapping_add(reader.signed()?);
                Some(Millis(before))
            }
        };
        visit((u32::try_from(head >> 1).ok()?, start));
    }
    reader.is_empty().then_some(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn what_is_written_is_read(facts in prop::collection::vec((any::<u32>(), prop::option::of(any::<i64>())), 0..40)) {
            let facts: Vec<Had> = facts.into_iter().map(|(shape, at)| (shape, at.map(Millis))).collect();
            let (body, mut again) = (written(&facts), Vec::new());
            prop_assert_eq!(read(&body, &mut |had| again.push(had)), Some(()));
            prop_assert_eq!(again, facts);
            prop_assert!((0..body.len()).all(|end| read(&body[..end], &mut |_| ()).is_none()));
        }
    }
}
