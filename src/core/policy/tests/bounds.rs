//! A sweep's bound never leaves out what is due.

use proptest::prelude::*;

use super::given::{day, given};
use crate::policy::{Bound, bound};
use crate::time::Millis;

const POLICY: &str = "
policy: p
timezone: America/Sao_Paulo
events:
  closed: {of: subject, open_ended: true}
purposes:
  short: {use: essential, basis: contract}
  long: {use: essential, basis: contract}
  staged: {use: essential, basis: contract}
  event: {use: essential, basis: contract}
  either: {use: essential, basis: contract}
  both: {use: essential, basis: contract}
  never: {use: essential, basis: contract}
rules:
  - {id: short, purpose: short, keep: 1mo after recorded}
  - {id: long, purpose: long, keep: 2y after recorded to end_of_year}
  - {id: staged, purpose: staged, then: [{restrict: 10d after recorded}, {erase: 1y after closed}]}
  - {id: event, purpose: event, keep: 30d after closed}
  - {id: either, purpose: either, keep: {earliest: [1y after recorded, 30d after closed]}}
  - {id: both, purpose: both, keep: {latest: [1y after recorded, 30d after closed]}}
  - {id: never, purpose: never, keep: indefinitely, why: test}
";

fn bound_of(purposes: &str, now: &str) -> Bound {
    let given = given(POLICY, "").copy("db", "user.name", purposes);
    bound(&given.policy, &given.calendar(), &given.item.copies, day(now))
}

#[test]
fn the_bound_is_near_the_truth_where_it_can_be() {
    let near = |bound: Bound, expected: &str| match bound {
        Bound::Recorded(at) => (at.0 - day(expected).0).abs() <= 4 * Millis::DAY,
        Bound::None | Bound::All => false,
    };
    assert!(near(bound_of("short", "2026-06-15"), "2026-05-15"));
    assert!(near(bound_of("long", "2026-06-15"), "2023-12-31"));
    assert!(near(bound_of("long short", "2026-06-15"), "2023-12-31"), "the longest purpose keeps");
    assert!(near(bound_of("both", "2026-06-15"), "2025-06-15"));
    assert!(near(bound_of("event long", "2026-06-15"), "2023-12-31"));
    assert_eq!(bound_of("staged", "2026-06-15"), Bound::All);
    assert_eq!(bound_of("event", "2026-06-15"), Bound::All);
    assert_eq!(bound_of("either", "2026-06-15"), Bound::All);
    assert_eq!(bound_of("never short", "2026-06-15"), Bound::None);
    assert_eq!(bound_of("", "2026-06-15"), Bound::None, "no rule covers it");
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn what_is_due_is_within_the_bound(
        purposes in proptest::sample::subsequence(vec!["short", "long", "staged", "event", "either", "both", "never"], 0..4),
        recorded in 0i64..1_400,
        closed in proptest::option::of(0i64..1_400),
        now in 0i64..1_400,
    ) {
        let at = |days: i64| day("2023-01-01").plus(days * Millis::DAY + 7 * Millis::HOUR);
        let given = given(POLICY, "")
            .copy("db", "user.name", &purposes.join(" "))
            .item(|i| i.recorded = Some(at(recorded)))
            .subject(|s| s.events.extend(closed.map(|days| ("closed".to_owned(), at(days)))));
        let calendar = given.calendar();
        let verdict = crate::policy::judge(&given.policy, &calendar, &given.item, &given.subject, &|_| false, at(now));
        let part = &verdict.copies[0].parts[0];
        let acts = part.due.is_some_and(|due| due <= at(now)) || part.stage.is_some();
        let within = match bound(&given.policy, &calendar, &given.item.copies, at(now)) {
            Bound::None => false,
            Bound::Recorded(latest) => at(recorded) <= latest,
            Bound::All => true,
        };
        prop_assert!(within || !acts);
    }
}
