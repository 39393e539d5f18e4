//! Registering sources, and where each stands.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock};

use quietus_core::document::{self, Diagnostic, Diagnostics, Severity};
use quietus_core::engine::control::Source as Registered;
use quietus_core::engine::{Read, read_of};
use quietus_core::record::{Record, SourcePut};
use quietus_core::source::{Source, parse_sources};
use quietus_core::system::Manifest;
use quietus_core::time::Millis;
use quietus_outside::Security;

use super::policies::Refusal;
use super::{Node, NodeError, Put};
use crate::intake::kafka::{Consumers, Settings, Status};
use crate::intake::mapping::{Mapping, Schemas, Unfit};
use crate::intake::registry::Registry;

/// How a node reaches Kafka; values are references.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct KafkaOptions {
    pub brokers: Vec<String>,
    pub security: BTreeMap<String, String>,
    pub registry: Option<String>,
    /// Of the topics that others hear of decisions on; None = nobody does.
    pub prefix: Option<String>,
}

impl KafkaOptions {
    /// The error names the reference that cannot be read.
    pub(super) fn resolved(&self, resolver: &super::Resolver) -> Result<Settings, String> {
        let resolve = |(name, value): (&String, &String)| Ok((name.clone(), resolver.resolve(value)?));
        let security = self.security.iter().map(resolve).collect::<Result<_, String>>()?;
        Ok(Settings { brokers: self.brokers.clone(), security: Security::of(&security).into_settings() })
    }
}

/// The sources' side of a node.
#[derive(Debug)]
pub struct Sources {
    pub(super) schemas: Schemas,
    pub(super) registry: Option<Registry>,
    /// Made anew when the control log moved.
    ready: RwLock<(u64, BTreeMap<String, Arc<Ready>>)>,
    running: Mutex<BTreeMap<String, Slot>>,
    /// One file at a time.
    pub(super) importing: tokio::sync::Mutex<()>,
}

/// The consumers of a topic.
#[derive(Debug)]
pub(super) enum Slot {
    Runs(Arc<Ready>, Consumers),
    /// Still taking in what they had.
    Ends,
}

/// A registered source that can be used.
#[derive(Debug)]
pub struct Ready {
    pub mapping: Mapping,
    pub generation: i32,
}

/// Where a source stands.
#[derive(Clone, Debug, PartialEq)]
pub struct SourceState {
    /// `running`, `stalled`, `error`.
    pub state: &'static str,
    /// Snake case.
    pub error: Option<String>,
    /// What to do about it.
    pub detail: Option<String>,
    pub watermark: Option<Millis>,
    pub lag: Option<u64>,
    pub generation: i32,
    pub source: Option<Arc<Source>>,
}

impl Sources {
    /// The error names the setting that is to blame.
    pub fn new(kafka: Option<&KafkaOptions>, resolver: &super::Resolver) -> Result<Self, String> {
        let registry = match kafka.and_then(|k| k.registry.as_deref()) {
            None => None,
            Some(url) => Some(Registry::new(&resolver.resolve(url)?)?),
        };
        let schemas = if registry.is_some() { Schemas::default() } else { Schemas::bundled() };
        Ok(Self {
            schemas,
            registry,
            ready: RwLock::default(),
            running: Mutex::default(),
            importing: tokio::sync::Mutex::default(),
        })
    }

