//! The end of the evidence period: what was gone before it, and asked before it, is known no longer.
//!
//! Invariant: nothing is forgotten that something may yet be done about. An item goes when its last life ended before
//! the time that was named, no hold covers it, each of its duties came to rest before then and no request that is still
//! kept refers to one; a person with their last item, when nothing newer was told of them. What a person's other items are judged by stays.
//! Rejected: dates on each row, which would forget in the middle of a certificate's evidence and differ by who looks.

use std::collections::{BTreeMap, BTreeSet};

use crate::hold::Scope;
use crate::identity::{ItemId, SubjectKey};
use crate::item::Subject;
use crate::life::{ChangeRow, Life, Lives, What};
use crate::obligation::{Cause, Obligation, Stand};
use crate::record::EvidenceEnded;
use crate::request::{Request, RequestKind};
use crate::time::Millis;

use super::decision::{Decision, Effect, Row};
use super::state::State;
use super::{Turn, awaits_read_back};

/// What is gone longer than evidence is kept, being forgotten in one partition.
#[derive(Debug)]
pub(super) struct Forgetting {
    before: Millis,
    /// Requests that stay are about them, or letters to and from them wait.
    asked_for: BTreeSet<SubjectKey>,
    gone: Gone,
}

/// How much that was.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Gone {
    pub items: u64,
    pub persons: u64,
    pub requests: u64,
}

impl Forgetting {
    pub(super) fn begin(turn: &mut Turn<'_>, record: &EvidenceEnded) -> Self {
        let before = Millis(record.before);
        let over = turn.state.requests.values().filter(|request| is_over(turn.state, request, before));
        let over: Vec<String> = over.map(|request| request.id.clone()).collect();
        let gone = Gone { requests: over.len() as u64, ..Gone::default() };
        if !over.is_empty() {
            turn.rule(Decision::RequestsForgotten { ids: over });
        }
        let requests = turn.state.requests.values();
        let asked_for = requests.flat_map(|request| request.members.iter().copied().chain([request.subject]));
        let letters = turn.state.outbox.values().flat_map(|letter| [letter.from, letter.to]);
        Self { before, asked_for: asked_for.chain(letters).collect(), gone }
    }

    pub(super) fn slice(&mut self, turn: &mut Turn<'_>) {
        let found = std::mem::take(&mut turn.found.lives);
        let mut persons: BTreeMap<SubjectKey, Vec<(ItemId, &Lives)>> =
            turn.found.subjects.keys().map(|key| (*key, Vec::new())).collect();
        for (id, lives) in &found {
            persons.entry(id.subject).or_default().push((*id, lives));
        }
        for (key, items) in persons {
            let (past, stays): (Vec<_>, Vec<_>) =
                items.into_iter().partition(|(id, lives)| self.is_past(turn, *id, lives));
            for (id, _) in &past {
                self.gone.items += 1;
                let duties = turn.state.duties.of_item(*id).map(|duty| duty.id).collect();
                turn.write(Row::Change(ChangeRow { subject: key, what: What::Forgotten { id: *id } }));
                turn.rule(Decision::Forgot { item: *id, duties });
            }
            let subject = turn.subject(key);
            if stays.is_empty() && self.is_unneeded(turn.state, &subject) {
                self.gone.persons += 1;
                turn.write(Row::Change(ChangeRow { subject: key, what: What::SubjectForgotten }));
                turn.effect(Effect::Forgotten { subject: key });
            } else if !past.is_empty() {
                remember_activity(turn, &subject);
            }
        }
    }

    pub(super) fn end(self, turn: &mut Turn<'_>) {
        turn.rule(Decision::Forgotten { before: self.before, gone: self.gone });
    }

    fn is_past(&self, turn: &Turn<'_>, id: ItemId, lives: &Lives) -> bool {
        let is_over = |life: &Life| {
            life.is_ended() && life.last_gone() < Some(self.before) && !is_held(turn.state, life)
        };
        let is_unneeded = |duty: &Obligation| {
            is_at_an_end(duty) && last_moved(duty) < self.before && !turn.state.duties.is_named(duty.id)
        };
        !lives.lives.is_empty()
            && lives.lives.iter().all(is_over)
            && lives.waiting.is_empty()
            && turn.state.duties.of_item(id).all(is_unneeded)
    }

