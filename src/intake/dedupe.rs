//! What was seen lately, in bounded memory: event ids per partition, subjects whose identity was sent.
//!
//! Invariant: at least the last `keep` hashes are known, at most a tenth more; nothing is forgotten out of order.
//! Rejected: an exact least-recently-used list (four times the memory), a filter that may be wrong, because a new event
//! taken for an old one would be lost, and a set for each generation (ten looks for every event that is new).

use std::collections::HashSet;
use std::hash::{BuildHasherDefault, Hasher};

/// Generations beside the youngest.
const OLD: u8 = 9;
/// Slots of the first table.
const FEW: usize = 64;

/// Hashes, without hashing them again.
pub type Hashes<T> = HashSet<T, BuildHasherDefault<AsIs>>;

/// The last so many hashes, in generations that are forgotten whole: one table, open addressed, at most three quarters
/// full.
#[derive(Debug)]
pub struct Recent {
    /// Hashes of one generation.
    generation: usize,
    /// The youngest, 1 to [`OLD`] + 1; the oldest has the number after it.
    now: u8,
    young: usize,
    /// Of all generations.
    known: usize,
    /// 0 = free.
    slots: Vec<u64>,
    /// Beside each slot, its generation.
    born: Vec<u8>,
}

impl Recent {
    pub fn keeping(keep: usize) -> Self {
        let generation = keep.div_ceil(usize::from(OLD)).max(1);
        Self { generation, now: 1, young: 0, known: 0, slots: Vec::new(), born: Vec::new() }
    }

    pub fn contains(&self, hash: u64) -> bool {
        self.place(taken(hash)).is_some_and(|place| self.at(place) != 0)
    }

    pub fn insert(&mut self, hash: u64) {
        if self.young >= self.generation {
            self.age();
        }
        self.make_room();
        let hash = taken(hash);
        let Some(place) = self.place(hash) else { return };
        let known = self.at(place) != 0;
        self.known += usize::from(!known);
        self.young += usize::from(!known || self.generation_at(place) != self.now);
        self.put(place, hash, self.now);
    }

    pub fn remove(&mut self, hash: u64) {
        let place = self.place(taken(hash)).filter(|place| self.at(*place) != 0);
        if let Some(place) = place {
            self.young -= usize::from(self.generation_at(place) == self.now);
            self.free(place);
        }
    }

    /// Closes the youngest generation, whether it is full or not, and forgets the oldest.
    pub fn age(&mut self) {
        self.now = self.now % (OLD + 1) + 1;
        self.young = 0;
        for place in 0..self.slots.len() {
            // What is freed is filled again from behind.
            while self.generation_at(place) == self.now {
                self.free(place);
            }
        }
    }

    /// Where the hash lies, or would.
    fn place(&self, hash: u64) -> Option<usize> {
        let slots = self.slots.len();
        let home = self.home(hash);
        (home..slots)
            .chain(0..home)
            .find(|place| matches!(self.at(*place), there if there == 0 || there == hash))
    }

    /// Hashes are spread evenly already: their first bits say where they belong.
    fn home(&self, hash: u64) -> usize {
        let scaled = (u128::from(hash) * self.slots.len() as u128) >> 64;
        usize::try_from(scaled).unwrap_or_default()
    }

    fn at(&self, place: usize) -> u64 {
        self.slots.get(place).copied().unwrap_or_default()
    }

    fn generation_at(&self, place: usize) -> u8 {
        self.born.get(place).copied().unwrap_or_default()
    }

    fn put(&mut self, place: usize, hash: u64, born: u8) {
        if let (Some(slot), Some(generation)) = (self.slots.get_mut(place), self.born.get_mut(place)) {
            (*slot, *generation) = (hash, born);
        }
    }

