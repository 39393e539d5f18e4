//! How far it is: from taken on to not found any more.

use std::sync::atomic::Ordering;

use quietus_contract::{Connector, Failure, Outcome};
use quietus_core::system::HttpCalls;

use crate::partner::{Partner, calls, poll, record, submit};

const DAY: i64 = 24 * 3_600_000;

#[tokio::test]
async fn a_job_is_open_until_its_state_says_done_and_nobody_is_found() {
    let partner = Partner::open(&["a@x.org"]).await;
    partner.books().state = "running".into();
    let target = [record(1, "a@x.org")];
    let accepted = submit(&partner.connector(), &target).await;
    assert!(!format!("{accepted:?}").contains("a@x.org"), "an identity in a reference");
    assert_eq!(poll(&partner.connector(), &target, &accepted).await, accepted);
    partner.books().state = "500".into();
    assert_eq!(poll(&partner.connector(), &target, &accepted).await, accepted, "not asked is not failed");
    partner.books().state = "done".into();
    // A node that has started anew knows the reference alone.
    assert_eq!(poll(&partner.connector(), &target, &accepted).await, [Outcome::Removed(1)]);
}

#[tokio::test]
async fn done_alone_is_never_success() {
    let partner = Partner::open(&["a@x.org"]).await;
    partner.books().is_lying = true;
    let target = [record(1, "a@x.org")];
    let accepted = submit(&partner.connector(), &target).await;
    let connector = partner.connector();
    let outcomes = poll(&connector, &target, &accepted).await;
    let [Outcome::Failed(Failure { may_retry: true, detail, .. })] = outcomes.as_slice() else {
        panic!("{outcomes:?}");
    };
    assert!(detail.contains("still finds"), "{detail}");
    // The job has ended: a key that the partner knows would only bring its answer back.
    partner.books().is_lying = false;
    let again = submit(&connector, &target).await;
    assert_eq!(poll(&connector, &target, &again).await, [Outcome::Removed(1)]);
}

#[tokio::test]
async fn only_the_person_who_is_still_found_fails() {
    let partner = Partner::open(&["b@x.org"]).await;
    partner.books().is_lying = true;
    let targets = [record(1, "a@x.org"), record(2, "b@x.org"), record(3, "c@x.org")];
    let accepted = submit(&partner.connector(), &targets).await;
    let outcomes = poll(&partner.connector(), &targets, &accepted).await;
    assert!(
        matches!(outcomes.as_slice(), [Outcome::Removed(1), Outcome::Failed(_), Outcome::Removed(1)]),
        "{outcomes:?}"
    );
    assert_eq!(partner.seen("/jobs/j-1").len(), 1, "one job is asked about once");
}

#[tokio::test]
async fn a_job_that_failed_or_is_forgotten_is_tried_again() {
    let partner = Partner::open(&["a@x.org"]).await;
    let target = [record(1, "a@x.org")];
    let accepted = submit(&partner.connector(), &target).await;
    partner.books().state = "failed".into();
    let failed = |o: &[Outcome]| {
        matches!(o, [Outcome::Failed(Failure { may_retry: true, might_have_happened: true, .. })])
    };
    assert!(failed(&poll(&partner.connector(), &target, &accepted).await));
    partner.books().jobs.clear();
    assert!(failed(&poll(&partner.connector(), &target, &accepted).await));
}

#[tokio::test]
async fn past_the_deadline_it_has_failed_and_the_next_try_carries_the_same_key() {
    let partner = Partner::open(&["a@x.org"]).await;
    partner.books().state = "running".into();
    let target = [record(1, "a@x.org")];
    let accepted = submit(&partner.connector(), &target).await;
    partner.now.fetch_add(30 * DAY, Ordering::SeqCst);
    assert_eq!(poll(&partner.connector(), &target, &accepted).await, accepted);
    partner.now.fetch_add(1, Ordering::SeqCst);
    let outcomes = poll(&partner.connector(), &target, &accepted).await;
    assert!(
        matches!(outcomes.as_slice(), [Outcome::Failed(Failure { code: "expired", may_retry: true, .. })]),
        "{outcomes:?}"
    );
    let again = submit(&partner.connector(), &target).await;
    assert_ne!(again, accepted, "the deadline counts from the new try");
    let seen = partner.seen("/erase");
    assert_eq!(seen[0].headers["idempotency-key"], seen[1].headers["idempotency-key"]);
    // Answered days late is answered all the same.
    partner.books().state = "done".into();
    partner.now.fetch_add(29 * DAY, Ordering::SeqCst);
    assert_eq!(poll(&partner.connector(), &target, &again).await, [Outcome::Removed(1)]);
}

#[tokio::test]
async fn without_a_poll_the_read_back_tells_and_without_both_nothing_does() {
    let partner = Partner::open(&["a@x.org"]).await;
    partner.books().is_lying = true;
    let target = [record(1, "a@x.org")];
    let by_look = || partner.with(HttpCalls { poll: None, ..calls() }, 500);
    let accepted = submit(&by_look(), &target).await;
    assert_eq!(poll(&by_look(), &target, &accepted).await, accepted, "still found is not over");
    partner.books().people.clear();
    assert_eq!(poll(&by_look(), &target, &accepted).await, [Outcome::Removed(1)]);

    let silent = partner.with(HttpCalls { poll: None, read_back: None, ..calls() }, 500);
    assert!(!silent.describe().verify);
    let accepted = submit(&silent, &target).await;
    assert_eq!(poll(&silent, &target, &accepted).await, accepted);
    partner.now.fetch_add(31 * DAY, Ordering::SeqCst);
    assert!(matches!(poll(&silent, &target, &accepted).await.as_slice(), [Outcome::Failed(_)]));
}
