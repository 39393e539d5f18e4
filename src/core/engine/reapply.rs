//! Erasures again: after a restore, and where a look at what was erased finds it there.
//!
//! What was carried out since the restored state is there again, whoever says otherwise: its copies live again and are
//! owed in a new round. A row found by chance is a resurrection; one that a reapply removes was one.

use std::collections::BTreeSet;

use crate::identity::ItemId;
use crate::life::{ChangeRow, Life, What};
use crate::obligation::{Cause, Duty, Obligation, Place};
use crate::record::ReapplyOrdered;
use crate::time::Millis;

use super::Turn;
use super::corrections::{self, Corrected};
use super::decision::{Decision, Noticed, Row};
use super::derived::revived_with;
use super::duties::wishes;
use super::reach::moment;
use super::state::State;

/// Duties whose work a restore undid: carried out at that time or later.
pub(super) fn undone<'a>(
    state: &'a State,
    record: &'a ReapplyOrdered,
) -> impl Iterator<Item = &'a Obligation> {
    state.duties.all().filter(|duty| is_undone(duty, record))
}

pub(super) fn is_undone(duty: &Obligation, record: &ReapplyOrdered) -> bool {
    let there = record.system.as_ref().is_none_or(|s| **s == *duty.place.system);
    let since = duty.executed.is_some_and(|at| at >= Millis(record.since));
    there && since && duty.stand.is_gone()
}

pub(super) fn ordered(turn: &mut Turn<'_>, record: &ReapplyOrdered) {
    let undone: Vec<Obligation> = undone(turn.state, record).cloned().collect();
    let mut items: BTreeSet<(ItemId, u32)> = BTreeSet::new();
    let mut places: BTreeSet<(ItemId, u32, Place)> = BTreeSet::new();
    let mut corrected: Vec<&Obligation> = undone.iter().filter(|d| d.duty == Duty::Correct).collect();
    corrected.sort_by_key(|d| d.round);
    for duty in undone.iter().filter(|d| d.duty != Duty::Correct) {
        let Some(life) = life_of(turn, duty).filter(|life| is_latest(life, duty)) else { continue };
        if is_overtaken(turn, duty) || !places.insert((duty.item, duty.generation, duty.place.clone())) {
            continue;
        }
        again(turn, &life, &duty.place);
        items.insert((duty.item, duty.generation));
    }
    let cause = Cause::Reapply(record.id.as_str().into());
    items.into_iter().for_each(|(id, generation)| owe(turn, id, generation, &cause));
    // Values go back with a restore too; in their order, so that the last wins.
    for duty in corrected {
        if let (Some(life), Some(values)) = (life_of(turn, duty), &duty.values) {
            let values = Corrected { categories: &duty.parts, values };
            corrections::correct_at(turn, &life, &duty.place, values, &cause);
        }
    }
}

/// A look at what had been verified found it: somebody brought it back.
pub(super) fn found_again(turn: &mut Turn<'_>, duty: &Obligation) {
    let life = life_of(turn, duty).filter(|life| is_latest(life, duty));
    let Some(life) = life.filter(|_| duty.duty == Duty::Delete && !is_overtaken(turn, duty)) else {
        return turn.ignore("found, and not what was erased");
    };
    if is_live(&life, &duty.place) {
        return turn.ignore("found, and known to be there");
    }
    again(turn, &life, &duty.place);
    let (item, place) = (duty.item, duty.place.clone());
    turn.rule(Decision::Noticed(Noticed::Resurrected { item, place }));
    owe(turn, duty.item, duty.generation, &Cause::Resurrection);
}

fn again(turn: &mut Turn<'_>, life: &Life, place: &Place) {
    let (id, generation) = (life.item.id, life.item.generation);
    let what = What::Revived { id, generation, place: place.clone() };
    turn.write(Row::Change(ChangeRow { subject: id.subject, what }));
    revived_with(turn, life, place, false);
}

fn owe(turn: &mut Turn<'_>, id: ItemId, generation: u32, cause: &Cause) {
    let lives = turn.found.lives.get(&id);
    let life = lives.and_then(|l| l.lives.iter().find(|l| l.item.generation == generation)).cloned();
    let Some(life) = life else { return };
    let subject = turn.subject(id.subject);
    let due = wishes(&turn.state.control, &life, &subject, moment(turn.state, &life));
    turn.settle(&life, &due, cause);
}

pub(super) fn life_of(turn: &Turn<'_>, duty: &Obligation) -> Option<Life> {
    let lives = turn.found.lives.get(&duty.item)?;
    lives.lives.iter().find(|l| l.item.generation == duty.generation).cloned()
}

/// Of its copy's last round.
fn is_latest(life: &Life, duty: &Obligation) -> bool {
    let note = life.copy_at(&duty.place).and_then(|at| life.notes.get(at));
    note.is_some_and(|note| note.round == duty.round)
}

fn is_live(life: &Life, place: &Place) -> bool {
    life.copy_at(place).and_then(|at| life.item.copies.get(at)).is_some_and(crate::item::Copy::is_live)
}

/// A later life of the item lies at the same place: what is there now is not what was to go.
pub(super) fn is_overtaken(turn: &Turn<'_>, duty: &Obligation) -> bool {
    let newest = turn.found.lives.get(&duty.item).and_then(|l| l.newest());
    newest.is_some_and(|life| life.item.generation > duty.generation && is_live(life, &duty.place))
}
