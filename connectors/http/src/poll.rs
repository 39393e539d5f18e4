//! How far the partner is with what it took on.
//!
//! Invariant: silence is neither success nor failure: what cannot be asked stays accepted until the deadline. With a
//! `read_back` only that tells success, whatever the job's state says.

use std::collections::BTreeMap;

use quietus_contract::{Failure, Finding, Outcome, Target, TargetOutcome, Work};
use quietus_core::system::Poll;
use reqwest::Method;
use serde_json::Value;

use crate::answer::{No, send, text_at};
use crate::config::By;
use crate::correct::Held;
use crate::people::gather;
use crate::reference::Reference;
use crate::sign::idempotency_key;
use crate::verify::findings;
use crate::{HttpConnector, correct, told};

/// What the partner says of one job.
enum Said {
    Done,
    Failed,
    /// Not over, or could not be asked.
    Open,
    /// The partner knows of no such job.
    Lost,
}

pub(crate) async fn ask(connector: &HttpConnector, accepted: &[(Target, String)]) -> Vec<TargetOutcome> {
    let mut jobs: BTreeMap<Reference, Vec<&(Target, String)>> = BTreeMap::new();
    let mut outcomes = Vec::with_capacity(accepted.len());
    for one in accepted {
        match Reference::read(&one.1) {
            Ok(reference) => jobs.entry(reference).or_default().push(one),
            Err(failure) => outcomes.push(told(&one.0, Outcome::Failed(failure))),
        }
    }
    for (reference, commands) in &jobs {
        let late = is_late(connector, reference);
        let mut answers = job(connector, reference, commands).await;
        for answer in answers.iter_mut().filter(|a| late && is_open(a)) {
            let failure =
                Failure::unknown("expired", "the partner's deadline has passed without a confirmation");
            answer.outcome = Outcome::Failed(failure);
        }
        outcomes.extend(answers);
    }
    outcomes
}

fn is_open(answer: &TargetOutcome) -> bool {
    matches!(answer.outcome, Outcome::Accepted { .. })
}

fn is_late(connector: &HttpConnector, reference: &Reference) -> bool {
    let age = (connector.now)().saturating_sub(reference.at);
    connector.config.calls.deadline.is_some_and(|deadline| age > deadline)
}

async fn job(
    connector: &HttpConnector,
    reference: &Reference,
    commands: &[&(Target, String)],
) -> Vec<TargetOutcome> {
    let all = |outcome: &dyn Fn(&str) -> Outcome| {
        commands.iter().map(|(target, text)| told(target, outcome(text))).collect()
    };
    let open = |text: &str| Outcome::Accepted { reference: text.to_owned() };
    let said = match &connector.config.calls.poll {
        Some(poll) => state(connector, poll, reference).await,
        // Without a job's state, whether people are still found is all that can be asked.
        None if connector.config.calls.read_back.is_some() => Said::Done,
        None => Said::Open,
    };
    if matches!(said, Said::Failed | Said::Lost) {
        commands.iter().for_each(|(target, _)| connector.ended.add(target.command));
    }
    match said {
        Said::Open => all(&open),
        Said::Done if connector.config.calls.read_back.is_none() => {
            let done = |target: &Target| match target.work {
                Work::Correct(_) => Outcome::Changed(1),
                Work::Delete | Work::Change { .. } => Outcome::Removed(1),
            };
            commands.iter().map(|(target, _)| told(target, done(target))).collect()
        }
        Said::Done => looked(connector, commands).await,
        Said::Failed => all(&|_| {
            Outcome::Failed(Failure::unknown("conflict", "the partner says that the job has failed"))
        }),
        Said::Lost => all(&|_| {
            Outcome::Failed(Failure::unknown("conflict", "the partner knows nothing of this job any more"))
        }),
    }
}

