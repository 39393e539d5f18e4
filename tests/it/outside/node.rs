//! A node tells the Python example what to do: what it says of itself is confirmed and never verified, a stranger's
//! word counts for nothing, and what is held is taken back.

use std::path::Path;
use std::time::{Duration, Instant};

use rdkafka::ClientConfig;
use rdkafka::admin::{AdminClient, AdminOptions, NewTopic, TopicReplication};
use rdkafka::client::DefaultClientContext;
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::groups::GroupInfo;
use rdkafka::topic_partition_list::TopicPartitionList;
use serde_json::{Value, json};

use super::{Example, address, broker, topic};
use crate::world::{World, recorded};

const SECRET: &str = "whsec_c2VjcmV0IG9mIHRoZSBjcm0gc3lzdGVtIGFsb25l";

fn people(database: &Path, ids: &[i64]) {
    let db = rusqlite::Connection::open(database).unwrap();
    for id in ids {
        db.execute("INSERT OR REPLACE INTO people VALUES (?1, 'p@example.org', 'P')", [id]).unwrap();
    }
}

fn left(database: &Path) -> Vec<i64> {
    let db = rusqlite::Connection::open(database).unwrap();
    let mut rows = db.prepare("SELECT id FROM people ORDER BY id").unwrap();
    rows.query_map([], |row| row.get(0)).unwrap().map(Result::unwrap).collect()
}

fn manifest(kind: &str, connection: Value) -> Value {
    let mut connection = connection;
    connection["secret"] = json!("${file:SECRET}");
    json!({
        "system": "crm", "kind": kind, "mode": "enforce", "connection": connection,
        "datasets": [{"fides_key": "crm", "name": "crm", "collections": [{
            "name": "people", "quietus": {"key": ["id"], "subject": {"column": "id", "type": "customer_id"}},
            "fields": [{"name": "id"}, {"name": "email", "data_categories": ["user.contact.email"]}],
        }]}],
    })
}

/// The manifest with the secret in a file of the test's own.
async fn register(world: &World, folder: &Path, manifest: Value) {
    let file = folder.join("crm.secret");
    std::fs::write(&file, SECRET).unwrap();
    let text = manifest.to_string().replace("${file:SECRET}", &format!("${{file:{}}}", file.display()));
    world.register(&serde_json::from_str(&text).unwrap()).await;
}

async fn record(world: &World, ids: &[i64]) {
    for id in ids {
        let mut event = recorded(&id.to_string(), 2, &["ads"], &json!(id));
        event["data"]["copies"] = json!([{"system": "crm", "dataset": "crm.people", "locator": {"id": id}}]);
        assert_eq!(world.events(&[event]).await.1["accepted"], 1);
    }
}

/// Asks for an erasure; answers where the request stands.
async fn erase(world: &World, id: i64) -> String {
    let request = json!({"type": "erase", "subject": format!("customer_id:{id}")});
    let (status, taken) = world.post("/v1/requests", &request).await;
    assert_eq!(status, 202, "{taken}");
    format!("/v1/requests/{}", taken["id"].as_str().unwrap())
}

