//! `quietus bench kafka`: a topic into a durable ledger, beside a plain consumer that produces the same bytes again.
//!
//! Both read the same topics in the same run, by turns, each from its group's first member on, so that joining a group
//! counts for both; both fetch with the same settings. The peer goes on once the brokers have acknowledged everything
//! (an idempotent producer: `acks=all`), we once everything is fsynced, which the node folds into its state meanwhile,
//! on the same processors. The turn in the middle counts.
//! Nothing is compressed; the broker is whoever answers at `--brokers`.

use std::sync::Arc;
use std::time::{Duration, Instant};

use apache_avro::types::Value;
use apache_avro::writer::datum::GenericDatumWriter;
use quietus_core::time::Millis;
use rdkafka::ClientConfig;
use rdkafka::admin::{AdminClient, AdminOptions, NewTopic, TopicReplication};
use rdkafka::client::DefaultClientContext;
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::message::Message;
use rdkafka::producer::{BaseRecord, DefaultProducerContext, Producer, ThreadedProducer};
use serde::Serialize;
use serde_json::json;

use super::BenchError;
use super::usage::{bytes_below, peak_rss_mib};
use crate::clock::{Clock, SystemClock};
use crate::node::{FETCH_BACKOFF_MS, KafkaOptions, Node, NodeOptions, Refusal, fresh_id};
use crate::sealing::Keys;

const PARTITIONS: [i32; 3] = [1, 2, 4];
/// Of each kind; a first one of the peer warms the brokers up.
const TURNS: usize = 3;
const PATIENCE: Duration = Duration::from_secs(600);
/// Of the peer's speed, for Avro.
const PROMISED: f64 = 0.5;
const SCHEMA: &str = include_str!("../../schemas/avro/ItemRecorded/v1.avsc");

#[derive(Clone, Debug, Serialize)]
pub struct KafkaFigure {
    pub bench: &'static str,
    /// Of each run.
    pub items: u64,
    /// Of all runs.
    pub seconds: f64,
    /// The slowest Avro run.
    pub per_second: f64,
    pub peak_rss_mib: f64,
    pub disk_bytes_per_item: super::Disk,
    pub runs: Vec<Run>,
    pub limit_ratio: f64,
    pub ok: bool,
}

#[derive(Clone, Debug, Serialize)]
pub struct Run {
    pub format: &'static str,
    pub partitions: i32,
    pub bytes_per_record: f64,
    pub per_second: f64,
    pub peer_per_second: f64,
    pub ratio: f64,
    /// Of every turn.
    pub ratios: Vec<f64>,
}

/// Reads `items` records of each format from topics of 1, 2 and 4 partitions.
pub async fn run(brokers: &str, items: u64, tell: &mut dyn FnMut(&str)) -> Result<KafkaFigure, BenchError> {
    let begun = Instant::now();
    let mut runs = Vec::new();
    let mut bytes = 0.0f64;
    for format in ["avro", "json"] {
        for partitions in PARTITIONS {
            tell(&format!("{format}, {partitions} partitions: producing {items} records"));
            let topics = Topics::new(brokers, format, partitions).await?;
            let size = topics.fill(items, format)?;
            if runs.is_empty() {
                tell("the brokers warm up");
                topics.peer(items, "warm-up")?;
            }
            let mut turns = Vec::new();
            for turn in 1..=TURNS {
                tell("the peer consumes and produces them again");
                let peer = items as f64 / topics.peer(items, &turn.to_string())?;
                tell("quietus takes them in");
                let (seconds, disk) = own(&topics, format, items).await?;
                bytes = bytes.max(disk);
                turns.push((items as f64 / seconds, peer));
            }
            topics.remove().await;
            let ratios = turns.iter().map(|(own, peer)| own / peer).collect();
            turns.sort_by(|a, b| (a.0 / a.1).total_cmp(&(b.0 / b.1)));
            let (per_second, peer_per_second) = turns.get(TURNS / 2).copied().unwrap_or_default();
            runs.push(Run {
                format,
                partitions,
                bytes_per_record: size as f64 / items as f64,
                per_second,
                peer_per_second,
                ratio: per_second / peer_per_second,
                ratios,
            });
        }
    }
    let avro = || runs.iter().filter(|r| r.format == "avro");
    Ok(KafkaFigure {
        bench: "kafka",
        items,
        seconds: begun.elapsed().as_secs_f64(),
        per_second: avro().map(|r| r.per_second).fold(f64::INFINITY, f64::min),
        peak_rss_mib: peak_rss_mib(),
        disk_bytes_per_item: super::Disk { live: None, directory: bytes },
        limit_ratio: PROMISED,
        ok: avro().all(|r| r.ratio >= PROMISED),
        runs,
    })
}

