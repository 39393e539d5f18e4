//! Records of sources: mapped, made durable, and what cannot be read with them.
//!
//! Invariant: a record that was taken in is fsynced, as rows or as a dead letter, before its range is; dead letters go
//! first, so that a crash between two frames leaves a letter whose range is read again, and never a range whose letter
//! is missing.

use std::collections::BTreeMap;

use quietus_core::record::{Change, ChangeKind, Changes, DeadLettered, Facts, Frame, Mark, Origin, Record};
use quietus_core::time::Millis;

use super::sources::Ready;
use super::{Node, NodeError};
use crate::intake::arrived::Arrived;
use crate::intake::feeding::{Fed, Feeding, Taken};
use crate::intake::lanes;
use crate::intake::mapping::Emptied;
use crate::intake::refuse::Refused;
use crate::ledger::Stream;
use crate::ledger::codec::encode_frame;

/// Less than the ledger takes at once, so that a frame more still fits.
const APPEND_BYTES: usize = 8 << 20;
/// Records made ready while those before them are brought to disk.
pub(super) const PART: usize = 5_000;
/// Letters of one frame weigh no more than this, unless one does.
const LETTERS_BYTES: usize = 1 << 20;
/// A record beyond this leaves a letter without it.
const LETTER_MAX: usize = 2 << 20;
/// More wait for no person: a source that fails so often is wrong itself.
pub const LETTERS_MAX: usize = 100_000;
/// How long a dead letter is kept.
pub const LETTERS_KEPT: i64 = 30 * Millis::DAY;

/// What became of records.
#[derive(Debug, Default)]
pub struct FedRecords {
    pub taken: usize,
    pub skipped: usize,
    pub duplicates: usize,
    /// By their index.
    pub refused: Vec<(usize, Refused)>,
    pub newest: Option<Millis>,
}

impl Node {
    /// Takes records in; with `letters` what is refused is kept, else it is only answered. `origin` stands for records
    /// that say nothing of theirs.
    pub async fn feed(
        &self,
        ready: &Ready,
        records: &[Arrived],
        origin: Option<Origin>,
        letters: bool,
    ) -> Result<FedRecords, NodeError> {
        let mut out = FedRecords::default();
        let mut rest = records;
        self.fetch_schemas(ready, records).await?;
        let mut ahead = None;
        while !rest.is_empty() {
            let mut fed = ahead.take().unwrap_or_else(|| self.prepare_records(ready, part_of(rest), origin));
            let done = out_of(rest, &fed);
            let mut frames = Vec::new();
            if letters {
                frames = self.letters_of(ready, rest, &fed.refused)?;
            }
            match &fed.emptied {
                Some(emptied) => {
                    self.settle().await;
                    frames.extend(self.empty(ready, emptied, rest.first())?);
                }
                None => frames.append(&mut fed.frames),
            }
            let behind = rest.get(done..).unwrap_or_default();
            // While these are on their way to the disk, those behind them are made ready.
            let next = async {
                let next = (!behind.is_empty()).then(|| self.prepare_records(ready, part_of(behind), origin));
                // What repeats one of these could not know it.
                next.filter(|next| !next.receipt.repeats(&fed.receipt))
            };
            let (appended, next) = tokio::join!(biased; self.append_records(frames), next);
            appended?;
            self.desk().intake().remember(&fed.receipt);
            self.count(ready, &fed);
            out.taken += fed.taken;
            out.skipped += fed.skipped;
            out.duplicates += fed.duplicates;
            out.newest = out.newest.max(fed.newest);
            let before = records.len() - rest.len();
            out.refused.extend(fed.refused.into_iter().map(|(index, refused)| (before + index, refused)));
            (rest, ahead) = (behind, next);
        }
        Ok(out)
    }

    pub(super) fn prepare_records(&self, ready: &Ready, records: &[Arrived], origin: Option<Origin>) -> Fed {
        let name = &ready.mapping.source().source;
        let taken: Vec<Taken> = self.partitions.iter().map(|p| p.taken(name, ready.generation)).collect();
        let context = self.intake_context();
        let feeding = Feeding {
            intake: self.desk().intake(),
            mapping: &ready.mapping,
            schemas: &self.sources().schemas,
            context: &context,
            generation: ready.generation,
            origin,
            taken: &taken,
        };
        lanes::feed(&feeding, records)
    }

