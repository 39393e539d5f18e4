//! The watcher of one source: where the topic ends, whether it is the same topic still, whether the group is ours.
//!
//! Ends that were seen at a moment and have been read since are the watermark: nothing older waits in the topic. A
//! source that tells its own time reaches the newest time it had told at that moment.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use quietus_core::source::Start;
use quietus_core::time::Millis;
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::message::Message;
use rdkafka::topic_partition_list::{Offset, TopicPartitionList};
use tokio::runtime::Handle;

use super::anchor::{Anchor, Anchors};
use super::consume::delivered;
use super::feed::{Feed, Trouble, guard};

const TICK: Duration = Duration::from_millis(250);
const PATIENCE: Duration = Duration::from_secs(5);
/// Ticks between two looks at what rarely changes: the group, the anchors.
const RARELY: u32 = 16;
/// What the library has to say between two looks is less.
const HEARD_MAX: usize = 100;
/// Ticks for which a topic may end too early before it is believed.
const SHORT_MAX: u32 = 20;
/// A watermark costs every partition of the ledger a frame.
const SAY_EVERY: i64 = Millis::SECOND;

pub(super) fn run(feed: &Arc<Feed>, runtime: &Handle) {
    let mut watch: Option<Watch> = None;
    while !feed.is_stopped() {
        let looked = match &mut watch {
            Some(watch) => watch.look(feed, runtime),
            None => Watch::new(feed, runtime).and_then(|new| watch.insert(new).look(feed, runtime)),
        };
        match looked {
            Ok(()) => feed.mended(&["brokers_unreachable", "topic_missing", "not_allowed", "group_taken"]),
            Err(trouble) => {
                // A broker that is away for a moment is waited for; what says that reading is wrong ends it.
                if trouble.lasts || trouble.code == "group_taken" {
                    feed.set_ready(false);
                }
                feed.trouble(Some(trouble));
            }
        }
        std::thread::sleep(TICK);
    }
}

struct Watch {
    probe: BaseConsumer,
    heartbeats: Option<BaseConsumer>,
    ticks: u32,
    /// What is to be read before the watermark moves.
    sample: Option<Sample>,
    said: Millis,
    said_at: Millis,
    /// How often in a row the topic ended before what was read of it.
    short: u32,
    /// The brokers answer, and let nobody in: why. The library says it once, and then only that nobody answers.
    refused: Option<Trouble>,
}

struct Sample {
    ends: BTreeMap<i32, i64>,
    time: Option<Millis>,
}

impl Watch {
    fn new(feed: &Feed, runtime: &Handle) -> Result<Self, Trouble> {
        for (partition, next) in runtime.block_on(feed.sink.next())? {
            feed.advance(partition, next);
        }
        *guard(&feed.anchors) = feed.sink.position().as_deref().map(Anchors::read).unwrap_or_default();
        let probe = feed.settings.probe(&format!("{}-watch", feed.client_id()))?;
        let never = Millis(i64::MIN);
        Ok(Self {
            probe,
            heartbeats: None,
            ticks: 0,
            sample: None,
            said: never,
            said_at: never,
            short: 0,
            refused: None,
        })
    }

    fn look(&mut self, feed: &Feed, runtime: &Handle) -> Result<(), Trouble> {
        let ends = self.ends(feed).map_err(|trouble| self.explained(trouble))?;
        self.refused = None;
        let short = ends.iter().find(|(p, (_, high))| feed.next_of(**p).is_some_and(|next| next > *high));
        if let Some((partition, _)) = short {
            self.short += 1;
            // A broker that has just come up may not know its own end for a moment.
            return Err(match self.short {
                0..=SHORT_MAX => Trouble::new(
                    "brokers_unreachable",
                    format!("{} ends before what was read of it: it is looked at again", feed.topic()),
                ),
                _ => made_anew(feed, *partition),
            });
        }
        self.short = 0;
        if self.ticks.is_multiple_of(RARELY) {
            self.is_same_topic(feed, &ends)?;
            self.is_ours(feed)?;
        }
        if !feed.is_ready() && !feed.status().trouble.is_some_and(|t| t.lasts) {
            begin(feed, &ends, runtime)?;
            feed.set_ready(true);
        }
        self.ticks += 1;
        self.hear(feed);
        let lag = ends.iter().map(|(p, (low, high))| (high - feed.read_up_to(*p).max(*low)).max(0));
        feed.lag(u64::try_from(lag.sum::<i64>()).unwrap_or_default());
        self.move_on(feed, &ends, runtime)
    }

