//! `check` names what would fail, before anything is sent.

use quietus_contract::{Connector, Problem};
use quietus_postgres::PostgresConnector;

use crate::shop::*;

fn said<'a>(problems: &'a [Problem], code: &str, place: &str) -> &'a Problem {
    let found = problems.iter().find(|p| p.code == code && p.place == place);
    found.unwrap_or_else(|| panic!("no {code} at {place} in {problems:#?}"))
}

#[tokio::test]
async fn what_would_fail_is_named_with_its_place() {
    let schema = "CREATE TABLE users (id bigint PRIMARY KEY, email text NOT NULL, code varchar(3), total int, twice int GENERATED ALWAYS AS (total * 2) STORED);
        CREATE TABLE orders (id int, user_id bigint REFERENCES users, PRIMARY KEY (id));
        CREATE TABLE sessions (id int PRIMARY KEY, user_id bigint REFERENCES users ON DELETE CASCADE);
        CREATE TABLE loose (id int, owner int);";
    let users = with_field(collection("users", &["id"]), "email", "user.contact.email", None);
    let users = with_field(users, "code", "user.unique_id", Some("REDACTED"));
    let users = with_field(users, "twice", "user.financial", None);
    let users = with_field(users, "gone", "user.name", None);
    let shop = Shop::open(
        schema,
        vec![
            with_subject(users, "id", "customer_id"),
            with_subject(collection("orders", &["id"]), "user_id", "customer_id"),
            collection("loose", &["owner"]),
            collection("nowhere", &["id"]),
        ],
    )
    .await;
    let problems = shop.connector.check().await.problems;
    assert!(said(&problems, "not_null", "shop.users.email").fatal);
    assert!(said(&problems, "cannot_execute", "shop.users.code").fatal);
    assert!(!said(&problems, "cannot_execute", "shop.users.twice").fatal);
    assert!(said(&problems, "missing_column", "shop.users.gone").fatal);
    assert!(said(&problems, "missing_table", "shop.nowhere").fatal);
    assert!(said(&problems, "missing_key", "shop.loose").fatal);
    assert!(!said(&problems, "missing_index", "shop.users").fatal);
    assert!(!said(&problems, "missing_index", "shop.orders.user_id").fatal);
    assert!(said(&problems, "cascades", "shop.users").detail.contains("sessions"));
    assert!(!said(&problems, "cannot_execute", "shop-db").fatal);
}

#[tokio::test]
async fn nothing_fatal_where_all_is_well() {
    let schema = "CREATE TABLE users (id bigint PRIMARY KEY, email text, at timestamptz NOT NULL DEFAULT '2000-01-01+00');";
    let users = with_field(collection("users", &["id"]), "email", "user.contact.email", Some("none"));
    let users = with_field(users, "at", "user.behavior", None);
    let shop = Shop::open(schema, vec![with_subject(users, "id", "customer_id")]).await;
    let problems = shop.connector.check().await.problems;
    assert!(problems.iter().all(|p| !p.fatal && p.place == "shop-db"), "{problems:#?}");
}

#[tokio::test]
async fn rights_and_reach() {
    let schema = "CREATE TABLE users (id bigint PRIMARY KEY, email text);
        DO $$ BEGIN CREATE ROLE reader LOGIN; EXCEPTION WHEN duplicate_object OR unique_violation THEN NULL; END $$;
        GRANT SELECT ON users TO reader;";
    let users = with_field(collection("users", &["id"]), "email", "user.contact.email", None);
    let shop = Shop::open(schema, vec![users]).await;
    let url = shop.url.replacen("lab@", "reader@", 1);
    let problems = PostgresConnector::new(&shop.manifest, &url).unwrap().check().await.problems;
    assert!(said(&problems, "denied", "shop.users").detail.contains("DELETE"));
    assert!(said(&problems, "denied", "shop.users.email").detail.contains("UPDATE"));

    let nobody = PostgresConnector::new(&shop.manifest, "postgres://x:hush@127.0.0.1:1/none").unwrap();
    let problems = nobody.check().await.problems;
    assert!(said(&problems, "unreachable", "shop-db").fatal);
    assert!(!format!("{problems:?}{nobody:?}").contains("hush"));
}
