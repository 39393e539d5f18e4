//! Each fault does what it says, the same way twice.

#![expect(clippy::disallowed_methods, reason = "a test issues its own permits")]

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use quietus_conformance::fixture::{self, letter};
use quietus_contract::{
    CommandId, Connector, Failure, Finding, Gate, Outcome, Permit, Target, Verdict, Work,
};
use quietus_memory::{Faults, MemoryConnector};

struct Open;

#[async_trait]
impl Gate for Open {
    async fn may_commit(&self, commands: &[CommandId]) -> Vec<Verdict> {
        vec![Verdict::Go; commands.len()]
    }
}

fn with(faults: Faults) -> (MemoryConnector, Vec<Target>) {
    let connector = MemoryConnector::new(fixture::manifest("memory"));
    let rows = [letter("a", "c1"), letter("b", "c1")];
    for row in &rows {
        connector.put(&row.dataset, &row.locator(), row.columns.clone());
    }
    connector.set_faults(faults);
    (connector, (1..).zip(&rows).map(|(n, row)| row.target(n, Work::Delete)).collect())
}

async fn erase(connector: &MemoryConnector, targets: &[Target], lease: Duration) -> Vec<Outcome> {
    let mut answers = connector.erase(targets, &Permit::issue(1, 1, [0; 32], lease), Arc::new(Open)).await;
    answers.sort_by_key(|a| a.command);
    answers.into_iter().map(|a| a.outcome).collect()
}

const LONG: Duration = Duration::from_secs(10);

fn failed(outcome: &Outcome) -> Option<(&'static str, bool, bool)> {
    match outcome {
        Outcome::Failed(Failure { code, may_retry, might_have_happened, .. }) => {
            Some((code, *may_retry, *might_have_happened))
        }
        _ => None,
    }
}

#[tokio::test]
async fn an_unavailable_system_does_and_tells_nothing() {
    let (connector, targets) = with(Faults { unavailable: true, ..Faults::default() });
    for outcome in erase(&connector, &targets, LONG).await {
        assert_eq!(failed(&outcome), Some(("unreachable", true, false)));
    }
    assert_eq!(connector.rows().len(), 2);
    let back = connector.verify(&targets).await.remove(0);
    assert!(matches!(back.finding, Finding::Unreadable(_)));
    assert!(connector.now().await.is_err());
}

#[tokio::test]
async fn a_lost_answer_is_committed_and_says_that_it_might_be() {
    let (connector, targets) = with(Faults { lose_answers: 1, ..Faults::default() });
    let outcomes = erase(&connector, &targets, LONG).await;
    assert_eq!(failed(&outcomes[0]), Some(("timeout", true, true)));
    assert!(connector.rows().is_empty());
    assert_eq!(erase(&connector, &targets, LONG).await, [Outcome::Absent, Outcome::Absent]);
}

#[tokio::test]
async fn a_lie_is_found_by_the_read_back_alone() {
    let (connector, targets) = with(Faults { lies: true, ..Faults::default() });
    assert_eq!(erase(&connector, &targets, LONG).await, [Outcome::Removed(1), Outcome::Removed(1)]);
    assert_eq!(connector.rows().len(), 2);
    assert!(connector.verify(&targets).await.iter().all(|b| matches!(b.finding, Finding::Found { .. })));
}

#[tokio::test]
async fn a_slow_call_runs_past_its_lease_by_the_systems_own_clock() {
    let (connector, targets) = with(Faults { slow: Some(Duration::from_secs(3)), ..Faults::default() });
    connector.set_now(Some(1_000));
    let outcomes = erase(&connector, &targets, Duration::from_secs(3)).await;
    assert_eq!(failed(&outcomes[0]), Some(("expired", true, false)));
    assert_eq!((connector.rows().len(), connector.now().await), (2, Ok(Some(4_000))));
    let outcomes = erase(&connector, &targets, Duration::from_millis(3_001)).await;
    assert_eq!(outcomes, [Outcome::Removed(1), Outcome::Removed(1)]);
}

#[tokio::test]
async fn a_call_that_breaks_off_leaves_the_rest_for_a_retry() {
    let (connector, targets) = with(Faults { at_most: Some(1), fail_before: 1, ..Faults::default() });
    assert_eq!(failed(&erase(&connector, &targets, LONG).await[0]), Some(("unreachable", true, false)));
    let outcomes = erase(&connector, &targets, LONG).await;
    assert_eq!(
        (&outcomes[0], failed(&outcomes[1])),
        (&Outcome::Removed(1), Some(("unreachable", true, false)))
    );
    assert_eq!(connector.rows().len(), 1);
}
