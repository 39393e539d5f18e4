//! The read-back: the partner is asked, by a client of its own, whether it still finds these people.
//!
//! Invariant: only the answer that the manifest calls `absent` is one; anything else is found, or unreadable. It is the
//! partner's word all the same: what it does not tell nobody sees, and `not_checked` says so.

use std::sync::Arc;

use quietus_contract::{Failure, Finding, ReadBack, Target, Work};
use quietus_core::system::ReadBackCall;
use reqwest::Method;
use serde_json::Value;

use crate::answer::send;
use crate::config::By;
use crate::people::{PEOPLE, Person, all_values, fill, gather, listed, requests};
use crate::sign::idempotency_key;
use crate::{HttpConnector, correct};

pub(crate) async fn read_back(connector: &HttpConnector, targets: &[Target]) -> Vec<ReadBack> {
    let (corrections, erasures): (Vec<&Target>, Vec<&Target>) =
        targets.iter().partition(|t| matches!(t.work, Work::Correct(_)));
    let (people, refused) = gather(&connector.config, erasures.into_iter());
    let mut backs = Vec::with_capacity(targets.len());
    for (target, held) in correct::looked(connector, By::Reading, &corrections).await {
        backs.push(told(connector, &target, held.finding()));
    }
    for (target, _) in refused {
        let failure = Failure::fatal("conflict", "the partner knows nobody by what is known of this record");
        backs.push(told(connector, target, Finding::Unreadable(failure)));
    }
    for (person, finding) in findings(connector, By::Reading, &people).await {
        backs.extend(person.targets.iter().map(|t| told(connector, t, finding.clone())));
    }
    backs
}

/// What the partner says of each person: all of a batch at once, one by one where anybody is found.
pub(crate) async fn findings<'p, 't>(
    connector: &HttpConnector,
    by: By,
    people: &'p [Person<'t>],
) -> Vec<(&'p Person<'t>, Finding)> {
    let mut found = Vec::with_capacity(people.len());
    for request in requests(people, connector.config.batch) {
        let together = ask(connector, by, request).await;
        match (&together, request) {
            (Finding::Found { .. }, [_, _, ..]) => {
                for person in request {
                    found.push((person, ask(connector, by, std::slice::from_ref(person)).await));
                }
            }
            _ => found.extend(request.iter().map(|p| (p, together.clone()))),
        }
    }
    found
}

async fn ask(connector: &HttpConnector, by: By, people: &[Person<'_>]) -> Finding {
    let Some(call) = &connector.config.calls.read_back else {
        return Finding::Unreadable(Failure::fatal("cannot_execute", "the manifest declares no `read_back`"));
    };
    let values = all_values(people);
    let body = call.body.as_ref().map(|body| fill(body, &[(PEOPLE, listed(&values))]));
    match question(connector, by, call, body.as_ref()).await {
        Ok(answer) if is_absent(call, &answer) => Finding::Gone,
        Ok(_) => Finding::Found { count: 1, by: "the partner's own answer".to_owned() },
        Err(failure) => Finding::Unreadable(failure),
    }
}

pub(crate) async fn question(
    connector: &HttpConnector,
    by: By,
    call: &ReadBackCall,
    body: Option<&Value>,
) -> Result<Value, Failure> {
    let now = (connector.now)();
    let content = body.map(ToString::to_string).unwrap_or_default();
    let id = idempotency_key(&connector.config.system, std::iter::empty(), &format!("{now} {content}"));
    let request = connector.config.request(by, Method::POST, &call.path, body, &format!("msg_{id}"), now);
    let answer = send(connector, request).await.map_err(|no| no.failure())?;
    if answer.is_null() {
        return Err(Failure::retry("conflict", "the partner's answer to `read_back` is no JSON"));
    }
    Ok(answer)
}

/// Every pointer leads to the value that means nothing is there.
pub(crate) fn is_absent(call: &ReadBackCall, answer: &Value) -> bool {
    !call.absent.is_empty()
        && call.absent.iter().all(|(pointer, nothing)| answer.pointer(pointer) == Some(nothing))
}

fn told(connector: &HttpConnector, target: &Target, finding: Finding) -> ReadBack {
    let read = !matches!(finding, Finding::Unreadable(_));
    let scope = format!("the partner's own answer, by {}", connector.config.calls.identity);
    ReadBack {
        command: target.command,
        finding,
        identity_rows: None,
        scope: if read { Arc::from([scope]) } else { Arc::default() },
        not_checked: vec!["what the partner does not tell".to_owned()],
        at: None,
    }
}