    /// Nothing was told of this person since, nobody asked for them, and no other identity is tied to theirs.
    fn is_unneeded(&self, state: &State, subject: &Subject) -> bool {
        let Subject { key, consent, events, process_events, active, latest_activity, process_activity } =
            subject;
        let consent =
            consent.granted.values().chain(consent.withdrawn.values()).chain(consent.ended.values());
        let times = consent.chain(events.values()).chain(process_events.values());
        let mut times = times.chain(process_activity.values()).chain(active).chain(latest_activity);
        times.all(|at| *at < self.before)
            && !self.asked_for.contains(key)
            && !is_person_held(state, key)
            && !state.control.links.contains_key(key)
            && !state.claims.contains_key(key)
            && !state.contested.contains(key)
            && !state.doubts.contains_key(key)
    }
}

/// Nothing will be done about it any more.
fn is_at_an_end(duty: &Obligation) -> bool {
    // What was brought back and is not verified keeps its system closed.
    let is_reapplied = matches!(duty.cause, Cause::Reapply(_));
    match duty.stand {
        Stand::Verified | Stand::Withdrawn => true,
        Stand::Observed | Stand::Refused | Stand::OutOfReach => !is_reapplied,
        Stand::Executed => !is_reapplied && !awaits_read_back(duty),
        Stand::Owed | Stand::Ordered | Stand::Accepted | Stand::Blocked => false,
        // A backup's rotation is yet to come, or it is tried again.
        Stand::Residual | Stand::Failed => false,
    }
}

fn last_moved(duty: &Obligation) -> Millis {
    let later = [duty.sent, duty.executed, duty.verified].into_iter().flatten();
    later.fold(duty.opened, Millis::max)
}

/// It was answered for good before then: its own date is the latest that anybody may have moved it at, and what the law
/// or a refusal keeps may be owed yet.
fn is_over(state: &State, request: &Request, before: Millis) -> bool {
    let is_done = |duty: &Obligation| {
        let is_done = match duty.stand {
            Stand::Verified | Stand::Withdrawn => true,
            Stand::Executed => !awaits_read_back(duty),
            Stand::Owed | Stand::Ordered | Stand::Accepted | Stand::Blocked => false,
            Stand::Observed | Stand::Refused | Stand::OutOfReach => false,
            Stand::Residual | Stand::Failed => false,
        };
        is_done && last_moved(duty) < before
    };
    let is_restriction = request.kind == RequestKind::Restrict;
    !request.state(|id| state.duties.get(id)).is_open()
        && request.received.max(request.due) < before
        && request.lifted.is_none_or(|at| at < before)
        // Until it is lifted a restriction keeps others from what it restricts.
        && (!is_restriction || request.lifted.is_some() || request.cancelled)
        && request.duties().filter_map(|id| state.duties.get(id)).all(is_done)
        && !request.members.iter().chain([&request.subject]).any(|key| is_person_held(state, key))
}

/// A hold keeps evidence, too.
fn is_held(state: &State, life: &Life) -> bool {
    let held = |copy: &crate::item::Copy| {
        // Its system may be gone, and what its columns carry with it.
        let categories = copy.categories.iter().map(String::as_str).chain([""]);
        categories.into_iter().any(|category| !state.control.holds_on(&life.item, copy, category).is_empty())
    };
    life.item.copies.iter().any(held)
}

/// …and what is known of a person without any item, where it names them or holds everything.
fn is_person_held(state: &State, key: &SubjectKey) -> bool {
    let holds =
        |scope: &Scope| scope.all || (!scope.subjects.is_empty() && state.control.may_concern(scope, key));
    state.control.holds.values().any(|hold| hold.blocks() && holds(&hold.scope))
}

/// Others of this person's items are judged by when something was last heard of them: that stays as it was.
fn remember_activity(turn: &mut Turn<'_>, subject: &Subject) {
    // One row in any case: that the person is known is told by nothing else, perhaps.
    let whole = (None, subject.latest_activity);
    let of_processes = subject.process_activity.iter().map(|(process, at)| (Some(*process), Some(*at)));
    for (process, at) in std::iter::once(whole).chain(of_processes) {
        let what = What::Seen { process, at };
        turn.write(Row::Change(ChangeRow { subject: subject.key, what }));
    }
}
