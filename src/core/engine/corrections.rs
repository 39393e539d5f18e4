//! Corrected values: a duty per copy that holds the category, fenced against erasure.
//!
//! Invariant: no correction brings back what was erased. Only a live copy is corrected, and only parts that were not
//! changed in place; while an erasure is wanted the correction waits; one command per item and system is out, so a
//! late correction never follows an erasure. The values stay sealed: only the categories are seen here.
//!
//! Rejected: to withdraw a correction as soon as an erasure is wanted. News may keep the record after all (it was used, a
//! law has changed), and it would go on with the wrong value.

use crate::engine::control::Control;
use crate::identity::ItemId;
use crate::item::Copy;
use crate::life::{CopyNote, Life};
use crate::obligation::{Block, Cause, Duty, Event, Obligation, ObligationId, Place, Stand};
use crate::record::Change;
use crate::request::{RequestAnswer, RequestTarget};
use crate::system::Mode;
use crate::time::{Millis, Moment};
use crate::verdict::Action;

use super::decision::{Decision, Noticed};
use super::duties::{Stop, Wish, wishes};
use super::reach::moment;
use super::{Turn, restrict};

/// So long a correction waits for an erasure that is wanted, until it is looked at again.
const WAIT: i64 = Millis::HOUR;

/// New values as they travel: which categories, and all of them in one sealed cell.
#[derive(Clone, Copy, Debug)]
pub(super) struct Corrected<'a> {
    pub categories: &'a [String],
    pub values: &'a [u8],
}

/// An event says that an item's values are others now: every copy of it follows.
pub(super) fn told(turn: &mut Turn<'_>, change: &Change, id: ItemId) {
    let Some(values) = &change.values else { return turn.ignore("a correction without values") };
    let Some(life) = turn.found.lives.get(&id).and_then(|l| l.newest()).cloned() else {
        return turn.ignore("corrected, and never known");
    };
    if life.left_at().is_some() {
        return turn.rule(Decision::Noticed(Noticed::Echo { item: id }));
    }
    let corrected = Corrected { categories: &change.categories, values };
    correct(turn, &life, corrected, &Cause::Correction);
}

/// Owes the new values to every copy that holds such a category; what stands where.
pub(super) fn correct(
    turn: &mut Turn<'_>,
    life: &Life,
    corrected: Corrected<'_>,
    cause: &Cause,
) -> Vec<RequestTarget> {
    let round = turn.state.corrections + 1;
    let places: Vec<Place> = life.item.copies.iter().map(Copy::place).collect();
    places.iter().flat_map(|place| at(turn, life, place, corrected, round, cause)).collect()
}

/// The same at one place.
pub(super) fn correct_at(
    turn: &mut Turn<'_>,
    life: &Life,
    place: &Place,
    corrected: Corrected<'_>,
    cause: &Cause,
) {
    let round = turn.state.corrections + 1;
    at(turn, life, place, corrected, round, cause);
}

fn at(
    turn: &mut Turn<'_>,
    life: &Life,
    place: &Place,
    corrected: Corrected<'_>,
    round: u32,
    cause: &Cause,
) -> Vec<RequestTarget> {
    let found = life.copies().find(|(copy, _)| copy.is_at(place));
    let Some((copy, note)) = found else { return Vec::new() };
    let mut parts: Vec<String> = corrected.categories.to_vec();
    parts.sort();
    parts.dedup();
    parts.retain(|p| copy.categories.contains(p));
    let is_over = |p: &String| is_gone(copy, note, p) && !may_be_there(turn, life, place, p);
    let (gone, open): (Vec<_>, Vec<_>) = parts.into_iter().partition(is_over);
    let target =
        |categories, answer| RequestTarget { item: life.item.id, place: place.clone(), categories, answer };
    let mut targets = Vec::new();
    if !gone.is_empty() {
        let reason = "erased".to_owned();
        targets.push(target(gone, RequestAnswer::Refused { reason, rule: None, law: None, until: None }));
    }
    let is_held = |p: &String| is_held(&turn.state.control, life, copy, p);
    let (held, free): (Vec<_>, Vec<_>) = open.into_iter().partition(is_held);
    for parts in [free, held].into_iter().filter(|parts| !parts.is_empty()) {
        let id = owe(turn, life, copy, parts.clone(), corrected.values, round, cause);
        targets.push(target(parts, RequestAnswer::Duty(id)));
    }
    targets
}

