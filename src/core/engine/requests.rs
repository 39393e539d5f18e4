//! Data subject requests: which purposes they end, what falls due by that, and what the law keeps.

use std::collections::BTreeSet;

use crate::identity::SubjectKey;
use crate::item::Copy;
use crate::life::{ChangeRow, Life, What};
use crate::obligation::{Cause, Event, ObligationId, Stand};
use crate::policy::{Because, EndsOn, Grounds, NAMELESS, RequestEffect, Starts, ends_by_request};
use crate::record::{RequestMoved, RequestReceived};
use crate::request::{Request, RequestAnswer, RequestKind, RequestTarget, UNVERIFIED};
use crate::time::Millis;

use super::corrections::{self, Corrected};
use super::decision::{Decision, Noticed, Row};
use super::duties::{judge, wishes};
use super::reach::moment;
use super::{Turn, access, links, restrict};

pub(super) fn received(turn: &mut Turn<'_>, record: &RequestReceived) {
    let (Some(subject), Some(kind)) =
        (SubjectKey::from_slice(&record.subject), RequestKind::parse(&record.kind))
    else {
        return turn.ignore("a request that cannot be read");
    };
    let known = turn.state.requests.get(&record.id).cloned();
    if known.as_ref().is_some_and(|known| known.members.contains(&subject)) {
        return turn.ignore("a request taken in before");
    }
    let request = Request {
        id: record.id.clone(),
        kind,
        subject,
        grounds: record.grounds.clone(),
        purposes: record.purposes.clone(),
        regime: record.regime.clone(),
        received: Millis(record.received),
        due: Millis(record.due),
        by: record.by.clone(),
        cancelled: false,
        lifted: None,
        overdue: false,
        waits: None,
        members: BTreeSet::from([subject]),
        passed_on: turn.passed_on,
        categories: record.categories.clone(),
        corrections: record.corrections.clone(),
        targets: Vec::new(),
        trace: turn.trace.as_deref().map(str::to_owned),
        asked: record.asked.clone(),
    };
    if let Some(cell) = &record.identity {
        turn.write(Row::Identity { subject, cell: cell.clone() });
    }
    if let Some(why) = waits(turn, record.unverified, subject) {
        let waits = Some(why.to_owned());
        return turn.rule(Decision::Requested(Box::new(Request { waits, ..request })));
    }
    let targets = carried_out(turn, &request);
    let taken_in = match known {
        // Another identity of the same person lives here too.
        Some(known) => {
            let members = known.members.iter().copied().chain([subject]).collect();
            let targets = known.targets.iter().cloned().chain(targets).collect();
            Request { members, targets, ..known }
        }
        None => Request { targets, ..request.clone() },
    };
    turn.rule(Decision::Requested(Box::new(taken_in)));
    links::request_for_all(turn, &request);
}

