//! Keys, masks, triggers, the read-back and the check.

use quietus_contract::{Connector, Finding, Identity, Outcome, Scalar, Secret, Target, Work};
use quietus_core::system::{Reference, SubjectColumn};

use crate::shop::{Shop, collection, delete, mask, target, text};

#[tokio::test]
async fn a_locator_is_compared_as_the_columns_type_and_never_trimmed() {
    let shop = Shop::new(
        "CREATE TABLE n (id INTEGER PRIMARY KEY); INSERT INTO n VALUES (42), (7);
         CREATE TABLE t (id TEXT PRIMARY KEY COLLATE NOCASE, x); INSERT INTO t VALUES ('Ann', 1), (' ann', 2), ('7', 3);
         CREATE TABLE b (id BLOB PRIMARY KEY) WITHOUT ROWID; INSERT INTO b VALUES (x'00ff'), (x'00fe');",
        vec![collection("n", &["id"], &[]), collection("t", &["id"], &[]), collection("b", &["id"], &[])],
    );
    let outcomes = shop
        .erase(&[
            delete(1, "n", "id", text(" 42 ")),
            delete(2, "n", "id", text("42")),
            delete(3, "t", "id", text("ann")),
            delete(4, "t", "id", Scalar::Integer(7)),
            delete(5, "t", "id", text("Ann")),
            delete(6, "b", "id", text("00FF")),
        ])
        .await;
    use Outcome::{Absent, Removed};
    assert_eq!(outcomes, [Absent, Removed(1), Absent, Removed(1), Removed(1), Removed(1)]);
    assert_eq!(shop.count("SELECT count(*) FROM n WHERE id = 7"), 1);
    assert_eq!(shop.count("SELECT count(*) FROM t WHERE id = ' ann'"), 1);
    assert_eq!(shop.count("SELECT count(*) FROM b WHERE id = x'00fe'"), 1);
    assert_eq!(shop.found(&delete(5, "t", "id", text("Ann"))).await, Finding::Gone);
    let there = Finding::Found { count: 1, by: "primary key".into() };
    assert_eq!(shop.found(&delete(6, "b", "id", text("00fe"))).await, there);
}

#[tokio::test]
async fn odd_names_and_composite_keys_are_literal() {
    let shop = Shop::new(
        "CREATE TABLE \"order \"\"x\"\" \" (\"a b\" TEXT, \"select\" INTEGER, \"naïve\" TEXT, PRIMARY KEY (\"a b\", \"select\"));
         INSERT INTO \"order \"\"x\"\" \" VALUES ('k', 1, 'v'), ('k', 2, 'v'), ('K', 1, 'v');",
        vec![collection("order \"x\" ", &["a b", "select"], &[("naïve", "user.name")])],
    );
    let at = |n, k: &str, i| {
        let locator = [("a b", text(k)), ("select", Scalar::Integer(i))];
        target(n, "shop.order \"x\" ", &locator, Work::Delete)
    };
    let partial = target(3, "shop.order \"x\" ", &[("a b", text("k"))], Work::Delete);
    let outcomes = shop.erase(&[at(1, "k", 1), at(2, "k", 3), partial]).await;
    assert_eq!(outcomes[..2], [Outcome::Removed(1), Outcome::Absent]);
    assert!(matches!(&outcomes[2], Outcome::Refused { reason } if reason.contains("select")), "{outcomes:?}");
    assert_eq!(shop.count("SELECT count(*) FROM \"order \"\"x\"\" \""), 2);
}

#[tokio::test]
async fn a_name_the_table_does_not_have_is_no_text_to_compare_with() {
    let shop = Shop::new(
        "CREATE TABLE n (id INTEGER PRIMARY KEY, x); INSERT INTO n VALUES (1, 'ghost')",
        vec![collection("n", &["ghost"], &[])],
    );
    let outcomes = shop.erase(&[delete(1, "n", "ghost", text("ghost"))]).await;
    assert!(!matches!(outcomes[0], Outcome::Removed(_) | Outcome::Absent), "{outcomes:?}");
    assert_eq!(shop.count("SELECT count(*) FROM n"), 1);
}

