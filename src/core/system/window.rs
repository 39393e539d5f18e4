//! `windows:` of a manifest: the hours in which a system may be written to.

use jiff::Timestamp;
use jiff::tz::TimeZone;

use super::manifest::Window;
use crate::document::{Diagnostics, Fields, Node, choose, shown};
use crate::time::Millis;

const DAYS: [&str; 7] = ["mon", "tue", "wed", "thu", "fri", "sat", "sun"];

pub(super) fn read(node: &Node, found: &mut Diagnostics) -> Option<Window> {
    let mut fields = Fields::of(node, "a window", found)?;
    let days = match fields.take("days") {
        Some(node) => days(node, found),
        None => (1..=7).collect(),
    };
    let from = fields.need("from", found).and_then(|n| minutes(n, found));
    let to_node = fields.need("to", found);
    let to = to_node.and_then(|n| minutes(n, found));
    fields.finish(found);
    let (from, to) = (from?, to?);
    if from == to {
        found.error(
            to_node.unwrap_or(node),
            "a window that ends when it begins",
            "write from: \"00:00\", to: \"24:00\" for all day",
        );
    } else if from == 1440 {
        found.error(node, "a window cannot begin at 24:00", "write \"00:00\"");
    }
    Some(Window { days, from, to })
}

impl Window {
    /// By the wall clock: an hour that a change of time leaves out does not come, one that it repeats comes twice. A
    /// window past midnight belongs to the day it begins on.
    pub fn is_open(&self, zone: &TimeZone, at: Millis) -> bool {
        let Ok(instant) = Timestamp::from_millisecond(at.0) else { return false };
        let local = zone.to_datetime(instant);
        let minute = i32::from(local.hour()) * 60 + i32::from(local.minute());
        let (from, to) = (i32::from(self.from), i32::from(self.to));
        let today = local.weekday().to_monday_one_offset();
        let yesterday = if today == 1 { 7 } else { today - 1 };
        let on = |day: i8| self.days.contains(&day);
        match from < to {
            true => on(today) && from <= minute && minute < to,
            false => (on(today) && from <= minute) || (on(yesterday) && minute < to),
        }
    }
}

/// `[mon-fri, sun]`; a range may pass Sunday.
fn days(node: &Node, found: &mut Diagnostics) -> Vec<i8> {
    let one = std::slice::from_ref(node);
    let mut set = std::collections::BTreeSet::new();
    for node in node.as_list().unwrap_or(one) {
        let text = node.text().unwrap_or_default();
        let (first, last) = text.split_once('-').unwrap_or((text, text));
        let number = |day: &str| (1i8..).zip(DAYS).find(|(_, d)| *d == day).map(|(n, _)| n);
        match (number(first), number(last)) {
            (Some(first), Some(last)) => {
                let length = (last - first).rem_euclid(7);
                set.extend((0..=length).map(|i| (first - 1 + i) % 7 + 1));
            }
            (known, _) => {
                let word = if known.is_none() { first } else { last };
                let fix = choose(&word.to_lowercase(), DAYS.into_iter());
                found.error(node, format!("{} is no day or range of days", shown(node)), fix);
            }
        }
    }
    set.into_iter().collect()
}

/// `HH:MM`, 24 hours; `24:00` is the end of the day.
fn minutes(node: &Node, found: &mut Diagnostics) -> Option<u16> {
    let two =
        |t: &str| (t.len() == 2 && t.bytes().all(|b| b.is_ascii_digit())).then(|| t.parse::<u16>().ok())?;
    let text = node.text().unwrap_or_default();
    let read = text.split_once(':').and_then(|(h, m)| Some((two(h)?, two(m)?)));
    match read {
        Some((h, m)) if m < 60 && (h < 24 || (h == 24 && m == 0)) => Some(h * 60 + m),
        _ => {
            let fix = "write hours and minutes of the 24 h clock, such as \"01:00\"";
            found.error(node, format!("{} is no time of day", shown(node)), fix);
            None
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_window_is_open_by_the_wall_clock_of_its_zone() {
        let zone = jiff::tz::TimeZoneDatabase::bundled().get("Europe/Berlin").unwrap();
        let window = |days: &[i8], from, to| Window { days: days.to_vec(), from, to };
        let night = window(&[1, 2, 3, 4, 5], 60, 300);
        let over = window(&[5], 22 * 60, 120);
        let short = window(&[7], 150, 170);
        let day = window(&[1], 0, 1440);
        // Monday 2026-06-01 is summer time: 01:00 is 23:00 the day before in UTC.
        for (window, at, open) in [
            (&night, "2026-05-31T22:59:59Z", false),
            (&night, "2026-05-31T23:00:00Z", true),
            (&night, "2026-06-01T02:59:59Z", true),
            (&night, "2026-06-01T03:00:00Z", false),
            (&night, "2026-06-06T00:00:00Z", false),
            (&over, "2026-06-05T20:00:00Z", true),
            (&over, "2026-06-05T23:59:59Z", true),
            (&over, "2026-06-06T00:00:00Z", false),
            (&over, "2026-06-06T20:00:00Z", false),
            // 02:30 does not come on 2026-03-29, and comes twice on 2026-10-25.
            (&short, "2026-03-29T00:40:00Z", false),
            (&short, "2026-03-29T01:35:00Z", false),
            (&short, "2026-10-25T00:35:00Z", true),
            (&short, "2026-10-25T01:35:00Z", true),
            (&day, "2026-06-01T21:59:59Z", true),
            (&day, "2026-06-01T22:00:00Z", false),
        ] {
            assert_eq!(window.is_open(&zone, Millis::parse(at).unwrap()), open, "{window:?} {at}");
        }
    }
}
