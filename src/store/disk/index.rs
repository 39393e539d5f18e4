//! Which pages of a run may hold a key: sorted fingerprints in blocks, the first of each block and a filter in memory.
//!
//! A fingerprint is the first four bytes of a key, which is a keyed hash already. Invariant: a key that is there is
//! found; one that is not costs a look at the filter, and once in some hundred a block.

use xorf::{BinaryFuse8, Filter};

use super::blocks::{Blocks, StoreError};
use super::page::MAX_BYTES;
use super::queue::Queue;

/// Fingerprint 4 bytes, page 2 bytes.
const ENTRY: usize = 6;
const PER_BLOCK: usize = MAX_BYTES / ENTRY;

pub fn fingerprint(key: &[u8; 16]) -> u32 {
    let [a, b, c, d, ..] = *key;
    u32::from_be_bytes([a, b, c, d])
}

/// Fingerprints of a run being written, with the page each lies on.
#[derive(Debug, Default)]
pub struct Collected(Vec<(u32, u16)>);

impl Collected {
    pub fn push(&mut self, key: &[u8; 16], page: u16) {
        let entry = (fingerprint(key), page);
        // Rows of one item lie side by side.
        if self.0.last() != Some(&entry) {
            self.0.push(entry);
        }
    }

    /// Writes the index from block `first` on; says how many blocks it took.
    pub fn write(mut self, queue: &mut Queue<'_>, run: u32, first: u32) -> Result<(Index, u32), StoreError> {
        self.0.sort_unstable();
        self.0.dedup();
        let mut count = 0;
        for chunk in self.0.chunks(PER_BLOCK) {
            let mut bytes = Vec::with_capacity(chunk.len() * ENTRY);
            for (fingerprint, page) in chunk {
                bytes.extend_from_slice(&fingerprint.to_be_bytes());
                bytes.extend_from_slice(&page.to_be_bytes());
            }
            queue.put(run, first + count, bytes)?;
            count += 1;
        }
        Ok((Index::of(run, first, &self.0), count))
    }
}

/// What of a run's index is in memory.
pub struct Index {
    run: u32,
    first: u32,
    /// The first fingerprint of each block.
    tops: Vec<u32>,
    /// None = no fingerprint at all.
    filter: Option<BinaryFuse8>,
}

impl std::fmt::Debug for Index {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Index").field("first", &self.first).field("blocks", &self.tops.len()).finish()
    }
}

impl Index {
    fn of(run: u32, first: u32, entries: &[(u32, u16)]) -> Self {
        let tops = entries.chunks(PER_BLOCK).filter_map(|c| c.first().map(|(f, _)| *f)).collect();
        let mut keys: Vec<u64> = entries.iter().map(|(fingerprint, _)| u64::from(*fingerprint)).collect();
        keys.dedup();
        // A filter that cannot be built is one that lets everything through.
        let filter = BinaryFuse8::try_from(&keys).ok();
        Self { run, first, tops, filter }
    }

    /// Reads what [`Collected::write`] wrote.
    pub fn open(blocks: &Blocks, run: u32, first: u32, count: u32) -> Result<Self, StoreError> {
        let mut entries = Vec::new();
        for block in first..first + count {
            let bytes = blocks.get(run, block)?;
            entries.extend(bytes.chunks_exact(ENTRY).filter_map(entry));
        }
        Ok(Self::of(run, first, &entries))
    }

    pub fn may_hold(&self, key: &[u8; 16]) -> bool {
        let lets = |filter: &BinaryFuse8| filter.contains(&u64::from(fingerprint(key)));
        !self.tops.is_empty() && self.filter.as_ref().is_none_or(lets)
    }

    /// Adds the pages that may hold `key`.
    pub fn pages(&self, blocks: &Blocks, key: &[u8; 16], pages: &mut Vec<u16>) -> Result<(), StoreError> {
        let wanted = fingerprint(key);
        if !self.may_hold(key) {
            return Ok(());
        }
        // The same fingerprint may end one block and begin the next.
        let from = self.tops.partition_point(|top| *top < wanted).saturating_sub(1);
        for (n, _) in self.tops.iter().enumerate().skip(from).take_while(|(_, top)| **top <= wanted) {
            let bytes = blocks.get(self.run, self.first + u32::try_from(n).unwrap_or(u32::MAX))?;
            let same = bytes.chunks_exact(ENTRY).filter_map(entry).filter(|(f, _)| *f == wanted);
            pages.extend(same.map(|(_, page)| page));
        }
        Ok(())
    }
}

fn entry(bytes: &[u8]) -> Option<(u32, u16)> {
    let (fingerprint, page) = bytes.split_first_chunk::<4>()?;
    Some((u32::from_be_bytes(*fingerprint), u16::from_be_bytes(page.try_into().ok()?)))
}