    /// Why nobody answers, where the brokers have said so since.
    fn explained(&mut self, trouble: Trouble) -> Trouble {
        if trouble.code != "brokers_unreachable" {
            return trouble;
        }
        let heard = std::iter::from_fn(|| self.probe.poll(Duration::ZERO)).take(HEARD_MAX);
        for error in heard.filter_map(Result::err) {
            let is_away = matches!(
                error.rdkafka_error_code(),
                Some(RDKafkaErrorCode::BrokerTransportFailure | RDKafkaErrorCode::Resolve)
            );
            let why = Trouble::of(&error);
            match why.code {
                "not_allowed" => self.refused = Some(why),
                _ if is_away => self.refused = None,
                _ => {}
            }
        }
        self.refused.clone().unwrap_or(trouble)
    }

    /// Partition → (first, next) offset.
    fn ends(&self, feed: &Feed) -> Result<BTreeMap<i32, (i64, i64)>, Trouble> {
        let of = |error: KafkaError| Trouble::of(&error);
        let metadata = self.probe.fetch_metadata(Some(feed.topic()), PATIENCE).map_err(of)?;
        let missing = || {
            Trouble::new(
                "topic_missing",
                format!(
                    "the topic {} does not exist: create it, or mend its name in the source",
                    feed.topic()
                ),
            )
        };
        let topic = metadata.topics().first().ok_or_else(missing)?;
        if topic.partitions().is_empty() || topic.error().is_some() {
            return Err(missing());
        }
        let partitions = topic.partitions().iter().map(|p| {
            let ends = self.probe.fetch_watermarks(feed.topic(), p.id(), PATIENCE).map_err(of)?;
            Ok((p.id(), ends))
        });
        partitions.collect()
    }

    /// The record at each anchor is the one that was read there.
    fn is_same_topic(&self, feed: &Feed, ends: &BTreeMap<i32, (i64, i64)>) -> Result<(), Trouble> {
        let (mut open, newest) = {
            let anchors = guard(&feed.anchors);
            (anchors.to_check(), anchors.newest())
        };
        open.retain(|p, (offset, _)| ends.get(p).is_some_and(|(low, high)| (low..high).contains(&&*offset)));
        if !open.is_empty() {
            self.look_for(feed, &mut open)?;
        }
        guard(&feed.anchors).found(newest);
        Ok(())
    }

    fn look_for(&self, feed: &Feed, open: &mut BTreeMap<i32, Anchor>) -> Result<(), Trouble> {
        let of = |error: KafkaError| Trouble::of(&error);
        let mut list = TopicPartitionList::new();
        for (partition, (offset, _)) in open.iter() {
            list.add_partition_offset(feed.topic(), *partition, Offset::Offset(*offset)).map_err(of)?;
        }
        self.probe.assign(&list).map_err(of)?;
        let found = self.compare(feed, open);
        self.probe.unassign().map_err(of)?;
        found
    }

    fn compare(&self, feed: &Feed, open: &mut BTreeMap<i32, Anchor>) -> Result<(), Trouble> {
        let mut silent = 0;
        while !open.is_empty() && silent < 20 && !feed.is_stopped() {
            match self.probe.poll(TICK) {
                Some(Ok(message)) => {
                    let known = open.remove(&message.partition());
                    let other = known.filter(|(offset, fingerprint)| {
                        message.offset() == *offset
                            && feed.sink.fingerprint(&delivered(&message, &feed.topic().into()))
                                != *fingerprint
                    });
                    if other.is_some() {
                        return Err(made_anew(feed, message.partition()));
                    }
                }
                Some(Err(KafkaError::PartitionEOF(partition))) => {
                    open.remove(&partition);
                }
                Some(Err(_)) | None => silent += 1,
            }
        }
        if open.is_empty() || feed.is_stopped() {
            return Ok(());
        }
        Err(Trouble::new(
            "brokers_unreachable",
            "the last record that was read cannot be read again: it is tried again",
        ))
    }