struct Topics {
    brokers: String,
    /// What is read, and what the peer writes.
    from: String,
    to: String,
    admin: AdminClient<DefaultClientContext>,
}

impl Topics {
    async fn new(brokers: &str, format: &str, partitions: i32) -> Result<Self, BenchError> {
        let admin: AdminClient<_> =
            ClientConfig::new().set("bootstrap.servers", brokers).create().map_err(|e| wrong(&e))?;
        let id = fresh_id("bench");
        let from = format!("quietus-{id}-{format}-{partitions}");
        let to = format!("{from}-peer");
        for topic in [&from, &to] {
            let new = NewTopic::new(topic, partitions, TopicReplication::Fixed(1));
            let made = admin.create_topics([&new], &AdminOptions::new()).await.map_err(|e| wrong(&e))?;
            if let Some(Err((topic, code))) = made.first() {
                return Err(BenchError::Wrong(format!(
                    "the topic {topic} cannot be made: {code}; name brokers that allow it"
                )));
            }
        }
        Ok(Self { brokers: brokers.to_owned(), from, to, admin })
    }

    async fn remove(&self) {
        // What stays behind is named after the bench.
        let _ = self.admin.delete_topics(&[&self.from, &self.to], &AdminOptions::new()).await;
    }

    fn producer(&self) -> Result<ThreadedProducer<DefaultProducerContext>, BenchError> {
        ClientConfig::new()
            .set("bootstrap.servers", &self.brokers)
            .set("enable.idempotence", "true")
            .set("linger.ms", "5")
            .set("batch.size", "131072")
            .set("queue.buffering.max.messages", "500000")
            .create()
            .map_err(|e| wrong(&e))
    }

    /// Answers the bytes of all values.
    fn fill(&self, items: u64, format: &str) -> Result<usize, BenchError> {
        let producer = self.producer()?;
        let schema = apache_avro::Schema::parse_str(SCHEMA).map_err(|e| BenchError::Wrong(e.to_string()))?;
        let writer =
            GenericDatumWriter::builder(&schema).build().map_err(|e| BenchError::Wrong(e.to_string()))?;
        let recorded = SystemClock::new().now().plus(-40 * Millis::DAY);
        let mut bytes = 0;
        for n in 0..items {
            let value = match format {
                "avro" => {
                    let value = avro(n, recorded);
                    let value = value.resolve(&schema).map_err(|e| BenchError::Wrong(e.to_string()))?;
                    let datum =
                        writer.write_value_to_vec(value).map_err(|e| BenchError::Wrong(e.to_string()))?;
                    [&[0, 0, 0, 0, 1], datum.as_slice()].concat()
                }
                _ => json!({"who": n / 4, "id": n, "at": recorded.0, "email": "someone@example.org"})
                    .to_string()
                    .into_bytes(),
            };
            bytes += value.len();
            send(&producer, &self.from, &n.to_le_bytes(), &value)?;
        }
        producer.flush(PATIENCE).map_err(|e| wrong(&e))?;
        Ok(bytes)
    }

    /// Plain consume and produce of the same bytes; answers seconds.
    fn peer(&self, items: u64, turn: &str) -> Result<f64, BenchError> {
        let begun = Instant::now();
        let producer = self.producer()?;
        let consumer: BaseConsumer = ClientConfig::new()
            .set("bootstrap.servers", &self.brokers)
            .set("group.id", format!("{}-group-{turn}", self.to))
            .set("auto.offset.reset", "earliest")
            .set("enable.auto.commit", "false")
            .set("fetch.queue.backoff.ms", FETCH_BACKOFF_MS)
            .create()
            .map_err(|e| wrong(&e))?;
        consumer.subscribe(&[&self.from]).map_err(|e| wrong(&e))?;
        let mut read = 0;
        while read < items {
            if begun.elapsed() > PATIENCE {
                return Err(BenchError::Wrong(format!("the peer read {read} of {items} records only")));
            }
            let Some(message) = consumer.poll(Duration::from_millis(100)) else { continue };
            let message = message.map_err(|e| wrong(&e))?;
            let (key, value) = (message.key().unwrap_or_default(), message.payload().unwrap_or_default());
            send(&producer, &self.to, key, value)?;
            read += 1;
        }
        producer.flush(PATIENCE).map_err(|e| wrong(&e))?;
        Ok(begun.elapsed().as_secs_f64())
    }
}

