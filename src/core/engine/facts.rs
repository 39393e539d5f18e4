//! An item is recorded, perhaps not for the first time: news, echo, resurrection or a new life.

use std::sync::Arc;

use crate::identity::ItemId;
use crate::item::{Copy, CopyKind, CopyState};
use crate::life::{ChangeRow, FactRow, Life, What};
use crate::obligation::{Cause, Duty, Place};
use crate::record::{Fact, Facts, Mark, Origin, Shape};
use crate::time::Millis;

use super::Turn;
use super::decision::{Decision, Noticed, Row};
use super::derived::{kept_by_name, outlives, revived_with};
use super::duties::wishes;
use super::needs::repeated;
use super::reach::moment;

pub(super) fn facts(turn: &mut Turn<'_>, record: &Facts) {
    if !above_marks(turn, &record.source, record.source_generation, &record.marks) {
        return turn.ignore("source offsets taken in before");
    }
    let Some(rows) = record.rows() else { return turn.ignore("columns that do not fit together") };
    let shapes: Vec<Arc<Shape>> = record.shapes.iter().cloned().map(Arc::new).collect();
    turn.found.repeated = Some(repeated(record));
    for mut row in rows {
        let Some(shape) = shapes.get(usize::from(row.shape)) else { continue };
        let (subject, identity) = (row.subject, row.identity.take());
        fact(turn, row, shape);
        if let Some(cell) = identity {
            turn.write(Row::Identity { subject, cell });
        }
    }
}

/// True when the batch is news; its marks are then taken.
pub(super) fn above_marks(turn: &mut Turn<'_>, source: &str, generation: i32, marks: &[Mark]) -> bool {
    let key = |m: &Mark| (source.to_owned(), generation, m.topic.clone(), m.partition);
    let old = |m: &Mark| turn.state.marks.get(&key(m)).is_some_and(|known| m.to <= *known);
    if !marks.is_empty() && marks.iter().all(old) {
        return false;
    }
    for mark in marks {
        let (source, topic) = (source.to_owned(), mark.topic.clone());
        turn.rule(Decision::Mark { source, generation, topic, partition: mark.partition, to: mark.to });
    }
    true
}

fn fact(turn: &mut Turn<'_>, row: Fact, shape: &Arc<Shape>) {
    let id = ItemId { subject: row.subject, item: row.item };
    let newest = turn.found.lives.get(&id).and_then(|l| l.newest()).cloned();
    match newest {
        None if row.origin == Origin::Delete => turn.rule(Decision::Noticed(Noticed::Echo { item: id })),
        None => whole(turn, id, 1, row, shape),
        Some(life) if row.origin == Origin::Delete => deleted(turn, &life, &row, shape),
        Some(life) => match before(turn, &life, &row) {
            Some(left) => anew(turn, &life, &left, row, shape),
            None if life.left_at().is_some() => after_the_end(turn, &life, row, shape),
            None => again(turn, &life, row, shape),
        },
    }
}

/// Where each copy of the life had gone before this record begins, and which of them are taken for live. A record that
/// begins after the erasure was sent is another one, whether or not anybody has answered: an attempt more would take it
/// away.
fn before(turn: &Turn<'_>, life: &Life, row: &Fact) -> Option<Vec<(Place, Millis, bool)>> {
    let begins = match row.origin {
        Origin::Create => Some(row.source_time),
        Origin::Event | Origin::Import | Origin::Update | Origin::Read | Origin::Scan => row.start,
        Origin::Delete => None,
    }?;
    let named = life.copies().filter(|(copy, _)| !copy.derived);
    let left = named.map(|(copy, note)| {
        let duties = turn.state.duties.of_item(life.item.id).filter(|d| d.duty == Duty::Delete);
        let mut mine = duties.filter(|d| d.generation == life.item.generation && d.round == note.round);
        let sent = mine.find(|d| copy.is_at(&d.place)).and_then(|d| d.sent);
        let at = match copy.state {
            CopyState::Live => sent,
            CopyState::Gone { at } => Some(at),
            CopyState::Erased { at, .. } => Some(sent.map_or(at, |sent| sent.min(at))),
        };
        let at = at.filter(|at| *at < begins && *at < row.source_time)?;
        Some((copy.place(), at, copy.is_live()))
    });
    left.collect::<Option<Vec<_>>>().filter(|left| !left.is_empty())
}

fn anew(turn: &mut Turn<'_>, life: &Life, left: &[(Place, Millis, bool)], row: Fact, shape: &Arc<Shape>) {
    for (place, at, _) in left.iter().filter(|(_, _, live)| *live) {
        went(turn, life, place, *at);
    }
    let (id, generation) = (life.item.id, life.item.generation + 1);
    whole(turn, id, generation, row, shape);
    turn.rule(Decision::Noticed(Noticed::Reborn { item: id, generation }));
}

