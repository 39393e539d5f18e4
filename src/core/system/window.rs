//! `windows:` of a manifest: the hours in which a system may be written to.

use super::manifest::Window;
use crate::document::{Diagnostics, Fields, Node, choose, shown};

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