fn send(
    producer: &ThreadedProducer<DefaultProducerContext>,
    topic: &str,
    key: &[u8],
    value: &[u8],
) -> Result<(), BenchError> {
    let mut record = BaseRecord::to(topic).key(key).payload(value);
    loop {
        match producer.send(record) {
            Ok(()) => return Ok(()),
            Err((KafkaError::MessageProduction(RDKafkaErrorCode::QueueFull), back)) => {
                record = back;
                std::thread::sleep(Duration::from_millis(1));
            }
            Err((error, _)) => return Err(wrong(&error)),
        }
    }
}

/// A node of its own reads the topic; answers seconds until everything is durable, and bytes an item.
async fn own(topics: &Topics, format: &'static str, items: u64) -> Result<(f64, f64), BenchError> {
    let dir = std::env::temp_dir().join(format!("quietus-bench-{}-{}", std::process::id(), topics.from));
    std::fs::create_dir_all(&dir)?;
    let (keys, _) = Keys::load_or_create(&dir.join("tenant.key"))?;
    let kafka = Some(KafkaOptions { brokers: vec![topics.brokers.clone()], ..KafkaOptions::default() });
    let options = NodeOptions { kafka, ..NodeOptions::at(dir.join("data")) };
    let clock: Arc<dyn Clock> = Arc::new(SystemClock::new());
    let node = Node::open(options, keys, clock).await?;
    let running = node.start().await?;
    let begun = Instant::now();
    let text = source(&topics.from, format);
    match node.put_source("bench", text.as_bytes(), None, None).await {
        Ok(_) => {}
        Err(Refusal::Node(error)) => return Err(error.into()),
        Err(Refusal::Wrong(found)) => {
            let said: Vec<String> = found.iter().map(ToString::to_string).collect();
            return Err(BenchError::Wrong(said.join("\n")));
        }
    }
    let taken = || {
        let counters = node.metrics.snapshot();
        counters.events.get(&(topics.from.clone(), "accepted")).copied().unwrap_or_default()
    };
    while taken() < items {
        if begun.elapsed() > PATIENCE {
            return Err(BenchError::Wrong(format!("{} of {items} records were taken in only", taken())));
        }
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
    let seconds = begun.elapsed().as_secs_f64();
    running.stop().await?;
    let bytes = bytes_below(&dir)?;
    std::fs::remove_dir_all(&dir)?;
    Ok((seconds, bytes as f64 / items as f64))
}

fn source(topic: &str, format: &str) -> String {
    let head = format!("source: {topic}\nfrom: {{kafka: {{topic: {topic}}}}}\nformat: {format}\n");
    match format {
        "avro" => head,
        _ => {
            head + "rules:
  - emit: item.recorded
    with:
      subject: {type: customer_id, value: value:/who}
      category: user.contact.email
      purposes: [service]
      recorded_at: {from: value:/at, unit: ms}
      copies: [{system: shop-db, dataset: shop.users, locator: {id: value:/id}}]
"
        }
    }
}

fn avro(n: u64, recorded: Millis) -> Value {
    let text = |t: &str| Value::String(t.to_owned());
    let record = |fields: Vec<(&str, Value)>| {
        Value::Record(fields.into_iter().map(|(name, value)| (name.to_owned(), value)).collect())
    };
    let locator = Value::Map([("id".to_owned(), text(&n.to_string()))].into());
    let copy =
        record(vec![("system", text("shop-db")), ("dataset", text("shop.users")), ("locator", locator)]);
    record(vec![
        ("subject", text(&format!("customer_id:{}", n / 4))),
        ("category", Value::Array(vec![text("user.contact.email")])),
        ("purposes", Value::Array(vec![text("service")])),
        ("recorded_at", Value::TimestampMillis(recorded.0)),
        ("copies", Value::Array(vec![copy])),
    ])
}

fn wrong(error: &KafkaError) -> BenchError {
    BenchError::Wrong(format!("{error}; is a broker reachable at --brokers?"))
}
