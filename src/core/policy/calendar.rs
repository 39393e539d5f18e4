//! The policy's own calendar: instants into local days of its zone and back.
//!
//! Invariant: `first_instant` is monotone in the day, so whole-day periods are monotone in their start. It is
//! computed from the transitions themselves and not from a wall-clock guess: midnight does not exist on some
//! days, and some days do not exist at all. The zone database is the bundled one, so that a replay gives the
//! same dates on every machine. Rejected: the system's zone files, which differ between machines.

use jiff::civil::{Date, DateTime, Time};
use jiff::tz::{AmbiguousOffset, Offset, TimeZone, TimeZoneDatabase};
use jiff::{Span as JiffSpan, Timestamp};

use super::model::{Edge, Policy, Span};
use crate::time::Millis;

/// The zone and the fiscal year that periods are counted in.
#[derive(Clone, Debug)]
pub struct Calendar {
    zone: TimeZone,
    /// Month and day on which the fiscal year begins.
    fiscal_year: (i8, i8),
}

impl Calendar {
    /// The calendar of a policy. Err names the zone that is not known.
    pub fn new(policy: &Policy) -> Result<Self, String> {
        Self::in_zone(&policy.timezone, policy.fiscal_year)
    }

    /// A calendar in an IANA zone; the fiscal year is the calendar year unless told.
    pub fn in_zone(name: &str, fiscal_year: Option<(i8, i8)>) -> Result<Self, String> {
        let zone = TimeZoneDatabase::bundled()
            .get(name)
            .map_err(|_| format!("`{name}` is not a time zone; use an IANA name such as Europe/Berlin"))?;
        Ok(Self { zone, fiscal_year: fiscal_year.unwrap_or((1, 1)) })
    }

    pub fn zone(&self) -> &TimeZone {
        &self.zone
    }

    /// The date when `span` after `start`, moved to the end of the unit, is over: the first instant at which
    /// erasure is due.
    pub fn due(&self, start: Millis, span: Span, edge: Option<Edge>) -> Millis {
        match (span, edge) {
            (Span::Exact { millis }, None) => start.plus(millis),
            (Span::Exact { millis }, Some(edge)) => {
                self.after(self.end_of(self.local_date(start.plus(millis)), edge))
            }
            (Span::Days { months, days }, edge) => {
                let moved = self
                    .local_date(start)
                    .saturating_add(JiffSpan::new().try_months(months).unwrap_or_default())
                    .saturating_add(JiffSpan::new().try_days(days).unwrap_or_default());
                self.after(edge.map_or(moved, |edge| self.end_of(moved, edge)))
            }
            (Span::WorkingDays(days), edge) => {
                let moved = working_days(self.local_date(start), days);
                self.after(edge.map_or(moved, |edge| self.end_of(moved, edge)))
            }
        }
    }

    /// The local date at an instant.
    pub fn local_date(&self, at: Millis) -> Date {
        match Timestamp::from_millisecond(at.0) {
            Ok(t) => self.zone.to_datetime(t).date(),
            Err(_) if at.0 < 0 => Date::MIN,
            Err(_) => Date::MAX,
        }
    }

    /// The first instant of a local day; of a day that does not exist, of the next that does.
    pub fn first_instant(&self, day: Date) -> Millis {
        self.instant(day.to_datetime(Time::midnight()))
    }

    /// The instant of a local time: of one that is skipped, the first after the gap; of one that is repeated, the first.
    pub fn instant(&self, local: DateTime) -> Millis {
        let out_of_range = if local.year() < 0 { Timestamp::MIN } else { Timestamp::MAX };
        let at = |offset: Offset| offset.to_timestamp(local).unwrap_or(out_of_range);
        let instant = match self.zone.to_ambiguous_timestamp(local).offset() {
            AmbiguousOffset::Unambiguous { offset } => at(offset),
            AmbiguousOffset::Fold { before, .. } => at(before),
            AmbiguousOffset::Gap { before, .. } => {
                // Counted with the offset before it, the time lies at or after the jump; the jump is the instant.
                let past = at(before);
                let just_after =
                    Timestamp::from_millisecond(past.as_millisecond().saturating_add(1)).unwrap_or(past);
                self.zone.preceding(just_after).next().map_or(past, |jump| jump.timestamp())
            }
        };
        Millis(instant.as_millisecond())
    }

    /// The last day of the unit that `day` lies in.
    pub fn end_of(&self, day: Date, edge: Edge) -> Date {
        match edge {
            Edge::Day => day,
            Edge::Month => day.last_of_month(),
            Edge::Quarter => end_of_quarter(day),
            Edge::Year => day.last_of_year(),
            Edge::FiscalYear => self.end_of_fiscal_year(day),
        }
    }

    fn after(&self, last: Date) -> Millis {
        self.first_instant(last.tomorrow().unwrap_or(Date::MAX))
    }