#[tokio::test]
async fn what_a_trigger_undoes_is_not_reported_as_done() {
    let shop = Shop::new(
        "CREATE TABLE t (id INTEGER PRIMARY KEY, name TEXT); INSERT INTO t VALUES (1, 'a'), (2, 'b'), (3, 'c'), (4, 'd');
         CREATE TRIGGER swallow BEFORE DELETE ON t WHEN old.id = 1 BEGIN SELECT RAISE(IGNORE); END;
         CREATE TRIGGER again AFTER DELETE ON t WHEN old.id = 2 BEGIN INSERT INTO t VALUES (2, old.name); END;
         CREATE TRIGGER no BEFORE DELETE ON t WHEN old.id = 4 BEGIN SELECT RAISE(ROLLBACK, 'secret ann'); END;
         CREATE TRIGGER back AFTER UPDATE ON t WHEN old.id = 2 AND new.name IS NULL BEGIN UPDATE t SET name = old.name WHERE id = 2; END;",
        vec![collection("t", &["id"], &[("name", "user.name")])],
    );
    let targets: Vec<Target> = (1..=4).map(|i| delete(i, "t", "id", Scalar::Integer(i64::from(i)))).collect();
    let masked = shop.erase(&[mask(1, "t", 1, &["user.name"]), mask(2, "t", 2, &["user.name"])]).await;
    assert_eq!(masked[0], Outcome::Changed(1));
    assert!(matches!(masked[1], Outcome::Unchanged { .. }), "{masked:?}");
    let outcomes = shop.erase(&targets).await;
    assert!(matches!(&outcomes[..2], [Outcome::Unchanged { .. }, Outcome::Unchanged { .. }]), "{outcomes:?}");
    assert_eq!(outcomes[2], Outcome::Removed(1));
    assert!(
        matches!(&outcomes[3], Outcome::Failed(f) if f.code == "constraint" && !f.detail.contains("ann"))
    );
    assert_eq!(shop.count("SELECT count(*) FROM t WHERE name IS NULL"), 1);
    assert_eq!(shop.count("SELECT group_concat(id) = '1,2,4' FROM t"), 1);
    assert!(matches!(shop.found(&targets[1]).await, Finding::Found { .. }));
}

#[tokio::test]
async fn a_mask_is_the_literal_else_null_else_the_default_and_never_half() {
    let mut people = collection(
        "p",
        &["id"],
        &[
            ("name", "user.name"),
            ("mail", "user.contact.email"),
            ("phone", "user.contact.phone_number"),
            ("born", "user.demographic"),
        ],
    );
    people.fields[0].mask = Some("REDACTED".into());
    let shop = Shop::new(
        "CREATE TABLE p (id INTEGER PRIMARY KEY, name TEXT COLLATE NOCASE, mail TEXT NOT NULL DEFAULT 'gone', phone TEXT,
            born TEXT NOT NULL);
         INSERT INTO p VALUES (1, 'redacted', 'a@x', '1', '1990'), (2, 'Bo', 'b@x', '2', '1991');",
        vec![people],
    );
    let first = mask(1, "p", 1, &["user.name", "user.contact"]);
    assert_eq!(shop.erase(std::slice::from_ref(&first)).await, [Outcome::Changed(1)]);
    assert_eq!(shop.count("SELECT count(*) FROM p WHERE id=1 AND name='REDACTED' COLLATE BINARY AND mail='gone' AND phone IS NULL AND born='1990'"), 1);
    assert_eq!(shop.found(&first).await, Finding::Gone);
    assert!(matches!(shop.erase(&[first]).await[0], Outcome::Unchanged { .. }));
    let refused = shop.erase(&[mask(1, "p", 2, &["user.name", "user.demographic"])]).await;
    assert!(matches!(&refused[0], Outcome::Refused { reason } if reason.contains("p.born")), "{refused:?}");
    assert_eq!(shop.count("SELECT count(*) FROM p WHERE id=2 AND name='Bo'"), 1);
    let problems = shop.connector.check().await.problems;
    assert!(
        problems.iter().any(|p| p.fatal && p.code == "not_null" && p.place == "shop.p.born"),
        "{problems:?}"
    );
}

#[tokio::test]
async fn a_row_under_another_spelling_of_its_key_is_found_by_identity() {
    let mut orders = collection("o", &["no"], &[]);
    orders.subject = Some(SubjectColumn { column: "customer".into(), kind: "customer_id".into() });
    orders.where_ = Some("kind = 'x' -- ours".into());
    let shop = Shop::new(
        "CREATE TABLE o (no TEXT PRIMARY KEY, customer INTEGER, kind TEXT);
         INSERT INTO o VALUES (' A1 ', 7, 'x'), ('b2', 7, 'x'), ('c3', 7, 'y'), (' A1  ', 8, 'x');",
        vec![orders],
    );
    let mut gone = delete(1, "o", "no", text("a1"));
    gone.identities = vec![Identity { kind: "customer_id".into(), value: Secret::new("7") }];
    assert_eq!(shop.erase(std::slice::from_ref(&gone)).await, [Outcome::Absent]);
    let seen = shop.connector.verify(std::slice::from_ref(&gone)).await.remove(0);
    assert_eq!(seen.finding, Finding::Found { count: 1, by: "identity".into() });
    assert_eq!(*seen.scope, ["primary key", "identity customer_id"]);
    assert_eq!(seen.identity_rows, Some(2));
    gone.identities.clear();
    let seen = shop.connector.verify(std::slice::from_ref(&gone)).await.remove(0);
    assert_eq!((seen.finding, seen.not_checked.len()), (Finding::Gone, 1));
}