    pub(super) async fn fetch_schemas(&self, ready: &Ready, records: &[Arrived]) -> Result<(), NodeError> {
        let Some(registry) = &self.sources().registry else { return Ok(()) };
        let ids = records.iter().flat_map(|record| ready.mapping.schemas_of(&record.message()));
        let ids: std::collections::BTreeSet<_> = ids.collect();
        registry.fetch(&self.sources().schemas, ids).await.map_err(|what| NodeError::Elsewhere {
            code: "registry-unreachable",
            what,
            fix: "look at `kafka: {registry: URL}` and at the registry; nothing was taken, try again"
                .to_owned(),
        })
    }

    /// A letter for each refused record, in frames.
    fn letters_of(
        &self,
        ready: &Ready,
        records: &[Arrived],
        refused: &[(usize, Refused)],
    ) -> Result<Vec<(u32, Frame)>, NodeError> {
        if refused.is_empty() {
            return Ok(Vec::new());
        }
        let waiting: usize = self.partitions.iter().map(|p| p.read().state.dead_letters.len()).sum();
        if waiting + refused.len() > LETTERS_MAX {
            return Err(NodeError::Conflict {
                code: "too-many-dead-letters",
                what: format!("{waiting} dead letters wait, and {} more would come", refused.len()),
                fix: "mend the source's mapping, and retry them or let their time run out".to_owned(),
            });
        }
        let mut frames: Vec<(u32, Frame)> = Vec::new();
        let mut open: BTreeMap<u32, (Vec<Record>, usize)> = BTreeMap::new();
        for (index, why) in refused {
            let Some(record) = records.get(*index) else { continue };
            let letter = self.letter(ready, record, why)?;
            let partition = self.partition_of_letter(&letter.id);
            let size = 512 + letter.payload.as_ref().map_or(0, Vec::len);
            let (records, bytes) = open.entry(partition).or_default();
            if *bytes + size > LETTERS_BYTES && !records.is_empty() {
                frames.push((partition, Frame::of(std::mem::take(records))));
                *bytes = 0;
            }
            records.push(letter.into());
            *bytes += size;
        }
        let rest = open.into_iter().filter(|(_, (records, _))| !records.is_empty());
        frames.extend(rest.map(|(partition, (records, _))| (partition, Frame::of(records))));
        Ok(frames)
    }

    fn letter(&self, ready: &Ready, record: &Arrived, why: &Refused) -> Result<DeadLettered, NodeError> {
        let name = &ready.mapping.source().source;
        let id = letter_id(name, ready.generation, record);
        let payload = if record.size() > LETTER_MAX {
            None
        } else {
            let sealed = self.keys.seal_letter(&id, &record.packed());
            Some(sealed.map_err(|error| NodeError::Refused {
                code: "not-sealed",
                what: error.to_string(),
                fix: "look at the node's log".to_owned(),
            })?)
        };
        let now = self.now();
        Ok(DeadLettered {
            id,
            source: name.clone(),
            source_generation: ready.generation,
            topic: record.mark.as_deref().map(str::to_owned),
            partition: record.mark.as_ref().map(|_| record.partition),
            offset: record.mark.as_ref().map(|_| record.offset),
            reason: why.code.to_owned(),
            detail: why.detail.clone(),
            payload,
            at: now.0,
            expires: now.plus(LETTERS_KEPT).0,
        })
    }

    /// Letters lie evenly: nothing of theirs belongs to one person's partition.
    pub(super) fn partition_of_letter(&self, id: &str) -> u32 {
        let hash = blake3::hash(id.as_bytes());
        let head = hash.as_bytes().first_chunk().map_or(0, |head| u32::from_le_bytes(*head));
        head % u32::try_from(self.partitions.len()).unwrap_or(1).max(1)
    }

