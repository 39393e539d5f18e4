//! Copies that nobody names: what a manifest's `copies_of` says is made of another system's.
//!
//! Invariant: they are worked out whenever an item is looked at and cost no row until something happens to them. A
//! derived copy lies at (its system, the origin's dataset, the origin's cell), and is kept by name from the moment its
//! last named copy goes. Rejected: a row per derived copy at intake, which a new cache would have to write for every
//! item there is.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use crate::item::{Copy, CopyKind};
use crate::life::{ChangeRow, Life, What};
use crate::obligation::{Duty, Obligation, Place};

use super::Turn;
use super::control::{Control, System};
use super::decision::Row;

/// Which systems make copies of which; worked out anew whenever a system comes or goes.
#[derive(Clone, Debug, Default)]
pub struct Derivations {
    /// Origin system → (its dataset, None = every one; the system that holds the copies).
    by_origin: BTreeMap<String, BTreeSet<(Option<String>, String)>>,
}

impl Derivations {
    pub fn of(systems: &BTreeMap<String, Arc<System>>) -> Self {
        let mut by_origin: BTreeMap<String, BTreeSet<(Option<String>, String)>> = BTreeMap::new();
        for (name, system) in systems {
            for entry in &system.manifest.copies_of {
                let made = (entry.dataset.clone(), name.clone());
                by_origin.entry(entry.system.clone()).or_default().insert(made);
            }
        }
        Self { by_origin }
    }

    pub fn is_empty(&self) -> bool {
        self.by_origin.is_empty()
    }

    /// Every system that holds copies of what lies there, directly or copied from a copy; each once.
    pub fn systems(&self, system: &str, dataset: &str) -> Vec<&str> {
        let mut found: Vec<&str> = Vec::new();
        let mut open = vec![system];
        while let Some(origin) = open.pop() {
            for (of, copier) in self.by_origin.get(origin).into_iter().flatten() {
                let named = of.as_ref().is_none_or(|d| d == dataset);
                if named && copier != system && !found.contains(&copier.as_str()) {
                    found.push(copier);
                    open.push(copier);
                }
            }
        }
        found.sort_unstable();
        found
    }
}

impl Control {
    /// Gives each copy the parts its dataset maps there, beside those its event named, and the life the copies that
    /// are made of them. Completing twice is completing once.
    pub fn complete(&self, life: &mut Life) {
        forget(life);
        let linked = self.links.get(&life.item.id.subject);
        life.item.linked = linked.into_iter().flatten().copied().collect();
        for copy in &mut life.item.copies {
            let mapped = self.systems.get(&*copy.system).and_then(|s| s.categories.get(&*copy.dataset));
            for category in mapped.into_iter().flatten() {
                if let Err(at) = copy.kind.categories.binary_search(category) {
                    Arc::make_mut(&mut copy.kind).categories.insert(at, category.clone());
                }
            }
        }
        if self.derivations.is_empty() {
            return life.derived.clear();
        }
        let ended = life.is_ended();
        let mut made = BTreeMap::new();
        for origin in &life.item.copies {
            for system in self.derivations.systems(&origin.system, &origin.dataset) {
                let kind = CopyKind { system: system.into(), derived: true, ..(*origin.kind).clone() };
                let copy = Copy { kind: Arc::new(kind), ..origin.clone() };
                let known = life.derived.get(&copy.place()).cloned();
                // What a manifest says today brings no item back that had ended.
                if known.is_some() || !ended {
                    let known = known.unwrap_or_default();
                    made.insert(copy.place(), (Copy { state: known.state, ..copy }, known.note));
                }
            }
        }
        life.derived.retain(|place, _| made.contains_key(place));
        for (copy, note) in made.into_values() {
            life.item.copies.push(copy);
            life.notes.push(note);
        }
    }

    /// The copy at `copier` is made of the one at `origin`, directly or not.
    fn is_made_of(&self, copier: &str, origin: &str, dataset: &str) -> bool {
        self.derivations.systems(origin, dataset).contains(&copier)
    }

    fn goes_first(&self, copier: &str, origin: &str) -> bool {
        let manifest = |system: &str| self.systems.get(system).map(|s| &s.manifest);
        manifest(copier).is_some_and(|m| m.goes_before(manifest(origin), origin))
    }
}

fn forget(life: &mut Life) {
    if life.item.copies.iter().any(|c| c.derived) {
        let mut derived = life.item.copies.iter().map(|c| c.derived).collect::<Vec<_>>().into_iter();
        life.notes.retain(|_| derived.next() == Some(false));
        life.item.copies.retain(|c| !c.derived);
    }
}

/// The duty is on a copy that goes before what it is made of, and that was not tried yet or will go again.
pub(super) fn precedes(control: &Control, duty: &Obligation, origin: &Obligation) -> bool {
    let corrects = duty.duty == Duty::Correct || origin.duty == Duty::Correct;
    !corrects
        && is_origin(control, duty, origin)
        && control.goes_first(&duty.place.system, &origin.place.system)
}

/// What `duty` erases is made of what `origin` erases.
pub(super) fn is_origin(control: &Control, duty: &Obligation, origin: &Obligation) -> bool {
    let (of, from) = (&duty.place, &origin.place);
    !control.derivations.is_empty()
        && duty.generation == origin.generation
        && of.dataset == from.dataset
        && of.cell == from.cell
        && control.is_made_of(&of.system, &from.system, &of.dataset)
}

/// The copy at `place` goes: when it is the last that somebody named, what was made of the item is kept by name.
pub(super) fn outlives(turn: &mut Turn<'_>, life: &Life, place: &Place) {
    let mut named = life.item.copies.iter().filter(|c| !c.derived && c.is_live());
    if !named.all(|c| c.is_at(place)) {
        return;
    }
    for copy in life.item.copies.iter().filter(|c| c.derived) {
        kept_by_name(turn, life, &copy.place());
    }
}

/// From here on a derived copy is known without its manifest's saying so.
pub(super) fn kept_by_name(turn: &mut Turn<'_>, life: &Life, place: &Place) {
    if !life.derived.contains_key(place) {
        let (id, generation) = (life.item.id, life.item.generation);
        let what = What::Derived { id, generation, place: place.clone() };
        turn.write(Row::Change(ChangeRow { subject: id.subject, what }));
    }
}

/// Copies that went before what they are made of: its going makes them owed once more. Any of them, where it came back.
/// True where there are any.
pub(super) fn revived_with(turn: &mut Turn<'_>, life: &Life, origin: &Place, only_first: bool) -> bool {
    let control = &turn.state.control;
    let mine = |c: &&Copy| {
        let made = c.derived
            && c.dataset == origin.dataset
            && c.cell == origin.cell
            && control.is_made_of(&c.system, &origin.system, &c.dataset);
        made && !c.is_live() && (!only_first || control.goes_first(&c.system, &origin.system))
    };
    let places: Vec<Place> = life.item.copies.iter().filter(mine).map(Copy::place).collect();
    for place in &places {
        let what = What::Revived { id: life.item.id, generation: life.item.generation, place: place.clone() };
        turn.write(Row::Change(ChangeRow { subject: life.item.id.subject, what }));
    }
    !places.is_empty()
}
