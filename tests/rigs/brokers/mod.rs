//! A node that reads a topic, killed at random while it does; its brokers killed one by one and all at once, and
//! started again.
//!
//! What the rig believes: a record is the node's from the moment the brokers acknowledged it, and so is whatever it
//! finds in the topic by a consumer of its own. What it checks, against the ledger's own frames and the log that the
//! database keeps of every row deleted:
//!
//! - every such record is known to the node and comes to its end;
//! - none was taken in twice, and no row was touched twice;
//! - no row was touched before its date.
//!
//! `QUIETUS_KILLS` says how often; `QUIETUS_KILL_SEED` repeats a run's choices.

mod topic;

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use quietus::core::identity::ItemId;
use quietus::core::record::Record;
use quietus::ledger::Stream;
use quietus::ledger::codec::decode_frame;
use quietus::ledger::embedded::{Ledger, Options};
use quietus_test_servers::{Cluster, Postgres};
use reqwest::Method;
use serde_json::{Value, json};

use self::topic::Topic;
use crate::chance::{Chance, number, seed};
use crate::database::Database;
use crate::process::{Caller, Process, now};

const NODES: usize = 3;
/// As the policy says.
const KEEP_MS: i64 = 4_000;
/// Times are cut to milliseconds.
const CUT_MS: i64 = 2;
/// Records a round.
const RECORDS: i64 = 300;
/// Without progress for so long, nothing comes any more.
const PATIENCE: Duration = Duration::from_secs(180);

