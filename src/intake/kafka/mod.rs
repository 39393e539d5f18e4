//! A topic as a source: its records are taken in order, each once, and never committed before they are durable.
//!
//! [`start`] runs one source: some consumers of one group, two threads each ([`consume`]), and a watcher beside them
//! ([`watch`]) that knows where the topic ends, whether it is still the same topic, and whether the group is ours alone.
//! What the records become and where they are kept is the [`Sink`]'s business.
//!
//! Invariant: the ledger's marks say where to go on, not Kafka's committed offsets, which follow them for other tools to
//! look at. Several consumers of one node share one list of positions and one turn: whatever a rebalance delivers twice
//! is dropped before it is mapped. Rejected: Kafka transactions (four times the cost; marks do it, in every backend),
//! and believing a topic's name: one made anew has other records under the same offsets.

mod anchor;
mod client;
mod consume;
mod feed;
mod watch;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::thread::JoinHandle;

use async_trait::async_trait;
use quietus_core::source::Kafka;
use quietus_core::time::Millis;
use tokio::runtime::Handle;

use super::arrived::Arrived;

pub use client::{FETCH_BACKOFF_MS, Settings};
pub use feed::{Feed, Status, Trouble};

/// Where records go, and what is known of those that went.
#[async_trait]
pub trait Sink: Send + Sync + std::fmt::Debug {
    fn now(&self) -> Millis;

    /// Per partition of the topic: the offset to go on at, once the ledger knows everything that is durable.
    async fn next(&self) -> Result<BTreeMap<i32, i64>, Trouble>;

    /// What [`Sink::reached`] was told last.
    fn position(&self) -> Option<String>;

    /// Makes the records durable, whatever becomes of them; answers the newest time that their source tells.
    async fn take(&self, records: &[Arrived]) -> Result<Option<Millis>, Trouble>;

    /// The topic is read from these offsets on: durable before the first record is taken.
    async fn begin(&self, offsets: &BTreeMap<i32, i64>) -> Result<(), Trouble>;

    /// Everything up to `time` has been taken.
    async fn reached(&self, position: String, time: Millis) -> Result<(), Trouble>;

    /// The time that a record of the heartbeat topic tells.
    fn heartbeat(&self, record: &Arrived) -> Option<Millis>;

    /// What tells this record from another at its offset; keyed, for it is kept.
    fn fingerprint(&self, record: &Arrived) -> String;
}

/// What is read, and how.
#[derive(Clone, Debug)]
pub struct Plan {
    pub source: String,
    pub generation: i32,
    pub kafka: Kafka,
    /// The records tell their source's time: the watermark is theirs.
    pub tells_time: bool,
    /// How late facts may come, milliseconds.
    pub settle: i64,
    /// Tells this node's consumers from those of another.
    pub node: String,
}

/// A running source; dropping it stops it without waiting.
#[derive(Debug)]
pub struct Consumers {
    feed: Arc<Feed>,
    threads: Vec<JoinHandle<()>>,
}

/// Runs the source until it is stopped.
pub fn start(plan: Plan, settings: Settings, sink: Arc<dyn Sink>, runtime: &Handle) -> Consumers {
    let consumers = plan.kafka.consumers.max(1);
    let feed = Arc::new(Feed::new(plan, settings, sink));
    let mut threads = Vec::new();
    let (watched, on) = (Arc::clone(&feed), runtime.clone());
    threads.push(std::thread::spawn(move || watch::run(&watched, &on)));
    for n in 0..consumers {
        let (consumed, on) = (Arc::clone(&feed), runtime.clone());
        threads.push(std::thread::spawn(move || consume::run(&consumed, n, &on)));
    }
    Consumers { feed, threads }
}

impl Consumers {
    pub fn status(&self) -> Status {
        self.feed.status()
    }

    /// Blocks until nothing of it runs any more.
    pub fn stop(mut self) {
        self.feed.stop();
        for thread in self.threads.drain(..) {
            // A thread that panicked has ended as well.
            let _ = thread.join();
        }
    }
}

impl Drop for Consumers {
    fn drop(&mut self) {
        self.feed.stop();
    }
}
