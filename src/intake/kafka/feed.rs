//! What the threads of one source share.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicI64, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};

use quietus_core::time::Millis;
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use tokio::sync::Mutex as Turn;

use super::anchor::Anchors;
use super::{Plan, Settings, Sink};

#[derive(Debug)]
pub struct Feed {
    pub plan: Plan,
    pub settings: Settings,
    pub sink: Arc<dyn Sink>,
    /// Who takes records in: one at a time, so that what two consumers were given is taken once.
    pub turn: Turn<()>,
    /// The next offset of each partition: everything before it is durable.
    next: Mutex<BTreeMap<i32, i64>>,
    /// Where each partition was seen to end, marks of transactions included.
    ends: Mutex<BTreeMap<i32, i64>>,
    pub anchors: Mutex<Anchors>,
    /// The newest time that the source told, milliseconds.
    newest: AtomicI64,
    status: Mutex<Status>,
    /// The watcher has looked, and nothing stands against consuming.
    ready: AtomicBool,
    stopped: AtomicBool,
    /// Who waits for either of them.
    turned: (Mutex<()>, Condvar),
}

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Status {
    pub trouble: Option<Trouble>,
    /// Records that wait in the topic; None = not known yet.
    pub lag: Option<u64>,
}

/// Why a source does not go on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Trouble {
    /// Snake case, stable: it stands in the API.
    pub code: &'static str,
    /// With what to do about it.
    pub detail: String,
    /// Only a person can mend it.
    pub lasts: bool,
}

impl Trouble {
    pub fn new(code: &'static str, detail: impl Into<String>) -> Self {
        Self { code, detail: detail.into(), lasts: false }
    }

    pub fn lasting(code: &'static str, detail: impl Into<String>) -> Self {
        Self { lasts: true, ..Self::new(code, detail) }
    }

    /// What the library says, which holds no password.
    pub fn of(error: &KafkaError) -> Self {
        let code = error.rdkafka_error_code();
        match code {
            Some(RDKafkaErrorCode::UnknownTopicOrPartition | RDKafkaErrorCode::UnknownTopic) => Self::new(
                "topic_missing",
                "the topic does not exist: create it, or mend its name in the source",
            ),
            Some(
                RDKafkaErrorCode::Authentication
                | RDKafkaErrorCode::SaslAuthenticationFailed
                | RDKafkaErrorCode::TopicAuthorizationFailed
                | RDKafkaErrorCode::GroupAuthorizationFailed,
            ) => Self::new(
                "not_allowed",
                format!(
                    "the brokers do not let this node in ({error}): mend `kafka: {{security: …}}`, or its rights"
                ),
            ),
            _ if matches!(error, KafkaError::ClientCreation(_) | KafkaError::ClientConfig(..)) => {
                Self::lasting(
                    "settings",
                    format!("the Kafka client cannot be made ({error}): mend `kafka:` in the configuration"),
                )
            }
            _ => Self::new(
                "brokers_unreachable",
                format!("the brokers do not answer ({error}): it is tried again"),
            ),
        }
    }
}

impl Feed {
    pub(super) fn new(plan: Plan, settings: Settings, sink: Arc<dyn Sink>) -> Self {
        Self {
            next: Mutex::default(),
            plan,
            settings,
            sink,
            turn: Turn::new(()),
            ends: Mutex::default(),
            anchors: Mutex::default(),
            newest: AtomicI64::new(i64::MIN),
            status: Mutex::default(),
            ready: AtomicBool::new(false),
            stopped: AtomicBool::new(false),
            turned: Default::default(),
        }
    }

    /// One group for each source; a generation goes on where the ledger says, whatever the group has committed.
    pub fn group(&self) -> String {
        format!("quietus.{}", self.plan.source)
    }

    pub fn client_id(&self) -> String {
        format!("quietus-{}", self.plan.node)
    }

    pub fn topic(&self) -> &str {
        &self.plan.kafka.topic
    }

    pub fn next(&self) -> BTreeMap<i32, i64> {
        guard(&self.next).clone()
    }

    pub fn next_of(&self, partition: i32) -> Option<i64> {
        guard(&self.next).get(&partition).copied()
    }

    /// Everything before `next` is durable.
    pub fn advance(&self, partition: i32, next: i64) {
        let mut all = guard(&self.next);
        let known = all.entry(partition).or_insert(next);
        *known = (*known).max(next);
    }

    pub fn ended(&self, partition: i32, end: i64) {
        let mut ends = guard(&self.ends);
        let known = ends.entry(partition).or_insert(end);
        *known = (*known).max(end);
    }

    /// Everything before this offset was taken, or is no record.
    pub fn read_up_to(&self, partition: i32) -> i64 {
        let next = self.next_of(partition).unwrap_or_default();
        next.max(guard(&self.ends).get(&partition).copied().unwrap_or_default())
    }

    pub fn told(&self, time: Option<Millis>) {
        if let Some(time) = time {
            self.newest.fetch_max(time.0, Ordering::Relaxed);
        }
    }

    pub fn newest(&self) -> Option<Millis> {
        let newest = self.newest.load(Ordering::Relaxed);
        (newest != i64::MIN).then_some(Millis(newest))
    }

    pub fn status(&self) -> Status {
        guard(&self.status).clone()
    }

    /// What lasts is not talked over by what comes and goes.
    pub fn trouble(&self, trouble: Option<Trouble>) {
        let mut status = guard(&self.status);
        if status.trouble.as_ref().is_some_and(|t| t.lasts) {
            return;
        }
        if let Some(new) = trouble.as_ref().filter(|new| status.trouble.as_ref() != Some(new)) {
            tracing::warn!(
                source = self.plan.source,
                code = new.code,
                why = new.detail,
                "a source does not go on"
            );
        }
        status.trouble = trouble;
    }

    /// It is over, unless it was another one.
    pub fn mended(&self, codes: &[&str]) {
        let stands = guard(&self.status).trouble.as_ref().is_some_and(|t| codes.contains(&t.code));
        if stands {
            self.trouble(None);
        }
    }

    pub fn lag(&self, lag: u64) {
        guard(&self.status).lag = Some(lag);
    }

    pub fn set_ready(&self, ready: bool) {
        self.ready.store(ready, Ordering::Release);
        self.wake();
    }

    /// False once it is to stop.
    pub fn wait_until_ready(&self) -> bool {
        let (lock, turned) = &self.turned;
        let waits = |_: &mut ()| !self.is_ready() && !self.is_stopped();
        drop(turned.wait_while(guard(lock), waits));
        !self.is_stopped()
    }

    fn wake(&self) {
        let (lock, turned) = &self.turned;
        // Whoever looked just before waits by now.
        drop(guard(lock));
        turned.notify_all();
    }

    pub fn is_ready(&self) -> bool {
        self.ready.load(Ordering::Acquire) && !self.is_stopped()
    }

    pub fn stop(&self) {
        self.stopped.store(true, Ordering::Release);
        self.wake();
    }

    pub fn is_stopped(&self) -> bool {
        self.stopped.load(Ordering::Acquire)
    }
}

pub(super) fn guard<T>(of: &Mutex<T>) -> MutexGuard<'_, T> {
    of.lock().unwrap_or_else(PoisonError::into_inner)
}
