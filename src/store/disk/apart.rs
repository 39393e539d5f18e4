//! A snapshot as a file of its own, `snapshots/PARTITION` beside the store, where a ledger is truncated.
//!
//! ```text
//! magic "quietusS" | format u32 | length u32, value of the snapshot | (run u32 | block u32 | length u32 | bytes) … |
//! BLAKE3 of all before 32
//! ```
//! Numbers are little endian. What the ledger no longer has is in the store alone, and sled waits for the kernel where it
//! should wait for the disk: a power cut can leave a database that does not open, snapshots and all. Invariant: before
//! a segment is given up there is a copy of each partition's newest snapshot, whole, durable and never written again; a
//! store that cannot be opened is made anew from the copies once all of them were found whole. What cannot be read as a
//! start would read it, or has no room, takes the place of no copy. Rejected: to sync sled's file more often, for what it
//! writes in between is torn all the same, in places that it uses again.

use std::fs::File;
use std::io::{self, BufRead, BufReader, BufWriter, Read, Write};
use std::path::{Path, PathBuf};

use super::blocks::{Blocks, Database, StoreError};
use super::page::MAX_BYTES;
use super::queue::Queue;
use super::snapshot::{PLACES, Pinned};
use super::{DiskStore, Sizes};
use crate::durable;

const MAGIC: [u8; 8] = *b"quietusS";
const FORMAT: u32 = 1;
const FOLDER: &str = "snapshots";
const SUM: u64 = 32;
/// Run, block, length.
const BEFORE_BLOCK: u64 = 12;
/// Left to the ledger, which answers nobody any more on a full disk.
pub(super) const MARGIN: u64 = 64 << 20;
/// Fewer rows at a time than a sweep reads: this may run beside one.
const READING: Sizes = Sizes {
    flush_rows: 0,
    flush_frames: 0,
    fan_in: 0,
    run_rows: 0,
    slice_rows: 64 * 1024,
    laid_from: u64::MAX,
    apart: 2,
    duties_held: 0,
};

/// The copy that belongs to this partition of the store in this folder.
pub fn path(store: &Path, partition: u32) -> PathBuf {
    store.with_file_name(FOLDER).join(partition.to_string())
}

/// A copy that is not made yet: it is made beside the store, whose owner does not wait for the disk.
#[derive(Debug)]
pub struct Apart {
    pub(super) blocks: Blocks,
    pub(super) pinned: Pinned,
}

impl Apart {
    /// Durable when this returns, in the place of the one before.
    pub fn run(&self) -> Result<(), StoreError> {
        let (path, value) = (self.blocks.apart(), self.pinned.encode());
        let failed = |cause: io::Error| StoreError::Disk(format!("{}: {cause}", path.display()));
        // One that cannot be read is made again.
        let is_there = Copy::open(&path).is_ok_and(|copy| copy.value == value);
        if is_there && is_whole(&path).unwrap_or(false) {
            return Ok(());
        }
        let folder = path.parent().unwrap_or(Path::new("."));
        durable::make_folder(folder).map_err(failed)?;
        let (needed, free) = (self.bytes()?.saturating_add(MARGIN), room(folder).map_err(failed)?);
        if free < needed {
            let what = format!("a copy of the snapshot needs {needed} bytes of free disk, there are {free}");
            return Err(failed(io::Error::new(io::ErrorKind::StorageFull, what)));
        }
        // A hollow copy must not take a whole one's place.
        DiskStore::of_pinned(&self.blocks, READING, &self.pinned)?;
        durable::draft_by(&path, |file| self.write(file, &value)).map_err(failed)?;
        durable::publish(&path).map_err(failed)
    }

    /// What the blocks take in a copy.
    fn bytes(&self) -> Result<u64, StoreError> {
        let blocks = self.pinned.runs().flat_map(|run| self.blocks.of_run(run));
        blocks.map(|block| Ok(BEFORE_BLOCK + block?.1.len() as u64)).sum()
    }

    fn write(&self, file: &mut File, value: &[u8]) -> io::Result<()> {
        let mut out = Summed { inner: BufWriter::new(file), sum: blake3::Hasher::new() };
        out.write_all(&MAGIC)?;
        out.number(FORMAT)?;
        out.bytes(value)?;
        for run in self.pinned.runs() {
            for block in self.blocks.of_run(run) {
                let (block, bytes) = block.map_err(io::Error::other)?;
                out.number(run)?;
                out.number(block)?;
                out.bytes(&bytes)?;
            }
        }
        let sum = out.sum.finalize();
        out.inner.write_all(sum.as_bytes())?;
        out.inner.flush()
    }
}

/// A copy of each partition's snapshot, every one whole.
#[derive(Debug)]
pub struct Copies(Vec<PathBuf>);

