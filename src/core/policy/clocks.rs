//! How long an answer to a person may take: the clocks that ship with the program, and a policy's own.
//!
//! Invariant: a policy's clock only shortens; where several regimes apply the earliest date counts. Where a law names
//! no time it is a month. The shipped figures are examples to start from, not legal advice; each names its law.

use std::collections::BTreeMap;
use std::sync::LazyLock;

use super::Calendar;
use super::model::{Policy, Span};
use crate::request::RequestKind;
use crate::time::Millis;

const MONTH: Span = Span::Days { months: 1, days: 0 };
/// Of every kind of request that has no clock of its own.
const ANY: &str = "any";

/// Regime → kind of request → length as written; `law` says where it stands.
static SHIPPED: LazyLock<BTreeMap<String, BTreeMap<String, String>>> = LazyLock::new(|| {
    serde_json::from_str(include_str!("../../../schemas/regimes/clocks.json")).unwrap_or_default()
});

fn shipped(regime: &str, kind: RequestKind) -> Span {
    let clocks = SHIPPED.get(regime);
    let text = clocks.and_then(|clocks| clocks.get(kind.name()).or_else(|| clocks.get(ANY)));
    text.and_then(|text| Span::parse(text).ok()).unwrap_or(MONTH)
}

/// When a request is to be answered under the regime it names, else under the policy's; None = under none.
pub fn answer_due(
    policy: &Policy,
    calendar: &Calendar,
    regime: Option<&str>,
    kind: RequestKind,
    received: Millis,
) -> Option<Millis> {
    let named: Vec<&str> = match regime {
        Some(regime) => vec![regime],
        None => policy.regimes.iter().map(String::as_str).collect(),
    };
    let own = |regime: &str| policy.clocks.get(regime).and_then(|clocks| clocks.get(kind.name())).copied();
    let spans = named.into_iter().flat_map(|regime| [Some(shipped(regime, kind)), own(regime)]);
    spans.flatten().map(|span| calendar.due(received, span, None)).min()
}

#[cfg(test)]
mod tests {
    use super::super::taxonomy::REGIMES;
    use super::*;
    use crate::policy::{Taxonomy, parse};

    #[test]
    fn every_regime_ships_its_clocks_and_every_clock_can_be_read() {
        let names: Vec<&str> = SHIPPED.keys().map(String::as_str).collect();
        assert_eq!(names, REGIMES);
        for (regime, clocks) in SHIPPED.iter() {
            assert!(clocks.contains_key("law"), "{regime}");
            for (kind, text) in clocks.iter().filter(|(kind, _)| *kind != "law") {
                assert!(kind == ANY || RequestKind::parse(kind).is_some(), "{regime} {kind}");
                assert!(Span::parse(text).is_ok(), "{regime} {kind} {text}");
            }
        }
    }

    #[test]
    fn the_earliest_counts_and_a_policy_only_shortens() {
        use RequestKind::{Access, Correct, Erase, Object};
        let received = Millis::parse("2026-01-05T12:00:00Z").unwrap();
        let due = |top: &str, regime: Option<&str>, kind| {
            let text = format!(
                "policy: p\ntimezone: UTC\n{top}\nrules:\n  - {{id: r, category: user.name, keep: 1y after recorded}}\n"
            );
            let (policy, found) = parse("p.yaml", text.as_bytes(), Taxonomy::bundled());
            let policy = policy.unwrap_or_else(|| panic!("{found:?}"));
            let calendar = Calendar::new(&policy).unwrap();
            let due = answer_due(&policy, &calendar, regime, kind, received);
            due.map(|at| at.to_string().split('T').next().unwrap().to_owned())
        };
        let day = |text: &str| Some(text.to_owned());
        assert_eq!(due("", None, Erase), None);
        assert_eq!(due("regimes: [gdpr]", None, Erase), day("2026-02-06"));
        assert_eq!(due("", Some("ccpa"), Erase), day("2026-02-20"));
        assert_eq!(due("", Some("ccpa"), Object), day("2026-01-27"));
        assert_eq!(due("regimes: [ccpa, gdpr]", None, Erase), day("2026-02-06"), "the earliest");
        assert_eq!(due("regimes: [gdpr]", Some("ccpa"), Erase), day("2026-02-20"), "the one it names");
        assert_eq!(due("", Some("appi"), Access), day("2026-02-06"), "a law without a time");
        assert_eq!(due("regimes: [gdpr]\nclocks: {gdpr: {erase: 20d}}", None, Erase), day("2026-01-26"));
        assert_eq!(due("regimes: [gdpr]\nclocks: {gdpr: {erase: 20d}}", None, Correct), day("2026-02-06"));
        assert_eq!(
            due("regimes: [gdpr]\nclocks: {gdpr: {erase: 90d}}", None, Erase),
            day("2026-02-06"),
            "never later"
        );
    }
}
