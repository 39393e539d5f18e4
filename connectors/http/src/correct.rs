//! New values at a partner: told by a call of their own, and read back where the manifest says what stands where.
//!
//! Invariants: one request is about one person; a person whom the partner does not know is *absent*, and nobody is made;
//! where the manifest reads back, *done* alone is no correction.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use quietus_contract::{Failure, Finding, Gate, Outcome, Target, TargetOutcome, Work};
use quietus_core::system::{CorrectCall, HoldsCall};
use serde_json::{Map, Value};
use tokio::time::Instant;

use crate::answer::text_at;
use crate::config::By;
use crate::erase::{hand_over, stopped};
use crate::people::{CORRECTIONS, PEOPLE, Person, fill, gather, listed};
use crate::verify::{is_absent, question};
use crate::{HttpConnector, told};

/// Category → new value; None clears.
type Values = BTreeMap<String, Option<String>>;

pub(crate) async fn submit(
    connector: &HttpConnector,
    targets: &[Target],
    lease: Duration,
    gate: Arc<dyn Gate>,
) -> Vec<TargetOutcome> {
    let until = Instant::now() + lease;
    let refuse = |t: &Target, reason: String| told(t, Outcome::Refused { reason });
    let Some(call) = &connector.config.calls.correct else {
        let reason = "the manifest declares no call that corrects: `http: {correct: …}`";
        return targets.iter().map(|t| refuse(t, reason.to_owned())).collect();
    };
    let mut outcomes = Vec::with_capacity(targets.len());
    let mut same: BTreeMap<Values, Vec<&Target>> = BTreeMap::new();
    for target in targets {
        match values(target).and_then(|values| known(call, &values).map(|()| values)) {
            Ok(values) => same.entry(values).or_default().push(target),
            Err(reason) => outcomes.push(refuse(target, reason)),
        }
    }
    for (values, targets) in &same {
        let (people, refused) = gather(&connector.config, targets.iter().copied());
        outcomes.extend(refused.into_iter().map(|(target, outcome)| told(target, outcome)));
        for person in &people {
            let outcome = if !stopped(std::slice::from_ref(person), &*gate).await.is_empty() {
                Outcome::Blocked { cause: "hold".to_owned(), until: None }
            } else if Instant::now() >= until {
                let detail = "the permit ran out before the request could be sent";
                Outcome::Failed(Failure::retry("expired", detail))
            } else {
                let body = call.call.body.as_ref().map(|body| filled(body, person, values));
                hand_over(connector, &call.call, body, &person.values, &person.targets).await
            };
            outcomes.extend(person.targets.iter().map(|t| told(t, outcome.clone())));
        }
    }
    outcomes
}

/// What was done, or stands there, of people whose job is over.
pub(crate) async fn looked(connector: &HttpConnector, by: By, targets: &[&Target]) -> Vec<(Target, Held)> {
    let mut seen = Vec::with_capacity(targets.len());
    for target in targets {
        seen.push(((*target).clone(), one(connector, by, target).await));
    }
    seen
}

/// What a person's values are at the partner.
pub(crate) enum Held {
    /// The partner does not know the person.
    Absent,
    AsWanted,
    Otherwise,
    Unreadable(Failure),
}

impl Held {
    /// Nobody there holds no wrong value.
    pub(crate) fn finding(self) -> Finding {
        match self {
            Self::Absent | Self::AsWanted => Finding::Gone,
            Self::Otherwise => Finding::Found { count: 1, by: "the partner's own answer".to_owned() },
            Self::Unreadable(failure) => Finding::Unreadable(failure),
        }
    }
}

async fn one(connector: &HttpConnector, by: By, target: &Target) -> Held {
    let unreadable = |detail: &str| Held::Unreadable(Failure::fatal("cannot_execute", detail));
    let read_back = connector.config.calls.correct.as_ref().and_then(|call| call.read_back.as_ref());
    let Some(call) = read_back else {
        return unreadable("the manifest declares no `read_back` of what was corrected");
    };
    let Ok(values) = values(target) else { return unreadable("this is no correction") };
    let (people, _) = gather(&connector.config, std::iter::once(target));
    let Some(person) = people.first() else {
        return unreadable("the partner knows nobody by what is known of this record");
    };
    let body = call.call.body.as_ref().map(|body| filled(body, person, &values));
    match question(connector, by, &call.call, body.as_ref()).await {
        Ok(answer) if is_absent(&call.call, &answer) => Held::Absent,
        Ok(answer) if holds(call, &values, &answer) => Held::AsWanted,
        Ok(_) => Held::Otherwise,
        Err(failure) => Held::Unreadable(failure),
    }
}

fn filled(body: &Value, person: &Person<'_>, values: &Values) -> Value {
    let set = |(category, value): (&String, &Option<String>)| {
        (category.clone(), value.as_deref().map_or(Value::Null, Value::from))
    };
    let set = Value::Object(values.iter().map(set).collect::<Map<_, _>>());
    fill(body, &[(PEOPLE, listed(&person.values)), (CORRECTIONS, set)])
}

/// Every corrected category stands where it must, and nothing where it was cleared.
fn holds(call: &HoldsCall, values: &Values, answer: &Value) -> bool {
    let is_set = |(category, wanted): (&String, &Option<String>)| {
        let mut places = call.holds.iter().filter(|(_, c)| *c == category).map(|(pointer, _)| pointer);
        places.all(|pointer| text_at(answer, pointer) == *wanted)
    };
    values.iter().all(is_set)
}

/// What could not be read back is not asked for.
fn known(call: &CorrectCall, values: &Values) -> Result<(), String> {
    let Some(read_back) = &call.read_back else { return Ok(()) };
    match values.keys().find(|category| !read_back.holds.values().any(|c| c == *category)) {
        Some(category) => {
            Err(format!("`holds` does not say where {category} stands in the partner's answer"))
        }
        None => Ok(()),
    }
}

fn values(target: &Target) -> Result<Values, String> {
    let Work::Correct(changes) = &target.work else {
        return Err("an erasure was sent as a correction".to_owned());
    };
    let value = |value: &Option<quietus_contract::Secret>| value.as_ref().map(|v| v.reveal().to_owned());
    Ok(changes.iter().map(|change| (change.category.clone(), value(&change.value))).collect())
}
