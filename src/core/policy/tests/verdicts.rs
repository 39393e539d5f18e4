//! One table per point of "Retention, exactly": given a policy and what is known, the date.

use super::given::{PROCESS, date, day, given, words};
use super::minima::MINIMA;
use super::policy;
use crate::verdict::{Action, Open};

const SHOP: &str = "
policy: shop
timezone: UTC
jurisdictions: {DACH: [DE, AT, CH]}
events:
  closed: {of: subject, assume: 3y after last_activity, undone_by: reopened}
  shipped: {of: process, assume: 1y after last_activity}
  removed: {of: item, open_ended: true}
  left: {of: subject, open_ended: true}
purposes:
  service: {use: essential.service, basis: contract, ended_by: closed}
  mail: {use: marketing.communications, basis: consent}
  tax: {use: essential.legal_obligation, basis: legal_obligation}
  insight: {use: analytics, basis: legitimate_interests}
rules:
";

pub fn shop(rules: &str) -> String {
    format!("{SHOP}  - {}\n", rules.trim().replace('\n', "\n  - "))
}

const KEEP: &str = "{id: service, category: user, purpose: service, keep: 30d after recorded}
{id: mail, category: user, purpose: mail, keep: 60d after recorded, then: anonymise}";

#[test]
fn the_latest_live_purpose_keeps_and_each_copy_lives_as_long_as_its_own() {
    let given = given(&shop(KEEP), "2026-03-10").copy("db", "user.name", "service mail").copy(
        "cache",
        "user.name",
        "service",
    );
    assert_eq!(given.dates(), ["2026-05-10", "2026-04-10"]);
    let verdict = given.verdict("2026-01-01");
    assert_eq!(date(verdict.due), "2026-05-10", "an item is gone when its last copy is");
    let part = &verdict.copies[0].parts[0];
    let wins: Vec<(&str, bool)> = part.rules.iter().map(|rule| (rule.id.as_str(), rule.wins)).collect();
    assert_eq!(wins, [("service", false), ("mail", true)]);
    assert_eq!(part.action, Action::Anonymise.max(Action::Erase), "erase is stronger than anonymise");
}

#[test]
fn a_part_has_its_own_date_and_the_copy_the_latest() {
    let given = given(&shop("{id: a, category: user.name, keep: 30d after recorded}\n{id: b, category: user.contact, keep: 60d after recorded}"), "2026-03-10")
        .copy("db", "user.contact.email user.name", "service");
    let copy = &given.verdict("2026-01-01").copies[0];
    let dates: Vec<String> = copy.parts.iter().map(|part| date(part.due)).collect();
    assert_eq!(
        (dates, date(copy.due)),
        (vec!["2026-05-10".to_owned(), "2026-04-10".to_owned()], "2026-05-10".to_owned())
    );
}

#[test]
fn a_live_purpose_that_no_rule_covers_is_never_due() {
    let part = given(&shop(KEEP), "2026-03-10").copy("db", "user.name", "service insight").part();
    assert_eq!((part.due, part.open), (None, Some(Open::Uncovered)));
    assert!(part.rules.iter().all(|rule| !rule.wins));
    let part = given(&shop(KEEP), "2026-03-10").copy("db", "system.operations", "service").part();
    assert_eq!(part.open, Some(Open::Uncovered));
}

#[test]
fn a_copy_that_never_had_a_purpose_is_covered_by_rules_without_one() {
    let rules = "{id: a, category: user, keep: 30d after recorded}\n{id: b, category: user, purpose: service, keep: 60d after recorded}";
    assert_eq!(given(&shop(rules), "2026-03-10").copy("db", "user.name", "").dates(), ["2026-04-10"]);
    assert_eq!(
        given(&shop(KEEP), "2026-03-10").copy("db", "user.name", "").part().open,
        Some(Open::Uncovered)
    );
    let ended = given(&shop(rules), "2026-03-10").copy("db", "user.name", "").ended("", "2026-03-20");
    assert_eq!(ended.dates(), ["2026-03-20"], "the nameless purpose ends by request too");
}

