//! The read-back.

use quietus_contract::{Connector, Finding};

use crate::partner::{Mood, Partner, record};

#[tokio::test]
async fn each_person_is_told_apart_in_a_batch() {
    let partner = Partner::open(&["b@x.org"]).await;
    let connector = partner.connector();
    let targets = [record(1, "a@x.org"), record(2, "b@x.org"), record(3, "b@x.org")];
    let mut backs = connector.verify(&targets).await;
    backs.sort_by_key(|b| b.command);
    let found: Vec<bool> = backs.iter().map(|b| matches!(b.finding, Finding::Found { .. })).collect();
    assert_eq!(found, [false, true, true]);
    assert_eq!(backs[0].finding, Finding::Gone);
    assert!(backs[0].scope[0].contains("partner's own answer") && !backs[0].not_checked.is_empty());
    assert_eq!(partner.seen("/find").len(), 3, "all at once, then one by one");
}

#[tokio::test]
async fn what_cannot_be_asked_is_never_gone() {
    let partner = Partner::open(&[]).await;
    let nowhere = partner.nowhere();
    let mut nameless = record(2, "a@x.org");
    nameless.identities.clear();
    let backs = nowhere.connector().verify(&[record(1, "a@x.org"), nameless]).await;
    assert_eq!(backs.len(), 2);
    assert!(backs.iter().all(|b| matches!(b.finding, Finding::Unreadable(_))));
    // A partner that asks to be left alone is not asked either.
    partner.books().moods.push_back(Mood::Answers(429, Some("60".into())));
    let connector = partner.connector();
    crate::partner::submit(&connector, &[record(1, "a@x.org")]).await;
    let backs = connector.verify(&[record(1, "a@x.org")]).await;
    assert!(matches!(backs[0].finding, Finding::Unreadable(_)));
}
