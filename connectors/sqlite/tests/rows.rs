//! What the conformance laws leave to each database: SQLite's types, collations, triggers, cascades and locks.

#![expect(
    clippy::disallowed_methods,
    clippy::expect_used,
    reason = "a test issues its own permits, and stops where it cannot go on"
)]

use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use quietus_contract::{
    CommandId, Connector, Failure, Finding, Gate, Identity, Locator, Outcome, Permit, Scalar, Secret, Target,
    Verdict, Work,
};
use quietus_core::system::{Collection, Dataset, Field, Manifest, Reference, SubjectColumn};
use quietus_core::verdict::Action;
use quietus_sqlite::SqliteConnector;
use rusqlite::Connection;

struct Shop {
    _dir: tempfile::TempDir,
    path: String,
    connector: SqliteConnector,
}

impl Shop {
    fn new(sql: &str, collections: Vec<Collection>) -> Self {
        let dir = tempfile::tempdir().expect("dir");
        let path = dir.path().join("shop ü.db").display().to_string();
        Connection::open(&path).expect("made").execute_batch(sql).expect("schema");
        let manifest = Manifest {
            system: "shop-db".into(),
            kind: "sqlite".into(),
            datasets: vec![Dataset { fides_key: "shop".into(), schema: None, collections }],
            ..Manifest::default()
        };
        let connector = SqliteConnector::open(&manifest, &format!("sqlite://{path}")).expect("opened");
        Self { _dir: dir, path, connector }
    }

    /// The harness's own look: another session.
    fn count(&self, sql: &str) -> i64 {
        Connection::open(&self.path).expect("open").query_row(sql, [], |r| r.get(0)).expect("counted")
    }

    async fn erase(&self, targets: &[Target]) -> Vec<Outcome> {
        self.erase_through(targets, Arc::new(Open)).await
    }

    async fn erase_through(&self, targets: &[Target], gate: Arc<dyn Gate>) -> Vec<Outcome> {
        let mut answers = self.connector.erase(targets, &permit(), gate).await;
        assert_eq!(answers.len(), targets.len());
        answers.sort_by_key(|a| a.command);
        answers.into_iter().map(|a| a.outcome).collect()
    }

    async fn found(&self, target: &Target) -> Finding {
        self.connector.verify(std::slice::from_ref(target)).await.remove(0).finding
    }
}

struct Open;

#[async_trait]
impl Gate for Open {
    async fn may_commit(&self, commands: &[CommandId]) -> Vec<Verdict> {
        vec![Verdict::Go; commands.len()]
    }
}

fn permit() -> Permit {
    Permit::issue(1, 1, [0; 32], Duration::from_secs(10))
}

fn collection(name: &str, key: &[&str], fields: &[(&str, &str)]) -> Collection {
    Collection {
        name: name.into(),
        key: key.iter().map(|k| (*k).to_owned()).collect(),
        fields: fields
            .iter()
            .map(|(n, c)| Field {
                name: (*n).into(),
                categories: if c.is_empty() { vec![] } else { vec![(*c).into()] },
                ..Field::default()
            })
            .collect(),
        ..Collection::default()
    }
}

fn target(n: u8, dataset: &str, locator: &[(&str, Scalar)], work: Work) -> Target {
    Target {
        command: CommandId([n; 16]),
        attempt: 1,
        dataset: dataset.into(),
        locator: locator.iter().map(|(c, v)| ((*c).to_owned(), v.clone())).collect::<Locator>(),
        identities: Vec::new(),
        work,
    }
}

fn text(t: &str) -> Scalar {
    Scalar::Text(Secret::new(t))
}

fn delete(n: u8, table: &str, column: &str, value: Scalar) -> Target {
    target(n, &format!("shop.{table}"), &[(column, value)], Work::Delete)
}

fn mask(n: u8, table: &str, id: i64, categories: &[&str]) -> Target {
    let categories = categories.iter().map(|c| (*c).to_owned()).collect();
    let work = Work::Change { action: Action::Mask, categories };
    target(n, &format!("shop.{table}"), &[("id", Scalar::Integer(id))], work)
}

