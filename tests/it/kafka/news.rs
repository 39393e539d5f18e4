//! What others hear on `quietus.events` and `quietus.dead-letter`, read without the node.

use std::collections::BTreeSet;

use quietus::clock::SystemClock;
use quietus::node::{KafkaOptions, Node, NodeOptions};

use super::*;

fn listening(brokers: &str, prefix: &str) -> KafkaOptions {
    KafkaOptions {
        brokers: vec![brokers.to_owned()],
        prefix: Some(prefix.to_owned()),
        ..KafkaOptions::default()
    }
}

async fn world(folder: &Path, brokers: &str, prefix: &str) -> World {
    World::with(folder, Arc::new(SystemClock::new()), Some(listening(brokers, prefix))).await
}

/// Every CloudEvent of the topic, once enough of them are there.
async fn events(topics: &Topics, topic: &str, enough: impl Fn(&[Value]) -> bool) -> Vec<Value> {
    let started = Instant::now();
    loop {
        let read = topics.read(topic).into_iter().map(|(.., body)| serde_json::from_slice(&body).unwrap());
        let all: Vec<Value> = read.collect();
        if enough(&all) {
            return all;
        }
        assert!(started.elapsed() < PATIENCE, "{topic}: {all:?}");
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
}

fn said<'a>(events: &'a [Value], kind: &str) -> Vec<&'a Value> {
    let kind = format!("quietus.{kind}.v1");
    events.iter().filter(|e| e["type"] == kind).collect()
}

fn outcomes(events: &[Value]) -> BTreeSet<String> {
    said(events, "decision").iter().map(|e| e["data"]["outcome"].as_str().unwrap().to_owned()).collect()
}

/// Items that were.
fn verified(events: &[Value]) -> BTreeSet<String> {
    let verified = said(events, "decision").into_iter().filter(|e| e["data"]["outcome"] == "verified");
    verified.map(|e| e["data"]["item"].as_str().unwrap().to_owned()).collect()
}

/// Told again is told under the same id; within a partition no number is missing.
fn none_is_missing(events: &[Value]) {
    let ids: BTreeSet<(u64, u64)> = events
        .iter()
        .map(|e| e["id"].as_str().unwrap().split_once('-').unwrap())
        .map(|(partition, number)| (partition.parse().unwrap(), number.parse().unwrap()))
        .collect();
    for partition in 0..4 {
        let numbers: Vec<u64> = ids.iter().filter(|(p, _)| *p == partition).map(|(_, n)| *n).collect();
        let wanted: Vec<u64> = (1..=numbers.len() as u64).collect();
        assert_eq!(numbers, wanted, "partition {partition}");
    }
}

async fn started_again(mut kafka: Kafka) -> Kafka {
    let kafka = tokio::task::spawn_blocking(move || {
        kafka.start_again().unwrap();
        kafka
    });
    kafka.await.unwrap()
}

async fn erase(world: &World, id: usize) {
    let request = json!({"type": "erase", "subject": format!("customer_id:{id}")});
    assert_eq!(world.post("/v1/requests", &request).await.0, 202);
}

