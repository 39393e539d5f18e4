//! What a policy says once: zone, dates, regimes, clocks, sweep.

use std::collections::BTreeMap;

use jiff::civil::{Date, DateTime};

use super::names::each;
use super::period::span;
use crate::document::{Diagnostics, Fields, choose, nearest};
use crate::policy::calendar::Calendar;
use crate::policy::cron::Cron;
use crate::policy::model::{Brake, Span, SweepPlan};
use crate::policy::taxonomy::REGIMES;
use crate::time::Millis;

/// The kinds of request that a clock may be shortened for.
const REQUESTS: &[&str] = &["erase", "correct", "restrict", "object", "withdraw", "access"];

pub(super) fn timezone(top: &mut Fields<'_>, found: &mut Diagnostics) -> String {
    let utc = || "UTC".to_owned();
    let Some(node) = top.take("timezone") else {
        found.warning(
            top.node(),
            "no `timezone`: days are counted in UTC",
            "add `timezone:` with an IANA name such as Europe/Berlin",
        );
        return utc();
    };
    let name = node.text().unwrap_or_default();
    match Calendar::in_zone(name, None) {
        Ok(_) => name.to_owned(),
        Err(_) => {
            let zones: Vec<String> = jiff::tz::TimeZoneDatabase::bundled()
                .available()
                .map(|zone| zone.as_str().to_owned())
                .collect();
            let fix = match nearest(name, zones.iter().map(String::as_str)) {
                Some(near) => format!("did you mean `{near}`?"),
                None => "use an IANA name such as Europe/Berlin".to_owned(),
            };
            found.error(node, "this time zone is not known", fix);
            utc()
        }
    }
}

pub(super) fn fiscal_year(top: &mut Fields<'_>, found: &mut Diagnostics) -> Option<(i8, i8)> {
    let node = top.take("fiscal_year")?;
    let day = node.text().and_then(|text| {
        let (month, day) = text.split_once('-')?;
        let (month, day) = (month.parse().ok()?, day.parse().ok()?);
        // 2023 has no 29 February, and a year that begins on a day most years lack has no beginning.
        Date::new(2023, month, day).ok().map(|_| (month, day))
    });
    if day.is_none() {
        found.error(node, "`fiscal_year` is no day of the year", "write month and day, such as \"04-01\"");
    }
    day
}

/// An instant, or a local time in the policy's zone.
pub(super) fn effective(
    top: &mut Fields<'_>,
    calendar: Option<&Calendar>,
    found: &mut Diagnostics,
) -> Option<Millis> {
    let node = top.take("effective")?;
    let text = node.text().unwrap_or_default();
    let local = || Some(calendar?.instant(text.parse::<DateTime>().ok()?));
    let at = Millis::parse(text).or_else(local);
    if at.is_none() && calendar.is_some() {
        found.error(node, "`effective` is no time", "write a local time such as 2026-12-01T00:00:00");
    }
    at
}

pub(super) fn regimes(top: &mut Fields<'_>, found: &mut Diagnostics) -> Vec<String> {
    let Some(node) = top.take("regimes") else { return Vec::new() };
    if node.as_list().is_some_and(<[_]>::is_empty) {
        return Vec::new();
    }
    let listed = each(node, "regimes", found);
    for (name, at) in &listed {
        regime(*at, name, found);
    }
    listed.into_iter().map(|(name, _)| name.to_owned()).collect()
}

fn regime(at: impl Into<crate::document::At>, name: &str, found: &mut Diagnostics) {
    if !REGIMES.contains(&name) {
        let fix = choose(name, REGIMES.iter().copied());
        found.error(at, format!("the regime `{name}` is not known"), fix);
    }
}

pub(super) fn evidence(top: &mut Fields<'_>, found: &mut Diagnostics) -> Option<Span> {
    let node = top.take("evidence")?;
    let length = span(node, "evidence", found)?;
    if matches!(length, Span::WorkingDays(_)) {
        found.error(
            node,
            "`evidence` cannot be counted in working days",
            "write whole days, months or years",
        );
    }
    Some(length)
}

pub(super) fn cool_down(top: &mut Fields<'_>, found: &mut Diagnostics) -> Option<i64> {
    let mut holds = top.fields("holds", "`holds`", found)?;
    let node = holds.take("cool_down");
    holds.finish(found);
    let node = node?;
    let millis = span(node, "cool_down", found)?.fixed_millis();
    if millis.is_none() {
        found.error(node, "`cool_down` must be a fixed length", "write hours or days, such as 24h");
    }
    millis
}

pub(super) fn clocks(
    top: &mut Fields<'_>,
    found: &mut Diagnostics,
) -> BTreeMap<String, BTreeMap<String, Span>> {
    let mut clocks = BTreeMap::new();
    for (key, node) in top.map("clocks", found) {
        regime(key, &key.text, found);
        let Some(entries) = node.as_map() else {
            found.error(node, format!("the clocks of `{}` must be a map", key.text), "write {erase: 20d}");
            continue;
        };
        let mut of_regime = BTreeMap::new();
        for (request, length) in entries {
            if !REQUESTS.contains(&request.text.as_str()) {
                let fix = choose(&request.text, REQUESTS.iter().copied());
                found.error(request, format!("`{}` is no kind of request", request.text), fix);
            }
            if let Some(length) = span(length, &request.text, found) {
                of_regime.insert(request.text.clone(), length);
            }
        }
        clocks.insert(key.text.clone(), of_regime);
    }
    clocks
}

pub(super) fn sweep(top: &mut Fields<'_>, found: &mut Diagnostics) -> Option<SweepPlan> {
    let mut fields = top.fields("sweep", "`sweep`", found)?;
    let mut schedule = super::DEFAULT_SCHEDULE.to_owned();
    if let Some(node) = fields.take("schedule") {
        let text = node.text().unwrap_or_default();
        match Cron::parse(text) {
            Ok(_) => schedule = text.to_owned(),
            Err(error) => found.error(
                node,
                format!("`schedule`: {error}"),
                "write five or six cron fields, such as \"0 2 * * *\" for 02:00",
            ),
        }
    }
    let limit = fields.int_in("limit", 1, i64::MAX, found).and_then(|n| u64::try_from(n).ok());
    let brake = fields.fields("brake", "`brake`", found).and_then(|mut brake| {
        let node = brake.node();
        let times = brake.int_in("times_forecast", 1, 1_000_000, found).and_then(|n| u32::try_from(n).ok());
        let items = brake.int_in("at_least_items", 0, i64::MAX, found).and_then(|n| u64::try_from(n).ok());
        brake.finish(found);
        if times.is_none() && node.get("times_forecast").is_none() {
            found.error(
                node,
                "`brake` needs `times_forecast`",
                "write {times_forecast: 3, at_least_items: 1000}",
            );
        }
        Some(Brake { times_forecast: times?, at_least_items: items.unwrap_or(0) })
    });
    fields.finish(found);
    Some(SweepPlan { schedule, limit, brake })
}
