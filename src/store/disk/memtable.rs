//! Rows since the last flush, found by subject and by item.

use quietus_core::identity::{ItemKey, SubjectKey};

use super::keyed::KeyMap;
use super::row::{Family, Stored};

/// No row comes before this one.
const FIRST: u32 = u32::MAX;

#[derive(Debug)]
pub struct Memtable {
    rows: Vec<(Family, Stored)>,
    /// Beside each row: the row before it of its subject, and of its item.
    before: Vec<(u32, u32)>,
    last_of_subject: KeyMap<SubjectKey, u32>,
    last_of_item: KeyMap<ItemKey, u32>,
}

impl Memtable {
    /// What grows to so many rows is not moved about meanwhile.
    pub fn with_room(rows: usize) -> Self {
        Self {
            rows: Vec::with_capacity(rows),
            before: Vec::with_capacity(rows),
            last_of_subject: KeyMap::with_capacity_and_hasher(rows, Default::default()),
            last_of_item: KeyMap::with_capacity_and_hasher(rows, Default::default()),
        }
    }

    pub fn push(&mut self, family: Family, row: Stored) {
        // It is flushed long before it has as many.
        let at = u32::try_from(self.rows.len()).unwrap_or(FIRST);
        let of_subject = self.last_of_subject.insert(row.subject, at).unwrap_or(FIRST);
        let of_item = row.item.and_then(|item| self.last_of_item.insert(item, at)).unwrap_or(FIRST);
        self.before.push((of_subject, of_item));
        self.rows.push((family, row));
    }

    pub fn len(&self) -> usize {
        self.rows.len()
    }

    /// Newest first.
    pub fn of_subject(&self, key: SubjectKey) -> impl Iterator<Item = &(Family, Stored)> {
        self.back_from(self.last_of_subject.get(&key), |(of_subject, _)| of_subject)
    }

    /// Newest first.
    pub fn of_item(&self, key: ItemKey) -> impl Iterator<Item = &(Family, Stored)> {
        self.back_from(self.last_of_item.get(&key), |(_, of_item)| of_item)
    }

    fn back_from(
        &self,
        last: Option<&u32>,
        before: fn((u32, u32)) -> u32,
    ) -> impl Iterator<Item = &(Family, Stored)> {
        let next = move |at: &u32| self.before.get(*at as usize).map(|pair| before(*pair));
        let chain = std::iter::successors(last.copied(), next);
        chain.map_while(|at| self.rows.get(at as usize))
    }

    pub fn iter(&self) -> impl Iterator<Item = &(Family, Stored)> {
        self.rows.iter()
    }

    /// The rows of one family, sorted for a run.
    pub fn sorted(&self, family: Family) -> impl Iterator<Item = &Stored> {
        let mine = self.rows.iter().filter(|(of, _)| *of == family);
        let mut rows: Vec<&Stored> = mine.map(|(_, row)| row).collect();
        rows.sort_unstable_by(|a, b| a.order(b));
        rows.into_iter()
    }

    /// Keeps the room for as many again.
    pub fn clear(&mut self) {
        self.rows.clear();
        self.before.clear();
        self.last_of_subject.clear();
        self.last_of_item.clear();
    }
}
