//! Topics as sources of a running node: which consumers run, and what they hand over.

use std::collections::BTreeMap;
use std::sync::{Arc, Weak};
use std::time::Duration;

use async_trait::async_trait;
use quietus_core::record::{Changes, Frame, Mark, Record, SourceAt};
use quietus_core::source::Format;
use quietus_core::time::Millis;
use tokio::runtime::Handle;

use super::sources::{Ready, Slot};
use super::{Node, NodeError};
use crate::intake::arrived::Arrived;
use crate::intake::kafka::{self, Consumers, Plan, Sink, Trouble};
use crate::intake::mapping::Mapping;

/// Frames a partition may be behind before consumers wait.
const LAG_MAX: u64 = 2_048;

impl Node {
    /// Consumers follow the registered sources. A source whose mapping, generation or systems changed starts anew.
    pub(super) fn follow_topics(self: &Arc<Self>) {
        if !self.is_running() {
            return;
        }
        let names: Vec<String> = self.with_control(|c| {
            let topics =
                c.sources.iter().filter(|(_, s)| s.parsed.as_ref().is_some_and(|s| s.kafka().is_some()));
            topics.map(|(name, _)| name.clone()).collect()
        });
        let wanted: BTreeMap<String, Arc<Ready>> =
            names.into_iter().filter_map(|name| Some((name.clone(), self.ready(&name).ok()?))).collect();
        let mut running = self.sources().running();
        for (name, slot) in running.iter_mut() {
            let stands = match slot {
                Slot::Runs(known, _) => wanted.get(name).is_some_and(|w| w.is_same(known)),
                Slot::Ends => true,
            };
            if !stands && let Slot::Runs(_, consumers) = std::mem::replace(slot, Slot::Ends) {
                self.end(name.clone(), consumers);
            }
        }
        for (name, ready) in wanted {
            if !running.contains_key(&name)
                && let Some(consumers) = self.consume(&ready)
            {
                running.insert(name, Slot::Runs(ready, consumers));
            }
        }
    }

    /// Two generations of one source's consumers never run at once: what the first have taken, the next must know.
    fn end(self: &Arc<Self>, name: String, consumers: Consumers) {
        let (node, on) = (Arc::downgrade(self), Handle::current());
        std::thread::spawn(move || {
            consumers.stop();
            if let Some(node) = node.upgrade() {
                node.sources().running().remove(&name);
                let _inside = on.enter();
                node.follow_topics();
            }
        });
    }

    fn consume(self: &Arc<Self>, ready: &Arc<Ready>) -> Option<Consumers> {
        let source = ready.mapping.source();
        let kafka = source.kafka()?.clone();
        let options = self.options().kafka.as_ref()?;
        let Ok(settings) = options.resolved(&self.options().resolver) else {
            // At start this was said with its place; a variable does not go away while the node runs.
            tracing::error!(source = source.source, "`kafka.security` holds a reference that cannot be read");
            return None;
        };
        let plan = Plan {
            source: source.source.clone(),
            generation: ready.generation,
            kafka,
            tells_time: source.format == Format::Debezium,
            settle: source.settle,
            node: self.short_id(),
        };
        let sink = Arc::new(Topic { node: Arc::downgrade(self), ready: Arc::clone(ready) });
        Some(kafka::start(plan, settings, sink, &Handle::current()))
    }

    /// Ends every consumer, and waits for it.
    pub(super) async fn stop_topics(&self) {
        let all = std::mem::take(&mut *self.sources().running());
        let stop = |slot| match slot {
            Slot::Runs(_, consumers) => consumers.stop(),
            Slot::Ends => {}
        };
        let stopped = tokio::task::spawn_blocking(move || all.into_values().for_each(stop)).await;
        if stopped.is_err() {
            tracing::warn!("a consumer did not end in order");
        }
    }
}

impl Ready {
    /// The same records become the same.
    fn is_same(&self, other: &Self) -> bool {
        self.generation == other.generation && self.mapping == other.mapping
    }
}

/// Where a topic's records go. The node may be gone before its consumers have noticed.
#[derive(Debug)]
struct Topic {
    node: Weak<Node>,
    ready: Arc<Ready>,
}

