//! An item's lives, folded from the rows the store keeps.
//!
//! Facts and changes are written without reading; this fold is the one place that says what they add up to, so
//! that every store gives the same answer. Rejected: updating an item in place, which needs a read per write.

mod row;

use std::collections::BTreeMap;
use std::sync::Arc;

pub use row::{AddedCopy, ChangeRow, FactRow, Parts, What};

use crate::item::{Consent, Copy, CopyKind, CopyState, Item, Subject};
use crate::obligation::Place;
use crate::time::Millis;
use crate::verdict::Action;

/// Every life of one item, oldest first.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct Lives {
    pub lives: Vec<Life>,
    /// Changes read before the item was first recorded: sources keep no order between them.
    pub waiting: Vec<What>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Life {
    pub item: Item,
    /// Beside each copy of `item.copies`.
    pub notes: Vec<CopyNote>,
    /// What became known of copies that nobody named. One that is missing here is there, and nothing happened to it.
    pub derived: BTreeMap<Place, Derived>,
}

/// Where a derived copy stands.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct Derived {
    pub state: CopyState,
    pub note: CopyNote,
}

/// What the rules need not know about a copy.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct CopyNote {
    /// Parts already changed in place, and how.
    pub changed: BTreeMap<String, Action>,
    /// How often it came back after it was erased or changed.
    pub round: u32,
    /// Erased once, and there again: over, whatever its dates say.
    pub back: bool,
    /// Became known after its item's end.
    pub late: bool,
    pub disclosure: Option<String>,
}

impl Copy {
    pub fn place(&self) -> Place {
        Place { system: self.system.clone(), dataset: self.dataset.clone(), cell: self.cell.clone() }
    }

    pub fn is_at(&self, place: &Place) -> bool {
        self.system == place.system && self.dataset == place.dataset && self.cell == place.cell
    }

    /// Both are the same copy, whatever is said of it.
    pub fn is_where(&self, other: &Self) -> bool {
        self.system == other.system && self.dataset == other.dataset && self.cell == other.cell
    }

    pub fn is_live(&self) -> bool {
        match self.state {
            CopyState::Live => true,
            CopyState::Erased { .. } | CopyState::Gone { .. } => false,
        }
    }
}

impl Life {
    /// An item is gone when its last copy is.
    pub fn is_ended(&self) -> bool {
        let derived = || self.derived.values().map(|d| d.state).all(|state| gone_at(state).is_some());
        !self.item.copies.is_empty() && self.item.copies.iter().all(|c| !c.is_live()) && derived()
    }

    /// When the last of its copies went that are gone.
    pub fn last_gone(&self) -> Option<Millis> {
        let derived = self.derived.values().map(|derived| derived.state);
        self.item.copies.iter().map(|copy| copy.state).chain(derived).filter_map(gone_at).max()
    }

    /// When the last copy that somebody named went: what is told of the item from then on is news of another life.
    pub fn left_at(&self) -> Option<Millis> {
        let named = || self.item.copies.iter().filter(|c| !c.derived);
        named().all(|c| !c.is_live()).then(|| named().filter_map(|c| gone_at(c.state)).max()).flatten()
    }

    /// The named copy that a derived one was made of in the end: they share dataset and cell.
    pub fn named(&self, dataset: &str, cell: &[u8]) -> Option<&Copy> {
        let same = |c: &&Copy| !c.derived && *c.dataset == *dataset && c.cell == cell;
        self.item.copies.iter().find(same)
    }

    pub fn copy_at(&self, place: &Place) -> Option<usize> {
        self.item.copies.iter().position(|c| c.is_at(place))
    }

    /// A copy with its note.
    pub fn copies(&self) -> impl Iterator<Item = (&Copy, &CopyNote)> {
        self.item.copies.iter().zip(&self.notes)
    }

