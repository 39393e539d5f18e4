//! The only place that asks what time it is.
//!
//! Everything else is handed a [`Clock`], so a test, the demo and the simulation run on a time of their own.
//! Wall time may jump (an operator, a bad NTP server); the monotonic reading never does, and whoever writes ticks
//! compares the two. Rejected: reading the time where it is needed, which no test could then set.

use std::fmt::Debug;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use quietus_core::time::Millis;

pub trait Clock: Send + Sync + Debug {
    /// The wall clock. May jump in both directions.
    fn now(&self) -> Millis;

    /// Time since this clock was made. Never goes back.
    fn monotonic(&self) -> Duration;
}

/// The machine's own clock.
#[derive(Debug)]
pub struct SystemClock {
    started: Instant,
}

impl SystemClock {
    pub fn new() -> Self {
        Self { started: Instant::now() }
    }
}

impl Default for SystemClock {
    fn default() -> Self {
        Self::new()
    }
}

impl Clock for SystemClock {
    fn now(&self) -> Millis {
        #[expect(clippy::disallowed_methods, reason = "this is the one place that asks the system clock")]
        let now = SystemTime::now();
        let whole = |d: Duration| i64::try_from(d.as_millis()).unwrap_or(i64::MAX);
        Millis(match now.duration_since(UNIX_EPOCH) {
            Ok(since) => whole(since),
            Err(before) => whole(before.duration()).saturating_neg(),
        })
    }

    fn monotonic(&self) -> Duration {
        self.started.elapsed()
    }
}

/// A clock that stands still until it is moved.
#[derive(Debug)]
pub struct SimulatedClock {
    wall_ms: AtomicI64,
    monotonic_ms: AtomicU64,
}

impl SimulatedClock {
    pub fn at(now: Millis) -> Self {
        Self { wall_ms: AtomicI64::new(now.0), monotonic_ms: AtomicU64::new(0) }
    }

    /// Time passes: both readings move.
    pub fn advance(&self, by: Duration) {
        let ms = u64::try_from(by.as_millis()).unwrap_or(u64::MAX);
        self.monotonic_ms.fetch_add(ms, Ordering::SeqCst);
        self.wall_ms.fetch_add(i64::try_from(ms).unwrap_or(i64::MAX), Ordering::SeqCst);
    }

    /// The wall clock is set, as by an operator: no time passes.
    pub fn set(&self, now: Millis) {
        self.wall_ms.store(now.0, Ordering::SeqCst);
    }
}

impl Clock for SimulatedClock {
    fn now(&self) -> Millis {
        Millis(self.wall_ms.load(Ordering::SeqCst))
    }

    fn monotonic(&self) -> Duration {
        Duration::from_millis(self.monotonic_ms.load(Ordering::SeqCst))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_simulated_clock_moves_only_when_told() {
        let clock = SimulatedClock::at(Millis(1_000));
        assert_eq!((clock.now(), clock.monotonic()), (Millis(1_000), Duration::ZERO));
        clock.advance(Duration::from_secs(2));
        assert_eq!((clock.now(), clock.monotonic()), (Millis(3_000), Duration::from_secs(2)));
        clock.set(Millis(-5));
        assert_eq!((clock.now(), clock.monotonic()), (Millis(-5), Duration::from_secs(2)));
    }

    #[test]
    fn the_system_clock_is_in_this_century_and_its_monotonic_reading_never_goes_back() {
        let clock = SystemClock::new();
        assert!(clock.now() > Millis(1_700_000_000_000));
        let first = clock.monotonic();
        assert!(clock.monotonic() >= first);
    }
}
