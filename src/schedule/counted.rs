//! A running sweep's report, as it was counted last.
//!
//! Counting looks at every duty, and what a partition's owner would do meanwhile waits. So a report is told again
//! until nine times as long has passed as counting took: asking often never costs a sweep more than a tenth of its
//! time. Rejected: counters kept with every step, which would be a second source of truth.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use crate::partition::Report;

#[derive(Debug, Default)]
pub struct Counted(Mutex<Option<Last>>);

#[derive(Debug)]
struct Last {
    sweep: String,
    /// When it was counted, and how long that took.
    at: Duration,
    took: Duration,
    report: Report,
}

impl Counted {
    /// `now` is the monotonic clock.
    pub fn report(&self, sweep: &str, now: impl Fn() -> Duration, count: impl FnOnce() -> Report) -> Report {
        let mut last = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let begun = now();
        let known = last.as_ref().filter(|l| l.sweep == sweep);
        if let Some(known) = known.filter(|l| begun.saturating_sub(l.at) < l.took * 9) {
            return known.report.clone();
        }
        let report = count();
        let at = now();
        let took = at.saturating_sub(begun);
        *last = Some(Last { sweep: sweep.to_owned(), at, took, report: report.clone() });
        report
    }
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;

    use super::*;

    #[test]
    fn it_is_counted_again_when_nine_times_as_long_has_passed() {
        let (counted, clock, times) = (Counted::default(), Cell::new(0), Cell::new(0_u64));
        let now = || Duration::from_millis(clock.get());
        let ask = |sweep: &str| {
            let report = counted.report(sweep, now, || {
                clock.set(clock.get() + 100);
                times.set(times.get() + 1);
                Report { due: times.get(), ..Report::default() }
            });
            report.due
        };
        assert_eq!(ask("sw_1"), 1);
        clock.set(999);
        assert_eq!(ask("sw_1"), 1);
        clock.set(1_000);
        assert_eq!(ask("sw_1"), 2);
        assert_eq!(ask("sw_2"), 3, "another sweep's is no answer");
    }
}
