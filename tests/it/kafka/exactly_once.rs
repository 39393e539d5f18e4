//! Every record once: through kills, rebalances and repeats, counted against the topic and the ledger.

use std::collections::BTreeSet;
use std::fs;
use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};

use super::*;

pub(super) struct Served {
    pub child: Child,
    pub url: String,
}

impl Drop for Served {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn serve(folder: &Path) -> Served {
    serve_with(folder, &[])
}

/// With these in its environment.
pub(super) fn serve_with(folder: &Path, variables: &[(&str, &str)]) -> Served {
    let mut child = Command::new(env!("CARGO_BIN_EXE_quietus"))
        .args(["serve", "--config", "quietus.yaml"])
        .envs(variables.iter().copied())
        .current_dir(folder)
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(child.stderr.take().unwrap()).lines().map(Result::unwrap);
    let url =
        lines.find_map(|line| line.strip_prefix("listening on ").map(str::to_owned)).expect("it listens");
    std::thread::spawn(move || lines.for_each(drop));
    Served { child, url }
}

async fn lag(url: &str, source: &str) -> Option<u64> {
    let answer = reqwest::get(format!("{url}/v1/sources/{source}")).await.ok()?;
    answer.json::<Value>().await.ok()?["lag"].as_u64()
}

async fn items(url: &str) -> u64 {
    let text = reqwest::get(format!("{url}/metrics")).await.unwrap().text().await.unwrap();
    let line = text.lines().find(|l| l.starts_with("quietus_items ")).unwrap();
    line.rsplit(' ').next().unwrap().parse().unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_that_is_killed_takes_every_record_once() {
    const RECORDS: usize = 20_000;
    let kafka = broker();
    let topics = Topics::at(&kafka.brokers());
    let topic = own("killed");
    topics.create(&topic, 3).await;
    let folder = tempfile::tempdir().unwrap();
    let config = format!(
        "dir: data\nhttp: {{listen: \"127.0.0.1:0\", settle: 0s}}\nkafka: {{brokers: [\"{}\"]}}\nload: [conf/]\n",
        kafka.brokers()
    );
    fs::write(folder.path().join("quietus.yaml"), config).unwrap();
    fs::create_dir(folder.path().join("conf")).unwrap();
    fs::write(folder.path().join("conf/shop.yaml"), super::super::world::POLICY).unwrap();
    fs::write(folder.path().join("conf/source.yaml"), orders(&topic, &topic, "")).unwrap();
    for id in 1..=RECORDS {
        topics.send(&topic, &id.to_string(), signed_up(id).as_bytes(), &[]);
        if id % 5_000 == 0 {
            topics.send(&topic, "x", b"poison", &[]);
        }
    }
    topics.flush();
    let mut kills = 0;
    for after in [1u64, 4_000, 9_000] {
        let mut served = serve(folder.path());
        let started = Instant::now();
        while items(&served.url).await < after && started.elapsed() < PATIENCE {
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
        served.child.kill().unwrap();
        served.child.wait().unwrap();
        kills += 1;
    }
    let served = serve(folder.path());
    let started = Instant::now();
    while items(&served.url).await < RECORDS as u64 || lag(&served.url, &topic).await != Some(0) {
        assert!(started.elapsed() < PATIENCE, "{} items", items(&served.url).await);
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    drop(served);
    let produced = topics.read(&topic);
    let distinct: BTreeSet<&[u8]> =
        produced.iter().map(|(_, _, v)| v.as_slice()).filter(|v| *v != b"poison").collect();
    let poisoned = produced.iter().filter(|(_, _, v)| v == b"poison").count();
    assert_eq!((distinct.len(), poisoned, kills), (RECORDS, 4, 3));
    let (facts, letters) = in_the_ledger(&folder.path().join("data/ledger"), &topic);
    assert_eq!(facts, RECORDS, "every record once, none twice");
    // A letter that was durable before its range is written again, and is the same letter.
    assert!((4..=8).contains(&letters), "{letters}");
}

#[tokio::test(flavor = "multi_thread")]
async fn consumers_of_one_node_share_a_topic_and_lose_and_double_nothing() {
    const RECORDS: usize = 6_000;
    let kafka = broker();
    let topics = Topics::at(&kafka.brokers());
    let topic = own("shared");
    topics.create(&topic, 6).await;
    let folder = tempfile::tempdir().unwrap();
    let shop = folder.path().join("shop.db");
    database(&shop, 1);
    let world = World::reading(folder.path(), Some(kafka.brokers())).await;
    world.set_up(&shop).await;
    put(&world, &topic, &orders(&topic, &topic, ", consumers: 1")).await;
    for (n, consumers) in [3, 2, 1].into_iter().enumerate() {
        for id in (n * RECORDS / 3 + 1)..=((n + 1) * RECORDS / 3) {
            topics.send(&topic, &id.to_string(), signed_up(id).as_bytes(), &[]);
            if id % 500 == 0 {
                // Others join and leave while records come.
                put(&world, &topic, &orders(&topic, &topic, &format!(", consumers: {consumers}"))).await;
                tokio::time::sleep(Duration::from_millis(200)).await;
            }
        }
    }
    topics.flush();
    caught_up(&world, &topic).await;
    let (_, source) = world.get(&format!("/v1/sources/{topic}")).await;
    assert_eq!((&source["generation"], &source["lag"]), (&json!(1), &json!(0)));
    world.stop().await;
    assert_eq!(in_the_ledger(&folder.path().join("data/ledger"), &topic), (RECORDS, 0));
    assert_eq!(topics.read(&topic).len(), RECORDS);
}

#[tokio::test(flavor = "multi_thread")]
async fn latest_begins_at_the_end_and_loses_nothing_after_it() {
    let kafka = broker();
    let topics = Topics::at(&kafka.brokers());
    let topic = own("latest");
    topics.create(&topic, 2).await;
    for id in 1..=5 {
        topics.send(&topic, &id.to_string(), signed_up(id).as_bytes(), &[]);
    }
    topics.flush();
    let folder = tempfile::tempdir().unwrap();
    let shop = folder.path().join("shop.db");
    database(&shop, 1);
    let world = World::reading(folder.path(), Some(kafka.brokers())).await;
    world.set_up(&shop).await;
    put(&world, &topic, &orders(&topic, &topic, ", start: latest")).await;
    caught_up(&world, &topic).await;
    world.stop().await;
    // Nothing was read yet, and what comes while the node is down is news all the same.
    for id in 6..=9 {
        topics.send(&topic, &id.to_string(), signed_up(id).as_bytes(), &[]);
    }
    topics.flush();
    let world = World::reading(folder.path(), Some(kafka.brokers())).await;
    caught_up(&world, &topic).await;
    world.stop().await;
    assert_eq!(in_the_ledger(&folder.path().join("data/ledger"), &topic).0, 4);
}
