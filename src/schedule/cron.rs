//! When the next sweep falls due: cron fields in the policy's zone.
//!
//! In a gap of daylight saving a time that does not exist runs once after it; in an overlap it runs once, at the
//! first of the two.

use std::str::FromStr;

use quietus_core::time::Millis;

/// The first time after `after` that the schedule names; None when it names none any more, or cannot be read.
pub fn next(schedule: &str, timezone: &str, after: Millis) -> Option<Millis> {
    let fields = schedule.split_whitespace().count();
    let full = if fields == 5 { format!("0 {schedule}") } else { schedule.to_owned() };
    let cron = cron::Schedule::from_str(&full).ok()?;
    let zone = jiff::tz::TimeZone::get(timezone).ok()?;
    let local = jiff::Timestamp::from_millisecond(after.0).ok()?.to_zoned(zone.clone()).datetime();
    // Local wall time, written as if it were UTC: what cron counts in.
    let wall = local.to_zoned(jiff::tz::TimeZone::UTC).ok()?.timestamp();
    let wall = chrono::DateTime::from_timestamp_millis(wall.as_millisecond())?;
    cron.after(&wall).take(8).find_map(|next| {
        let civil = jiff::Timestamp::from_millisecond(next.timestamp_millis()).ok()?;
        let civil = civil.to_zoned(jiff::tz::TimeZone::UTC).datetime();
        let at = zone.to_ambiguous_zoned(civil).compatible().ok()?.timestamp().as_millisecond();
        (at > after.0).then_some(Millis(at))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(text: &str) -> Millis {
        Millis::parse(text).unwrap()
    }

    #[test]
    fn five_or_six_fields_in_the_policys_zone() {
        let noon = at("2026-07-01T12:00:00Z");
        assert_eq!(next("0 2 * * *", "Europe/Berlin", noon), Some(at("2026-07-02T00:00:00Z")));
        assert_eq!(next("0 0 2 * * *", "Asia/Shanghai", noon), Some(at("2026-07-01T18:00:00Z")));
        assert_eq!(next("nonsense", "Asia/Shanghai", noon), None);
    }

    #[test]
    fn a_time_in_a_gap_runs_once_after_it() {
        // 02:30 does not exist in Berlin on 2026-03-29.
        let before = at("2026-03-28T12:00:00Z");
        let first = next("30 2 * * *", "Europe/Berlin", before).unwrap();
        assert_eq!(first, at("2026-03-29T01:30:00Z"));
        assert_eq!(next("30 2 * * *", "Europe/Berlin", first), Some(at("2026-03-30T00:30:00Z")));
    }

    #[test]
    fn a_time_in_an_overlap_runs_once() {
        // 02:30 happens twice in Berlin on 2026-10-25.
        let before = at("2026-10-24T12:00:00Z");
        let first = next("30 2 * * *", "Europe/Berlin", before).unwrap();
        assert_eq!(first, at("2026-10-25T00:30:00Z"));
        assert_eq!(next("30 2 * * *", "Europe/Berlin", first), Some(at("2026-10-26T01:30:00Z")));
    }
}
