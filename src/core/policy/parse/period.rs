//! Periods in a policy file: one text, or the earliest or the latest of several.

use super::names::Names;
use crate::document::{Diagnostics, Fields, Node};
use crate::policy::model::{Edge, Period, Span, Start};

/// A period; every event it starts at must be declared.
pub(super) fn period(node: &Node, names: &Names<'_>, found: &mut Diagnostics) -> Option<Period> {
    if node.as_map().is_some() {
        return compound(node, names, found);
    }
    let Some(text) = node.text() else {
        let detail = format!("a period must be a text, this is {}", node.kind());
        found.error(node, detail, "write `SPAN after START [to EDGE]`, such as 180d after recorded");
        return None;
    };
    match Period::parse(text) {
        Ok(period) => {
            check(node, &period, names, found);
            Some(period)
        }
        Err(error) => {
            let (detail, fix) = parted(error);
            found.error(node, detail, fix);
            None
        }
    }
}

fn compound(node: &Node, names: &Names<'_>, found: &mut Diagnostics) -> Option<Period> {
    let before = found.error_count();
    let mut fields = Fields::of(node, "a period", found)?;
    let earliest = fields.take("earliest");
    let latest = fields.take("latest");
    fields.finish(found);
    let (list, build): (_, fn(Vec<Period>) -> Period) = match (earliest, latest) {
        (Some(list), None) => (list, Period::Earliest),
        (None, Some(list)) => (list, Period::Latest),
        (Some(_), Some(both)) => {
            found.error(
                both,
                "a period is the earliest or the latest, not both",
                "nest one inside the other",
            );
            return None;
        }
        (None, None) if found.error_count() > before => return None,
        (None, None) => {
            found.error(
                node,
                "this map is no period",
                "write {earliest: [PERIOD, …]} or {latest: [PERIOD, …]}",
            );
            return None;
        }
    };
    let Some(nodes) = list.as_list().filter(|nodes| !nodes.is_empty()) else {
        found.error(list, "this must be a list of periods", "write [180d after recorded, …]");
        return None;
    };
    let periods: Vec<Period> = nodes.iter().filter_map(|one| period(one, names, found)).collect();
    (periods.len() == nodes.len()).then(|| build(periods))
}

fn check(node: &Node, period: &Period, names: &Names<'_>, found: &mut Diagnostics) {
    let Period::Simple { span, start, edge } = period else { return };
    if let Start::Event(name) = start {
        names.event(node, name, found);
    }
    if let Span::WorkingDays(days) = span {
        let fix = format!("write {days}d; working days stand only in `clocks:`");
        found.error(node, "a period cannot be counted in working days", fix);
    }
    if *edge == Some(Edge::FiscalYear) && !names.has_fiscal_year {
        found.error(
            node,
            "`end_of_fiscal_year`, and no fiscal year",
            "add `fiscal_year: \"04-01\"` at the top of the policy",
        );
    }
}

/// A length where no start is asked for.
pub(super) fn span(node: &Node, key: &str, found: &mut Diagnostics) -> Option<Span> {
    let Some(text) = node.text() else {
        found.error(
            node,
            format!("`{key}` must be a length, this is {}", node.kind()),
            "write one such as 3y, 180d or 24h",
        );
        return None;
    };
    match Span::parse(text) {
        Ok(span) => Some(span),
        Err(error) => {
            let (detail, fix) = parted(error);
            found.error(node, format!("`{key}`: {detail}"), fix);
            None
        }
    }
}

/// Detail and remedy of a message that has both.
fn parted(error: String) -> (String, String) {
    match error.rsplit_once("; ") {
        Some((detail, fix)) => (detail.to_owned(), fix.to_owned()),
        None => (error, String::new()),
    }
}
