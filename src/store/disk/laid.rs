//! The facts that a pass will be shown, laid out by its parts in a file of its own, so that a pass of many parts reads each
//! page once and not once a part.
//!
//! Invariant: what lies there of a part is everything that its bounds let through and, unless they are few enough to be
//! looked up, every fact of whom a change asks for; perhaps more. The file has no name and goes with the pass. What cannot be written or read there costs time
//! alone: the parts read pages then. So they do once something was let go that was forgotten, for what was told of
//! it goes from the changes as well. Rejected: for a pass of few parts, where reading pages again is as fast as writing rows.

use std::collections::BTreeSet;
use std::fs::{self, File, OpenOptions};
use std::io;
use std::ops::ControlFlow;
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use quietus_core::engine::Sieve;
use quietus_core::identity::{ItemKey, SubjectKey};
use quietus_core::time::Millis;

use super::apart::{MARGIN, room};
use super::blocks::Blocks;
use super::bytes::{Reader, Writer};
use super::page::Group;
use super::row::{Family, Stored};
use super::run::Run;
use super::sift::{Bounds, Joined, OF_PERSON, Range, look_up_cost, part_of};
use super::{DiskStore, StoreError};

/// What waits to be written of a part, and of all of them.
const CHUNK: usize = 64 << 10;
const CHUNKS: usize = 16 << 20;
/// A row takes so many as a rule; where they take more the file is given up.
const ROW: u64 = 128;
/// Bytes that files of all partitions may still grow by: the ledger is to find room beside them.
static PROMISED: AtomicU64 = AtomicU64::new(0);

/// What is to be laid out, beside the store.
#[derive(Debug)]
pub struct Laying {
    blocks: Blocks,
    runs: Vec<Arc<Run>>,
    of: u64,
    /// None = every row is wanted.
    bounds: Option<Bounds>,
    asked: Asked,
    forgettings: u64,
    apart: usize,
}

/// Whom changes ask for, and some whom none does: a bit for each of some bits of a key.
#[derive(Debug, Default)]
struct Asked {
    bits: Vec<u64>,
    items: usize,
    persons: usize,
}

impl Asked {
    const BITS: u32 = 26;

    fn add(&mut self, subject: SubjectKey) {
        if self.bits.is_empty() {
            self.bits = vec![0; 1 << (Self::BITS - 6)];
        }
        let (word, bit) = Self::place(subject);
        self.bits.get_mut(word).into_iter().for_each(|word| *word |= bit);
    }

    fn may_hold(&self, subject: SubjectKey) -> bool {
        let (word, bit) = Self::place(subject);
        self.bits.get(word).is_some_and(|word| word & bit != 0)
    }

    /// The first bytes of a key say which partition and part it is in.
    fn place(SubjectKey([.., a, b, c, d]): SubjectKey) -> (usize, u64) {
        let at = u32::from_be_bytes([a, b, c, d]) >> (32 - Self::BITS);
        ((at >> 6) as usize, 1 << (at & 63))
    }
}

/// Facts by part.
#[derive(Debug)]
pub struct LaidOut {
    file: File,
    parts: Vec<Vec<Chunk>>,
    /// Those whom changes ask for are in it.
    has_asked: bool,
    forgettings: u64,
    _promise: Promise,
}

#[derive(Clone, Copy, Debug)]
struct Chunk {
    at: u64,
    len: usize,
    sum: u32,
}

impl DiskStore {
    pub(super) fn lays_out(&self, of: u64) -> bool {
        of >= self.sizes.laid_from && !self.looks_back
    }

    /// Runs that it reads are not dropped before it has ended.
    pub(super) fn laying(&mut self, sieve: &Sieve<'_>, of: u64) -> Option<Laying> {
        if !self.lays_out(of) {
            return None;
        }
        let bounds = match sieve {
            Sieve::Due(due) if !due.needs_persons() => Some(self.bounds(due)),
            Sieve::Due(_) | Sieve::Everything => None,
        };
        let facts = self.groups.iter().filter(|group| group.family == Family::Facts);
        let runs: Vec<Arc<Run>> = facts.flat_map(|group| group.runs.iter().cloned()).collect();
        self.read_beside = runs.iter().map(|run| run.number).collect();
        let (asked, forgettings, apart) = (Asked::default(), self.forgettings, self.sizes.apart);
        Some(Laying { blocks: self.blocks.clone(), runs, of, bounds, asked, forgettings, apart })
    }

