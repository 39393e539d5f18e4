//! `quietus bench erase`: rows erased in PostgreSQL, beside a hand-written batched `DELETE` in the same run.
//!
//! The peer deletes 500 rows by primary key a transaction, as fast as it can; where the connector reads back, so does
//! the peer, by primary key and by customer. They take turns, some thousand rows each, so that what else goes on on
//! the machine meets all alike; a ratio is the median of the turns'.
//! The connector gets its rows from dispatch's own queue, which makes its calls as large as it would in a node. Then
//! the whole way, through a node: ledger, dispatch, connector, confirmation, read-back.

use std::sync::{Arc, PoisonError};
use std::time::Instant;

use async_trait::async_trait;
use quietus_contract::{
    CommandId, Connector, Finding, Gate, Identity, Outcome, Scalar, Secret, Target, Verdict, Work,
};
use quietus_core::engine::control::Control;
use quietus_core::obligation::ObligationId;
use quietus_core::system::{Collection, Dataset, Limits, Manifest, SubjectColumn};
use quietus_core::word::Word;
use serde::Serialize;
use tokio_postgres::{Client, NoTls, Statement};

use super::database::Database;
use super::usage::peak_rss_mib;
use super::{BenchError, Disk, whole};
use crate::clock::{Clock, SystemClock};
use crate::dispatch::{Queue, permit_for};
use crate::node::{Resolver, connect};

/// Rows a transaction.
const BATCH: usize = 500;
/// Rows a turn: two of the largest calls that dispatch makes, so that none is cut short by the turn's end.
const TURN: usize = 16_000;
const PROMISED: f64 = 0.8;
const LEASE: std::time::Duration = std::time::Duration::from_secs(10);

/// One JSON object on stdout.
#[derive(Clone, Debug, Serialize)]
pub struct Erased {
    pub bench: &'static str,
    /// Rows by each contestant.
    pub items: u64,
    /// By the connector, without verify, over one connection.
    pub seconds: f64,
    pub per_second: f64,
    pub peak_rss_mib: f64,
    /// Of the node that was gone through.
    pub disk_bytes_per_item: Disk,
    pub batch: usize,
    pub one_connection: Contest,
    pub two_connections: Contest,
    pub node: whole::Whole,
    /// Of the rows by hand, over one connection, with verify and without.
    pub limit_ratio: f64,
    pub ok: bool,
}

/// Rows a second, and the ratios to the rows by hand.
#[derive(Clone, Debug, Serialize)]
pub struct Contest {
    pub by_hand_per_second: f64,
    pub by_hand_and_verify_per_second: f64,
    pub erase_per_second: f64,
    pub erase_and_verify_per_second: f64,
    pub ratio: f64,
    /// Both sides read back.
    pub ratio_with_verify: f64,
}

/// `items` rows by each contestant, rounded up to whole turns.
pub async fn run(items: u64, tell: &mut dyn FnMut(&str)) -> Result<Erased, BenchError> {
    let database = Database::start(tell)?;
    let turns = usize::try_from(items).unwrap_or(usize::MAX).div_ceil(TURN).max(1);
    let one = contest(&database, turns, 1, tell).await?;
    let two = contest(&database, turns, 2, tell).await?;
    let rows = (turns * TURN) as u64;
    let (node, bytes) = whole::run(&database, rows, two.by_hand_per_second, tell).await?;
    let seconds = rows as f64 / one.erase_per_second;
    Ok(Erased {
        bench: "erase",
        items: rows,
        seconds,
        per_second: one.erase_per_second,
        peak_rss_mib: peak_rss_mib(),
        disk_bytes_per_item: Disk { live: None, directory: bytes as f64 / rows as f64 },
        batch: BATCH,
        ok: one.ratio.min(one.ratio_with_verify) >= PROMISED,
        one_connection: one,
        two_connections: two,
        node,
        limit_ratio: PROMISED,
    })
}

/// Seconds of one turn of each contestant: by hand, by hand and read back, erased, erased and verified.
type Turn = [f64; 4];

