//! Topics of a real broker as sources.

mod debezium;
mod exactly_once;
mod lifecycle;
mod news;
mod producers;
mod registry;
mod trouble;
mod watermarks;

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use quietus_test_servers::Kafka;
use rdkafka::ClientConfig;
use rdkafka::admin::{AdminClient, AdminOptions, NewTopic, TopicReplication};
use rdkafka::client::DefaultClientContext;
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::message::{Header, Message, OwnedHeaders};
use rdkafka::producer::{BaseRecord, Producer, ThreadedProducer};
use rdkafka::topic_partition_list::{Offset, TopicPartitionList};
use serde_json::{Value, json};

use super::world::World;

const PATIENCE: Duration = Duration::from_secs(60);

fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

fn broker() -> Arc<Kafka> {
    Kafka::shared(&root()).unwrap_or_else(|why| panic!("{why}"))
}

/// A broker with topics of a test's own.
struct Topics {
    brokers: String,
    admin: AdminClient<DefaultClientContext>,
    producer: ThreadedProducer<rdkafka::producer::DefaultProducerContext>,
}

impl Topics {
    fn at(brokers: &str) -> Self {
        let mut config = ClientConfig::new();
        config.set("bootstrap.servers", brokers);
        let admin = config.create().unwrap();
        let producer = config.set("linger.ms", "5").set("enable.idempotence", "true").create().unwrap();
        Self { brokers: brokers.to_owned(), admin, producer }
    }

    async fn create(&self, topic: &str, partitions: i32) {
        let new = NewTopic::new(topic, partitions, TopicReplication::Fixed(1));
        // A topic that was just removed may still be known for a moment.
        let started = Instant::now();
        loop {
            let made = self.admin.create_topics([&new], &AdminOptions::new()).await.unwrap();
            match &made[0] {
                Ok(_) => return,
                Err(why) if started.elapsed() > PATIENCE => panic!("{topic}: {why:?}"),
                Err(_) => tokio::time::sleep(Duration::from_millis(200)).await,
            }
        }
    }

    async fn remove(&self, topic: &str) {
        self.admin.delete_topics(&[topic], &AdminOptions::new()).await.unwrap()[0].as_ref().unwrap();
    }

    fn send(&self, topic: &str, key: &str, value: &[u8], headers: &[(&str, &str)]) {
        let headers = headers.iter().fold(OwnedHeaders::new(), |all, (name, value)| {
            all.insert(Header { key: name, value: Some(*value) })
        });
        loop {
            let record = BaseRecord::to(topic).key(key).payload(value).headers(headers.clone());
            match self.producer.send(record) {
                Ok(()) => return,
                Err(_) => std::thread::sleep(Duration::from_millis(5)),
            }
        }
    }

    /// With one header whose value is no text.
    fn send_with(&self, topic: &str, key: &str, value: &[u8], name: &str, header: &[u8]) {
        let headers = OwnedHeaders::new().insert(Header { key: name, value: Some(header) });
        self.producer.send(BaseRecord::to(topic).key(key).payload(value).headers(headers)).unwrap();
    }

    fn flush(&self) {
        self.producer.flush(PATIENCE).unwrap();
    }

    /// Every record of the topic, read without the node: (partition, offset, value).
    fn read(&self, topic: &str) -> Vec<(i32, i64, Vec<u8>)> {
        let consumer: BaseConsumer = ClientConfig::new()
            .set("bootstrap.servers", &self.brokers)
            .set("group.id", "independent")
            .set("enable.auto.commit", "false")
            .set("enable.partition.eof", "true")
            .create()
            .unwrap();
        let metadata = consumer.fetch_metadata(Some(topic), PATIENCE).unwrap();
        let mut list = TopicPartitionList::new();
        let partitions: Vec<i32> = metadata.topics()[0].partitions().iter().map(|p| p.id()).collect();
        for partition in &partitions {
            list.add_partition_offset(topic, *partition, Offset::Beginning).unwrap();
        }
        consumer.assign(&list).unwrap();
        let (mut records, mut ended) = (Vec::new(), 0);
        while ended < partitions.len() {
            match consumer.poll(PATIENCE).expect("the topic is read") {
                Ok(m) => records.push((m.partition(), m.offset(), m.payload().unwrap_or_default().to_vec())),
                Err(rdkafka::error::KafkaError::PartitionEOF(_)) => ended += 1,
                Err(why) => panic!("{why}"),
            }
        }
        records
    }
}

