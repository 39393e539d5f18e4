//! Tables by keys that are keyed hashes already: their own bytes tell them apart, and nobody can choose them.

use std::collections::{HashMap, HashSet};
use std::hash::{BuildHasherDefault, Hasher};

pub type KeyMap<K, V> = HashMap<K, V, BuildHasherDefault<Bytes>>;
pub type KeySet<K> = HashSet<K, BuildHasherDefault<Bytes>>;

/// The last eight bytes of each key.
#[derive(Clone, Copy, Debug, Default)]
pub struct Bytes(u64);

impl Hasher for Bytes {
    fn write(&mut self, bytes: &[u8]) {
        self.0 = self.0.rotate_left(5) ^ tail(bytes);
    }

    /// The length of a key, which is the same for all.
    fn write_usize(&mut self, _: usize) {}

    fn finish(&self) -> u64 {
        self.0
    }
}

/// The last eight bytes.
pub fn tail(key: &[u8]) -> u64 {
    key.last_chunk().map_or(0, |tail| u64::from_le_bytes(*tail))
}
