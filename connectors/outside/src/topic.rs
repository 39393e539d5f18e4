//! Commands on a topic, confirmations from another.
//!
//! Confirmations are read from the topic's beginning at every start and remembered by command: nobody commits an offset,
//! and a restart loses none. What is heard again changes nothing: the engine takes one answer to a command that is out.
//! Rejected: a consumer group, whose committed offset may be past an answer that was never made durable here.

use std::collections::{BTreeMap, VecDeque};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use quietus_contract::{Failure, Problem};
use quietus_http::Signer;
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::error::KafkaError;
use rdkafka::message::{BorrowedMessage, Header, Headers, Message, OwnedHeaders};
use rdkafka::producer::{FutureProducer, FutureRecord};
use rdkafka::topic_partition_list::{Offset, TopicPartitionList};

use crate::config::{Topics, wrong};
use crate::link::Link;
use crate::topics::{self, Unfit};
use crate::{Command, Confirmation, Now, avro};

/// Answers that are remembered; older ones are read again at the next start, as long as the topic keeps them.
const REMEMBERED: usize = 200_000;
const POLL: Duration = Duration::from_millis(200);
const AGAIN: Duration = Duration::from_secs(2);
/// How often the topic is looked at for new partitions.
const LOOK: u32 = 100;

pub(crate) struct TopicLink {
    topics: Topics,
    signer: Arc<Signer>,
    now: Now,
    producer: FutureProducer,
    shared: Arc<Shared>,
}

#[derive(Default)]
struct Shared {
    stopped: AtomicBool,
    heard: Mutex<Heard>,
    /// Why nothing is handed over; None = the topics are fit.
    unfit: Mutex<Option<Unfit>>,
}

#[derive(Default)]
struct Heard {
    answers: BTreeMap<String, (Confirmation, usize)>,
    order: VecDeque<String>,
    /// Partition → nothing is left to read.
    ended: BTreeMap<i32, bool>,
}

impl Shared {
    fn heard(&self) -> MutexGuard<'_, Heard> {
        self.heard.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn unfit(&self) -> MutexGuard<'_, Option<Unfit>> {
        self.unfit.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn is_stopped(&self) -> bool {
        self.stopped.load(Ordering::Relaxed)
    }
}

impl TopicLink {
    pub(crate) fn open(topics: Topics, signer: Arc<Signer>, now: Now, system: &str) -> Result<Self, Failure> {
        let id = format!("quietus-{system}");
        let producer = topics
            .client(&id)
            .set("acks", "all")
            .set("enable.idempotence", "true")
            .set("linger.ms", "2")
            .set("message.timeout.ms", "5000")
            .create()
            .map_err(|_| wrong("connection: librdkafka takes no such brokers or security settings"))?;
        let shared = Arc::new(Shared::default());
        *shared.unfit() = Some(Unfit::Unknown("the topics were not looked at yet".to_owned()));
        let (listener, of, by) = (Arc::clone(&shared), topics.clone(), Arc::clone(&signer));
        std::thread::spawn(move || listen(&listener, &of, &by, &id));
        Ok(Self { topics, signer, now, producer, shared })
    }
}

impl Drop for TopicLink {
    fn drop(&mut self) {
        self.shared.stopped.store(true, Ordering::Relaxed);
    }
}

/// Until the link is dropped: the topics are made or compared, then confirmations are read.
fn listen(shared: &Shared, topics: &Topics, signer: &Signer, id: &str) {
    while !shared.is_stopped() {
        let unfit = topics::compare_pair(topics).err();
        let is_fit = unfit.is_none();
        *shared.unfit() = unfit;
        if is_fit {
            shared.heard().ended.clear();
            // It ends when the topics change or the brokers are lost for good.
            let _ = read(shared, topics, signer, id);
        }
        std::thread::sleep(AGAIN);
    }
}

fn read(shared: &Shared, topics: &Topics, signer: &Signer, id: &str) -> Result<(), KafkaError> {
    let consumer: BaseConsumer = topics
        .client(id)
        // Never joined: the library wants one for assigning by hand.
        .set("group.id", format!("{id}.confirmations"))
        .set("enable.auto.commit", "false")
        .set("auto.offset.reset", "earliest")
        .set("enable.partition.eof", "true")
        .set("fetch.wait.max.ms", "50")
        .create()?;
    let partitions = partitions(&consumer, topics)?;
    let mut list = TopicPartitionList::new();
    for partition in &partitions {
        list.add_partition_offset(&topics.confirmations, *partition, Offset::Beginning)?;
    }
    consumer.assign(&list)?;
    shared.heard().ended = partitions.iter().map(|p| (*p, false)).collect();
    let mut rounds = 0_u32;
    while !shared.is_stopped() {
        match consumer.poll(POLL) {
            Some(Ok(message)) => hear(shared, signer, &message),
            Some(Err(KafkaError::PartitionEOF(partition))) => {
                shared.heard().ended.insert(partition, true);
            }
            // It goes on by itself once they are back.
            Some(Err(_)) => shared.heard().ended.values_mut().for_each(|ended| *ended = false),
            None => rounds += 1,
        }
        if rounds >= LOOK {
            rounds = 0;
            if self::partitions(&consumer, topics).is_ok_and(|now| now != partitions) {
                return Ok(());
            }
        }
    }
    Ok(())
}

