//! Statutory minima: which copies they bind, until when.

use super::given::{date, day, given};
use super::verdicts::shop;
use crate::item::CopyState;
use crate::verdict::{Action, Open, RuleKind};

pub const MINIMA: &str = "{id: service, category: user, purpose: service, keep: 30d after recorded}
{id: tax, category: user, purpose: tax, keep: 40d after recorded}
{id: law, category: user.name, purpose: [service, tax], jurisdiction: DE, at_least: 90d after recorded to end_of_day, law: \"HGB 257\"}";

#[test]
fn a_minimum_defers_erasure_of_the_first_copy_and_others_go_on_time() {
    let given = given(&shop(MINIMA), "2026-03-10").copy("db", "user.name", "service").copy(
        "cache",
        "user.name",
        "service",
    );
    assert_eq!(given.dates(), ["2026-06-09", "2026-04-10"]);
    let part = given.part();
    let minimum = part.minimum.unwrap();
    assert_eq!(
        (minimum.rule.as_str(), minimum.law.as_deref(), date(Some(minimum.until))),
        ("law", Some("HGB 257"), "2026-06-09".to_owned())
    );
    assert_eq!(date(part.keep), "2026-04-10");
    let winner = part.rules.iter().find(|rule| rule.wins).unwrap();
    assert_eq!((winner.id.as_str(), winner.kind), ("law", RuleKind::AtLeast));
    assert_eq!(part.rules.iter().filter(|rule| rule.wins).count(), 1);
}

#[test]
fn a_minimum_binds_the_systems_that_retain_if_there_are_any() {
    let given = given(&shop(MINIMA), "2026-03-10")
        .copy("db", "user.name", "service")
        .copy("archive", "user.name", "tax")
        .copy("vault", "user.name", "service")
        .retaining(&["archive", "vault"]);
    assert_eq!(given.dates(), ["2026-04-10", "2026-06-09", "2026-06-09"]);
}

#[test]
fn a_minimum_binds_only_what_it_speaks_for() {
    let other = given(&shop(MINIMA), "2026-03-10").copy("db", "user.contact", "service");
    assert_eq!(other.dates(), ["2026-04-10"], "another category");
    let elsewhere = given(&shop(MINIMA), "2026-03-10")
        .copy("db", "user.name", "service")
        .with(|c| c.jurisdiction = Some("FR".to_owned()));
    assert_eq!(elsewhere.dates(), ["2026-04-10"], "another jurisdiction");
    let rules = format!("{MINIMA}\n{{id: mail, category: user, purpose: mail, keep: 10d after recorded}}");
    let second = given(&shop(&rules), "2026-03-10").copy("db", "user.name", "mail").copy(
        "erp",
        "user.name",
        "service",
    );
    assert_eq!(
        second.dates(),
        ["2026-03-21", "2026-06-09"],
        "another purpose: the first copy it speaks for is kept"
    );
    let ended =
        given(&shop(MINIMA), "2026-03-10").copy("db", "user.name", "service").ended("service", "2026-03-20");
    assert_eq!(ended.dates(), ["2026-06-09"], "purposes count, ended or not");
}

#[test]
fn all_minima_bind_and_the_latest_counts() {
    let rules = format!(
        "{MINIMA}\n{{id: short, at_least: 50d after recorded}}\n{{id: long, at_least: 120d after recorded}}"
    );
    assert_eq!(given(&shop(&rules), "2026-03-10").copy("db", "user.name", "service").dates(), ["2026-07-09"]);
    let gone = given(&shop(&rules), "2026-03-10")
        .copy("db", "user.name", "service")
        .state(CopyState::Gone { at: day("2026-03-11") });
    let verdict = gone.verdict("2026-01-01");
    assert_eq!(
        (verdict.due, verdict.copies[0].parts.len()),
        (None, 0),
        "nothing is owed on a copy that is gone"
    );
}

#[test]
fn a_minimum_that_has_not_begun_still_binds() {
    let rules = "{id: a, category: user, purpose: mail, keep: 30d after recorded}\n{id: law, category: user, at_least: 1y after left}";
    let part = given(&shop(rules), "2026-03-10").copy("db", "user.name", "mail").part();
    assert_eq!((part.due, part.open, date(part.keep)), (None, Some(Open::Waiting), "2026-04-10".to_owned()));
}

#[test]
fn while_only_a_minimum_keeps_the_part_is_restricted() {
    let given = given(&shop(MINIMA), "2026-03-10").copy("db", "user.name", "service");
    let stage = |now: &str| given.verdict(now).copies[0].parts[0].stage;
    assert_eq!(stage("2026-04-09"), None);
    assert_eq!(stage("2026-04-10"), Some((Action::Restrict, day("2026-04-10"))));
    assert_eq!(stage("2026-06-09"), None, "due: nothing to restrict any more");
}
