//! Commands on a topic, confirmations from another.
//!
//! Confirmations are remembered by command until the node says that they are durable, and the offset that is committed
//! is the first of those that are not: a start goes on there and loses none. What is heard again changes nothing: the
//! engine takes one answer to a command that is out. Rejected: joining a group, and committing what was merely read.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use async_trait::async_trait;
use quietus_contract::{CommandId, Failure, Problem};
use quietus_http::Signer;
use rdkafka::consumer::{BaseConsumer, CommitMode, Consumer};
use rdkafka::error::KafkaError;
use rdkafka::message::{BorrowedMessage, Header, Headers, Message, OwnedHeaders};
use rdkafka::producer::{FutureProducer, FutureRecord};
use rdkafka::topic_partition_list::{Offset, TopicPartitionList};

use crate::command::shown;
use crate::config::{Topics, wrong};
use crate::heard::Heard;
use crate::link::Link;
use crate::topics::{self, Unfit};
use crate::{Command, Confirmation, Now, avro};

const POLL: Duration = Duration::from_millis(200);
const AGAIN: Duration = Duration::from_secs(2);
const PATIENCE: Duration = Duration::from_secs(10);
/// How often the topic is looked at for new partitions.
const LOOK: Duration = Duration::from_secs(20);
/// How often the position is committed.
const COMMIT: Duration = Duration::from_secs(1);

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
    /// `reader` = whose position it is; None = everything is read, and nothing kept of that.
    pub(crate) fn open(
        topics: Topics,
        signer: Arc<Signer>,
        now: Now,
        system: &str,
        reader: Option<String>,
    ) -> Result<Self, Failure> {
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
        std::thread::spawn(move || listen(&listener, &of, &by, &id, reader.as_deref()));
        Ok(Self { topics, signer, now, producer, shared })
    }
}

impl Drop for TopicLink {
    fn drop(&mut self) {
        self.shared.stopped.store(true, Ordering::Relaxed);
    }
}

/// Until the link is dropped: the topics are made or compared, then confirmations are read.
fn listen(shared: &Shared, topics: &Topics, signer: &Signer, id: &str, reader: Option<&str>) {
    while !shared.is_stopped() {
        let unfit = topics::compare_pair(topics).err();
        let is_fit = unfit.is_none();
        *shared.unfit() = unfit;
        if is_fit {
            shared.heard().begin(&[]);
            // It ends when the topics change, and where the brokers do not let this node read.
            if let Err(error) = read(shared, topics, signer, id, reader) {
                tracing::warn!(topic = topics.confirmations, %error, "confirmations cannot be read");
                *shared.unfit() =
                    Some(Unfit::Unknown(format!("{} cannot be read: {error}", topics.confirmations)));
            }
        }
        std::thread::sleep(AGAIN);
    }
}

fn read(
    shared: &Shared,
    topics: &Topics,
    signer: &Signer,
    id: &str,
    reader: Option<&str>,
) -> Result<(), KafkaError> {
    let nobody = format!("{id}.confirmations");
    let consumer: BaseConsumer = topics
        .client(id)
        // Never joined: the library wants one for assigning by hand, and keeps the position under it.
        .set("group.id", reader.unwrap_or(&nobody))
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
    if reader.is_some() {
        let committed = consumer.committed_offsets(list.clone(), PATIENCE)?;
        for of in committed.elements() {
            if let Offset::Offset(next) = of.offset() {
                list.set_partition_offset(of.topic(), of.partition(), Offset::Offset(next))?;
            }
        }
    }
    consumer.assign(&list)?;
    shared.heard().begin(&partitions);
    let (mut looked, mut committed) = (Instant::now(), Instant::now());
    while !shared.is_stopped() {
        match consumer.poll(POLL) {
            Some(Ok(message)) => hear(shared, signer, &message),
            Some(Err(KafkaError::PartitionEOF(partition))) => shared.heard().ended(partition),
            // It goes on by itself once they are back.
            Some(Err(_)) => shared.heard().lost(),
            None => {}
        }
        if reader.is_some() && committed.elapsed() >= COMMIT {
            committed = Instant::now();
            commit(&consumer, topics, shared.heard().moved(committed));
        }
        if looked.elapsed() >= LOOK {
            looked = Instant::now();
            if self::partitions(&consumer, topics).is_ok_and(|now| now != partitions) {
                return Ok(());
            }
        }
    }
    Ok(())
}

/// What is not committed is only read once more.
fn commit(consumer: &BaseConsumer, topics: &Topics, moved: Vec<(i32, i64)>) {
    let mut list = TopicPartitionList::new();
    let added = moved.into_iter().try_for_each(|(partition, next)| {
        list.add_partition_offset(&topics.confirmations, partition, Offset::Offset(next))
    });
    if list.count() == 0 {
        return;
    }
    if let Err(error) = added.and_then(|()| consumer.commit(&list, CommitMode::Async)) {
        tracing::debug!(%error, "the position among the confirmations is not committed");
    }
}

fn partitions(consumer: &BaseConsumer, topics: &Topics) -> Result<Vec<i32>, KafkaError> {
    let metadata = consumer.fetch_metadata(Some(&topics.confirmations), PATIENCE)?;
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
    // Other systems answer on the same topic, with secrets of their own.
    let said = signer.is_signed(header, body, None).then(|| avro::read::<Confirmation>(body));
    if said.as_ref().is_some_and(Option::is_none) {
        tracing::warn!(
            partition = message.partition(),
            offset = message.offset(),
            "no confirmation, and signed"
        );
    }
    shared.heard().take(message.partition(), message.offset(), said.flatten(), Instant::now());
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
        let (mut heard, now) = (self.shared.heard(), Instant::now());
        commands.iter().map(|c| Ok(heard.ask(&c.id, now))).collect()
    }

    fn heard(&self, id: &str) -> usize {
        self.shared.heard().count(id)
    }

    fn is_current(&self) -> bool {
        self.shared.unfit().is_none() && self.shared.heard().is_current()
    }

    fn settle(&self, answered: &[(CommandId, u32)]) {
        let mut heard = self.shared.heard();
        answered.iter().for_each(|(id, attempt)| heard.settle(&shown(*id), *attempt));
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
