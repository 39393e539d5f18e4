//! A batch of events in, frames per partition out.
//!
//! Invariant: nothing leaves here in clear that names a person: subjects, items and processes are keyed hashes,
//! locators, identities and corrected values are sealed. And an event counts as seen only after its frame was
//! stored ([`Intake::remember`]): a batch whose append failed may be sent again. Rejected: remembering at once,
//! which would answer the repeat with *accepted* and keep nothing.

use std::sync::{Mutex, PoisonError};

use quietus_core::identity::SubjectKey;
use quietus_core::record::{EVENTS_REMEMBERED, Frame};
use quietus_core::time::Millis;

use super::cloudevent::{Batch, RawEvent};
use super::context::Context;
use super::dedupe::{Hashes, Recent};
use super::refuse::Rejected;
use super::route::Feed;
use super::turn::Turn;
use crate::sealing::Keys;

/// Traces that a batch may carry in turn: more, and all that a call brings goes under the call's own, what a source
/// brings beyond them under none.
pub(super) const TRACES_MAX: usize = 16;

/// More partitions, and an event is looked for in its own alone.
const PARTITIONS_LOOKED_AT: usize = 4;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Options {
    /// Events remembered per partition, at least.
    pub seen: usize,
    /// Subjects whose sealed identity is not sent again.
    pub subjects: usize,
    /// …and for how long, in milliseconds of ticks.
    pub resend_after: i64,
}

impl Default for Options {
    fn default() -> Self {
        Self { seen: EVENTS_REMEMBERED, subjects: 100_000, resend_after: 10 * Millis::MINUTE }
    }
}

#[derive(Debug)]
pub struct Intake {
    pub(super) keys: Keys,
    pub(super) partitions: u32,
    /// Of the hash of (source, id).
    event_key: [u8; 32],
    resend_after: i64,
    memory: Mutex<Memory>,
}

#[derive(Debug)]
struct Memory {
    seen: Vec<Recent>,
    sent: Recent,
    aged: Millis,
}

/// What became of a batch.
#[derive(Debug, Default)]
pub struct Accepted {
    /// To be appended in this order.
    pub frames: Vec<(u32, Frame)>,
    /// Duplicates included.
    pub accepted: usize,
    pub rejected: Vec<Rejected>,
    pub duplicates: usize,
    /// Copies at a place that no manifest names: kept.
    pub unregistered: usize,
    /// Events that no policy declares: kept.
    pub undeclared: usize,
    /// For [`Intake::remember`], once the frames are stored.
    pub receipt: Receipt,
}

/// What an event is told apart by.
#[derive(Clone, Copy, Debug)]
pub(super) struct EventId {
    /// Of its source and id; 0 = it has no id of its own.
    pub(super) hash: u64,
    /// No partition knew it a moment ago. False says nothing.
    pub(super) is_new: bool,
}

impl EventId {
    pub(super) const NONE: Self = Self { hash: 0, is_new: false };
}

#[derive(Debug, Default)]
pub struct Receipt {
    pub(super) events: Vec<(u32, u64)>,
    pub(super) subjects: Vec<u64>,
}

impl Receipt {
    /// Whether an event of this one stands in the other too.
    pub fn repeats(&self, other: &Self) -> bool {
        if self.events.is_empty() || other.events.is_empty() {
            return false;
        }
        let known: Hashes<&(u32, u64)> = other.events.iter().collect();
        self.events.iter().any(|event| known.contains(event))
    }
}

impl Intake {
    pub fn new(keys: Keys, partitions: u32, options: Options) -> Self {
        let partitions = partitions.max(1);
        // No subject has this key, so no event can make the hash appear.
        let secret = keys.process_key(&SubjectKey([0; 16]), "event ids").0;
        Self {
            keys,
            partitions,
            event_key: blake3::derive_key("quietus intake event id v1", &secret),
            resend_after: options.resend_after,
            memory: Mutex::new(Memory {
                seen: (0..partitions).map(|_| Recent::keeping(options.seen)).collect(),
                sent: Recent::keeping(options.subjects),
                aged: Millis(i64::MIN),
            }),
        }
    }

