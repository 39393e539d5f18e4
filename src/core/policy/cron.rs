//! When a sweep runs: five or six cron fields, in the policy's zone.
//!
//! Invariant: a time that summer time skips runs once, right after the gap; one that it repeats runs once. Days of
//! the week are counted as everywhere (0 and 7 = Sunday); when both days are restricted, either matches, as in
//! every crontab. Rejected: matching instants instead of local times, which runs twice in an overlap.

use std::str::FromStr;

use ::cron::{Schedule, TimeUnitSpec};
use jiff::civil::{Date, Time};

use super::calendar::Calendar;
use crate::time::Millis;

/// A date that matches no more within this many days matches never.
const MAX_DAYS: usize = 366 * 9;

/// A parsed schedule.
#[derive(Clone, Debug)]
pub struct Cron {
    schedule: Schedule,
    /// Both the day of the month and that of the week are restricted.
    either_day: bool,
}

impl Cron {
    /// Reads five fields (minute hour day month weekday), or six with seconds first.
    pub fn parse(text: &str) -> Result<Self, String> {
        let fields: Vec<&str> = text.split_whitespace().collect();
        let (second, [minute, hour, day, month, weekday]) = match *fields.as_slice() {
            [minute, hour, day, month, weekday] => ("0", [minute, hour, day, month, weekday]),
            [second, minute, hour, day, month, weekday] => (second, [minute, hour, day, month, weekday]),
            _ => return Err(format!("`{text}` has {} fields, not five or six", fields.len())),
        };
        let names = weekdays(weekday).ok_or_else(|| format!("`{weekday}` is no day of the week"))?;
        let written = format!("{second} {minute} {hour} {day} {month} {names}");
        let schedule =
            Schedule::from_str(&written).map_err(|_| format!("`{text}` is not a cron schedule"))?;
        let free = |field: &str| field.starts_with('*') || field == "?";
        let cron = Self { schedule, either_day: !free(day) && !free(weekday) };
        if cron.first_date_after(Date::constant(2023, 12, 31)).is_none() {
            return Err(format!("`{text}` names a day that no month has"));
        }
        Ok(cron)
    }

    /// The first time after `after` at which it is due.
    pub fn next_after(&self, calendar: &Calendar, after: Millis) -> Option<Millis> {
        // An overlap or a gap shifts local times by a day at most: the day before begins before all of them.
        let mut date = calendar.local_date(after).yesterday().ok();
        while let Some(day) = date {
            for time in self.times() {
                let instant = calendar.instant(day.to_datetime(time));
                if instant > after && self.matches(day) {
                    return Some(instant);
                }
            }
            date = self.first_date_after(day);
        }
        None
    }

    fn first_date_after(&self, day: Date) -> Option<Date> {
        day.tomorrow().ok()?.series(jiff::Span::new().days(1)).take(MAX_DAYS).find(|day| self.matches(*day))
    }

    fn matches(&self, day: Date) -> bool {
        let of_month = self.schedule.days_of_month().includes(u32::from(day.day().unsigned_abs()));
        let weekday = u32::from(day.weekday().to_sunday_one_offset().unsigned_abs());
        let of_week = self.schedule.days_of_week().includes(weekday);
        let in_month = self.schedule.months().includes(u32::from(day.month().unsigned_abs()));
        in_month && if self.either_day { of_month || of_week } else { of_month && of_week }
    }

    fn times(&self) -> impl Iterator<Item = Time> + '_ {
        let small = |n: u32| i8::try_from(n).unwrap_or(0);
        self.schedule.hours().iter().flat_map(move |hour| {
            self.schedule.minutes().iter().flat_map(move |minute| {
                self.schedule
                    .seconds()
                    .iter()
                    .filter_map(move |second| Time::new(small(hour), small(minute), small(second), 0).ok())
            })
        })
    }
}

