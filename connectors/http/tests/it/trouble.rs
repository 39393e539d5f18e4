//! A partner that is slow, overloaded, cut off, or says no.

use std::time::Duration;

use quietus_contract::{Connector, Failure, Outcome};

use crate::partner::{Mood, Partner, record, submit};

/// May it be retried, and might it have happened?
fn failed(outcomes: &[Outcome]) -> (&'static str, bool, bool) {
    match outcomes {
        [Outcome::Failed(Failure { code, may_retry, might_have_happened, .. })] => {
            (code, *may_retry, *might_have_happened)
        }
        other => panic!("{other:?}"),
    }
}

async fn after(partner: &Partner, mood: Mood) -> Vec<Outcome> {
    partner.books().moods.push_back(mood);
    submit(&partner.connector(), &[record(1, "ann@example.org")]).await
}

#[tokio::test]
async fn each_status_says_whether_to_retry_and_what_may_have_happened() {
    let partner = Partner::open(&[]).await;
    for (status, told) in [
        (429, ("conflict", true, false)),
        (503, ("conflict", true, false)),
        (409, ("conflict", true, true)),
        (500, ("internal", true, true)),
        (502, ("internal", true, true)),
        (408, ("timeout", true, true)),
        (401, ("denied", false, false)),
        (403, ("denied", false, false)),
        (404, ("unreachable", false, false)),
        (302, ("unreachable", false, false)),
    ] {
        assert_eq!(failed(&after(&partner, Mood::Answers(status, None)).await), told, "{status}");
    }
    for status in [400, 405, 413, 422] {
        let outcomes = after(&partner, Mood::Answers(status, None)).await;
        assert!(matches!(outcomes.as_slice(), [Outcome::Refused { .. }]), "{status}: {outcomes:?}");
        assert!(!format!("{outcomes:?}").contains("ann"), "an answer's body is repeated");
    }
}

#[tokio::test]
async fn a_partner_that_asks_to_wait_is_left_alone_for_so_long() {
    let partner = Partner::open(&[]).await;
    let connector = partner.connector();
    partner.books().moods.push_back(Mood::Answers(429, Some("1".into())));
    let target = [record(1, "a@x.org")];
    for _ in 0..3 {
        let outcomes = submit(&connector, &target).await;
        assert_eq!(failed(&outcomes), ("conflict", true, false));
        assert!(format!("{outcomes:?}").contains("left alone for 1 s"), "{outcomes:?}");
    }
    assert_eq!(partner.seen("/erase").len(), 1);
    tokio::time::sleep(Duration::from_millis(1_050)).await;
    assert!(matches!(submit(&connector, &target).await.as_slice(), [Outcome::Accepted { .. }]));
}

#[tokio::test]
async fn a_date_in_retry_after_counts_by_the_nodes_clock() {
    let partner = Partner::open(&[]).await;
    // The node's clock stands at 2027-01-15T08:00:00Z.
    let outcomes = after(&partner, Mood::Answers(503, Some("Fri, 15 Jan 2027 08:02:00 GMT".into()))).await;
    assert!(format!("{outcomes:?}").contains("left alone for 120 s"), "{outcomes:?}");
}

#[tokio::test]
async fn a_line_cut_after_the_work_may_have_happened_and_is_worked_once() {
    let partner = Partner::open(&["a@x.org"]).await;
    let connector = partner.connector();
    let target = [record(1, "a@x.org")];
    partner.books().moods.push_back(Mood::CutAfterWork);
    assert_eq!(failed(&submit(&connector, &target).await), ("unreachable", true, true));
    let outcomes = submit(&connector, &target).await;
    assert!(matches!(outcomes.as_slice(), [Outcome::Accepted { .. }]), "{outcomes:?}");
    assert_eq!(partner.books().worked, 1);
}

#[tokio::test]
async fn a_slow_partner_may_have_done_it() {
    let partner = Partner::open(&[]).await;
    let outcomes = after(&partner, Mood::Slow(Duration::from_secs(3))).await;
    assert_eq!(failed(&outcomes), ("timeout", true, true));
}

#[tokio::test]
async fn a_missing_reference_and_one_that_repeats_an_identity_are_no_acceptance() {
    let partner = Partner::open(&[]).await;
    assert_eq!(failed(&after(&partner, Mood::Nameless).await), ("conflict", true, true));
    let outcomes = after(&partner, Mood::Names("job-for-ann@example.org".into())).await;
    assert_eq!(failed(&outcomes), ("conflict", false, true));
    assert!(!format!("{outcomes:?}").contains("ann@"));
}

#[tokio::test]
async fn the_check_says_who_is_not_let_in_and_who_is_not_there() {
    let partner = Partner::open(&["a@x.org"]).await;
    let fatal =
        |report: quietus_contract::CheckReport| report.problems.into_iter().filter(|p| p.fatal).count();
    assert_eq!(fatal(partner.connector().check().await), 0);
    let nowhere = partner.nowhere();
    assert_eq!(fatal(nowhere.connector().check().await), 1);
    assert_eq!(partner.seen("/find")[0].body, r#"{"people":[]}"#, "the check asks about nobody");
    assert!(partner.seen("/erase").is_empty());
}
