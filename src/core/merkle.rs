//! RFC 6962 Merkle trees over SHA-256: one root for a frozen set, one for the decisions of a ledger frame.

use sha2::{Digest, Sha256};

pub type Hash = [u8; 32];

/// SHA-256(0x00 || data)
pub fn leaf(data: &[u8]) -> Hash {
    Sha256::new().chain_update([0]).chain_update(data).finalize().into()
}

/// SHA-256(0x01 || left || right)
pub fn node(left: &Hash, right: &Hash) -> Hash {
    Sha256::new().chain_update([1]).chain_update(left).chain_update(right).finalize().into()
}

/// A tree that grows by leaves and keeps one hash per level: a set of any size is streamed through.
#[derive(Clone, Debug, Default)]
pub struct Tree {
    /// Complete subtrees, largest first: (number of leaves, root).
    peaks: Vec<(u64, Hash)>,
}

impl Tree {
    pub fn push(&mut self, leaf: Hash) {
        let (mut size, mut hash) = (1, leaf);
        while let Some((_, left)) = self.peaks.pop_if(|(s, _)| *s == size) {
            hash = node(&left, &hash);
            size *= 2;
        }
        self.peaks.push((size, hash));
    }

    pub fn len(&self) -> u64 {
        self.peaks.iter().map(|(s, _)| s).sum()
    }

    pub fn is_empty(&self) -> bool {
        self.peaks.is_empty()
    }

    /// The root; of no leaves it is SHA-256 of nothing.
    pub fn root(&self) -> Hash {
        let mut peaks = self.peaks.iter().rev();
        let Some((_, last)) = peaks.next() else { return Sha256::digest([]).into() };
        peaks.fold(*last, |right, (_, left)| node(left, &right))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The definition, by recursion: split at the largest power of two below n.
    fn by_definition(leaves: &[Hash]) -> Hash {
        match leaves {
            [] => Sha256::digest([]).into(),
            [one] => *one,
            many => {
                let half = many.len().next_power_of_two() / 2;
                node(&by_definition(&many[..half]), &by_definition(&many[half..]))
            }
        }
    }

    #[test]
    fn the_streamed_root_is_the_defined_one() {
        for n in 0..70u8 {
            let leaves: Vec<Hash> = (0..n).map(|i| leaf(&[i])).collect();
            let mut tree = Tree::default();
            leaves.iter().for_each(|l| tree.push(*l));
            assert_eq!(tree.root(), by_definition(&leaves), "{n}");
            assert_eq!(tree.len(), u64::from(n));
        }
    }
}
