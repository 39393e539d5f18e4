//! The topic as the rig writes and reads it, without the node.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use quietus::core::time::Millis;
use rdkafka::ClientConfig;
use rdkafka::admin::{AdminClient, AdminOptions, NewTopic, TopicReplication};
use rdkafka::client::{ClientContext, DefaultClientContext};
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::error::KafkaError;
use rdkafka::message::{DeliveryResult, Message};
use rdkafka::producer::{BaseRecord, Producer, ProducerContext, ThreadedProducer};
use rdkafka::topic_partition_list::{Offset, TopicPartitionList};
use serde_json::{Value, json};

pub const NAME: &str = "orders";
const PARTITIONS: i32 = 6;
/// On a machine that has much else to do, with brokers that come and go.
const PATIENCE: Duration = Duration::from_secs(180);

/// Ids that the brokers acknowledged.
#[derive(Clone, Debug, Default)]
struct Acknowledged(Arc<Mutex<BTreeSet<i64>>>);

impl ClientContext for Acknowledged {}

impl ProducerContext for Acknowledged {
    type DeliveryOpaque = usize;

    fn delivery(&self, result: &DeliveryResult<'_>, id: usize) {
        if result.is_ok() {
            self.0.lock().unwrap_or_else(PoisonError::into_inner).insert(i64::try_from(id).unwrap());
        }
    }
}

pub struct Topic {
    brokers: String,
    producer: ThreadedProducer<Acknowledged>,
    acknowledged: Acknowledged,
}

impl Topic {
    /// On as many nodes as there are copies; what is acknowledged lies on two of them at least.
    pub async fn create(brokers: &str, copies: usize) -> Self {
        let mut config = ClientConfig::new();
        config.set("bootstrap.servers", brokers);
        let admin: AdminClient<DefaultClientContext> = config.create().unwrap();
        let copies = TopicReplication::Fixed(i32::try_from(copies).unwrap());
        let new = NewTopic::new(NAME, PARTITIONS, copies).set("min.insync.replicas", "2");
        let options = AdminOptions::new().request_timeout(Some(PATIENCE));
        admin.create_topics([&new], &options).await.unwrap()[0].as_ref().unwrap();
        let acknowledged = Acknowledged::default();
        let producer = config
            .set("enable.idempotence", "true")
            .set("linger.ms", "5")
            // What is sent is tried until it is there, however long its brokers are away.
            .set("message.timeout.ms", "0")
            .create_with_context(acknowledged.clone())
            .unwrap();
        Self { brokers: brokers.to_owned(), producer, acknowledged }
    }

    /// Sent, not yet acknowledged.
    pub fn send(&self, id: i64, purpose: &str, recorded_at: i64) {
        let value = json!({"type": purpose, "who": id, "at": recorded_at}).to_string();
        let key = id.to_string();
        let record = BaseRecord::with_opaque_to(NAME, usize::try_from(id).unwrap());
        assert!(
            self.producer.send(record.key(&key).payload(&value)).is_ok(),
            "the rig sends too much at once"
        );
    }

    /// Everything that was sent is acknowledged.
    pub fn flush(&self) {
        self.producer.flush(PATIENCE).unwrap();
    }

    pub fn acknowledged(&self) -> BTreeSet<i64> {
        self.acknowledged.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// The id of every record in the topic, in whatever order.
    pub fn read(&self) -> Vec<i64> {
        let consumer: BaseConsumer = ClientConfig::new()
            .set("bootstrap.servers", &self.brokers)
            .set("group.id", "independent")
            .set("enable.auto.commit", "false")
            .set("enable.partition.eof", "true")
            .create()
            .unwrap();
        let mut list = TopicPartitionList::new();
        for partition in 0..PARTITIONS {
            list.add_partition_offset(NAME, partition, Offset::Beginning).unwrap();
        }
        consumer.assign(&list).unwrap();
        let (mut ids, mut ended) = (Vec::new(), BTreeSet::new());
        while i32::try_from(ended.len()).unwrap() < PARTITIONS {
            match consumer.poll(PATIENCE).expect("the topic can be read") {
                Ok(record) => {
                    let value: Value = serde_json::from_slice(record.payload().unwrap()).unwrap();
                    ids.push(value["who"].as_i64().unwrap());
                }
                Err(KafkaError::PartitionEOF(partition)) => drop(ended.insert(partition)),
                // The library goes on by itself.
                Err(why) => eprintln!("while reading the topic: {why}"),
            }
        }
        ids
    }
}

/// How the node is to read it.
pub fn source() -> String {
    let rule = |purpose: &str| {
        format!(
            "  - when: {{value:/type: [{purpose}]}}
    emit: item.recorded
    with:
      subject: {{type: customer_id, value: value:/who}}
      category: user.contact.email
      purposes: [{purpose}]
      recorded_at: {{from: value:/at, unit: ms}}
      copies: [{{system: shop-db, dataset: shop.users, locator: {{id: value:/who}}}}]
"
        )
    };
    format!(
        "source: {NAME}\nfrom: {{kafka: {{topic: {NAME}, consumers: 2}}}}\nformat: json\nsettle: 0s\nrules:\n{}{}",
        rule("service"),
        rule("ads")
    )
}

/// When a record of now was recorded, so many milliseconds ago.
pub fn ago(ms: i64) -> i64 {
    Millis(crate::process::now()).plus(-ms).0
}
