//! Runs as blocks in sled: the one file that names it.
//!
//! | key | value |
//! |---|---|
//! | partition (u16) · 0 (u32) · 0 (u32) | the partition's root, see [`super::root`] |
//! | partition (u16) · 0 (u32) · 1 or 2 (u32) | a snapshot of it, see [`super::snapshot`] |
//! | partition (u16) · 0 (u32) · 3 (u32) | a byte, where what the root names was found damaged |
//! | partition (u16) · run (u32, from 1) · block (u32) | a block of a run: page, far body, directory, index, header |
//!
//! Numbers are big endian, so that what is written together lies together; a run is dropped by its prefix. Every
//! value is at most [`MAX_BYTES`] long. Invariant: a run is whole and flushed before a root names it, and neither
//! root nor snapshot names it any more before it is dropped; what none names is left over from a crash and removed at
//! opening.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use sled::IVec;

use super::apart;
use super::page::MAX_BYTES;
use crate::durable;

/// The disk failed, or what it gave back is not what was put there. The state is not guessed: the partition stops.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum StoreError {
    /// A retry may go through once the disk is mended; nothing was half done.
    #[error("the store cannot be read or written: {0}")]
    Disk(String),
    /// Remedy: start again, it goes on from a snapshot or is built anew from the ledger.
    #[error(
        "the store is damaged ({0}): a start goes back to a snapshot of it, or builds it anew from the ledger"
    )]
    Damaged(String),
}

impl From<sled::Error> for StoreError {
    fn from(error: sled::Error) -> Self {
        match error {
            sled::Error::Io(_) => Self::Disk(error.to_string()),
            other => Self::Damaged(other.to_string()),
        }
    }
}

/// Blocks that stand for the others of their run.
const LOOKED_AT: usize = 16;
/// Where [`Blocks::suspect`] leaves its mark.
const SUSPECT: u32 = 3;

/// sled lets go of its file a moment after its last handle, and a child of this process not before it became another
/// program: so often, and after so long, a locked one is tried again. Two nodes never come here, the ledger is locked.
const LOOKS: u32 = 100;
const BETWEEN_LOOKS: Duration = Duration::from_millis(50);

fn is_locked(error: &sled::Error) -> bool {
    matches!(error, sled::Error::Io(cause) if cause.to_string().contains("could not acquire lock"))
}

/// The database of all partitions of a node.
#[derive(Clone, Debug)]
pub struct Database {
    tree: sled::Db,
    dir: Arc<Path>,
}

impl Database {
    pub fn open(dir: &Path) -> Result<Self, StoreError> {
        // Little on purpose: sled keeps more than it is told, and pages are read in order.
        let config = sled::Config::new().path(dir).cache_capacity(16 << 20).flush_every_ms(None);
        durable::make_folder(dir).map_err(|error| StoreError::Disk(error.to_string()))?;
        let mut looks = 0;
        let tree = loop {
            match config.open() {
                Err(error) if looks < LOOKS && is_locked(&error) => looks += 1,
                opened => break opened?,
            }
            std::thread::sleep(BETWEEN_LOOKS);
        };
        Ok(Self { tree, dir: dir.into() })
    }

    /// An empty one in this folder, whatever lay there.
    pub fn anew(dir: &Path) -> Result<Self, StoreError> {
        match std::fs::remove_dir_all(dir) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                Err(StoreError::Disk(error.to_string()))
            }
            Ok(()) | Err(_) => Self::open(dir),
        }
    }

    /// Bytes that its files take.
    pub fn taken_bytes(&self) -> Result<u64, StoreError> {
        Ok(self.tree.size_on_disk()?)
    }

    /// Bytes of every key and value that something names.
    pub fn live_bytes(&self) -> Result<u64, StoreError> {
        let sizes = self.tree.iter().map(|entry| entry.map(|(key, value)| (key.len() + value.len()) as u64));
        Ok(sizes.sum::<Result<u64, sled::Error>>()?)
    }

    pub fn partition(&self, index: u32) -> Blocks {
        let (tree, dir) = (self.tree.clone(), Arc::clone(&self.dir));
        Blocks { tree, dir, partition: u16::try_from(index).unwrap_or(u16::MAX) }
    }
}

