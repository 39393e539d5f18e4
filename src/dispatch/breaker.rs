//! A system that cannot be reached is left alone for a while, then asked with one record.
//!
//! It opens after a few calls in a row in which nothing was reached, so that a database that is down costs neither its
//! duties' tries nor its operators' patience. In memory only: a restart asks once more.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

/// Calls in a row that reached nothing.
const OPENS_AFTER: u32 = 5;
const LONGEST: Duration = Duration::from_secs(60);
/// A probe without an answer by then is followed by another.
const PROBE: Duration = Duration::from_secs(15);

#[derive(Debug, Default)]
pub struct Breaker(Mutex<Heard>);

#[derive(Clone, Copy, Debug, Default)]
struct Heard {
    /// In a row.
    failed: u32,
    /// Open until then, by the monotonic clock.
    until: Option<Duration>,
    /// A probe is out. What else fails while it is open was sent before, and says nothing new.
    probing: bool,
}

/// How much may be sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Room {
    All,
    /// One record, to see whether it is there again.
    Probe,
    Nothing,
}

impl Breaker {
    /// A probe is given out once, and again where no answer came.
    pub fn room(&self, now: Duration) -> Room {
        let mut heard = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        match heard.until {
            None => Room::All,
            Some(until) if until > now => Room::Nothing,
            Some(_) => {
                heard.until = Some(now + PROBE);
                heard.probing = true;
                Room::Probe
            }
        }
    }

    /// There was nothing to probe with: the next who has something gets it.
    pub fn put_back(&self, now: Duration) {
        let mut heard = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if heard.probing {
            (heard.until, heard.probing) = (Some(now), false);
        }
    }

    pub fn is_open(&self) -> bool {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).until.is_some()
    }

    /// A call came back; true when that opened or closed it.
    pub fn heard(&self, reached: bool, now: Duration) -> bool {
        let mut heard = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let was_open = heard.until.is_some();
        if reached {
            *heard = Heard::default();
            return was_open;
        }
        if was_open && !heard.probing {
            return false;
        }
        heard.probing = false;
        heard.failed = heard.failed.saturating_add(1);
        let beyond = heard.failed.checked_sub(OPENS_AFTER);
        heard.until = beyond.map(|n| now + Duration::from_secs(1 << n.min(6)).min(LONGEST));
        heard.until.is_some() != was_open
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    #[test]
    fn it_opens_after_five_probes_with_one_and_closes_when_something_is_reached() {
        let breaker = Breaker::default();
        assert!((0..4).all(|n| !breaker.heard(false, at(n))));
        assert_eq!(breaker.room(at(4)), Room::All);
        assert!(breaker.heard(false, at(4)));
        assert_eq!((breaker.room(at(4)), breaker.is_open()), (Room::Nothing, true));
        assert_eq!(breaker.room(at(5)), Room::Probe);
        assert_eq!(breaker.room(at(6)), Room::Nothing, "one probe at a time");
        assert_eq!(breaker.room(at(21)), Room::Probe, "the first one's answer never came");
        assert!(!breaker.heard(false, at(22)));
        assert_eq!((breaker.room(at(23)), breaker.room(at(24))), (Room::Nothing, Room::Probe));
        assert!(breaker.heard(true, at(25)));
        assert_eq!(breaker.room(at(25)), Room::All);
    }

    #[test]
    fn it_never_waits_longer_than_a_minute() {
        let breaker = Breaker::default();
        for n in 0..100 {
            breaker.heard(false, at(n * 100));
            breaker.room(at(n * 100 + 60));
        }
        breaker.heard(false, at(10_000));
        assert_eq!((breaker.room(at(10_059)), breaker.room(at(10_060))), (Room::Nothing, Room::Probe));
    }

    #[test]
    fn calls_that_were_under_way_when_it_opened_do_not_lengthen_the_wait() {
        let breaker = Breaker::default();
        for _ in 0..20 {
            breaker.heard(false, at(0));
        }
        assert_eq!(breaker.room(at(1)), Room::Probe);
    }
}
