//! Deletes and masks.

use std::sync::Arc;
use std::time::Duration;

use quietus_contract::{Connector, Finding, Outcome, Work};
use quietus_core::verdict::Action;

use crate::shop::*;

fn code(outcome: &Outcome) -> (&'static str, bool) {
    match outcome {
        Outcome::Failed(f) => (f.code, f.may_retry),
        other => panic!("not failed: {other:?}"),
    }
}

const USERS: &str = "CREATE TABLE users (id bigint PRIMARY KEY, email text, name text NOT NULL, phone varchar(9));
    INSERT INTO users SELECT i, 'u' || i || '@example.org', 'name ' || i, '555' || i FROM generate_series(1, 10) i;";

fn users() -> quietus_core::system::Collection {
    let users = with_subject(collection("users", &["id"]), "id", "customer_id");
    let users = with_field(users, "email", "user.contact.email", None);
    let users = with_field(users, "phone", "user.contact.phone_number", Some("none"));
    with_field(users, "name", "user.name", None)
}

#[tokio::test]
async fn removed_is_told_from_absent_and_only_the_target_goes() {
    let shop = Shop::open(USERS, vec![users()]).await;
    let targets = [target(1, "users", &[("id", "3")]), target(2, "users", &[("id", "99")])];
    let answers = shop.connector.erase(&targets, &permit(10_000), Arc::new(Open)).await;
    let removed = answers.iter().find(|a| a.command == targets[0].command).unwrap();
    assert!(removed.at.unwrap() > 1_700_000_000_000, "{removed:?}");
    assert!(removed.position.as_ref().unwrap().contains(" xid "), "{removed:?}");
    assert_eq!(in_order(&targets, answers), [Outcome::Removed(1), Outcome::Absent]);
    assert_eq!(shop.count("users").await, 9);
    assert_eq!(shop.count("users WHERE id = 3").await, 0);
    assert_eq!(shop.erase(&targets).await, [Outcome::Absent, Outcome::Absent], "again changes nothing");
    assert_eq!(shop.verify(&targets[0]).await, Finding::Gone);
    assert_eq!(
        shop.verify(&target(5, "users", &[("id", "4")])).await,
        Finding::Found { count: 1, by: "primary key".into() }
    );
}

#[tokio::test]
async fn keys_of_every_type_are_compared_as_the_column_s_type() {
    let schema = "CREATE DOMAIN short AS varchar(3); CREATE TYPE mood AS ENUM ('sad', 'ok');
        CREATE TABLE k_int (k int PRIMARY KEY); INSERT INTO k_int VALUES (7), (8);
        CREATE TABLE k_uuid (k uuid PRIMARY KEY); INSERT INTO k_uuid VALUES ('aaaaaaaa-0000-0000-0000-000000000001'), (gen_random_uuid());
        CREATE TABLE k_text (k text PRIMARY KEY); INSERT INTO k_text VALUES (' 7'), ('7'), ('7 '), ('o''x');
        CREATE TABLE k_varchar (k varchar(3) PRIMARY KEY); INSERT INTO k_varchar VALUES ('abc'), ('abd');
        CREATE TABLE k_short (k short PRIMARY KEY); INSERT INTO k_short VALUES ('abc'), ('abd');
        CREATE TABLE k_char (k char(6) PRIMARY KEY); INSERT INTO k_char VALUES ('abc'), ('abd');
        CREATE TABLE k_numeric (k numeric(10,2) PRIMARY KEY); INSERT INTO k_numeric VALUES (1.50), (1.51);
        CREATE TABLE k_date (k date PRIMARY KEY); INSERT INTO k_date VALUES ('2026-01-02'), ('2026-02-01');
        CREATE TABLE k_time (k timestamptz PRIMARY KEY); INSERT INTO k_time VALUES ('2026-01-02 03:04:05.123456+00'), ('2026-01-02 03:04:05.123457+00');
        CREATE TABLE k_bytes (k bytea PRIMARY KEY); INSERT INTO k_bytes VALUES ('\\x00ff'), ('\\x00fe');
        CREATE TABLE k_enum (k mood PRIMARY KEY); INSERT INTO k_enum VALUES ('sad'), ('ok');
        CREATE TABLE k_bool (k bool PRIMARY KEY); INSERT INTO k_bool VALUES (true), (false);";
    let cases = [
        ("k_int", "7"),
        ("k_uuid", "AAAAAAAA-0000-0000-0000-000000000001"),
        ("k_text", "7"),
        ("k_varchar", "abc"),
        ("k_short", "abc"),
        ("k_char", "abc"),
        ("k_numeric", "1.5"),
        ("k_date", "2026-01-02"),
        ("k_time", "2026-01-02T11:04:05.123456+08:00"),
        ("k_bytes", "\\x00ff"),
        ("k_enum", "sad"),
        ("k_bool", "true"),
    ];
    let shop = Shop::open(schema, cases.iter().map(|(t, _)| collection(t, &["k"])).collect()).await;
    let mut targets = Vec::new();
    for (number, (table, key)) in (1u64..).zip(cases) {
        targets.push((table, shop.count(table).await, target(number, table, &[("k", key)])));
    }
    let only: Vec<_> = targets.iter().map(|(_, _, t)| t.clone()).collect();
    let outcomes = shop.erase(&only).await;
    for ((table, before, target), outcome) in targets.iter().zip(outcomes) {
        assert_eq!(outcome, Outcome::Removed(1), "{table}");
        assert_eq!(shop.count(table).await, before - 1, "{table}");
        assert_eq!(shop.verify(target).await, Finding::Gone, "{table}");
    }
    // Neither cut to the column's length nor trimmed to meet another row.
    for (table, key) in [("k_varchar", "abdef"), ("k_short", "abdef"), ("k_text", " 7 ")] {
        assert_eq!(shop.erase(&[target(90, table, &[("k", key)])]).await, [Outcome::Absent], "{table}");
    }
    assert_eq!(code(&shop.erase(&[target(91, "k_int", &[("k", " 8")])]).await[0]), ("conflict", false));
}

