//! `quietus bench hold`: how soon a hold is effective at a node under load, and whether anything that it covers is
//! committed afterwards.
//!
//! The load: events come in as fast as one producer sends them, and a sweep erases rows in PostgreSQL. The clock of a
//! hold starts before its call and stops at the `effective_at` that the node answers. What was committed when is the
//! database's own word: it keeps the time of every commit, and a trigger keeps which transaction took which row. That
//! time is noted just before a commit becomes visible, so covered rows are looked at as well when the answer is in
//! hand: one that is there then and gone at the end was committed too late, whatever its time.

use std::collections::BTreeSet;
use std::fmt::Write;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use quietus_core::time::Millis;
use reqwest::Method;
use serde::Serialize;
use serde_json::{Value, json};
use tokio_postgres::{Client, NoTls};

use super::database::Database;
use super::load::{BATCH, Load};
use super::served::Served;
use super::usage::{bytes_below, peak_rss_mib, percentile, sorted};
use super::{BenchError, Disk};
use crate::clock::{Clock, SystemClock};

const PROMISED_MS: f64 = 100.0;
const HOLDS: u64 = 100;
/// Every so many holds one is placed by when something was recorded, which may concern every item.
const PREDICATE_EVERY: u64 = 25;
/// Rows of one person.
const OF_PERSON: u64 = 4;
/// Rows that run out, where there are so many items.
const DUE: u64 = 50_000;
/// The erasing goes on for so long after the last hold, at the most.
const WATCHED: Duration = Duration::from_secs(30);
const LOOK_EVERY: Duration = Duration::from_millis(250);

/// One JSON object on stdout.
#[derive(Clone, Debug, Serialize)]
pub struct Held {
    pub bench: &'static str,
    pub items: u64,
    pub spread: bool,
    /// Of placing all holds, one after the other.
    pub seconds: f64,
    /// Holds.
    pub per_second: f64,
    pub peak_rss_mib: f64,
    pub disk_bytes_per_item: Disk,
    pub holds: u64,
    /// From the call to `effective_at`.
    pub p50_ms: f64,
    pub p99_ms: f64,
    pub worst_ms: f64,
    /// Of those that name no person.
    pub predicate_worst_ms: f64,
    /// From the call to the answer, which waits until what is covered was counted, or for a second.
    pub answered_p50_ms: f64,
    pub answered_p99_ms: f64,
    /// Answered before all partitions had counted.
    pub answered_uncounted: u64,
    /// While holds were placed.
    pub erased_meanwhile: u64,
    pub ingested_meanwhile: u64,
    /// Rows that holds kept.
    pub rows_held: u64,
    pub committed_after_effective: u64,
    pub limit_p99_ms: f64,
    pub ok: bool,
}

