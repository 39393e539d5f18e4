//! Handing people over: at most a batch in one request, with the gate's word and the lease kept right before it.
//!
//! A partner knows people, not records: what the gate stops for one record of a person stops the request for them.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use quietus_contract::{CommandId, Failure, Gate, Outcome, Target, TargetOutcome, Verdict, Work};
use quietus_core::system::Call;
use reqwest::Method;
use serde_json::Value;
use tokio::time::Instant;

use crate::answer::{send, text_at};
use crate::config::By;
use crate::people::{PEOPLE, Person, fill, gather, listed, requests};
use crate::reference::Reference;
use crate::sign::idempotency_key;
use crate::{HttpConnector, told};

pub(crate) async fn submit(
    connector: &HttpConnector,
    targets: &[Target],
    lease: Duration,
    gate: Arc<dyn Gate>,
) -> Vec<TargetOutcome> {
    let until = Instant::now() + lease;
    let (deletes, others): (Vec<&Target>, Vec<&Target>) =
        targets.iter().partition(|t| t.work == Work::Delete);
    let cannot = "a partner erases people as a whole: the manifest declares no other call";
    let refuse = |t: &&Target| told(t, Outcome::Refused { reason: cannot.to_owned() });
    let mut outcomes: Vec<TargetOutcome> = others.iter().map(refuse).collect();
    let (people, refused) = gather(&connector.config, deletes.into_iter());
    outcomes.extend(refused.into_iter().map(|(target, outcome)| told(target, outcome)));
    for request in requests(&people, connector.config.batch) {
        let stopped = stopped(request, &*gate).await;
        let is_stopped = |p: &&Person<'_>| p.targets.iter().any(|t| stopped.contains(&t.command));
        let (held, going): (Vec<&Person<'_>>, Vec<&Person<'_>>) = request.iter().partition(is_stopped);
        let blocked = || Outcome::Blocked { cause: "hold".to_owned(), until: None };
        outcomes.extend(held.iter().flat_map(|p| &p.targets).map(|t| told(t, blocked())));
        if going.is_empty() {
            continue;
        }
        let outcome = if Instant::now() >= until {
            Outcome::Failed(Failure::retry("expired", "the permit ran out before the request could be sent"))
        } else {
            let call = &connector.config.calls.submit;
            let values: BTreeSet<String> = going.iter().flat_map(|p| p.values.iter().cloned()).collect();
            let body = call.body.as_ref().map(|body| fill(body, &[(PEOPLE, listed(&values))]));
            let targets: Vec<&Target> = going.iter().flat_map(|p| p.targets.iter().copied()).collect();
            hand_over(connector, call, body, &values, &targets).await
        };
        outcomes.extend(going.iter().flat_map(|p| &p.targets).map(|t| told(t, outcome.clone())));
    }
    outcomes
}

pub(crate) async fn stopped(request: &[Person<'_>], gate: &dyn Gate) -> BTreeSet<CommandId> {
    let commands: Vec<CommandId> = request.iter().flat_map(|p| &p.targets).map(|t| t.command).collect();
    let verdicts = gate.may_commit(&commands).await;
    // A verdict that is missing lets nothing through.
    let go = |i: usize| verdicts.get(i) == Some(&Verdict::Go);
    commands.iter().enumerate().filter(|(i, _)| !go(*i)).map(|(_, command)| *command).collect()
}

/// One request; what is said of it is said of everybody in it.
pub(crate) async fn hand_over(
    connector: &HttpConnector,
    call: &Call,
    body: Option<Value>,
    values: &BTreeSet<String>,
    targets: &[&Target],
) -> Outcome {
    let content = body.as_ref().map(ToString::to_string).unwrap_or_default();
    let commands = targets.iter().map(|t| (t.command, connector.ended.count(t.command)));
    let key = idempotency_key(&connector.config.system, commands, &content);
    let method = Method::from_bytes(call.method.as_bytes()).unwrap_or(Method::POST);
    let now = (connector.now)();
    let id = format!("msg_{key}");
    let request = connector
        .config
        .request(By::Acting, method, &call.path, body.as_ref(), &id, now)
        .header("idempotency-key", &key);
    let answer = match send(connector, request).await {
        Ok(answer) => answer,
        Err(no) => return no.outcome(),
    };
    let job = call.reference.as_ref().map(|pointer| text_at(&answer, pointer));
    if job == Some(None) && connector.config.calls.poll.is_some() {
        let detail =
            "the partner took it on and gave no reference where `ref` points: nobody can ask how far it is";
        return Outcome::Failed(Failure::unknown("conflict", detail));
    }
    match Reference::new(now, job.flatten(), values) {
        Ok(reference) => Outcome::Accepted { reference: reference.text() },
        Err(why) => {
            let failure = Failure::fatal("conflict", why);
            Outcome::Failed(Failure { might_have_happened: true, ..failure })
        }
    }
}
