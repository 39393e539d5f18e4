//! Topics, made where they are missing and compared where they are there.
//!
//! What names people must go by itself; what somebody must read must not be compacted away, or be gone, before it was.

use std::time::Duration;

use quietus_contract::{Failure, Problem};
use rdkafka::ClientConfig;
use rdkafka::admin::{AdminClient, AdminOptions, NewTopic, ResourceSpecifier, TopicReplication};
use rdkafka::client::DefaultClientContext;
use rdkafka::types::RDKafkaErrorCode;

use crate::config::Topics;

const PATIENCE: Duration = Duration::from_secs(10);
const AGAIN: Duration = Duration::from_millis(200);
const TRIES: u32 = 25;
const DAY: i64 = 86_400_000;
const PARTITIONS: i32 = 6;

/// What a topic must be like.
#[derive(Clone, Debug)]
pub struct Wanted {
    pub name: String,
    /// Of one that is made here.
    pub partitions: i32,
    /// Kept between these, milliseconds.
    pub kept: (i64, i64),
    /// Of one that is made here, milliseconds.
    pub made: i64,
    pub why: &'static str,
}

/// Why the topics cannot be used.
#[derive(Clone, Debug)]
pub enum Unfit {
    /// A setting breaks a promise; this command mends it.
    Settings { topic: String, what: String, fix: String },
    /// It is not known how they are.
    Unknown(String),
}

impl Unfit {
    pub fn failure(&self) -> Failure {
        match self {
            Self::Settings { topic, what, fix } => {
                Failure::retry("topic_settings", format!("{topic}: {what}; run: {fix}"))
            }
            Self::Unknown(why) => Failure::retry("unreachable", why.clone()),
        }
    }

    pub fn problem(&self) -> Problem {
        let (code, place, detail, fix) = match self {
            Self::Settings { topic, what, fix } => {
                ("topic_settings", topic.clone(), what.clone(), format!("run: {fix}"))
            }
            Self::Unknown(why) => (
                "unreachable",
                "connection.brokers".to_owned(),
                why.clone(),
                "check the brokers and the security settings".to_owned(),
            ),
        };
        Problem { fatal: true, code, place, detail, fix }
    }
}

/// A connector's two topics. Blocks.
pub(crate) fn compare_pair(topics: &Topics) -> Result<(), Unfit> {
    let wanted = [
        Wanted {
            name: topics.commands.clone(),
            partitions: PARTITIONS,
            kept: (DAY / 24, 7 * DAY),
            made: DAY,
            why: "commands name people in clear and must be gone after a week, and stay for an hour at least",
        },
        Wanted {
            name: topics.confirmations.clone(),
            partitions: PARTITIONS,
            kept: (DAY, i64::MAX),
            made: DAY,
            why: "an answer must stay for a day at least, or a node that is down loses it",
        },
    ];
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build();
    let runtime = runtime.map_err(|_| Unfit::Unknown("the runtime cannot start".to_owned()))?;
    runtime.block_on(compare(&topics.client("quietus-topics"), &topics.brokers, &wanted))
}

/// Makes what is missing; an error = they are not to be used.
pub async fn compare(client: &ClientConfig, brokers: &str, wanted: &[Wanted]) -> Result<(), Unfit> {
    let unmade =
        |_| Unfit::Unknown("no client for the topics can be made; are the brokers there?".to_owned());
    let admin: AdminClient<DefaultClientContext> = client.create().map_err(unmade)?;
    for topic in wanted {
        create(&admin, topic).await?;
        look(&admin, topic, brokers).await?;
    }
    Ok(())
}

async fn create(admin: &AdminClient<DefaultClientContext>, topic: &Wanted) -> Result<(), Unfit> {
    let kept = topic.made.to_string();
    let new = NewTopic::new(&topic.name, topic.partitions, TopicReplication::Fixed(-1))
        .set("cleanup.policy", "delete")
        .set("retention.ms", &kept);
    let options = AdminOptions::new().request_timeout(Some(PATIENCE));
    let made = admin.create_topics([&new], &options).await;
    let made =
        made.map_err(|error| Unfit::Unknown(format!("{} cannot be made: {}", topic.name, said(&error))))?;
    match made.into_iter().next() {
        Some(Ok(_)) => {
            tracing::info!(topic = topic.name, "made");
            Ok(())
        }
        Some(Err((_, RDKafkaErrorCode::TopicAlreadyExists))) => Ok(()),
        // Whoever may not make topics may still use them.
        Some(Err((
            _,
            RDKafkaErrorCode::TopicAuthorizationFailed | RDKafkaErrorCode::ClusterAuthorizationFailed,
        ))) => Ok(()),
        Some(Err((_, code))) => Err(Unfit::Unknown(format!("{} cannot be made: {code}", topic.name))),
        None => Err(Unfit::Unknown(format!("{} was not answered for", topic.name))),
    }
}

async fn look(admin: &AdminClient<DefaultClientContext>, topic: &Wanted, brokers: &str) -> Result<(), Unfit> {
    let unknown =
        |what: String| Unfit::Unknown(format!("{}: its settings cannot be read: {what}", topic.name));
    let mut settings = None;
    // A topic that was just made is not known to every broker at once.
    for _ in 0..TRIES {
        settings = read(admin, &topic.name).await.map_err(|error| unknown(said(&error)))?;
        if settings.is_some() {
            break;
        }
        tokio::time::sleep(AGAIN).await;
    }
    let Some((policy, kept)) = settings else {
        return Err(unknown("not there, or not allowed".to_owned()));
    };
    let fix = |setting: &str| {
        format!(
            "kafka-configs.sh --bootstrap-server {} --alter --entity-type topics --entity-name {} --add-config {setting}",
            brokers, topic.name
        )
    };
    let broken = |what: String, setting: String| Unfit::Settings {
        topic: topic.name.clone(),
        what: format!("{what}: {}", topic.why),
        fix: fix(&setting),
    };
    if policy != "delete" {
        return Err(broken(format!("cleanup.policy is {policy}"), "cleanup.policy=delete".to_owned()));
    }
    // -1 = for ever.
    let kept = kept.parse::<i64>().unwrap_or(-1);
    let (least, most) = topic.kept;
    let lasts = if kept < 0 { i64::MAX } else { kept };
    if lasts < least || lasts > most {
        return Err(broken(format!("retention.ms is {kept}"), format!("retention.ms={}", topic.made)));
    }
    Ok(())
}

/// `cleanup.policy` and `retention.ms`; None = the topic is not known there.
async fn read(
    admin: &AdminClient<DefaultClientContext>,
    topic: &str,
) -> Result<Option<(String, String)>, rdkafka::error::KafkaError> {
    let options = AdminOptions::new().request_timeout(Some(PATIENCE));
    let told = admin.describe_configs([&ResourceSpecifier::Topic(topic)], &options).await?;
    let Some(Ok(settings)) = told.into_iter().next() else { return Ok(None) };
    let value = |name: &str| settings.get(name)?.value.clone();
    Ok(value("cleanup.policy").zip(value("retention.ms")))
}

/// Without what the library adds of addresses.
fn said(error: &rdkafka::error::KafkaError) -> String {
    error.rdkafka_error_code().map_or_else(|| "no answer".to_owned(), |code| code.to_string())
}
