//! A partition's audit chain: one entry per ledger frame that decided something.
//!
//! An entry covers the bytes of every frame since the entry before it, this one included, and its frame's decisions
//! by a Merkle root over salted leaves, and names the entry before it: changed, dropped or reordered entries are found, and a leaf can be forgotten (its
//! salt destroyed) while the chain still verifies. A replay gives the same chain. Rejected: an entry per decision,
//! which costs a hash chain step each and says no more.

use aws_lc_rs::hmac;
use quietus_core::engine::Decision;
use quietus_core::merkle::{self, Hash, Tree};
use sha2::digest::common::hazmat::SerializableState;
use sha2::{Digest, Sha256};

use super::witness::{Seen, Witness};

/// Of [`Entry::bytes`].
pub const ENTRY_BYTES: usize = 120;

/// One entry, as exported by `/v1/audit/entries`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    pub partition: u32,
    /// Counts from 0 without gaps.
    pub n: u64,
    /// Offset of the frame in the partition.
    pub offset: u64,
    /// SHA-256 over every frame after the entry before, up to this one: (offset, length, bytes), big endian.
    pub frame: Hash,
    /// Merkle root over the frame's decisions.
    pub root: Hash,
    pub decisions: u32,
    pub previous: Hash,
}

impl Entry {
    /// A leaf of the partition's log.
    pub fn hash(&self) -> Hash {
        merkle::leaf(&self.bytes())
    }

    /// Every field, fixed width, big endian.
    pub fn bytes(&self) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(ENTRY_BYTES);
        bytes.extend_from_slice(&self.partition.to_be_bytes());
        bytes.extend_from_slice(&self.n.to_be_bytes());
        bytes.extend_from_slice(&self.offset.to_be_bytes());
        bytes.extend_from_slice(&self.frame);
        bytes.extend_from_slice(&self.root);
        bytes.extend_from_slice(&self.decisions.to_be_bytes());
        bytes.extend_from_slice(&self.previous);
        bytes
    }
}

impl Entry {
    /// Reads what [`Entry::bytes`] wrote.
    pub fn from_bytes(bytes: &[u8]) -> Option<Self> {
        let mut rest = bytes;
        let entry = Self {
            partition: u32::from_be_bytes(take(&mut rest)?),
            n: u64::from_be_bytes(take(&mut rest)?),
            offset: u64::from_be_bytes(take(&mut rest)?),
            frame: take(&mut rest)?,
            root: take(&mut rest)?,
            decisions: u32::from_be_bytes(take(&mut rest)?),
            previous: take(&mut rest)?,
        };
        rest.is_empty().then_some(entry)
    }
}

fn take<const N: usize>(rest: &mut &[u8]) -> Option<[u8; N]> {
    let (head, tail) = rest.split_first_chunk::<N>()?;
    *rest = tail;
    Some(*head)
}

/// What one frame decided, as the chain will have it.
#[derive(Debug, Default)]
pub struct Leaves {
    tree: Tree,
    /// Every one, where somebody asks about some.
    kept: Vec<Hash>,
    seen: Vec<Seen>,
}

/// The chain of one partition, growing.
#[derive(Debug)]
pub struct Chain {
    partition: u32,
    salts: hmac::Key,
    entries: Vec<Entry>,
    log: Tree,
    head: Hash,
    /// Of the frames since the last entry.
    frames: Sha256,
    decisions: u64,
    /// Keeps the leaves of what it is asked about.
    witness: Option<Witness>,
}

impl Chain {
    /// `salt_key` derives each leaf's salt.
    pub fn new(partition: u32, salt_key: &[u8]) -> Self {
        let salts = hmac::Key::new(hmac::HMAC_SHA256, salt_key);
        let (log, head, frames) = (Tree::default(), [0; 32], Sha256::new());
        Self { partition, salts, entries: Vec::new(), log, head, frames, decisions: 0, witness: None }
    }