    fn end_of_fiscal_year(&self, day: Date) -> Date {
        let (month, first) = self.fiscal_year;
        let begins = |year: i16| Date::new(year, month, first).unwrap_or_else(|_| day.first_of_year());
        let this = begins(day.year());
        let next = if day < this { this } else { begins(day.year().saturating_add(1).min(Date::MAX.year())) };
        next.yesterday().unwrap_or(day).max(day)
    }
}

fn end_of_quarter(day: Date) -> Date {
    let last_month = day.month().saturating_add(2) / 3 * 3;
    Date::new(day.year(), last_month, 1).map_or(day, Date::last_of_month)
}

/// `days` Mondays to Fridays after `day`. Public holidays are in no table: a clock may only be shortened, and
/// leaving them out shortens it.
fn working_days(day: Date, days: i32) -> Date {
    let mut last = day;
    let mut left = days;
    while left > 0 {
        let Ok(next) = last.tomorrow() else { return last };
        last = next;
        if last.weekday().to_monday_one_offset() <= 5 {
            left -= 1;
        }
    }
    last
}

#[cfg(test)]
mod tests {
    use super::*;

    fn millis(text: &str) -> Millis {
        Millis::parse(text).unwrap()
    }

    fn days(days: i32) -> Span {
        Span::Days { months: 0, days }
    }

    fn months(months: i32) -> Span {
        Span::Days { months, days: 0 }
    }

