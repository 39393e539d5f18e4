//! What connectors said, and what the read-back saw.
//!
//! Only the read-back verifies. An answer to an attempt that was given up changes nothing: the next attempt finds
//! what is there.

use crate::item::CopyState;
use crate::life::{ChangeRow, Life, Parts, What};
use crate::obligation::{Block, Cause, Duty, Event, Obligation, ObligationId, Residue, Stand};
use crate::record::{Answer, AnswerKind, Confirmed, FindingKind, ReadBack, Seen};
use crate::system::Manifest;
use crate::time::Millis;

use super::decision::{Decision, Noticed, Row};
use super::derived::{outlives, precedes, revived_with};
use super::facts::owe;
use super::orders::{back_off, will_go};
use super::reapply::{found_again, is_overtaken, life_of};
use super::{Turn, corrections};

/// Attempts at a record that others refer to, when none of those is on its way.
const REFERRED_TO_TRIES: u32 = 3;

pub(super) fn confirmed(turn: &mut Turn<'_>, record: &Confirmed) {
    for answer in &record.answers {
        let duty = ObligationId::from_slice(&answer.obligation).and_then(|id| turn.state.duties.get(id));
        match duty.cloned() {
            Some(duty) if duty.stand.is_out() && i64::from(duty.attempt) == i64::from(answer.attempt) => {
                said(turn, &duty, answer);
            }
            _ => turn.ignore("an answer to a command that is not out"),
        }
    }
}

fn said(turn: &mut Turn<'_>, duty: &Obligation, answer: &Answer) {
    let now = turn.state.now;
    match answer.kind {
        AnswerKind::Removed | AnswerKind::Changed | AnswerKind::Absent if goes_again(turn, duty) => {
            turn.advance(duty.id, Event::Again, |d| {
                d.evicted = true;
                d.tries = 0;
                d.not_after = None;
                d.uncertain = false;
                d.detail = Some("gone once; it goes once more after what it is made of".to_owned());
            });
        }
        AnswerKind::Removed | AnswerKind::Changed if proves_by_reading(turn, duty) => {
            turn.note(duty.id, |d| {
                d.claimed = true;
                d.not_after = None;
                d.not_before = None;
                d.uncertain = true;
            });
        }
        AnswerKind::Removed | AnswerKind::Changed => executed(turn, duty, answer),
        // A correction never inserts; what is not in a cache is not wrong there.
        AnswerKind::Absent if duty.duty == Duty::Correct => match is_derived(turn, duty) {
            true => executed(turn, duty, answer),
            false => {
                turn.advance(duty.id, Event::Refuse, |d| {
                    d.detail = Some("nothing there to correct".to_owned());
                    d.not_after = None;
                });
            }
        },
        // The second look after an attempt that might have happened: it had.
        AnswerKind::Absent if duty.uncertain => executed(turn, duty, answer),
        // Nobody else can look: its own word is the last, here as where it says removed.
        AnswerKind::Absent | AnswerKind::Unchanged if !reads_back(turn, duty) => {
            executed(turn, duty, answer);
            turn.note(duty.id, |d| d.detail = Some("nothing there to do, by its own word".to_owned()));
        }
        // Nothing there at the first look, or nothing left to change: the read-back decides.
        AnswerKind::Absent | AnswerKind::Unchanged => turn.note(duty.id, |d| {
            d.absent = true;
            d.not_after = None;
            d.detail = answer.detail.clone();
        }),
        AnswerKind::Accepted => {
            let within = manifest(turn, duty).map_or(30 * Millis::DAY, Manifest::answers_within);
            turn.advance(duty.id, Event::Accept, |d| {
                d.reference = answer.reference.clone();
                d.not_after = None;
                d.uncertain = true;
                d.deadline = Some(now.plus(within));
            });
        }
        AnswerKind::Blocked => blocked(turn, duty, answer),
        AnswerKind::Residual => resides(turn, duty, answer),
        // What cannot be erased there ends by itself all the same.
        AnswerKind::Refused if manifest(turn, duty).is_some_and(|m| m.expires.is_some()) => {
            resides(turn, duty, answer);
        }
        AnswerKind::Refused => {
            turn.advance(duty.id, Event::Refuse, |d| {
                d.detail = answer.detail.clone();
                d.not_after = None;
            });
        }
        AnswerKind::Failed => {
            let wait = back_off(duty.id, duty.tries);
            let may_retry = answer.may_retry && !is_referred_to_for_good(turn, duty, answer);
            turn.advance(duty.id, Event::Fail, |d| {
                d.detail = answer.detail.clone();
                d.may_retry = may_retry;
                d.uncertain |= answer.might_have_happened;
                d.sent = d.sent.filter(|_| d.uncertain);
                d.not_before = may_retry.then(|| now.plus(wait));
                d.not_after = None;
            });
        }
    }
}

