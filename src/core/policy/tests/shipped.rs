//! What the shipped policies come to for people: one row per promise.

use super::accepted::SHIPPED;
use super::given::{Given, PROCESS, date, day, given};
use crate::time::Millis;
use crate::verdict::Open;

/// (policy, category, purposes, jurisdiction, service, what came when, due)
type Row = (
    &'static str,
    &'static str,
    &'static str,
    &'static str,
    &'static str,
    &'static [(&'static str, &'static str)],
    &'static str,
);

const ROWS: &[Row] = &[
    // Shanghai: a day ends at 16:00 UTC. Items are recorded on 2026-03-10.
    ("leansocket", "user.name", "registration", "CN", "", &[("account_closed", "2026-06-01")], "2026-11-28"),
    ("leansocket", "user.name", "registration", "CN", "", &[], "2029-09-07"),
    (
        "leansocket",
        "user.name",
        "registration",
        "CN",
        "",
        &[("account_closed", "2026-06-01"), ("account_reopened", "2026-06-02")],
        "2029-09-07",
    ),
    (
        "leansocket",
        "user.content.public",
        "service",
        "CN",
        "",
        &[("account_closed", "2026-06-01"), ("item_removed", "2026-04-01")],
        "2026-05-01",
    ),
    (
        "leansocket",
        "user.content.public",
        "service",
        "CN",
        "",
        &[("account_closed", "2026-06-01")],
        "2026-11-28",
    ),
    (
        "leansocket",
        "user.content",
        "service",
        "CN",
        "support",
        &[("ticket_closed", "2026-04-01")],
        "2027-04-01",
    ),
    ("leansocket", "user.device.ip_address", "security", "CN", "", &[], "2026-09-10"),
    ("leansocket", "user.location.precise", "service", "CN", "", &[], "2026-04-09"),
    ("leansocket", "user.social", "service", "CN", "", &[("account_closed", "2026-06-01")], "2026-06-01"),
    (
        "leansocket",
        "user.biometrics.voice",
        "service",
        "CN",
        "",
        &[("account_closed", "2026-06-01")],
        "2026-06-01",
    ),
    ("leansocket", "user.behavior", "advertising", "CN", "", &[("touched", "2026-05-10")], "2027-06-10"),
    // consent taken back: the minimum of 6 months for logs in China stands, for those elsewhere it does not
    (
        "leansocket",
        "user.behavior",
        "advertising",
        "CN",
        "",
        &[("withdrawn advertising", "2026-05-10")],
        "2026-09-10",
    ),
    (
        "leansocket",
        "user.behavior",
        "advertising",
        "FR",
        "",
        &[("withdrawn advertising", "2026-05-10")],
        "2026-05-10",
    ),
    (
        "leansocket",
        "user.contact.email",
        "registration dispute",
        "CN",
        "",
        &[("account_closed", "2026-06-01")],
        "2029-03-10",
    ),
    (
        "leansocket",
        "user.children",
        "registration",
        "CN",
        "",
        &[("account_closed", "2026-06-01")],
        "2026-07-01",
    ),
    // Berlin
    ("bank-de", "user.name", "banking", "DE", "", &[("relationship_ended", "2026-06-01")], "2029-12-31"),
    (
        "bank-de",
        "user.financial.vouchers",
        "banking",
        "DE",
        "",
        &[("relationship_ended", "2026-06-01")],
        "2034-12-31",
    ),
    (
        "bank-de",
        "user.financial.books",
        "banking aml",
        "DE",
        "",
        &[("relationship_ended", "2026-06-01")],
        "2036-12-31",
    ),
    (
        "bank-de",
        "user.financial",
        "aml banking",
        "DE",
        "",
        &[("relationship_ended", "2026-06-01")],
        "2036-12-31",
    ),
    (
        "bank-de",
        "user.contact.email",
        "marketing",
        "DE",
        "",
        &[("withdrawn marketing", "2026-05-10")],
        "2026-05-10",
    ),
    (
        "bank-de",
        "user.privacy_preferences",
        "marketing",
        "DE",
        "",
        &[("withdrawn marketing", "2026-05-10")],
        "2029-12-31",
    ),
    // New York: the first instant of a day in UTC is the evening before
    (
        "hr-us",
        "user.government_id",
        "employment",
        "US-NY",
        "",
        &[("hired", "2026-03-10"), ("employment_ended", "2026-06-01")],
        "2029-03-10",
    ),
    (
        "hr-us",
        "user.government_id",
        "employment",
        "US",
        "",
        &[("hired", "2026-03-10"), ("employment_ended", "2030-06-01")],
        "2031-06-01",
    ),
    ("hr-us", "user.name", "recruiting", "US", "", &[("decision", "2026-04-01")], "2027-04-01"),
    ("hr-us", "user.name", "recruiting", "US-CA", "", &[("decision", "2026-04-01")], "2030-04-01"),
    ("hr-us", "user.financial", "employment", "US", "", &[], "2033-03-10"),
    // a German hospital: minors, radiotherapy
    (
        "hospital-de",
        "user.health_and_medical.record_id",
        "care",
        "DE",
        "",
        &[("treatment_ended", "2026-04-01"), ("born", "1980-01-01")],
        "2036-04-01",
    ),
    (
        "hospital-de",
        "user.health_and_medical.record_id",
        "care",
        "DE",
        "",
        &[("treatment_ended", "2026-04-01"), ("born", "2020-01-01")],
        "2048-01-01",
    ),
    (
        "hospital-de",
        "user.health_and_medical.record_id",
        "care",
        "DE",
        "",
        &[("treatment_ended", "2026-04-01")],
        "2054-03-10",
    ),
    (
        "hospital-de",
        "user.health_and_medical.radiotherapy",
        "care",
        "DE",
        "",
        &[("treatment_ended", "2026-04-01"), ("born", "1980-01-01")],
        "2056-04-01",
    ),
];

