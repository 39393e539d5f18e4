//! Rows since the last flush, found by subject and by item.

use std::collections::HashMap;

use quietus_core::identity::{ItemKey, SubjectKey};

use super::row::{Family, Stored};

#[derive(Debug, Default)]
pub struct Memtable {
    rows: Vec<(Family, Stored)>,
    by_subject: HashMap<SubjectKey, Vec<usize>>,
    by_item: HashMap<ItemKey, Vec<usize>>,
}

impl Memtable {
    pub fn push(&mut self, family: Family, row: Stored) {
        let at = self.rows.len();
        self.by_subject.entry(row.subject).or_default().push(at);
        if let Some(item) = row.item {
            self.by_item.entry(item).or_default().push(at);
        }
        self.rows.push((family, row));
    }

    pub fn len(&self) -> usize {
        self.rows.len()
    }

    pub fn of_subject(&self, key: SubjectKey) -> impl Iterator<Item = &(Family, Stored)> {
        self.by_subject.get(&key).into_iter().flatten().filter_map(|at| self.rows.get(*at))
    }

    pub fn of_item(&self, key: ItemKey) -> impl Iterator<Item = &(Family, Stored)> {
        self.by_item.get(&key).into_iter().flatten().filter_map(|at| self.rows.get(*at))
    }

    pub fn iter(&self) -> impl Iterator<Item = &(Family, Stored)> {
        self.rows.iter()
    }

    /// The rows of one family, sorted for a run.
    pub fn sorted(&self, family: Family) -> Vec<Stored> {
        let mine = self.rows.iter().filter(|(of, _)| *of == family);
        let mut rows: Vec<Stored> = mine.map(|(_, row)| row.clone()).collect();
        rows.sort_unstable_by(Stored::order);
        rows
    }

    pub fn clear(&mut self) {
        *self = Self::default();
    }
}