/// Other records refer to it, and none of them is on its way out: waiting mends nothing, somebody must. What refers to
/// it may live in another partition, so it is tried a few times all the same.
fn is_referred_to_for_good(turn: &Turn<'_>, duty: &Obligation, answer: &Answer) -> bool {
    let constraint = answer.detail.as_deref().is_some_and(|d| d.starts_with("constraint:"));
    let on_its_way = |d: &Obligation| d.id != duty.id && d.place.system == duty.place.system;
    let others = || {
        let mut going = [Stand::Owed, Stand::Ordered].into_iter().flat_map(|s| turn.state.duties.standing(s));
        going.any(on_its_way)
    };
    constraint && duty.tries >= REFERRED_TO_TRIES && !others()
}

fn manifest<'a>(turn: &'a Turn<'_>, duty: &Obligation) -> Option<&'a Manifest> {
    turn.state.control.systems.get(&*duty.place.system).map(|s| &s.manifest)
}

fn reads_back(turn: &Turn<'_>, duty: &Obligation) -> bool {
    manifest(turn, duty).is_none_or(Manifest::reads_back)
}

fn proves_by_reading(turn: &Turn<'_>, duty: &Obligation) -> bool {
    manifest(turn, duty).is_some_and(Manifest::proves_by_reading)
}

/// What is left ends by itself: read back when it has.
fn resides(turn: &mut Turn<'_>, duty: &Obligation, answer: &Answer) {
    let expires = manifest(turn, duty).and_then(|m| m.expires).map(|ms| turn.state.now.plus(ms));
    let until = answer.until.map(Millis).or(expires);
    let cause = answer.detail.clone().unwrap_or_default();
    let now = turn.state.now;
    turn.advance(duty.id, Event::Reside, |d| {
        d.residue = Some(Residue { until, cause });
        d.detail = None;
        // A later attempt answers for what was there at the first: the next backup prolongs nothing. A store without
        // a clock answers by ours.
        d.target_at = d.target_at.or(answer.at.map(Millis)).or(Some(now));
        d.not_after = None;
        d.not_before = until;
        d.unread = 0;
    });
}

/// What it is made of is still there and will go: a reader may fill it again until then.
fn goes_again(turn: &Turn<'_>, duty: &Obligation) -> bool {
    let control = &turn.state.control;
    let mut others = turn.state.duties.of_item(duty.item);
    !duty.evicted && others.any(|other| precedes(control, duty, other) && will_go(other))
}

fn executed(turn: &mut Turn<'_>, duty: &Obligation, answer: &Answer) {
    let now = turn.state.now;
    let at = answer.at.map(Millis);
    let confirmed = !reads_back(turn, duty);
    turn.advance(duty.id, Event::Execute, |d| {
        d.confirmed = confirmed;
        d.executed = Some(now);
        d.target_at = at;
        d.target_position = answer.position.clone();
        d.not_after = None;
        d.uncertain = true;
        d.unread = 0;
    });
    write_outcome(turn, duty, at.unwrap_or(now), None);
    if confirmed {
        corrections::overtaken(turn, duty);
    }
    if matches!(duty.cause, Cause::Reapply(_)) && answer.kind == AnswerKind::Removed {
        let (item, place) = (duty.item, duty.place.clone());
        turn.rule(Decision::Noticed(Noticed::Resurrected { item, place }));
    }
    if let Some(life) = deriving(turn, duty)
        && revived_with(turn, &life, &duty.place, true)
    {
        owe(turn, duty.item, &duty.cause);
    }
}

/// The life whose copy this duty takes away, where copies are made of copies.
fn deriving(turn: &Turn<'_>, duty: &Obligation) -> Option<Life> {
    let derives = duty.duty == Duty::Delete && !turn.state.control.derivations.is_empty();
    derives.then(|| life_of(turn, duty)).flatten()
}

