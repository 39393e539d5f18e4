//! Opening a node: its partitions stand where their store left them, and what the ledger holds beyond is folded in.

use std::path::PathBuf;
use std::sync::{Arc, Mutex, RwLock};

use quietus_core::engine::control::Control;
use quietus_core::record::{Frame as Batch, OwnerStarted, Record, SEMANTICS, Tick};
use tokio::sync::{Notify, watch};

use super::registry::{Registry, Resolver};
use super::{Node, NodeError};
use crate::clock::Clock;
use crate::ledger::codec::{Avro, decode_frame, encode_frame};
use crate::ledger::embedded::{Ledger, Options};
use crate::ledger::{Frame, LedgerError, Stream};
use crate::sealing::Keys;
use crate::store::{REWRITE_ABOVE, Sizes, StoreError};
use crate::telemetry::{Metrics, trace};

/// How a node is made.
#[derive(Clone, Debug)]
pub struct NodeOptions {
    /// Holds `ledger/`, `store/` and, unless given, the tenant key.
    pub dir: PathBuf,
    pub partitions: u32,
    /// A ledger made under a simulated clock is marked for good.
    pub simulated: bool,
    /// How long a command may take, milliseconds.
    pub lease_ms: i64,
    /// How late facts over HTTP may come, milliseconds.
    pub settle_ms: i64,
    /// The type of an identity written without one.
    pub default_identity: String,
    /// A person with more identities waits for somebody to look.
    pub max_linked: u32,
    /// How many of a million verified erasures are looked at again each day.
    pub reaudit_per_million: u32,
    /// None = no topic can be a source.
    pub kafka: Option<super::KafkaOptions>,
    pub resolver: Resolver,
    /// When the store flushes and merges.
    pub store: Sizes,
    /// Bytes of the store's files from which on it is written anew where more than half of them are dead.
    pub rewrite_above: u64,
    /// How long after a snapshot the next one is taken, milliseconds.
    pub snapshot_every_ms: i64,
    /// What lies below the older of two snapshots leaves the ledger.
    pub truncate: bool,
}

impl NodeOptions {
    /// The defaults of a node without a configuration file, in this folder.
    pub fn at(dir: impl Into<PathBuf>) -> Self {
        Self {
            dir: dir.into(),
            partitions: 4,
            simulated: false,
            lease_ms: 10_000,
            settle_ms: 5 * 60_000,
            default_identity: "customer_id".to_owned(),
            max_linked: 50,
            reaudit_per_million: 10_000,
            kafka: None,
            resolver: Resolver::default(),
            store: Sizes::default(),
            rewrite_above: REWRITE_ABOVE,
            snapshot_every_ms: super::SNAPSHOT_EVERY,
            truncate: false,
        }
    }
}

impl Node {
    /// Opens the ledger and the store in `options.dir` and brings the partitions to the ledger's end. Nothing runs yet: see [`Node::start`].
    pub async fn open(
        options: NodeOptions,
        keys: Keys,
        clock: Arc<dyn Clock>,
    ) -> Result<Arc<Self>, NodeError> {
        let settings =
            Options { partitions: options.partitions, simulated: options.simulated, ..Options::default() };
        let (ledger, recovered) = Ledger::create_or_open(&options.dir.join("ledger"), settings)?;
        if let Some(cut) = &recovered.cut {
            tracing::warn!(?cut, "a torn write at the end of the ledger was cut off");
        }
        let key_file = options.dir.join(super::audit::KEY_FILE);
        let (audit_key, made) = crate::sealing::load_or_create(&key_file, crate::sealing::AUDIT)?;
        if made {
            tracing::info!(file = %key_file.display(), "made the key that signs the audit's checkpoints");
        }
        let desk = super::Desk::new(keys.clone(), options.partitions, &options.default_identity);
        let opened = super::resume::open(&ledger, &options, &keys.audit_salt())?;
        let partitions = Self::recall(&desk, opened);
        let sources = super::Sources::new(options.kafka.as_ref(), &options.resolver);
        let sources = sources.map_err(|what| NodeError::Refused {
            code: "kafka-registry",
            what,
            fix: "mend `kafka: {registry: URL}`".to_owned(),
        })?;
        let node = Arc::new(Self {
            partitions,
            desk,
            sources,
            keys,
            audit_key,
            steady: Mutex::new(crate::schedule::clock::Steady::new(&*clock)),
            clock,
            metrics: Metrics::default(),
            ledger,
            control: RwLock::new(Control::default()),
            control_at: watch::Sender::new(0),
            followed: watch::Sender::new(0),
            underway: Arc::default(),
            registry: Registry::default(),
            scans: super::scans::Scans::default(),
            beginning: super::snapshots::Beginning::default(),
            certifying: Mutex::default(),
            closing: Mutex::default(),
            counted: crate::schedule::Counted::default(),
            moved: Notify::new(),
            options,
            read_at_start: std::sync::atomic::AtomicU64::new(0),
            running: std::sync::atomic::AtomicBool::new(false),
            ended: watch::Sender::new(false),
            trouble: Mutex::default(),
        });
        node.replay()?;
        node.goes_on()?;
        node.underway.resume(&node.partitions);
        Ok(node)
    }