pub async fn run(items: u64, spread: bool, tell: &mut dyn FnMut(&str)) -> Result<Held, BenchError> {
    let load = Load::new(items, spread, SystemClock::new().now());
    let due = (load.items / 10).max(DUE).min(load.items);
    let database = Database::start_noting_commits(tell)?;
    tell(&format!("filling a table of {due} rows"));
    database.fill(due).await?;
    let watch = Watch::of(&database).await?;
    let served = Arc::new(Served::start(0).await?);
    served.publish("shop", super::whole::POLICY).await?;
    served.call(Method::PUT, "/v1/systems/shop-db", &super::whole::manifest(&database)).await?;
    tell(&format!("taking in {} items", load.items));
    for batch in 0..load.batches() {
        send(&served, &events(&load, batch, due, &database.table)).await?;
    }
    tell("a sweep, more events, and holds");
    let (stop, ingested) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicU64::new(0)));
    let producer = {
        let (served, stop, ingested) = (Arc::clone(&served), Arc::clone(&stop), Arc::clone(&ingested));
        let table = database.table.clone();
        tokio::spawn(async move {
            let mut batch = load.batches();
            while !stop.load(Ordering::Relaxed) {
                send(&served, &events(&load, batch, due, &table)).await?;
                ingested.fetch_add(BATCH, Ordering::Relaxed);
                batch += 1;
            }
            Ok::<(), BenchError>(())
        })
    };
    let sweep = {
        let served = Arc::clone(&served);
        tokio::spawn(async move { served.call(Method::POST, "/v1/sweeps", &json!({"plan": false})).await })
    };
    let before = watch.left().await?;
    let begun = Instant::now();
    let mut placed = Vec::new();
    for n in 0..HOLDS {
        placed.push(place(&served, &watch, n, due, &load).await?);
    }
    let seconds = begun.elapsed().as_secs_f64();
    let erased_meanwhile = before - watch.left().await?;
    let ingested_meanwhile = ingested.load(Ordering::Relaxed);
    sweep.await.map_err(|e| BenchError::Wrong(e.to_string()))??;
    tell("until the sweep has come to rest");
    let begun = Instant::now();
    let mut left = watch.left().await?;
    loop {
        tokio::time::sleep(LOOK_EVERY * 8).await;
        let now = watch.left().await?;
        if begun.elapsed() > WATCHED || std::mem::replace(&mut left, now) == now {
            break;
        }
    }
    stop.store(true, Ordering::Relaxed);
    producer.await.map_err(|e| BenchError::Wrong(e.to_string()))??;
    let (mut late, mut kept) = (0, BTreeSet::new());
    for hold in &placed {
        let there = watch.rows(hold.persons).await?;
        let gone = hold.there.iter().filter(|id| !there.contains(id)).count() as u64;
        late += gone.max(watch.committed_after(hold).await?);
        kept.extend(there);
    }
    let bytes = bytes_below(served.dir())?;
    let all = load.items + ingested.load(Ordering::Relaxed);
    if let Ok(served) = Arc::try_unwrap(served).map_err(|_| ()) {
        served.stop().await?;
    }
    let of = |what: fn(&Placed) -> f64| sorted(placed.iter().map(what));
    let (took, answered) = (of(|hold| hold.took_ms), of(|hold| hold.answered_ms));
    let predicates = sorted(placed.iter().filter(|hold| hold.by_predicate).map(|hold| hold.took_ms));
    let p99_ms = percentile(&took, 99);
    let rows_held = kept.len() as u64;
    Ok(Held {
        bench: "hold",
        items: load.items,
        spread,
        seconds,
        per_second: HOLDS as f64 / seconds,
        peak_rss_mib: peak_rss_mib(),
        disk_bytes_per_item: Disk { live: None, directory: bytes as f64 / all as f64 },
        holds: HOLDS,
        p50_ms: percentile(&took, 50),
        p99_ms,
        worst_ms: percentile(&took, 100),
        predicate_worst_ms: percentile(&predicates, 100),
        answered_p50_ms: percentile(&answered, 50),
        answered_p99_ms: percentile(&answered, 99),
        answered_uncounted: placed.iter().filter(|hold| !hold.counted).count() as u64,
        erased_meanwhile,
        ingested_meanwhile,
        rows_held,
        committed_after_effective: late,
        limit_p99_ms: PROMISED_MS,
        // Without anything under way it shows nothing.
        ok: p99_ms < PROMISED_MS && late == 0 && rows_held > 0 && erased_meanwhile > 0,
    })
}

struct Placed {
    /// The first of the persons that it covers, and how many.
    persons: (u64, u64),
    by_predicate: bool,
    took_ms: f64,
    answered_ms: f64,
    counted: bool,
    effective: Millis,
    /// Covered rows that were there when the answer was.
    there: BTreeSet<i64>,
}

