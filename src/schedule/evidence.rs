//! The end of evidence: once a month what is gone longer than the policy keeps evidence is forgotten.
//!
//! Monthly and not nightly, because every partition is gone through and its store written anew without what goes: what
//! is kept longer is kept thirty days longer at most. Nothing goes in the period's first month: none of it was ours.

use quietus_core::engine::control::Control;
use quietus_core::policy::{Calendar, Span};
use quietus_core::record::{EvidenceEnded, Record};
use quietus_core::time::Millis;

use super::ticks;
use crate::node::{Node, NodeError};

/// Between two ends of evidence.
const EVERY: i64 = 30 * Millis::DAY;

/// Lets evidence end where a month of it has become too old; answers before when that was.
pub async fn end(node: &Node) -> Result<Option<Millis>, NodeError> {
    let Some(before) = node.with_control(|control| due(control, node.now())) else { return Ok(None) };
    ticks::tick_all(node).await?;
    let record = EvidenceEnded { before: before.0, at: node.now().0 };
    let k = node.decree(Record::EvidenceEnded(record)).await?;
    node.has_come_through(k).await;
    tracing::info!(%before, "what was gone before this time is known no longer");
    Ok(Some(before))
}

/// Before when evidence is to end at `now`; None = a month's worth is not there yet.
fn due(control: &Control, now: Millis) -> Option<Millis> {
    let active = control.policy.as_ref().filter(|_| !control.stopped)?;
    let first = control.versions.values().map(|version| version.published).min();
    let last = control.evidence_ended.max(first)?;
    let before = before(&active.calendar, active.policy.evidence, now);
    (before >= last.plus(EVERY)).then_some(before)
}

/// The last day of which evidence is over at `now`: never a day too late.
fn before(calendar: &Calendar, evidence: Span, now: Millis) -> Millis {
    let at_most = match evidence {
        Span::Exact { millis } => return now.plus(-millis),
        Span::Days { months, days } => i64::from(months) * 31 + i64::from(days),
        Span::WorkingDays(days) => i64::from(days) * 3,
    };
    // A date is the end of its day.
    let mut before = now.plus(-(at_most + 2).saturating_mul(Millis::DAY));
    while calendar.due(before.plus(Millis::DAY), evidence, None) <= now {
        before = before.plus(Millis::DAY);
    }
    before
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(text: &str) -> Millis {
        Millis::parse(text).unwrap()
    }

    #[test]
    fn evidence_ends_when_its_period_is_over_and_no_day_sooner() {
        let calendar = Calendar::in_zone("Europe/Berlin", None).unwrap();
        let now = at("2029-03-31T12:00:00Z");
        let three_years = before(&calendar, Span::parse("3y").unwrap(), now);
        assert!(calendar.due(three_years, Span::parse("3y").unwrap(), None) <= now);
        assert!(
            (at("2026-03-30T00:00:00Z")..=at("2026-03-31T12:00:00Z")).contains(&three_years),
            "{three_years}"
        );
        assert_eq!(before(&calendar, Span::parse("48h").unwrap(), now), at("2029-03-29T12:00:00Z"));
        let days = before(&calendar, Span::parse("30d").unwrap(), now);
        assert!(calendar.due(days, Span::parse("30d").unwrap(), None) <= now);
        assert!((at("2029-02-28T00:00:00Z")..=at("2029-03-01T00:00:00Z")).contains(&days), "{days}");
    }
}
