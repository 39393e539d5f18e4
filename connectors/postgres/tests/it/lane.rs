//! Many batches over one connection: a batch that goes wrong neither takes its neighbours along nor is told wrongly.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use quietus_contract::{CommandId, Connector, Gate, Outcome, Target, Verdict};
use quietus_core::system::{Limits, Manifest};

use crate::shop::{Holding, Open, Shop, collection, in_order, manifest, permit, target};

const ROWS: u64 = 200;
const NUMBERS: &str = "CREATE TABLE numbers (id bigint PRIMARY KEY);
    INSERT INTO numbers SELECT generate_series(1, 200);";

/// Batches of ten, one connection.
fn narrow() -> Manifest {
    let limits = Limits { batch: 10, concurrency: 1, ..Limits::default() };
    Manifest { limits, ..manifest(None, vec![collection("numbers", &["id"])]) }
}

fn all() -> Vec<Target> {
    (1..=ROWS).map(|i| target(i, "numbers", &[("id", &i.to_string())])).collect()
}

#[tokio::test]
async fn a_hold_in_the_middle_stops_its_own_row_only() {
    let shop = Shop::open_with(NUMBERS, narrow()).await;
    let targets = all();
    let held = targets[97].command;
    let gate = Arc::new(Holding { held: [held].into(), ..Holding::default() });
    let outcomes = shop.erase_through(&targets, gate).await;
    for (at, outcome) in outcomes.iter().enumerate() {
        let blocked = Outcome::Blocked { cause: "hold".into(), until: None };
        assert_eq!(*outcome, if at == 97 { blocked } else { Outcome::Removed(1) });
    }
    assert_eq!(shop.count("numbers").await, 1);
    assert_eq!(shop.count("numbers WHERE id = 98").await, 1);
}

#[tokio::test]
async fn a_key_without_a_row_is_absent_and_no_other_counts_for_it() {
    let shop = Shop::open_with(NUMBERS, narrow()).await;
    shop.sql.execute("DELETE FROM numbers WHERE id % 20 = 0", &[]).await.unwrap();
    let outcomes = shop.erase(&all()).await;
    for (at, outcome) in outcomes.iter().enumerate() {
        assert_eq!(*outcome, if (at + 1) % 20 == 0 { Outcome::Absent } else { Outcome::Removed(1) });
    }
}

/// A key is unique in its table, not in those that inherit from it.
#[tokio::test]
async fn two_rows_of_one_key_do_not_count_for_another() {
    let schema = format!(
        "{NUMBERS} CREATE TABLE more () INHERITS (numbers); INSERT INTO more VALUES (1), (2); DELETE FROM ONLY numbers WHERE id IN (3, 4);"
    );
    let shop = Shop::open_with(&schema, narrow()).await;
    let outcomes = shop.erase(&all()).await;
    assert_eq!(
        outcomes[..5],
        [Outcome::Removed(2), Outcome::Removed(2), Outcome::Absent, Outcome::Absent, Outcome::Removed(1)]
    );
}

/// Lets a few batches through and then takes longer than the permit lives.
#[derive(Debug, Default)]
struct Tiring(AtomicUsize);

#[async_trait]
impl Gate for Tiring {
    async fn may_commit(&self, commands: &[CommandId]) -> Vec<Verdict> {
        if self.0.fetch_add(1, Ordering::Relaxed) >= 3 {
            tokio::time::sleep(Duration::from_millis(2_500)).await;
        }
        vec![Verdict::Go; commands.len()]
    }
}

#[tokio::test]
async fn what_was_let_through_in_time_is_told_apart_from_what_was_not() {
    let shop = Shop::open_with(NUMBERS, narrow()).await;
    let targets = all();
    let answers = shop.connector.erase(&targets, &permit(2_000), Arc::new(Tiring::default())).await;
    let outcomes = in_order(&targets, answers);
    let removed = outcomes.iter().filter(|o| **o == Outcome::Removed(1)).count();
    let expired =
        outcomes.iter().filter(|o| matches!(o, Outcome::Failed(f) if f.code == "expired" && f.may_retry));
    assert_eq!((removed, expired.count()), (30, 170));
    assert_eq!(shop.count("numbers").await, 170);
}

/// A role that may only read stays one: nothing here says otherwise for it.
#[tokio::test]
async fn a_session_that_may_not_write_does_not() {
    let shop = Shop::open_with(NUMBERS, narrow()).await;
    let name: String = shop.sql.query_one("SELECT current_database()::text", &[]).await.unwrap().get(0);
    let read_only = format!("ALTER DATABASE {name} SET default_transaction_read_only = on");
    shop.sql.batch_execute(&read_only).await.unwrap();
    let targets = &all()[..20];
    let answers = shop.connector.erase(targets, &permit(10_000), Arc::new(Open)).await;
    let denied =
        |o: &Outcome| matches!(o, Outcome::Failed(f) if f.code == "denied" && !f.might_have_happened);
    assert!(in_order(targets, answers).iter().all(denied));
    assert_eq!(shop.count("numbers").await, 200);
    // Mended, and noticed at the next call.
    let mended = format!("ALTER DATABASE {name} RESET default_transaction_read_only");
    shop.sql.batch_execute(&format!("SET default_transaction_read_only = off; {mended}")).await.unwrap();
    assert_eq!(shop.erase(targets).await, vec![Outcome::Removed(1); 20]);
}