/// The blocks of one partition.
#[derive(Clone, Debug)]
pub struct Blocks {
    tree: sled::Db,
    dir: Arc<Path>,
    partition: u16,
}

impl Blocks {
    /// Where the database lies.
    pub fn dir(&self) -> &Path {
        &self.dir
    }

    pub fn put(&self, run: u32, block: u32, bytes: &[u8]) -> Result<(), StoreError> {
        debug_assert!(bytes.len() <= MAX_BYTES, "a block of {} bytes", bytes.len());
        self.tree.insert(self.key(run, block), bytes)?;
        Ok(())
    }

    pub fn get(&self, run: u32, block: u32) -> Result<IVec, StoreError> {
        let found = self.tree.get(self.key(run, block))?;
        found.filter(|bytes| !bytes.is_empty()).ok_or_else(|| lacks(run, block))
    }

    /// Bytes of any length, from `first` on; says how many blocks they took.
    pub fn put_long(&self, run: u32, first: u32, bytes: &[u8]) -> Result<u32, StoreError> {
        let mut block = first;
        for chunk in bytes.chunks(MAX_BYTES) {
            self.put(run, block, chunk)?;
            block += 1;
        }
        Ok(block - first)
    }

    pub fn get_long(&self, run: u32, first: u32, len: u64) -> Result<Vec<u8>, StoreError> {
        let len = usize::try_from(len).unwrap_or(usize::MAX);
        let mut bytes = Vec::with_capacity(len.min(1 << 20));
        let mut block = first;
        while bytes.len() < len {
            bytes.extend_from_slice(&self.get(run, block)?);
            block += 1;
        }
        if bytes.len() == len {
            Ok(bytes)
        } else {
            Err(StoreError::Damaged(format!("run {run}: a body is {} bytes long", bytes.len())))
        }
    }

    pub fn root(&self) -> Result<Option<IVec>, StoreError> {
        Ok(self.tree.get(self.key(0, 0))?)
    }

    /// Replaces the root; what it names is on its way to the disk before it, in the order of sled's log.
    pub fn set_root(&self, bytes: &[u8]) -> Result<(), StoreError> {
        self.tree.flush()?;
        self.put(0, 0, bytes)?;
        self.tree.flush()?;
        Ok(())
    }

    /// The value in a snapshot's place.
    pub fn snapshot(&self, place: u32) -> Result<Option<IVec>, StoreError> {
        Ok(self.tree.get(self.key(0, place))?)
    }

    /// Replaces a snapshot, durable when this returns: it, and before it what it names.
    pub fn set_snapshot(&self, place: u32, bytes: &[u8]) -> Result<(), StoreError> {
        self.sync()?;
        self.put(0, place, bytes)?;
        self.sync()
    }

    pub fn remove_snapshot(&self, place: u32) -> Result<(), StoreError> {
        self.tree.remove(self.key(0, place))?;
        self.tree.flush()?;
        Ok(())
    }

    /// What the root names cannot all be read: the next opening goes back to a snapshot.
    pub fn suspect(&self) -> Result<(), StoreError> {
        self.put(0, SUSPECT, &[1])?;
        self.tree.flush()?;
        Ok(())
    }

    pub fn is_suspect(&self) -> Result<bool, StoreError> {
        Ok(self.tree.contains_key(self.key(0, SUSPECT))?)
    }

    /// The root is another, or what it names was read again.
    pub fn trust(&self) -> Result<(), StoreError> {
        self.remove_snapshot(SUSPECT)
    }

    /// What was written outlives a power cut: sled's own flush waits for the kernel, not for the disk.
    fn sync(&self) -> Result<(), StoreError> {
        self.tree.flush()?;
        let synced = durable::sync_below(&self.dir);
        synced.map_err(|cause| StoreError::Disk(format!("syncing {}: {cause}", self.dir.display())))
    }

