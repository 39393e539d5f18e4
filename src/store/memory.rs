//! The store in memory: simple on purpose, because others are measured against it.

use std::collections::{BTreeMap, BTreeSet};

use quietus_core::digest::Digest;
use quietus_core::engine::{Found, Needs, Row, Sieve};
use quietus_core::identity::{ItemId, ItemKey, ShownItem, SubjectKey};
use quietus_core::item::Subject;
use quietus_core::life::{Lives, What, change_subject};
use quietus_core::time::Millis;

use super::{LaidOut, Part, Store};

#[derive(Clone, Debug, Default)]
pub struct MemoryStore {
    items: BTreeMap<ItemId, Lives>,
    by_key: BTreeSet<(ItemKey, SubjectKey)>,
    subjects: BTreeMap<SubjectKey, Subject>,
    identities: BTreeMap<SubjectKey, Vec<u8>>,
}

impl Store for MemoryStore {
    fn put(&mut self, row: &Row) {
        match row {
            Row::Fact(fact) => {
                self.item(fact.id, |lives| lives.record(fact));
                self.seen(fact.id.subject, fact.start);
                if let (Some(process), Some(start)) = (fact.process, fact.start) {
                    let at =
                        self.subject_mut(fact.id.subject).process_activity.entry(process).or_insert(start);
                    *at = (*at).max(start);
                }
            }
            Row::Change(change) => match change.what.item() {
                Some(id) if matches!(change.what, What::Forgotten { .. }) => {
                    self.items.remove(&id);
                    self.by_key.remove(&(id.item, id.subject));
                }
                Some(id) => {
                    self.item(id, |lives| lives.change(&change.what));
                    if let What::Touched { at, .. } = &change.what {
                        self.touched(id, *at);
                    }
                }
                None if change.what == What::SubjectForgotten => {
                    self.subjects.remove(&change.subject);
                    self.identities.remove(&change.subject);
                }
                None => change_subject(self.subject_mut(change.subject), &change.what),
            },
            Row::Identity { subject, cell } => {
                self.identities.insert(*subject, cell.clone());
            }
        }
    }

    fn fetch(&self, needs: &Needs) -> Found {
        let mut found = Found::default();
        for id in &needs.items {
            self.found_item(&mut found, *id);
        }
        for id in needs.news.iter().filter(|id| self.items.contains_key(id)) {
            self.found_item(&mut found, *id);
        }
        for key in &needs.subjects {
            for id in self.items_of(*key) {
                self.found_item(&mut found, id);
            }
            self.found_subject(&mut found, *key);
        }
        for key in &needs.orphans {
            for subject in self.subjects_with(*key) {
                self.found_item(&mut found, ItemId { subject, item: *key });
            }
        }
        found
    }

    fn lives(&self, id: ItemId) -> Option<Lives> {
        self.items.get(&id).cloned()
    }

    fn shown(&self, shown: ShownItem) -> Option<ItemId> {
        let mut subjects = self.subjects_with(shown.item);
        let subject = subjects.find(|s| s.0.starts_with(&shown.subject_prefix))?;
        Some(ItemId { subject, item: shown.item })
    }

    fn items_of(&self, subject: SubjectKey) -> Vec<ItemId> {
        self.of(subject).map(|(id, _)| *id).collect()
    }

    fn subject(&self, key: SubjectKey) -> Option<Subject> {
        self.subjects.get(&key).cloned()
    }

    fn identity(&self, key: SubjectKey) -> Option<Vec<u8>> {
        self.identities.get(&key).cloned()
    }

    fn parts(&self, _: &Sieve<'_>) -> u64 {
        1
    }

    fn part(&self, _: &Sieve<'_>, _: &[ItemId], _: (u64, u64), _: Option<&LaidOut>) -> Part {
        Part::Whole(Some(self.clone()))
    }

    fn next(&self, part: &mut Part) -> Option<MemoryStore> {
        match part {
            Part::Whole(whole) => whole.take(),
            Part::Rows(_) => None,
        }
    }

    fn slices(&self, _: &Sieve<'_>, visit: &mut dyn FnMut(&MemoryStore)) {
        visit(self);
    }

    fn alive_in(&self, _: u64, _: u64) -> u64 {
        let alive = self.items.iter().filter(|(_, lives)| lives.live_copies() > 0);
        alive.map(|(id, _)| id.subject).collect::<BTreeSet<_>>().len() as u64
    }
}

impl MemoryStore {
    /// All there is, for the engine to go through.
    pub fn everything(self) -> Found {
        let mut subjects = self.subjects;
        // Who is known by an identity alone is known, too.
        for key in self.identities.into_keys() {
            subjects.entry(key).or_insert_with(|| Subject::unknown(key));
        }
        Found::of(self.items, subjects)
    }

    pub(super) fn each_here(&self, visit: &mut dyn FnMut(&Lives, &Subject)) {
        for (id, lives) in &self.items {
            match self.subjects.get(&id.subject) {
                Some(subject) => visit(lives, subject),
                None => visit(lives, &Subject::unknown(id.subject)),
            }
        }
    }

    pub(super) fn digest_here(&self, digest: &mut Digest) {
        let known = self.items.keys().map(|id| id.subject);
        let told = self.subjects.keys().chain(self.identities.keys()).copied();
        for key in known.chain(told).collect::<BTreeSet<_>>() {
            digest.text("subject").bytes(&key.0);
            self.subjects.get(&key).into_iter().for_each(|subject| digest.subject(subject));
            if let Some(cell) = self.identities.get(&key) {
                digest.text("identity").bytes(cell);
            }
            self.of(key).for_each(|(_, lives)| digest.item(lives));
        }
    }

    fn subjects_with(&self, item: ItemKey) -> impl Iterator<Item = SubjectKey> {
        let all = (item, SubjectKey([0; 16]))..=(item, SubjectKey([255; 16]));
        self.by_key.range(all).map(|(_, subject)| *subject)
    }

    fn of(&self, subject: SubjectKey) -> impl Iterator<Item = (&ItemId, &Lives)> {
        let first = ItemId { subject, item: ItemKey([0; 16]) };
        let last = ItemId { subject, item: ItemKey([255; 16]) };
        self.items.range(first..=last)
    }

    fn item(&mut self, id: ItemId, change: impl FnOnce(&mut Lives)) {
        change(self.items.entry(id).or_default());
        self.by_key.insert((id.item, id.subject));
    }

    fn subject_mut(&mut self, key: SubjectKey) -> &mut Subject {
        self.subjects.entry(key).or_insert_with(|| Subject::unknown(key))
    }

    fn seen(&mut self, key: SubjectKey, at: Option<Millis>) {
        let subject = self.subject_mut(key);
        subject.latest_activity = subject.latest_activity.max(at);
    }

    fn touched(&mut self, id: ItemId, at: Millis) {
        self.seen(id.subject, Some(at));
        let process = self.items.get(&id).and_then(|l| l.newest()).and_then(|l| l.item.process);
        if let Some(process) = process {
            let known = self.subject_mut(id.subject).process_activity.entry(process).or_insert(at);
            *known = (*known).max(at);
        }
    }

    fn found_item(&self, found: &mut Found, id: ItemId) {
        if let Some(lives) = self.items.get(&id) {
            found.lives.insert(id, lives.clone());
        }
        self.found_subject(found, id.subject);
    }

    fn found_subject(&self, found: &mut Found, key: SubjectKey) {
        if let Some(subject) = self.subjects.get(&key) {
            found.subjects.entry(key).or_insert_with(|| subject.clone());
        }
    }
}