    /// What was put further on because the place was taken moves up.
    fn free(&mut self, place: usize) {
        let slots = self.slots.len();
        let from = |one: usize, other: usize| (other + slots - one) % slots;
        let (mut hole, mut at) = (place, place);
        loop {
            at = (at + 1) % slots;
            let hash = self.at(at);
            if hash == 0 || at == place {
                break;
            }
            if from(self.home(hash), at) >= from(hole, at) {
                self.put(hole, hash, self.generation_at(at));
                hole = at;
            }
        }
        self.put(hole, 0, 0);
        self.known -= 1;
    }

    fn make_room(&mut self) {
        if (self.known + 1) * 4 <= self.slots.len() * 3 {
            return;
        }
        let full = (self.generation * usize::from(OLD + 1) + 1) * 4 / 3 + 1;
        let wider = (self.slots.len() * 2).clamp(FEW, full.max(FEW));
        let slots = std::mem::replace(&mut self.slots, vec![0; wider]);
        let born = std::mem::replace(&mut self.born, vec![0; wider]);
        for (hash, born) in slots.into_iter().zip(born).filter(|(hash, _)| *hash != 0) {
            if let Some(place) = self.place(hash) {
                self.put(place, hash, born);
            }
        }
    }
}

/// As it stands in a slot.
fn taken(hash: u64) -> u64 {
    hash.max(1)
}

/// The hashes are keyed ones already: their own first bits are as good as any.
#[derive(Debug, Default)]
pub struct AsIs(u64);

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
    use proptest::prelude::*;
    use std::collections::VecDeque;

    fn spread(n: u64) -> u64 {
        n.wrapping_mul(0x9e37_79b9_7f4a_7c15)
    }

    #[test]
    fn the_last_ones_are_known_and_memory_is_bounded() {
        let mut recent = Recent::keeping(900);
        for n in 0..100_000u64 {
            recent.insert(spread(n));
            assert!(recent.contains(spread(n)));
        }
        let known = (0..100_000u64).filter(|n| recent.contains(spread(*n))).count();
        assert!((900..=1_000).contains(&known), "{known}");
        assert!((99_100..100_000u64).all(|n| recent.contains(spread(n))));
        assert_eq!(recent.known, known);
        assert!(recent.slots.len() < 1_400, "{}", recent.slots.len());
    }

    #[test]
    fn what_is_removed_is_unknown_in_every_generation() {
        let mut recent = Recent::keeping(18);
        (1..11).for_each(|n| recent.insert(n));
        recent.remove(1);
        recent.remove(10);
        assert!(!recent.contains(1) && !recent.contains(10) && recent.contains(5));
    }

    proptest! {
        /// Hashes that meet in one place, and what lies at the end and goes on at the beginning.
        #[test]
        fn it_knows_what_a_list_of_generations_knows(
            keep in 1usize..60,
            acts in prop::collection::vec((0u8..8, 0u64..40, any::<bool>()), 0..600),
        ) {
            let mut recent = Recent::keeping(keep);
            let generation = keep.div_ceil(9).max(1);
            let mut lists = VecDeque::from([Vec::new()]);
            let age = |lists: &mut VecDeque<Vec<u64>>| {
                lists.push_front(Vec::new());
                lists.truncate(10);
            };
            for (act, n, high) in acts {
                let hash = if high { u64::MAX - n } else { spread(n).max(1) };
                match act {
                    0 => {
                        recent.remove(hash);
                        lists.iter_mut().for_each(|list| list.retain(|h| *h != hash));
                    }
                    1 => {
                        recent.age();
                        age(&mut lists);
                    }
                    _ => {
                        if lists[0].len() >= generation {
                            age(&mut lists);
                        }
                        recent.insert(hash);
                        lists.iter_mut().for_each(|list| list.retain(|h| *h != hash));
                        lists[0].push(hash);
                    }
                }
                for n in 0..40 {
                    for hash in [u64::MAX - n, spread(n).max(1)] {
                        let known = lists.iter().any(|list| list.contains(&hash));
                        prop_assert_eq!(recent.contains(hash), known);
                    }
                }
            }
        }
    }
}
