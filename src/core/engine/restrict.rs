//! Restriction because a person asked for it: every live copy is to be left unused until it is lifted.
//!
//! A duty like any other, so that a system that cannot restrict says so for each copy. No rule wants it, so no
//! settling of the rules takes it back. Rejected: a hold in its place, which would stop what the law wants erased.

use crate::item::Copy;
use crate::life::{CopyNote, Life};
use crate::obligation::{Cause, Duty, Event, Obligation, Stand};
use crate::request::{Request, RequestAnswer, RequestTarget};
use crate::system::Mode;
use crate::time::Moment;
use crate::verdict::Action;

use super::Turn;
use super::decision::Decision;
use super::duties::{Stop, Wish};
use super::requests::{asked_about, lives_of};

const DUTY: Duty = Duty::Change(Action::Restrict);

/// A person asked for it, no rule did.
pub(super) fn is_asked_for(duty: &Obligation) -> bool {
    duty.duty == DUTY && matches!(duty.cause, Cause::Request(_))
}

pub(super) fn restricted(turn: &mut Turn<'_>, request: &Request) -> Vec<RequestTarget> {
    let cause = Cause::Request(request.id.as_str().into());
    let mut targets = Vec::new();
    for life in lives_of(turn, request.subject) {
        let wishes: Vec<Wish> = life
            .copies()
            .filter(|(copy, _)| copy.is_live() && asked_about(request, copy))
            .filter_map(|(copy, note)| wish(turn, copy, note))
            .collect();
        for wish in wishes {
            let id = wish.id(&life);
            match turn.state.duties.get(id).cloned() {
                None => turn.open(&life, &wish, id, &cause),
                Some(known) => turn.renew(&known, &wish, &cause),
            }
            let answer = RequestAnswer::Duty(id);
            let (item, place) = (life.item.id, wish.place);
            targets.push(RequestTarget { item, place, categories: wish.parts.to_vec(), answer });
        }
    }
    targets
}

fn wish(turn: &Turn<'_>, copy: &Copy, note: &CopyNote) -> Option<Wish> {
    // What was masked or more needs no restriction; what is restricted by a rule is asked for all the same, or the
    // request would not know of it.
    let gone = |c: &String| note.changed.get(c).is_some_and(|action| *action > Action::Restrict);
    let mut parts: Vec<String> = copy.categories.iter().filter(|c| !gone(c)).cloned().collect();
    parts.sort();
    (!parts.is_empty()).then(|| Wish {
        place: copy.place(),
        parts: parts.into(),
        duty: DUTY,
        round: note.round,
        stop: observed(turn, copy),
        rule: None,
        due: turn.state.now,
        judged: Moment::at(turn.state.now),
        values: None,
    })
}

fn observed(turn: &Turn<'_>, copy: &Copy) -> Option<Stop> {
    (turn.state.control.mode(&copy.system) == Mode::Observe).then_some(Stop::Observed)
}

/// Judged once more before it goes out: nothing is restricted that is gone.
pub(super) fn still_owed(turn: &mut Turn<'_>, duty: &Obligation, life: &Life) -> bool {
    let there = life.copies().any(|(copy, _)| copy.is_at(&duty.place) && copy.is_live());
    if !there {
        turn.advance(duty.id, Event::Withdraw, |d| d.detail = Some("erased".to_owned()));
    }
    there
}

/// The restriction ends: what still waits is taken back, what was refused stays so. What is in force is not asked for
/// here: see [`in_force`].
pub(super) fn lifted(turn: &mut Turn<'_>, request: Request) {
    for target in &request.targets {
        if let RequestAnswer::Duty(id) = target.answer {
            let refused = turn.state.duties.get(id).is_some_and(|d| d.stand == Stand::Refused);
            if !refused {
                turn.advance(id, Event::Withdraw, |_| {});
            }
        }
    }
    let lifted = Some(turn.state.now);
    turn.rule(Decision::Requested(Box::new(Request { lifted, ..request })));
}

/// Restricted there by now, or on its way: nothing of ours takes that back.
pub fn in_force(stand: Stand) -> bool {
    match stand {
        Stand::Ordered | Stand::Accepted | Stand::Executed | Stand::Verified | Stand::Residual => true,
        Stand::Owed | Stand::Blocked | Stand::Refused | Stand::OutOfReach => false,
        Stand::Failed | Stand::Observed | Stand::Withdrawn => false,
    }
}