#[test]
fn the_narrower_scope_wins_inside_one_purpose() {
    let rows = [
        // (rules, the date)
        (
            "{id: a, category: user, keep: 90d after recorded}\n{id: b, category: user.contact, keep: 10d after recorded}",
            "2026-03-21",
        ),
        (
            "{id: a, category: user.contact.email, keep: 90d after recorded}\n{id: b, category: user.contact, keep: 10d after recorded}",
            "2026-06-09",
        ),
        (
            "{id: a, keep: 90d after recorded}\n{id: b, purpose: service, keep: 10d after recorded}",
            "2026-03-21",
        ),
        (
            "{id: a, jurisdiction: DACH, keep: 90d after recorded}\n{id: b, jurisdiction: DE, keep: 10d after recorded}",
            "2026-03-21",
        ),
        (
            "{id: a, jurisdiction: DE, keep: 90d after recorded}\n{id: b, jurisdiction: DE-BY, keep: 10d after recorded}",
            "2026-06-09",
        ),
        (
            "{id: a, jurisdiction: DACH, keep: 90d after recorded}\n{id: b, jurisdiction: FR, keep: 10d after recorded}",
            "2026-06-09",
        ),
        ("{id: a, system: db, keep: 90d after recorded}\n{id: b, keep: 10d after recorded}", "2026-06-09"),
        (
            "{id: a, service: support, keep: 90d after recorded}\n{id: b, keep: 10d after recorded}",
            "2026-03-21",
        ),
        (
            "{id: a, controller: acme, keep: 90d after recorded}\n{id: b, keep: 10d after recorded}",
            "2026-06-09",
        ),
        // a rule with lists stands for one rule per combination
        (
            "{id: a, category: [user, user.contact.email], keep: 90d after recorded}\n{id: b, category: user.contact, keep: 10d after recorded}",
            "2026-06-09",
        ),
        (
            "{id: a, category: [user.contact, user.name], keep: 90d after recorded}\n{id: b, category: user, keep: 10d after recorded}",
            "2026-06-09",
        ),
    ];
    for (rules, expected) in rows {
        let given = given(&shop(rules), "2026-03-10")
            .copy("db", "user.contact.email", "service")
            .with(|c| c.controller = Some("acme".to_owned()));
        assert_eq!(given.dates(), [expected], "{rules}");
        assert_eq!(given.part().rules.iter().filter(|rule| rule.wins).count(), 1, "{rules}");
    }
}

#[test]
fn selectors_accept_both_spellings_of_a_category() {
    for (selector, category) in
        [("user.biometric", "user.biometrics.voice"), ("user.biometrics", "user.biometric.voice")]
    {
        let rules = format!("{{id: a, category: {selector}, keep: 30d after recorded}}");
        assert_eq!(
            given(&shop(&rules), "2026-03-10").copy("db", category, "service").dates(),
            ["2026-04-10"],
            "{selector}"
        );
    }
}

#[test]
fn an_unknown_start_has_no_date_and_says_why() {
    let rows = [
        ("{id: a, keep: 30d after recorded}", "", Open::Undated),
        ("{id: a, keep: 30d after last_activity}", "2026-03-10", Open::Undated),
        ("{id: a, keep: 30d after granted}", "2026-03-10", Open::Undated),
        ("{id: a, keep: 30d after withdrawn}", "2026-03-10", Open::Waiting),
        ("{id: a, keep: 30d after left}", "2026-03-10", Open::Waiting),
        ("{id: a, keep: indefinitely, why: because}", "2026-03-10", Open::Indefinite),
        ("{id: a, keep: {latest: [1d after recorded, 1d after left]}}", "2026-03-10", Open::Waiting),
        ("{id: a, keep: {latest: [1d after last_activity, 1d after left]}}", "2026-03-10", Open::Undated),
    ];
    for (rule, recorded, open) in rows {
        let part = given(&shop(rule), recorded).copy("db", "user.name", "mail").part();
        assert_eq!((part.due, part.open), (None, Some(open)), "{rule}");
    }
}

#[test]
fn last_activity_is_the_latest_of_touched_and_active() {
    let rule = shop("{id: a, keep: 30d after last_activity}");
    let base = || given(&rule, "2026-03-10").copy("db", "user.name", "mail");
    assert_eq!(base().item(|i| i.touched = Some(day("2026-03-20"))).dates(), ["2026-04-20"]);
    assert_eq!(base().subject(|s| s.active = Some(day("2026-03-25"))).dates(), ["2026-04-25"]);
    let both =
        base().item(|i| i.touched = Some(day("2026-03-20"))).subject(|s| s.active = Some(day("2026-03-15")));
    assert_eq!(both.dates(), ["2026-04-20"]);
}

