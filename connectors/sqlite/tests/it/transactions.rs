//! References, the gate, the lease, and other writers.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use quietus_contract::{CommandId, Connector, Finding, Gate, Outcome, Permit, Scalar, Target, Verdict, Work};
use rusqlite::Connection;

use crate::shop::{Open, Shop, collection, constraint, delete, target, text};

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
async fn what_the_gate_stops_stays_and_the_rest_goes() {
    let shop = Shop::new(
        "CREATE TABLE parent (id INTEGER PRIMARY KEY);
         CREATE TABLE child (id INTEGER PRIMARY KEY, of INTEGER REFERENCES parent(id));
         INSERT INTO parent VALUES (1), (2); INSERT INTO child VALUES (10, 1), (20, 2);",
        vec![collection("parent", &["id"], &[]), collection("child", &["id"], &[])],
    );
    let by = |n, table, id| delete(n, table, "id", Scalar::Integer(id));
    let gate = Arc::new(Stopping(vec![CommandId([3; 16])], Mutex::new(0)));
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
    let gate = Arc::new(Stopping(Vec::new(), Mutex::new(0)));
    let outcomes = shop.erase_through(&targets, gate.clone()).await;
    assert_eq!(outcomes, vec![Outcome::Removed(1); 2_990]);
    assert_eq!(shop.count("SELECT count(*) FROM n"), 10);
    assert!(*gate.1.lock().expect("lock") >= 6, "one transaction for each batch of at most 500");
    assert!(shop.connector.verify(&targets).await.iter().all(|r| r.finding == Finding::Gone));
}

/// Stops some commands, and notes how often it was asked.
struct Stopping(Vec<CommandId>, Mutex<usize>);

#[async_trait]
impl Gate for Stopping {
    async fn may_commit(&self, commands: &[CommandId]) -> Vec<Verdict> {
        *self.1.lock().expect("lock") += 1;
        commands.iter().map(|c| if self.0.contains(c) { Verdict::Stop } else { Verdict::Go }).collect()
    }
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
async fn a_family_that_falls_into_several_transactions_goes_all_the_same() {
    let shop = Shop::new(
        "CREATE TABLE tree (id INTEGER PRIMARY KEY, up INTEGER REFERENCES tree(id));
         WITH RECURSIVE i(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM i WHERE x < 240)
         INSERT INTO tree SELECT x, CASE WHEN x > 100 THEN x - 100 END FROM i;",
        vec![collection("tree", &["id"], &[])],
    );
    let targets: Vec<Target> =
        (1..=240).map(|i| delete(i, "tree", "id", Scalar::Integer(i64::from(i)))).collect();
    assert_eq!(shop.erase(&targets).await, vec![Outcome::Removed(1); 240]);
}

#[tokio::test]
async fn a_cascade_reaches_no_mapped_row_through_tables_that_are_not() {
    let shop = Shop::new(
        "CREATE TABLE parent (id INTEGER PRIMARY KEY);
         CREATE TABLE basket (id INTEGER PRIMARY KEY, of INTEGER REFERENCES Parent(id) ON DELETE CASCADE);
         CREATE TABLE entry (id INTEGER PRIMARY KEY, of INTEGER REFERENCES basket ON DELETE CASCADE);
         CREATE TABLE token (id INTEGER PRIMARY KEY, of INTEGER REFERENCES parent(id) ON DELETE CASCADE);
         INSERT INTO parent VALUES (1), (2); INSERT INTO basket VALUES (10, 1); INSERT INTO entry VALUES (100, 10);
         INSERT INTO token VALUES (5, 2);",
        vec![collection("parent", &["id"], &[]), collection("entry", &["id"], &[])],
    );
    let by = |n, table, id| delete(n, table, "id", Scalar::Integer(id));
    let outcomes = shop.erase(&[by(1, "parent", 1), by(2, "parent", 2)]).await;
    assert!(constraint(&outcomes[0]) && outcomes[1] == Outcome::Removed(1), "{outcomes:?}");
    assert_eq!(shop.count("SELECT (SELECT count(*) FROM entry) * 10 + (SELECT count(*) FROM token)"), 10);
}
