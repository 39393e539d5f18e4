//! Records of a source in, frames and dead letters out.
//!
//! Invariant: every record ends in exactly one of: rows, nothing by a rule or by its kind, a refusal. The frames carry
//! the range that was read, so that whatever a crash keeps of them, reading again takes the rest and nothing twice.

use std::collections::BTreeMap;

use quietus_core::record::{Frame, Mark, Origin};
use quietus_core::time::Millis;

use super::accept::{Intake, Receipt, TRACES_MAX};
use super::arrived::Arrived;
use super::cloudevent::Position;
use super::context::Context;
use super::mapping::{Emptied, Mapping, Schemas};
use super::refuse::Refused;
use super::route::Feed;

/// (topic, partition) → highest offset, as one partition of the ledger knows it.
pub type Taken = BTreeMap<(String, i32), i64>;

/// What became of a batch.
#[derive(Debug, Default)]
pub struct Fed {
    /// To be appended in this order, after the dead letters.
    pub frames: Vec<(u32, Frame)>,
    pub receipt: Receipt,
    /// Records, by their index in the batch.
    pub refused: Vec<(usize, Refused)>,
    /// How many of the records this is about: the first so many.
    pub records: usize,
    /// Everything of this place went: the batch is this one record.
    pub emptied: Option<Emptied>,
    /// Records that became at least one event.
    pub taken: usize,
    /// Records that became nothing, as their source or its rules want it.
    pub skipped: usize,
    pub duplicates: usize,
    pub undeclared: usize,
    pub newest: Option<Millis>,
}

impl Fed {
    /// Adds what became of the records that follow.
    pub(super) fn go_on(&mut self, next: Self) {
        let before = self.records;
        self.frames.extend(next.frames);
        self.receipt.events.extend(next.receipt.events);
        self.receipt.subjects.extend(next.receipt.subjects);
        self.refused.extend(next.refused.into_iter().map(|(index, why)| (before + index, why)));
        self.records += next.records;
        self.taken += next.taken;
        self.skipped += next.skipped;
        self.duplicates += next.duplicates;
        self.undeclared += next.undeclared;
        self.newest = self.newest.max(next.newest);
    }
}

/// The ranges that the records stand for.
pub fn marks(records: &[Arrived]) -> Vec<Mark> {
    let mut ranges: BTreeMap<(&str, i32), (i64, i64)> = BTreeMap::new();
    for record in records {
        let Some(topic) = &record.mark else { continue };
        let range = ranges.entry((topic, record.partition)).or_insert((record.offset, record.offset));
        *range = (range.0.min(record.offset), range.1.max(record.offset));
    }
    let mark = |((topic, partition), (from, to)): ((&str, i32), (i64, i64))| Mark {
        topic: topic.to_owned(),
        partition,
        from,
        to,
    };
    ranges.into_iter().map(mark).collect()
}

/// What records of one source are taken in with.
#[derive(Clone, Copy, Debug)]
pub struct Feeding<'a> {
    pub intake: &'a Intake,
    pub mapping: &'a Mapping,
    pub schemas: &'a Schemas,
    pub context: &'a Context,
    pub generation: i32,
    /// Stands for records that say nothing of theirs.
    pub origin: Option<Origin>,
    /// Per partition of the ledger, what it has already.
    pub taken: &'a [Taken],
}

impl Feeding<'_> {
    /// Maps, hashes, seals and routes; takes the first [`Fed::records`] of them, for a record that empties a table
    /// stands alone.
    ///
    /// Record by record: the same with all of a batch mapped first kept every record three times, and was a third
    /// slower.
    pub fn feed(&self, records: &[Arrived]) -> Fed {
        match self.one_by_one(records) {
            Ok(fed) => fed,
            // Rare, and what comes before it empties nothing.
            Err(Empties(at)) => self.one_by_one(records.get(..at).unwrap_or_default()).unwrap_or_default(),
        }
    }
    fn one_by_one(&self, records: &[Arrived]) -> Result<Fed, Empties> {
        let Feeding { intake, mapping, schemas, context, generation, origin, taken } = *self;
        let mut fed = Fed { records: records.len(), ..Fed::default() };
        let marks = marks(records);
        let known = |partition: &Taken| {
            let of = |mark: &Mark| {
                partition.get(&(mark.topic.clone(), mark.partition)).copied().unwrap_or(i64::MIN)
            };
            marks.iter().map(of).collect()
        };
        let taken = if marks.is_empty() { Vec::new() } else { taken.iter().map(known).collect() };
        let feed = Feed { source: mapping.source().source.clone(), generation, taken, marks };
        let mut turn = intake.turn(&feed, context);
        let schemas = &schemas.now();
        let (mut traces, mut trace) = (0, None);
        for (index, record) in records.iter().enumerate() {
            let mapped = match mapping.map(&record.message(), schemas) {
                Ok(mapped) => mapped,
                Err(refused) => {
                    fed.refused.push((index, refused));
                    continue;
                }
            };
            if mapped.emptied.is_some() {
                return match index {
                    0 => Ok(Fed {
                        emptied: mapped.emptied,
                        newest: mapped.source_time,
                        records: 1,
                        taken: 1,
                        ..Fed::default()
                    }),
                    _ => Err(Empties(index)),
                };
            }
            fed.newest = fed.newest.max(mapped.source_time);
            fed.skipped += usize::from(mapped.events.is_empty());
            fed.taken += usize::from(!mapped.events.is_empty());
            let position = position(&feed.marks, record);
            let mut first = None;
            for mut event in mapped.events {
                event.position = position;
                if event.origin == Origin::Event {
                    event.origin = origin.unwrap_or(Origin::Event);
                }
                if event.trace != trace {
                    traces += 1;
                    trace = event.trace.take();
                }
                turn.traced(trace.as_deref().filter(|_| traces <= TRACES_MAX));
                if let Err(refused) = turn.take(&event, intake.event_id(&event)) {
                    first.get_or_insert_with(|| refused.of(&event.id));
                }
            }
            // One letter a record, however many of its events are refused.
            if let Some(refused) = first {
                fed.taken -= 1;
                fed.refused.push((index, refused));
            }
        }
        let accepted = turn.finish();
        (fed.frames, fed.receipt) = (accepted.frames, accepted.receipt);
        (fed.duplicates, fed.undeclared) = (accepted.duplicates, accepted.undeclared);
        Ok(fed)
    }
}

/// The record at this index empties a table, and is not the first.
struct Empties(usize);

fn position(marks: &[Mark], record: &Arrived) -> Option<Position> {
    let topic = record.mark.as_deref()?;
    let mark = marks.iter().position(|m| m.partition == record.partition && m.topic == topic)?;
    Some(Position { mark, offset: record.offset })
}
