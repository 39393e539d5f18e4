//! Records of a source in, frames and dead letters out.
//!
//! Invariant: every record ends in exactly one of: rows, nothing by a rule or by its kind, a refusal. The frames carry
//! the range that was read, so that whatever a crash keeps of them, reading again takes the rest and nothing twice.

use std::collections::BTreeMap;

use quietus_core::record::{Frame, Mark, Origin};
use quietus_core::time::Millis;

use super::accept::{Intake, Receipt};
use super::arrived::Arrived;
use super::cloudevent::{Batch, Position};
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

/// Maps, hashes, seals and routes; takes the first [`Fed::records`] of them, for a record that empties a table stands
/// alone. `taken` says per partition of the ledger what it has already.
pub fn feed(
    intake: &Intake,
    mapping: &Mapping,
    schemas: &Schemas,
    context: &Context,
    (generation, origin): (i32, Option<Origin>),
    records: &[Arrived],
    taken: &[Taken],
) -> Fed {
    let mut fed = Fed::default();
    let mut batch = Batch::default();
    let mut of_event = Vec::new();
    for (index, record) in records.iter().enumerate() {
        match mapping.map(&record.message(), schemas) {
            Err(refused) => fed.refused.push((index, refused)),
            Ok(mapped) if mapped.emptied.is_some() => {
                if index == 0 {
                    (fed.emptied, fed.newest, fed.records, fed.taken) =
                        (mapped.emptied, mapped.source_time, 1, 1);
                }
                break;
            }
            Ok(mapped) => {
                fed.newest = fed.newest.max(mapped.source_time);
                fed.skipped += usize::from(mapped.events.is_empty());
                fed.taken += usize::from(!mapped.events.is_empty());
                of_event.extend(mapped.events.iter().map(|_| index));
                batch.events.extend(mapped.events.into_iter().map(Ok));
            }
        }
        fed.records = index + 1;
    }
    let marks = marks(records.get(..fed.records).unwrap_or_default());
    let known = |partition: &Taken| {
        let of =
            |mark: &Mark| partition.get(&(mark.topic.clone(), mark.partition)).copied().unwrap_or(i64::MIN);
        marks.iter().map(of).collect()
    };
    let taken = if marks.is_empty() { Vec::new() } else { taken.iter().map(known).collect() };
    let feed = Feed { source: mapping.source().source.clone(), generation, taken, marks };
    for (event, index) in batch.events.iter_mut().zip(&of_event) {
        let (Ok(event), Some(record)) = (event, records.get(*index)) else { continue };
        let mark = feed
            .marks
            .iter()
            .position(|m| record.mark.as_ref() == Some(&m.topic) && m.partition == record.partition);
        event.position = mark.map(|mark| Position { mark, offset: record.offset });
        if event.origin == Origin::Event {
            event.origin = origin.unwrap_or(Origin::Event);
        }
    }
    let accepted = intake.accept(&batch, &feed, context);
    let mut last = None;
    for rejected in accepted.rejected {
        let Some(index) = of_event.get(rejected.index).copied() else { continue };
        // One letter a record, however many of its events are refused.
        if last.replace(index) != Some(index) {
            fed.taken = fed.taken.saturating_sub(1);
            fed.refused.push((index, rejected.into()));
        }
    }
    fed.refused.sort_by_key(|(index, _)| *index);
    (fed.frames, fed.receipt) = (accepted.frames, accepted.receipt);
    (fed.duplicates, fed.undeclared) = (accepted.duplicates, accepted.undeclared);
    fed
}
