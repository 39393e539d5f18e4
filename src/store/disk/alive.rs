//! How many subjects have something that lives, without folding each of their items.
//!
//! Invariant: an item of which nothing was told that concerns its copies lives as it was recorded; who has such a one is
//! counted by that alone. All that is known of the copies of the others is folded.

use std::ops::ControlFlow;

use quietus_core::identity::{ItemId, ItemKey, SubjectKey};

use super::keyed::KeySet;
use super::row::{Family, Stored};
use super::sift::Range;
use super::{DiskStore, StoreError, change};
use crate::store::{MemoryStore, Store};

/// Facts take so little of a row's room here.
const FACTS: u64 = 16;
/// Rows folded at once.
const PIECE: usize = 1_024;

impl DiskStore {
    pub(super) fn parts_alive(&self) -> u64 {
        let rows = |family| self.runs_of(&[family]).map(|(_, run)| run.rows).sum::<u64>();
        let told = rows(Family::Changes) + self.memtable.len() as u64;
        (rows(Family::Facts) / FACTS).max(told) / self.sizes.slice_rows.max(1) + 1
    }

    pub(super) fn count_alive(&self, range: Range) -> Result<u64, StoreError> {
        let (mut items, mut rows) = (KeySet::<ItemId>::default(), Vec::new());
        // Of whom it does not say which items.
        let mut persons = KeySet::<SubjectKey>::default();
        self.each_of(&[Family::Changes], range, &change::concerns_copies, &mut |family, row| {
            match row.item {
                Some(item) if !row.is_forgotten(family) => {
                    items.insert(ItemId { subject: row.subject, item });
                }
                _ => {
                    persons.insert(row.subject);
                }
            }
            rows.push((family, row));
            Ok(ControlFlow::Continue(()))
        })?;
        let has_copies: Vec<bool> = self.shapes.iter().map(|shape| !shape.copies.is_empty()).collect();
        let mut alive = KeySet::<SubjectKey>::default();
        let mut open: KeySet<SubjectKey> = persons.clone();
        let mut meet = |subject, item: Option<ItemKey>, shape: u32| {
            let is_told = |item| items.contains(&ItemId { subject, item }) || persons.contains(&subject);
            let is_sure = usize::try_from(shape).ok().and_then(|n| has_copies.get(n)) == Some(&true);
            let known = if is_sure && !item.is_none_or(is_told) { &mut alive } else { &mut open };
            known.insert(subject);
        };
        for (_, row) in self.memtable.iter().filter(|(family, _)| *family == Family::Facts) {
            if range.holds(row.subject) {
                meet(row.subject, row.item, row.shape);
            }
        }
        for (_, run) in self.runs_of(&[Family::Facts]) {
            for page in 0..run.pages() {
                run.filtered(&self.blocks, page, &mut |row| {
                    if range.holds(row.subject) {
                        meet(row.subject, row.item, row.shape);
                    }
                    false
                })?;
            }
        }
        open.extend(items.iter().map(|id| id.subject));
        open.retain(|subject| !alive.contains(subject));
        rows.retain(|(_, row)| open.contains(&row.subject));
        if self.look_up_cost(0, open.len()) < self.fact_pages() {
            for subject in &open {
                self.facts_of(*subject, &|_| true, &mut rows)?;
                let mine = self.memtable.of_subject(*subject);
                rows.extend(mine.filter(|(family, _)| *family == Family::Facts).cloned());
            }
        } else {
            self.facts(range, &|_| true, &|row| open.contains(&row.subject), None, &mut rows)?;
        }
        let mut counted = alive.len() as u64;
        self.each_piece(rows, &mut |piece| counted += piece.subjects_alive())?;
        Ok(counted)
    }

    /// Folds rows, no subject's in two pieces.
    pub(super) fn each_piece(
        &self,
        mut rows: Vec<(Family, Stored)>,
        visit: &mut dyn FnMut(MemoryStore),
    ) -> Result<(), StoreError> {
        rows.sort_unstable_by_key(|(_, row)| (row.subject, row.seq));
        let mut rest = rows.as_slice();
        while let Some(last) = rest.get(PIECE.min(rest.len()).wrapping_sub(1)).map(|(_, row)| row.subject) {
            let end = rest.partition_point(|(_, row)| row.subject <= last);
            let (piece, later) = rest.split_at(end);
            visit(self.fold(piece.to_vec())?);
            rest = later;
        }
        Ok(())
    }
}