#[tokio::test]
async fn composite_keys_and_odd_identifiers() {
    let schema = r#"CREATE SCHEMA "My ""Shop"""; SET search_path = "My ""Shop""";
        CREATE TABLE "Order Lines; --" ("order id" int, "LINE" text, "quietus_o" int, "E""mail" text, PRIMARY KEY ("order id", "LINE"));
        INSERT INTO "Order Lines; --" VALUES (1, 'a', 0, 'x'), (1, 'b', 0, 'x'), (2, 'a', 0, 'x');"#;
    let lines = collection("Order Lines; --", &["order id", "LINE"]);
    let lines = with_field(lines, "E\"mail", "user.contact.email", Some("'; DROP TABLE x; --"));
    let shop = Shop::open_with(schema, manifest(Some("My \"Shop\""), vec![lines])).await;
    let table = r#""My ""Shop"""."Order Lines; --""#;
    let gone = target(1, "Order Lines; --", &[("order id", "1"), ("LINE", "b")]);
    let masked =
        masking(target(2, "Order Lines; --", &[("order id", "1"), ("LINE", "a")]), &["user.contact"]);
    let crossed = target(3, "Order Lines; --", &[("order id", "2"), ("LINE", "b")]);
    let outcomes = shop.erase(&[gone.clone(), masked.clone(), crossed]).await;
    assert_eq!(outcomes, [Outcome::Removed(1), Outcome::Changed(1), Outcome::Absent]);
    assert_eq!(shop.count(table).await, 2);
    let mail = shop.text(&format!(r#"SELECT "E""mail" FROM {table} WHERE "order id" = 1"#)).await;
    assert_eq!(mail.as_deref(), Some("'; DROP TABLE x; --"));
    assert_eq!(shop.verify(&gone).await, Finding::Gone);
    assert_eq!(shop.verify(&masked).await, Finding::Gone);
    let incomplete = target(4, "Order Lines; --", &[("order id", "1")]);
    assert_eq!(code(&shop.erase(&[incomplete]).await[0]), ("conflict", false));
    assert_eq!(shop.count(table).await, 2);
}

#[tokio::test]
async fn masks_take_the_literal_null_or_the_default_and_say_when_nothing_changed() {
    let schema = "CREATE TABLE users (id bigint PRIMARY KEY, email text, phone varchar(9) NOT NULL,
            name text NOT NULL DEFAULT 'nobody', born date NOT NULL, seen timestamptz NOT NULL DEFAULT now());
        INSERT INTO users VALUES (1, 'a@x', '1', 'Ann', '2000-01-01'), (2, 'b@x', '2', 'Bob', '2000-01-01');";
    let users = with_field(collection("users", &["id"]), "email", "user.contact.email", None);
    let users = with_field(users, "phone", "user.contact.phone_number", Some("none"));
    let users = with_field(users, "name", "user.name", None);
    let users = with_field(users, "born", "user.demographic.date_of_birth", None);
    let users = with_field(users, "seen", "user.behavior", None);
    let shop = Shop::open(schema, vec![users]).await;
    let masked = masking(target(1, "users", &[("id", "1")]), &["user.contact", "user.name"]);
    assert_eq!(
        shop.verify(&masked).await,
        Finding::Found { count: 1, by: "primary key".into() },
        "not masked yet"
    );
    assert_eq!(shop.erase(std::slice::from_ref(&masked)).await, [Outcome::Changed(1)]);
    let now = shop.text("SELECT (email IS NULL) || phone || name || born FROM users WHERE id = 1").await;
    assert_eq!(now.as_deref(), Some("truenonenobody2000-01-01"));
    assert_eq!(
        shop.text("SELECT email || phone || name FROM users WHERE id = 2").await.as_deref(),
        Some("b@x2Bob")
    );
    assert_eq!(shop.verify(&masked).await, Finding::Gone);
    let again = shop.erase(std::slice::from_ref(&masked)).await;
    assert!(matches!(&again[0], Outcome::Unchanged { .. }), "{again:?}");
    let absent = masking(target(2, "users", &[("id", "77")]), &["user.name"]);
    assert_eq!(shop.erase(&[absent]).await, [Outcome::Absent]);
    for (category, why) in [
        ("user.demographic", "NOT NULL"),
        ("user.behavior", "differs from row to row"),
        ("user.financial", "no field carries"),
    ] {
        let asked = masking(target(3, "users", &[("id", "2")]), &["user.name", category]);
        let outcome = shop.erase(&[asked]).await.remove(0);
        assert!(matches!(&outcome, Outcome::Refused { reason } if reason.contains(why)), "{outcome:?}");
    }
    assert_eq!(shop.text("SELECT name FROM users WHERE id = 2").await.as_deref(), Some("Bob"));
}

#[tokio::test]
async fn what_it_cannot_execute_is_refused() {
    let shop = Shop::open(USERS, vec![users()]).await;
    for action in [Action::Anonymise, Action::Pseudonymise, Action::Restrict] {
        let mut asked = target(1, "users", &[("id", "1")]);
        asked.work = Work::Change { action, categories: vec!["user.name".into()] };
        let outcome = shop.erase(&[asked]).await.remove(0);
        assert!(matches!(outcome, Outcome::Refused { .. }), "{outcome:?}");
    }
    assert_eq!(shop.count("users WHERE name = 'name 1'").await, 1);
}

#[tokio::test]
async fn one_bad_value_fails_alone_and_never_shows() {
    let shop = Shop::open(USERS, vec![users()]).await;
    let mut targets: Vec<_> = (1..=8).map(|i| target(i, "users", &[("id", &i.to_string())])).collect();
    targets.insert(3, target(90, "users", &[("id", "ann@example.org")]));
    let outcomes = shop.erase(&targets).await;
    assert_eq!(code(&outcomes[3]), ("conflict", false));
    assert!(!format!("{:?}", outcomes[3]).contains("ann@"), "{:?}", outcomes[3]);
    assert_eq!(outcomes.iter().filter(|o| **o == Outcome::Removed(1)).count(), 8);
    assert_eq!(shop.count("users").await, 2);
}

const ORDERS: &str = "CREATE TABLE orders (id int PRIMARY KEY, user_id bigint NOT NULL REFERENCES users);
    INSERT INTO orders SELECT i, i FROM generate_series(1, 5) i;";

#[tokio::test]
async fn children_go_before_parents_and_a_child_left_fails_only_its_parent() {
    let shop = Shop::open(&format!("{USERS}{ORDERS}"), vec![users(), collection("orders", &["id"])]).await;
    let targets = [
        target(1, "users", &[("id", "1")]),
        target(2, "users", &[("id", "2")]),
        target(3, "users", &[("id", "6")]),
        target(4, "orders", &[("id", "1")]),
    ];
    let outcomes = shop.erase(&targets).await;
    assert_eq!(code(&outcomes[1]), ("constraint", true), "{outcomes:?}");
    assert_eq!([&outcomes[0], &outcomes[2], &outcomes[3]], [&Outcome::Removed(1); 3]);
    assert_eq!(shop.count("users").await, 8);
}

#[tokio::test]
async fn deferred_constraints_are_known_before_the_commit() {
    let orders = ORDERS.replace("REFERENCES users", "REFERENCES users DEFERRABLE INITIALLY DEFERRED");
    let shop = Shop::open(&format!("{USERS}{orders}"), vec![users()]).await;
    let outcomes =
        shop.erase(&[target(1, "users", &[("id", "1")]), target(2, "users", &[("id", "6")])]).await;
    assert_eq!(code(&outcomes[0]), ("constraint", true));
    assert_eq!(outcomes[1], Outcome::Removed(1));
    assert_eq!(shop.count("users").await, 9);
}

#[tokio::test]
async fn a_cascade_does_not_take_records_of_ours_along() {
    let orders = ORDERS.replace("REFERENCES users", "REFERENCES users ON DELETE CASCADE");
    let shop = Shop::open(&format!("{USERS}{orders}"), vec![users(), collection("orders", &["id"])]).await;
    let outcomes =
        shop.erase(&[target(1, "users", &[("id", "1")]), target(2, "users", &[("id", "6")])]).await;
    assert_eq!(code(&outcomes[0]), ("constraint", true));
    assert_eq!(outcomes[1], Outcome::Removed(1));
    assert_eq!(shop.count("orders").await, 5);
    let both = [target(1, "users", &[("id", "1")]), target(3, "orders", &[("id", "1")])];
    assert_eq!(shop.erase(&both).await, [Outcome::Removed(1), Outcome::Removed(1)]);
}

#[tokio::test]
async fn a_trigger_that_swallows_the_delete_is_unchanged_never_removed() {
    let schema = format!(
        "{USERS} CREATE FUNCTION keep() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN IF OLD.id < 3 THEN RETURN NULL; END IF; RETURN OLD; END $$;
         CREATE TRIGGER keep BEFORE DELETE ON users FOR EACH ROW EXECUTE FUNCTION keep();
         CREATE FUNCTION back() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN IF OLD.id = 4 THEN INSERT INTO users SELECT OLD.*; END IF; RETURN NULL; END $$;
         CREATE TRIGGER back AFTER DELETE ON users FOR EACH ROW EXECUTE FUNCTION back();
         CREATE FUNCTION stay() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN NEW.email = OLD.email; RETURN NEW; END $$;
         CREATE TRIGGER stay BEFORE UPDATE ON users FOR EACH ROW EXECUTE FUNCTION stay();"
    );
    let shop = Shop::open(&schema, vec![users()]).await;
    let targets: Vec<_> = [1, 3, 4].iter().map(|i| target(*i, "users", &[("id", &i.to_string())])).collect();
    let outcomes = shop.erase(&targets).await;
    assert!(matches!(outcomes[0], Outcome::Unchanged { .. }), "{outcomes:?}");
    assert_eq!(outcomes[1], Outcome::Removed(1));
    assert!(matches!(outcomes[2], Outcome::Unchanged { .. }), "{outcomes:?}");
    let mask = masking(target(9, "users", &[("id", "5")]), &["user.contact"]);
    assert_eq!(code(&shop.erase(&[mask]).await[0]), ("conflict", false));
}

#[tokio::test]
async fn rules_and_views_that_keep_the_row_are_never_removed() {
    let schema = format!(
        "{USERS} ALTER TABLE users ADD gone bool NOT NULL DEFAULT false;
         CREATE RULE soft AS ON DELETE TO users DO INSTEAD UPDATE users SET gone = true WHERE id = OLD.id RETURNING OLD.*;"
    );
    let shop = Shop::open(&schema, vec![users()]).await;
    let one = target(1, "users", &[("id", "1")]);
    let outcome = shop.erase(std::slice::from_ref(&one)).await.remove(0);
    assert!(!matches!(outcome, Outcome::Removed(_) | Outcome::Absent), "{outcome:?}");
    assert_eq!(shop.verify(&one).await, Finding::Found { count: 1, by: "primary key".into() });
}

#[tokio::test]
async fn row_security_that_hides_rows_is_denied_and_unreadable_never_gone() {
    let schema = format!(
        "{USERS} ALTER TABLE users ENABLE ROW LEVEL SECURITY;
         CREATE POLICY few ON users USING (id > 5);
         DO $$ BEGIN CREATE ROLE clerk LOGIN; EXCEPTION WHEN duplicate_object OR unique_violation THEN NULL; END $$;
         GRANT ALL ON users TO clerk;"
    );
    let shop = Shop::open(&schema, vec![users()]).await;
    let url = shop.url.replacen("lab@", "clerk@", 1);
    let clerk = quietus_postgres::PostgresConnector::new(&shop.manifest, &url).unwrap();
    let targets = [target(1, "users", &[("id", "1")])];
    let answers = clerk.erase(&targets, &permit(10_000), Arc::new(Open)).await;
    assert_eq!(code(&answers[0].outcome), ("denied", false));
    let read = clerk.verify(&targets).await;
    assert!(matches!(read[0].finding, Finding::Unreadable(_)), "{read:?}");
}

#[tokio::test]
async fn the_gate_takes_out_what_is_held_and_the_rest_goes() {
    let shop = Shop::open(USERS, vec![users()]).await;
    let targets: Vec<_> = (1..=6).map(|i| target(i, "users", &[("id", &i.to_string())])).collect();
    let gate =
        Arc::new(Holding { held: [targets[1].command, targets[4].command].into(), ..Holding::default() });
    let outcomes = shop.erase_through(&targets, gate.clone()).await;
    for (at, outcome) in outcomes.iter().enumerate() {
        if at == 1 || at == 4 {
            assert_eq!(*outcome, Outcome::Blocked { cause: "hold".into(), until: None });
        } else {
            assert_eq!(*outcome, Outcome::Removed(1));
        }
    }
    assert_eq!(shop.count("users WHERE id IN (2, 5)").await, 2);
    assert!(gate.asked.lock().unwrap().len() >= 6);
}

#[tokio::test]
async fn nothing_is_committed_after_not_after() {
    let shop = Shop::open(USERS, vec![users()]).await;
    let targets = [target(1, "users", &[("id", "1")])];
    let answers =
        shop.connector.erase(&targets, &permit(400), Arc::new(Slow(Duration::from_millis(600)))).await;
    assert_eq!(code(&answers[0].outcome).0, "expired");
    let answers = shop.connector.erase(&targets, &permit(0), Arc::new(Open)).await;
    assert_eq!(code(&answers[0].outcome).0, "expired");
    assert_eq!(shop.count("users").await, 10);
}

#[tokio::test]
async fn a_locked_row_is_left_for_a_retry_and_the_others_go() {
    let shop = Shop::open(USERS, vec![users()]).await;
    let mut other = connect(&shop.url).await;
    let locking = other.transaction().await.unwrap();
    locking.execute("SELECT FROM users WHERE id = 2 FOR UPDATE", &[]).await.unwrap();
    let targets: Vec<_> =
        [1, 2, 3, 44].iter().map(|i| target(*i, "users", &[("id", &i.to_string())])).collect();
    let outcomes = shop.erase(&targets).await;
    assert_eq!(code(&outcomes[1]), ("timeout", true));
    assert_eq!([&outcomes[0], &outcomes[2]], [&Outcome::Removed(1); 2]);
    assert_eq!(outcomes[3], Outcome::Absent);
    locking.rollback().await.unwrap();
    assert_eq!(shop.count("users").await, 8);
}

#[tokio::test]
async fn what_lies_outside_where_is_left_alone() {
    let mut active = users();
    active.where_ = Some("users.name <> 'name 1' -- not the first".into());
    let shop = Shop::open(USERS, vec![active]).await;
    let outcomes =
        shop.erase(&[target(1, "users", &[("id", "1")]), target(2, "users", &[("id", "2")])]).await;
    assert!(matches!(outcomes[0], Outcome::Unchanged { .. }), "{outcomes:?}");
    assert_eq!(outcomes[1], Outcome::Removed(1));
}

#[tokio::test]
async fn missing_tables_and_columns_and_rights_are_named() {
    let schema = format!(
        "{USERS} CREATE TABLE secret (id int PRIMARY KEY);
         DO $$ BEGIN CREATE ROLE guest LOGIN; EXCEPTION WHEN duplicate_object OR unique_violation THEN NULL; END $$; GRANT SELECT ON users TO guest;"
    );
    let collections = vec![users(), collection("nowhere", &["id"]), collection("secret", &["nope"])];
    let shop = Shop::open(&schema, collections).await;
    let targets = [
        target(1, "nowhere", &[("id", "1")]),
        target(2, "secret", &[("nope", "1")]),
        target(3, "users", &[("id", "1")]),
    ];
    let outcomes = shop.erase(&targets).await;
    assert_eq!(code(&outcomes[0]), ("missing_table", false));
    assert_eq!(code(&outcomes[1]), ("missing_column", false));
    assert_eq!(outcomes[2], Outcome::Removed(1));
    let guest =
        quietus_postgres::PostgresConnector::new(&shop.manifest, &shop.url.replacen("lab@", "guest@", 1))
            .unwrap();
    let answers = guest.erase(&[target(3, "users", &[("id", "2")])], &permit(5000), Arc::new(Open)).await;
    assert_eq!(code(&answers[0].outcome), ("denied", false));
}
