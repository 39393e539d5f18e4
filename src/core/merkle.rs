//! RFC 6962 Merkle trees over SHA-256: one root for a frozen set, one for the decisions of a ledger frame.

use sha2::{Digest, Sha256};

pub type Hash = [u8; 32];

/// SHA-256(0x00 || data)
pub fn leaf(data: &[u8]) -> Hash {
    Sha256::new().chain_update([0]).chain_update(data).finalize().into()
}

/// The same of data that lies in two pieces.
pub fn leaf_of(data: [&[u8]; 2]) -> Hash {
    let [first, second] = data;
    Sha256::new().chain_update([0]).chain_update(first).chain_update(second).finalize().into()
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

/// The hashes beside the way from a leaf up to the root; None = there is no such leaf.
pub fn path(leaves: &[Hash], index: usize) -> Option<Vec<Hash>> {
    if index >= leaves.len() {
        return None;
    }
    let (mut rest, mut index, mut path) = (leaves, index, Vec::new());
    while rest.len() > 1 {
        // The largest power of two below their number.
        let half = rest.len().next_power_of_two() / 2;
        let (left, right) = rest.split_at(half);
        let beside = if index < half { right } else { left };
        let mut tree = Tree::default();
        beside.iter().for_each(|leaf| tree.push(*leaf));
        path.push(tree.root());
        (rest, index) = if index < half { (left, index) } else { (right, index - half) };
    }
    path.reverse();
    Some(path)
}

/// The root that a leaf has by such a path in a tree of `size` leaves; None = the path does not fit there.
pub fn root_by(leaf: Hash, index: u64, size: u64, path: &[Hash]) -> Option<Hash> {
    if index >= size {
        return None;
    }
    let (mut at, mut last, mut hash) = (index, size - 1, leaf);
    for beside in path {
        if last == 0 {
            return None;
        }
        if at % 2 == 1 || at == last {
            hash = node(beside, &hash);
            while at % 2 == 0 && at != 0 {
                (at, last) = (at / 2, last / 2);
            }
        } else {
            hash = node(&hash, beside);
        }
        (at, last) = (at / 2, last / 2);
    }
    (last == 0).then_some(hash)
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
    fn a_path_leads_to_the_root_and_no_other_leaf_takes_it() {
        for n in 1..40u8 {
            let leaves: Vec<Hash> = (0..n).map(|i| leaf(&[i])).collect();
            let root = by_definition(&leaves);
            for index in 0..n {
                let (at, size) = (u64::from(index), u64::from(n));
                let way = path(&leaves, usize::from(index)).unwrap();
                assert_eq!(root_by(leaves[usize::from(index)], at, size, &way), Some(root), "{index} of {n}");
                assert_ne!(root_by(leaf(b"other"), at, size, &way), Some(root));
                if let Some((_, shorter)) = way.split_last() {
                    assert_eq!(root_by(leaves[usize::from(index)], at, size, shorter), None);
                }
                let longer = [way.as_slice(), &[root]].concat();
                assert_eq!(root_by(leaves[usize::from(index)], at, size, &longer), None);
            }
            assert_eq!(path(&leaves, usize::from(n)), None);
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
