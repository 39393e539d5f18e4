//! The peer of ingest, sweep and re-plan: a PostgreSQL table with the same look-ups, told of the same items.

use std::fmt::Write;
use std::time::Instant;

use tokio_postgres::{Client, NoTls};

use super::BenchError;
use super::database::Database;
use super::load::{Load, OF_PERSON, withdrew};

pub(super) const TABLE: &str = "quietus_bench_items";

#[derive(Debug)]
pub struct Peer {
    pub(super) client: Client,
    _database: Database,
}

impl Peer {
    /// Primary key, (subject), and (class, start).
    pub async fn start(tell: &mut dyn FnMut(&str)) -> Result<Self, BenchError> {
        let database = Database::start(tell)?;
        let (client, driver) = tokio_postgres::connect(&database.url, NoTls).await?;
        tokio::spawn(driver);
        client
            .batch_execute(&format!(
                "DROP TABLE IF EXISTS {TABLE}, {TABLE}_outbox, {TABLE}_withdrawn, {TABLE}_dated, {TABLE}_days;
                 CREATE TABLE {TABLE}
                   (id bigint PRIMARY KEY, subject bigint, class int, start timestamptz, locator bigint);
                 CREATE INDEX ON {TABLE} (subject);
                 CREATE INDEX {TABLE}_start ON {TABLE} (class, start);
                 CREATE TABLE {TABLE}_withdrawn (subject bigint PRIMARY KEY);
                 CREATE TABLE {TABLE}_outbox (id bigint, subject bigint, class int)"
            ))
            .await?;
        Ok(Self { client, _database: database })
    }

    /// A multi-row INSERT a batch, each committed; answers seconds.
    pub async fn fill(&self, load: Load) -> Result<f64, BenchError> {
        let begun = Instant::now();
        for batch in 0..load.batches() {
            let mut sql = format!("INSERT INTO {TABLE} VALUES ");
            for (n, item) in load.batch(batch).enumerate() {
                let comma = if n == 0 { "" } else { "," };
                // A string takes everything.
                let _ = write!(
                    sql,
                    "{comma}({id},{},{},'{}',{id})",
                    item.subject,
                    item.class,
                    item.start,
                    id = item.n
                );
            }
            self.client.batch_execute(&sql).await?;
        }
        Ok(begun.elapsed().as_secs_f64())
    }

    /// So many percent of the persons took their consent back.
    pub async fn withdraw(&self, load: Load, percent: u64) -> Result<(), BenchError> {
        for first in (0..load.items / OF_PERSON).step_by(10_000) {
            let last = (first + 10_000).min(load.items / OF_PERSON);
            let these = (first..last).filter(|subject| withdrew(*subject, percent));
            let these: Vec<String> = these.map(|subject| format!("({subject})")).collect();
            if !these.is_empty() {
                let sql = format!("INSERT INTO {TABLE}_withdrawn VALUES {}", these.join(","));
                self.client.batch_execute(&sql).await?;
            }
        }
        Ok(())
    }

    /// What is due goes into the outbox: seconds without the index on (class, start), and with it.
    pub async fn sweep(&self, load: Load, keep_days: i64) -> Result<Swept, BenchError> {
        let vacuum = format!("VACUUM ANALYZE {TABLE}");
        self.client.batch_execute(&vacuum).await?;
        self.client.batch_execute("CHECKPOINT").await?;
        let (with_index, due) = self.due(load, keep_days).await?;
        self.client.batch_execute(&format!("DROP INDEX {TABLE}_start")).await?;
        let (without_index, _) = self.due(load, keep_days).await?;
        Ok(Swept { due, with_index, without_index })
    }

    async fn due(&self, load: Load, keep_days: i64) -> Result<(f64, u64), BenchError> {
        self.client.batch_execute(&format!("TRUNCATE {TABLE}_outbox")).await?;
        let cut_off = load.now.plus(-keep_days * quietus_core::time::Millis::DAY);
        let classes: Vec<String> = (0..super::load::SHAPES).map(|class| class.to_string()).collect();
        let classes = classes.join(",");
        let begun = Instant::now();
        let due = self
            .client
            .execute(
                &format!(
                    "INSERT INTO {TABLE}_outbox
                     SELECT id, subject, class FROM {TABLE}
                      WHERE class IN ({classes}) AND start <= '{cut_off}'
                     UNION ALL
                     SELECT i.id, i.subject, i.class FROM {TABLE} i JOIN {TABLE}_withdrawn w USING (subject)
                      WHERE i.class % 2 = 1 AND i.start > '{cut_off}'"
                ),
                &[],
            )
            .await?;
        Ok((begun.elapsed().as_secs_f64(), due))
    }
}

#[derive(Clone, Copy, Debug)]
pub struct Swept {
    pub due: u64,
    pub with_index: f64,
    pub without_index: f64,
}
