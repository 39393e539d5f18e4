//! Look-ups: the rows that a question concerns, in the order they were written, folded by the store in memory.

use std::collections::btree_map::Entry;
use std::collections::{BTreeMap, BTreeSet};

use quietus_core::engine::{Found, Needs};
use quietus_core::identity::{ItemId, ItemKey, SubjectKey};

use super::row::{Family, Stored};
use super::{DiskStore, StoreError, run};
use crate::store::{MemoryStore, Store};

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

    /// What the engine asks for: a person's rows are read once, however many items of theirs are meant.
    pub(super) fn found(&self, needs: &Needs) -> Result<Found, StoreError> {
        let mut found = Found::default();
        let mut people: BTreeMap<SubjectKey, MemoryStore> = BTreeMap::new();
        for key in &needs.orphans {
            let alone = Needs { orphans: [*key].into(), ..Needs::default() };
            found.lives.extend(self.item(*key)?.fetch(&alone).lives);
        }
        let orphans: Vec<SubjectKey> = found.lives.keys().map(|id| id.subject).collect();
        let known = needs.news.iter().filter(|id| self.may_know(id.item));
        let items = needs.items.iter().chain(known).map(|id| id.subject);
        for key in items.chain(needs.subjects.iter().copied()).chain(orphans) {
            if let Entry::Vacant(unread) = people.entry(key) {
                let person = unread.insert(self.person(key)?);
                let of =
                    |ids: &BTreeSet<ItemId>| ids.iter().filter(|id| id.subject == key).copied().collect();
                let mine = Needs {
                    items: of(&needs.items),
                    news: of(&needs.news),
                    subjects: needs.subjects.get(&key).copied().into_iter().collect(),
                    orphans: needs.orphans.clone(),
                    everything: false,
                };
                let Found { lives, subjects, .. } = person.fetch(&mine);
                found.lives.extend(lives);
                found.subjects.extend(subjects);
            }
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