    /// Changes where the copy at `place` stands; what nobody named is a derived copy.
    fn on_copy(&mut self, place: &Place, change: impl FnOnce(&mut CopyState, &mut CopyNote)) {
        let mut copies = self.item.copies.iter_mut().zip(&mut self.notes);
        match copies.find(|(c, _)| !c.derived && c.is_at(place)) {
            Some((copy, note)) => change(&mut copy.state, note),
            None => {
                let known = self.derived.entry(place.clone()).or_default();
                change(&mut known.state, &mut known.note);
            }
        }
    }

    fn put_copy(&mut self, copy: Copy, disclosure: Option<String>) {
        match self.item.copies.iter_mut().zip(&mut self.notes).find(|(c, _)| c.is_where(&copy)) {
            Some((known, note)) => {
                // What is named again takes the newer words; where it stands is not for a fact to say.
                let state = known.state;
                *known = Copy { state, ..copy };
                note.disclosure = disclosure.or(note.disclosure.take());
            }
            None => {
                self.item.copies.push(copy);
                self.notes.push(CopyNote { disclosure, ..CopyNote::default() });
            }
        }
    }
}

fn gone_at(state: CopyState) -> Option<Millis> {
    match state {
        CopyState::Live => None,
        CopyState::Erased { at, .. } | CopyState::Gone { at } => Some(at),
    }
}

impl Lives {
    pub fn newest(&self) -> Option<&Life> {
        self.lives.last()
    }

    /// Copies of the newest life that are there: those that somebody named, and derived ones that something became
    /// known of.
    pub fn live_copies(&self) -> u64 {
        let named = |l: &Life| l.item.copies.iter().filter(|c| !c.derived && c.is_live()).count();
        let derived = |l: &Life| l.derived.values().filter(|d| d.state == CopyState::Live).count();
        self.newest().map(|l| named(l) + derived(l)).unwrap_or_default() as u64
    }

    fn of(&mut self, generation: u32) -> Option<&mut Life> {
        self.lives.iter_mut().rev().find(|l| l.item.generation == generation)
    }

    /// Folds a fact in. A generation not seen yet is a new life.
    pub fn record(&mut self, row: &FactRow) {
        if self.of(row.generation).is_none() {
            let item = Item {
                id: row.id,
                generation: row.generation,
                linked: Vec::new(),
                recorded: row.start,
                touched: None,
                process: row.process,
                copies: Vec::with_capacity(row.cells.len()),
                events: BTreeMap::new(),
                consent: Consent::default(),
            };
            // Most items live once.
            self.lives.reserve_exact(1);
            self.lives.push(Life {
                item,
                notes: Vec::with_capacity(row.cells.len()),
                derived: BTreeMap::new(),
            });
        }
        let Some(life) = self.of(row.generation) else { return };
        // The earliest start stays.
        life.item.recorded = match (life.item.recorded, row.start) {
            (Some(a), Some(b)) => Some(a.min(b)),
            (a, b) => a.or(b),
        };
        life.item.process = life.item.process.or(row.process);
        let named = row.shape.kinds().iter().zip(&row.shape.copies);
        for ((kind, named), cell) in named.zip(&row.cells) {
            let copy = Copy { kind: Arc::clone(kind), cell: cell.clone(), state: CopyState::Live };
            life.put_copy(copy, named.disclosure.clone());
        }
        for what in std::mem::take(&mut self.waiting) {
            self.change(&what);
        }
    }