    /// Adds whom the changes of one part ask for.
    pub(super) fn ask_for(&self, sieve: &Sieve<'_>, n: u64, laying: &mut Laying) -> Result<(), StoreError> {
        let (Sieve::Due(due), Some(_)) = (sieve, &laying.bounds) else { return Ok(()) };
        let range = Range { n, of: laying.of };
        let mut joined = Joined::default();
        joined.stand(due, range);
        self.each_of(&[Family::Changes], range, &|_| true, &mut |family, row| {
            joined.hear(due, family, &row, &self.shapes)?;
            Ok(ControlFlow::Continue(()))
        })?;
        laying.asked.items += joined.items();
        laying.asked.persons += joined.persons();
        joined.subjects().for_each(|subject| laying.asked.add(subject));
        Ok(())
    }

    /// Drops what was merged away meanwhile.
    pub(super) fn stop_laying(&mut self) -> Result<(), StoreError> {
        let read = std::mem::take(&mut self.read_beside);
        let named: BTreeSet<u32> = self.list.runs().collect();
        self.drop_runs(read.into_iter().filter(|run| !named.contains(run)))
    }
}

impl Laying {
    /// What it comes to; an error says why it was left.
    pub fn run(&self) -> Result<LaidOut, StoreError> {
        let dir = self.blocks.dir();
        let failed = |cause: io::Error| StoreError::Disk(format!("{}: {cause}", dir.display()));
        let all = |_: &Group| true;
        let bounded = |group: &Group| self.bounds.as_ref().is_none_or(|bounds| bounds.group(group));
        let pages_of = |pages: &dyn Fn(&Group) -> bool| {
            self.runs.iter().map(|run| run.pages_where(pages).count()).sum::<usize>()
        };
        let rows_of =
            |pages: &dyn Fn(&Group) -> bool| self.runs.iter().map(|run| run.rows_where(pages)).sum::<u64>();
        let Asked { items, persons, .. } = self.asked;
        // To look them up would cost more than to read everything.
        let looked_up = look_up_cost(self.runs.len(), self.apart, items, persons);
        let has_asked = self.bounds.is_none() || looked_up > pages_of(&all) - pages_of(&bounded);
        let pages: &dyn Fn(&Group) -> bool = if has_asked { &all } else { &bounded };
        let asked = if has_asked { items.saturating_add(persons.saturating_mul(OF_PERSON)) } else { 0 };
        let rows = rows_of(&bounded).saturating_add(asked.saturating_mul(2) as u64).min(rows_of(&all));
        let promise = Promise::of(rows.saturating_mul(ROW), dir).map_err(failed)?;
        let mut out = Out::new(unnamed(&self.blocks.laid_path()).map_err(failed)?, self.of, promise.0);
        for run in &self.runs {
            for page in run.pages_where(pages) {
                let rows = run.filtered(&self.blocks, page, &mut |row| {
                    let is_due = |bounds: &Bounds| bounds.lets_through(row.shape, row.start);
                    self.bounds.as_ref().is_none_or(is_due) || has_asked && self.asked.may_hold(row.subject)
                })?;
                rows.iter()
                    .try_for_each(|row| out.put(part_of(row.subject, self.of), row))
                    .map_err(failed)?;
            }
        }
        let (file, parts) = out.end().map_err(failed)?;
        Ok(LaidOut { file, parts, has_asked, forgettings: self.forgettings, _promise: promise })
    }
}

/// Bytes of the disk that nobody else was promised; given back when it is dropped.
#[derive(Debug)]
struct Promise(u64);

impl Promise {
    fn of(bytes: u64, dir: &Path) -> io::Result<Self> {
        let promise = Self(bytes);
        let needed = PROMISED.fetch_add(bytes, Ordering::SeqCst).saturating_add(bytes).saturating_add(MARGIN);
        let free = room(dir)?;
        if free < needed {
            let what = format!("passes laid out need {needed} bytes of free disk, there are {free}");
            return Err(io::Error::new(io::ErrorKind::StorageFull, what));
        }
        Ok(promise)
    }
}

impl Drop for Promise {
    fn drop(&mut self) {
        PROMISED.fetch_sub(self.0, Ordering::SeqCst);
    }
}

