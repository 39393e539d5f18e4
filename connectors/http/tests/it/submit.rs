//! What the partner is sent.

use std::collections::BTreeSet;
use std::sync::Arc;

use aws_lc_rs::hmac;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use quietus_contract::{Connector, Identity, Outcome, Secret, Work};
use quietus_core::verdict::Action;

use crate::partner::{Partner, START, Stops, calls, record, submit, submit_through};

#[tokio::test]
async fn people_go_over_in_batches_by_the_one_identity_that_the_partner_knows() {
    let partner = Partner::open(&[]).await;
    let connector = partner.with(calls(), 2);
    let targets: Vec<_> = (1..=5).map(|n| record(n, &format!("p{n}@x.org"))).collect();
    let outcomes = submit(&connector, &targets).await;
    assert!(outcomes.iter().all(|o| matches!(o, Outcome::Accepted { .. })), "{outcomes:?}");
    let seen = partner.seen("/erase");
    let bodies: Vec<&str> = seen.iter().map(|s| s.body.as_str()).collect();
    assert_eq!(
        bodies,
        [
            r#"{"people":["p1@x.org","p2@x.org"]}"#,
            r#"{"people":["p3@x.org","p4@x.org"]}"#,
            r#"{"people":["p5@x.org"]}"#
        ]
    );
    let keys: BTreeSet<&String> = seen.iter().map(|s| &s.headers["idempotency-key"]).collect();
    assert_eq!(keys.len(), 3);
}

#[tokio::test]
async fn every_request_is_signed_as_standard_webhooks_says() {
    let partner = Partner::open(&["a@x.org"]).await;
    let connector = partner.connector();
    let target = [record(1, "a@x.org")];
    let outcomes = submit(&connector, &target).await;
    crate::partner::poll(&connector, &target, &outcomes).await;
    connector.verify(&target).await;
    let key = STANDARD.decode("MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw").expect("base64");
    let key = hmac::Key::new(hmac::HMAC_SHA256, &key);
    let seen = partner.books().seen.clone();
    assert_eq!(seen.len(), 4, "submit, poll, the poll's look, the read-back");
    for one in seen {
        let (id, at) = (&one.headers["webhook-id"], &one.headers["webhook-timestamp"]);
        assert_eq!(*at, (START / 1000).to_string());
        let signature = one.headers["webhook-signature"].strip_prefix("v1,").expect("version 1");
        let signature = STANDARD.decode(signature).expect("base64");
        hmac::verify(&key, format!("{id}.{at}.{}", one.body).as_bytes(), &signature).expect("ours");
    }
}

#[tokio::test]
async fn the_same_request_has_the_same_key_and_another_has_another() {
    let partner = Partner::open(&[]).await;
    let connector = partner.connector();
    let (a, b) = (record(1, "a@x.org"), record(2, "b@x.org"));
    let mut again = [b.clone(), a.clone()];
    again.iter_mut().for_each(|t| t.attempt = 2);
    submit(&connector, &[a.clone(), b]).await;
    // A node that has started anew, with the same commands in another order.
    submit(&partner.connector(), &again).await;
    submit(&connector, &[a]).await;
    let keys: Vec<String> =
        partner.seen("/erase").iter().map(|s| s.headers["idempotency-key"].clone()).collect();
    assert_eq!(keys[0], keys[1]);
    assert_ne!(keys[0], keys[2], "other content under a key that was used");
}

#[tokio::test]
async fn records_of_one_person_are_one_person_and_a_hold_on_one_keeps_all_of_them() {
    let partner = Partner::open(&[]).await;
    let connector = partner.connector();
    let targets = [record(1, "a@x.org"), record(2, "a@x.org"), record(3, "b@x.org")];
    let outcomes = submit_through(&connector, &targets, Arc::new(Stops(vec![targets[1].command]))).await;
    assert!(
        matches!(
            outcomes.as_slice(),
            [Outcome::Blocked { .. }, Outcome::Blocked { .. }, Outcome::Accepted { .. }]
        ),
        "{outcomes:?}"
    );
    submit(&connector, &targets[..2]).await;
    let bodies: Vec<String> = partner.seen("/erase").into_iter().map(|s| s.body).collect();
    assert_eq!(bodies, [r#"{"people":["b@x.org"]}"#, r#"{"people":["a@x.org"]}"#]);
}

#[tokio::test]
async fn who_is_not_known_there_is_refused_and_what_it_cannot_do_too() {
    let partner = Partner::open(&[]).await;
    let connector = partner.connector();
    let mut unknown = record(1, "a@x.org");
    unknown.identities = vec![Identity { kind: "customer_id".into(), value: Secret::new("4711") }];
    let mut masked = record(2, "a@x.org");
    masked.work = Work::Change { action: Action::Mask, categories: vec!["user.name".into()] };
    let outcomes = submit(&connector, &[unknown, masked]).await;
    assert!(outcomes.iter().all(|o| matches!(o, Outcome::Refused { .. })), "{outcomes:?}");
    assert!(partner.books().seen.is_empty());
}
