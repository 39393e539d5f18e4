//! Servers that go away, locks, and time.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use quietus_contract::{CommandId, Connector, Finding, Gate, Outcome, Verdict};
use quietus_postgres::PostgresConnector;
use quietus_test_servers::{Options, Postgres};

use crate::shop::*;

const USERS: &str =
    "CREATE TABLE users (id bigint PRIMARY KEY); INSERT INTO users SELECT generate_series(1, 400);";

fn users() -> quietus_core::system::Collection {
    collection("users", &["id"])
}

const OURS: &str =
    "FROM pg_stat_activity WHERE application_name = 'quietus' AND datname = current_database()";

#[tokio::test]
async fn a_killed_server_is_reached_again_and_what_was_confirmed_stays() {
    if std::env::var_os("QUIETUS_TEST_POSTGRES").is_some() {
        panic!("this test kills its server: run it without QUIETUS_TEST_POSTGRES");
    }
    let mut server = Postgres::start_with(Options { fsync: true }).unwrap();
    connect(&server.url()).await.batch_execute(USERS).await.unwrap();
    let connector = PostgresConnector::new(&manifest(None, vec![users()]), &server.url()).unwrap();
    let first = [target(1, "users", &[("id", "1")])];
    let second = [target(2, "users", &[("id", "2")])];
    let answers = connector.erase(&first, &permit(10_000), Arc::new(Open)).await;
    assert_eq!(in_order(&first, answers), [Outcome::Removed(1)]);
    server.kill9().unwrap();
    let answers = connector.erase(&second, &permit(10_000), Arc::new(Open)).await;
    let outcome = in_order(&second, answers).remove(0);
    let Outcome::Failed(failure) = outcome else { panic!("{outcome:?}") };
    assert_eq!((failure.code, failure.may_retry, failure.might_have_happened), ("unreachable", true, false));
    let read = connector.verify(&first).await.remove(0);
    assert!(matches!(read.finding, Finding::Unreadable(_)), "{read:?}");
    server.start_again().unwrap();
    assert_eq!(connector.verify(&first).await[0].finding, Finding::Gone);
    let answers = connector.erase(&second, &permit(10_000), Arc::new(Open)).await;
    assert_eq!(in_order(&second, answers), [Outcome::Removed(1)]);
    server.stop().unwrap();
    assert!(connector.now().await.is_err());
}

#[tokio::test]
async fn an_idle_connection_that_was_closed_is_replaced_unseen() {
    let shop = Shop::open(USERS, vec![users()]).await;
    assert_eq!(shop.erase(&[target(1, "users", &[("id", "1")])]).await, [Outcome::Removed(1)]);
    let closed = shop.sql.execute(&format!("SELECT pg_terminate_backend(pid) {OURS}"), &[]).await.unwrap();
    assert_eq!(closed, 1);
    assert_eq!(shop.erase(&[target(2, "users", &[("id", "2")])]).await, [Outcome::Removed(1)]);
}