/// The days of the week, expanded to names: the numbers mean other days to other readers.
fn weekdays(field: &str) -> Option<String> {
    const NAMES: [&str; 7] = ["sun", "mon", "tue", "wed", "thu", "fri", "sat"];
    if matches!(field, "*" | "?") {
        return Some("*".to_owned());
    }
    let number = |text: &str| -> Option<usize> {
        let text = text.to_lowercase();
        let named = NAMES
            .iter()
            .position(|name| text.get(..3) == Some(name) && text.chars().all(char::is_alphabetic));
        named.or_else(|| text.parse().ok().filter(|n| *n <= 7))
    };
    let mut days = [false; 7];
    for part in field.split(',') {
        let (range, step) = match part.split_once('/') {
            Some((range, step)) => (range, step.parse::<usize>().ok().filter(|step| *step > 0)?),
            None => (part, 1),
        };
        let (first, last) = match range.split_once('-') {
            Some((first, last)) => (number(first)?, number(last)?),
            None if range == "*" => (0, 6),
            None if part.contains('/') => (number(range)?, 6),
            None => (number(range)?, number(range)?),
        };
        // `fri-mon` goes over the end of the week, and 7 is Sunday as the last day.
        let last = if last < first { last + 7 } else { last };
        for day in (first..=last).step_by(step) {
            *days.get_mut(day % 7)? = true;
        }
    }
    let named: Vec<&str> = NAMES.iter().zip(days).filter(|(_, on)| *on).map(|(name, _)| *name).collect();
    Some(named.join(","))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn runs(zone: &str, cron: &str, from: &str, times: usize) -> Vec<String> {
        let calendar = Calendar::in_zone(zone, None).unwrap();
        let cron = Cron::parse(cron).unwrap();
        let mut at = Millis::parse(from).unwrap();
        let next = |_| {
            at = cron.next_after(&calendar, at).unwrap();
            at.to_string()
        };
        (0..times).map(next).collect()
    }

    #[test]
    fn it_runs_by_the_local_clock() {
        assert_eq!(
            runs("Asia/Shanghai", "0 0 2 * * *", "2026-12-01T00:00:00Z", 2),
            ["2026-12-01T18:00:00Z", "2026-12-02T18:00:00Z"]
        );
        assert_eq!(
            runs("UTC", "30 3 * * 1-5", "2026-11-20T12:00:00Z", 1),
            ["2026-11-23T03:30:00Z"],
            "a Monday"
        );
        assert_eq!(
            runs("UTC", "0 4 * * 7", "2026-11-23T12:00:00Z", 1),
            ["2026-11-29T04:00:00Z"],
            "7 is Sunday"
        );
        assert_eq!(runs("UTC", "0 4 29 2 *", "2026-11-23T12:00:00Z", 1), ["2028-02-29T04:00:00Z"]);
        assert_eq!(
            runs("UTC", "0 4 1 * MON", "2026-11-24T12:00:00Z", 2),
            ["2026-11-30T04:00:00Z", "2026-12-01T04:00:00Z"],
            "either day"
        );
    }

    #[test]
    fn a_skipped_hour_runs_once_after_it_and_a_repeated_one_once() {
        assert_eq!(
            runs("Europe/Berlin", "0 30 2 * * *", "2026-03-28T12:00:00Z", 2),
            ["2026-03-29T01:00:00Z", "2026-03-30T00:30:00Z"]
        );
        assert_eq!(
            runs("Europe/Berlin", "0 30 2 * * *", "2026-10-24T12:00:00Z", 2),
            ["2026-10-25T00:30:00Z", "2026-10-26T01:30:00Z"]
        );
    }

    #[test]
    fn what_is_no_schedule_is_refused() {
        for wrong in [
            "",
            "* * *",
            "0 0 2 * * * 2027",
            "61 * * * *",
            "0 2 30 2 *",
            "0 2 * * 8",
            "0 2 * * funday",
            "@daily",
            "a b c d e",
        ] {
            assert!(Cron::parse(wrong).is_err(), "{wrong}");
        }
    }
}
