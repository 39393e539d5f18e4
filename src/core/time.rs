//! Instants are milliseconds since 1970-01-01T00:00:00Z, as a number: the core never asks what time it is.

use std::fmt;

use serde::{Deserialize, Serialize};

/// An instant, in milliseconds since the epoch, UTC.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Millis(pub i64);

impl Millis {
    pub const SECOND: i64 = 1_000;
    pub const MINUTE: i64 = 60_000;
    pub const HOUR: i64 = 3_600_000;
    pub const DAY: i64 = 86_400_000;
    /// How far ahead of the newest tick something may be said to have happened: clocks differ, and ticks come in steps.
    pub const SKEW: i64 = 5 * Self::MINUTE;

    /// This instant moved by `ms`, clamped at the ends of the range.
    pub fn plus(self, ms: i64) -> Self {
        Self(self.0.saturating_add(ms))
    }

    /// RFC 3339 in, with a zone or `Z`.
    pub fn parse(text: &str) -> Option<Self> {
        text.parse::<jiff::Timestamp>().ok().map(|t| Self(t.as_millisecond()))
    }

    /// Whether a calendar has it: years -9999 to 9999.
    pub fn is_dated(self) -> bool {
        jiff::Timestamp::from_millisecond(self.0).is_ok()
    }

    /// As [`Millis::parse`], or a date with or without a time of day, which is UTC where no zone is said.
    pub fn parse_loose(text: &str) -> Option<Self> {
        Self::parse(text).or_else(|| {
            let local = text.parse::<jiff::civil::DateTime>().ok()?;
            let at = jiff::tz::TimeZone::UTC.to_timestamp(local).ok()?;
            Some(Self(at.as_millisecond()))
        })
    }
}

/// The moment an item is judged at. Nothing that a source has yet to tell makes anything go early: what runs out by
/// itself counts only as far as the sources that feed the item have been read, while what somebody ended (a request, a
/// withdrawal) has ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Moment {
    pub now: Millis,
    /// No later than `now`.
    pub read: Millis,
}

impl Moment {
    /// Everything has been read up to it.
    pub fn at(now: Millis) -> Self {
        Self { now, read: now }
    }

    /// What both know.
    pub fn and(self, other: Self) -> Self {
        Self { now: self.now.max(other.now), read: self.read.max(other.read) }
    }
}

impl fmt::Display for Millis {
    /// RFC 3339 UTC.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match jiff::Timestamp::from_millisecond(self.0) {
            Ok(t) => fmt::Display::fmt(&t, f),
            Err(_) => write!(f, "{} ms", self.0),
        }
    }
}

impl fmt::Debug for Millis {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}
