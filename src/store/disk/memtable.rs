//! Rows since the last flush, found by subject and by item.

use hashbrown::HashTable;
use hashbrown::hash_table::Entry;
use quietus_core::identity::{ItemKey, SubjectKey};

use super::keyed::tail;
use super::order::in_order;
use super::row::{Family, Stored};

/// No row comes before this one.
const FIRST: u32 = u32::MAX;

#[derive(Debug)]
pub struct Memtable {
    rows: Vec<(Family, Stored)>,
    /// Beside each row: the row before it of its subject, and of its item.
    before: Vec<(u32, u32)>,
    /// Rows by their key, which stands in the row: a table of numbers is a fifth as large, and stays near.
    last_of_subject: HashTable<u32>,
    last_of_item: HashTable<u32>,
}

impl Memtable {
    /// What grows to so many rows is not moved about meanwhile.
    pub fn with_room(rows: usize) -> Self {
        Self {
            rows: Vec::with_capacity(rows),
            before: Vec::with_capacity(rows),
            last_of_subject: HashTable::with_capacity(rows),
            last_of_item: HashTable::with_capacity(rows),
        }
    }

    pub fn push(&mut self, family: Family, row: Stored) {
        // It is flushed long before it has as many.
        let at = u32::try_from(self.rows.len()).unwrap_or(FIRST);
        let (subject, item) = (row.subject, row.item);
        self.rows.push((family, row));
        let of_subject = put(&mut self.last_of_subject, &self.rows, subject.0, at, |row| Some(row.subject.0));
        let item_of = |row: &Stored| row.item.map(|item| item.0);
        let of_item = item.map_or(FIRST, |item| put(&mut self.last_of_item, &self.rows, item.0, at, item_of));
        self.before.push((of_subject, of_item));
    }

    pub fn len(&self) -> usize {
        self.rows.len()
    }

    /// Newest first.
    pub fn of_subject(&self, key: SubjectKey) -> impl Iterator<Item = &(Family, Stored)> {
        let is_it = |at: &u32| self.row(*at).is_some_and(|row| row.subject == key);
        self.back_from(self.last_of_subject.find(tail(&key.0), is_it), |(of_subject, _)| of_subject)
    }

    /// Newest first.
    pub fn of_item(&self, key: ItemKey) -> impl Iterator<Item = &(Family, Stored)> {
        let is_it = |at: &u32| self.row(*at).is_some_and(|row| row.item == Some(key));
        self.back_from(self.last_of_item.find(tail(&key.0), is_it), |(_, of_item)| of_item)
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

    fn row(&self, at: u32) -> Option<&Stored> {
        self.rows.get(at as usize).map(|(_, row)| row)
    }

    pub fn iter(&self) -> impl Iterator<Item = &(Family, Stored)> {
        self.rows.iter()
    }

    /// The rows of one family, sorted for a run.
    pub fn sorted(&self, family: Family) -> impl Iterator<Item = &Stored> {
        let mine = self.rows.iter().filter(|(of, _)| *of == family);
        in_order(mine.map(|(_, row)| row).collect()).into_iter()
    }

    /// Keeps the room for as many again.
    pub fn clear(&mut self) {
        self.rows.clear();
        self.before.clear();
        self.last_of_subject.clear();
        self.last_of_item.clear();
    }
}

/// The key's last row is `at` from now on. The one before it.
fn put(
    last: &mut HashTable<u32>,
    rows: &[(Family, Stored)],
    key: [u8; 16],
    at: u32,
    of: impl Fn(&Stored) -> Option<[u8; 16]>,
) -> u32 {
    let key_at = |at: &u32| rows.get(*at as usize).and_then(|(_, row)| of(row));
    let hash = |at: &u32| key_at(at).map_or(0, |key| tail(&key));
    match last.entry(tail(&key), |other| key_at(other) == Some(key), hash) {
        Entry::Occupied(mut known) => std::mem::replace(known.get_mut(), at),
        Entry::Vacant(place) => {
            place.insert(at);
            FIRST
        }
    }
}
