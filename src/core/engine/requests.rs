//! Data subject requests: which purposes they end, what falls due by that, and what the law keeps.

use std::collections::BTreeSet;

use crate::identity::SubjectKey;
use crate::life::{ChangeRow, Life, What};
use crate::obligation::{Cause, Event, ObligationId, Stand};
use crate::policy::{EndsOn, RequestEffect, ends_by_request};
use crate::record::{RequestMoved, RequestReceived};
use crate::request::{Request, RequestAnswer, RequestKind, RequestTarget};
use crate::time::Millis;

use super::Turn;
use super::decision::{Decision, Row};
use super::duties::{NAMELESS, judge, wishes};

pub(super) fn received(turn: &mut Turn<'_>, record: &RequestReceived) {
    let (Some(subject), Some(kind)) = (SubjectKey::from_slice(&record.subject), RequestKind::parse(&record.kind)) else {
        return turn.ignore("a request that cannot be read");
    };
    if turn.state.requests.contains_key(&record.id) {
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
        targets: Vec::new(),
        trace: turn.trace.clone(),
    };
    if let Some(cell) = &record.identity {
        turn.write(Row::Identity { subject, cell: cell.clone() });
    }
    let targets = match kind {
        RequestKind::Erase => end_purposes(turn, &request, EndsOn::Erase),
        RequestKind::Object => end_purposes(turn, &request, EndsOn::Object),
        RequestKind::Withdraw => end_purposes(turn, &request, EndsOn::Withdraw),
        // Answered by a person until their connectors' ways are built.
        RequestKind::Correct | RequestKind::Restrict | RequestKind::Access => Vec::new(),
    };
    turn.rule(Decision::Requested(Box::new(Request { targets, ..request })));
}

/// What a purpose answers to this request.
struct Answered {
    purpose: String,
    effect: RequestEffect,
}

fn end_purposes(turn: &mut Turn<'_>, request: &Request, kind: EndsOn) -> Vec<RequestTarget> {
    let lives = lives_of(turn, request.subject);
    let answered = answers(turn, request, kind, &lives);
    for a in answered.iter().filter(|a| matches!(a.effect, RequestEffect::Ends)) {
        let (purpose, at) = (a.purpose.clone(), turn.state.now);
        let what = match kind {
            EndsOn::Withdraw => What::Withdrawn { purpose, at },
            EndsOn::Object | EndsOn::Erase => What::Ended { purpose, at },
        };
        turn.write(Row::Change(ChangeRow { subject: request.subject, what }));
    }
    let cause = Cause::Request(request.id.clone());
    lives.iter().flat_map(|life| targets(turn, life, &answered, kind, &cause)).collect()
}

fn lives_of(turn: &Turn<'_>, subject: SubjectKey) -> Vec<Life> {
    let newest = turn.found.lives.values().filter_map(|l| l.newest());
    newest.filter(|l| l.item.id.subject == subject && !l.is_ended()).cloned().collect()
}

