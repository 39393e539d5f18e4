//! One consumer: a thread polls, another takes in what was polled before, in order; what is durable is committed.
//!
//! Invariant: batches of one consumer are taken in one after the other, and a topic counts as read up to an end only
//! once everything polled before that end is durable. Rejected: polling and taking in by turns, which left the brokers
//! idle while records were mapped, and the processor while they were fetched.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, sync_channel};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use quietus_core::time::Millis;
use rdkafka::client::ClientContext;
use rdkafka::consumer::{BaseConsumer, CommitMode, Consumer, ConsumerContext};
use rdkafka::error::KafkaError;
use rdkafka::message::{BorrowedMessage, Headers, Message};
use rdkafka::statistics::Statistics;
use rdkafka::topic_partition_list::{Offset, TopicPartitionList};
use rdkafka::types::RDKafkaRespErr;
use tokio::runtime::Handle;

use super::feed::{Feed, Trouble, guard};
use crate::intake::arrived::Arrived;

/// A batch ends here. Its end waits for an fsync: small ones would wait most of the time.
const RECORDS_MAX: usize = 20_000;
const BYTES_MAX: usize = 4 << 20;
const POLL: Duration = Duration::from_millis(100);
const AGAIN: Duration = Duration::from_millis(500);

pub(super) fn run(feed: &Arc<Feed>, n: u32, runtime: &Handle) {
    while feed.wait_until_ready() {
        if let Err(trouble) = consume(feed, n, runtime) {
            feed.trouble(Some(trouble));
            std::thread::sleep(AGAIN);
        }
    }
}

/// What was polled, in the order of its partitions.
struct Polled {
    records: Vec<Arrived>,
    /// Ends of partitions that these records, and those before them, reach.
    ends: Vec<(i32, i64)>,
}

/// Until it is to stop, or may not go on.
fn consume(feed: &Arc<Feed>, n: u32, runtime: &Handle) -> Result<(), Trouble> {
    let context = Assigned { feed: Arc::clone(feed), signalled: Mutex::default() };
    let id = format!("{}-{n}", feed.client_id());
    let consumer = feed.settings.member(&id, &feed.group(), context)?;
    consumer.subscribe(&[feed.topic()]).map_err(|error| Trouble::of(&error))?;
    let moved = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let (hand, handed) = sync_channel(1);
        scope.spawn(|| take_in(feed, handed, &moved, runtime));
        let (mut at_end, mut before) = (BTreeSet::new(), 0);
        while feed.is_ready() {
            let polled = poll(&consumer, feed, &mut at_end, before);
            before = polled.records.len();
            let is_news = !polled.records.is_empty() || !polled.ends.is_empty();
            if is_news && hand.send(polled).is_err() {
                break;
            }
            if moved.swap(false, Ordering::Relaxed) {
                commit(&consumer, feed);
            }
        }
    });
    commit(&consumer, feed);
    Ok(())
}

/// Until nobody polls any more. What was polled of a topic that turned out to be another one is left.
fn take_in(feed: &Feed, handed: Receiver<Polled>, moved: &AtomicBool, runtime: &Handle) {
    for Polled { records, ends } in handed {
        let is_new = !records.is_empty();
        if !feed.is_ready() || (is_new && !runtime.block_on(deliver(feed, records))) {
            return;
        }
        ends.into_iter().for_each(|(partition, end)| feed.ended(partition, end));
        // An idle topic tells its ends twice a second: there is nothing to commit then.
        moved.fetch_or(is_new, Ordering::Relaxed);
    }
}

/// `before`: as many records came last time.
fn poll(consumer: &BaseConsumer<Assigned>, feed: &Feed, at_end: &mut BTreeSet<i32>, before: usize) -> Polled {
    let (mut records, mut bytes, mut wait) = (Vec::new(), 0, POLL);
    let topic: Arc<str> = feed.topic().into();
    while records.len() < RECORDS_MAX && bytes < BYTES_MAX {
        match consumer.poll(wait) {
            None => {
                // Whatever was signalled before the queue ran empty was polled.
                let signalled = std::mem::take(&mut *guard(&consumer.context().signalled));
                let ends = signalled.into_iter().filter(|(p, _)| at_end.contains(p)).collect();
                return Polled { records, ends };
            }
            Some(Ok(message)) => {
                at_end.remove(&message.partition());
                let record = delivered(&message, &topic);
                bytes += record.size();
                if records.is_empty() {
                    records.reserve(before);
                }
                records.push(record);
            }
            Some(Err(KafkaError::PartitionEOF(partition))) => {
                at_end.insert(partition);
            }
            // The library goes on by itself; the watcher says what stands in the way.
            Some(Err(error)) => tracing::debug!(source = feed.plan.source, %error, "while polling"),
        }
        wait = Duration::ZERO;
    }
    Polled { records, ends: Vec::new() }
}

