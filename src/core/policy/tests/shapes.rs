//! A shape resolved once says of each item what the judge says of it alone.

use proptest::prelude::*;

use super::given::{PROCESS, day, given};
use crate::item::CopyState;
use crate::policy::{Dates, ShapeRules};
use crate::time::Millis;

const POLICY: &str = "
policy: p
timezone: Europe/Berlin
events:
  closed: {of: subject, assume: 3y after last_activity, undone_by: reopened}
  shipped: {of: process, assume: 1y after recorded}
  removed: {of: item, open_ended: true}
purposes:
  a: {use: essential, basis: contract, ended_by: closed}
  b: {use: marketing, basis: consent}
  c: {use: analytics, basis: legitimate_interests}
rules:
  - {id: all, category: user, purpose: a, jurisdiction: DE, keep: 30d after closed}
  - {id: name, jurisdiction: DE, category: user.name, purpose: a, system: db, keep: {earliest: [10d after removed, 1y after shipped]}}
  - {id: b, jurisdiction: DE, category: [user, system], purpose: b, keep: 60d after granted, then: anonymise}
  - {id: proof, jurisdiction: DE, category: user.contact, purpose: b, keep: 90d after withdrawn}
  - {id: c, jurisdiction: DE, purpose: c, then: [{restrict: 1d after recorded}, {erase: {latest: [20d after recorded, 5d after last_activity]}}]}
  - {id: none, jurisdiction: DE, category: user.device, purpose: a, keep: indefinitely, why: test}
  - {id: bare, jurisdiction: DE, keep: 2y after recorded}
  - {id: law, category: user.name, purpose: [a, c], jurisdiction: DE, at_least: 200d after recorded to end_of_year}
  - {id: law-b, category: user, at_least: 10d after removed, system: cache}
";

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn dates_and_verdict_agree(
        categories in proptest::collection::vec(
            proptest::sample::subsequence(vec!["system.operations", "user.contact.email", "user.device", "user.name"], 0..4), 1..4),
        purposes in proptest::collection::vec(proptest::sample::subsequence(vec!["a", "b", "c", "d"], 0..4), 3),
        gone in proptest::collection::vec(any::<bool>(), 3),
        times in proptest::collection::vec(proptest::option::of(0i64..1000), 12),
        retains in any::<bool>(),
    ) {
        let at = |n: usize| times[n].map(|days| day("2024-01-01").plus(days * Millis::DAY + 5 * Millis::HOUR));
        let mut given = given(POLICY, "");
        for (n, categories) in categories.iter().enumerate() {
            given = given.copy(["db", "cache", "db"][n], &categories.join(" "), &purposes[n].join(" "));
            if retains && n == 1 {
                given = given.with(|c| c.jurisdiction = None);
            }
            if gone[n] && n > 0 {
                given = given.state(CopyState::Gone { at: Millis(0) });
            }
        }
        let given = given
            .item(|i| {
                (i.recorded, i.touched, i.process) = (at(0), at(1), at(2).map(|_| PROCESS));
                i.events.extend(at(3).map(|at| ("removed".to_owned(), at)));
                i.consent.withdrawn.extend(at(4).map(|at| ("b".to_owned(), at)));
            })
            .subject(|s| {
                (s.active, s.latest_activity) = (at(5), at(6));
                s.events.extend(at(7).map(|at| ("closed".to_owned(), at)));
                s.events.extend(at(8).map(|at| ("reopened".to_owned(), at)));
                s.process_events.extend(at(9).map(|at| ((PROCESS, "shipped".to_owned()), at)));
                s.consent.granted.extend(at(10).map(|at| ("b".to_owned(), at)));
                s.consent.ended.extend(at(11).map(|at| ("c".to_owned(), at)));
            })
            .retaining(if retains { &["cache"] } else { &[] });
        let verdict = given.verdict("2026-01-01");
        let retains = |system: &str| given.retaining.contains(&system);
        let rules = ShapeRules::of(&given.policy, &given.item.copies, &retains);
        let mut dates = Dates::default();
        given.starts(|starts| rules.dates(starts, &mut dates));
        given.starts(|starts| rules.dates(starts, &mut dates));
        prop_assert_eq!(dates.latest(), verdict.due);
        let parts = verdict.copies.iter().flat_map(|copy| &copy.parts);
        prop_assert_eq!(parts.clone().count(), dates.parts().len());
        for date in dates.parts() {
            let part = &verdict.copies[date.copy].parts[date.part];
            prop_assert_eq!((date.due, date.action), (part.due, part.action));
        }
        prop_assert_eq!(dates.earliest(), parts.clone().filter_map(|part| part.due).min());
        for part in parts {
            // Exactly one rule wins where there is a date, unless a purpose without rules was ended last.
            let wins: Vec<_> = part.rules.iter().filter(|rule| rule.wins).collect();
            prop_assert!(wins.len() <= 1 && (part.due.is_some() || wins.is_empty()));
            prop_assert!(wins.iter().all(|rule| rule.due == part.due));
            prop_assert_eq!(part.due.is_none(), part.open.is_some());
        }
    }
}