fn is_held(control: &Control, life: &Life, copy: &Copy, part: &str) -> bool {
    !control.holds_against(Duty::Correct, &life.item, copy, part).is_empty()
}

/// The value is not there any more, or was replaced by us.
fn is_gone(copy: &Copy, note: &CopyNote, part: &str) -> bool {
    !copy.is_live() || note.changed.get(part).is_some_and(|action| *action > Action::Restrict)
}

/// By the word of whoever erased it, and nobody has looked yet.
fn may_be_there(turn: &Turn<'_>, life: &Life, place: &Place, part: &str) -> bool {
    let erases = |d: &Obligation| match d.duty {
        Duty::Delete => true,
        Duty::Change(action) => action > Action::Restrict && d.parts.iter().any(|p| p == part),
        Duty::Correct => false,
    };
    let mut there = turn.state.duties.of_item(life.item.id).filter(|d| {
        d.generation == life.item.generation
            && d.place == *place
            && d.stand == Stand::Executed
            && !d.confirmed
    });
    there.any(erases)
}

fn owe(
    turn: &mut Turn<'_>,
    life: &Life,
    copy: &Copy,
    parts: Vec<String>,
    values: &[u8],
    round: u32,
    cause: &Cause,
) -> ObligationId {
    let place = copy.place();
    // What was to be set before and is set anew.
    let older = |d: &&Obligation| d.duty == Duty::Correct && d.place == place && d.round < round;
    let older: Vec<ObligationId> =
        turn.state.duties.of_item(life.item.id).filter(older).map(|d| d.id).collect();
    older.into_iter().for_each(|id| supersede(turn, id, &parts));
    let stop = stop(&turn.state.control, life, copy, &parts);
    let wish = Wish {
        place,
        parts: parts.into(),
        duty: Duty::Correct,
        round,
        stop,
        rule: None,
        due: turn.state.now,
        judged: Moment::at(turn.state.now),
        values: Some(values.to_vec()),
    };
    let id = wish.id(life);
    if turn.state.duties.get(id).is_none() {
        turn.open(life, &wish, id, cause);
    }
    id
}

fn stop(control: &Control, life: &Life, copy: &Copy, parts: &[String]) -> Option<Stop> {
    let mut holds: Vec<String> =
        parts.iter().flat_map(|p| control.holds_against(Duty::Correct, &life.item, copy, p)).collect();
    holds.sort();
    holds.dedup();
    match (holds.is_empty(), control.mode(&copy.system)) {
        (false, _) => Some(Stop::Blocked(Block::Hold(holds))),
        (true, Mode::Observe) => Some(Stop::Observed),
        (true, Mode::Enforce) => None,
    }
}

/// These parts are set, or gone, by something newer: what is left of a correction is a duty of its own.
fn supersede(turn: &mut Turn<'_>, id: ObligationId, parts: &[String]) {
    let Some(duty) = turn.state.duties.get(id).cloned() else { return };
    if !duty.parts.iter().any(|p| parts.contains(p)) {
        return;
    }
    let why = "something newer sets it, or takes it away".to_owned();
    if !turn.advance(id, Event::Withdraw, |d| {
        d.block = None;
        d.detail = Some(why);
    }) {
        return;
    }
    let rest: Vec<String> = duty.parts.iter().filter(|p| !parts.contains(p)).cloned().collect();
    if let Some(id) = owe_part(turn, &duty, rest.clone()) {
        let lost = duty.parts.iter().filter(|p| parts.contains(p)).cloned().collect();
        answered_by(turn, &duty, lost, vec![(rest, id)]);
    }
}

