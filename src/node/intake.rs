//! Events from HTTP: taken in, made durable, remembered.
//!
//! Invariant: an event counts as accepted once every frame of its batch is fsynced, and as seen only then. What was
//! seen lately lies in the store, and is read from the ledger beyond it at a start.

use std::sync::atomic::{AtomicBool, AtomicI64, Ordering};
use std::sync::{Arc, PoisonError, RwLock};

use quietus_core::record::{Frame, Record};
use quietus_core::time::Millis;

use super::{Node, NodeError};
use crate::intake::{Accepted, Batch, Context, Feed, Intake, Options, Receipt, Rejected, Unreadable};
use crate::ledger::Stream;
use crate::ledger::codec::encode_frame;
use crate::sealing::Keys;
use crate::telemetry::trace;

/// Less than the ledger takes at once, so that a frame more still fits.
const APPEND_BYTES: usize = 8 << 20;

/// The node's side of intake.
#[derive(Debug)]
pub struct Desk {
    intake: Intake,
    default_type: String,
    context: RwLock<Option<Cached>>,
    newest_tick: AtomicI64,
    replayed: AtomicBool,
}

#[derive(Clone, Debug)]
struct Cached {
    k: u64,
    context: Arc<Context>,
}

/// What became of a batch, durable.
#[derive(Debug, Default)]
pub struct Taken {
    pub accepted: usize,
    pub rejected: Vec<Rejected>,
    pub duplicates: usize,
    pub unregistered: usize,
    pub undeclared: usize,
}

/// Encoded, not yet appended.
#[derive(Debug)]
pub struct Prepared {
    frames: Vec<(Stream, Vec<u8>)>,
    receipt: Receipt,
    taken: Taken,
}

impl Desk {
    pub fn new(keys: Keys, partitions: u32, default_type: &str) -> Self {
        Self {
            intake: Intake::new(keys, partitions, Options::default()),
            default_type: default_type.to_owned(),
            context: RwLock::new(None),
            newest_tick: AtomicI64::new(0),
            replayed: AtomicBool::new(false),
        }
    }

    /// A partition's frame was read: its ticks count, and while replaying its events are known again.
    pub(super) fn read(&self, partition: u32, frame: &Frame) {
        for record in &frame.records {
            if let Record::Tick(tick) = record {
                self.newest_tick.fetch_max(tick.now, Ordering::Relaxed);
            }
        }
        if !self.replayed.load(Ordering::Relaxed) {
            self.intake.recall(partition, frame.event_ids());
        }
    }

    /// A partition goes on from here: its tick counts, and its events are known.
    pub(super) fn resumed(&self, partition: u32, now: Millis, events: Vec<u64>) {
        self.newest_tick.fetch_max(now.0, Ordering::Relaxed);
        self.intake.recall(partition, events);
    }

    pub(super) fn replayed(&self) {
        self.replayed.store(true, Ordering::Relaxed);
    }

    pub(super) fn intake(&self) -> &Intake {
        &self.intake
    }

    pub fn default_type(&self) -> &str {
        &self.default_type
    }
}

impl Node {
    pub fn desk(&self) -> &Desk {
        &self.desk
    }

    /// What intake must know of policy, systems and time; made anew when one of them moved.
    pub fn intake_context(&self) -> Arc<Context> {
        let newest = Millis(self.desk.newest_tick.load(Ordering::Relaxed));
        let k = self.with_control(|c| c.k);
        {
            let cached = self.desk.context.read().unwrap_or_else(PoisonError::into_inner);
            if let Some(cached) = cached.as_ref().filter(|c| c.k == k && c.context.newest_tick == newest) {
                return Arc::clone(&cached.context);
            }
        }
        let context = Arc::new(self.with_control(|control| {
            let mut context = Context::new(&self.desk.default_type, newest);
            for system in control.systems.values() {
                context = context.with_system(&system.manifest);
            }
            match &control.policy {
                Some(active) => context.with_policy(&active.policy),
                None => context,
            }
        }));
        let cached = Cached { k, context: Arc::clone(&context) };
        *self.desk.context.write().unwrap_or_else(PoisonError::into_inner) = Some(cached);
        context
    }

    /// Reads, checks, hashes, seals and encodes a body. Costs processor time: not for an async worker.
    pub fn prepare_events<'a>(
        &self,
        content_type: &str,
        header: impl Fn(&str) -> Option<&'a str>,
        body: &'a [u8],
        trace: Option<String>,
    ) -> Result<Prepared, Unprepared> {
        let _inside = trace::child("intake", trace.as_deref()).entered();
        let batch: Batch<'a> = crate::intake::read(content_type, header, body)?;
        let accepted = self.desk.intake.accept(&batch, &Feed::default(), &self.intake_context());
        Ok(Prepared::of(accepted, trace)?)
    }

    /// Makes it durable; what answers is fsynced.
    pub async fn append_events(&self, prepared: Prepared) -> Result<Taken, NodeError> {
        self.append_events_of("http", prepared).await
    }

    /// As [`Node::append_events`], counted as this source's.
    pub(super) async fn append_events_of(
        &self,
        source: &str,
        prepared: Prepared,
    ) -> Result<Taken, NodeError> {
        let Prepared { frames, receipt, taken } = prepared;
        let mut part = Vec::new();
        let mut bytes = 0;
        for frame in frames {
            if bytes + frame.1.len() > APPEND_BYTES && !part.is_empty() {
                self.noted(self.ledger.append_many(std::mem::take(&mut part)).await)?;
                bytes = 0;
            }
            bytes += frame.1.len();
            part.push(frame);
        }
        if !part.is_empty() {
            self.noted(self.ledger.append_many(part).await)?;
        }
        self.desk.intake.remember(&receipt);
        let (accepted, duplicates) = (taken.accepted as u64, taken.duplicates as u64);
        self.metrics.events(source, "accepted", accepted.saturating_sub(duplicates));
        self.metrics.events(source, "duplicate", duplicates);
        self.metrics.events(source, "rejected", taken.rejected.len() as u64);
        self.metrics.events(source, "undeclared", taken.undeclared as u64);
        Ok(taken)
    }

    /// Takes a body in on this task: for the demo, tests and small batches.
    pub async fn take_events(&self, content_type: &str, body: &[u8]) -> Result<Taken, Unprepared> {
        let prepared = self.prepare_events(content_type, |_| None, body, trace::current())?;
        Ok(self.append_events(prepared).await?)
    }
}

impl Prepared {
    /// Encodes what intake made; `trace` is for frames without one of their own.
    pub(super) fn of(accepted: Accepted, trace: Option<String>) -> Result<Self, NodeError> {
        let mut frames = Vec::with_capacity(accepted.frames.len());
        for (partition, mut frame) in accepted.frames {
            if frame.trace.is_none() {
                frame.trace.clone_from(&trace);
            }
            frames.push((Stream::Partition(partition), encode_frame(&frame)?));
        }
        let taken = Taken {
            accepted: accepted.accepted,
            rejected: accepted.rejected,
            duplicates: accepted.duplicates,
            unregistered: accepted.unregistered,
            undeclared: accepted.undeclared,
        };
        Ok(Self { frames, receipt: accepted.receipt, taken })
    }
}

/// Why a body came to nothing.
#[derive(Debug, thiserror::Error)]
pub enum Unprepared {
    #[error(transparent)]
    Unreadable(#[from] Unreadable),
    #[error(transparent)]
    Node(#[from] NodeError),
}