async fn contest(
    database: &Database,
    turns: usize,
    connections: usize,
    tell: &mut dyn FnMut(&str),
) -> Result<Contest, BenchError> {
    let rows = (turns + 1) * TURN * 4;
    tell(&format!("filling a table of {rows} rows"));
    database.fill(rows as u64).await?;
    let mut hands = Vec::new();
    for _ in 0..connections {
        let (client, driver) = tokio_postgres::connect(&database.url, NoTls).await?;
        tokio::spawn(driver);
        hands.push(Hand::of(client, &database.table).await?);
    }
    let clock = Arc::new(SystemClock::new()) as Arc<dyn Clock>;
    let connector = connect(&manifest(database, connections), &Resolver::default(), &clock).map_err(wrong)?;
    tell(&format!("erasing over {connections} connection(s)"));
    let dataset = Word::from(format!("shop.{}", database.table));
    let worker = Worker { connector: &*connector, queue: &Queue::new(BATCH, connector.describe().gated) };
    let mut times: Vec<Turn> = Vec::new();
    // One turn before the others, which does not count: by hand is connected and prepared already, the connector
    // reads the catalogue and learns how large a call may be.
    for turn in 0..=turns {
        let mut took: Turn = [0.0; 4];
        for step in 0..4 {
            // Who goes first changes.
            let who = (step + turn) % 4;
            let first = (turn * 4 + step) * TURN;
            let ids: Vec<i64> = (first..first + TURN).filter_map(|id| i64::try_from(id).ok()).collect();
            let targets: Vec<Target> = ids.iter().map(|id| target(&dataset, *id)).collect();
            let begun = Instant::now();
            match who {
                0 => delete_by_hand(&hands, &ids).await?,
                1 => {
                    delete_by_hand(&hands, &ids).await?;
                    look_by_hand(&hands, &ids).await?;
                }
                2 => worker.erase(&targets, connections).await?,
                _ => {
                    worker.erase(&targets, connections).await?;
                    verify(&*connector, &targets, connections).await?;
                }
            }
            if let Some(place) = took.get_mut(who) {
                *place = begun.elapsed().as_secs_f64();
            }
        }
        if turn > 0 {
            times.push(took);
        }
    }
    let sum = |of: fn(&Turn) -> f64| times.iter().map(of).sum::<f64>();
    let rate = |seconds: f64| (turns * TURN) as f64 / seconds;
    Ok(Contest {
        by_hand_per_second: rate(sum(|[hand, ..]| *hand)),
        by_hand_and_verify_per_second: rate(sum(|[_, hand, ..]| *hand)),
        erase_per_second: rate(sum(|[.., erase, _]| *erase)),
        erase_and_verify_per_second: rate(sum(|[.., both]| *both)),
        ratio: median(times.iter().map(|[hand, _, erase, _]| hand / erase).collect()),
        ratio_with_verify: median(times.iter().map(|[_, hand, _, both]| hand / both).collect()),
    })
}

/// One connection of the peer's.
struct Hand {
    client: Client,
    delete: Statement,
    by_key: Statement,
    by_customer: Statement,
}

impl Hand {
    async fn of(client: Client, table: &str) -> Result<Self, BenchError> {
        let delete = client.prepare(&format!("DELETE FROM {table} WHERE id = ANY($1)")).await?;
        let by_key = client.prepare(&format!("SELECT count(*) FROM {table} WHERE id = ANY($1)")).await?;
        let sql = format!("SELECT customer, count(*) FROM {table} WHERE customer = ANY($1) GROUP BY 1");
        let by_customer = client.prepare(&sql).await?;
        Ok(Self { client, delete, by_key, by_customer })
    }

    /// Rows deleted.
    async fn delete(&self, ids: &[i64]) -> Result<u64, tokio_postgres::Error> {
        self.client.execute(&self.delete, &[&ids]).await
    }

    /// Rows still there. What else the customers have is asked too, as a read-back must.
    async fn left(&self, ids: &[i64]) -> Result<u64, tokio_postgres::Error> {
        let mut customers: Vec<i64> = ids.iter().map(|id| id / 4).collect();
        customers.dedup();
        let left: i64 = self.client.query_one(&self.by_key, &[&ids]).await?.try_get(0)?;
        let rows = self.client.query(&self.by_customer, &[&customers]).await?;
        let more = rows.iter().map(|row| row.try_get::<_, i64>(1)).sum::<Result<i64, _>>()?;
        Ok(left.max(more).unsigned_abs())
    }
}

async fn delete_by_hand(hands: &[Hand], ids: &[i64]) -> Result<(), BenchError> {
    match by_hand(hands, ids, Hand::delete).await? {
        deleted if deleted == ids.len() as u64 => Ok(()),
        deleted => Err(BenchError::Wrong(format!("{deleted} rows deleted by hand, not {}", ids.len()))),
    }
}

async fn look_by_hand(hands: &[Hand], ids: &[i64]) -> Result<(), BenchError> {
    match by_hand(hands, ids, Hand::left).await? {
        0 => Ok(()),
        left => Err(BenchError::Wrong(format!("{left} rows deleted by hand are still there"))),
    }
}

