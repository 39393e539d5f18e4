//! Tells others what was decided: CloudEvents on `quietus.events`, and what could not be read, sealed, on
//! `quietus.dead-letter`.
//!
//! Invariant: news is told before the ledger says so, and is kept until then, on disk; a crash between the two tells
//! some of it twice under the same id, and leaves nothing out. Topics are made or compared first, and nothing is told
//! to one whose settings break a promise.

use std::sync::Arc;
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use quietus_core::engine::news::{Item, What};
use quietus_core::identity::SubjectKey;
use quietus_core::obligation::Duty;
use quietus_core::record::{NewsSwitch, NewsTold, Record};
use quietus_core::verdict::Action;
use quietus_outside::topics::{Unfit, Wanted, compare};
use rdkafka::message::{Header, OwnedHeaders};
use rdkafka::producer::{FutureProducer, FutureRecord};
use serde_json::{Value, json};

use super::{Node, NodeError};
use crate::intake::kafka::Settings;
use crate::partition::{Partition, outcome_name};

const PERIOD: Duration = Duration::from_millis(250);
const AGAIN: Duration = Duration::from_secs(5);
/// How long a start waits for the brokers.
const PATIENCE: Duration = Duration::from_secs(5);
/// News told before the ledger says so.
const BATCH: usize = 1_000;
const DAY: i64 = 86_400_000;

/// Where others listen.
#[derive(Clone, Debug)]
struct Topics {
    events: String,
    dead_letters: String,
    settings: Settings,
    partitions: i32,
}

impl Topics {
    fn of(node: &Node) -> Option<Self> {
        let kafka = node.options.kafka.as_ref()?;
        let prefix = kafka.prefix.as_ref()?;
        let settings = kafka.resolved(&node.options.resolver).ok()?;
        Some(Self {
            events: format!("{prefix}events"),
            dead_letters: format!("{prefix}dead-letter"),
            settings,
            partitions: i32::try_from(node.partitions.len()).unwrap_or(1),
        })
    }

    async fn compare(&self) -> Result<(), Unfit> {
        let wanted = [
            Wanted {
                name: self.events.clone(),
                partitions: self.partitions,
                kept: (DAY, i64::MAX),
                made: 7 * DAY,
                why: "news must stay for a day at least, or whoever is away misses it",
            },
            Wanted {
                name: self.dead_letters.clone(),
                partitions: 1,
                kept: (DAY, 30 * DAY),
                made: 30 * DAY,
                why: "what could not be read is personal data, sealed: it stays for a day at least and is gone after 30",
            },
        ];
        compare(&self.settings.client("quietus-topics"), &self.settings.brokers.join(","), &wanted).await
    }
}

/// Whether others are told stands in the control log; a topic that breaks a promise stops the start.
pub(super) async fn begin(node: &Arc<Node>) -> Result<(), NodeError> {
    let topics = Topics::of(node);
    let on = topics.is_some();
    if let Some(topics) = topics {
        match tokio::time::timeout(PATIENCE, topics.compare()).await {
            Ok(Err(Unfit::Settings { topic, what, fix })) => {
                let what = format!("{topic}: {what}");
                return Err(NodeError::Refused { code: "topic-settings", what, fix: format!("run: {fix}") });
            }
            Ok(Err(Unfit::Unknown(why))) => tracing::warn!(why, "nobody is told for now"),
            Err(_) => tracing::warn!("the brokers do not answer: nobody is told for now"),
            Ok(Ok(())) => {}
        }
    }
    if node.with_control(|c| c.tells_news) != on {
        let at = node.clock.now().0;
        node.append_control(Record::NewsSwitch(NewsSwitch { on, at })).await?;
    }
    Ok(())
}

/// Tells the news of every partition, for ever.
pub(super) async fn tell(node: Arc<Node>) {
    let Some(topics) = Topics::of(&node) else { return };
    loop {
        match Teller::open(&topics).await {
            Ok(teller) => teller.run(&node).await,
            Err(unfit) => {
                let problem = unfit.problem();
                tracing::error!(topic = problem.place, "{}; {}", problem.detail, problem.fix);
            }
        }
        tokio::time::sleep(AGAIN).await;
    }
}

struct Teller<'a> {
    topics: &'a Topics,
    producer: FutureProducer,
}

impl<'a> Teller<'a> {
    async fn open(topics: &'a Topics) -> Result<Self, Unfit> {
        topics.compare().await?;
        let producer = topics
            .settings
            .client("quietus-news")
            .set("acks", "all")
            .set("enable.idempotence", "true")
            .set("linger.ms", "5")
            .set("message.timeout.ms", "30000")
            .create();
        let producer = producer.map_err(|_| Unfit::Unknown("no producer can be made".to_owned()))?;
        Ok(Self { topics, producer })
    }

    /// Until something cannot be told.
    async fn run(&self, node: &Node) {
        loop {
            let moved = node.moved.notified();
            let mut told = 0;
            for partition in node.partitions.iter() {
                match self.partition(node, partition).await {
                    Ok(n) => told += n,
                    Err(why) => return tracing::warn!(why, "the news waits"),
                }
            }
            if told == 0 {
                let _ = tokio::time::timeout(PERIOD, moved).await;
            }
        }
    }