/// Why nothing is done yet; who passed it on has asked that already.
fn waits(turn: &Turn<'_>, unverified: bool, subject: SubjectKey) -> Option<&'static str> {
    match (turn.passed_on, unverified) {
        (true, _) => None,
        (false, true) => Some(UNVERIFIED),
        (false, false) => links::unclear(turn, subject),
    }
}

/// What the request does to the items of its identity.
fn carried_out(turn: &mut Turn<'_>, request: &Request) -> Vec<RequestTarget> {
    match request.kind {
        RequestKind::Erase => end_purposes(turn, request, EndsOn::Erase),
        RequestKind::Object => end_purposes(turn, request, EndsOn::Object),
        RequestKind::Withdraw => end_purposes(turn, request, EndsOn::Withdraw),
        RequestKind::Correct => corrected(turn, request),
        RequestKind::Restrict => restrict::restricted(turn, request),
        RequestKind::Access => access::held(turn, request),
    }
}

/// Every item of the person that holds such a category takes the new value.
fn corrected(turn: &mut Turn<'_>, request: &Request) -> Vec<RequestTarget> {
    let Some(values) = &request.corrections else { return Vec::new() };
    let cause = Cause::Request(request.id.as_str().into());
    let mine = turn.found.lives.values().filter_map(|l| l.newest());
    let mine: Vec<Life> = mine.filter(|l| l.item.id.subject == request.subject).cloned().collect();
    let values = Corrected { categories: &request.categories, values };
    mine.iter().flat_map(|life| corrections::correct(turn, life, values, &cause)).collect()
}

/// What a purpose of one item answers to this request.
struct Answered {
    purpose: String,
    effect: RequestEffect,
}

fn end_purposes(turn: &mut Turn<'_>, request: &Request, kind: EndsOn) -> Vec<RequestTarget> {
    let lives = lives_of(turn, request.subject);
    let answered: Vec<(Life, Vec<Answered>)> =
        lives.into_iter().map(|life| (life.clone(), answers(turn, request, kind, &life))).collect();
    end_everywhere(turn, request, kind, &answered);
    for (life, answers) in &answered {
        for answer in answers.iter().filter(|a| a.effect == RequestEffect::Ends) {
            let (id, purpose, at) = (life.item.id, answer.purpose.clone(), turn.state.now);
            let what = match kind {
                EndsOn::Withdraw => What::ItemWithdrawn { id, purpose, at },
                EndsOn::Object | EndsOn::Erase => What::ItemEnded { id, purpose, at },
            };
            turn.write(Row::Change(ChangeRow { subject: request.subject, what }));
        }
    }
    let cause = Cause::Request(request.id.as_str().into());
    answered.iter().flat_map(|(life, answers)| targets(turn, life, answers, kind, &cause)).collect()
}

/// A purpose that ends for every item ends for the subject: an item that becomes known later, and was recorded
/// before, follows.
fn end_everywhere(turn: &mut Turn<'_>, request: &Request, kind: EndsOn, answered: &[(Life, Vec<Answered>)]) {
    let all = || answered.iter().flat_map(|(_, answers)| answers);
    let mut purposes: BTreeSet<String> = all().map(|a| a.purpose.clone()).collect();
    purposes.retain(|p| all().filter(|a| a.purpose == *p).all(|a| a.effect == RequestEffect::Ends));
    // A withdrawal may come before anything that it ends.
    if kind == EndsOn::Withdraw {
        let policy = turn.state.control.policy.clone();
        let withdraws = |p: &&String| {
            policy.as_ref().and_then(|a| a.policy.purposes.get(*p)).is_some_and(|p| p.ends_on.contains(&kind))
        };
        purposes.extend(request.purposes.iter().filter(withdraws).cloned());
    }
    for purpose in purposes {
        let at = turn.state.now;
        let what = match kind {
            EndsOn::Withdraw => What::Withdrawn { purpose, at },
            EndsOn::Object | EndsOn::Erase => What::Ended { purpose, at },
        };
        turn.write(Row::Change(ChangeRow { subject: request.subject, what }));
    }
}

pub(super) fn lives_of(turn: &Turn<'_>, subject: SubjectKey) -> Vec<Life> {
    let newest = turn.found.lives.values().filter_map(|l| l.newest());
    newest.filter(|l| l.item.id.subject == subject && !l.is_ended()).cloned().collect()
}

/// No purpose was named, or the copy has one that was.
pub(super) fn asked_about(request: &Request, copy: &Copy) -> bool {
    request.purposes.is_empty() || request.purposes.iter().any(|p| copy.purposes.contains(p))
}

fn answers(turn: &Turn<'_>, request: &Request, kind: EndsOn, life: &Life) -> Vec<Answered> {
    let Some(active) = &turn.state.control.policy else { return Vec::new() };
    let subject = turn.subject(request.subject);
    let (policy, calendar) = (&active.policy, &active.calendar);
    let starts = Starts { policy, calendar, item: &life.item, subject: &subject };
    let mut purposes: BTreeSet<&str> = BTreeSet::new();
    for copy in life.item.copies.iter().filter(|c| c.is_live()) {
        purposes.extend(copy.purposes.iter().map(String::as_str));
        if copy.purposes.is_empty() {
            purposes.insert(NAMELESS);
        }
    }
    let grounds = request.grounds.as_deref().and_then(Grounds::parse);
    let asked = |p: &&str| request.purposes.is_empty() || request.purposes.iter().any(|q| q == p);
    let effect = |p: &str| ends_by_request(&starts, p, kind, grounds, turn.state.now);
    purposes
        .into_iter()
        .filter(asked)
        .map(|purpose| Answered { purpose: purpose.to_owned(), effect: effect(purpose) })
        .collect()
}

fn targets(
    turn: &mut Turn<'_>,
    life: &Life,
    answered: &[Answered],
    kind: EndsOn,
    cause: &Cause,
) -> Vec<RequestTarget> {
    let subject = turn.subject(life.item.id.subject);
    let due = wishes(&turn.state.control, life, &subject, moment(turn.state, life));
    let wanted = turn.settle(life, &due, cause);
    let mut targets: Vec<RequestTarget> = due
        .iter()
        .zip(wanted)
        .map(|(wish, id)| RequestTarget {
            item: life.item.id,
            place: wish.place.clone(),
            categories: wish.parts.to_vec(),
            answer: RequestAnswer::Duty(id),
        })
        .collect();
    if kind == EndsOn::Erase {
        targets.extend(kept(turn, life, &targets, answered, &subject));
    }
    targets
}

/// Parts that the request asked for and that stay: why, by which rule and law, until when.
fn kept(
    turn: &Turn<'_>,
    life: &Life,
    gone: &[RequestTarget],
    answered: &[Answered],
    subject: &crate::item::Subject,
) -> Vec<RequestTarget> {
    let Some(active) = &turn.state.control.policy else { return Vec::new() };
    let verdict = judge(active, &turn.state.control, life, subject, turn.state.now);
    let mut kept = Vec::new();
    for ((copy, _), verdict) in life.copies().zip(&verdict.copies).filter(|((c, _), _)| c.is_live()) {
        let place = copy.place();
        let going =
            |category: &String| gone.iter().any(|t| t.place == place && t.categories.contains(category));
        let parts = verdict.parts.iter().filter(|p| !going(&p.category)).collect::<Vec<_>>();
        if parts.is_empty() {
            continue;
        }
        let live = answered.iter().filter(|a| copy.purposes.contains(&a.purpose));
        let winner = parts.iter().flat_map(|p| &p.rules).find(|r| r.wins);
        let until = parts.iter().filter_map(|p| p.due).max();
        let answer = live.filter_map(|a| answer_of(a, winner.map(|r| r.id.clone()), until)).next().unwrap_or(
            RequestAnswer::Refused {
                reason: "purpose_still_live".to_owned(),
                rule: winner.map(|r| r.id.clone()),
                law: None,
                until,
            },
        );
        let categories = parts.iter().map(|p| p.category.clone()).collect();
        kept.push(RequestTarget { item: life.item.id, place, categories, answer });
    }
    kept
}

fn answer_of(answered: &Answered, winner: Option<String>, date: Option<Millis>) -> Option<RequestAnswer> {
    match &answered.effect {
        RequestEffect::Ends => None,
        RequestEffect::Refused(refusal) => Some(RequestAnswer::Refused {
            reason: because(refusal.because).to_owned(),
            rule: refusal.rule.clone().or(winner),
            law: refusal.law.clone(),
            until: refusal.until.or(date),
        }),
        RequestEffect::PersonDecides => Some(RequestAnswer::Decide { purpose: answered.purpose.clone() }),
        RequestEffect::NotEnded => Some(RequestAnswer::Refused {
            reason: "purpose_still_live".to_owned(),
            rule: winner,
            law: None,
            until: date,
        }),
    }
}

fn because(because: Because) -> &'static str {
    match because {
        Because::LegalObligation => "legal_obligation",
        Because::ContractRuns => "contract_runs",
        Because::PolicySays => "policy_says",
    }
}

