//! The shipped policies, and what the language promises to take.

use super::*;
use crate::policy::{EndsOn, Keep, Period, Span, Start};
use crate::time::Millis;
use crate::verdict::Action;

pub const SHIPPED: &[(&str, &str)] = &[
    ("leansocket", include_str!("../../../../deploy/policies/leansocket.yaml")),
    ("bank-de", include_str!("../../../../deploy/policies/bank-de.yaml")),
    ("hr-us", include_str!("../../../../deploy/policies/hr-us.yaml")),
    ("hospital-de", include_str!("../../../../deploy/policies/hospital-de.yaml")),
];

#[test]
fn the_shipped_policies_are_accepted_without_a_word() {
    for (name, text) in SHIPPED {
        assert_eq!(findings(text), Vec::new(), "{name}");
        assert_eq!(policy(text).name, *name);
    }
}

#[test]
fn the_bank_s_policy_is_read_as_it_is_written() {
    let bank = policy(SHIPPED[1].1);
    assert_eq!(bank.effective, Millis::parse("2025-12-31T23:00:00Z"), "midnight in Berlin");
    assert_eq!(bank.evidence, Span::Days { months: 36, days: 0 });
    assert_eq!(bank.sweep.schedule, "0 0 2 * * *");
    assert_eq!(bank.purposes["marketing"].ends_on, [EndsOn::Withdraw, EndsOn::Erase]);
    let aml = bank.rules.iter().find(|rule| rule.id == "aml").unwrap();
    assert!(aml.locked && aml.keep.is_some() && aml.at_least.is_some());
    assert_eq!(aml.law.as_deref(), Some("GwG §8(4)"));
    assert_eq!((aml.line, aml.column), (20, 5));
}

#[test]
fn what_takes_an_event_back_is_declared_by_it() {
    let leansocket = policy(SHIPPED[0].1);
    assert!(leansocket.events["account_reopened"].open_ended);
    assert!(leansocket.purposes["dispute"].overrides && leansocket.purposes["dispute"].ends_on.is_empty());
}

#[test]
fn the_whole_language_is_taken() {
    let whole = policy(
        r#"
format: 1
policy: whole
timezone: Europe/Berlin
effective: 2026-12-01T00:00:00
regimes: [gdpr, uk-gdpr]
evidence: P3Y
fiscal_year: "04-01"
residency: {EEA: {store_in: [EEA], except: [crm]}}
jurisdictions: {EEA: [DE, FR, "NO"], NORDIC: [NO, SE]}
categories: {acme.orders: {title: Orders}, acme.orders.lines: }
events:
  closed: {of: subject, assume: last_activity, undone_by: reopened}
  shipped: {of: process, assume: {latest: [1y after recorded, 6mo after last_activity]}}
  removed: {of: item, open_ended: true}
purposes:
  shop: {use: essential.service, basis: contract, ended_by: closed}
  mail: {use: marketing.communications, basis: consent, ends_on: [withdraw]}
holds: {cool_down: 0s}
clocks: {gdpr: {erase: 20d, access: 15wd}}
sweep: {schedule: "0 2 * * mon-fri", limit: 10, brake: {times_forecast: 2, at_least_items: 5}}
rules:
  - {id: a, category: acme.orders, purpose: shop, jurisdiction: EEA, keep: {earliest: [1y after closed to end_of_fiscal_year, PT12H after removed]}}
  - {id: b, category: acme, purpose: shop, then: [{restrict: 0d after closed}, {erase: 180d after closed}]}
  - {id: c, category: user, purpose: mail, keep: indefinitely, why: "the archive act", system: archive, service: [s1, s2], controller: acme}
  - {id: d, category: user.contact, purpose: mail, keep: 2w after granted, then: anonymise, name: N, note: n, clause: 1.10, system: shop}
"#,
    );
    assert_eq!(whole.cool_down, 0);
    assert_eq!(whole.fiscal_year, Some((4, 1)));
    assert_eq!(whole.jurisdictions["NORDIC"], ["NO", "SE"], "NO is Norway");
    let Some(Keep::Stages(stages)) = &whole.rules[1].keep else { panic!("no stages") };
    assert_eq!((stages.len(), whole.rules[1].then), (2, Action::Erase));
    let Some(Keep::For(Period::Simple { start, .. })) = &whole.rules[3].keep else { panic!("no period") };
    assert_eq!(start, &Start::Granted);
    assert_eq!(whole.rules[3].clause.as_deref(), Some("1.10"));
}