    /// Everything that lies at the place is gone, as its source says: item by item, for only we know them.
    pub(super) fn empty(
        &self,
        ready: &Ready,
        emptied: &Emptied,
        record: Option<&Arrived>,
    ) -> Result<Vec<(u32, Frame)>, NodeError> {
        let mark = record.and_then(|r| {
            let (from, to) = (r.offset, r.offset);
            Some(Mark { topic: r.mark.as_deref()?.to_owned(), partition: r.partition, from, to })
        });
        let mut frames = Vec::new();
        for partition in self.partitions.iter() {
            let mut items = Vec::new();
            partition.read().store.each(&mut |lives, _| {
                let there = lives.newest().filter(|life| {
                    let here = |c: &&quietus_core::item::Copy| {
                        *c.system == *emptied.system && *c.dataset == *emptied.dataset
                    };
                    life.item.copies.iter().filter(|c| c.is_live()).any(|c| here(&c))
                });
                items.extend(there.map(|life| life.item.id));
            });
            let mut batches: Vec<_> = items.chunks(Facts::MAX).map(<[_]>::to_vec).collect();
            if batches.is_empty() {
                batches.push(Vec::new());
            }
            let last = batches.len() - 1;
            for (n, items) in batches.into_iter().enumerate() {
                let rows = items.into_iter().map(|id| Change {
                    subject: Some(id.subject.0.into()),
                    item: Some(id.item.0.into()),
                    system: Some(emptied.system.clone()),
                    dataset: Some(emptied.dataset.clone()),
                    origin: Origin::Delete as i32,
                    ..Change::new(ChangeKind::Gone, emptied.at.0)
                });
                let changes = Changes {
                    source: ready.mapping.source().source.clone(),
                    source_generation: ready.generation,
                    marks: mark.clone().filter(|_| n == last).into_iter().collect(),
                    rows: rows.collect(),
                };
                if !changes.rows.is_empty() || !changes.marks.is_empty() {
                    frames.push((partition.index(), Frame::of(vec![changes.into()])));
                }
            }
        }
        Ok(frames)
    }

    /// Returns once everything that is durable now has been applied.
    pub(super) async fn settle(&self) {
        for partition in self.partitions.iter() {
            let end = self.ledger().end(Stream::Partition(partition.index())).unwrap_or_default();
            if let Some(last) = end.checked_sub(1) {
                partition.has_applied(last).await;
            }
        }
    }

    pub(super) async fn append_records(&self, frames: Vec<(u32, Frame)>) -> Result<(), NodeError> {
        let trace = crate::telemetry::trace::current();
        let (mut part, mut bytes) = (Vec::new(), 0);
        for (partition, mut frame) in frames {
            if frame.trace.is_none() {
                frame.trace.clone_from(&trace);
            }
            let encoded = encode_frame(&frame)?;
            if bytes + encoded.len() > APPEND_BYTES && !part.is_empty() {
                self.noted(self.ledger().append_many(std::mem::take(&mut part)).await)?;
                bytes = 0;
            }
            bytes += encoded.len();
            part.push((Stream::Partition(partition), encoded));
        }
        if !part.is_empty() {
            self.noted(self.ledger().append_many(part).await)?;
        }
        Ok(())
    }

    fn count(&self, ready: &Ready, fed: &Fed) {
        let name = &ready.mapping.source().source;
        let count = |outcome, n: usize| self.metrics.events(name, outcome, n as u64);
        count("accepted", fed.taken.saturating_sub(fed.duplicates));
        count("duplicate", fed.duplicates);
        count("rejected", fed.refused.len());
        count("skipped", fed.skipped);
        count("undeclared", fed.undeclared);
    }
}

/// What is made ready at once, of what is left.
fn part_of(rest: &[Arrived]) -> &[Arrived] {
    rest.get(..PART).unwrap_or(rest)
}

fn out_of(rest: &[Arrived], fed: &Fed) -> usize {
    // A batch that begins with nothing it could take would never end.
    fed.records.clamp(1, rest.len().max(1))
}

/// One for each position, however often it is read; a record without one has what it says.
pub fn letter_id(source: &str, generation: i32, record: &Arrived) -> String {
    let mut hash = blake3::Hasher::new_derive_key("quietus dead letter id v1");
    let mut field = |bytes: &[u8]| {
        hash.update(&(bytes.len() as u64).to_le_bytes());
        hash.update(bytes);
    };
    field(source.as_bytes());
    field(&generation.to_le_bytes());
    field(record.mark.as_deref().unwrap_or_default().as_bytes());
    field(&record.partition.to_le_bytes());
    field(&record.offset.to_le_bytes());
    let id = hash.finalize();
    let short = id.as_bytes().first_chunk::<20>().copied().unwrap_or_default();
    format!("dl_{}", data_encoding::BASE32_NOPAD.encode(&short).to_ascii_lowercase())
}