/// A person moved a request on.
pub(super) fn moved(turn: &mut Turn<'_>, record: &RequestMoved) {
    let Some(request) = turn.state.requests.get(&record.id).cloned() else {
        return turn.ignore("a request nobody knows");
    };
    links::move_for_all(turn, record, request.subject);
    match record.verb.as_str() {
        // Nothing but that is done before it is known who asks.
        "verify-identity" if request.is_unverified() => verified(turn, request),
        "decide" if request.is_unverified() => turn.ignore("nobody knows yet whose request it is"),
        "decide" if request.waits.is_some() => cleared(turn, record, request),
        "lift" if request.kind == RequestKind::Restrict => restrict::lifted(turn, request),
        "cancel" => {
            for target in &request.targets {
                if let RequestAnswer::Duty(id) = target.answer {
                    turn.advance(id, Event::Withdraw, |d| d.block = None);
                }
            }
            turn.rule(Decision::Requested(Box::new(Request { cancelled: true, ..request })));
        }
        "decide" => decided(turn, record, request),
        "extend" => {
            let due = record.until.map_or(request.due, Millis);
            turn.rule(Decision::Requested(Box::new(Request { due, overdue: false, ..request })));
        }
        _ => turn.ignore("a verb this request does not know"),
    }
}

/// Who asks is who they say: carried out, unless it is not clear whom else it concerns.
fn verified(turn: &mut Turn<'_>, request: Request) {
    if let Some(why) = waits(turn, false, request.subject) {
        let waits = Some(why.to_owned());
        return turn.rule(Decision::Requested(Box::new(Request { waits, ..request })));
    }
    carry_out_for_all(turn, request);
}

