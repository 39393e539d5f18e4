//! Look-ups: the rows that a question concerns, in the order they were written, folded by the store in memory.

use std::collections::BTreeMap;

use quietus_core::engine::{Found, Needs};
use quietus_core::identity::{ItemId, ItemKey, SubjectKey};

use super::row::{Family, Stored};
use super::{DiskStore, StoreError, run};
use crate::store::{MemoryStore, Store};

/// More of a person's items than so many are not looked up one by one.
const FEW: usize = 4;

impl DiskStore {
    /// What is known about a subject and its items.
    pub(super) fn person(&self, key: SubjectKey) -> Result<MemoryStore, StoreError> {
        let mut rows: Vec<(Family, Stored)> = self.memtable.of_subject(key).cloned().collect();
        for (family, run) in self.runs() {
            let mut found = Vec::new();
            run.of_subject(&self.blocks, key, &mut found)?;
            rows.extend(found.into_iter().map(|row| (family, row)));
        }
        self.fold(rows)
    }

    /// What is known about the items of this key, but nothing of their subjects.
    pub(super) fn item(&self, key: ItemKey) -> Result<MemoryStore, StoreError> {
        let mut rows: Vec<(Family, Stored)> = self.memtable.of_item(key).cloned().collect();
        for (family, run) in self.runs() {
            let mut found = Vec::new();
            run.of_item(&self.blocks, key, &mut found)?;
            rows.extend(found.into_iter().map(|row| (family, row)));
        }
        self.fold(rows)
    }

    /// What is known about some of a person's items, and of the person what no item says.
    fn about(&self, key: SubjectKey, items: &[ItemKey]) -> Result<MemoryStore, StoreError> {
        let is_asked = |family: Family, row: &Stored| {
            family != Family::Identities && row.item.is_none_or(|item| items.contains(&item))
        };
        let written = self.memtable.of_subject(key).filter(|(family, row)| is_asked(*family, row));
        let mut rows: Vec<(Family, Stored)> = written.cloned().collect();
        for item in items {
            self.facts_of_item(ItemId { subject: key, item: *item }, &mut rows)?;
        }
        for (family, run) in self.runs_of(&[Family::Changes]) {
            let mut found = Vec::new();
            run.of_subject_about(&self.blocks, key, items, &mut found)?;
            rows.extend(found.into_iter().map(|row| (family, row)));
        }
        self.fold(rows)
    }

    /// What the engine asks for, person by person: all there is of one where it is much or wanted, else a few rows.
    pub(super) fn found(&self, needs: &Needs) -> Result<Found, StoreError> {
        let mut asked: BTreeMap<SubjectKey, Needs> = BTreeMap::new();
        needs.subjects.iter().for_each(|key| {
            asked.entry(*key).or_default().subjects.insert(*key);
        });
        let known = needs.news.iter().filter(|id| self.may_know(id.item));
        known.for_each(|id| {
            asked.entry(id.subject).or_default().news.insert(*id);
        });
        let mut items = needs.items.clone();
        for key in &needs.orphans {
            let alone = Needs { orphans: [*key].into(), ..Needs::default() };
            items.extend(self.item(*key)?.fetch(&alone).lives.into_keys());
        }
        items.into_iter().for_each(|id| {
            asked.entry(id.subject).or_default().items.insert(id);
        });
        let mut found = Found::default();
        for (key, mine) in asked {
            let items: Vec<ItemKey> = mine.items.union(&mine.news).map(|id| id.item).collect();
            let is_whole = needs.activity || !mine.subjects.is_empty() || items.len() > FEW;
            let person = if is_whole { self.person(key)? } else { self.about(key, &items)? };
            let Found { lives, subjects, .. } = person.fetch(&mine);
            found.lives.extend(lives);
            found.subjects.extend(subjects);
        }
        Ok(found)
    }

    /// Costs a look at the filters. True for one in some hundred that is not known.
    fn may_know(&self, key: ItemKey) -> bool {
        self.memtable.of_item(key).next().is_some() || self.runs().any(|(_, run)| run.may_hold(key))
    }

    pub(super) fn runs(&self) -> impl Iterator<Item = (Family, &run::Run)> {
        let rows = self.groups.iter().filter(|group| Family::ROWS.contains(&group.family));
        rows.flat_map(|group| group.runs.iter().map(|run| (group.family, &**run)))
    }

    pub(super) fn fold(&self, mut rows: Vec<(Family, Stored)>) -> Result<MemoryStore, StoreError> {
        rows.sort_unstable_by_key(|(_, row)| row.seq);
        let damaged = || StoreError::Damaged("a row cannot be read".to_owned());
        let mut store = MemoryStore::default();
        for (family, row) in rows {
            let row = row.row(family, &self.shapes).ok_or_else(damaged)?;
            store.put(&row);
        }
        Ok(store)
    }
}