fn partitions(consumer: &BaseConsumer, topics: &Topics) -> Result<Vec<i32>, KafkaError> {
    let metadata = consumer.fetch_metadata(Some(&topics.confirmations), Duration::from_secs(10))?;
    let known = metadata.topics().iter().find(|t| t.name() == topics.confirmations);
    Ok(known
        .map(|t| t.partitions().iter().map(rdkafka::metadata::MetadataPartition::id).collect())
        .unwrap_or_default())
}

fn hear(shared: &Shared, signer: &Signer, message: &BorrowedMessage<'_>) {
    let body = message.payload().unwrap_or_default();
    let header = |name: &str| {
        let mut all = message.headers()?.iter();
        all.find(|h| h.key == name).and_then(|h| std::str::from_utf8(h.value?).ok())
    };
    let mut heard = shared.heard();
    heard.ended.insert(message.partition(), false);
    // Other systems answer on the same topic, with secrets of their own.
    if !signer.is_signed(header, body, None) {
        return;
    }
    let Some(said) = avro::read::<Confirmation>(body) else {
        tracing::warn!(
            partition = message.partition(),
            offset = message.offset(),
            "no confirmation, and signed"
        );
        return;
    };
    let id = said.id.clone();
    if let Some((kept, count)) = heard.answers.get_mut(&id) {
        // Whatever is read late: an older attempt's answer takes no newer one's place.
        if said.attempt >= kept.attempt {
            *kept = said;
        }
        *count += 1;
        return;
    }
    heard.order.push_back(id.clone());
    heard.answers.insert(id, (said, 1));
    if heard.order.len() > REMEMBERED
        && let Some(oldest) = heard.order.pop_front()
    {
        heard.answers.remove(&oldest);
    }
}

#[async_trait]
impl Link for TopicLink {
    async fn tell(&self, commands: &[Command]) -> Vec<Result<Option<Confirmation>, Failure>> {
        if let Some(unfit) = self.shared.unfit().as_ref() {
            return commands.iter().map(|_| Err(unfit.failure())).collect();
        }
        let mut told = Vec::with_capacity(commands.len());
        // Handed to the library together, so that a batch travels as one.
        let sent: Vec<_> = commands.iter().map(|command| self.send(command)).collect();
        for sending in sent {
            told.push(match sending {
                Ok(delivery) => match delivery.await {
                    Ok(Ok(_)) => Ok(None),
                    Ok(Err((error, _))) => Err(undelivered(&error)),
                    Err(_) => Err(Failure::unknown("unreachable", "the producer ended")),
                },
                Err(failure) => Err(failure),
            });
        }
        told
    }

    async fn hear(&self, commands: &[Command]) -> Vec<Result<Option<Confirmation>, Failure>> {
        let heard = self.shared.heard();
        commands.iter().map(|c| Ok(heard.answers.get(&c.id).map(|(said, _)| said.clone()))).collect()
    }

    fn heard(&self, id: &str) -> usize {
        self.shared.heard().answers.get(id).map_or(0, |(_, count)| *count)
    }

    fn is_current(&self) -> bool {
        let heard = self.shared.heard();
        self.shared.unfit().is_none() && !heard.ended.is_empty() && heard.ended.values().all(|ended| *ended)
    }

    async fn check(&self) -> Vec<Problem> {
        let topics = self.topics.clone();
        let compared = tokio::task::spawn_blocking(move || topics::compare_pair(&topics)).await;
        match compared {
            Ok(Ok(())) => Vec::new(),
            Ok(Err(unfit)) => vec![unfit.problem()],
            Err(_) => vec![Unfit::Unknown("the look at the topics broke off".to_owned()).problem()],
        }
    }
}

impl TopicLink {
    fn send(&self, command: &Command) -> Result<rdkafka::producer::DeliveryFuture, Failure> {
        let body = avro::write(command).ok_or_else(|| {
            Failure::fatal("internal", "schemas/avro/Command does not say what the program writes")
        })?;
        let signed = self.signer.headers(&command.id, (self.now)(), &body);
        let headers = signed.iter().fold(OwnedHeaders::new(), |all, (name, value)| {
            all.insert(Header { key: name, value: Some(value.as_str()) })
        });
        let record = FutureRecord::to(&self.topics.commands).key(&command.id).payload(&body).headers(headers);
        self.producer.send_result(record).map_err(|(error, _)| undelivered(&error))
    }
}

fn undelivered(error: &KafkaError) -> Failure {
    let code = error.rdkafka_error_code();
    let detail = code.map_or_else(
        || "the brokers did not take it".to_owned(),
        |c| format!("the brokers did not take it: {c}"),
    );
    Failure::unknown("unreachable", detail)
}
