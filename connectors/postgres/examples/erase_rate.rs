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
    let mut ratios = Vec::new();
    for round in 0..3 {
        fill(&sql, &refill).await?;
        let by_hand = by_hand(&sql, rows).await?;
        fill(&sql, &refill).await?;
        let (erased, verified) = by_connector(&url, rows).await?;
        ratios.push(by_hand / erased);
        println!(
            "{{\"round\":{round},\"rows\":{rows},\"by_hand_s\":{by_hand:.3},\"erase_s\":{erased:.3},\"verify_s\":{verified:.3},\
             \"ratio\":{:.2},\"ratio_with_verify\":{:.2}}}",
            by_hand / erased,
            by_hand / (erased + verified)
        );
    }
    Ok(())
}

async fn fill(sql: &tokio_postgres::Client, refill: &str) -> Result<(), tokio_postgres::Error> {
    for statement in refill.split(';') {
        sql.batch_execute(statement).await?;
    }
    Ok(())
}

/// Every other row, so that both find the table equally full.
fn ids(rows: i64) -> Vec<i64> {
    (1..=rows).map(|i| i * 2).collect()
}

async fn by_hand(sql: &tokio_postgres::Client, rows: i64) -> Result<f64, Box<dyn Error>> {
    let statement = sql.prepare("DELETE FROM users WHERE id = ANY($1)").await?;
    let started = Instant::now();
    let mut deleted = 0;
    for chunk in ids(rows).chunks(BATCH) {
        deleted += sql.execute(&statement, &[&chunk]).await?;
    }
    let took = started.elapsed().as_secs_f64();
    if i64::try_from(deleted)? != rows {
        return Err(format!("{deleted} rows deleted by hand, not {rows}").into());
    }
    Ok(took)
}

#[expect(clippy::disallowed_methods, reason = "measures a connector, so it issues its own permits")]
async fn by_connector(url: &str, rows: i64) -> Result<(f64, f64), Box<dyn Error>> {
    let subject = Some(SubjectColumn { column: "customer".into(), kind: "customer_id".into() });
    let users = Collection { name: "users".into(), key: vec!["id".into()], subject, ..Collection::default() };
    let dataset = Dataset { fides_key: "shop".into(), collections: vec![users], ..Dataset::default() };
    let manifest = Manifest { system: "shop-db".into(), datasets: vec![dataset], ..Manifest::default() };
    let connector = PostgresConnector::new(&manifest, url)?;
    let targets: Vec<Target> = ids(rows).into_iter().map(target).collect();
    let permit = Permit::issue(1, 1, [0; 32], std::time::Duration::from_secs(10));
    let started = Instant::now();
    for chunk in targets.chunks(BATCH) {
        let answers = connector.erase(chunk, &permit, Arc::new(Open)).await;
        if let Some(other) = answers.iter().find(|a| a.outcome != Outcome::Removed(1)) {
            return Err(format!("{other:?}").into());
        }
    }
    let erased = started.elapsed().as_secs_f64();
    let started = Instant::now();
    for chunk in targets.chunks(BATCH) {
        if let Some(other) = connector.verify(chunk).await.iter().find(|r| r.finding != Finding::Gone) {
            return Err(format!("{other:?}").into());
        }
    }
    Ok((erased, started.elapsed().as_secs_f64()))
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
        work: Work::Delete,
    }
}
