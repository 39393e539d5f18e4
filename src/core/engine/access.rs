//! What is held of a person: where, by category and purpose, and until when.
//!
//! Answered at once, from what is known here. The values themselves are not: they never enter the ledger, and
//! whoever answers the person reads them where this list says they lie.

use crate::life::Life;
use crate::request::{Request, RequestAnswer, RequestTarget};
use crate::verdict::{Action, CopyVerdict};

use super::Turn;
use super::duties::judge;
use super::requests::{asked_about, lives_of};

/// Every live copy of the identity's items with what it still holds.
pub(super) fn held(turn: &Turn<'_>, request: &Request) -> Vec<RequestTarget> {
    lives_of(turn, request.subject).iter().flat_map(|life| of(turn, request, life)).collect()
}

fn of(turn: &Turn<'_>, request: &Request, life: &Life) -> Vec<RequestTarget> {
    let subject = turn.subject(life.item.id.subject);
    let control = &turn.state.control;
    let active = control.policy.as_ref();
    let verdict = active.map(|active| judge(active, control, life, &subject, turn.state.now));
    let dated = |at: usize| verdict.as_ref().and_then(|v| v.copies.get(at)).and_then(|c: &CopyVerdict| c.due);
    let mut targets = Vec::new();
    for (at, (copy, note)) in life.copies().enumerate() {
        // What was masked is not the person's any more; what is restricted still is.
        let gone = |c: &String| note.changed.get(c).is_some_and(|action| *action > Action::Restrict);
        let categories: Vec<String> = copy.categories.iter().filter(|c| !gone(c)).cloned().collect();
        if !copy.is_live() || categories.is_empty() || !asked_about(request, copy) {
            continue;
        }
        let answer = RequestAnswer::Held { purposes: copy.purposes.clone(), until: dated(at) };
        targets.push(RequestTarget { item: life.item.id, place: copy.place(), categories, answer });
    }
    targets
}