/// Writes the row with all of its copies.
fn whole(turn: &mut Turn<'_>, id: ItemId, generation: u32, row: Fact, shape: &Arc<Shape>) {
    let again = turn.found.lives.get(&id).is_some_and(|lives| lives.newest().is_some());
    let Fact { start, process, cells, .. } = row;
    turn.write(Row::Fact(FactRow { id, generation, again, start, shape: Arc::clone(shape), process, cells }));
}

/// Writes the row with those of its copies that `keep` lets through.
fn part(
    turn: &mut Turn<'_>,
    id: ItemId,
    generation: u32,
    row: &Fact,
    shape: &Arc<Shape>,
    keep: impl Fn(&Place) -> bool,
) {
    let kept: Vec<bool> = places(row, shape).map(|p| keep(&p)).collect();
    if kept.iter().all(|k| *k) {
        return whole(turn, id, generation, row.clone(), shape);
    }
    let pick = |i: usize| kept.get(i).copied().unwrap_or_default();
    let copies = shape.copies.iter().enumerate().filter(|(i, _)| pick(*i)).map(|(_, c)| c.clone()).collect();
    let cells = row.cells.iter().enumerate().filter(|(i, _)| pick(*i)).map(|(_, c)| c.clone()).collect();
    let shape = Arc::new(Shape { copies, ..(**shape).clone() });
    whole(turn, id, generation, Fact { cells, ..row.clone() }, &shape);
}

fn places<'a>(row: &'a Fact, shape: &'a Shape) -> impl Iterator<Item = Place> + 'a {
    shape.kinds().iter().zip(&row.cells).map(|(kind, cell)| Place {
        system: kind.system.clone(),
        dataset: kind.dataset.clone(),
        cell: cell.clone(),
    })
}

/// A live item is recorded again: same content, nothing; otherwise what is named takes the newer words. A copy
/// that was erased meanwhile is an echo or came back.
fn again(turn: &mut Turn<'_>, life: &Life, row: Fact, shape: &Arc<Shape>) {
    let named: Vec<(Place, Option<Copy>)> = places(&row, shape)
        .map(|p| {
            let known = life.copy_at(&p).and_then(|at| life.item.copies.get(at)).cloned();
            (p, known)
        })
        .collect();
    let earlier = row.start.is_some_and(|s| life.item.recorded.is_none_or(|known| s < known));
    let process = row.process.is_some() && life.item.process.is_none();
    let same = named.iter().zip(shape.kinds()).all(|((_, known), kind)| {
        known.as_ref().is_some_and(|k| {
            let mut told = CopyKind::clone(kind);
            // What the dataset maps is not for a fact to say.
            told.categories.extend(k.categories.iter().filter(|c| !shape.categories.contains(c)).cloned());
            told.categories.sort();
            told == *k.kind
        })
    });
    let back = back(life, &row, shape);
    if !same || earlier || process {
        whole(turn, life.item.id, life.item.generation, row, shape);
    }
    if back.is_empty() {
        if named.iter().any(|(_, k)| k.as_ref().is_some_and(|k| !k.is_live())) {
            turn.rule(Decision::Noticed(Noticed::Echo { item: life.item.id }));
        }
        return;
    }
    revive(turn, life, &back);
}

/// Copies that were gone before the source says this happened.
fn back(life: &Life, row: &Fact, shape: &Shape) -> Vec<Place> {
    let gone = |place: &Place| gone_at(life.item.copies.get(life.copy_at(place)?)?.state);
    places(row, shape).filter(|place| gone(place).is_some_and(|at| row.source_time > at)).collect()
}

/// News of an item whose last copy is gone.
fn after_the_end(turn: &mut Turn<'_>, life: &Life, row: Fact, shape: &Arc<Shape>) {
    let id = life.item.id;
    let ended = life.left_at().unwrap_or_default();
    let unknown: Vec<Place> = places(&row, shape).filter(|p| life.copy_at(p).is_none()).collect();
    let starts_after = row.start.is_some_and(|s| s > ended);
    let new_life = row.source_time > ended
        && match row.origin {
            Origin::Create => true,
            // Without a start nobody can say that it is the old one: a person who came back is not erased by mistake.
            Origin::Event | Origin::Import => starts_after || row.start.is_none(),
            Origin::Update | Origin::Read | Origin::Scan => starts_after,
            Origin::Delete => false,
        };
    if new_life {
        let generation = life.item.generation + 1;
        whole(turn, id, generation, row, shape);
        return turn.rule(Decision::Noticed(Noticed::Reborn { item: id, generation }));
    }
    // From before a copy's end: an echo. From after it: it is there again. Never known: owed at once.
    let back = back(life, &row, shape);
    if back.is_empty() && unknown.is_empty() {
        return turn.rule(Decision::Noticed(Noticed::Echo { item: id }));
    }
    // What its company had taken away itself and brings back was never over, and the item lives on.
    let lives_on = back.iter().any(|p| !was_erased(life, p));
    if !back.is_empty() {
        let lives = |p: &Place| back.contains(p) || (lives_on && unknown.contains(p));
        part(turn, id, life.item.generation, &row, shape, lives);
        revive(turn, life, &back);
    }
    if !unknown.is_empty() && !lives_on {
        late(turn, life, &row, shape, &unknown);
    }
}