/// A person looked whose identity it is: carried out for all that are linked, or not at all.
fn cleared(turn: &mut Turn<'_>, record: &RequestMoved, request: Request) {
    if record.decision.as_deref() != Some("end") {
        return turn.rule(Decision::Requested(Box::new(Request { cancelled: true, ..request })));
    }
    carry_out_for_all(turn, request);
}

/// What waited is done now, for the person's other identities too.
fn carry_out_for_all(turn: &mut Turn<'_>, request: Request) {
    let targets = carried_out(turn, &request);
    let request = Request { targets, waits: None, ..request };
    turn.rule(Decision::Requested(Box::new(request.clone())));
    links::request_for_all(turn, &request);
}

/// A person decided what the rules left open: the purposes named end, or stay.
fn decided(turn: &mut Turn<'_>, record: &RequestMoved, request: Request) {
    if record.decision.as_deref() == Some("end") {
        for purpose in &record.purposes {
            // Decided for the person, so for every item of theirs.
            for subject in &request.members {
                let what = What::Ended { purpose: purpose.clone(), at: turn.state.now };
                turn.write(Row::Change(ChangeRow { subject: *subject, what }));
            }
        }
    }
    let cause = Cause::Request(request.id.as_str().into());
    let keeps = |t: &RequestTarget| match &t.answer {
        RequestAnswer::Decide { purpose } => !record.purposes.contains(purpose),
        RequestAnswer::Duty(_) | RequestAnswer::Refused { .. } | RequestAnswer::Held { .. } => true,
    };
    let mut all: Vec<RequestTarget> = request.targets.iter().filter(|t| keeps(t)).cloned().collect();
    let decided: Vec<&RequestTarget> = request.targets.iter().filter(|t| !keeps(t)).collect();
    let reason = record.reason.clone().unwrap_or_else(|| "decided".to_owned());
    let lives: Vec<Life> = request.members.iter().flat_map(|member| lives_of(turn, *member)).collect();
    for life in lives {
        for target in targets(turn, &life, &[], EndsOn::Object, &cause) {
            if !all.iter().any(|t| t.answer == target.answer) {
                all.push(target);
            }
        }
    }
    for target in decided {
        let going = |t: &RequestTarget| t.place == target.place && matches!(t.answer, RequestAnswer::Duty(_));
        if !all.iter().any(going) {
            let answer =
                RequestAnswer::Refused { reason: reason.clone(), rule: None, law: None, until: None };
            all.push(RequestTarget { answer, ..target.clone() });
        }
    }
    turn.rule(Decision::Requested(Box::new(Request { targets: all, ..request })));
}

/// A request is past its date and not answered: told once, and once more when it was extended and passed that too.
pub(super) fn passed(turn: &mut Turn<'_>) {
    let now = turn.state.now;
    let late = turn.state.requests.values().filter(|r| !r.overdue && r.due <= now);
    let late = late.filter(|r| r.state(|id| turn.state.duties.get(id)).is_open());
    for request in late.cloned().collect::<Vec<_>>() {
        turn.rule(Decision::Noticed(Noticed::Overdue { request: request.id.clone() }));
        turn.rule(Decision::Requested(Box::new(Request { overdue: true, ..request })));
    }
}

/// A system went to enforce mode: what requests wait for there is carried out; sweeps wait for the next.
pub(super) fn enforced(turn: &mut Turn<'_>, system: &str) {
    let waiting: Vec<ObligationId> = turn
        .state
        .duties
        .standing(Stand::Observed)
        .filter(|d| *d.place.system == *system && matches!(d.cause, Cause::Request(_) | Cause::Correction))
        .map(|d| d.id)
        .collect();
    for id in waiting {
        turn.advance(id, Event::Release, |_| {});
    }
}
