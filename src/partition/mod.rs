//! One partition and its owner's loop: read → step → commit → effects.
//!
//! Invariant: the state is a function of the ledger. Nothing but [`Partition::apply`] changes it, and that takes
//! frames in order as they were made durable. Readers (HTTP, the dispatcher, the gate in a connector's
//! transaction) see it between two frames.

mod report;
mod view;

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

use quietus_core::digest::Digest;
use quietus_core::engine::{Effect, Input, State, Step, begin, needs, step};
use quietus_core::record::{Codec, Frame, Record};
use tokio::sync::watch;

use crate::audit::{Chain, Witness};
use crate::store::{MemoryStore, Store, StoreError};

pub use report::{Report, Subjects, Tallied};
pub use view::{CopyView, ItemView, Why, outcome_name};

/// One partition.
#[derive(Debug)]
pub struct Partition {
    index: u32,
    inner: RwLock<Inner>,
    /// Frames applied: the offset of the next one.
    applied: watch::Sender<u64>,
}

#[derive(Debug)]
pub struct Inner {
    pub state: State,
    pub store: Box<dyn Store>,
    pub chain: Chain,
    /// With something that lives, as last counted; [`UNCOUNTED`] = never.
    subjects: AtomicU64,
}

const UNCOUNTED: u64 = u64::MAX;

/// What a frame asks of the shell, and on whose behalf.
#[derive(Debug)]
pub struct Asked {
    pub partition: u32,
    pub trace: Option<String>,
    pub effects: Vec<Effect>,
}

impl Partition {
    /// With its items in memory.
    pub fn new(index: u32, of: u32, salt_key: &[u8]) -> Self {
        Self::with_store(index, of, salt_key, Box::new(MemoryStore::default()))
    }

    pub fn with_store(index: u32, of: u32, salt_key: &[u8], store: Box<dyn Store>) -> Self {
        let heedless = crate::sabotage::removes("watermark");
        let state = State { partition: index, partitions: of, heedless, ..State::default() };
        let chain = Chain::new(index, salt_key);
        let inner = Inner { state, store, chain, subjects: AtomicU64::new(UNCOUNTED) };
        Self { index, inner: RwLock::new(inner), applied: watch::Sender::new(0) }
    }

    pub fn index(&self) -> u32 {
        self.index
    }

    /// Applies the frame at `offset`; frames come in order, each once.
    pub fn apply<C: Codec>(&self, offset: u64, bytes: &[u8], frame: &Frame, codec: &C) -> Asked {
        let mut effects = Vec::new();
        {
            let mut inner = self.write();
            let mut decisions = Vec::new();
            for record in &frame.records {
                let input = Input {
                    offset,
                    trace: frame.trace.clone(),
                    record: record.clone(),
                    control: control_entry(record, codec),
                };
                let step = inner.decide(&input);
                inner.store.write(&step.rows);
                decisions.extend(step.decisions);
                effects.extend(step.effects);
            }
            inner.chain.add(offset, bytes, &decisions);
            if let Err(error) = inner.store.settle(offset + 1) {
                tracing::error!(%error, partition = self.index, "the store cannot be written: its rows stay in memory");
            }
        }
        self.applied.send_replace(offset + 1);
        Asked { partition: self.index, trace: frame.trace.clone(), effects }
    }

    /// From here on the audit chain keeps the decisions that this asks about.
    pub fn ask(&self, witness: Witness) {
        self.write().chain.ask(witness);
    }

    /// Merges what has become many on the disk, while others read and write; true = there may be more to do.
    pub fn tidy(&self) -> Result<bool, StoreError> {
        let Some(merge) = self.write().store.begin_merge() else { return Ok(false) };
        let merged = merge.run();
        self.write().store.end_merge(merge, merged)?;
        Ok(true)
    }

    /// Looks at the state between two frames. Keep it short: the owner waits.
    pub fn read(&self) -> RwLockReadGuard<'_, Inner> {
        self.inner.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn write(&self) -> RwLockWriteGuard<'_, Inner> {
        self.inner.write().unwrap_or_else(PoisonError::into_inner)
    }

    /// The offset of the next frame to be applied.
    pub fn applied(&self) -> u64 {
        *self.applied.borrow()
    }

    /// Returns once the frame at `offset` has been applied.
    pub async fn has_applied(&self, offset: u64) {
        let mut applied = self.applied.subscribe();
        // The sender lives as long as `self`.
        let _ = applied.wait_for(|next| *next > offset).await;
    }

    /// Digest over everything known here, without ticks, offsets and owner records.
    pub fn digest(&self) -> [u8; 32] {
        let inner = self.read();
        let mut digest = Digest::default();
        inner.store.digest(&mut digest);
        inner.state.duties.all().for_each(|d| digest.duty(d));
        inner.state.requests.values().for_each(|r| digest.request(r));
        digest.finish()
    }
}

impl Inner {
    fn subjects(&self, when: Subjects) -> u64 {
        let known = self.subjects.load(Ordering::Relaxed);
        if when == Subjects::Lately && known != UNCOUNTED {
            return known;
        }
        let counted = self.store.subjects_alive();
        self.subjects.store(counted, Ordering::Relaxed);
        counted
    }

    fn decide(&mut self, input: &Input) -> Step {
        let needs = needs(&self.state, input);
        let begun = needs.everything.then(|| begin(&mut self.state, input)).flatten();
        let Some((mut pass, mut all)) = begun else {
            let found = self.store.fetch(&needs);
            return step(&mut self.state, input, found);
        };
        let state = &mut self.state;
        self.store.slices(&mut |slice| all.then(pass.slice(state, slice.everything())));
        all.then(pass.end(state));
        all
    }
}

fn control_entry<C: Codec>(record: &Record, codec: &C) -> Option<Record> {
    let (schema, body) = match record {
        Record::ControlCopy(copy) => (copy.schema, &copy.body),
        Record::Forwarded(letter) => (letter.schema, &letter.body),
        _ => return None,
    };
    codec.decode_record(u16::try_from(schema).ok()?, body).ok()
}