/// Copies that are there again. What we had erased is erased again, and reported.
fn revive(turn: &mut Turn<'_>, life: &Life, places: &[Place]) {
    let id = life.item.id;
    for place in places {
        let (generation, place) = (life.item.generation, place.clone());
        let erased = was_erased(life, &place);
        let what = match erased {
            true => What::Revived { id, generation, place: place.clone() },
            false => What::Returned { id, generation, place: place.clone() },
        };
        turn.write(Row::Change(ChangeRow { subject: id.subject, what }));
        if erased {
            turn.rule(Decision::Noticed(Noticed::Resurrected { item: id, place: place.clone() }));
            revived_with(turn, life, &place, false);
        }
    }
    if places.iter().any(|place| was_erased(life, place)) {
        owe(turn, id, &Cause::Resurrection);
    }
}

fn was_erased(life: &Life, place: &Place) -> bool {
    let copy = life.copy_at(place).and_then(|at| life.item.copies.get(at));
    copy.is_some_and(|c| matches!(c.state, CopyState::Erased { .. }))
}

fn late(turn: &mut Turn<'_>, life: &Life, row: &Fact, shape: &Arc<Shape>, unknown: &[Place]) {
    let id = life.item.id;
    part(turn, id, life.item.generation, row, shape, |p| unknown.contains(p));
    for place in unknown {
        let what = What::Late { id, generation: life.item.generation, place: place.clone() };
        turn.write(Row::Change(ChangeRow { subject: id.subject, what }));
        turn.rule(Decision::Noticed(Noticed::Late { item: id, place: place.clone() }));
    }
    owe(turn, id, &Cause::LateCopy);
}

/// Opens what an item owes by now, without waiting for a sweep.
pub(super) fn owe(turn: &mut Turn<'_>, id: ItemId, cause: &Cause) {
    let Some(life) = turn.found.lives.get(&id).and_then(|l| l.newest()).cloned() else { return };
    let subject = turn.subject(id.subject);
    let due = wishes(&turn.state.control, &life, &subject, moment(turn.state, &life));
    turn.settle(&life, &due, cause);
}

/// Its source says the record was deleted: our own doing, or somebody else's.
fn deleted(turn: &mut Turn<'_>, life: &Life, row: &Fact, shape: &Arc<Shape>) {
    for place in places(row, shape) {
        gone(turn, life, Some(&place.system), Some(&place.dataset), row.source_time);
    }
}

/// Copies of a life went: by our doing where a command of ours is out for them, whose answer is still to come.
pub(super) fn gone(
    turn: &mut Turn<'_>,
    life: &Life,
    system: Option<&str>,
    dataset: Option<&str>,
    at: Millis,
) {
    let id = life.item.id;
    let named =
        |c: &&Copy| system.is_none_or(|s| *s == *c.system) && dataset.is_none_or(|d| *d == *c.dataset);
    let live: Vec<Copy> = life.item.copies.iter().filter(|c| c.is_live()).filter(named).cloned().collect();
    let earlier = life.item.generation > 1 && life.item.recorded.is_some_and(|began| at < began);
    if live.is_empty() || earlier {
        return turn.rule(Decision::Noticed(Noticed::Echo { item: id }));
    }
    for copy in live {
        let place = copy.place();
        let out = turn.state.duties.out(id, &copy.system).and_then(|out| turn.state.duties.get(out));
        let ours = out.is_some_and(|d| d.duty == Duty::Delete && copy.is_at(&d.place));
        let mut holds: Vec<String> =
            copy.categories.iter().flat_map(|c| turn.state.control.holds_on(&life.item, &copy, c)).collect();
        holds.sort();
        holds.dedup();
        if ours {
            turn.rule(Decision::Noticed(Noticed::Echo { item: id }));
        } else if !holds.is_empty() {
            turn.rule(Decision::Noticed(Noticed::Breach { item: id, place: place.clone(), holds }));
        }
        match copy.derived {
            true => kept_by_name(turn, life, &place),
            false => outlives(turn, life, &place),
        }
        went(turn, life, &place, at);
    }
    owe(turn, id, &Cause::LateCopy);
}

fn went(turn: &mut Turn<'_>, life: &Life, place: &Place, at: Millis) {
    let id = life.item.id;
    let (system, dataset) = (Some(place.system.to_string()), Some(place.dataset.to_string()));
    let what = What::Gone { id, system, dataset, at };
    turn.write(Row::Change(ChangeRow { subject: id.subject, what }));
}

fn gone_at(state: CopyState) -> Option<Millis> {
    match state {
        CopyState::Live => None,
        CopyState::Erased { at, .. } | CopyState::Gone { at } => Some(at),
    }
}
