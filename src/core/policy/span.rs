//! Lengths as people write them: `180d`, `13mo`, `1y6mo`, ISO 8601 `P1Y6M`, `PT12H`.
//!
//! Invariant: a length is whole local days and months, or an exact time, never both: a mixture is expiry by the
//! clock, which is not monotone in its start. `m` alone is refused, because half of its readers take it for the other unit.

use std::fmt;

use super::model::Span;
use crate::time::Millis;

/// A thousand years, in months: beyond it a figure is a typing error.
const MAX_MONTHS: i64 = 12_000;
const MAX_DAYS: i64 = 366_000;

impl Span {
    /// Reads a length. Err says what is wrong with it and what to write instead.
    pub fn parse(text: &str) -> Result<Self, String> {
        let text = text.trim();
        let parts = if text.starts_with(['P', 'p']) { iso(text)? } else { units(text)? };
        Sum::of(text, &parts)?.span(text)
    }

    /// The length in milliseconds where it is one whatever the calendar says: an exact time, or whole days of 24 h.
    pub fn fixed_millis(self) -> Option<i64> {
        match self {
            Self::Exact { millis } => Some(millis),
            Self::Days { months: 0, days } => Some(i64::from(days).saturating_mul(Millis::DAY)),
            Self::Days { .. } | Self::WorkingDays(_) => None,
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Unit {
    Years,
    Months,
    Weeks,
    Days,
    Hours,
    Minutes,
    Seconds,
    WorkingDays,
}

/// `1y6mo` as numbers with units.
fn units(text: &str) -> Result<Vec<(i64, Unit)>, String> {
    let mut parts = Vec::new();
    let mut rest = text;
    while !rest.is_empty() {
        let digits = rest.find(|c: char| !c.is_ascii_digit()).unwrap_or(rest.len());
        let (number, after) = rest.split_at(digits);
        let letters = after.find(|c: char| !c.is_ascii_alphabetic()).unwrap_or(after.len());
        let (unit, tail) = after.split_at(letters);
        if number.is_empty() || (unit.is_empty() && !tail.trim_start().is_empty()) {
            return Err(format!(
                "`{text}` is not a length; write whole numbers with y mo w d h min s, such as 1y6mo"
            ));
        }
        let unit = match unit {
            "y" => Unit::Years,
            "mo" => Unit::Months,
            "w" => Unit::Weeks,
            "d" => Unit::Days,
            "h" => Unit::Hours,
            "min" => Unit::Minutes,
            "s" => Unit::Seconds,
            "wd" => Unit::WorkingDays,
            "m" => {
                return Err(format!(
                    "`{text}`: min or mo?; write {number}min for minutes, {number}mo for months"
                ));
            }
            "" => {
                return Err(format!("`{text}` has no unit; write {number}d for days, {number}mo for months"));
            }
            other => return Err(format!("`{text}`: `{other}` is not a unit; use one of y mo w d h min s")),
        };
        parts.push((count(text, number)?, unit));
        rest = tail.trim_start();
    }
    if parts.is_empty() {
        return Err(
            "a length is missing; write whole numbers with y mo w d h min s, such as 1y6mo".to_owned()
        );
    }
    Ok(parts)
}

/// `P1Y6M`, `P30D`, `PT12H` as numbers with units.
fn iso(text: &str) -> Result<Vec<(i64, Unit)>, String> {
    let wrong =
        || format!("`{text}` is not an ISO 8601 duration of whole numbers; write P1Y6M, P30D or PT12H");
    let body = text.get(1..).ok_or_else(wrong)?.to_ascii_uppercase();
    let (date, time) = match body.split_once('T') {
        Some((_, "")) => return Err(wrong()),
        Some((date, time)) => (date.to_owned(), time.to_owned()),
        None => (body, String::new()),
    };
    let mut parts = Vec::new();
    for (mut rest, is_time) in [(date.as_str(), false), (time.as_str(), true)] {
        let mut order = 0;
        while !rest.is_empty() {
            let digits = rest.find(|c: char| !c.is_ascii_digit()).ok_or_else(wrong)?;
            let (number, after) = rest.split_at(digits);
            let letter = after.chars().next().ok_or_else(wrong)?;
            let (rank, unit) = match (letter, is_time) {
                ('Y', false) => (1, Unit::Years),
                ('M', false) => (2, Unit::Months),
                ('W', false) => (3, Unit::Weeks),
                ('D', false) => (4, Unit::Days),
                ('H', true) => (1, Unit::Hours),
                ('M', true) => (2, Unit::Minutes),
                ('S', true) => (3, Unit::Seconds),
                _ => return Err(wrong()),
            };
            if number.is_empty() || rank <= order {
                return Err(wrong());
            }
            order = rank;
            parts.push((count(text, number)?, unit));
            rest = after.get(letter.len_utf8()..).unwrap_or_default();
        }
    }
    if parts.is_empty() {
        return Err(wrong());
    }
    Ok(parts)
}

fn count(text: &str, number: &str) -> Result<i64, String> {
    number
        .parse::<i64>()
        .ok()
        .filter(|n| *n <= 1_000_000_000)
        .ok_or_else(|| format!("`{text}` is too long; write a shorter one"))
}

#[derive(Default)]
struct Sum {
    months: i64,
    days: i64,
    millis: i64,
    working_days: i64,
    local: bool,
    exact: bool,
    working: bool,
}

impl Sum {
    fn of(text: &str, parts: &[(i64, Unit)]) -> Result<Self, String> {
        let mut sum = Self::default();
        let mut seen: Vec<Unit> = Vec::new();
        for &(n, unit) in parts {
            if seen.contains(&unit) {
                return Err(format!("`{text}` names a unit twice; add the two figures up"));
            }
            seen.push(unit);
            match unit {
                Unit::Years => (sum.months, sum.local) = (sum.months + n * 12, true),
                Unit::Months => (sum.months, sum.local) = (sum.months + n, true),
                Unit::Weeks => (sum.days, sum.local) = (sum.days + n * 7, true),
                Unit::Days => (sum.days, sum.local) = (sum.days + n, true),
                Unit::Hours => (sum.millis, sum.exact) = (sum.millis + n * Millis::HOUR, true),
                Unit::Minutes => (sum.millis, sum.exact) = (sum.millis + n * Millis::MINUTE, true),
                Unit::Seconds => (sum.millis, sum.exact) = (sum.millis + n * Millis::SECOND, true),
                Unit::WorkingDays => (sum.working_days, sum.working) = (sum.working_days + n, true),
            }
        }
        Ok(sum)
    }

    fn span(&self, text: &str) -> Result<Span, String> {
        if [self.local, self.exact, self.working].iter().filter(|kind| **kind).count() > 1 {
            return Err(format!(
                "`{text}` mixes days with hours or working days; write whole days (d w mo y), or an exact time (h min s)"
            ));
        }
        let too_long = || {
            format!(
                "`{text}` is longer than a thousand years; for data that is never erased write `keep: indefinitely` with `why:`"
            )
        };
        if self.months > MAX_MONTHS || self.days > MAX_DAYS || self.millis > MAX_DAYS * Millis::DAY {
            return Err(too_long());
        }
        let small = |n: i64| i32::try_from(n).map_err(|_| too_long());
        if self.exact {
            Ok(Span::Exact { millis: self.millis })
        } else if self.working {
            if self.working_days > 10_000 {
                return Err(too_long());
            }
            Ok(Span::WorkingDays(small(self.working_days)?))
        } else {
            Ok(Span::Days { months: small(self.months)?, days: small(self.days)? })
        }
    }
}

impl fmt::Display for Span {
    /// As a policy file would write it.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let parts: Vec<(i64, &str)> = match *self {
            Self::Days { months, days } if months % 12 == 0 => {
                vec![(i64::from(months / 12), "y"), (i64::from(days), "d")]
            }
            Self::Days { months, days } => vec![(i64::from(months), "mo"), (i64::from(days), "d")],
            Self::Exact { millis } => vec![
                (millis / Millis::HOUR, "h"),
                (millis % Millis::HOUR / Millis::MINUTE, "min"),
                (millis % Millis::MINUTE / Millis::SECOND, "s"),
            ],
            Self::WorkingDays(days) => return write!(f, "{days}wd"),
        };
        let mut none = true;
        for (n, unit) in parts.into_iter().filter(|(n, _)| *n != 0) {
            write!(f, "{n}{unit}")?;
            none = false;
        }
        match (none, self) {
            (true, Self::Exact { .. }) => f.write_str("0s"),
            (true, _) => f.write_str("0d"),
            (false, _) => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lengths_are_read_as_written() {
        let days = |months, days| Span::Days { months, days };
        for (text, span) in [
            ("180d", days(0, 180)),
            ("0d", days(0, 0)),
            ("13mo", days(13, 0)),
            ("1y6mo", days(18, 0)),
            ("1y 6mo", days(18, 0)),
            ("2w", days(0, 14)),
            ("P1Y6M", days(18, 0)),
            ("P30D", days(0, 30)),
            ("P2W", days(0, 14)),
            ("PT12H", Span::Exact { millis: 12 * Millis::HOUR }),
            ("PT1H30M", Span::Exact { millis: 90 * Millis::MINUTE }),
            ("90min", Span::Exact { millis: 90 * Millis::MINUTE }),
            ("0s", Span::Exact { millis: 0 }),
            ("15wd", Span::WorkingDays(15)),
        ] {
            assert_eq!(Span::parse(text), Ok(span), "{text}");
            assert_eq!(Span::parse(&span.to_string()), Ok(span), "{text} as {span}");
        }
    }

    #[test]
    fn what_is_no_length_says_what_to_write() {
        for (text, says) in [
            ("6m", "min or mo?"),
            ("1y6m", "min or mo?"),
            ("30", "no unit"),
            ("30days", "is not a unit"),
            ("1.5y", "is not a length"),
            ("-3d", "is not a length"),
            ("", "missing"),
            ("1d12h", "mixes"),
            ("P1DT12H", "mixes"),
            ("1d1d", "twice"),
            ("P", "ISO 8601"),
            ("P1YT", "ISO 8601"),
            ("P1M1Y", "ISO 8601"),
            ("P1.5Y", "ISO 8601"),
            ("9999y", "thousand years"),
            ("99999999999999999999d", "too long"),
        ] {
            let error = Span::parse(text).expect_err(text);
            assert!(error.contains(says), "{text}: {error}");
        }
    }
}