fn constraint(outcome: &Outcome) -> bool {
    matches!(
        outcome,
        Outcome::Failed(Failure { code: "constraint", may_retry: true, might_have_happened: false, .. })
    )
}

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
async fn children_go_first_and_what_other_children_hold_fails_alone() {
    let shop = Shop::new(
        "CREATE TABLE parent (id INTEGER PRIMARY KEY);
         CREATE TABLE child (id INTEGER PRIMARY KEY, of INTEGER REFERENCES parent(id));
         INSERT INTO parent VALUES (1), (2), (3); INSERT INTO child VALUES (10, 1), (20, 2);",
        vec![collection("parent", &["id"], &[]), collection("child", &["id"], &[])],
    );
    let by = |n, table, id| delete(n, table, "id", Scalar::Integer(id));
    let outcomes =
        shop.erase(&[by(1, "parent", 1), by(2, "parent", 2), by(3, "parent", 3), by(4, "child", 10)]).await;
    assert_eq!(outcomes[0], Outcome::Removed(1));
    assert!(constraint(&outcomes[1]), "{outcomes:?}");
    assert_eq!(outcomes[2..], [Outcome::Removed(1), Outcome::Removed(1)]);
    assert_eq!(shop.count("SELECT count(*) FROM parent"), 1);
}

#[tokio::test]
async fn a_deferred_foreign_key_fails_only_the_row_to_blame() {
    let shop = Shop::new(
        "CREATE TABLE parent (id INTEGER PRIMARY KEY);
         CREATE TABLE child (id INTEGER PRIMARY KEY, of INTEGER REFERENCES parent(id) DEFERRABLE INITIALLY DEFERRED);
         INSERT INTO parent VALUES (1), (2), (3), (4), (5); INSERT INTO child VALUES (20, 2);",
        vec![collection("parent", &["id"], &[]), collection("child", &["id"], &[])],
    );
    let targets: Vec<Target> =
        (1..=5).map(|i| delete(i, "parent", "id", Scalar::Integer(i64::from(i)))).collect();
    let outcomes = shop.erase(&targets).await;
    assert!(constraint(&outcomes[1]), "{outcomes:?}");
    assert_eq!(outcomes.iter().filter(|o| **o == Outcome::Removed(1)).count(), 4);
    assert_eq!(shop.count("SELECT group_concat(id) = '2' FROM parent"), 1);
}

#[tokio::test]
async fn a_cascade_takes_no_mapped_row_along() {
    let shop = Shop::new(
        "CREATE TABLE parent (id INTEGER PRIMARY KEY);
         CREATE TABLE child (id INTEGER PRIMARY KEY, of INTEGER REFERENCES parent(id) ON DELETE CASCADE);
         CREATE TABLE tree (id INTEGER PRIMARY KEY, up INTEGER REFERENCES tree(id) ON DELETE CASCADE);
         INSERT INTO parent VALUES (1), (2); INSERT INTO child VALUES (10, 1);
         INSERT INTO tree VALUES (1, 1), (2, 1), (3, 2), (4, NULL);",
        vec![
            collection("parent", &["id"], &[]),
            collection("child", &["id"], &[]),
            collection("tree", &["id"], &[]),
        ],
    );
    let by = |n, table, id| delete(n, table, "id", Scalar::Integer(id));
    let outcomes = shop.erase(&[by(1, "parent", 1), by(2, "parent", 2)]).await;
    assert!(constraint(&outcomes[0]) && outcomes[1] == Outcome::Removed(1), "{outcomes:?}");
    assert_eq!(shop.count("SELECT count(*) FROM child"), 1);
    let outcomes = shop.erase(&[by(1, "tree", 1), by(2, "tree", 2), by(3, "tree", 3)]).await;
    assert_eq!(outcomes, vec![Outcome::Removed(1); 3]);
    assert_eq!(shop.count("SELECT count(*) FROM tree"), 1);
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
    assert_eq!(seen.scope, ["primary key", "identity customer_id: 2 rows"]);
    gone.identities.clear();
    let seen = shop.connector.verify(std::slice::from_ref(&gone)).await.remove(0);
    assert_eq!((seen.finding, seen.not_checked.len()), (Finding::Gone, 1));
}

/// Stops some commands, and notes how often it was asked.
struct Some_(Vec<CommandId>, Mutex<usize>);

#[async_trait]
impl Gate for Some_ {
    async fn may_commit(&self, commands: &[CommandId]) -> Vec<Verdict> {
        *self.1.lock().expect("lock") += 1;
        commands.iter().map(|c| if self.0.contains(c) { Verdict::Stop } else { Verdict::Go }).collect()
    }
}