fn shipped(name: &str) -> &'static str {
    SHIPPED.iter().find(|(known, _)| *known == name).map(|(_, text)| *text).unwrap()
}

fn came(given: Given, what: &str, at: &str) -> Given {
    match (what.split_once(' '), what) {
        (Some((_, purpose)), _) => given.withdrawn(purpose, at),
        (None, "touched") => given.item(|i| i.touched = Some(day(at))),
        (None, "item_removed") => given.item(|i| i.events.extend([(what.to_owned(), day(at))])),
        (None, "ticket_closed" | "decision" | "treatment_ended") => given
            .item(|i| i.process = Some(PROCESS))
            .subject(|s| s.process_events.extend([((PROCESS, what.to_owned()), day(at))])),
        (None, event) => given.event(event, at),
    }
}

#[test]
fn the_shipped_policies_keep_their_promises() {
    for (policy, category, purposes, jurisdiction, service, events, due) in ROWS {
        let base = given(shipped(policy), "2026-03-10").copy("db", category, purposes).with(|c| {
            c.jurisdiction = Some((*jurisdiction).to_owned());
            c.service = (!service.is_empty()).then(|| (*service).to_owned());
        });
        let given = events.iter().fold(base, |given, (what, at)| came(given, what, at));
        let part = given.part();
        let found = date(part.due).chars().take(10).collect::<String>();
        assert_eq!(
            found, *due,
            "{policy}: {category} for {purposes} in {jurisdiction} after {events:?}: {part:?}"
        );
    }
}

#[test]
fn an_employee_s_file_waits_for_the_end_of_the_employment() {
    let given = given(shipped("hr-us"), "2026-03-10")
        .copy("db", "user.job_title", "employment")
        .with(|c| c.jurisdiction = Some("US".to_owned()));
    assert_eq!((given.part().due, given.part().open), (None, Some(Open::Waiting)));
    assert_eq!(given.verdict("2026-01-01").due, None::<Millis>);
}
