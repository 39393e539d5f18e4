//! How fast the connector deletes, beside a hand-written batched `DELETE` in the same run on the same server.
//!
//! `cargo run -p quietus-postgres --example erase_rate [ROWS]`

use std::error::Error;
use std::sync::Arc;
use std::time::Instant;

use async_trait::async_trait;
use quietus_contract::{
    CommandId, Connector, Finding, Gate, Identity, Outcome, Permit, Scalar, Secret, Target, Verdict, Work,
};
use quietus_core::system::{Collection, Dataset, Manifest, SubjectColumn};
use quietus_postgres::PostgresConnector;
use quietus_test_servers::Postgres;

const BATCH: usize = 500;

#[derive(Debug)]
struct Open;

#[async_trait]
impl Gate for Open {
    async fn may_commit(&self, commands: &[CommandId]) -> Vec<Verdict> {
        vec![Verdict::Go; commands.len()]
    }
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let rows: i64 = std::env::args().nth(1).map_or(Ok(50_000), |n| n.parse())?;
    let server = Postgres::start()?;
    let url = server.database()?;
    let (sql, driver) = tokio_postgres::connect(&url, tokio_postgres::NoTls).await?;
    tokio::spawn(driver);
    let refill = format!(
        "DROP TABLE IF EXISTS users; CREATE TABLE users (id bigint PRIMARY KEY, customer bigint, email text, note text);
         INSERT INTO users SELECT i, i / 10, 'u' || i || '@example.org', repeat('x', 100) FROM generate_series(1, {rows} * 2) i;
         CREATE INDEX ON users (customer); VACUUM ANALYZE users; CHECKPOINT"
    );
    for round in 0..6 {
        for statement in refill.split(';') {
            sql.batch_execute(statement).await?;
        }
        let batches = if round < 3 { 1 } else { 10 };
        let (by_hand, erased, verified) = measure(&sql, &url, rows, batches).await?;
        println!(
            "{{\"round\":{round},\"batches_per_call\":{batches},\"rows\":{rows},\"by_hand_s\":{by_hand:.3},\"erase_s\":{erased:.3},\"verify_s\":{verified:.3},\
             \"ratio\":{:.2},\"ratio_with_verify\":{:.2}}}",
            by_hand / erased,
            by_hand / (erased + verified)
        );
    }
    Ok(())
}

/// Seconds by hand (odd ids), by `erase` (even ids) and by `verify`: batch by batch in turn, so that what else goes on
/// on the machine meets all alike.
async fn measure(
    sql: &tokio_postgres::Client,
    url: &str,
    rows: i64,
    batches: usize,
) -> Result<(f64, f64, f64), Box<dyn Error>> {
    let statement = sql.prepare("DELETE FROM users WHERE id = ANY($1)").await?;
    let connector = connector(url)?;
    let permit = permit();
    let (mut by_hand, mut erased, mut verified) = (0.0, 0.0, 0.0);
    let ids: Vec<i64> = (1..=rows).collect();
    for chunk in ids.chunks(BATCH * batches) {
        let odd: Vec<i64> = chunk.iter().map(|i| i * 2 - 1).collect();
        let started = Instant::now();
        let mut deleted = 0;
        for batch in odd.chunks(BATCH) {
            deleted += sql.execute(&statement, &[&batch]).await?;
        }
        by_hand += started.elapsed().as_secs_f64();
        if usize::try_from(deleted)? != chunk.len() {
            return Err(format!("{deleted} rows deleted by hand, not {}", chunk.len()).into());
        }
        let targets: Vec<Target> = chunk.iter().map(|i| target(i * 2)).collect();
        let started = Instant::now();
        let answers = connector.erase(&targets, &permit, Arc::new(Open)).await;
        erased += started.elapsed().as_secs_f64();
        if let Some(other) = answers.iter().find(|a| a.outcome != Outcome::Removed(1)) {
            return Err(format!("{other:?}").into());
        }
        let started = Instant::now();
        let read = connector.verify(&targets).await;
        verified += started.elapsed().as_secs_f64();
        if let Some(other) = read.iter().find(|r| r.finding != Finding::Gone) {
            return Err(format!("{other:?}").into());
        }
    }
    Ok((by_hand, erased, verified))
}

fn connector(url: &str) -> Result<PostgresConnector, Box<dyn Error>> {
    let subject = Some(SubjectColumn { column: "customer".into(), kind: "customer_id".into() });
    let users = Collection { name: "users".into(), key: vec!["id".into()], subject, ..Collection::default() };
    let dataset = Dataset { fides_key: "shop".into(), collections: vec![users], ..Dataset::default() };
    let manifest = Manifest { system: "shop-db".into(), datasets: vec![dataset], ..Manifest::default() };
    Ok(PostgresConnector::new(&manifest, url)?)
}

#[expect(clippy::disallowed_methods, reason = "measures a connector, so it issues its own permits")]
fn permit() -> Permit {
    Permit::issue(1, 1, [0; 32], std::time::Duration::from_secs(10))
}

fn target(id: i64) -> Target {
    let mut command = [0; 16];
    command.iter_mut().zip(id.to_be_bytes()).for_each(|(to, from)| *to = from);
    Target {
        command: CommandId(command),
        attempt: 1,
        dataset: "shop.users".into(),
        locator: [("id".to_owned(), Scalar::Integer(id))].into(),
        identities: vec![Identity { kind: "customer_id".into(), value: Secret::new((id / 10).to_string()) }],
        answered_at: None,
        work: Work::Delete,
    }
}