    /// Nobody else's consumers are in the group.
    fn is_ours(&self, feed: &Feed) -> Result<(), Trouble> {
        let groups = self.probe.client().fetch_group_list(Some(&feed.group()), PATIENCE);
        let groups = groups.map_err(|error| Trouble::of(&error))?;
        let ours = format!("{}-", feed.client_id());
        let members = groups.groups().iter().flat_map(|group| group.members());
        let other = members.map(|m| m.client_id()).find(|id| !id.starts_with(&ours));
        match other {
            // Two that came at the same moment: one of them stays.
            Some(other) if !feed.is_ready() || other < ours.as_str() => Err(Trouble::new(
                "group_taken",
                format!(
                    "another node ({other}) reads {} in the group {}: stop it, or give this node's source another name",
                    feed.topic(),
                    feed.group()
                ),
            )),
            _ => Ok(()),
        }
    }

    /// Debezium says on a topic of its own that a quiet table is quiet.
    fn hear(&mut self, feed: &Feed) {
        if !feed.plan.tells_time {
            return;
        }
        if self.heartbeats.is_none() && self.ticks % RARELY == 1 {
            self.heartbeats = self.heartbeat_consumer(feed);
        }
        let Some(consumer) = &self.heartbeats else { return };
        while let Some(polled) = consumer.poll(Duration::ZERO) {
            if let Ok(message) = polled {
                feed.told(feed.sink.heartbeat(&delivered(&message, &message.topic().into())));
            }
        }
    }

    /// None while there is no such topic.
    fn heartbeat_consumer(&self, feed: &Feed) -> Option<BaseConsumer> {
        let named = feed.plan.kafka.heartbeat.clone();
        let prefix = feed.topic().split('.').next().unwrap_or_default();
        let topic = named.unwrap_or_else(|| format!("__debezium-heartbeat.{prefix}"));
        // Asking for one topic may create it; the list of all never does.
        let metadata = self.probe.fetch_metadata(None, PATIENCE).ok()?;
        let there = metadata.topics().iter().find(|t| t.name() == topic)?;
        let mut list = TopicPartitionList::new();
        for partition in there.partitions() {
            list.add_partition_offset(&topic, partition.id(), Offset::OffsetTail(1)).ok()?;
        }
        let consumer = feed.settings.probe(&format!("{}-heartbeat", feed.client_id())).ok()?;
        consumer.assign(&list).ok()?;
        Some(consumer)
    }

    /// What was sampled has been read: the watermark moves, and a new sample is taken.
    fn move_on(
        &mut self,
        feed: &Feed,
        ends: &BTreeMap<i32, (i64, i64)>,
        runtime: &Handle,
    ) -> Result<(), Trouble> {
        let now = feed.sink.now();
        let read = |sample: &Sample| sample.ends.iter().all(|(p, end)| feed.read_up_to(*p) >= *end);
        let lately = now < self.said_at.plus(SAY_EVERY);
        if let Some(sample) = self.sample.take_if(|sample| !lately && read(sample))
            && let Some(time) = sample.time.filter(|time| *time > self.said)
        {
            let position = guard(&feed.anchors).written();
            runtime.block_on(feed.sink.reached(position, time))?;
            (self.said, self.said_at) = (time, now);
        }
        if self.sample.is_none() {
            let settled = now.plus(-feed.plan.settle);
            let time = if feed.plan.tells_time { feed.newest() } else { Some(settled) };
            // What lies in front of the first offset is gone, and was read or never will be.
            let ends = ends.iter().map(|(p, (low, high))| (*p, if low == high { 0 } else { *high }));
            self.sample = Some(Sample { ends: ends.collect(), time });
        }
        Ok(())
    }
}

/// A generation that never read starts where its source says; new partitions of one that did, at their beginning.
fn begin(feed: &Feed, ends: &BTreeMap<i32, (i64, i64)>, runtime: &Handle) -> Result<(), Trouble> {
    if !feed.next().is_empty() || feed.plan.kafka.start == Start::Earliest {
        return Ok(());
    }
    let offsets: BTreeMap<i32, i64> = ends.iter().map(|(p, (_, high))| (*p, *high)).collect();
    runtime.block_on(feed.sink.begin(&offsets))?;
    offsets.iter().for_each(|(partition, offset)| feed.advance(*partition, *offset));
    Ok(())
}

fn made_anew(feed: &Feed, partition: i32) -> Trouble {
    let (topic, source) = (feed.topic(), &feed.plan.source);
    Trouble::lasting(
        "topic_recreated",
        format!(
            "partition {partition} of {topic} no longer holds what was read there: the topic was made anew. Nothing of it is read until somebody has looked: `quietus source retire {source}`, then apply its file again, and it is read from its start as a new generation"
        ),
    )
}