    /// Folds a change of this item in. Changes of the subject do not belong here.
    pub fn change(&mut self, what: &What) {
        if let What::Forgotten { .. } = what {
            *self = Self::default();
            return;
        }
        if self.lives.is_empty() {
            self.waiting.push(what.clone());
            return;
        }
        match what {
            What::Touched { at, .. } => self.newest_mut(|l| l.item.touched = l.item.touched.max(Some(*at))),
            What::ItemEvent { event, at, .. } => self.newest_mut(|l| latest(&mut l.item.events, event, *at)),
            What::ItemGranted { purpose, at, .. } => {
                self.newest_mut(|l| latest(&mut l.item.consent.granted, purpose, *at));
            }
            What::ItemWithdrawn { purpose, at, .. } => {
                self.newest_mut(|l| latest(&mut l.item.consent.withdrawn, purpose, *at));
            }
            What::ItemEnded { purpose, at, .. } => {
                self.newest_mut(|l| latest(&mut l.item.consent.ended, purpose, *at));
            }
            What::Copied { copy, .. } => self.newest_mut(|l| {
                let like = l.item.copies.first().cloned();
                let kind = CopyKind {
                    system: copy.place.system.clone(),
                    dataset: copy.place.dataset.clone(),
                    categories: like.as_ref().map(|c| c.categories.clone()).unwrap_or_default(),
                    purposes: copy
                        .purposes
                        .clone()
                        .or_else(|| like.as_ref().map(|c| c.purposes.clone()))
                        .unwrap_or_default(),
                    jurisdiction: like.as_ref().and_then(|c| c.jurisdiction.clone()),
                    service: like.as_ref().and_then(|c| c.service.clone()),
                    controller: like.as_ref().and_then(|c| c.controller.clone()),
                    derived: false,
                };
                let cell = copy.place.cell.clone();
                let added = Copy { kind: Arc::new(kind), cell, state: CopyState::Live };
                l.put_copy(added, copy.disclosure.clone());
            }),
            What::Gone { system, dataset, at, .. } => self.newest_mut(|l| {
                let named = |s: &str, d: &str| {
                    system.as_ref().is_none_or(|wanted| wanted == s)
                        && dataset.as_ref().is_none_or(|wanted| wanted == d)
                };
                let copies = l.item.copies.iter_mut().filter(|c| named(&c.system, &c.dataset));
                let derived = l.derived.iter_mut().filter(|(p, _)| named(&p.system, &p.dataset));
                let states = copies.map(|c| &mut c.state).chain(derived.map(|(_, d)| &mut d.state));
                states.filter(|s| **s == CopyState::Live).for_each(|s| *s = CopyState::Gone { at: *at });
            }),
            What::Outcome { generation, place, parts, executed, verified, .. } => {
                self.on_copy(*generation, place, |state, note| match parts {
                    Parts::Whole => *state = CopyState::Erased { at: *executed, verified: *verified },
                    Parts::Some { categories, action } => {
                        for category in categories {
                            let known = note.changed.entry(category.clone()).or_insert(*action);
                            *known = (*known).max(*action);
                        }
                    }
                });
            }
            What::Revived { generation, place, .. } => {
                self.on_copy(*generation, place, |state, note| {
                    note.back |= *state != CopyState::Live;
                    *state = CopyState::Live;
                    note.round += 1;
                    note.changed.clear();
                });
            }
            What::Returned { generation, place, .. } => self.on_copy(*generation, place, |state, note| {
                *state = CopyState::Live;
                note.round += 1;
                note.changed.clear();
            }),
            What::Late { generation, place, .. } => {
                self.on_copy(*generation, place, |_, note| note.late = true);
            }
            What::Derived { generation, place, .. } => self.on_copy(*generation, place, |_, _| {}),
            What::StillThere { generation, place, parts, .. } => {
                self.on_copy(*generation, place, |state, note| match parts {
                    Parts::Whole => *state = CopyState::Live,
                    Parts::Some { categories, .. } => note.changed.retain(|c, _| !categories.contains(c)),
                });
            }
            What::Granted { .. }
            | What::Withdrawn { .. }
            | What::Ended { .. }
            | What::SubjectEvent { .. }
            | What::ProcessEvent { .. }
            | What::Active { .. }
            | What::Linked { .. }
            | What::Seen { .. }
            | What::SubjectForgotten
            | What::Forgotten { .. } => {}
        }
    }

    fn on_copy(
        &mut self,
        generation: u32,
        place: &Place,
        change: impl FnOnce(&mut CopyState, &mut CopyNote),
    ) {
        if let Some(life) = self.of(generation) {
            life.on_copy(place, change);
        }
    }

