//! One row per basis and kind of request: what it does to the purpose.

use super::given::{Given, day, given};
use crate::policy::{Because, EndsOn, Grounds, RequestEffect, ends_by_request};
use crate::time::Millis;

const POLICY: &str = "
policy: p
timezone: UTC
events:
  closed: {of: subject, assume: 3y after last_activity, undone_by: reopened}
purposes:
  consent: {use: functional, basis: consent}
  consent_ads: {use: marketing.advertising, basis: consent}
  contract: {use: essential.service, basis: contract, ended_by: closed}
  endless: {use: essential.service, basis: contract}
  obligation: {use: essential.legal_obligation, basis: legal_obligation}
  bare_obligation: {use: essential.legal_obligation, basis: legal_obligation}
  vital: {use: essential, basis: vital_interests}
  public: {use: essential, basis: public_interest}
  interest: {use: analytics, basis: legitimate_interests}
  interest_ads: {use: marketing.advertising.profiling, basis: legitimate_interests}
  dispute: {use: essential.legal_obligation, basis: legitimate_interests, ends_on: []}
  generous: {use: essential.legal_obligation, basis: legal_obligation, ends_on: [erase, object]}
rules:
  - {id: all, category: user, keep: 1y after recorded}
  - {id: law, category: user.name, purpose: obligation, keep: 10y after recorded to end_of_year, law: \"HGB 257\"}
  - {id: minimum, category: user.contact, purpose: bare_obligation, at_least: 6y after recorded, law: \"AO 147\"}
  - {id: closed, category: user, purpose: [contract, endless], keep: 180d after closed}
";

fn item(purpose: &str) -> Given {
    given(POLICY, "2026-03-10").copy("db", "user.contact user.name", purpose)
}

fn effect(given: &Given, purpose: &str, kind: EndsOn, grounds: Option<Grounds>) -> RequestEffect {
    given.starts(|starts| ends_by_request(starts, purpose, kind, grounds, day("2026-06-01")))
}

#[derive(Debug, PartialEq)]
enum Expected {
    Ends,
    Refused(Because),
    PersonDecides,
    NotEnded,
}

#[test]
fn the_basis_decides() {
    use EndsOn::{Erase, Object, Withdraw};
    use Expected::{Ends, NotEnded, PersonDecides, Refused};
    let rows = [
        ("consent", Withdraw, Ends),
        ("consent", Erase, Ends),
        ("consent", Object, NotEnded),
        ("consent_ads", Object, Ends),
        ("contract", Withdraw, NotEnded),
        ("contract", Object, NotEnded),
        ("contract", Erase, Refused(Because::ContractRuns)),
        ("endless", Erase, Refused(Because::ContractRuns)),
        ("obligation", Withdraw, NotEnded),
        ("obligation", Object, NotEnded),
        ("obligation", Erase, Refused(Because::LegalObligation)),
        ("vital", Erase, PersonDecides),
        ("public", Erase, PersonDecides),
        ("public", Object, PersonDecides),
        ("vital", Withdraw, NotEnded),
        ("interest", Erase, PersonDecides),
        ("interest", Object, PersonDecides),
        ("interest", Withdraw, NotEnded),
        ("interest_ads", Erase, Ends),
        ("interest_ads", Object, Ends),
        // `ends_on` overrides
        ("dispute", Erase, Refused(Because::PolicySays)),
        ("dispute", Object, Refused(Because::PolicySays)),
        ("dispute", Withdraw, NotEnded),
        ("generous", Erase, Ends),
        ("generous", Object, Ends),
        // nothing justifies the nameless purpose; an undeclared one has no basis to go by
        ("", Erase, Ends),
        ("undeclared", Erase, PersonDecides),
    ];
    for (purpose, kind, expected) in rows {
        let found = match effect(&item(purpose), purpose, kind, None) {
            RequestEffect::Ends => Ends,
            RequestEffect::Refused(refusal) => Refused(refusal.because),
            RequestEffect::PersonDecides => PersonDecides,
            RequestEffect::NotEnded => NotEnded,
        };
        assert_eq!(found, expected, "{purpose} {kind:?}");
    }
}

#[test]
fn a_contract_ends_once_its_relationship_has_or_on_three_grounds() {
    let ends = |given: &Given, grounds: Option<Grounds>| {
        effect(given, "contract", EndsOn::Erase, grounds) == RequestEffect::Ends
    };
    assert!(ends(&item("contract").event("closed", "2026-05-01"), None));
    assert!(!ends(&item("contract").event("closed", "2026-07-01"), None), "it is still to come");
    let ahead = |ms: i64| {
        item("contract").subject(|s| {
            s.events.insert("closed".to_owned(), day("2026-06-01").plus(ms));
        })
    };
    assert!(ends(&ahead(Millis::SKEW), None), "told as happened, by a clock that is ahead");
    assert!(!ends(&ahead(Millis::SKEW + 1), None), "further ahead than clocks differ");
    assert!(!ends(&item("contract").event("closed", "2026-05-01").event("reopened", "2026-05-02"), None));
    let forgotten = item("contract").item(|i| i.recorded = Some(day("2021-01-01")));
    assert!(ends(&forgotten, None), "assumed to have ended three years after the last activity");
    for (code, grounds) in Grounds::ALL {
        let expected = matches!(code, "unlawful" | "no_longer_necessary" | "legal_obligation");
        assert_eq!(ends(&item("contract"), Some(grounds)), expected, "{code}");
        assert_eq!(Grounds::parse(code), Some(grounds));
        let obligation = effect(&item("obligation"), "obligation", EndsOn::Erase, Some(grounds));
        assert!(matches!(obligation, RequestEffect::Refused(_)), "{code}: a legal obligation stands");
    }
    assert_eq!(Grounds::parse("because"), None);
}

#[test]
fn a_refusal_names_rule_law_and_date() {
    let RequestEffect::Refused(refusal) = effect(&item("obligation"), "obligation", EndsOn::Erase, None)
    else {
        panic!("not refused")
    };
    assert_eq!((refusal.rule.as_deref(), refusal.law.as_deref()), (Some("law"), Some("HGB 257")));
    assert_eq!(refusal.until, Millis::parse("2037-01-01T00:00:00Z"));
    let RequestEffect::Refused(refusal) =
        effect(&item("bare_obligation"), "bare_obligation", EndsOn::Erase, None)
    else {
        panic!("not refused")
    };
    assert_eq!(
        (refusal.rule.as_deref(), refusal.law.as_deref()),
        (Some("minimum"), Some("AO 147")),
        "by a minimum"
    );
    assert_eq!(refusal.until, Millis::parse("2032-03-11T00:00:00Z"));
    let RequestEffect::Refused(refusal) = effect(&item("contract"), "contract", EndsOn::Erase, None) else {
        panic!("not refused")
    };
    assert_eq!((refusal.rule.as_deref(), refusal.law), (Some("closed"), None));
}