    /// Maps, hashes, seals and routes. Changes nothing but what [`Intake::remember`] is told later.
    pub fn accept(&self, batch: &Batch<'_>, feed: &Feed, context: &Context) -> Accepted {
        let split = runs(batch) <= TRACES_MAX;
        let mut turn = self.turn(feed, context);
        let mut ids = self.event_ids(batch).into_iter();
        for (index, event) in batch.events.iter().enumerate() {
            let taken = match event {
                Err(refused) => Err(refused.clone()),
                Ok(raw) => {
                    let id = ids.next().unwrap_or_else(|| self.event_id(raw));
                    let own = raw.trace.as_deref().filter(|_| split);
                    turn.traced(own.or(batch.trace.as_deref()));
                    turn.take(raw, id).map_err(|refused| refused.of(&raw.id))
                }
            };
            match taken {
                Ok(()) => turn.told.accepted += 1,
                Err(refused) => turn.told.rejected.push(refused.at(index)),
            }
        }
        turn.finish()
    }

    /// One batch on its way: as [`Intake::accept`], event by event.
    pub(super) fn turn<'a>(&'a self, feed: &'a Feed, context: &'a Context) -> Turn<'a> {
        self.age(context.newest_tick);
        Turn::new(self, feed, context)
    }

    /// The frames are stored: their events are duplicates from now on.
    pub fn remember(&self, receipt: &Receipt) {
        let mut memory = self.memory();
        for (partition, id) in &receipt.events {
            if let Some(seen) = memory.seen.get_mut(*partition as usize) {
                seen.insert(*id);
            }
        }
        receipt.subjects.iter().for_each(|subject| memory.sent.insert(*subject));
    }

    /// At start: the hashes of what was taken in lately are known again, oldest first.
    pub fn recall(&self, partition: u32, events: impl IntoIterator<Item = u64>) {
        let mut memory = self.memory();
        let Some(seen) = memory.seen.get_mut(partition as usize) else { return };
        events.into_iter().for_each(|id| seen.insert(id));
    }

    /// Nothing is known of the subject any more: its identity is sent again with the next fact.
    pub fn forget(&self, subject: &SubjectKey) {
        self.memory().sent.remove(short(subject));
    }

    fn age(&self, now: Millis) {
        let mut memory = self.memory();
        if now >= memory.aged.plus(self.resend_after / 10) {
            memory.sent.age();
            memory.aged = now;
        }
    }

    fn memory(&self) -> std::sync::MutexGuard<'_, Memory> {
        self.memory.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn was_seen(&self, partition: u32, id: u64) -> bool {
        self.memory().seen.get(partition as usize).is_some_and(|seen| seen.contains(id))
    }

    pub(super) fn was_sent(&self, subject: u64) -> bool {
        self.memory().sent.contains(subject)
    }

    /// Of the events of a batch that can be read. Looked up one behind the other, most of a look is waited for
    /// together; looked up each in its turn, none is.
    fn event_ids(&self, batch: &Batch<'_>) -> Vec<EventId> {
        let mut ids: Vec<EventId> = batch.events.iter().flatten().map(|raw| self.event_id(raw)).collect();
        let memory = self.memory();
        // Whose an event is, and so which partition's, is not known yet.
        if memory.seen.len() <= PARTITIONS_LOOKED_AT {
            for id in &mut ids {
                id.is_new = !memory.seen.iter().any(|seen| seen.contains(id.hash));
            }
        }
        ids
    }

    pub(super) fn event_id(&self, raw: &RawEvent<'_>) -> EventId {
        EventId { hash: self.event_hash(raw), is_new: false }
    }

    /// 0 = it has no id of its own.
    fn event_hash(&self, raw: &RawEvent<'_>) -> u64 {
        if raw.id.is_empty() {
            return 0;
        }
        let mut hash = blake3::Hasher::new_keyed(&self.event_key);
        hash.update(&(raw.source.len() as u64).to_le_bytes());
        hash.update(raw.source.as_bytes());
        hash.update(raw.id.as_bytes());
        let hash = hash.finalize();
        hash.as_bytes().first_chunk().map_or(1, |id| u64::from_le_bytes(*id).max(1))
    }
}

/// How often the trace changes along the batch, the first included.
fn runs(batch: &Batch<'_>) -> usize {
    let traces = batch.events.iter().flatten().map(|raw| raw.trace.as_deref());
    let mut last = None;
    traces.filter(|trace| last.replace(*trace) != Some(*trace)).count()
}

/// As much of a key as the memory keeps.
pub(super) fn short(subject: &SubjectKey) -> u64 {
    subject.0.last_chunk().map_or(0, |tail| u64::from_le_bytes(*tail))
}
