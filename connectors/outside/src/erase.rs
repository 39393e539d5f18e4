//! Handing over, with the gate's word and the lease's end in every command; and asking what became of it.

use std::sync::Arc;

use quietus_contract::{Failure, Gate, Outcome, Permit, Target, TargetOutcome, Verdict};

use tokio::time::Instant;

use crate::command::Terms;
use crate::{Command, OutsideConnector};

/// How long after its `not_after` an answer may still be on its way, milliseconds.
const GRACE: i64 = 30_000;

fn told(target: &Target, outcome: Outcome) -> TargetOutcome {
    TargetOutcome { command: target.command, outcome, at: None, position: None }
}

pub(crate) async fn hand_over(
    connector: &OutsideConnector,
    targets: &[Target],
    permit: &Permit,
    gate: Arc<dyn Gate>,
) -> Vec<TargetOutcome> {
    let now = (connector.now)();
    let (terms, until) = (Terms::of(permit, now), Instant::now() + permit.lease());
    let (named, nameless): (Vec<&Target>, Vec<&Target>) = targets.iter().partition(|t| connector.names(t));
    let why = "its dataset or the columns of its key are not those of the manifest";
    let mut outcomes: Vec<TargetOutcome> =
        nameless.into_iter().map(|t| told(t, Outcome::Refused { reason: why.to_owned() })).collect();
    let ids: Vec<_> = named.iter().map(|t| t.command).collect();
    let verdicts = gate.may_commit(&ids).await;
    // A verdict that is missing lets nothing through.
    let goes = |i: usize| verdicts.get(i) == Some(&Verdict::Go);
    let mut going = Vec::new();
    for (i, target) in named.into_iter().enumerate() {
        match goes(i) {
            true => going.push(target),
            false => outcomes.push(told(target, Outcome::Blocked { cause: "gate".to_owned(), until: None })),
        }
    }
    if Instant::now() >= until {
        let expired =
            || Outcome::Failed(Failure::retry("expired", "the permit ran out before it could be sent"));
        outcomes.extend(going.into_iter().map(|t| told(t, expired())));
        return outcomes;
    }
    let commands: Vec<Command> =
        going.iter().map(|t| Command::of(&connector.system, t, &terms, now)).collect();
    let reference = terms.reference();
    for (target, answer) in going.into_iter().zip(connector.link.tell(&commands).await) {
        outcomes.push(match answer {
            Ok(Some(said))
                if said.is_to(&crate::command::shown(target.command), target.attempt, &connector.system) =>
            {
                said.told(target.command, &reference)
            }
            Ok(_) => told(target, Outcome::Accepted { reference: reference.clone() }),
            Err(failure) => told(target, Outcome::Failed(failure)),
        });
    }
    outcomes
}

/// Where these stand. What nobody answered past its end was not carried out, as far as anybody knows: it is tried again.
pub(crate) async fn ask(connector: &OutsideConnector, accepted: &[(Target, String)]) -> Vec<TargetOutcome> {
    let now = (connector.now)();
    let mut asked = Vec::new();
    let mut outcomes = Vec::new();
    for (target, reference) in accepted {
        match Terms::read(reference) {
            Some(terms) => {
                asked.push((target, reference, Command::of(&connector.system, target, &terms, now)))
            }
            None => {
                let failure = Failure::unknown("conflict", "the reference was not made by this connector");
                outcomes.push(told(target, Outcome::Failed(failure)));
            }
        }
    }
    // Before the answers are looked at: what is missing then was not said.
    let is_current = connector.link.is_current();
    let commands: Vec<Command> = asked.iter().map(|(.., command)| command.clone()).collect();
    for ((target, reference, command), answer) in asked.into_iter().zip(connector.link.hear(&commands).await)
    {
        let is_over = is_current && now > command.not_after.saturating_add(GRACE);
        outcomes.push(match answer {
            Ok(Some(said)) if said.is_to(&command.id, target.attempt, &connector.system) => {
                said.told(target.command, reference)
            }
            Ok(_) if is_over => {
                let why = "no confirmation within 30 s of its not_after: is the connector running?";
                told(target, Outcome::Failed(Failure::unknown("no_answer", why)))
            }
            Ok(_) => told(target, Outcome::Accepted { reference: reference.clone() }),
            Err(failure) => told(target, Outcome::Failed(failure)),
        });
    }
    outcomes
}

/// Says of these that they are not to be carried out; the answers come as all others do.
pub(crate) async fn recall(connector: &OutsideConnector, accepted: &[(Target, String)]) {
    let now = (connector.now)();
    let recalls: Vec<Command> = accepted
        .iter()
        .filter_map(|(target, reference)| {
            let terms = Terms::read(reference)?;
            Some(Command::of(&connector.system, target, &terms, now).saying("recall"))
        })
        .collect();
    let failed = connector.link.tell(&recalls).await.iter().filter(|r| r.is_err()).count();
    if failed > 0 {
        tracing::warn!(
            system = connector.system,
            failed,
            "could not be recalled; what they do is told all the same"
        );
    }
}
