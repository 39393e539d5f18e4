//! A node under load, killed at random moments and started again; the rig keeps its own books.
//!
//! What the rig believes: an event, hold or request is the node's from the moment it was acknowledged. What it
//! checks: nothing acknowledged is lost, no row is deleted before its date (but on a person's request), none goes
//! while a hold that was in effect covers it, none twice. `QUIETUS_KILLS` says how often; `QUIETUS_KILL_SEED`
//! repeats a run's choices.

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use quietus_test_servers::Postgres;
use reqwest::Method;
use serde_json::{Value, json};

use crate::database::Database;
use crate::process::{Caller, Process, now, recorded};

/// As the policy says.
const KEEP_MS: i64 = 4_000;
/// Settling of clocks between the database's and ours: the same machine, cut to milliseconds.
const CLOCK_MS: i64 = 2;

/// xorshift: the same seed makes the same choices.
#[derive(Debug)]
struct Chance(u64);

impl Chance {
    fn below(&mut self, n: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % n
    }
}

/// What the rig knows of one person's row.
#[derive(Debug)]
struct Known {
    recorded_at: i64,
    /// Only a purpose that lasts for years, or consent that a request may end.
    short: bool,
    acknowledged: bool,
    /// Sent, whether or not it was acknowledged.
    requested: bool,
}

#[derive(Debug, Default)]
struct Books {
    rows: BTreeMap<i64, Known>,
    /// Request id → subject.
    requests: BTreeMap<String, i64>,
    /// Hold id → (row, there when it took effect).
    holds: BTreeMap<String, (i64, bool)>,
    next: i64,
    under_hold: BTreeSet<i64>,
    lost: Vec<String>,
}

async fn record(caller: &Caller, database: &Database, books: &mut Books, chance: &mut Chance) -> bool {
    let ids: Vec<i64> = (books.next..books.next + 20).collect();
    books.next += 20;
    database.insert(&ids).await;
    let mut events = Vec::new();
    for id in &ids {
        // Some are due at once, some in a while, some not for years.
        let (short, age) = match chance.below(4) {
            0 => (true, 60_000),
            1 => (true, 3_000),
            2 => (true, 0),
            _ => (false, 60_000),
        };
        let recorded_at = now() - age;
        events.push(recorded(*id, recorded_at, &[if short { "service" } else { "ads" }]));
        books.rows.insert(*id, Known { recorded_at, short, acknowledged: false, requested: false });
    }
    let Ok((status, answer)) = caller.events(&events).await else { return false };
    if status == 202 {
        assert_eq!(answer["accepted"], 20, "{answer}");
        ids.iter().for_each(|id| books.rows.get_mut(id).unwrap().acknowledged = true);
    }
    true
}

async fn hold(caller: &Caller, database: &Database, books: &mut Books, chance: &mut Chance) -> bool {
    let id = books.next - 1 - chance.below(30) as i64;
    if !books.rows.get(&id).is_some_and(|r| r.acknowledged) {
        return true;
    }
    let body = json!({"matter": "rig", "authority": "court", "owner": "legal", "reason": "suit",
        "review": "2099-01-01", "scope": {"subjects": [format!("customer_id:{id}")]}});
    match caller.call(Method::POST, "/v1/holds?wait=5s", &body).await {
        Ok((201, answer)) => {
            let there = database.rows().await.contains(&id);
            books.holds.insert(answer["id"].as_str().unwrap().to_owned(), (id, there));
            true
        }
        Ok((status, answer)) => {
            assert!([202, 429, 503].contains(&status), "{status} {answer}");
            true
        }
        Err(_) => false,
    }
}

async fn release(caller: &Caller, database: &Database, books: &mut Books) -> bool {
    let Some((hold, (id, there))) = books.holds.pop_first() else { return true };
    if there && !database.rows().await.contains(&id) {
        books.under_hold.insert(id);
    }
    match caller.call(Method::POST, &format!("/v1/holds/{hold}/release"), &json!({})).await {
        Ok((404, answer)) => {
            books.lost.push(format!("hold {hold}: {answer}"));
            true
        }
        Ok((status, answer)) => {
            assert!(status < 300 || status == 409 || status == 503, "{status} {answer}");
            true
        }
        // It may be released or not: nothing more is claimed of it.
        Err(_) => false,
    }
}

async fn request(caller: &Caller, books: &mut Books, chance: &mut Chance) -> bool {
    let id = books.next - 1 - chance.below(30) as i64;
    let Some(known) = books.rows.get_mut(&id).filter(|r| r.acknowledged && !r.short) else { return true };
    known.requested = true;
    let body = json!({"type": "erase", "subject": format!("customer_id:{id}")});
    match caller.call(Method::POST, "/v1/requests", &body).await {
        Ok((202, answer)) => {
            books.requests.insert(answer["id"].as_str().unwrap().to_owned(), id);
            true
        }
        Ok((status, answer)) => {
            assert!([429, 503].contains(&status), "{status} {answer}");
            true
        }
        Err(_) => false,
    }
}

