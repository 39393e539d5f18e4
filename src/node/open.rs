//! Opening a node: the ledger is replayed, its partitions owned, the control log caught up with.

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
use crate::partition::Partition;
use crate::sealing::Keys;
use crate::store::{Database, DiskStore, Sizes, StoreError};
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
        }
    }
}

impl Node {
    /// Opens the ledger in `options.dir`, replays it and owns its partitions. Nothing runs yet: see [`Node::start`].
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
        let salt = keys.audit_salt();
        // Rebuilt from the ledger at every start.
        let database = Database::anew(&options.dir.join("store"))?;
        let partitions = (0..options.partitions).map(|p| {
            let store = DiskStore::open(&database, p, options.store)?;
            Ok(Arc::new(Partition::with_store(p, options.partitions, &salt, Box::new(store))))
        });
        let partitions = partitions.collect::<Result<Vec<_>, StoreError>>()?;
        let desk = super::Desk::new(keys.clone(), options.partitions, &options.default_identity);
        let sources = super::Sources::new(options.kafka.as_ref(), &options.resolver);
        let sources = sources.map_err(|what| NodeError::Refused {
            code: "kafka-registry",
            what,
            fix: "mend `kafka: {registry: URL}`".to_owned(),
        })?;
        let node = Arc::new(Self {
            partitions: Arc::new(partitions),
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
            registry: Registry::default(),
            scans: super::scans::Scans::default(),
            certifying: Mutex::default(),
            closing: Mutex::default(),
            counted: crate::schedule::Counted::default(),
            moved: Notify::new(),
            options,
            running: std::sync::atomic::AtomicBool::new(false),
            ended: watch::Sender::new(false),
            trouble: Mutex::default(),
        });
        node.replay()?;
        node.goes_on()?;
        Ok(node)
    }

    /// Folds the whole ledger in. Effects are dropped: what was lost with a crash is found again from the state.
    fn replay(&self) -> Result<(), NodeError> {
        for frame in self.ledger.scan(&[])? {
            let frame = frame?;
            self.take_in(&frame)?;
            if let Stream::Partition(p) = frame.stream
                && let Some(partition) = self.partitions.get(p as usize)
            {
                while partition.tidy()? {}
            }
        }
        self.desk.replayed();
        Ok(())
    }

    /// Applies one durable frame.
    pub(super) fn take_in(&self, frame: &Frame) -> Result<Option<crate::partition::Asked>, NodeError> {
        let batch = decode_frame(&frame.body).map_err(|cause| NodeError::Unreadable {
            partition: frame.stream.to_string(),
            offset: frame.offset,
            cause: cause.to_string(),
        })?;
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
                partition.map(|p| p.apply(frame.offset, &frame.body, &batch, &Avro))
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