/// The gate stopped it: what no hold covers goes on.
pub(super) fn stopped(turn: &mut Turn<'_>, id: ObligationId) {
    let Some(duty) = turn.state.duties.get(id).filter(|d| d.duty == Duty::Correct).cloned() else { return };
    let Some(life) = super::reapply::life_of(turn, &duty) else { return };
    let Some(copy) = life.copy_at(&duty.place).and_then(|at| life.item.copies.get(at)) else { return };
    let held = |p: &String| is_held(&turn.state.control, &life, copy, p);
    let (held, free): (Vec<_>, Vec<_>) = duty.parts.iter().cloned().partition(held);
    if !held.is_empty() && !free.is_empty() {
        in_two(turn, &duty, [free, held]);
    }
}

/// What stops some parts of a correction does not stop the others.
pub(super) fn in_two(
    turn: &mut Turn<'_>,
    duty: &Obligation,
    parts: [Vec<String>; 2],
) -> [Option<ObligationId>; 2] {
    turn.advance(duty.id, Event::Withdraw, |d| {
        d.block = None;
        d.detail = Some("goes on in two".to_owned());
    });
    let ids = parts.clone().map(|parts| owe_part(turn, duty, parts));
    let goes_on = parts.into_iter().zip(ids).filter_map(|(parts, id)| Some((parts, id?))).collect();
    answered_by(turn, duty, Vec::new(), goes_on);
    ids
}

/// The request that asked for this is answered by what it goes on as; `lost` stays with the duty as it was.
fn answered_by(
    turn: &mut Turn<'_>,
    duty: &Obligation,
    lost: Vec<String>,
    goes_on: Vec<(Vec<String>, ObligationId)>,
) {
    let Cause::Request(request) = &duty.cause else { return };
    let Some(mut request) = turn.state.requests.get(&**request).cloned() else { return };
    let asked = |t: &RequestTarget| t.answer == RequestAnswer::Duty(duty.id);
    let Some(at) = request.targets.iter().position(asked) else { return };
    let target = request.targets.remove(at);
    let now = goes_on.into_iter().map(|(categories, id)| (categories, RequestAnswer::Duty(id)));
    let now = now.chain([(lost, target.answer.clone())]).filter(|(categories, _)| !categories.is_empty());
    request.targets.extend(now.map(|(categories, answer)| RequestTarget {
        categories,
        answer,
        ..target.clone()
    }));
    turn.rule(Decision::Requested(Box::new(request)));
}

/// These parts of a correction, as a duty of its own.
fn owe_part(turn: &mut Turn<'_>, duty: &Obligation, parts: Vec<String>) -> Option<ObligationId> {
    let life = super::reapply::life_of(turn, duty)?;
    let values = duty.values.as_ref().filter(|_| !parts.is_empty())?;
    let copy = life.copy_at(&duty.place).and_then(|at| life.item.copies.get(at)).cloned()?;
    let stop = stop(&turn.state.control, &life, &copy, &parts);
    let wish = Wish {
        place: duty.place.clone(),
        parts: parts.into(),
        duty: Duty::Correct,
        round: duty.round,
        stop,
        rule: None,
        due: turn.state.now,
        judged: Moment::at(turn.state.now),
        values: Some(values.clone()),
    };
    let id = wish.id(&life);
    if turn.state.duties.get(id).is_none() {
        turn.open(&life, &wish, id, &duty.cause);
    }
    Some(id)
}