async fn state(connector: &HttpConnector, poll: &Poll, reference: &Reference) -> Said {
    let path = poll.path.replace("{ref}", &escaped(reference.job.as_deref().unwrap_or_default()));
    let now = (connector.now)();
    let id = idempotency_key(&connector.config.system, std::iter::empty(), &format!("{now} {path}"));
    let request = connector.config.request(By::Acting, Method::GET, &path, None, &format!("msg_{id}"), now);
    match send(connector, request).await {
        Ok(answer) if means(&poll.done, &answer) => Said::Done,
        Ok(answer) if means(&poll.failed, &answer) => Said::Failed,
        Ok(_) => Said::Open,
        Err(No::Unknown) => Said::Lost,
        Err(no) => {
            let failure = no.failure();
            tracing::warn!(system = connector.config.system, %failure, "a partner could not be polled");
            Said::Open
        }
    }
}

/// Every pointer leads to one of its values.
fn means(wanted: &BTreeMap<String, Vec<String>>, answer: &Value) -> bool {
    let holds = |(pointer, values): (&String, &Vec<String>)| {
        text_at(answer, pointer).is_some_and(|text| values.contains(&text))
    };
    !wanted.is_empty() && wanted.iter().all(holds)
}

/// The partner says done, or has no other way to say it: only who is not found any more is gone.
async fn looked(connector: &HttpConnector, commands: &[&(Target, String)]) -> Vec<TargetOutcome> {
    let targets = commands.iter().map(|(target, _)| target);
    let (corrections, erasures): (Vec<&Target>, Vec<&Target>) =
        targets.partition(|t| matches!(t.work, Work::Correct(_)));
    let (people, refused) = gather(&connector.config, erasures.into_iter());
    let mut outcomes: Vec<TargetOutcome> =
        refused.into_iter().map(|(target, outcome)| told(target, outcome)).collect();
    for (target, held) in correct::looked(connector, By::Acting, &corrections).await {
        let text = commands.iter().find(|(t, _)| t.command == target.command).map(|(_, text)| text);
        let open = || Outcome::Accepted { reference: text.cloned().unwrap_or_default() };
        let outcome = match held {
            Held::Absent => Outcome::Absent,
            Held::AsWanted => Outcome::Changed(1),
            Held::Otherwise if connector.config.calls.poll.is_some() => {
                connector.ended.add(target.command);
                let detail = "the partner says done, and its own read-back shows another value";
                Outcome::Failed(Failure::unknown("conflict", detail))
            }
            Held::Otherwise | Held::Unreadable(_) => open(),
        };
        outcomes.push(told(&target, outcome));
    }
    for (person, finding) in findings(connector, By::Acting, &people).await {
        for target in &person.targets {
            let text = commands.iter().find(|(t, _)| t.command == target.command).map(|(_, text)| text);
            let open = || Outcome::Accepted { reference: text.cloned().unwrap_or_default() };
            let outcome = match &finding {
                Finding::Gone => Outcome::Removed(1),
                Finding::Found { .. } if connector.config.calls.poll.is_some() => {
                    connector.ended.add(target.command);
                    let detail = "the partner says done, and its own read-back still finds the person";
                    Outcome::Failed(Failure::unknown("conflict", detail))
                }
                Finding::Found { .. } | Finding::Unreadable(_) => open(),
            };
            outcomes.push(told(target, outcome));
        }
    }
    outcomes
}

/// A segment of a path, every other byte percent-encoded.
fn escaped(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for byte in text.bytes() {
        match byte {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'_' | b'.' | b'~' => out.push(char::from(byte)),
            _ => out.push_str(&format!("%{byte:02X}")),
        }
    }
    // A dot segment would lead elsewhere.
    if out.chars().all(|c| c == '.') { out.replace('.', "%2E") } else { out }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn done_is_only_what_the_manifest_calls_so() {
        let done = [("/state".to_owned(), vec!["done".to_owned(), "7".to_owned()])].into();
        assert!(means(&done, &json!({"state": "done"})) && means(&done, &json!({"state": 7})));
        assert!(!means(&done, &json!({"state": "done "})) && !means(&done, &json!({})));
        assert!(!means(&BTreeMap::new(), &json!({"state": "done"})));
    }

    #[test]
    fn a_reference_stays_one_segment() {
        assert_eq!(escaped("a/b?c=é"), "a%2Fb%3Fc%3D%C3%A9");
        assert_eq!(escaped(".."), "%2E%2E");
    }
}