#[test]
fn a_declared_event_comes_is_taken_back_or_is_assumed() {
    let rule = shop("{id: a, keep: 30d after closed}");
    let base = || given(&rule, "2026-03-10").copy("db", "user.name", "service");
    assert_eq!(base().event("closed", "2026-03-20").dates(), ["2026-04-20"]);
    // assumed three years after the person's last activity or recording, on the day after
    assert_eq!(base().dates(), ["2029-04-11"]);
    assert_eq!(base().subject(|s| s.latest_activity = Some(day("2026-06-01"))).dates(), ["2029-07-03"]);
    let undone = base().event("closed", "2026-03-20").event("reopened", "2026-03-21");
    assert_eq!(undone.dates(), ["2029-04-11"]);
    let again = base().event("closed", "2026-03-22").event("reopened", "2026-03-21");
    assert_eq!(again.dates(), ["2026-04-22"]);
}

#[test]
fn a_process_event_binds_that_process_only() {
    let rule = shop("{id: a, keep: 30d after shipped}");
    let base = || given(&rule, "2026-03-10").copy("db", "user.name", "service");
    let shipped = |given: super::given::Given| {
        given.subject(|s| {
            s.process_events.insert((PROCESS, "shipped".to_owned()), day("2026-03-20"));
        })
    };
    assert_eq!(shipped(base().item(|i| i.process = Some(PROCESS))).dates(), ["2026-04-20"]);
    assert_eq!(shipped(base()).dates(), ["2027-04-11"], "assumed: this item is of no process");
    let active = base().item(|i| i.process = Some(PROCESS)).subject(|s| {
        s.process_activity.insert(PROCESS, day("2026-05-01"));
    });
    assert_eq!(active.dates(), ["2027-06-02"]);
}

#[test]
fn an_item_event_ends_earliest_before_the_subject_s() {
    let rule = shop("{id: a, keep: {earliest: [30d after removed, 180d after closed]}}");
    let base = || given(&rule, "2026-03-10").copy("db", "user.name", "service").event("closed", "2026-03-20");
    assert_eq!(base().dates(), ["2026-09-17"]);
    assert_eq!(
        base()
            .item(|i| {
                i.events.insert("removed".to_owned(), day("2026-03-25"));
            })
            .dates(),
        ["2026-04-25"]
    );
}

#[test]
fn a_withdrawal_ends_consent_for_what_was_recorded_by_then() {
    let base = |recorded: &str| given(&shop(KEEP), recorded).copy("db", "user.name", "mail");
    assert_eq!(base("2026-03-10").withdrawn("mail", "2026-03-20").dates(), ["2026-03-20"]);
    assert_eq!(base("2026-03-20").withdrawn("mail", "2026-03-20").dates(), ["2026-03-20"], "recorded at T");
    assert_eq!(
        base("2026-03-21").withdrawn("mail", "2026-03-20").dates(),
        ["2026-05-21"],
        "recorded after T"
    );
    assert_eq!(
        base("2026-03-10").withdrawn("mail", "2026-03-20").granted("mail", "2026-03-21").dates(),
        ["2026-05-10"]
    );
    assert_eq!(
        base("2026-03-10").withdrawn("mail", "2026-03-20").granted("mail", "2026-03-01").dates(),
        ["2026-03-20"]
    );
    assert_eq!(
        base("2026-03-10").withdrawn("mail", "2026-07-01").dates(),
        ["2026-05-10"],
        "it had expired before"
    );
    let of_item = base("2026-03-10").item(|i| {
        i.consent.withdrawn.insert("mail".to_owned(), day("2026-03-20"));
    });
    assert_eq!(of_item.dates(), ["2026-03-20"]);
    let part = base("2026-03-10").withdrawn("mail", "2026-03-20").part();
    assert!(part.rules[0].wins && part.rules[0].due == part.due, "the rule wins with the date that counts");
    assert_eq!(part.action, Action::Anonymise);
    let contract = given(&shop(KEEP), "2026-03-10")
        .copy("db", "user.name", "service")
        .withdrawn("service", "2026-03-20");
    assert_eq!(contract.dates(), ["2026-04-10"], "a contract does not listen to withdrawals");
}

#[test]
fn an_ended_purpose_keeps_nothing_that_another_keeps() {
    let base = || given(&shop(KEEP), "2026-03-10").copy("db", "user.name", "mail service");
    assert_eq!(base().withdrawn("mail", "2026-03-20").dates(), ["2026-04-10"], "the live one keeps");
    assert_eq!(
        base().withdrawn("mail", "2026-03-20").ended("service", "2026-03-25").dates(),
        ["2026-03-25"],
        "the latest end"
    );
    let uncovered = given(&shop(KEEP), "2026-03-10")
        .copy("db", "user.name", "insight service")
        .ended("insight", "2026-03-20");
    assert_eq!(uncovered.dates(), ["2026-04-10"], "an ended purpose needs no rule");
}

