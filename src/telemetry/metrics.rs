//! Counters that no state holds: what was asked of connectors, and how it went.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use quietus_contract::{Failure, Finding, Outcome, ReadBack, TargetOutcome};

/// Counted since the process began.
#[derive(Debug, Default)]
pub struct Metrics {
    inner: Mutex<Counters>,
}

#[derive(Clone, Debug, Default)]
pub struct Counters {
    /// (source, outcome) → events.
    pub events: BTreeMap<(String, &'static str), u64>,
    /// (system, action, outcome) → targets.
    pub commands: BTreeMap<(String, &'static str, &'static str), u64>,
    /// (system, action) → (calls, seconds).
    pub durations: BTreeMap<(String, &'static str), (u64, f64)>,
    /// Systems whose last call failed whole.
    pub down: BTreeSet<String>,
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

    /// One call that changes things, with its outcome per target.
    pub fn command(&self, system: &str, action: &'static str, outcomes: &[TargetOutcome], took: Duration) {
        let failed = |o: &TargetOutcome| matches!(&o.outcome, Outcome::Failed(f) if is_down(f));
        let names = outcomes.iter().map(|o| name(&o.outcome));
        self.call(system, action, names, !outcomes.is_empty() && outcomes.iter().all(failed), took);
    }

    /// One call that looks, with what it saw per target.
    pub fn look(&self, system: &str, seen: &[ReadBack], took: Duration) {
        let unread = |s: &ReadBack| matches!(&s.finding, Finding::Unreadable(f) if is_down(f));
        let names = seen.iter().map(|s| match s.finding {
            Finding::Gone => "gone",
            Finding::Found { .. } => "found",
            Finding::Unreadable(_) => "unreadable",
        });
        self.call(system, "verify", names, !seen.is_empty() && seen.iter().all(unread), took);
    }

    fn call(
        &self,
        system: &str,
        action: &'static str,
        outcomes: impl Iterator<Item = &'static str>,
        down: bool,
        took: Duration,
    ) {
        let mut counters = self.lock();
        for outcome in outcomes {
            *counters.commands.entry((system.to_owned(), action, outcome)).or_default() += 1;
        }
        let (calls, seconds) = counters.durations.entry((system.to_owned(), action)).or_default();
        *calls += 1;
        *seconds += took.as_secs_f64();
        if down {
            counters.down.insert(system.to_owned());
        } else {
            counters.down.remove(system);
        }
    }

    pub fn snapshot(&self) -> Counters {
        self.lock().clone()
    }
}

/// A system that answers is up, even where it says no.
fn is_down(failure: &Failure) -> bool {
    matches!(failure.code, "unreachable" | "timeout" | "denied" | "secret" | "unsupported_kind")
}

fn name(outcome: &Outcome) -> &'static str {
    match outcome {
        Outcome::Removed(_) => "removed",
        Outcome::Changed(_) => "changed",
        Outcome::Absent => "absent",
        Outcome::Unchanged { .. } => "unchanged",
        Outcome::Accepted { .. } => "accepted",
        Outcome::Blocked { .. } => "blocked",
        Outcome::Residual { .. } => "residual",
        Outcome::Refused { .. } => "refused",
        Outcome::Failed(_) => "failed",
    }
}