    /// A chain that goes on from these entries, with what [`Chain::open_frames`] said. None = they do not follow
    /// each other, or the bytes are no such state.
    pub fn resume(partition: u32, salt_key: &[u8], entries: Vec<Entry>, open_frames: &[u8]) -> Option<Self> {
        let mut chain = Self::new(partition, salt_key);
        chain.frames = Sha256::deserialize(&open_frames.try_into().ok()?).ok()?;
        for (n, entry) in entries.iter().enumerate() {
            if entry.partition != partition || entry.n != n as u64 || entry.previous != chain.head {
                return None;
            }
            chain.head = entry.hash();
            chain.log.push(chain.head);
            chain.decisions += u64::from(entry.decisions);
        }
        chain.entries = entries;
        Some(chain)
    }

    /// The hash over the frames since the last entry, half done.
    pub fn open_frames(&self) -> Vec<u8> {
        self.frames.serialize().to_vec()
    }

    /// Adds decisions of the frame at `offset` to its leaves.
    pub fn decided(&mut self, offset: u64, decisions: &[Decision], to: &mut Leaves) {
        for (decision, leaf) in decisions.iter().filter_map(|d| Some((d, d.leaf()?))) {
            let index = to.tree.len();
            let (salt, hash) = self.salted(offset, index, &leaf);
            to.tree.push(hash);
            if let Some(witness) = &mut self.witness {
                to.kept.push(hash);
                if witness.is_asked(decision) {
                    to.seen.push(Seen { index, salt, leaf });
                }
            }
        }
    }

    /// Adds a frame with its decisions.
    pub fn add(&mut self, offset: u64, frame: &[u8], decisions: &[Decision]) {
        let mut leaves = Leaves::default();
        self.decided(offset, decisions, &mut leaves);
        self.close(offset, frame, leaves);
    }

    /// Adds a frame with what it decided; one that decided nothing about anyone has no entry of its own, and is
    /// covered by the next.
    pub fn close(&mut self, offset: u64, frame: &[u8], leaves: Leaves) {
        self.frames.update(offset.to_be_bytes());
        self.frames.update((frame.len() as u64).to_be_bytes());
        self.frames.update(frame);
        let Leaves { tree, kept, seen } = leaves;
        if tree.is_empty() {
            return;
        }
        if let Some(witness) = self.witness.as_mut().filter(|_| !seen.is_empty()) {
            witness.keep(self.entries.len() as u64, &kept, seen);
        }
        let entry = Entry {
            partition: self.partition,
            n: self.entries.len() as u64,
            offset,
            frame: std::mem::take(&mut self.frames).finalize().into(),
            root: tree.root(),
            decisions: u32::try_from(tree.len()).unwrap_or(u32::MAX),
            previous: self.head,
        };
        self.head = entry.hash();
        self.log.push(self.head);
        self.decisions += tree.len();
        self.entries.push(entry);
    }

    /// The leaf's salt, and its hash under it.
    fn salted(&self, offset: u64, index: u64, leaf: &[u8]) -> (Hash, Hash) {
        let mut name = [0; 16];
        let (a, b) = name.split_at_mut(8);
        a.copy_from_slice(&offset.to_be_bytes());
        b.copy_from_slice(&index.to_be_bytes());
        let mut salt = [0; 32];
        salt.copy_from_slice(hmac::sign(&self.salts, &name).as_ref());
        (salt, salted_leaf(&salt, leaf))
    }

    /// From here on the leaves of what this asks about are kept.
    pub fn ask(&mut self, witness: Witness) {
        self.witness = Some(witness);
    }

    pub fn witness(&self) -> Option<&Witness> {
        self.witness.as_ref()
    }

    pub fn entries(&self) -> &[Entry] {
        &self.entries
    }

    pub fn decisions(&self) -> u64 {
        self.decisions
    }

    /// RFC 6962 root over the entries.
    pub fn root(&self) -> Hash {
        self.log.root()
    }