#[tokio::test]
async fn check_names_the_place_and_the_remedy() {
    let mut a = collection("a", &["code"], &[("nope", "user.name"), ("u", "user.contact.email")]);
    a.fields[1].mask = Some("x".into());
    a.subject = Some(SubjectColumn { column: "s".into(), kind: "customer_id".into() });
    a.references =
        vec![Reference { columns: vec!["s".into()], collection: "b".into(), to: vec!["id".into()] }];
    a.where_ = Some("nonsense(".into());
    let shop = Shop::new(
        "CREATE TABLE a (id INTEGER PRIMARY KEY, code TEXT, s TEXT, u TEXT UNIQUE)",
        vec![a, collection("A", &["id"], &[])],
    );
    let problems = shop.connector.check().await.problems;
    let has = |fatal, code: &str, place: &str| {
        problems.iter().any(|p| p.fatal == fatal && p.code == code && p.place == place && !p.fix.is_empty())
    };
    assert!(has(true, "missing_column", "shop.a.nope"), "{problems:#?}");
    assert!(has(true, "missing_key", "shop.a"), "{problems:#?}");
    assert!(has(true, "constraint", "shop.a.u"), "{problems:#?}");
    assert!(has(true, "missing_table", "shop.A"), "{problems:#?}");
    assert!(has(true, "missing_column", "shop.a"), "where: {problems:#?}");
    assert!(has(false, "missing_index", "shop.a.s"), "{problems:#?}");
    assert!(has(false, "cannot_execute", "shop-db"), "{problems:#?}");
}

#[tokio::test]
async fn people_are_found_however_their_identity_is_stored() {
    let mut t = collection("t", &["id"], &[]);
    t.fields.push(quietus_core::system::Field {
        name: "mail".into(),
        identity: Some("email".into()),
        ..Default::default()
    });
    t.subject = Some(SubjectColumn { column: "c".into(), kind: "customer_id".into() });
    let shop = Shop::new(
        "CREATE TABLE t (id TEXT PRIMARY KEY, c INTEGER, mail TEXT);
         INSERT INTO t VALUES (CAST(x'ff41' AS TEXT), 1, 'x'), ('A', 1, 'Ann@X.org'), ('b', 2, 'ann@x.org'), ('B ', 3, 'Ann@X.org');",
        vec![t],
    );
    let person = |n, id: &str, kind: &str, value: &str| {
        let mut target = delete(n, "t", "id", text(id));
        target.identities = vec![Identity { kind: kind.into(), value: Secret::new(value) }];
        target
    };
    let asked = [
        person(1, "a", "customer_id", "1"),
        person(2, "a", "email", "ann@x.org"),
        person(3, "a", "customer_id", "2"),
        person(4, "c", "customer_id", "9"),
    ];
    let seen = shop.connector.verify(&asked).await;
    let by_identity = Finding::Found { count: 1, by: "identity".into() };
    let findings: Vec<&Finding> = seen.iter().map(|b| &b.finding).collect();
    assert_eq!(findings, [&by_identity, &by_identity, &Finding::Gone, &Finding::Gone]);
    let rows: Vec<Option<u64>> = seen.iter().map(|b| b.identity_rows).collect();
    assert_eq!(rows, [Some(2), Some(3), Some(1), Some(0)]);
}

#[tokio::test]
async fn a_virtual_table_is_no_place_to_erase_from() {
    let shop = Shop::new(
        "CREATE VIRTUAL TABLE f USING fts5(id, body); INSERT INTO f VALUES ('1', 'x')",
        vec![collection("f", &["id"], &[])],
    );
    let problems = shop.connector.check().await.problems;
    assert!(problems.iter().any(|p| p.fatal && p.code == "cannot_execute"), "{problems:?}");
    let outcome = shop.erase(&[delete(1, "f", "id", text("1"))]).await.remove(0);
    assert!(!matches!(outcome, Outcome::Removed(_) | Outcome::Absent), "{outcome:?}");
}