/// The gate stopped it before its commit, or the store has a lock of its own.
fn blocked(turn: &mut Turn<'_>, duty: &Obligation, answer: &Answer) {
    let holds = holds_on(turn, duty);
    let now = turn.state.now;
    let block = match (holds.is_empty(), answer.detail.as_deref()) {
        (false, _) => Block::Hold(holds),
        (true, Some("hold" | "gate")) => {
            // Stopped for something that has passed since: owed again.
            let wait = back_off(duty.id, duty.tries);
            turn.advance(duty.id, Event::Fail, |d| {
                d.may_retry = true;
                d.not_before = Some(now.plus(wait));
                d.not_after = None;
                d.sent = d.sent.filter(|_| d.uncertain);
                d.detail = Some("stopped before its commit".to_owned());
            });
            return;
        }
        (true, _) => Block::Lock { until: answer.until.map(Millis) },
    };
    turn.advance(duty.id, Event::Block, |d| {
        d.block = Some(block);
        d.not_after = None;
        d.sent = d.sent.filter(|_| d.uncertain);
    });
    corrections::stopped(turn, duty.id);
}

fn holds_on(turn: &Turn<'_>, duty: &Obligation) -> Vec<String> {
    let Some(life) = life_of(turn, duty) else { return Vec::new() };
    let Some(copy) = life.copy_at(&duty.place).and_then(|at| life.item.copies.get(at)) else {
        return Vec::new();
    };
    let mut holds: Vec<String> = duty
        .parts
        .iter()
        .flat_map(|p| turn.state.control.holds_against(duty.duty, &life.item, copy, p))
        .collect();
    holds.sort();
    holds.dedup();
    holds
}

pub(super) fn read_back(turn: &mut Turn<'_>, record: &ReadBack) {
    for seen in &record.seen {
        let duty = ObligationId::from_slice(&seen.obligation).and_then(|id| turn.state.duties.get(id));
        match duty.cloned() {
            Some(duty) if awaits_read_back(&duty) && i64::from(duty.attempt) == i64::from(seen.attempt) => {
                saw(turn, &duty, seen);
            }
            // A look at what was erased long ago.
            Some(duty) if duty.stand.is_gone() && seen.finding == FindingKind::Found => {
                found_again(turn, &duty);
            }
            _ => turn.ignore("a read-back nobody waits for"),
        }
    }
}

/// Executed and not yet looked at, absent at the first look, said to be carried out, or at its residue's end: once its
/// `not_before` has come.
pub fn awaits_read_back(duty: &Obligation) -> bool {
    match duty.stand {
        Stand::Executed => !duty.confirmed,
        Stand::Ordered => duty.absent || duty.claimed,
        Stand::Accepted => duty.claimed,
        Stand::Residual => duty.residue.as_ref().is_some_and(|r| r.until.is_some()),
        Stand::Owed | Stand::Verified | Stand::Blocked => false,
        Stand::Refused | Stand::OutOfReach | Stand::Failed | Stand::Observed | Stand::Withdrawn => false,
    }
}

fn saw(turn: &mut Turn<'_>, duty: &Obligation, seen: &Seen) {
    let now = turn.state.now;
    match seen.finding {
        FindingKind::Gone => match unexplained(turn, duty, seen) {
            Some(why) => fail(turn, duty, why, false),
            None => {
                let executed = duty.executed.or(Some(now));
                // A residue ends some time before it is looked for: when, nobody saw.
                let told = if duty.stand == Stand::Residual { None } else { duty.target_at };
                turn.advance(duty.id, Event::ReadGone, |d| {
                    d.executed = executed;
                    d.verified = Some(now);
                    d.residue = None;
                    d.not_after = None;
                    d.detail = d.absent.then(|| "already absent".to_owned());
                });
                write_outcome(turn, duty, told.or(duty.executed).unwrap_or(now), Some(now));
                corrections::overtaken(turn, duty);
            }
        },
        FindingKind::Found if duty.stand == Stand::Executed && is_overtaken(turn, duty) => {
            turn.note(duty.id, |d| {
                d.confirmed = true;
                d.detail = Some("a new life lies there: nobody can look for the old one".to_owned());
            });
        }
        FindingKind::Found => {
            let was_executed = duty.stand == Stand::Executed || was_seen_since(turn, duty, seen);
            fail(turn, duty, "said to be gone, and the read-back found it", true);
            if let Some(parts) = parts(duty).filter(|_| was_executed) {
                write(turn, duty, |d| What::StillThere {
                    id: d.item,
                    generation: d.generation,
                    place: d.place.clone(),
                    parts,
                });
            }
        }
        FindingKind::Unreadable => {
            let wait = back_off(duty.id, duty.unread);
            turn.note(duty.id, |d| {
                d.unread += 1;
                d.not_before = Some(now.plus(wait));
                d.detail = seen.detail.clone();
            });
        }
    }
}