    pub(super) fn running(&self) -> MutexGuard<'_, BTreeMap<String, Slot>> {
        self.running.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Node {
    /// Registers a source, or replaces the one of that name. A file may hold several; `name` says which.
    pub async fn put_source(
        &self,
        file: &str,
        bytes: &[u8],
        name: Option<&str>,
        by: Option<String>,
    ) -> Result<(Source, Put, Vec<Diagnostic>), Refusal> {
        let (sources, mut found) = parse_sources(file, bytes);
        if wrong(&found) {
            return Err(Refusal::Wrong(found));
        }
        let named = match (name, sources.as_slice()) {
            (None, [one]) => Some(one),
            (None, _) => None,
            (Some(name), _) => sources.iter().find(|s| s.source == name),
        };
        let Some(source) = named.cloned() else {
            let mut other = Diagnostics::new(file);
            let first = sources.first().map_or("nothing", |s| &s.source);
            let detail = match name {
                Some(name) => format!("the source is called {first}, not {name}"),
                None => "the file holds several sources".to_owned(),
            };
            other.error((1, 1), detail, "put each under its own name");
            return Err(Refusal::Wrong(other.into_vec()));
        };
        if let Err(unfit) = Mapping::new(source.clone(), &self.manifests()) {
            return Err(Refusal::Wrong(at_key(file, bytes, &source.source, &unfit)));
        }
        if source.kafka().is_some() && self.options().kafka.is_none() {
            let detail = "the source is a topic, and this node knows no brokers".to_owned();
            let fix = "add `kafka: {brokers: [HOST:PORT]}` to the node's configuration".to_owned();
            let unfit = Unfit { key: "from", detail, fix };
            return Err(Refusal::Wrong(at_key(file, bytes, &source.source, &unfit)));
        }
        found.extend(self.unregistered(file, &source));
        let known = self.with_control(|c| c.sources.get(&source.source).cloned());
        let document = source.canonical_json();
        let (put, generation) = match &known {
            None => (Put::Created, 1),
            Some(known) => match (&known.document, known.parsed.as_deref()) {
                (None, _) => (Put::Created, known.generation + 1),
                (Some(before), _) if *before == document => (Put::Unchanged, known.generation),
                (Some(_), Some(before)) if !source.reads_anew(before) => (Put::Changed, known.generation),
                (Some(_), _) => (Put::Changed, known.generation + 1),
            },
        };
        if put != Put::Unchanged {
            let at = self.clock.now().0;
            let record =
                SourcePut { name: source.source.clone(), document: Some(document), generation, by, at };
            self.decree(Record::SourcePut(record)).await?;
        }
        Ok((source, put, found))
    }

    /// Takes a source off the books: nothing waits for it any more, and a source of that name begins anew.
    pub async fn retire_source(&self, name: &str, by: Option<String>) -> Result<(), NodeError> {
        let known = self.source(name)?;
        let (generation, at) = (known.generation, self.clock.now().0);
        let record = SourcePut { name: name.to_owned(), document: None, generation, by, at };
        self.decree(Record::SourcePut(record)).await?;
        Ok(())
    }

    /// A registered source.
    pub fn source(&self, name: &str) -> Result<Registered, NodeError> {
        let known = self.with_control(|c| c.sources.get(name).filter(|s| s.document.is_some()).cloned());
        known.ok_or_else(|| NodeError::NotFound { what: format!("there is no source {name}") })
    }

    pub fn sources(&self) -> &Sources {
        &self.sources
    }

    /// A source ready for use, with the systems as they are now.
    pub fn ready(&self, name: &str) -> Result<Arc<Ready>, NodeError> {
        let k = self.with_control(|c| c.k);
        {
            let cached = self.sources.ready.read().unwrap_or_else(PoisonError::into_inner);
            if let Some(ready) = cached.1.get(name).filter(|_| cached.0 == k) {
                return Ok(Arc::clone(ready));
            }
        }
        let known = self.source(name)?;
        let Some(parsed) = known.parsed else {
            return Err(unusable(name, "it was written by a newer version", "use that version"));
        };
        let mapping = Mapping::new(Source::clone(&parsed), &self.manifests())
            .map_err(|unfit| unusable(name, &unfit.detail, &unfit.fix))?;
        let ready = Arc::new(Ready { mapping, generation: known.generation });
        let mut cached = self.sources.ready.write().unwrap_or_else(PoisonError::into_inner);
        if cached.0 != k {
            *cached = (k, BTreeMap::new());
        }
        cached.1.insert(name.to_owned(), Arc::clone(&ready));
        Ok(ready)
    }

    pub fn source_state(&self, name: &str) -> Result<SourceState, NodeError> {
        let known = self.source(name)?;
        let read = self.partitions.iter().map(|p| read_of(&p.read().state, name, &known)).min();
        let key = (name.to_owned(), known.generation);
        let kafka = known.parsed.as_ref().is_some_and(|s| s.kafka().is_some());
        let watermark = if kafka {
            let of = |p: &Arc<crate::partition::Partition>| p.read().state.watermarks.get(&key).copied();
            self.partitions.iter().map(of).min().flatten()
        } else {
            read.and_then(|read| match read {
                Read::UpTo(at) => Some(at),
                Read::Stalled => None,
            })
        };
        let status = {
            let running = self.sources.running();
            running.get(name).and_then(|slot| match slot {
                Slot::Runs(_, consumers) => Some(consumers.status()),
                Slot::Ends => None,
            })
        };
        let status = status.unwrap_or_else(|| Status { trouble: None, lag: (!kafka).then_some(0) });
        let (error, detail) = match (status.trouble, self.ready(name)) {
            (Some(trouble), _) => (Some(trouble.code.to_owned()), Some(trouble.detail)),
            (None, Err(error)) => (Some("unusable".to_owned()), Some(error.to_string())),
            (None, Ok(_)) => (None, None),
        };
        let state = match (&error, read) {
            (Some(_), _) => "error",
            (None, Some(Read::UpTo(_))) => "running",
            (None, Some(Read::Stalled) | None) => "stalled",
        };
        let generation = known.generation;
        Ok(SourceState { state, error, detail, watermark, lag: status.lag, generation, source: known.parsed })
    }

    pub(super) fn manifests(&self) -> BTreeMap<String, Manifest> {
        self.with_control(|c| c.systems.iter().map(|(name, s)| (name.clone(), s.manifest.clone())).collect())
    }

    /// Systems that it names and nobody registered: what lies there is kept, and cannot be erased.
    fn unregistered(&self, file: &str, source: &Source) -> Vec<Diagnostic> {
        let quietus_core::source::Feeds::Systems(named) = source.feeds() else { return Vec::new() };
        let mut found = Diagnostics::new(file);
        for system in named.iter().filter(|s| self.with_control(|c| !c.systems.contains_key(*s))) {
            let detail = format!("`{system}`, which {} names, is no registered system", source.source);
            found.warning((1, 1), detail, "register it: `quietus system add FILE`");
        }
        found.into_vec()
    }
}

fn unusable(name: &str, what: &str, fix: &str) -> NodeError {
    NodeError::Conflict {
        code: "source-unusable",
        what: format!("source {name} cannot be used: {what}"),
        fix: fix.to_owned(),
    }
}

/// At the key of the source's document that is to blame.
fn at_key(file: &str, bytes: &[u8], name: &str, unfit: &Unfit) -> Vec<Diagnostic> {
    let nodes = document::read(file, bytes).unwrap_or_default();
    let node = nodes.iter().find(|n| n.get("source").and_then(document::Node::text) == Some(name));
    let at = node.map(|n| n.get(unfit.key).unwrap_or(n));
    let mut found = Diagnostics::new(file);
    match at {
        Some(at) => found.error(at, unfit.detail.clone(), unfit.fix.clone()),
        None => found.error((1, 1), unfit.detail.clone(), unfit.fix.clone()),
    }
    found.into_vec()
}

fn wrong(found: &[Diagnostic]) -> bool {
    found.iter().any(|d| d.severity == Severity::Error)
}