#[tokio::test]
async fn what_the_gate_stops_stays_and_the_rest_goes() {
    let shop = Shop::new(
        "CREATE TABLE parent (id INTEGER PRIMARY KEY);
         CREATE TABLE child (id INTEGER PRIMARY KEY, of INTEGER REFERENCES parent(id));
         INSERT INTO parent VALUES (1), (2); INSERT INTO child VALUES (10, 1), (20, 2);",
        vec![collection("parent", &["id"], &[]), collection("child", &["id"], &[])],
    );
    let by = |n, table, id| delete(n, table, "id", Scalar::Integer(id));
    let gate = Arc::new(Some_(vec![CommandId([3; 16])], Mutex::new(0)));
    let targets = [by(1, "parent", 1), by(2, "parent", 2), by(3, "child", 10), by(4, "child", 20)];
    let outcomes = shop.erase_through(&targets, gate.clone()).await;
    assert!(constraint(&outcomes[0]), "a held child keeps its parent: {outcomes:?}");
    assert_eq!(outcomes[2], Outcome::Blocked { cause: "hold".into(), until: None });
    assert_eq!([&outcomes[1], &outcomes[3]], [&Outcome::Removed(1), &Outcome::Removed(1)]);
    assert_eq!(*gate.1.lock().expect("lock"), 2);
    assert_eq!(
        shop.count(
            "SELECT (SELECT group_concat(id) FROM parent) || (SELECT group_concat(id) FROM child) = '110'"
        ),
        1
    );
}

/// Takes longer than the permit lives.
struct Slow;

#[async_trait]
impl Gate for Slow {
    async fn may_commit(&self, commands: &[CommandId]) -> Vec<Verdict> {
        tokio::time::sleep(Duration::from_millis(80)).await;
        vec![Verdict::Go; commands.len()]
    }
}

#[tokio::test]
async fn nothing_is_committed_past_the_lease_or_against_another_writer() {
    let shop = Shop::new(
        "CREATE TABLE n (id INTEGER PRIMARY KEY); INSERT INTO n VALUES (1)",
        vec![collection("n", &["id"], &[])],
    );
    let target = [delete(1, "n", "id", Scalar::Integer(1))];
    let short = Permit::issue(1, 1, [0; 32], Duration::from_millis(30));
    let answers = shop.connector.erase(&target, &short, Arc::new(Slow)).await;
    assert!(matches!(&answers[0].outcome, Outcome::Failed(f) if f.code == "expired" && f.may_retry));
    let other = Connection::open(&shop.path).expect("open");
    other.execute_batch("BEGIN IMMEDIATE").expect("locked");
    let answers = shop.connector.erase(&target, &short, Arc::new(Open)).await;
    assert!(
        matches!(&answers[0].outcome, Outcome::Failed(f) if f.may_retry && !f.might_have_happened),
        "{answers:?}"
    );
    other.execute_batch("ROLLBACK").expect("freed");
    assert_eq!(shop.count("SELECT count(*) FROM n"), 1);
    assert_eq!(shop.erase(&target).await, [Outcome::Removed(1)]);
}

#[tokio::test]
async fn many_rows_go_in_several_short_transactions() {
    let shop = Shop::new(
        "PRAGMA journal_mode = WAL; CREATE TABLE n (a TEXT COLLATE NOCASE, b INTEGER, PRIMARY KEY (a, b)) WITHOUT ROWID;
         WITH RECURSIVE i(x) AS (SELECT 0 UNION ALL SELECT x + 1 FROM i WHERE x < 2999) INSERT INTO n SELECT 'k' || x, x FROM i;",
        vec![collection("n", &["a", "b"], &[])],
    );
    let targets: Vec<Target> = (0u32..2_990)
        .map(|i| {
            let locator = [("a", text(&format!("k{i}"))), ("b", Scalar::Integer(i64::from(i)))];
            let mut target = target(0, "shop.n", &locator, Work::Delete);
            target.command.0[..4].copy_from_slice(&i.to_be_bytes());
            target
        })
        .collect();
    let gate = Arc::new(Some_(Vec::new(), Mutex::new(0)));
    let outcomes = shop.erase_through(&targets, gate.clone()).await;
    assert_eq!(outcomes, vec![Outcome::Removed(1); 2_990]);
    assert_eq!(shop.count("SELECT count(*) FROM n"), 10);
    assert!(*gate.1.lock().expect("lock") >= 6, "one transaction for each batch of at most 500");
    assert!(shop.connector.verify(&targets).await.iter().all(|r| r.finding == Finding::Gone));
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