/// Somebody had said that the row is gone, and it was seen there after that.
fn was_seen_since(turn: &Turn<'_>, duty: &Obligation, seen: &Seen) -> bool {
    let life = life_of(turn, duty).filter(|_| duty.duty == Duty::Delete);
    let copy = life.and_then(|l| l.copy_at(&duty.place).and_then(|at| l.item.copies.get(at)).cloned());
    let seen = seen.at.map_or(turn.state.now, Millis);
    copy.is_some_and(|c| matches!(c.state, CopyState::Gone { at } if seen > at))
}

fn is_derived(turn: &Turn<'_>, duty: &Obligation) -> bool {
    let life = life_of(turn, duty);
    life.is_some_and(|l| {
        l.copy_at(&duty.place).and_then(|at| l.item.copies.get(at)).is_some_and(|c| c.derived)
    })
}

/// Absent at the first look is only *already absent* when nothing of the subject lies there under another key.
fn unexplained(turn: &Turn<'_>, duty: &Obligation, seen: &Seen) -> Option<&'static str> {
    // An earlier round saw it gone.
    if !duty.absent || duty.duty != Duty::Delete || duty.round > 0 {
        return None;
    }
    let rows = match (seen.identity_rows, is_derived(turn, duty)) {
        (Some(rows), _) => rows,
        // Nobody recorded that it is there: a copy that was never made is none.
        (None, true) => return None,
        (None, _) => return Some("absent, and this collection has no identity field to read back by"),
    };
    let same = |l: &&crate::life::Life| l.item.id.subject == duty.item.subject;
    let lives = turn.found.lives.values().filter_map(|l| l.newest()).filter(same);
    let known = lives
        .flat_map(|l| &l.item.copies)
        .filter(|c| c.is_live() && c.system == duty.place.system && c.dataset == duty.place.dataset)
        .filter(|c| !c.is_at(&duty.place))
        .count();
    let known = i64::try_from(known).unwrap_or(i64::MAX);
    (rows > known).then_some("absent under its key, and the subject has rows there that nobody recorded")
}

fn fail(turn: &mut Turn<'_>, duty: &Obligation, why: &str, may_retry: bool) {
    let (now, wait) = (turn.state.now, back_off(duty.id, duty.tries));
    turn.advance(duty.id, Event::ReadFound, |d| {
        d.detail = Some(why.to_owned());
        d.may_retry = may_retry;
        d.not_before = may_retry.then(|| now.plus(wait));
        d.not_after = None;
        d.absent = false;
        d.claimed = false;
    });
}

fn parts(duty: &Obligation) -> Option<Parts> {
    match duty.duty {
        Duty::Delete => Some(Parts::Whole),
        Duty::Change(action) => Some(Parts::Some { categories: duty.parts.to_vec(), action }),
        // A copy with other values is the same copy.
        Duty::Correct => None,
    }
}

fn write_outcome(turn: &mut Turn<'_>, duty: &Obligation, executed: Millis, verified: Option<Millis>) {
    if let Some(life) = deriving(turn, duty) {
        outlives(turn, &life, &duty.place);
    }
    let Some(parts) = parts(duty) else { return };
    write(turn, duty, |d| What::Outcome {
        id: d.item,
        generation: d.generation,
        place: d.place.clone(),
        parts,
        executed,
        verified,
    });
}

fn write(turn: &mut Turn<'_>, duty: &Obligation, what: impl FnOnce(&Obligation) -> What) {
    let row = ChangeRow { subject: duty.item.subject, what: what(duty) };
    turn.write(Row::Change(row));
}
