//! The store in memory: simple on purpose, because others are measured against it.

use std::collections::{BTreeMap, BTreeSet};

use quietus_core::digest::Digest;
use quietus_core::engine::{Found, Needs, Row};
use quietus_core::hold::Scope;
use quietus_core::identity::{ItemId, ItemKey, ShownItem, SubjectKey};
use quietus_core::item::{CopyState, Subject};
use quietus_core::life::{Life, Lives, What, change_subject};
use quietus_core::time::Millis;

use super::{Counts, Store};

#[derive(Debug, Default)]
pub struct MemoryStore {
    items: BTreeMap<ItemId, Lives>,
    by_key: BTreeMap<ItemKey, BTreeSet<SubjectKey>>,
    subjects: BTreeMap<SubjectKey, Subject>,
    identities: BTreeMap<SubjectKey, Vec<u8>>,
    /// Live items per subject.
    alive: BTreeMap<SubjectKey, u64>,
    counts: Counts,
}

impl Store for MemoryStore {
    fn write(&mut self, rows: &[Row]) {
        for row in rows {
            match row {
                Row::Fact(fact) => {
                    self.item(fact.id, |lives| lives.record(fact));
                    self.seen(fact.id.subject, fact.start);
                    if let (Some(process), Some(start)) = (fact.process, fact.start) {
                        let at = self
                            .subject_mut(fact.id.subject)
                            .process_activity
                            .entry(process)
                            .or_insert(start);
                        *at = (*at).max(start);
                    }
                }
                Row::Change(change) => match change.what.item() {
                    Some(id) => {
                        self.item(id, |lives| lives.change(&change.what));
                        if let What::Touched { at, .. } = &change.what {
                            self.touched(id, *at);
                        }
                    }
                    None => change_subject(self.subject_mut(change.subject), &change.what),
                },
                Row::Identity { subject, cell } => {
                    self.identities.insert(*subject, cell.clone());
                }
            }
        }
    }

    fn fetch(&self, needs: &Needs) -> Found {
        let mut found = Found::default();
        for id in &needs.items {
            self.found_item(&mut found, *id);
        }
        for key in &needs.subjects {
            for id in self.items_of(*key) {
                self.found_item(&mut found, id);
            }
            self.found_subject(&mut found, *key);
        }
        for key in &needs.orphans {
            for subject in self.by_key.get(key).into_iter().flatten() {
                self.found_item(&mut found, ItemId { subject: *subject, item: *key });
            }
        }
        if needs.due.is_some() {
            let live = self.items.iter().filter(|(_, l)| l.newest().is_some_and(|l| !l.is_ended()));
            live.for_each(|(id, _)| self.found_item(&mut found, *id));
        }
        if let Some(scope) = &needs.scope {
            self.in_scope(scope).for_each(|id| self.found_item(&mut found, id));
        }
        found
    }

    fn lives(&self, id: ItemId) -> Option<Lives> {
        self.items.get(&id).cloned()
    }

    fn shown(&self, shown: ShownItem) -> Option<ItemId> {
        let subjects = self.by_key.get(&shown.item)?;
        let subject = subjects.iter().find(|s| s.0.starts_with(&shown.subject_prefix))?;
        Some(ItemId { subject: *subject, item: shown.item })
    }

    fn items_of(&self, subject: SubjectKey) -> Vec<ItemId> {
        let first = ItemId { subject, item: ItemKey([0; 16]) };
        let last = ItemId { subject, item: ItemKey([255; 16]) };
        self.items.range(first..=last).map(|(id, _)| *id).collect()
    }

    fn subject(&self, key: SubjectKey) -> Option<Subject> {
        self.subjects.get(&key).cloned()
    }

    fn identity(&self, key: SubjectKey) -> Option<Vec<u8>> {
        self.identities.get(&key).cloned()
    }

    fn each(&self, visit: &mut dyn FnMut(&Lives)) {
        self.items.values().for_each(visit);
    }

    fn counts(&self) -> Counts {
        self.counts
    }

    fn digest(&self, digest: &mut Digest) {
        self.items.values().for_each(|lives| digest.item(lives));
        self.subjects.values().for_each(|subject| digest.subject(subject));
        for (subject, cell) in &self.identities {
            digest.text("identity").bytes(&subject.0).bytes(cell);
        }
    }
}

impl MemoryStore {
    /// Changes an item, and keeps count of what lives.
    fn item(&mut self, id: ItemId, change: impl FnOnce(&mut Lives)) {
        let lives = self.items.entry(id).or_default();
        let before = live_copies(lives);
        change(lives);
        let after = live_copies(lives);
        self.by_key.entry(id.item).or_default().insert(id.subject);
        self.counts.copies = self.counts.copies + after - before;
        let alive = self.alive.entry(id.subject).or_default();
        match (before, after) {
            (0, 1..) => {
                self.counts.items += 1;
                *alive += 1;
                self.counts.subjects += u64::from(*alive == 1);
            }
            (1.., 0) => {
                self.counts.items -= 1;
                *alive -= 1;
                self.counts.subjects -= u64::from(*alive == 0);
            }
            _ => {}
        }
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

    fn in_scope<'a>(&'a self, scope: &'a Scope) -> Box<dyn Iterator<Item = ItemId> + 'a> {
        match scope.only_subjects() {
            Some(subjects) => Box::new(subjects.flat_map(|s| self.items_of(s))),
            None => Box::new(self.items.keys().copied()),
        }
    }
}

fn live_copies(lives: &Lives) -> u64 {
    let derived = |l: &Life| l.derived.values().filter(|d| d.state == CopyState::Live).count();
    let named = |l: &Life| l.item.copies.iter().filter(|c| c.is_live()).count();
    lives.newest().map(|l| named(l) + derived(l)).unwrap_or_default() as u64
}