async fn place(served: &Served, watch: &Watch, n: u64, due: u64, load: &Load) -> Result<Placed, BenchError> {
    let by_predicate = n % PREDICATE_EVERY == PREDICATE_EVERY / 2;
    // All over the table, no person twice.
    let first = (due / OF_PERSON) * n / HOLDS;
    let (scope, persons) = if by_predicate {
        let range =
            [recorded(load, first * OF_PERSON), recorded(load, first * OF_PERSON + 2 * OF_PERSON - 1)];
        let [from, to] = range.map(|at| at.to_string());
        (json!({"recorded_from": from, "recorded_to": to, "systems": ["shop-db"]}), (first, 2))
    } else {
        (json!({"subjects": [format!("customer_id:{first}")]}), (first, 1))
    };
    let body = json!({
        "matter": format!("matter {n}"), "authority": "court", "owner": "legal", "reason": "bench",
        "review": "2099-01-01", "scope": scope,
    });
    let (begun, called) = (Instant::now(), SystemClock::new().now());
    let mut hold = served.call(Method::POST, "/v1/holds?wait=1s", &body).await?;
    let answered_ms = begun.elapsed().as_secs_f64() * 1_000.0;
    let waiting = hold.get("waiting_for").and_then(Value::as_array).is_some_and(|list| !list.is_empty());
    let id = hold.get("id").and_then(Value::as_str).unwrap_or_default().to_owned();
    let effective = loop {
        if let Some(at) = hold.get("effective_at").and_then(Value::as_str).and_then(Millis::parse) {
            break at;
        }
        if begun.elapsed() > Duration::from_secs(60) {
            return Err(BenchError::Wrong(format!("not effective within a minute: {hold}")));
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
        hold = served.call(Method::GET, &format!("/v1/holds/{id}"), &Value::Null).await?;
    };
    let there = watch.rows(persons).await?;
    let took_ms = (effective.0 - called.0) as f64;
    Ok(Placed { persons, by_predicate, took_ms, answered_ms, counted: !waiting, effective, there })
}

/// Rows that run out were recorded a millisecond after one another, so that a range of time names some of them.
fn recorded(load: &Load, n: u64) -> Millis {
    load.now.plus(-60 * Millis::DAY + i64::try_from(n).unwrap_or_default())
}

/// The first `due` items are rows of the table and have run out; the others are kept for years.
fn events(load: &Load, batch: u64, due: u64, table: &str) -> String {
    super::load::events(load.batch(batch), |out, item| {
        let n = item.n;
        let (start, purpose, place) = if n < due {
            (recorded(load, n), "service", format!(r#""shop-db","dataset":"shop.{table}""#))
        } else {
            (item.start, "archive", format!(r#""archive-db","dataset":"shop.t{}""#, item.class))
        };
        write!(
            out,
            r#""type":"quietus.item.recorded.v1","id":"{n}","data":{{"subject":"customer_id:{subject}","category":"user.contact.email","purposes":["{purpose}"],"recorded_at":"{start}","copies":[{{"system":{place},"locator":{{"id":{n}}}}}]}}"#,
            subject = n / OF_PERSON,
        )
    })
}

async fn send(served: &Served, body: &str) -> Result<(), BenchError> {
    loop {
        let call = served.client.post(format!("{}/v1/events", served.url));
        let call = call.header("content-type", "application/cloudevents-batch+json").body(body.to_owned());
        let answer = call.send().await?;
        if answer.status() != reqwest::StatusCode::TOO_MANY_REQUESTS {
            answer.error_for_status()?;
            return Ok(());
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

/// A session that looks at the rows and at the database's word on its commits.
struct Watch {
    client: Client,
    table: String,
}

impl Watch {
    async fn of(database: &Database) -> Result<Self, BenchError> {
        let (client, driver) = tokio_postgres::connect(&database.url, NoTls).await?;
        tokio::spawn(driver);
        let table = database.table.clone();
        client
            .batch_execute(&format!(
                "DROP TABLE IF EXISTS {table}_gone;
                 CREATE TABLE {table}_gone (id bigint, customer bigint);
                 CREATE OR REPLACE FUNCTION {table}_note() RETURNS trigger LANGUAGE plpgsql AS $$
                 BEGIN INSERT INTO {table}_gone SELECT id, customer FROM gone; RETURN NULL; END $$;
                 CREATE TRIGGER {table}_noted AFTER DELETE ON {table} REFERENCING OLD TABLE AS gone
                 FOR EACH STATEMENT EXECUTE FUNCTION {table}_note()"
            ))
            .await?;
        Ok(Self { client, table })
    }

    async fn left(&self) -> Result<u64, BenchError> {
        let row = self.client.query_one(&format!("SELECT count(*) FROM {}", self.table), &[]).await?;
        Ok(row.try_get::<_, i64>(0)?.unsigned_abs())
    }

    async fn rows(&self, persons: (u64, u64)) -> Result<BTreeSet<i64>, BenchError> {
        let sql = format!("SELECT id FROM {} WHERE customer >= $1 AND customer < $2", self.table);
        let rows = self.client.query(&sql, &range(persons)?.each_ref().map(|n| n as _)).await?;
        Ok(rows.iter().map(|row| row.try_get(0)).collect::<Result<_, _>>()?)
    }

    /// `effective_at` has whole milliseconds: a commit in the same one may have come before it.
    async fn committed_after(&self, hold: &Placed) -> Result<u64, BenchError> {
        let [first, last] = range(hold.persons)?;
        let at = hold.effective.plus(1).to_string();
        let sql = format!(
            "SELECT count(*) FROM {}_gone WHERE customer >= $1 AND customer < $2
             AND pg_xact_commit_timestamp(xmin) >= ($3::text)::timestamptz",
            self.table
        );
        let row = self.client.query_one(&sql, &[&first, &last, &at]).await?;
        Ok(row.try_get::<_, i64>(0)?.unsigned_abs())
    }
}

fn range((first, count): (u64, u64)) -> Result<[i64; 2], BenchError> {
    let wide = |_| BenchError::Wrong("too many persons".to_owned());
    Ok([i64::try_from(first).map_err(wide)?, i64::try_from(first + count).map_err(wide)?])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_items_run_out_and_the_others_are_kept() {
        let load = Load::new(2_000, true, Millis(1_700_000_000_000));
        let all = [0, 1].map(|batch| events(&load, batch, 1_500, "users")).map(|text| {
            let events: Vec<Value> = serde_json::from_str(&text).unwrap();
            events.iter().filter(|e| e["data"]["purposes"][0] == "service").count()
        });
        assert_eq!(all, [1_000, 500]);
    }
}
