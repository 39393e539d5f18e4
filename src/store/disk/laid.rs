//! The facts that a pass will be shown, laid out by its parts in a file of its own, so that a pass of many parts reads each
//! page once and not once a part.
//!
//! Invariant: what lies there of a part is everything that its bounds let through and every fact of whom a change asks
//! for; perhaps more. The file has no name and goes with the pass. What cannot be written or read there costs time
//! alone: the parts read pages then. So they do once something was let go that was forgotten, for what was told of
//! it goes from the changes as well. Rejected: for a pass of few parts, where reading pages again is as fast as writing rows.

use std::collections::BTreeSet;
use std::fs::{self, File, OpenOptions};
use std::io;
use std::ops::ControlFlow;
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::Path;
use std::sync::Arc;

use quietus_core::engine::Sieve;
use quietus_core::identity::{ItemKey, SubjectKey};
use quietus_core::time::Millis;

use super::apart::{MARGIN, room};
use super::blocks::Blocks;
use super::bytes::{Reader, Writer};
use super::page::Group;
use super::row::{Family, Stored};
use super::run::Run;
use super::sift::{Bounds, Joined, Range, part_of};
use super::{DiskStore, StoreError};

/// What waits to be written of a part, and of all of them.
const CHUNK: usize = 64 << 10;
const CHUNKS: usize = 16 << 20;
/// A row takes no more, but for a few.
const ROW: u64 = 100;

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
}

/// Whom changes ask for, and some whom none does: a bit for each of some bits of a key.
#[derive(Debug)]
struct Asked {
    bits: Vec<u64>,
    any: bool,
}

impl Asked {
    const BITS: u32 = 26;

    fn add(&mut self, subject: SubjectKey) {
        if self.bits.is_empty() {
            self.bits = vec![0; 1 << (Self::BITS - 6)];
        }
        let (word, bit) = Self::place(subject);
        self.any = true;
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
    forgettings: u64,
}

#[derive(Clone, Copy, Debug)]
struct Chunk {
    at: u64,
    len: usize,
    sum: u32,
}

impl DiskStore {
    /// Runs that it reads are not dropped before it has ended.
    pub(super) fn laying(&mut self, sieve: &Sieve<'_>, of: u64) -> Option<Laying> {
        if of < self.sizes.laid_from {
            return None;
        }
        let bounds = match sieve {
            Sieve::Due(due) if !due.needs_persons() => Some(self.bounds(due)),
            Sieve::Due(_) | Sieve::Everything => None,
        };
        let facts = self.groups.iter().filter(|group| group.family == Family::Facts);
        let runs: Vec<Arc<Run>> = facts.flat_map(|group| group.runs.iter().cloned()).collect();
        self.read_beside = runs.iter().map(|run| run.number).collect();
        let (asked, forgettings) = (Asked { bits: Vec::new(), any: false }, self.forgettings);
        Some(Laying { blocks: self.blocks.clone(), runs, of, bounds, asked, forgettings })
    }

    /// Adds whom the changes of one part ask for.
    pub(super) fn ask_for(&self, sieve: &Sieve<'_>, n: u64, laying: &mut Laying) -> Result<(), StoreError> {
        let (Sieve::Due(due), Some(_)) = (sieve, &laying.bounds) else { return Ok(()) };
        let mut joined = Joined::default();
        self.each_of(&[Family::Changes], Range { n, of: laying.of }, &|_| true, &mut |family, row| {
            joined.hear(due, family, &row, &self.shapes)?;
            Ok(ControlFlow::Continue(()))
        })?;
        joined.subjects().for_each(|subject| laying.asked.add(subject));
        Ok(())
    }

    /// Drops what was merged away meanwhile.
    pub(super) fn laid(&mut self) -> Result<(), StoreError> {
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
        let rows: u64 = self.runs.iter().map(|run| run.rows).sum();
        let (needed, free) = (rows.saturating_mul(ROW).saturating_add(MARGIN), room(dir).map_err(failed)?);
        if free < needed {
            let what = format!("a pass laid out needs {needed} bytes of free disk, there are {free}");
            return Err(StoreError::Disk(what));
        }
        let mut out = Out::new(unnamed(&self.blocks.laid()).map_err(failed)?, self.of);
        let pages =
            |group: &Group| self.asked.any || self.bounds.as_ref().is_none_or(|bounds| bounds.group(group));
        for run in &self.runs {
            for page in run.pages_where(&pages) {
                let rows = run.filtered(&self.blocks, page, &mut |row| {
                    let is_due = |bounds: &Bounds| bounds.lets_through(row.shape, row.start);
                    self.bounds.as_ref().is_none_or(is_due) || self.asked.may_hold(row.subject)
                })?;
                rows.iter()
                    .try_for_each(|row| out.put(part_of(row.subject, self.of), row))
                    .map_err(failed)?;
            }
        }
        let (file, parts) = out.end().map_err(failed)?;
        Ok(LaidOut { file, parts, forgettings: self.forgettings })
    }
}

impl LaidOut {
    /// It says what the store does.
    pub(super) fn serves(&self, range: Range, forgettings: u64) -> bool {
        self.parts.len() as u64 == range.of && self.forgettings == forgettings
    }

    /// Changes a byte of every chunk.
    #[cfg(test)]
    pub(super) fn garble(&self) {
        for chunk in self.parts.iter().flatten() {
            self.file.write_all_at(&[0xff], chunk.at + 3).unwrap();
        }
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
    most: usize,
    waiting: Vec<Writer>,
    parts: Vec<Vec<Chunk>>,
}

impl Out {
    fn new(file: File, of: u64) -> Self {
        let of = usize::try_from(of).unwrap_or(1).max(1);
        let waiting = (0..of).map(|_| Writer::default()).collect();
        Self { file, at: 0, most: CHUNK.min(CHUNKS / of), waiting, parts: vec![Vec::new(); of] }
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
        self.file.write_all_at(&out.0, self.at)?;
        let len = out.0.len();
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