async fn until(world: &World, path: &str, outcome: &str) -> Value {
    let started = Instant::now();
    loop {
        let (_, view) = world.get(path).await;
        let target = &view["targets"][0];
        assert_ne!(target["outcome"], "verified", "nobody but the connector looked: {view}");
        if target["outcome"] == outcome {
            return view;
        }
        assert!(started.elapsed() < Duration::from_secs(60), "never {outcome}: {view}");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

/// What is durable is not read again by the next start: the node's position comes to the end of the confirmations.
async fn goes_on_behind_all(brokers: &str, topic: &str) {
    let started = Instant::now();
    let confirmations = topic.replace("commands", "confirmations");
    loop {
        let (brokers, topic) = (brokers.to_owned(), confirmations.clone());
        let read = tokio::task::spawn_blocking(move || positions(&brokers, &topic)).await.unwrap();
        if read.iter().any(|(_, end)| *end > 0) && read.iter().all(|(at, end)| *end == 0 || at == end) {
            return;
        }
        assert!(started.elapsed() < Duration::from_secs(60), "{confirmations}: {read:?}");
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

/// By partition: what a node committed, and the topic's end.
fn positions(brokers: &str, topic: &str) -> Vec<(i64, i64)> {
    let patience = Duration::from_secs(10);
    let probe: BaseConsumer = ClientConfig::new().set("bootstrap.servers", brokers).create().unwrap();
    let groups = probe.client().fetch_group_list(None, patience).unwrap();
    let named = |g: &GroupInfo| g.name().ends_with(".crm.confirmations").then(|| g.name().to_owned());
    let metadata = probe.fetch_metadata(Some(topic), patience).unwrap();
    let mut list = TopicPartitionList::new();
    for partition in metadata.topics()[0].partitions() {
        list.add_partition(topic, partition.id());
    }
    let mut found = vec![-1; list.count()];
    for group in groups.groups().iter().filter_map(named) {
        let mut config = ClientConfig::new();
        config.set("bootstrap.servers", brokers).set("group.id", group);
        let reader: BaseConsumer = config.create().unwrap();
        let committed = reader.committed_offsets(list.clone(), patience).unwrap();
        for (at, of) in found.iter_mut().zip(committed.elements()) {
            *at = (*at).max(of.offset().to_raw().unwrap_or(-1));
        }
    }
    let end = |n: usize| probe.fetch_watermarks(topic, i32::try_from(n).unwrap(), patience).unwrap().1;
    found.into_iter().enumerate().map(|(n, at)| (at, end(n))).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn what_the_example_carries_out_by_topics_is_confirmed() {
    let (kafka, folder, topic) = (broker(), tempfile::tempdir().unwrap(), topic());
    let brokers = kafka.brokers();
    let args = ["--brokers", &brokers, "--topic", &topic];
    let example = Example::start(folder.path(), &args, Some(SECRET));
    people(&example.database, &[1, 2, 3, 4]);
    let world = World::start(folder.path()).await;
    world.publish().await;
    register(&world, folder.path(), manifest("kafka", json!({"brokers": [&brokers], "topic": &topic}))).await;
    let (_, check) = world.post("/v1/systems/crm/check", &json!({})).await;
    assert_eq!(check["ok"], true, "{check}");
    record(&world, &[1, 2, 3]).await;
    let path = erase(&world, 1).await;
    until(&world, &path, "executed").await;
    assert_eq!(left(&example.database), [2, 3, 4]);
    goes_on_behind_all(&brokers, &topic).await;

    // It is down: nothing is told of it. A stranger answers in its place, and is not believed.
    let database = example.database.clone();
    example.kill();
    let path = erase(&world, 2).await;
    let view = until(&world, &path, "accepted").await;
    assert_eq!(view["state"], "in_progress", "{view}");
    let elsewhere = tempfile::tempdir().unwrap();
    let other = "whsec_c29tZWJvZHkgZWxzZSdzIHNlY3JldCBhbHRvZ2V0aGVy";
    let stranger = Example::start(elsewhere.path(), &args, Some(other));
    tokio::time::sleep(Duration::from_secs(3)).await;
    assert_eq!(world.get(&path).await.1["targets"][0]["outcome"], "accepted");
    drop(stranger);
    assert_eq!(left(&database), [2, 3, 4]);
    world.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_hold_takes_back_what_was_not_carried_out_yet() {
    let (kafka, folder, topic) = (broker(), tempfile::tempdir().unwrap(), topic());
    let brokers = kafka.brokers();
    let args = ["--brokers", &brokers, "--topic", &topic];
    let database = {
        let example = Example::start(folder.path(), &args, Some(SECRET));
        people(&example.database, &[3]);
        example.database.clone()
    };
    let world = World::start(folder.path()).await;
    world.publish().await;
    register(&world, folder.path(), manifest("kafka", json!({"brokers": [&brokers], "topic": &topic}))).await;
    record(&world, &[3]).await;
    let path = erase(&world, 3).await;
    until(&world, &path, "accepted").await;
    let hold = json!({"matter": "m", "authority": "court", "owner": "legal", "reason": "r", "review": "2099-01-01T00:00:00Z",
                      "scope": {"subjects": ["customer_id:3"]}});
    let (status, placed) = world.post("/v1/holds?wait=5s", &hold).await;
    assert!(status < 300, "{placed}");
    assert_eq!(placed["in_flight"].as_array().map(Vec::len), Some(1), "{placed}");
    // By the time it comes back the topic holds the command and its recall.
    let _example = Example::start(folder.path(), &args, Some(SECRET));
    let view = until(&world, &path, "blocked").await;
    assert_eq!(left(&database), [3], "{view}");
    let answers = rusqlite::Connection::open(&database).unwrap();
    let answer: String =
        answers.query_row("SELECT answer FROM quietus_answers", [], |row| row.get(0)).unwrap();
    assert!(answer.contains("recalled"), "{answer}");
    world.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_topic_whose_settings_break_a_promise_is_refused_with_what_mends_it() {
    let (kafka, folder, topic) = (broker(), tempfile::tempdir().unwrap(), topic());
    let brokers = kafka.brokers();
    let admin: AdminClient<DefaultClientContext> =
        ClientConfig::new().set("bootstrap.servers", &brokers).create().unwrap();
    let new = NewTopic::new(&topic, 1, TopicReplication::Fixed(1)).set("cleanup.policy", "compact");
    admin.create_topics([&new], &AdminOptions::new()).await.unwrap()[0].as_ref().unwrap();
    let world = World::start(folder.path()).await;
    world.publish().await;
    register(&world, folder.path(), manifest("kafka", json!({"brokers": [&brokers], "topic": &topic}))).await;
    let (_, check) = world.post("/v1/systems/crm/check", &json!({})).await;
    let problem = &check["problems"][0];
    assert_eq!((&check["ok"], &problem["code"]), (&json!(false), &json!("topic_settings")), "{check}");
    let fix = problem["fix"].as_str().unwrap();
    assert!(fix.contains("kafka-configs.sh") && fix.contains("--add-config cleanup.policy=delete"), "{fix}");
    record(&world, &[1]).await;
    let path = erase(&world, 1).await;
    let view = until(&world, &path, "failed").await;
    assert!(view["targets"][0]["detail"].as_str().unwrap().contains("kafka-configs.sh"), "{view}");
    world.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_the_example_carries_out_over_http_is_confirmed_and_corrected() {
    let (folder, address) = (tempfile::tempdir().unwrap(), address());
    let example = Example::start(folder.path(), &["--listen", &address], Some(SECRET));
    people(&example.database, &[1, 2]);
    let world = World::start(folder.path()).await;
    world.publish().await;
    let url = format!("http://{address}/");
    register(&world, folder.path(), manifest("webhook", json!({"url": &url}))).await;
    let (_, check) = world.post("/v1/systems/crm/check", &json!({})).await;
    assert_eq!(check["ok"], true, "{check}");
    record(&world, &[1, 2]).await;
    let path = erase(&world, 1).await;
    until(&world, &path, "executed").await;
    assert_eq!(left(&example.database), [2]);
    // Recorded, and never there: that is its own word too.
    record(&world, &[9]).await;
    let path = erase(&world, 9).await;
    until(&world, &path, "executed").await;
    let request = json!({"type": "correct", "subject": "customer_id:2", "corrections": {"user.contact.email": "new@example.org"}});
    let (status, taken) = world.post("/v1/requests", &request).await;
    assert_eq!(status, 202, "{taken}");
    until(&world, &format!("/v1/requests/{}", taken["id"].as_str().unwrap()), "executed").await;
    let db = rusqlite::Connection::open(&example.database).unwrap();
    let email: String = db.query_row("SELECT email FROM people WHERE id = 2", [], |row| row.get(0)).unwrap();
    assert_eq!(email, "new@example.org");
    world.stop().await;
}