    /// From here on there is nothing here; what lies there is removed at the next opening.
    pub fn remove_root(&self) -> Result<(), StoreError> {
        self.tree.remove(self.key(0, 0))?;
        self.tree.flush()?;
        Ok(())
    }

    /// Removes every block of a run.
    pub fn drop_run(&self, run: u32) -> Result<(), StoreError> {
        for key in self.tree.range(self.key(run, 0)..=self.key(run, u32::MAX)).keys() {
            self.tree.remove(key?)?;
        }
        Ok(())
    }

    /// sled holds every block against its checksum when it reads it.
    pub fn read_all(&self) -> Result<(), StoreError> {
        self.tree.range(self.key(0, 0)..=self.key(u32::MAX, u32::MAX)).try_for_each(|block| {
            block?;
            Ok(())
        })
    }

    /// The same for one run.
    pub fn read_run(&self, run: u32) -> Result<(), StoreError> {
        self.of_run(run).try_for_each(|block| block.map(drop))
    }

    /// Every block of a run, with its number.
    pub fn of_run(&self, run: u32) -> impl Iterator<Item = Result<(u32, IVec), StoreError>> {
        self.tree.range(self.key(run, 0)..=self.key(run, u32::MAX)).map(move |entry| {
            let (key, bytes) = entry?;
            let block = key.last_chunk().map_or(0, |block| u32::from_be_bytes(*block));
            if bytes.is_empty() { Err(lacks(run, block)) } else { Ok((block, bytes)) }
        })
    }

    /// Every value that names runs, with its place.
    pub fn names(&self) -> impl Iterator<Item = Result<(u32, IVec), StoreError>> {
        self.of_run(0)
    }

    /// About how many bytes a run's blocks take: exact for a short one, else by those it begins with.
    pub fn size_of_run(&self, run: u32) -> Result<u64, StoreError> {
        let first: Vec<u64> = self
            .of_run(run)
            .take(LOOKED_AT)
            .map(|block| Ok(block?.1.len() as u64))
            .collect::<Result<_, StoreError>>()?;
        let looked_at = first.iter().sum::<u64>();
        // Blocks follow one another but for a header.
        let last = self.tree.range(self.key(run, 0)..self.key(run, u32::MAX)).next_back().transpose()?;
        let last = last.and_then(|(key, _)| key.last_chunk().copied()).map_or(0, u32::from_be_bytes);
        let count = (u64::from(last) + 1).max(first.len() as u64);
        Ok(looked_at * count / (first.len() as u64).max(1))
    }

    /// Where the copy of a snapshot lies, outside sled: see [`super::apart`].
    pub fn apart(&self) -> PathBuf {
        apart::path(&self.dir, u32::from(self.partition))
    }

    /// Where a pass may lay out what it will be shown.
    pub fn laid_path(&self) -> PathBuf {
        self.dir.join(format!("laid-{}", self.partition))
    }

    /// Runs that have any block.
    pub fn runs(&self) -> Result<BTreeSet<u32>, StoreError> {
        let mut runs = BTreeSet::new();
        let mut next = 1;
        // From each run to the next, without a look at the blocks between.
        while let Some(found) =
            self.tree.range(self.key(next, 0)..=self.key(u32::MAX, u32::MAX)).keys().next()
        {
            let key = found?;
            let run = key.get(2..6).and_then(|b| b.try_into().ok()).map_or(0, u32::from_be_bytes);
            runs.insert(run);
            match run.checked_add(1) {
                Some(after) => next = after,
                None => break,
            }
        }
        Ok(runs)
    }

    fn key(&self, run: u32, block: u32) -> [u8; 10] {
        let mut key = [0; 10];
        let (partition, rest) = key.split_at_mut(2);
        let (of_run, of_block) = rest.split_at_mut(4);
        partition.copy_from_slice(&self.partition.to_be_bytes());
        of_run.copy_from_slice(&run.to_be_bytes());
        of_block.copy_from_slice(&block.to_be_bytes());
        key
    }
}

/// An empty block is one whose key alone is there: see [`super::queue`].
fn lacks(run: u32, block: u32) -> StoreError {
    StoreError::Damaged(format!("run {run} lacks block {block}"))
}
