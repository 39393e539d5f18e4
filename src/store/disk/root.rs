//! What is live in a partition's store: the one value that is replaced.
//!
//! The root names a list (a run of its own, in as many blocks as it takes); the list names everything else.
//! Invariant: what a root names is whole and on the disk; what it does not name is garbage.

use super::blocks::{Blocks, StoreError};
use super::bytes::{Reader, Writer};

const VERSION: u8 = 3;

/// Everything that must be known to open the store.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct List {
    /// Numbers below are taken.
    pub next_run: u32,
    pub next_seq: u64,
    /// Frames of the ledger that are in: the offset to go on from.
    pub applied: u64,
    /// Runs that hold shapes, with their lengths, oldest first.
    pub shapes: Vec<(u32, u64)>,
    /// Sorted runs that follow one another, oldest first.
    pub groups: Vec<Vec<u32>>,
    /// Where the partition's state lies, and its length; None = nothing was flushed yet.
    pub state: Option<(u32, u64)>,
    /// The run that holds the audit's entries, and how many bytes of it count; run 0 = none yet.
    pub entries: (u32, u64),
    /// Runs with hashes of events, with their lengths, oldest first.
    pub events: Vec<(u32, u64)>,
    /// The last row that lies in a run and says that something is forgotten; 0 = none does.
    pub forgotten: u64,
}

impl List {
    /// The list and the run that it lies in; None = a store without a root is empty.
    pub fn read(blocks: &Blocks) -> Result<Option<(Self, u32)>, StoreError> {
        let damaged = || StoreError::Damaged("its root cannot be read".to_owned());
        let Some(root) = blocks.root()? else { return Ok(None) };
        let mut reader = Reader(&root);
        if reader.byte() != Some(VERSION) {
            return Err(damaged());
        }
        let (run, len) = (reader.small().ok_or_else(damaged)?, reader.number().ok_or_else(damaged)?);
        let bytes = blocks.get_long(run, 0, len)?;
        let list = Self::decode(&bytes).ok_or_else(damaged)?;
        Ok(Some((list, run)))
    }

    /// Writes the list as run `run`, then lets the root name it.
    pub fn commit(&self, blocks: &Blocks, run: u32) -> Result<(), StoreError> {
        let bytes = self.encode();
        blocks.put_long(run, 0, &bytes)?;
        let mut root = Writer::default();
        root.byte(VERSION).number(u64::from(run)).number(bytes.len() as u64);
        blocks.set_root(&root.0)
    }

    /// Every run it names.
    pub fn runs(&self) -> impl Iterator<Item = u32> {
        let long = self.shapes.iter().chain(&self.events).chain(&self.state).chain([&self.entries]);
        long.map(|(run, _)| *run).filter(|run| *run != 0).chain(self.groups.iter().flatten().copied())
    }

    pub fn encode(&self) -> Vec<u8> {
        let mut out = Writer::default();
        out.number(u64::from(self.next_run)).number(self.next_seq).number(self.applied);
        out.number(self.shapes.len() as u64);
        self.shapes.iter().for_each(|piece| long(&mut out, *piece));
        out.number(self.groups.len() as u64);
        for group in &self.groups {
            out.number(group.len() as u64);
            group.iter().for_each(|run| {
                out.number(u64::from(*run));
            });
        }
        out.option(self.state, long);
        long(&mut out, self.entries);
        out.number(self.events.len() as u64);
        self.events.iter().for_each(|piece| long(&mut out, *piece));
        // Else as it was before there was any: a snapshot says how long its list is.
        if self.forgotten > 0 {
            out.number(self.forgotten);
            let sum = crc32c::crc32c(&out.0);
            out.raw(&sum.to_le_bytes());
        }
        out.0
    }

    pub fn decode(bytes: &[u8]) -> Option<Self> {
        let mut reader = Reader(bytes);
        let mut list = Self {
            next_run: reader.small()?,
            next_seq: reader.number()?,
            applied: reader.number()?,
            shapes: reader.list(read_long)?,
            groups: reader.list(|r| r.list(Reader::small))?,
            state: reader.option(read_long)?,
            entries: read_long(&mut reader)?,
            events: reader.list(read_long)?,
            forgotten: 0,
        };
        if !reader.is_empty() {
            list.forgotten = reader.number()?;
            let (told, sum) = bytes.split_last_chunk::<4>()?;
            let whole = reader.array() == Some(*sum) && reader.is_empty();
            if !whole || u32::from_le_bytes(*sum) != crc32c::crc32c(told) {
                return None;
            }
        }
        Some(list)
    }
}

/// A run and the length of what lies in it.
fn long(out: &mut Writer, (run, len): (u32, u64)) {
    out.number(u64::from(run)).number(len);
}

fn read_long(reader: &mut Reader<'_>) -> Option<(u32, u64)> {
    Some((reader.small()?, reader.number()?))
}
