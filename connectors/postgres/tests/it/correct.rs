//! Corrections: new values into rows that are there.

use std::sync::Arc;

use quietus_contract::{Change, Connector, Finding, Outcome, Secret, Target, Work};

use crate::shop::*;

const USERS: &str = "CREATE TABLE users (id bigint PRIMARY KEY, email text NOT NULL, backup text, phone varchar(5), UNIQUE (email));
    INSERT INTO users VALUES (1, 'a@x', 'a2@x', '1'), (2, 'b@x', NULL, '2');";

fn users() -> quietus_core::system::Collection {
    let users = with_field(collection("users", &["id"]), "email", "user.contact.email", Some("none"));
    let users = with_field(users, "backup", "user.contact.email.backup", None);
    with_field(users, "phone", "user.contact.phone_number", None)
}

fn correcting(number: u64, id: &str, changes: &[(&str, Option<&str>)]) -> Target {
    let mut target = target(number, "users", &[("id", id)]);
    let change = |(category, value): &(&str, Option<&str>)| Change {
        category: (*category).to_owned(),
        value: value.map(Secret::new),
    };
    target.work = Work::Correct(changes.iter().map(change).collect());
    target
}

async fn correct(shop: &Shop, targets: &[Target]) -> Vec<Outcome> {
    in_order(targets, shop.connector.correct(targets, &permit(10_000), Arc::new(Open)).await)
}

#[tokio::test]
async fn each_record_gets_its_own_values_and_nothing_is_inserted() {
    let shop = Shop::open(USERS, vec![users()]).await;
    let asked = [
        correcting(1, "1", &[("user.contact.email", Some("new@x")), ("user.contact.phone_number", None)]),
        correcting(
            2,
            "2",
            &[("user.contact.email", Some("it's")), ("user.contact.phone_number", Some("42"))],
        ),
        correcting(3, "3", &[("user.contact.email", Some("never@x"))]),
    ];
    assert_eq!(correct(&shop, &asked).await, [Outcome::Changed(1), Outcome::Changed(1), Outcome::Absent]);
    assert_eq!(shop.count("users").await, 2);
    let rows = shop
        .text("SELECT string_agg(concat_ws('|', email, backup, phone), ' ' ORDER BY id) FROM users")
        .await;
    assert_eq!(rows.as_deref(), Some("new@x|a2@x it's|42"));
    for target in &asked[..2] {
        assert_eq!(shop.verify(target).await, Finding::Gone);
    }
    assert!(correct(&shop, &asked[..2]).await.iter().all(|o| matches!(o, Outcome::Unchanged { .. })));
}

#[tokio::test]
async fn what_does_not_fit_fails_alone_and_never_shows() {
    let shop = Shop::open(USERS, vec![users()]).await;
    let asked = [
        correcting(1, "1", &[("user.contact.phone_number", Some("123456789"))]),
        correcting(2, "2", &[("user.contact.phone_number", Some("77"))]),
        correcting(3, "2", &[("user.contact.email", Some("a@x"))]),
        correcting(4, "2", &[("user.name", Some("Ann"))]),
    ];
    let outcomes = correct(&shop, &asked).await;
    assert!(
        matches!(&outcomes[0], Outcome::Failed(f) if f.code == "conflict" && !f.may_retry),
        "{outcomes:?}"
    );
    assert_eq!(outcomes[1], Outcome::Changed(1));
    assert!(matches!(&outcomes[2], Outcome::Failed(f) if f.code == "constraint"), "{outcomes:?}");
    assert!(matches!(&outcomes[3], Outcome::Refused { .. }), "{outcomes:?}");
    let shown = format!("{outcomes:?}");
    assert!(!shown.contains("123456789") && !shown.contains("a@x"), "{shown}");
    assert_eq!(shop.text("SELECT phone FROM users WHERE id = 1").await.as_deref(), Some("1"));
}

#[tokio::test]
async fn each_verb_takes_its_own_work() {
    let shop = Shop::open(USERS, vec![users()]).await;
    let delete = [target(1, "users", &[("id", "1")])];
    assert!(matches!(correct(&shop, &delete).await[0], Outcome::Refused { .. }));
    let correction = [correcting(1, "1", &[("user.contact.email", Some("new@x"))])];
    assert!(matches!(shop.erase(&correction).await[0], Outcome::Refused { .. }));
    assert_eq!(shop.count("users WHERE email = 'a@x'").await, 1);
}
