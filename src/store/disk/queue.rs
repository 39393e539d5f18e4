//! Blocks on their way into sled: the keys of a run go in ahead of its values.
//!
//! sled writes a leaf whole when it is split, at the 17th key, and after every tenth change. Where a value comes with its
//! key it is written three times over, and lies between what is dead already in segments that stay more than half full,
//! which sled does not clean: 1.8 bytes of disk for each that lives, 2.3 after merges. Where keys are a leaf and a half
//! ahead, leaves are split while there is nothing in them, and a value is written once: 1.04 and 1.4 (measured).
//! Invariant: only runs that nothing names are written so. A crash leaves keys without values in such a run alone, and
//! an empty value is read as a missing one. Rejected: smaller or larger segments, which change nothing; all keys of a
//! run at once, for a merge does not know how many they are.

use std::collections::VecDeque;

use super::blocks::{Blocks, StoreError};
use super::page::MAX_BYTES;

/// Keys before their values. A shorter run goes in as it is: a few keys share a leaf with the values before them, and
/// each of them would have those written again.
const AHEAD: usize = 24;

/// Blocks of new runs, in order of their keys.
#[derive(Debug)]
pub struct Queue<'a> {
    blocks: &'a Blocks,
    waiting: VecDeque<(u32, u32, Vec<u8>)>,
    /// The keys of what waits are there.
    is_ahead: bool,
}

impl<'a> Queue<'a> {
    pub fn new(blocks: &'a Blocks) -> Self {
        Self { blocks, waiting: VecDeque::new(), is_ahead: false }
    }

    pub fn put(&mut self, run: u32, block: u32, bytes: Vec<u8>) -> Result<(), StoreError> {
        if self.is_ahead {
            self.blocks.put(run, block, &[])?;
        }
        self.waiting.push_back((run, block, bytes));
        if self.waiting.len() <= AHEAD {
            return Ok(());
        }
        if !self.is_ahead {
            self.waiting.iter().try_for_each(|(run, block, _)| self.blocks.put(*run, *block, &[]))?;
            self.is_ahead = true;
        }
        self.put_oldest()
    }

    /// Bytes of any length, from `first` on; says how many blocks they took.
    pub fn put_long(&mut self, run: u32, first: u32, bytes: &[u8]) -> Result<u32, StoreError> {
        let mut block = first;
        for chunk in bytes.chunks(MAX_BYTES) {
            self.put(run, block, chunk.to_vec())?;
            block += 1;
        }
        Ok(block - first)
    }

    /// Every block is in when this returns.
    pub fn end(mut self) -> Result<(), StoreError> {
        while !self.waiting.is_empty() {
            self.put_oldest()?;
        }
        Ok(())
    }

    fn put_oldest(&mut self) -> Result<(), StoreError> {
        let oldest = self.waiting.pop_front();
        oldest.map_or(Ok(()), |(run, block, bytes)| self.blocks.put(run, block, &bytes))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::Database;

    #[test]
    fn what_is_queued_is_all_there_and_takes_little_more_than_itself() {
        let dir = tempfile::tempdir().unwrap();
        let database = Database::open(dir.path()).unwrap();
        let blocks = database.partition(1);
        let bytes = |run: u32, block: u32| vec![(run * 7 + block) as u8; MAX_BYTES];
        let runs = [(1u32, 1u32), (2, 2_000), (3, AHEAD as u32), (4, 4_000)];
        for (run, count) in runs {
            let mut queue = Queue::new(&blocks);
            (0..count).for_each(|block| queue.put(run, block, bytes(run, block)).unwrap());
            queue.end().unwrap();
        }
        for (run, count) in runs {
            (0..count).for_each(|block| assert!(blocks.get(run, block).unwrap() == bytes(run, block)));
        }
        let (taken, live) = (database.taken_bytes().unwrap(), database.live_bytes().unwrap());
        assert!(taken * 10 < live * 12, "{taken} bytes on disk for {live}");
        // What a crash leaves between key and value is no block.
        blocks.put(5, 0, &[]).unwrap();
        assert!(blocks.get(5, 0).is_err() && blocks.read_run(5).is_err());
    }
}
