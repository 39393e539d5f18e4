//! What was seen lately, in bounded memory: event ids per partition, subjects whose identity was sent.
//!
//! Invariant: at least the last `keep` hashes are known, at most a tenth more; nothing is forgotten out of order.
//! Rejected: an exact least-recently-used list (four times the memory), and a filter that may be wrong, because a
//! new event taken for an old one would be lost.

use std::collections::{HashSet, VecDeque};
use std::hash::{BuildHasherDefault, Hasher};

/// The last so many hashes, in generations that are forgotten whole.
#[derive(Debug)]
pub struct Recent {
    generation: usize,
    kept: usize,
    young: HashSet<u64, BuildHasherDefault<AsIs>>,
    old: VecDeque<HashSet<u64, BuildHasherDefault<AsIs>>>,
}

impl Recent {
    pub fn keeping(keep: usize) -> Self {
        let kept = 9;
        Self { generation: keep.div_ceil(kept).max(1), kept, young: HashSet::default(), old: VecDeque::new() }
    }

    pub fn contains(&self, hash: u64) -> bool {
        self.young.contains(&hash) || self.old.iter().any(|g| g.contains(&hash))
    }

    pub fn insert(&mut self, hash: u64) {
        if self.young.len() >= self.generation {
            self.age();
        }
        self.young.insert(hash);
    }

    pub fn remove(&mut self, hash: u64) {
        self.young.remove(&hash);
        for generation in &mut self.old {
            generation.remove(&hash);
        }
    }

    /// Closes the youngest generation, whether it is full or not, and forgets the oldest.
    pub fn age(&mut self) {
        self.old.push_front(std::mem::take(&mut self.young));
        self.old.truncate(self.kept);
    }
}

/// The hashes are keyed ones already: their own first bits are as good as any.
#[derive(Debug, Default)]
struct AsIs(u64);

impl Hasher for AsIs {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        self.0 = bytes.iter().fold(self.0, |hash, b| hash.rotate_left(8) ^ u64::from(*b));
    }

    fn write_u64(&mut self, value: u64) {
        self.0 = value;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_ones_are_known_and_memory_is_bounded() {
        let mut recent = Recent::keeping(900);
        for n in 0..10_000u64 {
            recent.insert(n.wrapping_mul(0x9e37_79b9_7f4a_7c15));
        }
        let known = (0..10_000u64).filter(|n| recent.contains(n.wrapping_mul(0x9e37_79b9_7f4a_7c15))).count();
        assert!((900..=1_000).contains(&known), "{known}");
        assert!((9_100..10_000u64).all(|n| recent.contains(n.wrapping_mul(0x9e37_79b9_7f4a_7c15))));
    }

    #[test]
    fn what_is_removed_is_unknown_in_every_generation() {
        let mut recent = Recent::keeping(18);
        (0..10).for_each(|n| recent.insert(n));
        recent.remove(0);
        recent.remove(9);
        assert!(!recent.contains(0) && !recent.contains(9) && recent.contains(5));
    }
}
