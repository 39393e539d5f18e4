//! The brake: a sweep that would do far more than sweeps lately did waits for a person.
//!
//! What waits is kept in memory only: after a restart the next sweep plans anew. An approval is bound to the frozen
//! set it was given for; when that has changed by then, it is void.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use quietus_core::policy::Brake;
use quietus_core::time::Millis;

use crate::partition::Report;

use super::plan::Plan;

/// Sweeps looked back at for the forecast.
const LOOK_BACK: usize = 7;

/// A sweep that waits for approval.
#[derive(Clone, Debug)]
pub struct Waiting {
    pub as_of: Millis,
    pub by: Option<String>,
    pub plan: Plan,
    /// What was expected.
    pub forecast: u64,
}

/// Sweeps that wait, by id.
#[derive(Debug, Default)]
pub struct Room(Mutex<BTreeMap<String, Waiting>>);

impl Room {
    fn lock(&self) -> MutexGuard<'_, BTreeMap<String, Waiting>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub fn put(&self, id: String, waiting: Waiting) {
        let mut room = self.lock();
        // One at a time: an older plan is stale once there is a newer one.
        room.clear();
        room.insert(id, waiting);
    }

    pub fn get(&self, id: &str) -> Option<Waiting> {
        self.lock().get(id).cloned()
    }

    pub fn take(&self, id: &str) -> Option<Waiting> {
        self.lock().remove(id)
    }

    pub fn ids(&self) -> Vec<String> {
        self.lock().keys().cloned().collect()
    }
}

/// What the last sweeps did, on average; None = there was none yet, and nothing to compare with.
pub fn forecast(finished: &[Report]) -> Option<u64> {
    let last: Vec<u64> = finished.iter().rev().take(LOOK_BACK).map(done).collect();
    let count = u64::try_from(last.len()).ok().filter(|n| *n > 0)?;
    Some(last.iter().sum::<u64>().div_ceil(count))
}

/// True when `planned` is to wait.
pub fn brakes(brake: &Brake, planned: u64, forecast: u64) -> bool {
    planned >= brake.at_least_items && planned > forecast.saturating_mul(u64::from(brake.times_forecast))
}

fn done(report: &Report) -> u64 {
    report.erased + report.masked + report.in_flight + report.failed
}

#[cfg(test)]
mod tests {
    use super::*;

    fn erased(n: u64) -> Report {
        Report { erased: n, ..Report::default() }
    }

    #[test]
    fn the_first_sweep_has_no_forecast() {
        assert_eq!(forecast(&[]), None);
        assert_eq!(forecast(&[erased(10), erased(20)]), Some(15));
    }

    #[test]
    fn far_more_than_forecast_waits_unless_it_is_little() {
        let brake = Brake { times_forecast: 3, at_least_items: 100 };
        assert!(brakes(&brake, 301, 100));
        assert!(!brakes(&brake, 300, 100));
        assert!(!brakes(&brake, 99, 1));
    }
}