impl Copies {
    /// Those beside this store; None = one is not there, or not whole.
    pub fn whole(store: &Path, partitions: u32) -> Result<Option<Self>, StoreError> {
        let mut found = Vec::new();
        for path in (0..partitions).map(|index| path(store, index)) {
            match is_whole(&path) {
                Ok(true) => found.push(path),
                Ok(false) => return Ok(None),
                Err(cause) => return Err(StoreError::Disk(format!("{}: {cause}", path.display()))),
            }
        }
        Ok(Some(Self(found)))
    }

    /// Takes away what a crash left of one that was being made: it may be as long as they are.
    pub fn discard_drafts(store: &Path) -> io::Result<()> {
        durable::discard_all(&store.with_file_name(FOLDER))
    }

    /// The database in this folder anew, whatever lay there, with the snapshots alone: opened, it goes back to them.
    pub fn put_in(&self, dir: &Path) -> Result<Database, StoreError> {
        let database = Database::anew(dir)?;
        for (index, path) in (0u32..).zip(&self.0) {
            let failed = |cause: io::Error| StoreError::Disk(format!("{}: {cause}", path.display()));
            let blocks = database.partition(index);
            let mut copy = Copy::open(path).map_err(failed)?;
            let mut queue = Queue::new(&blocks);
            while let Some((run, block, bytes)) = copy.next().map_err(failed)? {
                queue.put(run, block, bytes)?;
            }
            queue.end()?;
            blocks.set_snapshot(PLACES[0], &copy.value)?;
        }
        Ok(database)
    }
}

/// Bytes that may still be written there.
pub(super) fn room(dir: &Path) -> io::Result<u64> {
    let of = rustix::fs::statvfs(dir)?;
    Ok(of.f_bavail.saturating_mul(of.f_frsize))
}

/// Every byte is as it was written.
fn is_whole(path: &Path) -> io::Result<bool> {
    let file = match File::open(path) {
        Err(cause) if cause.kind() == io::ErrorKind::NotFound => return Ok(false),
        opened => opened?,
    };
    let Some(length) = file.metadata()?.len().checked_sub(SUM) else { return Ok(false) };
    let (mut sum, mut told) = (blake3::Hasher::new(), [0; SUM as usize]);
    let mut content = BufReader::new(file).take(length);
    loop {
        let bytes = content.fill_buf()?;
        let count = bytes.len();
        if count == 0 {
            break;
        }
        sum.update(bytes);
        content.consume(count);
    }
    content.into_inner().read_exact(&mut told)?;
    Ok(sum.finalize() == told && Copy::open(path).is_ok())
}

/// A copy as it is read.
struct Copy {
    /// Names the snapshot.
    value: Vec<u8>,
    blocks: io::Take<BufReader<File>>,
}

impl Copy {
    fn open(path: &Path) -> io::Result<Self> {
        let file = File::open(path)?;
        let length = file.metadata()?.len().saturating_sub(SUM);
        let mut copy = Self { value: Vec::new(), blocks: BufReader::new(file).take(length) };
        let mut magic = [0; 8];
        copy.blocks.read_exact(&mut magic)?;
        if (magic, copy.number()?) != (MAGIC, FORMAT) {
            return Err(io::Error::other("it is no copy of a snapshot, or one of another version"));
        }
        copy.value = copy.bytes()?;
        Ok(copy)
    }

    fn next(&mut self) -> io::Result<Option<(u32, u32, Vec<u8>)>> {
        if self.blocks.limit() == 0 {
            return Ok(None);
        }
        Ok(Some((self.number()?, self.number()?, self.bytes()?)))
    }

    fn number(&mut self) -> io::Result<u32> {
        let mut four = [0; 4];
        self.blocks.read_exact(&mut four)?;
        Ok(u32::from_le_bytes(four))
    }

    fn bytes(&mut self) -> io::Result<Vec<u8>> {
        let length = usize::try_from(self.number()?).map_err(io::Error::other)?;
        if length > MAX_BYTES {
            return Err(io::Error::other("a block is longer than any is"));
        }
        let mut bytes = vec![0; length];
        self.blocks.read_exact(&mut bytes)?;
        Ok(bytes)
    }
}

/// What is written, and the sum of it.
struct Summed<W> {
    inner: W,
    sum: blake3::Hasher,
}

impl<W: Write> Summed<W> {
    fn write_all(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.sum.update(bytes);
        self.inner.write_all(bytes)
    }

    fn number(&mut self, number: u32) -> io::Result<()> {
        self.write_all(&number.to_le_bytes())
    }

    fn bytes(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.number(u32::try_from(bytes.len()).map_err(io::Error::other)?)?;
        self.write_all(bytes)
    }
}