/// An erasure was seen to be carried out: what was to be set there is gone.
pub(super) fn overtaken(turn: &mut Turn<'_>, erasure: &Obligation) {
    let erased = |d: &Obligation| match erasure.duty {
        Duty::Delete => d.parts.to_vec(),
        Duty::Change(action) if action > Action::Restrict => erasure.parts.to_vec(),
        Duty::Change(_) | Duty::Correct => Vec::new(),
    };
    let there = |d: &&Obligation| {
        d.duty == Duty::Correct && d.generation == erasure.generation && d.place == erasure.place
    };
    let mine = turn.state.duties.of_item(erasure.item).filter(there);
    let mine: Vec<(ObligationId, Vec<String>)> = mine.map(|d| (d.id, erased(d))).collect();
    mine.into_iter().for_each(|(id, parts)| supersede(turn, id, &parts));
}

/// The parts of a copy that an erasure takes now.
fn taken(wishes: &[Wish], place: &Place) -> Vec<String> {
    let erases = |w: &&Wish| {
        let restricts = w.duty == Duty::Change(Action::Restrict);
        w.place == *place && w.stop.is_none() && w.duty != Duty::Correct && !restricts
    };
    wishes.iter().filter(erases).flat_map(|w| w.parts.to_vec()).collect()
}

/// Judged once more before it goes out.
pub(super) fn still_owed(turn: &mut Turn<'_>, duty: &Obligation, life: &Life) -> bool {
    let at = life.copy_at(&duty.place);
    let Some((copy, note)) = at.and_then(|at| life.item.copies.get(at).zip(life.notes.get(at))) else {
        turn.advance(duty.id, Event::Withdraw, |_| {});
        return false;
    };
    let gone: Vec<String> = duty.parts.iter().filter(|p| is_gone(copy, note, p)).cloned().collect();
    let (unseen, mut over): (Vec<_>, Vec<_>) =
        gone.into_iter().partition(|p| may_be_there(turn, life, &duty.place, p));
    let newer = |d: &&Obligation| {
        d.duty == Duty::Correct
            && d.place == duty.place
            && d.round > duty.round
            && d.stand != Stand::Withdrawn
    };
    over.extend(turn.state.duties.of_item(duty.item).filter(newer).flat_map(|d| d.parts.to_vec()));
    if duty.parts.iter().any(|p| over.contains(p)) {
        supersede(turn, duty.id, &over);
        return false;
    }
    let subject = turn.subject(duty.item.subject);
    let wanted = wishes(&turn.state.control, life, &subject, moment(turn.state, life));
    let taken = [taken(&wanted, &duty.place), unseen].concat();
    let (wait, go): (Vec<_>, Vec<_>) = duty.parts.iter().cloned().partition(|p| taken.contains(p));
    if !wait.is_empty() && !go.is_empty() {
        in_two(turn, duty, [go, wait]);
        return false;
    }
    if !wait.is_empty() {
        let again = turn.state.now.plus(WAIT);
        turn.advance(duty.id, Event::Block, |d| {
            d.block = None;
            d.not_before = Some(again);
            d.detail = Some("an erasure is wanted there".to_owned());
        });
        return false;
    }
    let held = |p: &String| is_held(&turn.state.control, life, copy, p);
    let (held, free): (Vec<_>, Vec<_>) = duty.parts.iter().cloned().partition(held);
    if !held.is_empty() && !free.is_empty() {
        in_two(turn, duty, [free, held]);
        return false;
    }
    match stop(&turn.state.control, life, copy, &duty.parts) {
        None => true,
        Some(Stop::Observed) => {
            turn.advance(duty.id, Event::Observe, |_| {});
            false
        }
        Some(Stop::Blocked(block)) => {
            turn.advance(duty.id, Event::Block, |d| d.block = Some(block));
            false
        }
    }
}

/// The next sweep tries again what no retry brought about and no rule wishes for.
pub(super) fn retried(turn: &mut Turn<'_>) {
    let failed = turn
        .state
        .duties
        .standing(Stand::Failed)
        .filter(|d| d.duty == Duty::Correct || restrict::is_asked_for(d));
    for id in failed.map(|d| d.id).collect::<Vec<_>>() {
        turn.advance(id, Event::Release, |d| {
            d.tries = 0;
            d.not_before = None;
        });
    }
}