/// A name that no other test and no earlier run has.
fn own(name: &str) -> String {
    let id = quietus::node::fresh_id("t");
    format!("{name}-{}", id.trim_start_matches("t_"))
}

async fn put(world: &World, name: &str, text: &str) {
    let url = format!("{}/v1/sources/{name}", world.url);
    let put =
        reqwest::Client::new().put(url).header("content-type", "application/yaml").body(text.to_owned());
    let answer = put.send().await.unwrap();
    let (status, body) = (answer.status(), answer.text().await.unwrap());
    assert!(status.is_success(), "{body}");
}

/// Asks until the answer is right; what it was last, when it never is.
async fn until(world: &World, path: &str, right: impl Fn(&Value) -> bool) -> Value {
    let started = Instant::now();
    loop {
        let (_, answer) = world.get(path).await;
        if right(&answer) {
            return answer;
        }
        assert!(started.elapsed() < PATIENCE, "{path} never is what it should be: {answer}");
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

/// Everything that was produced before is read, and the watermark says so.
async fn caught_up(world: &World, source: &str) {
    let from = quietus::core::time::Millis::parse(&now()).unwrap();
    until(world, &format!("/v1/sources/{source}"), |s| {
        let at = s["watermark"].as_str().and_then(quietus::core::time::Millis::parse);
        s["state"] == "running" && s["lag"] == 0 && at.is_some_and(|at| at >= from)
    })
    .await;
}

fn now() -> String {
    use quietus::clock::Clock;
    quietus::clock::SystemClock::new().now().to_string()
}

fn signed_up(id: usize) -> String {
    json!({"type": "signed_up", "who": id, "at": 1_577_836_800}).to_string()
}

fn orders(source: &str, topic: &str, more: &str) -> String {
    format!(
        "source: {source}
from: {{kafka: {{topic: {topic}{more}}}}}
format: json
settle: 0s
rules:
  - when: {{value:/type: [signed_up]}}
    emit: item.recorded
    with:
      subject: {{type: customer_id, value: value:/who}}
      category: user.contact.email
      purposes: [service]
      recorded_at: {{from: value:/at, unit: s}}
      copies: [{{system: shop-db, dataset: shop.users, locator: {{id: value:/who}}}}]
"
    )
}

fn database(path: &Path, rows: usize) {
    let mut db = rusqlite::Connection::open(path).unwrap();
    let tx = db.transaction().unwrap();
    tx.execute_batch("CREATE TABLE users (id INTEGER PRIMARY KEY, email TEXT)").unwrap();
    for id in 1..=rows {
        tx.execute("INSERT INTO users VALUES (?1, 'x')", [i64::try_from(id).unwrap()]).unwrap();
    }
    tx.commit().unwrap();
}

fn left(path: &Path) -> i64 {
    let db = rusqlite::Connection::open(path).unwrap();
    db.query_row("SELECT count(*) FROM users", [], |row| row.get(0)).unwrap()
}

/// What the ledger holds of a source, read without the node: (fact rows, dead letters).
fn in_the_ledger(dir: &Path, source: &str) -> (usize, usize) {
    use quietus::core::record::Record;
    use quietus::ledger::codec::decode_frame;
    use quietus::ledger::embedded::{Ledger, Options};
    let (ledger, _) = Ledger::create_or_open(dir, Options::default()).unwrap();
    let (mut facts, mut letters) = (0, 0);
    for frame in ledger.scan(&[]).unwrap() {
        let frame = frame.unwrap();
        if frame.stream == quietus::ledger::Stream::Control {
            continue;
        }
        for record in decode_frame(&frame.body).unwrap().records {
            match record {
                Record::Facts(f) if f.source == source => facts += f.len(),
                Record::DeadLettered(l) if l.source == source => letters += 1,
                _ => {}
            }
        }
    }
    (facts, letters)
}
