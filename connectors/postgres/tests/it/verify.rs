//! The read-back.

use quietus_contract::{Connector, Finding};

use crate::shop::*;

const CARDS: &str = "CREATE TABLE cards (code text PRIMARY KEY, owner bigint, mail text);
    INSERT INTO cards VALUES ('ab-1', 7, 'ann@example.org'), ('0042', 8, 'bob@example.org'), ('x', 7, 'ann@example.org');";

fn cards() -> quietus_core::system::Collection {
    let mut cards = with_field(collection("cards", &["code"]), "mail", "user.contact.email", None);
    cards.fields[0].identity = Some("email".into());
    with_subject(cards, "owner", "customer_id")
}

#[tokio::test]
async fn a_record_under_another_spelling_of_its_key_is_found_by_identity() {
    let shop = Shop::open(CARDS, vec![cards()]).await;
    for (key, owner) in [("AB-1 ", "7"), ("42", "8")] {
        let asked = of(target(1, "cards", &[("code", key)]), "customer_id", owner);
        let found = shop.verify(&asked).await;
        assert_eq!(found, Finding::Found { count: 1, by: "identity".into() }, "{key}");
    }
    let other = of(target(1, "cards", &[("code", "AB-1 ")]), "customer_id", "8");
    assert_eq!(shop.verify(&other).await, Finding::Gone, "somebody else's record");
}

#[tokio::test]
async fn the_scope_says_what_was_looked_at_and_what_not() {
    let shop = Shop::open(CARDS, vec![cards()]).await;
    let asked = of(of(target(1, "cards", &[("code", "zz")]), "customer_id", "7"), "email", "ann@example.org");
    let read = shop.connector.verify(&[asked]).await.remove(0);
    assert_eq!(read.finding, Finding::Gone);
    assert_eq!(*read.scope, ["primary key", "identity email", "identity customer_id"]);
    assert_eq!(read.identity_rows, Some(2));
    assert_eq!(read.not_checked, [""; 0]);
    assert!(read.at.unwrap() > 1_700_000_000_000);

    let nobody = of(target(1, "cards", &[("code", "zz")]), "customer_id", "9");
    assert_eq!(shop.connector.verify(&[nobody]).await[0].identity_rows, Some(0));
    let unknown = of(target(1, "cards", &[("code", "zz")]), "device_id", "9");
    let read = shop.connector.verify(&[unknown]).await.remove(0);
    assert_eq!(*read.scope, ["primary key"]);
    assert_eq!(read.not_checked.len(), 1);
    let misfit = of(target(1, "cards", &[("code", "zz")]), "customer_id", "ann");
    let read = shop.connector.verify(&[misfit]).await.remove(0);
    assert_eq!(read.not_checked, ["identity customer_id in owner: conflict"]);
}

#[tokio::test]
async fn what_cannot_be_read_is_unreadable_and_hides_nothing_of_the_others() {
    let schema =
        format!("{CARDS} CREATE TABLE numbers (id int PRIMARY KEY); INSERT INTO numbers VALUES (1);");
    let shop =
        Shop::open(&schema, vec![collection("numbers", &["id"]), collection("nowhere", &["id"])]).await;
    let asked = [
        target(1, "numbers", &[("id", "1")]),
        target(2, "numbers", &[("id", "one")]),
        target(3, "numbers", &[("id", "2")]),
        target(4, "nowhere", &[("id", "2")]),
    ];
    let read = shop.connector.verify(&asked).await;
    assert_eq!(read[0].finding, Finding::Found { count: 1, by: "primary key".into() });
    assert!(matches!(&read[1].finding, Finding::Unreadable(f) if f.code == "conflict"), "{:?}", read[1]);
    assert_eq!(read[2].finding, Finding::Gone);
    assert!(matches!(&read[3].finding, Finding::Unreadable(f) if f.code == "missing_table"), "{:?}", read[3]);
}
