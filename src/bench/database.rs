//! The PostgreSQL database of a bench: `QUIETUS_BENCH_POSTGRES`, else a server of Debian's, started with fsync on.

use quietus_servers::{Options, Postgres};
use tokio_postgres::NoTls;

use super::BenchError;

/// Whoever gives a server gives a database in which this table may be made and dropped.
const TABLE: &str = "quietus_bench_users";

#[derive(Debug)]
pub struct Database {
    pub url: String,
    pub table: String,
    /// Ours: it stops when this is dropped.
    server: Option<Postgres>,
}

impl Database {
    pub fn start(tell: &mut dyn FnMut(&str)) -> Result<Self, BenchError> {
        let table = TABLE.to_owned();
        if let Ok(url) = std::env::var("QUIETUS_BENCH_POSTGRES") {
            return Ok(Self { url, table, server: None });
        }
        tell("starting PostgreSQL");
        let server = Postgres::start(Options { fsync: true }).map_err(BenchError::Wrong)?;
        Ok(Self { url: server.url(), table, server: Some(server) })
    }

    /// A server that keeps the time of every commit, which a given one must do already.
    pub fn start_noting_commits(tell: &mut dyn FnMut(&str)) -> Result<Self, BenchError> {
        let mut database = Self::start(tell)?;
        if let Some(server) = &mut database.server {
            server.set("track_commit_timestamp = on").map_err(BenchError::Wrong)?;
        }
        Ok(database)
    }

    /// Ids from 0, four to a customer.
    pub async fn fill(&self, rows: u64) -> Result<(), BenchError> {
        let table = &self.table;
        let statements = format!(
            "DROP TABLE IF EXISTS {table};
             CREATE TABLE {table} (id bigint PRIMARY KEY, customer bigint, email text, note text);
             INSERT INTO {table} SELECT i, i / 4, 'u' || i || '@example.org', repeat('x', 100)
             FROM generate_series(0, {rows} - 1) AS i;
             CREATE INDEX ON {table} (customer);
             VACUUM ANALYZE {table};
             CHECKPOINT"
        );
        let (client, driver) = tokio_postgres::connect(&self.url, NoTls).await?;
        let driver = tokio::spawn(driver);
        for statement in statements.split(';') {
            client.batch_execute(statement).await?;
        }
        drop(client);
        let _ = driver.await;
        Ok(())
    }

    pub async fn left(&self) -> Result<u64, BenchError> {
        let (client, driver) = tokio_postgres::connect(&self.url, NoTls).await?;
        tokio::spawn(driver);
        let row = client.query_one(&format!("SELECT count(*) FROM {}", self.table), &[]).await?;
        Ok(row.try_get::<_, i64>(0)?.unsigned_abs())
    }
}