    fn newest_mut(&mut self, change: impl FnOnce(&mut Life)) {
        if let Some(life) = self.lives.last_mut() {
            change(life);
        }
    }
}

/// Folds a change of the subject in. Changes of one item do not belong here.
pub fn change_subject(subject: &mut Subject, what: &What) {
    match what {
        What::Granted { purpose, at } => latest(&mut subject.consent.granted, purpose, *at),
        What::Withdrawn { purpose, at } => latest(&mut subject.consent.withdrawn, purpose, *at),
        What::Ended { purpose, at } => latest(&mut subject.consent.ended, purpose, *at),
        What::SubjectEvent { event, at } => latest(&mut subject.events, event, *at),
        What::ProcessEvent { process, event, at } => {
            let entry = subject.process_events.entry((*process, event.clone())).or_insert(*at);
            *entry = (*entry).max(*at);
        }
        What::Active { at } => {
            subject.active = subject.active.max(Some(*at));
            subject.latest_activity = subject.latest_activity.max(Some(*at));
        }
        What::Seen { process: None, at } => subject.latest_activity = subject.latest_activity.max(*at),
        What::Seen { process: Some(process), at } => {
            if let Some(at) = *at {
                let known = subject.process_activity.entry(*process).or_insert(at);
                *known = (*known).max(at);
            }
        }
        What::SubjectForgotten => *subject = Subject::unknown(subject.key),
        What::Linked { .. }
        | What::Touched { .. }
        | What::ItemEvent { .. }
        | What::ItemGranted { .. }
        | What::ItemWithdrawn { .. }
        | What::ItemEnded { .. }
        | What::Copied { .. }
        | What::Gone { .. }
        | What::Outcome { .. }
        | What::Revived { .. }
        | What::Returned { .. }
        | What::Late { .. }
        | What::Derived { .. }
        | What::StillThere { .. }
        | What::Forgotten { .. } => {}
    }
}

/// The last by time counts, whatever the order of arrival.
fn latest(map: &mut BTreeMap<String, Millis>, key: &str, at: Millis) {
    match map.get_mut(key) {
        Some(known) => *known = (*known).max(at),
        None => {
            map.insert(key.to_owned(), at);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::identity::{ItemId, ItemKey, SubjectKey};
    use crate::record::{Shape, ShapeCopy};

    fn life() -> (Lives, ItemId, Place) {
        let id = ItemId { subject: SubjectKey([1; 16]), item: ItemKey([2; 16]) };
        let named = ShapeCopy { system: "s".into(), dataset: "d.c".into(), ..ShapeCopy::default() };
        let shape = Shape { copies: vec![named], ..Shape::default() };
        let row = FactRow {
            id,
            generation: 1,
            again: false,
            start: Some(Millis(0)),
            shape: std::sync::Arc::new(shape),
            process: None,
            cells: vec![vec![7]],
        };
        let mut lives = Lives::default();
        lives.record(&row);
        (lives, id, Place { system: "s".into(), dataset: "d.c".into(), cell: vec![7] })
    }

    fn now(lives: &Lives) -> (bool, bool) {
        let life = lives.newest().unwrap();
        (life.item.copies[0].is_live(), life.notes[0].back)
    }

    #[test]
    fn what_we_erased_and_is_there_again_is_over_whatever_its_dates_say() {
        let (mut lives, id, place) = life();
        let outcome = What::Outcome {
            id,
            generation: 1,
            place: place.clone(),
            parts: Parts::Whole,
            executed: Millis(5),
            verified: None,
        };
        lives.change(&outcome);
        lives.change(&What::Revived { id, generation: 1, place });
        assert_eq!(now(&lives), (true, true));
    }

    #[test]
    fn what_its_company_took_away_and_brought_back_lives_by_its_rules() {
        let (mut lives, id, place) = life();
        lives.change(&What::Gone { id, system: None, dataset: None, at: Millis(5) });
        assert_eq!(now(&lives), (false, false));
        lives.change(&What::Returned { id, generation: 1, place });
        assert_eq!(now(&lives), (true, false));
    }
}
