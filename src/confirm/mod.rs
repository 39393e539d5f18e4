//! A connector's answers and the read-back → records for the ledger.
//!
//! Nothing is concluded here: what an answer means is decided by the engine when it is read.

use std::collections::BTreeMap;

use quietus_contract::{Failure, Finding, Outcome, ReadBack, TargetOutcome};
use quietus_core::obligation::Obligation;
use quietus_core::record::{self, Answer, AnswerKind, FindingKind, Seen};

/// What a connector said, by command.
pub type Told<'a> = BTreeMap<[u8; 16], &'a TargetOutcome>;

/// Of two answers to a command the first counts.
pub fn told(outcomes: &[TargetOutcome]) -> Told<'_> {
    outcomes.iter().rev().map(|o| (o.command.0, o)).collect()
}

/// What was said about these duties, one answer each: a target the connector left out is one nobody knows about.
pub fn confirmed(system: &str, duties: &[Obligation], told: &Told<'_>) -> record::Confirmed {
    let answers = duties
        .iter()
        .map(|duty| match told.get(&duty.id.0) {
            Some(outcome) => answer(duty, outcome),
            None => failed(duty, &Failure::unknown("no_answer", "the connector left this target out")),
        })
        .collect();
    record::Confirmed { system: system.to_owned(), answers }
}

/// The same failure for every duty: the connector could not even be asked.
pub fn all_failed(system: &str, duties: &[Obligation], failure: &Failure) -> record::Confirmed {
    let answers = duties.iter().map(|d| failed(d, failure)).collect();
    record::Confirmed { system: system.to_owned(), answers }
}

fn blank(duty: &Obligation, kind: AnswerKind) -> Answer {
    Answer {
        obligation: duty.id.0.to_vec(),
        attempt: i32::try_from(duty.attempt).unwrap_or(i32::MAX),
        kind,
        count: 0,
        detail: None,
        reference: None,
        until: None,
        may_retry: false,
        might_have_happened: false,
        at: None,
        position: None,
    }
}

fn failed(duty: &Obligation, failure: &Failure) -> Answer {
    Answer {
        detail: Some(failure.to_string()),
        may_retry: failure.may_retry,
        might_have_happened: failure.might_have_happened,
        ..blank(duty, AnswerKind::Failed)
    }
}

fn answer(duty: &Obligation, told: &TargetOutcome) -> Answer {
    let count = |n: &u64| i64::try_from(*n).unwrap_or(i64::MAX);
    let answer = match &told.outcome {
        // A record that is not there cannot have been removed.
        Outcome::Removed(0) | Outcome::Changed(0) | Outcome::Absent => blank(duty, AnswerKind::Absent),
        Outcome::Removed(n) => Answer { count: count(n), ..blank(duty, AnswerKind::Removed) },
        Outcome::Changed(n) => Answer { count: count(n), ..blank(duty, AnswerKind::Changed) },
        Outcome::Unchanged { reason } => {
            Answer { detail: Some(reason.clone()), ..blank(duty, AnswerKind::Unchanged) }
        }
        Outcome::Accepted { reference } => {
            Answer { reference: Some(reference.clone()), ..blank(duty, AnswerKind::Accepted) }
        }
        Outcome::Blocked { cause, until } => {
            Answer { detail: Some(cause.clone()), until: *until, ..blank(duty, AnswerKind::Blocked) }
        }
        Outcome::Residual { cause, until } => {
            Answer { detail: Some(cause.clone()), until: *until, ..blank(duty, AnswerKind::Residual) }
        }
        Outcome::Refused { reason } => {
            Answer { detail: Some(reason.clone()), ..blank(duty, AnswerKind::Refused) }
        }
        Outcome::Failed(failure) => failed(duty, failure),
    };
    Answer { at: told.at, position: told.position.as_deref().map(str::to_owned), ..answer }
}

/// What the read-back saw of these duties.
pub fn read_back(system: &str, duties: &[Obligation], seen: &[ReadBack]) -> record::ReadBack {
    let seen: BTreeMap<[u8; 16], &ReadBack> = seen.iter().rev().map(|s| (s.command.0, s)).collect();
    let seen = duties
        .iter()
        .map(|duty| match seen.get(&duty.id.0) {
            Some(back) => look(duty, back),
            None => unread(duty, "the read-back left this target out"),
        })
        .collect();
    record::ReadBack { system: system.to_owned(), seen }
}

fn look(duty: &Obligation, back: &ReadBack) -> Seen {
    let (finding, count, detail) = match &back.finding {
        Finding::Gone => (FindingKind::Gone, 0, None),
        Finding::Found { count, by } => {
            (FindingKind::Found, i64::try_from(*count).unwrap_or(i64::MAX), Some(format!("found by {by}")))
        }
        Finding::Unreadable(failure) => (FindingKind::Unreadable, 0, Some(failure.to_string())),
    };
    Seen {
        finding,
        count,
        identity_rows: back.identity_rows.map(|n| i64::try_from(n).unwrap_or(i64::MAX)),
        scope: back.scope.to_vec(),
        not_checked: back.not_checked.clone(),
        detail,
        at: back.at,
        ..unread(duty, "")
    }
}

fn unread(duty: &Obligation, why: &str) -> Seen {
    Seen {
        obligation: duty.id.0.to_vec(),
        attempt: i32::try_from(duty.attempt).unwrap_or(i32::MAX),
        finding: FindingKind::Unreadable,
        count: 0,
        identity_rows: None,
        scope: Vec::new(),
        not_checked: Vec::new(),
        detail: (!why.is_empty()).then(|| why.to_owned()),
        at: None,
    }
}