#[tokio::test]
async fn a_connection_lost_in_the_commit_is_unknown() {
    let schema = format!(
        "{USERS} CREATE FUNCTION doze() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN PERFORM pg_sleep(5); RETURN NULL; END $$;
         CREATE CONSTRAINT TRIGGER doze AFTER DELETE ON users DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION doze();"
    );
    let shop = Shop::open(&schema, vec![users()]).await;
    let targets = [target(1, "users", &[("id", "1")])];
    let asked = async {
        let dozing = format!("SELECT count(*) {OURS} AND wait_event = 'PgSleep'");
        while shop.sql.query_one(&dozing, &[]).await.unwrap().get::<_, i64>(0) == 0 {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        shop.sql.execute(&format!("SELECT pg_terminate_backend(pid) {OURS}"), &[]).await.unwrap();
    };
    let (outcomes, ()) = tokio::join!(shop.erase(&targets), asked);
    let Outcome::Failed(failure) = &outcomes[0] else { panic!("{outcomes:?}") };
    assert_eq!((failure.code, failure.may_retry, failure.might_have_happened), ("unreachable", true, true));
}

#[tokio::test]
async fn a_call_that_is_dropped_commits_nothing() {
    #[derive(Debug)]
    struct Never;
    #[async_trait]
    impl Gate for Never {
        async fn may_commit(&self, _: &[CommandId]) -> Vec<Verdict> {
            std::future::pending().await
        }
    }
    let shop = Shop::open(USERS, vec![users()]).await;
    let targets = [target(1, "users", &[("id", "1")])];
    let call = shop.erase_through(&targets, Arc::new(Never));
    assert!(tokio::time::timeout(Duration::from_millis(500), call).await.is_err());
    assert_eq!(
        shop.erase(&targets).await,
        [Outcome::Removed(1)],
        "the row was there and not locked for long"
    );
}

/// Remembers how many rows the gate was asked for at once.
#[derive(Debug, Default)]
struct Sizes(Mutex<Vec<usize>>);

#[async_trait]
impl Gate for Sizes {
    async fn may_commit(&self, commands: &[CommandId]) -> Vec<Verdict> {
        self.0.lock().unwrap().push(commands.len());
        vec![Verdict::Go; commands.len()]
    }
}

#[tokio::test]
async fn slow_tables_get_small_batches_and_fast_ones_large() {
    let slow = format!(
        "{USERS} CREATE FUNCTION doze() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN PERFORM pg_sleep(0.003); RETURN OLD; END $$;
         CREATE TRIGGER doze BEFORE DELETE ON users FOR EACH ROW EXECUTE FUNCTION doze();"
    );
    let targets: Vec<_> = (1..=400).map(|i| target(i, "users", &[("id", &i.to_string())])).collect();
    for (schema, is_slow) in [(slow.as_str(), true), (USERS, false)] {
        let shop = Shop::open(schema, vec![users()]).await;
        let sizes = Arc::new(Sizes::default());
        let outcomes = shop.erase_through(&targets[..if is_slow { 100 } else { 400 }], sizes.clone()).await;
        assert!(outcomes.iter().all(|o| *o == Outcome::Removed(1)));
        let sizes = sizes.0.lock().unwrap().clone();
        let largest = *sizes.iter().max().unwrap();
        assert!(if is_slow { largest <= 17 } else { largest >= 40 }, "{is_slow}: {sizes:?}");
    }
}

#[tokio::test]
async fn two_connectors_on_the_same_rows_remove_each_once() {
    let shop = Shop::open(USERS, vec![users()]).await;
    let other = PostgresConnector::new(&shop.manifest, &shop.url).unwrap();
    let forward: Vec<_> = (1..=400).map(|i| target(i, "users", &[("id", &i.to_string())])).collect();
    let backward: Vec<_> = forward.iter().rev().cloned().collect();
    let permit = permit(30_000);
    let (a, b) = tokio::join!(
        shop.connector.erase(&forward, &permit, Arc::new(Open)),
        other.erase(&backward, &permit, Arc::new(Open))
    );
    let removed = a.iter().chain(&b).filter(|o| o.outcome == Outcome::Removed(1)).count();
    let absent = a.iter().chain(&b).filter(|o| o.outcome == Outcome::Absent).count();
    assert_eq!((removed, shop.count("users").await), (400, 0));
    assert_eq!(absent, 400);
}

#[tokio::test]
async fn rows_that_refer_to_each_other_in_one_table_go_together() {
    let schema = "CREATE TABLE staff (id int PRIMARY KEY, boss int REFERENCES staff);
        INSERT INTO staff SELECT i, nullif(i - 1, 0) FROM generate_series(1, 60) i;";
    let shop = Shop::open(schema, vec![collection("staff", &["id"])]).await;
    let targets: Vec<_> = (1..=60).map(|i| target(i, "staff", &[("id", &i.to_string())])).collect();
    // The first batches hold bosses whose staff come later.
    assert_eq!(shop.erase(&targets).await, vec![Outcome::Removed(1); 60]);
    assert_eq!(shop.count("staff").await, 0);
}