    /// How much was told.
    async fn partition(&self, node: &Node, partition: &Partition) -> Result<usize, String> {
        let news = partition.news(BATCH).map_err(|e| e.to_string())?;
        let Some((last, _)) = news.last() else { return Ok(0) };
        let up_to = i64::try_from(*last).unwrap_or(i64::MAX);
        let mut sending = Vec::with_capacity(news.len());
        for (number, item) in &news {
            let Some((topic, key, event)) = self.event(node, partition.index(), *number, item) else {
                continue;
            };
            let body = event.to_string();
            let headers = OwnedHeaders::new()
                .insert(Header { key: "content-type", value: Some("application/cloudevents+json") });
            let record = FutureRecord::to(topic).key(&key).payload(&body).headers(headers);
            sending.push(self.producer.send_result(record).map_err(|(error, _)| error.to_string())?);
        }
        for delivery in sending {
            match delivery.await {
                Ok(Ok(_)) => {}
                Ok(Err((error, _))) => return Err(error.to_string()),
                Err(_) => return Err("the producer ended".to_owned()),
            }
        }
        let told = Record::NewsTold(NewsTold { up_to });
        let offset = node.append(partition.index(), vec![told], None).await.map_err(|e| e.to_string())?;
        node.has_applied(partition.index(), offset).await;
        Ok(news.len())
    }

    /// Topic, key and the CloudEvent; None = it is over already.
    fn event(&self, node: &Node, partition: u32, number: u64, item: &Item) -> Option<(&str, String, Value)> {
        let (kind, key, about, data) = match &item.what {
            What::DeadLetter { id } => {
                let letter = node.dead_letter(id).ok()?;
                let data = json!({
                    "id": letter.id, "source": letter.source, "topic": letter.topic, "partition": letter.partition,
                    "offset": letter.offset, "reason": letter.reason, "detail": letter.detail,
                    "payload": letter.payload.as_ref().map(|sealed| STANDARD.encode(sealed)),
                });
                ("dead-letter", id.clone(), Some(id.clone()), data)
            }
            what => {
                let (kind, subject, data) = told(what);
                let about = data.get("item").and_then(Value::as_str).map(str::to_owned);
                (kind, subject.map(|s| format!("{s:?}")).unwrap_or_default(), about, data)
            }
        };
        let mut event = json!({
            "specversion": "1.0",
            "id": format!("{partition}-{number}"),
            "source": format!("urn:quietus:{}", data_encoding::HEXLOWER.encode(&node.ledger.id())),
            "type": format!("quietus.{kind}.v1"),
            "time": item.at.to_string(),
            "datacontenttype": "application/json",
        });
        let more =
            [("subject", about), ("partitionkey", Some(key.clone())), ("traceparent", item.trace.clone())];
        if let Some(event) = event.as_object_mut() {
            event.extend(more.into_iter().filter_map(|(name, value)| Some((name.to_owned(), value?.into()))));
            event.insert("data".to_owned(), data);
        }
        let topic = if kind == "dead-letter" { &self.topics.dead_letters } else { &self.topics.events };
        Some((topic, key, event))
    }
}

/// Kind, whom it is about, and what is said: keyed hashes and names, never an identity.
fn told(what: &What) -> (&'static str, Option<SubjectKey>, Value) {
    match what {
        What::Decision(told) => {
            let data = json!({
                "item": told.item.to_string(), "system": told.system, "dataset": told.dataset,
                "categories": told.categories, "action": action(told.duty), "outcome": outcome_name(told.outcome),
                "confirmed": told.confirmed, "rule": told.rule, "cause": told.cause,
                "until": told.until.map(|at| at.to_string()),
            });
            ("decision", Some(told.item.subject), without_nulls(data))
        }
        What::Suppression { subject, request, kind, purposes, lifted } => {
            let data = json!({"request": request, "request_type": kind.name(), "purposes": purposes, "lifted": lifted});
            ("suppression", Some(*subject), data)
        }
        What::Violation { item, system, dataset, why, purposes } => {
            let data = json!({"item": item.to_string(), "system": system, "dataset": dataset, "why": why.words(), "purposes": purposes});
            ("violation", Some(item.subject), data)
        }
        What::Breach { item, system, dataset, holds } => {
            let data =
                json!({"item": item.to_string(), "system": system, "dataset": dataset, "holds": holds});
            ("breach", Some(item.subject), data)
        }
        What::Escalation { subject, item, system, request } => {
            let item = item.map(|item| item.to_string());
            let data = json!({"item": item, "system": system, "request": request});
            ("escalation", *subject, without_nulls(data))
        }
        What::DeadLetter { id } => ("dead-letter", None, json!({"id": id})),
    }
}

fn without_nulls(mut data: Value) -> Value {
    if let Some(data) = data.as_object_mut() {
        data.retain(|_, value| !value.is_null());
    }
    data
}

fn action(duty: Duty) -> &'static str {
    match duty {
        Duty::Delete | Duty::Change(Action::Erase) => "erase",
        Duty::Change(Action::Anonymise) => "anonymise",
        Duty::Change(Action::Pseudonymise) => "pseudonymise",
        Duty::Change(Action::Mask) => "mask",
        Duty::Change(Action::Restrict) => "restrict",
        Duty::Correct => "correct",
    }
}