impl Topic {
    fn node(&self) -> Result<Arc<Node>, Trouble> {
        self.node.upgrade().ok_or_else(|| Trouble::lasting("stopped", "the node is gone"))
    }

    fn name(&self) -> &str {
        &self.ready.mapping.source().source
    }

    fn topic(&self) -> &str {
        self.ready.mapping.source().kafka().map_or("", |k| &k.topic)
    }

    /// To every partition of the ledger.
    async fn everywhere(&self, record: impl Fn() -> Record) -> Result<(), Trouble> {
        let node = self.node()?;
        let frames = node.partitions.iter().map(|p| (p.index(), Frame::of(vec![record()]))).collect();
        node.append_records(frames).await.map_err(|error| trouble(&error))
    }
}

#[async_trait]
impl Sink for Topic {
    fn now(&self) -> Millis {
        self.node.upgrade().map(|node| node.now()).unwrap_or_default()
    }

    async fn next(&self) -> Result<BTreeMap<i32, i64>, Trouble> {
        let node = self.node()?;
        node.settle().await;
        let mut next: BTreeMap<i32, (i64, usize)> = BTreeMap::new();
        for partition in node.partitions.iter() {
            let inner = partition.read();
            let mine = inner.state.marks.iter().filter(|((source, generation, topic, _), _)| {
                source == self.name() && *generation == self.ready.generation && topic == self.topic()
            });
            for ((.., of), to) in mine {
                let known = next.entry(*of).or_insert((to + 1, 0));
                *known = (known.0.min(to + 1), known.1 + 1);
            }
        }
        // What one partition of the ledger has never heard of is read from the start; the others drop it.
        let all = node.partitions.len();
        Ok(next
            .into_iter()
            .filter(|(_, (_, known))| *known == all)
            .map(|(of, (next, _))| (of, next))
            .collect())
    }

    fn position(&self) -> Option<String> {
        let node = self.node.upgrade()?;
        let key = (self.name().to_owned(), self.ready.generation);
        node.partitions.iter().find_map(|p| p.read().state.positions.get(&key).cloned())
    }

    async fn take(&self, records: &[Arrived]) -> Result<Option<Millis>, Trouble> {
        let node = self.node()?;
        while node.lags().into_iter().any(|lag| lag > LAG_MAX) {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        let fed = node.feed(&self.ready, records, None, true).await.map_err(|error| trouble(&error))?;
        Ok(fed.newest)
    }

    async fn begin(&self, offsets: &BTreeMap<i32, i64>) -> Result<(), Trouble> {
        let mark = |(partition, next): (&i32, &i64)| Mark {
            topic: self.topic().to_owned(),
            partition: *partition,
            from: *next,
            to: next - 1,
        };
        let marks: Vec<Mark> = offsets.iter().map(mark).collect();
        let (source, source_generation) = (self.name().to_owned(), self.ready.generation);
        self.everywhere(|| {
            Changes { source: source.clone(), source_generation, marks: marks.clone(), rows: Vec::new() }
                .into()
        })
        .await
    }

    async fn reached(&self, position: String, time: Millis) -> Result<(), Trouble> {
        let record = SourceAt {
            source: self.name().to_owned(),
            source_generation: self.ready.generation,
            position,
            time: time.0,
        };
        self.everywhere(|| record.clone().into()).await
    }

    fn heartbeat(&self, record: &Arrived) -> Option<Millis> {
        Mapping::heartbeat(&record.message(), &self.node.upgrade()?.sources().schemas)
    }

    fn fingerprint(&self, record: &Arrived) -> String {
        let Some(node) = self.node.upgrade() else { return String::new() };
        let hash = blake3::hash(&record.packed());
        // Keyed: it stands in the ledger, and a record is a guess away from its plain hash.
        let key = node.keys.item_key(&format!("record {}", hash.to_hex()));
        data_encoding::HEXLOWER.encode(&key.0)
    }
}

fn trouble(error: &NodeError) -> Trouble {
    let code = match error.code() {
        "registry-unreachable" => "registry_unreachable",
        "too-many-dead-letters" => "dead_letters",
        _ => "ledger",
    };
    Trouble::new(code, error.to_string())
}