    /// Folds in what the ledger holds beyond what the partitions were opened with. Effects are dropped: what was lost
    /// with a crash is found again from the state.
    fn replay(&self) -> Result<(), NodeError> {
        self.catch_up_control()?;
        let from: Vec<u64> = std::iter::once(*self.control_at.borrow())
            .chain(self.partitions.iter().map(|partition| partition.applied()))
            .collect();
        let mut frames = 0u64;
        for frame in self.ledger.scan(&from)? {
            let frame = frame?;
            self.take_in(&frame)?;
            frames += 1;
            if let Stream::Partition(p) = frame.stream
                && let Some(partition) = self.partitions.get(p as usize)
            {
                // A node without room does without, and tries again while it runs.
                while match partition.tidy() {
                    Err(StoreError::Disk(what)) => {
                        tracing::error!(what, "the store's runs cannot be merged");
                        false
                    }
                    more => more?,
                } {}
            }
        }
        self.desk.replayed();
        let kept: u64 = from.iter().skip(1).sum();
        self.read_at_start.store(frames, std::sync::atomic::Ordering::Relaxed);
        tracing::info!(kept, frames, "the partitions stand where the ledger ends");
        Ok(())
    }

    /// Applies one durable frame.
    pub(super) fn take_in(&self, frame: &Frame) -> Result<Option<crate::partition::Asked>, NodeError> {
        let batch = read(frame)?;
        Ok(match frame.stream {
            Stream::Control => {
                self.fold_control(frame.offset, &batch);
                None
            }
            Stream::Partition(p) => {
                self.desk.read(p, &batch);
                let partition = usize::try_from(p).ok().and_then(|p| self.partitions.get(p));
                // A frame nobody traced has no span: most are ticks.
                let span = batch.trace.as_deref().map(|parent| trace::child("decide", Some(parent)));
                let _inside = span.as_ref().map(tracing::Span::enter);
                let apply = || partition.map(|p| p.apply(frame.offset, &frame.body, &batch, &Avro));
                match batch.records.iter().any(|record| matches!(record, Record::ControlCopy(_))) {
                    true => super::run::beside_others(apply),
                    false => apply(),
                }
            }
        })
    }

    /// Folds in what the control log holds beyond what was replayed: of use while nothing runs yet.
    pub(crate) fn catch_up_control(&self) -> Result<(), NodeError> {
        let mut reader = self.ledger.read(Stream::Control, *self.control_at.borrow())?;
        for frame in reader.by_ref() {
            self.take_in(&frame?)?;
        }
        Ok(())
    }

    /// Entry `k` is the frame at offset `k - 1`: one record a frame.
    fn fold_control(&self, offset: u64, batch: &Batch) {
        if let [record] = batch.records.as_slice() {
            let mut control = self.control.write().unwrap_or_else(std::sync::PoisonError::into_inner);
            control.apply(offset + 1, record);
            if matches!(record, Record::HoldPlaced(_) | Record::HoldReleased(_)) {
                self.underway.follow(&control);
            }
        }
        self.control_at.send_replace(offset + 1);
    }

    /// Takes ownership: an owner's first record is its start, then a tick.
    pub(super) async fn own(&self) -> Result<(), NodeError> {
        let started = OwnerStarted {
            node: "embedded".to_owned(),
            semantics: SEMANTICS,
            version: env!("CARGO_PKG_VERSION").to_owned(),
        };
        let mut appended = Vec::new();
        for partition in self.partitions.iter() {
            let mut records = vec![Record::OwnerStarted(started.clone())];
            let now = self.clock.now();
            if now > partition.read().state.now {
                records.push(Record::Tick(Tick { now: now.0 }));
            }
            let bytes = encode_frame(&Batch::of(records))?;
            appended.push(self.ledger.append(Stream::Partition(partition.index()), bytes));
        }
        for append in appended {
            append.await.map_err(|e: LedgerError| NodeError::from(e))?;
        }
        Ok(())
    }
}

pub(super) fn read(frame: &Frame) -> Result<Batch, NodeError> {
    decode_frame(&frame.body).map_err(|cause| NodeError::Unreadable {
        partition: frame.stream.to_string(),
        offset: frame.offset,
        cause: cause.to_string(),
    })
}
