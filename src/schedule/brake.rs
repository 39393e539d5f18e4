//! The brake: a sweep that would do far more than sweeps lately did waits for a person.
//!
//! What waits stands in the control log. An approval is bound to the frozen set it was given for; when that has
//! changed by then, it is void.

use quietus_core::policy::Brake;

use crate::partition::Report;

/// Sweeps looked back at for the forecast.
const LOOK_BACK: usize = 7;

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