/// The record as it is kept; its topic is this one.
pub(super) fn delivered(message: &BorrowedMessage<'_>, topic: &Arc<str>) -> Arrived {
    let headers = message.headers().into_iter().flat_map(|headers| headers.iter());
    Arrived {
        mark: Some(Arc::clone(topic)),
        topic: Arc::clone(topic),
        partition: message.partition(),
        offset: message.offset(),
        timestamp: message.timestamp().to_millis().map(Millis),
        key: message.key().map(<[u8]>::to_vec),
        value: message.payload().map(<[u8]>::to_vec),
        headers: headers.map(|h| (h.key.to_owned(), h.value.unwrap_or_default().to_vec())).collect(),
    }
}

/// True once everything new in it is durable.
async fn deliver(feed: &Feed, mut batch: Vec<Arrived>) -> bool {
    let _turn = feed.turn.lock().await;
    batch.retain(|record| feed.next_of(record.partition).is_none_or(|next| record.offset >= next));
    if batch.is_empty() {
        return true;
    }
    loop {
        match feed.sink.take(&batch).await {
            Ok(newest) => {
                feed.told(newest);
                break;
            }
            Err(trouble) => feed.trouble(Some(trouble)),
        }
        if feed.is_stopped() {
            return false;
        }
        tokio::time::sleep(AGAIN).await;
    }
    let mut last: BTreeMap<i32, &Arrived> = BTreeMap::new();
    for record in &batch {
        last.insert(record.partition, record);
    }
    for (partition, record) in last {
        feed.advance(partition, record.offset + 1);
        let fingerprint = feed.sink.fingerprint(record);
        guard(&feed.anchors).drop_at(partition, record.offset, fingerprint);
    }
    feed.mended(&["ledger", "registry_unreachable", "dead_letters", "dataset_unknown"]);
    true
}

/// For other tools to look at: this node goes by its ledger.
fn commit(consumer: &BaseConsumer<Assigned>, feed: &Feed) {
    let Ok(mut offsets) = consumer.assignment() else { return };
    let partitions: Vec<i32> = offsets.elements().iter().map(|e| e.partition()).collect();
    offsets = TopicPartitionList::new();
    for partition in partitions {
        let next = feed.next_of(partition).map(Offset::Offset);
        let added = next.map(|next| offsets.add_partition_offset(feed.topic(), partition, next));
        if let Some(Err(error)) = added {
            tracing::debug!(%error, "an offset is not committed");
        }
    }
    if offsets.count() > 0
        && let Err(error) = consumer.commit(&offsets, CommitMode::Async)
    {
        tracing::debug!(source = feed.plan.source, %error, "offsets are not committed; the ledger has them");
    }
}

/// Starts every partition where the ledger says.
struct Assigned {
    feed: Arc<Feed>,
    /// Partition → the end that the library signalled last.
    signalled: Mutex<BTreeMap<i32, i64>>,
}

impl ClientContext for Assigned {
    fn stats(&self, statistics: Statistics) {
        let Some(topic) = statistics.topics.get(self.feed.topic()) else { return };
        let ends = topic.partitions.values().filter(|p| p.partition >= 0 && p.eof_offset >= 0);
        *guard(&self.signalled) = ends.map(|p| (p.partition, p.eof_offset)).collect();
    }
}

impl ConsumerContext for Assigned {
    fn rebalance(
        &self,
        consumer: &BaseConsumer<Self>,
        event: RDKafkaRespErr,
        offsets: &mut TopicPartitionList,
    ) {
        let moved = if event == RDKafkaRespErr::RD_KAFKA_RESP_ERR__ASSIGN_PARTITIONS {
            let partitions: Vec<i32> = offsets.elements().iter().map(|e| e.partition()).collect();
            let topic = self.feed.topic();
            let set = partitions.into_iter().try_for_each(|partition| {
                let start = self.feed.next_of(partition).map_or(Offset::Beginning, Offset::Offset);
                offsets.set_partition_offset(topic, partition, start)
            });
            set.and_then(|()| consumer.assign(offsets))
        } else {
            consumer.unassign()
        };
        if let Err(error) = moved {
            tracing::warn!(source = self.feed.plan.source, %error, "partitions could not be taken over");
        }
    }
}