    /// (zone, start, span, edge, due)
    type Row = (&'static str, &'static str, Span, Option<Edge>, &'static str);

    #[test]
    fn whole_days_end_at_the_first_instant_of_the_day_after() {
        let rows: &[Row] = &[
            // the day of the start is not counted
            ("Europe/Berlin", "2026-03-10T12:00:00Z", days(0), None, "2026-03-10T23:00:00Z"),
            ("Europe/Berlin", "2026-03-10T12:00:00Z", days(1), None, "2026-03-11T23:00:00Z"),
            ("Europe/Berlin", "2026-03-10T23:30:00Z", days(0), None, "2026-03-11T23:00:00Z"),
            // over the change to summer time
            ("Europe/Berlin", "2026-03-28T12:00:00Z", days(1), None, "2026-03-29T22:00:00Z"),
            // month arithmetic clamps: from the 28th to the 31st, 29 February
            ("Europe/Berlin", "2026-01-28T12:00:00Z", months(1), None, "2026-02-28T23:00:00Z"),
            ("Europe/Berlin", "2026-01-29T12:00:00Z", months(1), None, "2026-02-28T23:00:00Z"),
            ("Europe/Berlin", "2026-01-30T12:00:00Z", months(1), None, "2026-02-28T23:00:00Z"),
            ("Europe/Berlin", "2026-01-31T12:00:00Z", months(1), None, "2026-02-28T23:00:00Z"),
            ("Europe/Berlin", "2024-02-29T12:00:00Z", months(12), None, "2025-02-28T23:00:00Z"),
            ("Europe/Berlin", "2024-02-29T12:00:00Z", months(48), None, "2028-02-29T23:00:00Z"),
            // midnight does not exist on 2018-11-04: the day begins at 01:00
            ("America/Sao_Paulo", "2018-11-02T12:00:00Z", days(1), None, "2018-11-04T03:00:00Z"),
            ("America/Sao_Paulo", "2018-11-03T12:00:00Z", days(1), None, "2018-11-05T02:00:00Z"),
            ("America/Sao_Paulo", "2018-02-16T12:00:00Z", days(1), None, "2018-02-18T03:00:00Z"),
            // no summer time
            ("Asia/Shanghai", "2026-05-31T15:59:59Z", months(6), None, "2026-11-30T16:00:00Z"),
            ("Asia/Shanghai", "2026-05-31T16:00:00Z", months(6), None, "2026-12-01T16:00:00Z"),
            // 2011-12-30 does not exist
            ("Pacific/Apia", "2011-12-28T12:00:00Z", days(1), None, "2011-12-30T10:00:00Z"),
            ("Pacific/Apia", "2011-12-28T12:00:00Z", days(2), None, "2011-12-30T10:00:00Z"),
            ("Pacific/Apia", "2011-12-28T12:00:00Z", days(3), None, "2011-12-31T10:00:00Z"),
            // a gap that began before midnight: 23:30 on the 30th became 00:30 on the 31st
            ("America/Toronto", "1919-03-29T12:00:00Z", days(1), None, "1919-03-31T04:30:00Z"),
        ];
        check(rows);
    }

    #[test]
    fn edges_move_the_last_day_to_the_end_of_the_unit() {
        let rows: &[Row] = &[
            ("Europe/Berlin", "2020-05-04T12:00:00Z", months(120), Some(Edge::Year), "2030-12-31T23:00:00Z"),
            ("Europe/Berlin", "2020-12-31T23:30:00Z", months(12), Some(Edge::Year), "2022-12-31T23:00:00Z"),
            ("Europe/Berlin", "2026-01-31T12:00:00Z", months(1), Some(Edge::Month), "2026-02-28T23:00:00Z"),
            ("Europe/Berlin", "2026-04-01T12:00:00Z", days(0), Some(Edge::Quarter), "2026-06-30T22:00:00Z"),
            ("Europe/Berlin", "2026-12-31T12:00:00Z", days(0), Some(Edge::Quarter), "2026-12-31T23:00:00Z"),
            ("Europe/Berlin", "2026-04-01T12:00:00Z", days(5), Some(Edge::Day), "2026-04-06T22:00:00Z"),
            (
                "Europe/Berlin",
                "2026-03-31T12:00:00Z",
                days(0),
                Some(Edge::FiscalYear),
                "2026-03-31T22:00:00Z",
            ),
            (
                "Europe/Berlin",
                "2026-04-01T12:00:00Z",
                days(0),
                Some(Edge::FiscalYear),
                "2027-03-31T22:00:00Z",
            ),
            (
                "America/Sao_Paulo",
                "2018-10-01T12:00:00Z",
                months(1),
                Some(Edge::Year),
                "2019-01-01T02:00:00Z",
            ),
        ];
        check(rows);
    }

    #[test]
    fn exact_lengths_are_exact_and_take_an_edge_afterwards() {
        let hours = |n: i64| Span::Exact { millis: n * Millis::HOUR };
        let rows: &[Row] = &[
            ("Europe/Berlin", "2026-03-28T12:00:00Z", hours(24), None, "2026-03-29T12:00:00Z"),
            ("Europe/Berlin", "2026-03-28T12:00:00Z", hours(12), Some(Edge::Day), "2026-03-29T22:00:00Z"),
            ("Europe/Berlin", "2026-03-28T10:00:00Z", hours(12), Some(Edge::Day), "2026-03-28T23:00:00Z"),
        ];
        check(rows);
    }

    #[test]
    fn working_days_skip_the_weekend() {
        let rows: &[Row] = &[
            ("Europe/Berlin", "2026-01-02T12:00:00Z", Span::WorkingDays(1), None, "2026-01-05T23:00:00Z"),
            ("Europe/Berlin", "2026-01-05T12:00:00Z", Span::WorkingDays(15), None, "2026-01-26T23:00:00Z"),
        ];
        check(rows);
    }

    #[test]
    fn an_unknown_zone_is_named() {
        assert!(Calendar::in_zone("Europe/Berln", None).unwrap_err().contains("Europe/Berln"));
    }

    #[test]
    fn the_ends_of_time_do_not_wrap() {
        let calendar = Calendar::in_zone("Europe/Berlin", None).unwrap();
        for start in [i64::MIN, -377_705_116_800_000, 253_402_207_200_000, i64::MAX] {
            for span in [days(i32::MAX), months(i32::MAX), Span::Exact { millis: i64::MAX }, days(0)] {
                for edge in [None, Some(Edge::Year), Some(Edge::FiscalYear)] {
                    let due = calendar.due(Millis(start), span, edge);
                    assert!(due.0 >= start || start > 253_402_200_000_000, "{start} {span:?} {due}");
                }
            }
        }
    }

    fn check(rows: &[Row]) {
        for (zone, start, span, edge, due) in rows {
            let calendar = Calendar::in_zone(zone, Some((4, 1))).unwrap();
            let found = calendar.due(millis(start), *span, *edge);
            assert_eq!(found, millis(due), "{zone}: {span:?} to {edge:?} after {start}");
        }
    }

    mod properties {
        use proptest::prelude::*;

        use super::*;

        fn any_span() -> impl Strategy<Value = Span> {
            prop_oneof![
                (0..600i32, 0..1000i32).prop_map(|(months, days)| Span::Days { months, days }),
                (0..10_000i64).prop_map(|hours| Span::Exact { millis: hours * Millis::HOUR }),
            ]
        }

        fn any_edge() -> impl Strategy<Value = Option<Edge>> {
            prop_oneof![
                Just(None),
                Just(Some(Edge::Day)),
                Just(Some(Edge::Month)),
                Just(Some(Edge::Quarter)),
                Just(Some(Edge::Year)),
                Just(Some(Edge::FiscalYear)),
            ]
        }

        proptest! {
            #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

            #[test]
            fn a_later_start_is_due_no_earlier_up_to_two_days(
                zone in prop_oneof![
                    Just("Europe/Berlin"), Just("America/Sao_Paulo"), Just("Asia/Shanghai"), Just("Pacific/Apia"),
                    Just("America/Havana"), Just("Africa/Casablanca"), Just("Antarctica/Troll"),
                ],
                start in -2_000_000_000_000i64..4_000_000_000_000,
                later in 0i64..100_000_000_000,
                span in any_span(),
                edge in any_edge(),
            ) {
                let calendar = Calendar::in_zone(zone, Some((4, 6))).unwrap();
                let due = calendar.due(Millis(start), span, edge);
                let due_later = calendar.due(Millis(start + later), span, edge);
                prop_assert!(due_later.plus(2 * Millis::DAY) >= due);
                prop_assert!(due >= Millis(start), "due before it began");
            }
        }
    }
}