#[test]
fn for_a_rule_that_starts_at_withdrawn_the_withdrawal_starts_the_clock() {
    let rules = "{id: proof, category: user.privacy_preferences, purpose: mail, keep: 30d after withdrawn}\n{id: mail, category: user.contact, purpose: mail, keep: 1y after recorded}";
    let given = given(&shop(rules), "2026-03-10")
        .copy("db", "user.contact user.privacy_preferences", "mail")
        .withdrawn("mail", "2026-03-20");
    let parts = &given.verdict("2026-01-01").copies[0].parts;
    assert_eq!((date(parts[0].due), date(parts[1].due)), ("2026-03-20".to_owned(), "2026-04-20".to_owned()));
    let regranted = given.granted("mail", "2026-03-21");
    assert_eq!(regranted.verdict("2026-01-01").copies[0].parts[1].open, Some(Open::Waiting));
}

#[test]
fn a_request_that_was_let_through_is_not_met_by_hiding() {
    let rules = "{id: a, category: user, purpose: mail, keep: 60d after recorded, then: mask}";
    let base = || given(&shop(rules), "2026-03-10").copy("db", "user.name", "mail");
    assert_eq!(base().part().action, Action::Mask);
    let part = base().ended("mail", "2026-03-20").part();
    assert_eq!((date(part.due), part.action), ("2026-03-20".to_owned(), Action::Erase));
    assert_eq!(base().ended("mail", "2026-03-01").dates(), ["2026-05-10"], "recorded after the request");
}

#[test]
fn an_earlier_stage_acts_when_every_live_purpose_has_reached_one() {
    let rules = "{id: a, category: user, purpose: service, then: [{restrict: 0d after left}, {mask: 10d after left}, {erase: 180d after left}]}
{id: b, category: user, purpose: insight, then: [{restrict: 20d after recorded}, {erase: 1y after recorded}]}
{id: c, category: user, purpose: mail, keep: 5d after recorded}";
    let base = |purposes: &str| {
        given(&shop(rules), "2026-03-10").copy("db", "user.name", purposes).event("left", "2026-03-10")
    };
    let stage = |given: &super::given::Given, now: &str| given.verdict(now).copies[0].parts[0].stage;
    let one = base("service");
    assert_eq!(stage(&one, "2026-03-10"), None);
    assert_eq!(stage(&one, "2026-03-11"), Some((Action::Restrict, day("2026-03-11"))));
    assert_eq!(stage(&one, "2026-03-21"), Some((Action::Mask, day("2026-03-21"))));
    let part = one.part();
    assert_eq!((date(part.due), part.action), ("2026-09-07".to_owned(), Action::Erase));
    let two = base("service insight");
    assert_eq!(stage(&two, "2026-03-21"), None, "the other purpose has reached none");
    assert_eq!(
        stage(&two, "2026-03-31"),
        Some((Action::Restrict, day("2026-03-31"))),
        "the weaker of the two"
    );
    let over = base("mail service");
    assert_eq!(stage(&over, "2026-03-15"), None, "mail keeps in full");
    assert_eq!(stage(&over, "2026-03-16"), Some((Action::Restrict, day("2026-03-11"))), "mail has run out");
}

#[test]
fn rules_that_overlap_and_do_not_nest_keep_longest() {
    // `policy check` refuses this; should it be in force all the same, nothing goes early.
    let mut given = given(&shop("{id: a, category: user.name, keep: 10d after recorded}"), "2026-03-10")
        .copy("db", "user.name", "service");
    let mut other = given.policy.rules[0].clone();
    other.id = "b".to_owned();
    other.selectors.category = words("user");
    other.selectors.system = words("db");
    let longer = policy(&shop("{id: b, keep: 20d after recorded}"));
    other.keep = longer.rules[0].keep.clone();
    given.policy.rules.push(other);
    assert_eq!(given.dates(), ["2026-03-31"]);
    let rules = given.part().rules;
    assert_eq!(
        rules.iter().map(|r| (r.id.as_str(), r.wins)).collect::<Vec<_>>(),
        [("b", true), ("a", false)]
    );
}

#[test]
fn the_same_question_has_the_same_answer() {
    let given = given(&shop(MINIMA), "2026-03-10").copy("db", "user.name", "service tax").copy(
        "cache",
        "user.contact",
        "",
    );
    assert_eq!(given.verdict("2026-04-10"), given.verdict("2026-04-10"));
}