/// Load until the node is killed.
async fn load(caller: &Caller, database: &Database, books: &mut Books, chance: &mut Chance) {
    loop {
        let goes_on = match chance.below(8) {
            0..=2 => record(caller, database, books, chance).await,
            3 | 4 => caller.call(Method::POST, "/v1/sweeps", &json!({"plan": false})).await.is_ok(),
            5 => hold(caller, database, books, chance).await,
            6 => release(caller, database, books).await,
            _ => request(caller, books, chance).await,
        };
        if !goes_on {
            return;
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn kill() {
    let env =
        |name: &str, default: u64| std::env::var(name).map_or(default, |n| n.parse().expect("a number"));
    let kills = env("QUIETUS_KILLS", 10);
    let seed = env("QUIETUS_KILL_SEED", now().unsigned_abs()).max(1);
    eprintln!("QUIETUS_KILL_SEED={seed}");
    let mut chance = Chance(seed);
    let server = Postgres::start().unwrap();
    let database = Database::postgres(&server.database().unwrap()).await;
    let folder = tempfile::tempdir().unwrap();
    let mut books = Books { next: 1, ..Books::default() };
    let mut node = Process::at(folder.path());
    for _ in 0..kills {
        assert!(node.start(None));
        let caller = node.caller();
        if caller.set_up(&database.manifest()).await.is_err() {
            panic!("a node that nobody killed does not answer");
        }
        let moment = Duration::from_millis(50 + chance.below(1_500));
        let mut choices = Chance(chance.below(u64::MAX - 1) + 1);
        let killer = async {
            tokio::time::sleep(moment).await;
            node.kill();
        };
        tokio::join!(load(&caller, &database, &mut books, &mut choices), killer);
    }
    settle(&mut node, &database, &mut books).await;
    let told = count(&database, &books).await;
    let line = json!({"kills": kills, "acked_lost": books.lost.len(), "effects_twice": told.twice.len(),
        "early": told.early.len(), "under_hold": books.under_hold.len()});
    println!("{line}");
    eprintln!("{} rows, {} deleted, {} requests", books.rows.len(), told.deleted, books.requests.len());
    assert!(books.lost.is_empty(), "seed {seed}: lost {:?}", books.lost);
    assert!(told.twice.is_empty(), "seed {seed}: twice {:?}", told.twice);
    assert!(told.early.is_empty(), "seed {seed}: early {:?}", told.early);
    assert!(books.under_hold.is_empty(), "seed {seed}: under hold {:?}", books.under_hold);
    assert!(told.deleted > 0, "nothing was deleted, so nothing was shown");
}

/// Everything that is known comes to its end: holds released, what is due swept, and what was acknowledged is there.
async fn settle(node: &mut Process, database: &Database, books: &mut Books) {
    assert!(node.start(None));
    let caller = node.caller();
    for (hold, (id, there)) in std::mem::take(&mut books.holds) {
        if there && !database.rows().await.contains(&id) {
            books.under_hold.insert(id);
        }
        let (status, answer) =
            caller.call(Method::GET, &format!("/v1/holds/{hold}"), &Value::Null).await.unwrap();
        if status != 200 || answer["state"] == "placing" {
            books.lost.push(format!("hold {hold}: {answer}"));
        }
    }
    // Also those whose acknowledgement never came.
    let (_, holds) = caller.call(Method::GET, "/v1/holds?limit=1000", &Value::Null).await.unwrap();
    for hold in holds["items"].as_array().unwrap().iter().filter(|h| h["state"] != "released") {
        let path = format!("/v1/holds/{}/release", hold["id"].as_str().unwrap());
        let (status, answer) = caller.call(Method::POST, &path, &json!({})).await.unwrap();
        assert!(status < 300, "{answer}");
    }
    tokio::time::sleep(Duration::from_millis(KEEP_MS.unsigned_abs() + 500)).await;
    let begun = Instant::now();
    let mut open = owed(&caller, books).await;
    while !open.is_empty() && begun.elapsed() < Duration::from_secs(180) {
        let _ = caller.sweep(Duration::from_secs(60)).await.unwrap();
        open = owed(&caller, books).await;
    }
    let rows: BTreeSet<i64> = database.rows().await.into_iter().collect();
    for (id, known) in books.rows.iter().filter(|(_, k)| k.acknowledged) {
        let outcome = caller.outcome(*id).await.unwrap();
        let right = match outcome.as_str() {
            "verified" => !rows.contains(id),
            "live" => rows.contains(id) && !known.short,
            _ => false,
        };
        if !right {
            books.lost.push(format!("row {id} ({known:?}) is `{outcome}`, there: {}", rows.contains(id)));
        }
    }
    for (request, id) in &books.requests {
        let path = format!("/v1/requests/{request}");
        let (status, answer) = caller.call(Method::GET, &path, &Value::Null).await.unwrap();
        if status != 200 || rows.contains(id) {
            books.lost.push(format!("request {request}: {answer}"));
        }
    }
}

/// Acknowledged, over, and not yet verified.
async fn owed(caller: &Caller, books: &Books) -> Vec<i64> {
    let requested: BTreeSet<i64> = books.requests.values().copied().collect();
    let over = books.rows.iter().filter(|(id, k)| k.acknowledged && (k.short || requested.contains(id)));
    let mut open = Vec::new();
    for (id, _) in over {
        if caller.outcome(*id).await.unwrap() != "verified" {
            open.push(*id);
        }
    }
    open
}

#[derive(Debug)]
struct Told {
    deleted: usize,
    twice: Vec<i64>,
    early: Vec<i64>,
}

/// The database's own log against the books.
async fn count(database: &Database, books: &Books) -> Told {
    let gone = database.gone().await;
    let mut times: BTreeMap<i64, usize> = BTreeMap::new();
    gone.iter().for_each(|(id, _)| *times.entry(*id).or_default() += 1);
    let is_early = |(id, at): &(i64, i64)| {
        let known = &books.rows[id];
        let due = if known.short { known.recorded_at + KEEP_MS } else { i64::MAX };
        !known.requested && at + CLOCK_MS < due
    };
    Told {
        deleted: times.len(),
        twice: times.into_iter().filter(|(_, n)| *n > 1).map(|(id, _)| id).collect(),
        early: gone.iter().filter(|g| is_early(g)).map(|(id, _)| *id).collect(),
    }
}
