//! One law's run on one fresh target.

use std::sync::Arc;
use std::time::{Duration, Instant};

use quietus_contract::{
    CommandId, Connector, Failure, Finding, Gate, Outcome, ReadBack, Target, TargetOutcome, Work,
};

use crate::fixture::Row;
use crate::gate::{Watch, permit, permit_for};
use crate::harness::Harness;

/// Why a law did not hold.
#[derive(Debug)]
pub(crate) enum Flaw {
    Broken(String),
    NotApplicable(String),
    NotTried(String),
}

impl From<String> for Flaw {
    fn from(text: String) -> Self {
        Self::Broken(text)
    }
}

pub(crate) type Held = Result<(), Flaw>;

/// The law asks nothing of a connector without this capability.
pub(crate) fn needs(capability: bool, otherwise: &str) -> Held {
    if capability { Ok(()) } else { Err(Flaw::NotApplicable(otherwise.to_owned())) }
}

/// The law does not hold, and this is what was seen.
pub(crate) fn broken(text: impl Into<String>) -> Held {
    Err(Flaw::Broken(text.into()))
}

pub(crate) fn ensure(condition: bool, text: impl Into<String>) -> Held {
    if condition { Ok(()) } else { broken(text) }
}

pub(crate) struct Trial<'h> {
    harness: &'h dyn Harness,
    pub(crate) connector: Arc<dyn Connector>,
}

impl<'h> Trial<'h> {
    pub(crate) async fn on(harness: &'h dyn Harness, rows: &[Row]) -> Result<Self, Flaw> {
        let connector =
            harness.prepare(rows).await.map_err(|e| format!("the harness made no target: {e}"))?;
        let trial = Self { harness, connector };
        let there = trial.rows().await?;
        let mut wanted = rows.to_vec();
        wanted.sort();
        if there != wanted {
            return Err(Flaw::Broken("the harness does not read back the rows it was told to put".into()));
        }
        Ok(trial)
    }

    /// Every row, sorted.
    pub(crate) async fn rows(&self) -> Result<Vec<Row>, Flaw> {
        let mut rows =
            self.harness.rows().await.map_err(|e| format!("the harness cannot read its target: {e}"))?;
        rows.sort();
        Ok(rows)
    }

    pub(crate) async fn put(&self, row: &Row) -> Held {
        self.harness.put(row).await.map_err(|e| Flaw::Broken(format!("the harness cannot put a row: {e}")))
    }

    /// The row with this key as it lies there now.
    pub(crate) async fn row(&self, row: &Row) -> Result<Option<Row>, Flaw> {
        let same = |r: &Row| r.dataset == row.dataset && r.locator() == row.locator();
        Ok(self.rows().await?.into_iter().find(same))
    }

    pub(crate) async fn send(&self, targets: &[Target]) -> Vec<TargetOutcome> {
        self.send_through(targets, Watch::open()).await
    }

    pub(crate) async fn send_through(&self, targets: &[Target], gate: Arc<dyn Gate>) -> Vec<TargetOutcome> {
        send(&*self.connector, &self.aimed(targets), gate).await
    }

    /// One erasing call with a permit of this length, and nothing after it.
    pub(crate) async fn erase_within(
        &self,
        lease: Duration,
        targets: &[Target],
        gate: Arc<dyn Gate>,
    ) -> Vec<TargetOutcome> {
        self.connector.erase(&self.aimed(targets), &permit_for(lease), gate).await
    }

    /// These commands as the connector knows them.
    pub(crate) fn aimed(&self, targets: &[Target]) -> Vec<Target> {
        targets.iter().map(|t| self.harness.aim(t.clone())).collect()
    }

    /// What was said of one record.
    pub(crate) async fn outcome(&self, target: &Target) -> Option<Outcome> {
        said(&self.send(std::slice::from_ref(target)).await, target.command).cloned()
    }

    pub(crate) async fn finding(&self, target: &Target) -> Option<Finding> {
        self.read_back(target).await.map(|r| r.finding)
    }

    pub(crate) async fn read_back(&self, target: &Target) -> Option<ReadBack> {
        let all = self.connector.verify(&self.aimed(std::slice::from_ref(target))).await;
        all.into_iter().find(|r| r.command == target.command)
    }
}

/// Corrections and erasures by their own calls.
pub(crate) async fn send(
    connector: &dyn Connector,
    targets: &[Target],
    gate: Arc<dyn Gate>,
) -> Vec<TargetOutcome> {
    let (corrections, erasures): (Vec<Target>, Vec<Target>) =
        targets.iter().cloned().partition(|t| matches!(t.work, Work::Correct(_)));
    let mut outcomes = Vec::new();
    if !erasures.is_empty() {
        outcomes.extend(connector.erase(&erasures, &permit(), Arc::clone(&gate)).await);
    }
    if !corrections.is_empty() {
        outcomes.extend(connector.correct(&corrections, &permit(), gate).await);
    }
    settle(connector, targets, &mut outcomes).await;
    outcomes
}

/// How long a connector may take over what it accepted.
const PATIENCE: Duration = Duration::from_secs(30);
const POLL_EVERY: Duration = Duration::from_millis(50);

/// Polls until nothing is left that was only accepted.
async fn settle(connector: &dyn Connector, targets: &[Target], outcomes: &mut [TargetOutcome]) {
    let started = Instant::now();
    while started.elapsed() < PATIENCE {
        let open: Vec<(Target, String)> = outcomes
            .iter()
            .filter_map(|o| match &o.outcome {
                Outcome::Accepted { reference } => {
                    let target = targets.iter().find(|t| t.command == o.command)?;
                    Some((target.clone(), reference.clone()))
                }
                _ => None,
            })
            .collect();
        if open.is_empty() {
            return;
        }
        tokio::time::sleep(POLL_EVERY).await;
        for answer in connector.poll(&open).await {
            if let Some(outcome) = outcomes.iter_mut().find(|o| o.command == answer.command) {
                *outcome = answer;
            }
        }
    }
}

pub(crate) fn said(outcomes: &[TargetOutcome], command: CommandId) -> Option<&Outcome> {
    outcomes.iter().find(|o| o.command == command).map(|o| &o.outcome)
}

pub(crate) fn is_success(outcome: Option<&Outcome>) -> bool {
    matches!(outcome, Some(Outcome::Removed(_) | Outcome::Changed(_)))
}

/// The word alone: an outcome's text may hold what must not be repeated.
pub(crate) fn word(outcome: Option<&Outcome>) -> String {
    match outcome {
        None => "nothing".into(),
        Some(Outcome::Removed(n)) => format!("removed({n})"),
        Some(Outcome::Changed(n)) => format!("changed({n})"),
        Some(Outcome::Absent) => "absent".into(),
        Some(Outcome::Unchanged { .. }) => "unchanged".into(),
        Some(Outcome::Accepted { .. }) => "accepted".into(),
        Some(Outcome::Blocked { .. }) => "blocked".into(),
        Some(Outcome::Residual { .. }) => "residual".into(),
        Some(Outcome::Refused { .. }) => "refused".into(),
        Some(Outcome::Failed(Failure { code, may_retry, might_have_happened, .. })) => {
            format!("failed({code}, may_retry {may_retry}, might_have_happened {might_have_happened})")
        }
    }
}
