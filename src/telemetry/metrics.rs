//! Counters that no state holds: what was asked of connectors, and how it went.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use quietus_contract::{Outcome, TargetOutcome};

/// Counted since the process began.
#[derive(Debug, Default)]
pub struct Metrics {
    inner: Mutex<Counters>,
}

#[derive(Clone, Debug, Default)]
pub struct Counters {
    /// (source, outcome) → events.
    pub events: BTreeMap<(String, &'static str), u64>,
    /// (system, outcome) → targets.
    pub commands: BTreeMap<(String, &'static str), u64>,
    /// system → (calls, seconds).
    pub durations: BTreeMap<String, (u64, f64)>,
}

impl Metrics {
    fn lock(&self) -> MutexGuard<'_, Counters> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub fn events(&self, source: &str, outcome: &'static str, count: u64) {
        if count > 0 {
            *self.lock().events.entry((source.to_owned(), outcome)).or_default() += count;
        }
    }

    /// One call of a connector, with its outcome per target.
    pub fn command(&self, system: &str, outcomes: &[TargetOutcome], took: Duration) {
        let mut counters = self.lock();
        for outcome in outcomes {
            *counters.commands.entry((system.to_owned(), name(&outcome.outcome))).or_default() += 1;
        }
        let (calls, seconds) = counters.durations.entry(system.to_owned()).or_default();
        *calls += 1;
        *seconds += took.as_secs_f64();
    }

    pub fn snapshot(&self) -> Counters {
        self.lock().clone()
    }
}

fn name(outcome: &Outcome) -> &'static str {
    match outcome {
        Outcome::Removed(_) => "removed",
        Outcome::Changed(_) => "changed",
        Outcome::Absent => "absent",
        Outcome::Unchanged { .. } => "unchanged",
        Outcome::Accepted { .. } => "accepted",
        Outcome::Blocked { .. } => "blocked",
        Outcome::Refused { .. } => "refused",
        Outcome::Failed(_) => "failed",
    }
}