fn answers(turn: &Turn<'_>, request: &Request, kind: EndsOn, lives: &[Life]) -> Vec<Answered> {
    let Some(active) = &turn.state.control.policy else { return Vec::new() };
    let subject = turn.subject(request.subject);
    let mut purposes: BTreeSet<&str> = BTreeSet::new();
    for copy in lives.iter().flat_map(|l| &l.item.copies).filter(|c| c.is_live()) {
        purposes.extend(copy.purposes.iter().map(String::as_str));
        if copy.purposes.is_empty() && kind == EndsOn::Erase {
            purposes.insert(NAMELESS);
        }
    }
    // A withdrawal may come before anything that it ends.
    if kind == EndsOn::Withdraw {
        purposes.extend(request.purposes.iter().map(String::as_str));
    }
    let asked = |p: &&str| request.purposes.is_empty() || request.purposes.iter().any(|q| q == p);
    purposes
        .into_iter()
        .filter(asked)
        .map(|purpose| {
            let effect = match purpose {
                NAMELESS => RequestEffect::Ends,
                named => ends_by_request(&active.policy, named, kind, request.grounds.as_deref(), &subject),
            };
            Answered { purpose: purpose.to_owned(), effect }
        })
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
    let due = wishes(&turn.state.control, life, &subject, turn.state.now);
    let wanted = turn.settle(life, &due, cause);
    let mut targets: Vec<RequestTarget> = due
        .iter()
        .zip(wanted)
        .map(|(wish, id)| RequestTarget {
            item: life.item.id,
            place: wish.place.clone(),
            categories: wish.parts.clone(),
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
        let going = |category: &String| gone.iter().any(|t| t.place == place && t.categories.contains(category));
        let parts = verdict.parts.iter().filter(|p| !going(&p.category)).collect::<Vec<_>>();
        if parts.is_empty() {
            continue;
        }
        let live = answered.iter().filter(|a| copy.purposes.contains(&a.purpose));
        let winner = parts.iter().flat_map(|p| &p.rules).find(|r| r.wins);
        let until = parts.iter().filter_map(|p| p.due).max();
        let answer = live
            .filter_map(|a| answer_of(a, winner.map(|r| r.id.clone()), until))
            .next()
            .unwrap_or(RequestAnswer::Refused {
                reason: "purpose_still_live".to_owned(),
                rule: winner.map(|r| r.id.clone()),
                law: None,
                until,
            });
        let categories = parts.iter().map(|p| p.category.clone()).collect();
        kept.push(RequestTarget { item: life.item.id, place, categories, answer });
    }
    kept
}

fn answer_of(answered: &Answered, winner: Option<String>, date: Option<Millis>) -> Option<RequestAnswer> {
    match &answered.effect {
        RequestEffect::Ends => None,
        RequestEffect::Refused { law, rule } => Some(RequestAnswer::Refused {
            reason: "legal_obligation".to_owned(),
            rule: rule.clone().or(winner),
            law: law.clone(),
            until: date,
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

/// A person moved a request on.
pub(super) fn moved(turn: &mut Turn<'_>, record: &RequestMoved) {
    let Some(request) = turn.state.requests.get(&record.id).cloned() else {
        return turn.ignore("a request nobody knows");
    };
    match record.verb.as_str() {
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
            turn.rule(Decision::Requested(Box::new(Request { due, ..request })));
        }
        _ => turn.ignore("a verb this request does not know"),
    }
}

/// A person decided what the rules left open: the purposes named end, or stay.
fn decided(turn: &mut Turn<'_>, record: &RequestMoved, request: Request) {
    if record.decision.as_deref() == Some("end") {
        for purpose in &record.purposes {
            let what = What::Ended { purpose: purpose.clone(), at: turn.state.now };
            turn.write(Row::Change(ChangeRow { subject: request.subject, what }));
        }
    }
    let cause = Cause::Request(request.id.clone());
    let keeps = |t: &RequestTarget| match &t.answer {
        RequestAnswer::Decide { purpose } => !record.purposes.contains(purpose),
        RequestAnswer::Duty(_) | RequestAnswer::Refused { .. } => true,
    };
    let mut all: Vec<RequestTarget> = request.targets.iter().filter(|t| keeps(t)).cloned().collect();
    let decided: Vec<&RequestTarget> = request.targets.iter().filter(|t| !keeps(t)).collect();
    let reason = record.reason.clone().unwrap_or_else(|| "decided".to_owned());
    for life in lives_of(turn, request.subject) {
        for target in targets(turn, &life, &[], EndsOn::Object, &cause) {
            if !all.iter().any(|t| t.answer == target.answer) {
                all.push(target);
            }
        }
    }
    for target in decided {
        let going = |t: &RequestTarget| t.place == target.place && matches!(t.answer, RequestAnswer::Duty(_));
        if !all.iter().any(going) {
            let answer = RequestAnswer::Refused { reason: reason.clone(), rule: None, law: None, until: None };
            all.push(RequestTarget { answer, ..target.clone() });
        }
    }
    turn.rule(Decision::Requested(Box::new(Request { targets: all, ..request })));
}

/// A system went to enforce mode: what requests wait for there is carried out; sweeps wait for the next.
pub(super) fn enforced(turn: &mut Turn<'_>, system: &str) {
    let waiting: Vec<ObligationId> = turn
        .state
        .duties
        .standing(Stand::Observed)
        .filter(|d| d.place.system == system && matches!(d.cause, Cause::Request(_)))
        .map(|d| d.id)
        .collect();
    for id in waiting {
        turn.advance(id, Event::Release, |_| {});
    }
}