impl LaidOut {
    /// It says what the store does.
    pub(super) fn serves(&self, range: Range, forgettings: u64) -> bool {
        self.parts.len() as u64 == range.of && self.forgettings == forgettings
    }

    /// Changes the last byte of every chunk: of a body.
    #[cfg(test)]
    pub(super) fn garble(&self) {
        for chunk in self.parts.iter().flatten() {
            let last = chunk.at + chunk.len as u64 - 1;
            self.file.write_all_at(&[0xff], last).unwrap();
        }
    }

    pub(super) fn has_asked(&self) -> bool {
        self.has_asked
    }

    /// Each row of a part.
    pub(super) fn each(&self, n: u64, visit: &mut dyn FnMut(Stored)) -> Result<(), StoreError> {
        let failed = |cause: io::Error| StoreError::Disk(format!("what was laid out for a pass: {cause}"));
        let chunks = usize::try_from(n).ok().and_then(|n| self.parts.get(n)).map_or(&[][..], Vec::as_slice);
        for Chunk { at, len, sum } in chunks {
            let mut bytes = vec![0; *len];
            self.file.read_exact_at(&mut bytes, *at).map_err(failed)?;
            let mut reader = Reader(&bytes);
            let is_whole = crc32c::crc32c(&bytes) == *sum;
            while is_whole && !reader.is_empty() {
                visit(read(&mut reader).ok_or_else(|| failed(io::ErrorKind::InvalidData.into()))?);
            }
            if !is_whole {
                return Err(failed(io::Error::new(io::ErrorKind::InvalidData, "it is not what was written")));
            }
        }
        Ok(())
    }
}

/// Chunks as they fill.
struct Out {
    file: File,
    at: u64,
    /// It does not grow beyond this.
    end: u64,
    most: usize,
    waiting: Vec<Writer>,
    parts: Vec<Vec<Chunk>>,
}

impl Out {
    fn new(file: File, of: u64, end: u64) -> Self {
        let of = usize::try_from(of).unwrap_or(1).max(1);
        let waiting = (0..of).map(|_| Writer::default()).collect();
        Self { file, at: 0, end, most: CHUNK.min(CHUNKS / of), waiting, parts: vec![Vec::new(); of] }
    }

    fn put(&mut self, part: u64, row: &Stored) -> io::Result<()> {
        let Ok(part) = usize::try_from(part) else { return Ok(()) };
        let Some(out) = self.waiting.get_mut(part) else { return Ok(()) };
        write(out, row);
        if out.0.len() >= self.most { self.write(part) } else { Ok(()) }
    }

    fn write(&mut self, part: usize) -> io::Result<()> {
        let (Some(out), Some(chunks)) = (self.waiting.get_mut(part), self.parts.get_mut(part)) else {
            return Ok(());
        };
        let len = out.0.len();
        if self.at + len as u64 > self.end {
            return Err(io::Error::other("rows take more room than was reckoned"));
        }
        self.file.write_all_at(&out.0, self.at)?;
        chunks.push(Chunk { at: self.at, len, sum: crc32c::crc32c(&out.0) });
        self.at += len as u64;
        out.0.clear();
        Ok(())
    }

    fn end(mut self) -> io::Result<(File, Vec<Vec<Chunk>>)> {
        (0..self.parts.len()).try_for_each(|part| self.write(part))?;
        Ok((self.file, self.parts))
    }
}

/// A file that goes when it is closed, whatever ends the process.
fn unnamed(path: &Path) -> io::Result<File> {
    let mut options = OpenOptions::new();
    options.read(true).write(true).create(true).truncate(true);
    let file = options.mode(0o600).open(path)?;
    fs::remove_file(path)?;
    Ok(file)
}

fn write(out: &mut Writer, row: &Stored) {
    out.raw(&row.subject.0).option(row.item, |out, item| {
        out.raw(&item.0);
    });
    out.number(row.seq).number(u64::from(row.shape)).option(row.start, |out, start| {
        out.signed(start.0);
    });
    out.bytes(&row.body);
}

fn read(reader: &mut Reader<'_>) -> Option<Stored> {
    Some(Stored {
        subject: SubjectKey(reader.array()?),
        item: reader.option(|r| r.array().map(ItemKey))?,
        seq: reader.number()?,
        shape: reader.small()?,
        start: reader.option(|r| r.signed().map(Millis))?,
        body: reader.bytes()?.to_vec(),
    })
}