/// Each connection takes its share, batch after batch; answers the sum of all rows.
async fn by_hand(
    hands: &[Hand],
    ids: &[i64],
    act: impl AsyncFn(&Hand, &[i64]) -> Result<u64, tokio_postgres::Error>,
) -> Result<u64, BenchError> {
    let (share, act) = (ids.len().div_ceil(hands.len()), &act);
    let lanes = hands.iter().zip(ids.chunks(share)).map(async |(hand, ids)| {
        let mut rows = 0;
        for batch in ids.chunks(BATCH) {
            rows += act(hand, batch).await?;
        }
        Ok::<u64, tokio_postgres::Error>(rows)
    });
    Ok(futures_util::future::try_join_all(lanes).await?.iter().sum())
}

/// What dispatch does of one system, without its ledger. Targets are made and freed by the node: that is part of the
/// whole way's time, as the ids by hand are no part of theirs.
struct Worker<'a> {
    connector: &'a dyn Connector,
    /// Places in the turn's targets.
    queue: &'a Queue<usize>,
}

impl Worker<'_> {
    /// So many workers take calls until nothing waits.
    async fn erase(&self, targets: &[Target], workers: usize) -> Result<(), BenchError> {
        self.queue.push((0..targets.len()).collect());
        let workers = (0..workers).map(|_| async {
            loop {
                let batches = self.queue.next_call();
                let (Some(first), Some(last)) =
                    (batches.iter().flatten().min(), batches.iter().flatten().max())
                else {
                    return Ok::<_, BenchError>(());
                };
                // Batches come in order: those of a call lie side by side.
                let targets = targets.get(*first..=*last).unwrap_or_default();
                let begun = Instant::now();
                self.call(targets).await?;
                self.queue.learn(targets.len(), begun.elapsed(), true);
            }
        });
        futures_util::future::try_join_all(workers).await?;
        Ok(())
    }

    async fn call(&self, targets: &[Target]) -> Result<(), BenchError> {
        let commands = targets.iter().map(|t| (ObligationId(t.command.0), t.attempt));
        let permit = permit_for(&Control::default(), "shop-db", commands, LEASE);
        let answers = self.connector.erase(targets, &permit, Arc::new(Open)).await;
        match answers.iter().find(|a| a.outcome != Outcome::Removed(1)) {
            Some(other) => Err(BenchError::Wrong(format!("{:?}", other.outcome))),
            None => Ok(()),
        }
    }
}

/// So many workers, a batch a call, as dispatch reads back.
async fn verify(connector: &dyn Connector, targets: &[Target], workers: usize) -> Result<(), BenchError> {
    let batches = std::sync::Mutex::new(targets.chunks(BATCH));
    let next = || batches.lock().unwrap_or_else(PoisonError::into_inner).next();
    let workers = (0..workers).map(|_| async {
        while let Some(targets) = next() {
            let seen = connector.verify(targets).await;
            if let Some(other) = seen.iter().find(|s| s.finding != Finding::Gone) {
                return Err(BenchError::Wrong(format!("{:?}", other.finding)));
            }
        }
        Ok(())
    });
    futures_util::future::try_join_all(workers).await?;
    Ok(())
}

/// Nothing is held here.
#[derive(Debug)]
struct Open;

#[async_trait]
impl Gate for Open {
    async fn may_commit(&self, commands: &[CommandId]) -> Vec<Verdict> {
        vec![Verdict::Go; commands.len()]
    }
}

fn manifest(database: &Database, connections: usize) -> Manifest {
    let subject = Some(SubjectColumn { column: "customer".into(), kind: "customer_id".into() });
    let rows =
        Collection { name: database.table.clone(), key: vec!["id".into()], subject, ..Collection::default() };
    let dataset = Dataset { fides_key: "shop".into(), collections: vec![rows], ..Dataset::default() };
    Manifest {
        system: "shop-db".into(),
        kind: "postgres".into(),
        connection: [("url".to_owned(), database.url.clone())].into(),
        limits: Limits { concurrency: u32::try_from(connections).unwrap_or(1), ..Limits::default() },
        datasets: vec![dataset],
        ..Manifest::default()
    }
}

fn target(dataset: &Word, id: i64) -> Target {
    let mut command = [0; 16];
    command.iter_mut().zip(id.to_be_bytes()).for_each(|(to, from)| *to = from);
    Target {
        command: CommandId(command),
        attempt: 1,
        dataset: dataset.clone(),
        locator: [("id".to_owned(), Scalar::Integer(id))].into(),
        identities: vec![Identity { kind: "customer_id".into(), value: Secret::new((id / 4).to_string()) }],
        answered_at: None,
        work: Work::Delete,
    }
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or_default()
}

fn wrong(failure: quietus_contract::Failure) -> BenchError {
    BenchError::Wrong(failure.to_string())
}
