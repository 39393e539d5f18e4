//! Moves the state to where a decision says it is. Decides nothing.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use crate::item::Subject;
use crate::life::{Lives, change_subject};
use crate::obligation::{Duty, Event, ObligationId};
use crate::request::Request;
use crate::time::Millis;

use super::decision::{Decision, Noticed, Row};
use super::{Alive, Found, State};

pub(super) fn evolve(state: &mut State, found: &mut Found, decision: &Decision) {
    match decision {
        Decision::Began { epoch } => state.epoch = i64::try_from(*epoch).ok(),
        Decision::Now(now) => state.now = state.now.max(*now),
        Decision::Watermark { source, generation, position, time } => {
            raise(&mut state.watermarks, (source.clone(), *generation), *time);
            state.positions.insert((source.clone(), *generation), position.clone());
        }
        Decision::DeadLettered(letter) => state.dead_letters.put((**letter).clone()),
        Decision::DeadLetterClosed { id } => state.dead_letters.take(id),
        Decision::Mark { source, generation, topic, partition, to } => {
            raise(&mut state.marks, (source.clone(), *generation, topic.clone(), *partition), *to);
        }
        Decision::Control { k, entry } => state.control.apply(*k, entry),
        Decision::Wrote(row) => fold(&mut state.alive, found, row),
        Decision::Opened(duty) => {
            if duty.duty == Duty::Correct {
                state.corrections = state.corrections.max(duty.round);
            }
            state.duties.put(Arc::clone(duty));
        }
        Decision::Moved { event, duty } => {
            let carried = *event == Event::ReadGone || (*event == Event::Execute && duty.confirmed);
            state.tally.corrected += u64::from(duty.duty == Duty::Correct && carried);
            state.duties.put(Arc::clone(duty));
        }
        Decision::Noted(duty) => state.duties.put(Arc::clone(duty)),
        Decision::Requested(request) => {
            state.duties.name(request);
            let before = state.requests.insert(request.id.clone(), (**request).clone());
            let now: BTreeSet<ObligationId> = request.duties().collect();
            let left = before.iter().flat_map(Request::duties).filter(|id| !now.contains(id));
            let left: Vec<ObligationId> = left.collect();
            // As a start finds it: by the requests that there are.
            if !left.is_empty() {
                state.duties.unname(left.into_iter(), state.requests.values());
            }
        }
        Decision::Swept { sweep, slice } => {
            state.slices.insert(sweep.clone(), *slice);
        }
        Decision::Covered { hold, covered } => {
            state.covered.insert(hold.clone(), covered.clone());
        }
        Decision::Linked { subject, also } => {
            state.control.links.entry(*subject).or_default().insert(*also);
        }
        Decision::Claimed { subject, by } => {
            state.claims.entry(*subject).or_default().insert(*by);
        }
        Decision::Contested { subject, contested } => {
            match contested {
                true => state.contested.insert(*subject),
                false => state.contested.remove(subject),
            };
        }
        Decision::Doubted { subject, about } => {
            match about.is_empty() {
                true => state.doubts.remove(subject),
                false => state.doubts.insert(*subject, about.clone()),
            };
        }
        Decision::PassedOn { number, letter } => {
            state.passed_on = *number;
            state.outbox.insert(*number, (**letter).clone());
        }
        Decision::Delivered { up_to } => state.outbox.retain(|number, _| number > up_to),
        Decision::Told { up_to } => state.news.told(*up_to),
        Decision::Received { from, number } => {
            state.received.insert(*from, *number);
        }
        Decision::RequestsForgotten { ids } => {
            let gone: Vec<Request> = ids.iter().filter_map(|id| state.requests.remove(id)).collect();
            state.duties.unname(gone.iter().flat_map(Request::duties), state.requests.values());
        }
        Decision::Forgot { item: _, duties } => duties.iter().for_each(|id| state.duties.take(*id)),
        Decision::Forgotten { .. } => {}
        Decision::Noticed(what) => match what {
            Noticed::Echo { .. } => state.tally.echoes += 1,
            Noticed::Resurrected { place, .. } => {
                state.tally.resurrected += 1;
                *state.resurrected.entry(place.system.to_string()).or_default() += 1;
            }
            Noticed::Reborn { .. } => state.tally.generations += 1,
            Noticed::Breach { .. } => state.tally.breaches += 1,
            Noticed::Late { .. } => {}
            Noticed::Undeclared { .. } => state.tally.undeclared += 1,
            Noticed::Overdue { .. } => {}
            Noticed::PastDeadline { .. } => state.tally.past_deadline += 1,
        },
        Decision::Ignored { .. } => state.tally.ignored += 1,
    }
}

fn raise<K: Ord, V: Ord + Copy>(map: &mut BTreeMap<K, V>, key: K, value: V) {
    let entry = map.entry(key).or_insert(value);
    *entry = (*entry).max(value);
}

/// What was fetched for this record follows what the record writes.
fn fold(alive: &mut Alive, found: &mut Found, row: &Row) {
    match row {
        Row::Fact(fact) if found.is_read_no_more(fact.id) => {
            alive.moved(0, fact.copies());
            found
                .subjects
                .get_mut(&fact.id.subject)
                .into_iter()
                .for_each(|subject| seen(subject, fact.start));
        }
        Row::Fact(fact) => {
            let lives: &mut Lives = found.lives.entry(fact.id).or_default();
            let before = lives.live_copies();
            lives.record(fact);
            alive.moved(before, lives.live_copies());
            let subject =
                found.subjects.entry(fact.id.subject).or_insert_with(|| Subject::unknown(fact.id.subject));
            seen(subject, fact.start);
        }
        Row::Change(change) => {
            let subject =
                found.subjects.entry(change.subject).or_insert_with(|| Subject::unknown(change.subject));
            match change.what.item() {
                Some(id) => {
                    // What ends or revives a copy was looked up first; the rest changes no count.
                    let lives = found.lives.entry(id).or_default();
                    let before = lives.live_copies();
                    lives.change(&change.what);
                    alive.moved(before, lives.live_copies());
                    if let crate::life::What::Touched { at, .. } = &change.what {
                        seen(subject, Some(*at));
                    }
                }
                None => change_subject(subject, &change.what),
            }
        }
        Row::Identity { .. } => {}
    }
}

fn seen(subject: &mut Subject, at: Option<Millis>) {
    subject.latest_activity = subject.latest_activity.max(at);
}