    /// The root as it was when there were so many entries; None = there are fewer.
    pub fn root_at(&self, size: u64) -> Option<Hash> {
        let first = self.entries.get(..usize::try_from(size).ok()?)?;
        let mut log = Tree::default();
        first.iter().for_each(|entry| log.push(entry.hash()));
        Some(log.root())
    }

    pub fn head(&self) -> Hash {
        self.head
    }
}

/// A decision's place in its entry's tree: nobody who lacks the salt can try what it says.
pub(super) fn salted_leaf(salt: &Hash, leaf: &[u8]) -> Hash {
    merkle::leaf_of([salt, leaf])
}

/// Checks that entries follow each other from the first.
pub fn follows(entries: &[Entry]) -> Result<Hash, String> {
    let mut head = [0; 32];
    for (n, entry) in entries.iter().enumerate() {
        if entry.n != n as u64 || entry.previous != head {
            return Err(format!("partition {} entry {n} does not follow the one before it", entry.partition));
        }
        head = entry.hash();
    }
    Ok(head)
}

#[cfg(test)]
mod tests {
    use super::*;
    use quietus_core::engine::Slice;

    fn chain(n: u64) -> Chain {
        let mut chain = Chain::new(1, b"key");
        for i in 0..n {
            let slice = Slice { due: i, ..Slice::default() };
            chain.add(i, &[i as u8], &[Decision::Swept { sweep: "sw_1".into(), slice }]);
        }
        chain
    }

    #[test]
    fn the_same_decisions_give_the_same_chain() {
        assert_eq!(chain(5).entries(), chain(5).entries());
        assert_eq!(chain(5).root(), chain(5).root());
    }

    #[test]
    fn a_changed_dropped_or_reordered_entry_is_found() {
        let good = chain(5).entries().to_vec();
        assert_eq!(follows(&good), Ok(chain(5).head()));
        let mut dropped = good.clone();
        dropped.remove(2);
        let mut swapped = good.clone();
        swapped.swap(1, 2);
        let mut changed = good.clone();
        changed[3].root[0] ^= 1;
        for bad in [dropped, swapped, changed] {
            assert!(follows(&bad).is_err());
        }
    }

    #[test]
    fn what_decides_nothing_has_no_entry_and_is_covered_by_the_next() {
        let with = |between: &[u8]| {
            let mut chain = chain(1);
            chain.add(1, between, &[Decision::Ignored { why: "nothing" }]);
            assert_eq!(chain.entries().len(), 1);
            let slice = Slice::default();
            chain.add(2, b"z", &[Decision::Swept { sweep: "sw_1".into(), slice }]);
            chain.head()
        };
        assert_eq!(with(b"x"), with(b"x"));
        assert_ne!(with(b"x"), with(b"y"));
    }

    #[test]
    fn a_chain_goes_on_where_it_was_left() {
        let whole = chain(9);
        let mut left = chain(4);
        left.add(4, b"no entry", &[]);
        let mut goes_on = Chain::resume(1, b"key", left.entries().to_vec(), &left.open_frames()).unwrap();
        for chain in [&mut left, &mut goes_on] {
            chain.add(5, b"z", &[Decision::Swept { sweep: "sw_1".into(), slice: Slice::default() }]);
        }
        assert_eq!((goes_on.head(), goes_on.root()), (left.head(), left.root()));
        assert_eq!(goes_on.decisions(), left.decisions());
        let mut wrong = whole.entries().to_vec();
        wrong.remove(3);
        assert!(Chain::resume(1, b"key", wrong, &whole.open_frames()).is_none());
        assert!(Chain::resume(1, b"key", Vec::new(), b"short").is_none());
    }

    #[test]
    fn an_earlier_root_is_found_again() {
        let grown = chain(9);
        for size in 0..=9 {
            assert_eq!(grown.root_at(size), Some(chain(size).root()));
        }
        assert_eq!(grown.root_at(10), None);
    }
}