#[tokio::test(flavor = "multi_thread")]
async fn decisions_notices_and_what_could_not_be_read_are_heard_by_others() {
    let kafka = broker();
    let topics = Topics::at(&kafka.brokers());
    let folder = tempfile::tempdir().unwrap();
    let shop = folder.path().join("shop.db");
    database(&shop, 3);
    let prefix = format!("{}.", own("heard"));
    let (heard, letters) = (format!("{prefix}events"), format!("{prefix}dead-letter"));
    let world = world(folder.path(), &kafka.brokers(), &prefix).await;
    world.set_up(&shop).await;
    // The system is for marketing alone: what says otherwise is a violation.
    let mut manifest = crate::world::shop(&format!("sqlite://{}", shop.display()));
    manifest["purposes"] = json!(["ads"]);
    world.register(&manifest).await;
    let of = |id: usize, purpose: &str| crate::world::recorded(&id.to_string(), 2, &[purpose], &json!(id));
    world.events(&[of(1, "ads"), of(2, "service")]).await;
    erase(&world, 1).await;
    let source = own("orders");
    topics.create(&source, 1).await;
    put(&world, &source, &orders(&source, &source, "")).await;
    topics.send(&source, "k", b"no JSON", &[]);
    topics.flush();

    let all = events(&topics, &heard, |all| outcomes(all).contains("verified")).await;
    assert!(
        outcomes(&all).is_superset(&["owed", "executed", "verified"].map(str::to_owned).into()),
        "{all:?}"
    );
    let notice = said(&all, "suppression");
    assert_eq!((notice.len(), &notice[0]["data"]["request_type"]), (1, &json!("erase")), "{all:?}");
    let misused = said(&all, "violation");
    assert_eq!((misused.len(), &misused[0]["data"]["purposes"]), (1, &json!(["service"])), "{all:?}");
    // Keyed by the subject's keyed hash: one person's news stays in order, and names nobody.
    let keys: BTreeSet<&str> =
        said(&all, "decision").iter().map(|e| e["partitionkey"].as_str().unwrap()).collect();
    assert_eq!((keys.len(), keys.first().unwrap().len()), (1, 32), "{all:?}");
    let dead = events(&topics, &letters, |all| !all.is_empty()).await;
    let (_, listed) = world.get("/v1/dead-letters").await;
    assert_eq!(
        (&dead[0]["data"]["id"], &dead[0]["data"]["topic"]),
        (&listed["items"][0]["id"], &json!(source))
    );
    let sealed = dead[0]["data"]["payload"].as_str().unwrap();
    assert!(sealed.len() > 16 && !sealed.contains("JSON"), "{dead:?}");
    world.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_nobody_could_be_told_is_told_after_a_restart_and_nothing_is_left_out() {
    let mut kafka = Kafka::start(&root()).unwrap_or_else(|why| panic!("{why}"));
    let topics = Topics::at(&kafka.brokers());
    let folder = tempfile::tempdir().unwrap();
    let shop = folder.path().join("shop.db");
    database(&shop, 40);
    let prefix = format!("{}.", own("later"));
    let heard = format!("{prefix}events");
    let node = world(folder.path(), &kafka.brokers(), &prefix).await;
    node.set_up(&shop).await;
    let recorded: Vec<Value> =
        (1..=40).map(|id| crate::world::recorded(&id.to_string(), 2, &["ads"], &json!(id))).collect();
    node.events(&recorded).await;
    for id in 1..=20 {
        erase(&node, id).await;
    }
    events(&topics, &heard, |all| said(all, "suppression").len() >= 20).await;
    // Nobody hears what is decided now, and the node ends before anybody does.
    kafka.kill9().unwrap();
    for id in 21..=40 {
        erase(&node, id).await;
    }
    for _ in 0..400 {
        if left(&shop) == 0 {
            break;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    assert_eq!(left(&shop), 0, "an erasure waits for nobody who listens");
    node.stop().await;
    let kafka = started_again(kafka).await;
    let node = world(folder.path(), &kafka.brokers(), &prefix).await;
    let all = events(&topics, &heard, |all| verified(all).len() == 40).await;
    assert_eq!(
        said(&all, "suppression")
            .iter()
            .map(|e| e["data"]["request"].as_str())
            .collect::<BTreeSet<_>>()
            .len(),
        40
    );
    none_is_missing(&all);
    node.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_that_is_killed_while_nobody_listens_tells_all_of_it_later() {
    const PEOPLE: usize = 120;
    let mut kafka = Kafka::start(&root()).unwrap_or_else(|why| panic!("{why}"));
    let topics = Topics::at(&kafka.brokers());
    let folder = tempfile::tempdir().unwrap();
    let shop = folder.path().join("shop.db");
    database(&shop, PEOPLE);
    let prefix = format!("{}.", own("killed"));
    let heard = format!("{prefix}events");
    let config = format!(
        "dir: data\nhttp: {{listen: \"127.0.0.1:0\", settle: 0s}}\nkafka: {{brokers: [\"{}\"], prefix: {prefix}, events: true}}\n",
        kafka.brokers()
    );
    std::fs::write(folder.path().join("quietus.yaml"), config).unwrap();
    // A root after every few rows: some of the news lies in front of the last one, some behind it.
    let serve = || exactly_once::serve_with(folder.path(), &[("QUIETUS_FLUSH_ROWS", "16")]);
    let mut served = serve();
    let node = World::at(&served.url);
    node.set_up(&shop).await;
    let of = |id: usize| crate::world::recorded(&id.to_string(), 2, &["ads"], &json!(id));
    node.events(&(1..=PEOPLE).map(of).collect::<Vec<Value>>()).await;
    erase(&node, 1).await;
    events(&topics, &heard, |all| !said(all, "suppression").is_empty()).await;
    kafka.kill9().unwrap();
    let mut asked = 1;
    for until in [40, 80, PEOPLE] {
        let node = World::at(&served.url);
        for id in asked + 1..=until {
            erase(&node, id).await;
        }
        asked = until;
        served.child.kill().unwrap();
        served.child.wait().unwrap();
        served = serve();
    }
    let kept = std::fs::read_dir(folder.path().join("data/news")).unwrap().count();
    assert_eq!(kept, 4, "a folder for each partition");
    let kafka = started_again(kafka).await;
    let all = events(&topics, &heard, |all| verified(all).len() == PEOPLE).await;
    none_is_missing(&all);
    assert_eq!(left(&shop), 0);
    drop((served, kafka));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_topic_that_breaks_a_promise_stops_the_start_with_what_mends_it() {
    let kafka = broker();
    let topics = Topics::at(&kafka.brokers());
    let folder = tempfile::tempdir().unwrap();
    let prefix = format!("{}.", own("unfit"));
    let topic = format!("{prefix}events");
    let new = NewTopic::new(&topic, 1, TopicReplication::Fixed(1)).set("retention.ms", "60000");
    topics.admin.create_topics([&new], &AdminOptions::new()).await.unwrap()[0].as_ref().unwrap();
    let options = NodeOptions {
        kafka: Some(listening(&kafka.brokers(), &prefix)),
        ..NodeOptions::at(folder.path().join("data"))
    };
    let (keys, _) = quietus::sealing::Keys::load_or_create(&folder.path().join("tenant.key")).unwrap();
    let node = Node::open(options, keys, Arc::new(SystemClock::new())).await.unwrap();
    let refused = node.start().await.unwrap_err().to_string();
    assert!(refused.contains("retention.ms is 60000") && refused.contains("kafka-configs.sh"), "{refused}");
}
