//! Laws on failures: what they say, and what they keep to themselves.

use std::time::Duration;

use quietus_contract::{Connector, Failure, Finding, Identity, Outcome, Scalar, Secret, Target, Work};

use crate::fixture::{NOWHERE, Row, correction, letter, order, person};
use crate::gate::{Watch, permit};
use crate::harness::Harness;
use crate::trial::{Flaw, Held, Trial, ensure, said, send, word};

pub(super) async fn failures_tell(harness: &dyn Harness) -> Held {
    let rows = [person(1), letter("a", "c1"), order("s", 1, 1)];
    let trial = Trial::on(harness, &rows).await?;
    let late = [rows[1].target(1, Work::Delete)];
    let answers = trial.erase_within(Duration::ZERO, &late, Watch::open()).await;
    harmless("a permit that had run out", said(&answers, late[0].command))?;
    if harness.enforces_references() {
        let outcome = trial.outcome(&rows[0].target(2, Work::Delete)).await;
        harmless("a record that others refer to", outcome.as_ref())?;
    }
    let Some(unreachable) = harness.unreachable().await else { return Ok(()) };
    let named = rows[1].target(3, Work::Delete);
    let target = trial.aimed(std::slice::from_ref(&named));
    let answers = unreachable.erase(&target, &permit(), Watch::open()).await;
    let outcome = said(&answers, named.command);
    ensure(
        matches!(outcome, None | Some(Outcome::Failed(_))),
        format!("a target that cannot be reached is answered {}", word(outcome)),
    )?;
    harmless("a target that cannot be reached", outcome)?;
    let backs = unreachable.verify(&target).await;
    let unreadable = backs.iter().all(|b| matches!(b.finding, Finding::Unreadable(_)));
    ensure(unreadable, "a target that cannot be reached is read back all the same")
}

/// If this failed, nothing happened and a retry may help.
fn harmless(what: &str, outcome: Option<&Outcome>) -> Held {
    match outcome {
        Some(Outcome::Failed(Failure { may_retry: true, might_have_happened: false, .. })) => Ok(()),
        Some(Outcome::Failed(_)) => Err(Flaw::Broken(format!("{what}: {}", word(outcome)))),
        _ => Ok(()),
    }
}

const SECRET: &str = "s3cr3t";

pub(super) async fn secrets_stay(harness: &dyn Harness) -> Held {
    let secret = |what: &str| format!("{SECRET}-{what}");
    let there = letter(&secret("key"), &secret("customer"));
    let rows = [person(1).with("customer", Some(&secret("customer"))), there.clone(), order("s", 1, 1)];
    let trial = Trial::on(harness, &rows).await?;
    let nowhere = Row { dataset: NOWHERE.into(), ..there.clone() };
    let mut mistyped = rows[0].target(3, Work::Delete);
    mistyped.locator.insert("id".into(), Scalar::Text(Secret::new(secret("id"))));
    let mut misnamed = there.target(4, Work::Delete);
    misnamed.locator = [("nothing".to_owned(), Scalar::Text(Secret::new(secret("key"))))].into();
    let mut targets = vec![
        Target { locator: there.locator(), ..nowhere.target(1, Work::Delete) },
        letter(&secret("absent"), &secret("customer")).target(2, Work::Delete),
        mistyped,
        misnamed,
        rows[0].target(5, Work::Delete),
        there.target(6, Work::Delete),
    ];
    if trial.connector.describe().correct {
        targets.push(rows[0].target(7, correction("user.name", Some(&secret("value")))));
        targets.push(rows[0].target(8, correction("user.nowhere", Some(&secret("value")))));
        targets.push(order("s", 1, 1).target(9, correction("user.content", Some(&secret("value")))));
    }
    for target in &mut targets {
        target.identities.push(Identity { kind: "email".into(), value: Secret::new(secret("email")) });
    }
    let targets = trial.aimed(&targets);
    shows_nothing(&*trial.connector, &targets).await?;
    match harness.unreachable().await {
        Some(connector) => shows_nothing(&*connector, &targets).await,
        None => Ok(()),
    }
}

async fn shows_nothing(connector: &dyn Connector, targets: &[Target]) -> Held {
    let shown = [
        ("an outcome", format!("{:?}", send(connector, targets, Watch::open()).await)),
        ("a read-back", format!("{:?}", connector.verify(targets).await)),
        ("the check", format!("{:?}", connector.check().await)),
        ("the connector's Debug", format!("{connector:?}")),
    ];
    for (place, text) in shown {
        ensure(!text.contains(SECRET), format!("{place} shows a value of the target"))?;
    }
    Ok(())
}