/// Purpose and time of each record that was sent.
type Sent = BTreeMap<i64, (&'static str, i64)>;

#[tokio::test(flavor = "multi_thread")]
async fn brokers_away() {
    let kills = number("QUIETUS_KILLS", 10);
    let seed = seed("QUIETUS_KILL_SEED");
    let mut chance = Chance(seed);
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let cluster = Cluster::start(root, NODES).unwrap_or_else(|why| panic!("{why}"));
    let brokers = cluster.brokers();
    let cluster = Arc::new(Mutex::new(cluster));
    let topic = Topic::create(&brokers, NODES).await;
    let server = Postgres::start().unwrap();
    let database = Database::postgres(&server.database().unwrap()).await;
    let folder = tempfile::tempdir().unwrap();
    let mut node = Process::at(folder.path()).set("QUIETUS_KAFKA__BROKERS", &brokers);
    assert!(node.start(None));
    set_up(&node.caller(), &database).await;

    let mut sent = Sent::new();
    let (mut one_broker, mut all_brokers) = (0, 0);
    for _ in 0..kills {
        send(&topic, &database, &mut sent, &mut chance).await;
        // Brokers that are away come back while the node reads.
        let again = start_again(&cluster);
        assert!(node.start(None));
        let caller = node.caller();
        let wanted = chance.below(RECORDS.unsigned_abs());
        let until = Instant::now() + Duration::from_millis(100 + chance.below(3_000));
        let mut sweeps = chance.below(2);
        while Instant::now() < until && taken(&caller).await.is_some_and(|n| n <= wanted) {
            if sweeps > 0 {
                sweeps -= 1;
                let _ = caller.call(Method::POST, "/v1/sweeps", &json!({"plan": false})).await;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        again.await.unwrap();
        match chance.below(5) {
            0 | 1 => {
                one_broker += 1;
                kill(&cluster, &[usize::try_from(chance.below(NODES as u64)).unwrap()]);
            }
            2 => {
                all_brokers += 1;
                kill(&cluster, &[0, 1, 2]);
            }
            _ => {}
        }
        // With its brokers gone it is killed, or goes on for a moment first.
        tokio::time::sleep(Duration::from_millis(chance.below(300))).await;
        node.kill();
    }

    start_again(&cluster).await.unwrap();
    topic.flush();
    assert!(node.start(None));
    settle(&node.caller(), &database, &sent).await;
    let mut known: BTreeSet<i64> = topic.read().into_iter().collect();
    known.extend(topic.acknowledged());
    let lost = lost(&node.caller(), &database, &sent, &known).await;
    node.kill();
    let (facts, distinct) = in_the_ledger(&folder.path().join("data/ledger"));
    let effects = database.effects().await;
    let touched: BTreeSet<i64> = effects.iter().map(|e| e.id).collect();
    let twice = (facts - distinct) + (effects.len() - touched.len());
    let is_early = |id: &i64, at: i64| match sent[id] {
        ("service", recorded_at) => at + CUT_MS < recorded_at + KEEP_MS,
        _ => true,
    };
    let early: Vec<_> = effects.iter().filter(|e| is_early(&e.id, e.at)).collect();
    let line = json!({"kills": kills, "acked_lost": lost.len(), "twice": twice, "early": early.len(),
        "records": known.len(), "erased": touched.len(), "one_broker": one_broker, "all_brokers": all_brokers});
    println!("{line}");
    assert!(lost.is_empty(), "seed {seed}: lost {lost:?}");
    assert!(twice == 0, "seed {seed}: {facts} facts of {distinct} items; rows touched: {effects:?}");
    assert!(early.is_empty(), "seed {seed}: early {early:?}");
    assert_eq!(known.len(), sent.len(), "the topic holds what was sent to it");
    assert!(!touched.is_empty() && distinct == sent.len(), "nothing was done, so nothing was shown");
    assert!(kills < 10 || (one_broker > 0 && all_brokers > 0), "no broker was ever away");
}

async fn set_up(caller: &Caller, database: &Database) {
    assert!(caller.set_up(&database.manifest()).await.is_ok(), "a node that nobody killed does not answer");
    let put = reqwest::Client::new().put(format!("{}/v1/sources/{}", caller.url, topic::NAME));
    let put = put.header("content-type", "application/yaml").body(topic::source());
    let answer = put.send().await.unwrap();
    assert!(answer.status().is_success(), "{}", answer.text().await.unwrap());
}

/// Rows and their records; some are due at once, some in a while, some not for years.
async fn send(topic: &Topic, database: &Database, sent: &mut Sent, chance: &mut Chance) {
    let first = 1 + i64::try_from(sent.len()).unwrap();
    let ids: Vec<i64> = (first..first + RECORDS).collect();
    database.insert(&ids).await;
    for id in ids {
        let (purpose, age) = match chance.below(4) {
            0 => ("service", 60_000),
            1 => ("service", 3_000),
            2 => ("service", 0),
            _ => ("ads", 60_000),
        };
        let recorded_at = topic::ago(age);
        topic.send(id, purpose, recorded_at);
        sent.insert(id, (purpose, recorded_at));
    }
}

fn start_again(cluster: &Arc<Mutex<Cluster>>) -> tokio::task::JoinHandle<()> {
    let cluster = Arc::clone(cluster);
    tokio::task::spawn_blocking(move || {
        let mut cluster = cluster.lock().unwrap_or_else(PoisonError::into_inner);
        cluster.start_again().unwrap_or_else(|why| panic!("{why}"));
    })
}

fn kill(cluster: &Arc<Mutex<Cluster>>, which: &[usize]) {
    let mut cluster = cluster.lock().unwrap_or_else(PoisonError::into_inner);
    which.iter().for_each(|at| cluster.kill9(*at).unwrap());
}

/// Records that this life of the node took in; None = no answer.
async fn taken(caller: &Caller) -> Option<u64> {
    let text = reqwest::get(format!("{}/metrics", caller.url)).await.ok()?.text().await.ok()?;
    let mine = format!("source=\"{}\"", topic::NAME);
    let lines = text.lines().filter(|l| l.starts_with("quietus_events_total{") && l.contains(&mine));
    Some(lines.filter_map(|l| l.rsplit(' ').next()?.parse::<u64>().ok()).sum())
}

/// Everything is read and what is due is gone. What it waits for moves, or it is said that it does not.
async fn settle(caller: &Caller, database: &Database, sent: &Sent) {
    let path = format!("/v1/sources/{}", topic::NAME);
    let (mut last, mut moved) = (Value::Null, Instant::now());
    loop {
        let (_, source) = caller.call(Method::GET, &path, &Value::Null).await.unwrap();
        if source["state"] == "running" && source["lag"] == 0 {
            break;
        }
        if source != last {
            (last, moved) = (source, Instant::now());
        }
        assert!(moved.elapsed() < PATIENCE, "the topic is not read: {last}");
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    let stays = sent.values().filter(|(purpose, _)| *purpose == "ads").count();
    let newest = sent.values().map(|(_, at)| *at).max().unwrap_or_default();
    let wait = (newest + KEEP_MS + 500 - now()).max(0);
    tokio::time::sleep(Duration::from_millis(wait.unsigned_abs())).await;
    let (mut last, mut moved) = (0, Instant::now());
    loop {
        let sweep = caller.sweep().await.unwrap();
        let left = database.rows().await.len();
        if left <= stays {
            return;
        }
        if left != last {
            (last, moved) = (left, Instant::now());
        }
        assert!(moved.elapsed() < PATIENCE, "{left} rows are left, {stays} are to stay: {sweep}");
    }
}

/// Records that the node does not know, or that have not come to their end.
async fn lost(caller: &Caller, database: &Database, sent: &Sent, known: &BTreeSet<i64>) -> Vec<String> {
    let rows: BTreeSet<i64> = database.rows().await.into_iter().collect();
    let mut lost = Vec::new();
    for id in known {
        let (purpose, _) = sent[id];
        let begun = Instant::now();
        loop {
            let outcome = caller.outcome(*id).await.unwrap();
            let right = match purpose {
                "ads" => outcome == "live" && rows.contains(id),
                _ => outcome == "verified" && !rows.contains(id),
            };
            if right {
                break;
            }
            // The read-back comes after the row's end.
            if outcome != "executed" || begun.elapsed() > PATIENCE {
                lost.push(format!("{id} ({purpose}) is `{outcome}`, there: {}", rows.contains(id)));
                break;
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    }
    lost
}

/// Facts of the topic, and the items they are about, read without the node.
fn in_the_ledger(dir: &Path) -> (usize, usize) {
    let (ledger, _) = Ledger::create_or_open(dir, Options::default()).unwrap();
    let (mut facts, mut items) = (0, BTreeSet::new());
    for frame in ledger.scan(&[]).unwrap() {
        let frame = frame.unwrap();
        if frame.stream == Stream::Control {
            continue;
        }
        for record in decode_frame(&frame.body).unwrap().records {
            if let Record::Facts(of_source) = record
                && of_source.source == topic::NAME
            {
                facts += of_source.len();
                let rows = of_source.rows().unwrap();
                items.extend(rows.iter().map(|f| ItemId { subject: f.subject, item: f.item }));
            }
        }
    }
    (facts, items.len())
}
