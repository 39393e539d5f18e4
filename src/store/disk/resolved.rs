//! What persons have who said something of consent, joined with what they said: so that a plan asks for no page of
//! theirs, nor for what was told before.
//!
//! A row of each, see [`super::joined`]. Invariant: it names every fact and what was said of consent of its person whose
//! numbers are below the row's own, and all rows have one number;
//! what came later is read beside them. They say nothing that facts and changes do not: a merge that lets go what
//! was forgotten leaves them all out. Made when a plan would have needed them ([`DiskStore::wants_resolved`]), beside
//! the store, which reads its facts and changes once for so many persons as are in memory at once. Rejected: to make them as rows come in, where each fact would have to ask what its person said, for plans that are
//! asked for a few times a month.

use std::ops::ControlFlow;
use std::sync::atomic::Ordering;

use quietus_core::identity::SubjectKey;
use quietus_core::time::Millis;

use super::blocks::{Blocks, StoreError};
use super::group::Group;
use super::joined::{self, Had, Persons};
use super::keyed::{KeyMap, KeySet};
use super::row::{Family, Stored};
use super::run::Run;
use super::sift::OF_PERSON;
use super::told::Told;
use super::{DiskStore, change};
use crate::store::{How, Said};

/// Persons by what they have, as long as nothing came later.
#[derive(Debug, Default)]
pub(super) struct Resolved<'t> {
    /// None = they are few enough to be looked up.
    persons: Option<&'t Persons>,
    /// Those of whom more is told and who are not among them: they are looked up.
    pub rest: KeySet<SubjectKey>,
}

impl Resolved<'_> {
    /// A fact of such a person that is in their row.
    pub fn has(&self, subject: SubjectKey, seq: u64) -> bool {
        self.persons.is_some_and(|persons| seq < persons.upto && persons.holds(subject))
    }

    /// A fact of such a person that came later.
    pub fn misses(&self, subject: SubjectKey, seq: u64) -> bool {
        self.persons.is_some_and(|persons| seq >= persons.upto && persons.holds(subject))
    }

    pub fn may_miss(&self, run: &Run) -> bool {
        self.persons.is_some_and(|persons| may_miss(persons, run))
    }

    /// What each has.
    pub fn each(&self, visit: &mut dyn FnMut(usize, Had)) -> Result<(), StoreError> {
        self.persons.map_or(Ok(()), |persons| persons.each(visit))
    }
}

fn may_miss(persons: &Persons, run: &Run) -> bool {
    !persons.is_empty() && run.reaches(persons.upto)
}

impl DiskStore {
    /// The facts of those of whom more is told need not be sought in every page; None = that is cheaper.
    pub(super) fn resolved<'t>(
        &self,
        told: &'t Told,
        is_moved: &dyn Fn(u32) -> bool,
    ) -> Option<Resolved<'t>> {
        let (mut rest, pages, joined) = (told.subjects(), self.fact_pages(), &told.joined);
        if self.look_up_cost(0, rest.len() + joined.len()) < pages {
            rest.extend(joined.subjects());
            return Some(Resolved { persons: None, rest });
        }
        let facts = self.runs_of(&[Family::Facts]).filter(|(_, run)| may_miss(joined, run));
        let later: usize =
            facts.map(|(_, run)| run.pages_where(&|group| is_moved(group.shape)).count()).sum();
        let cost = later + self.look_up_cost(0, rest.len());
        // Of no use to those of whom more than consent is known.
        let could = self.look_up_cost(0, told.whole().len());
        if !self.resolving && cost > could.saturating_add(pages / 8) {
            self.wants_resolved.store(true, Ordering::Relaxed);
        }
        (cost < pages).then_some(Resolved { persons: Some(joined), rest })
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
        let said = |(family, row): &&(Family, Stored)| {
            *family == Family::Changes && change::is_of_consent(&row.body)
        };
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
    /// What lies on the disk has lower numbers.
    upto: u64,
    /// So many persons: facts and changes are read once for them.
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
            let mut found: KeyMap<SubjectKey, (Vec<Last>, Vec<Had>)> =
                persons.iter().map(|person| (*person, Default::default())).collect();
            let is_near = |subject: SubjectKey| (*first..=*last).contains(&subject);
            self.each_said(blocks, &mut |subject, said| {
                let known = is_near(subject).then(|| found.get_mut(&subject)).flatten();
                known.into_iter().for_each(|(last, _)| hear(last, said));
            })?;
            for run in self.runs(Family::Facts) {
                for page in 0..run.pages() {
                    run.filtered(blocks, page, &mut |row| {
                        let known = is_near(row.subject).then(|| found.get_mut(&row.subject)).flatten();
                        known.into_iter().for_each(|(_, had)| had.push((row.shape, row.start)));
                        false
                    })?;
                }
            }
            for person in persons {
                let (last, mut had) = found.remove(person).unwrap_or_default();
                had.sort_unstable_by_key(|(shape, start)| (*start, *shape));
                let said = last.iter().map(|(how, purpose, at)| Said { how: *how, purpose, at: *at });
                visit(Stored {
                    seq: self.upto,
                    subject: *person,
                    item: None,
                    shape: joined::LAYOUT,
                    start: None,
                    body: joined::written(said, &had),
                })?;
            }
        }
        Ok(())
    }

    /// Who said something of consent.
    fn heard(&self, blocks: &Blocks) -> Result<Vec<SubjectKey>, StoreError> {
        let mut heard: KeySet<SubjectKey> = self.heard.iter().copied().collect();
        self.each_said(blocks, &mut |subject, _| {
            heard.insert(subject);
        })?;
        let mut heard: Vec<SubjectKey> = heard.into_iter().collect();
        heard.sort_unstable();
        Ok(heard)
    }

    /// What was said of consent, as far as the disk has it.
    fn each_said(
        &self,
        blocks: &Blocks,
        visit: &mut dyn FnMut(SubjectKey, Said<'_>),
    ) -> Result<(), StoreError> {
        for run in self.runs(Family::Changes) {
            for page in 0..run.pages() {
                let _ = run.visit(blocks, page, &mut |row, body| {
                    change::said(body)?.into_iter().for_each(|said| visit(row.subject, said));
                    Ok(ControlFlow::Continue(()))
                })?;
            }
        }
        Ok(())
    }

    fn runs(&self, family: Family) -> impl Iterator<Item = &Run> {
        self.groups.iter().filter(move |group| group.family == family).flat_map(|g| &g.runs).map(|run| &**run)
    }
}

/// The last that was said of a purpose in this way.
type Last = (How, Box<str>, Millis);

fn hear(known: &mut Vec<Last>, said: Said<'_>) {
    match known.iter_mut().find(|(how, purpose, _)| (*how, &**purpose) == (said.how, said.purpose)) {
        Some((.., at)) => *at = said.at.max(*at),
        None => known.push((said.how, said.purpose.into(), said.at)),
    }
}
