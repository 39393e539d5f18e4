//! What was forgotten and lies on the disk still: left out of a merge of everything.
//!
//! Invariant: every look-up answers the same before and after, for a row of [`Stored::is_forgotten`] and what was told
//! before it are left out together. So all groups of all families are merged at once, and one root lets go of them.

use quietus_core::identity::{ItemId, SubjectKey};

use super::blocks::{Blocks, StoreError};
use super::group::Group;
use super::keyed::KeyMap;
use super::row::{Family, Stored};

/// By the number of the last row that says so.
#[derive(Debug, Default)]
pub(super) struct Forgotten {
    items: KeyMap<ItemId, u64>,
    subjects: KeyMap<SubjectKey, u64>,
}

impl Forgotten {
    /// Reads every change.
    pub fn of<'a>(blocks: &Blocks, groups: impl Iterator<Item = &'a Group>) -> Result<Self, StoreError> {
        let mut forgotten = Self::default();
        for run in groups.filter(|group| group.family == Family::Changes).flat_map(|group| &group.runs) {
            for page in 0..run.pages() {
                let rows = run.page(blocks, page)?;
                rows.iter()
                    .filter(|row| row.is_forgotten(Family::Changes))
                    .for_each(|row| forgotten.add(row));
            }
        }
        Ok(forgotten)
    }

    fn add(&mut self, row: &Stored) {
        let (subject, seq) = (row.subject, row.seq);
        let last = match row.item {
            Some(item) => self.items.entry(ItemId { subject, item }).or_insert(seq),
            None => self.subjects.entry(subject).or_insert(seq),
        };
        *last = seq.max(*last);
    }

    /// It still says something.
    pub fn leaves(&self, row: &Stored, family: Family) -> bool {
        let subject = row.subject;
        let last = match (family, row.item) {
            (Family::Facts | Family::Changes, Some(item)) => self.items.get(&ItemId { subject, item }),
            (Family::Facts | Family::Changes | Family::Identities, _) => self.subjects.get(&subject),
            // All of them are merged: there is nothing left to hide.
            (Family::Duties | Family::Rests, _) => return !row.is_no_duty(family),
            // It is made anew when it is asked for.
            (Family::Resolved, _) => return false,
        };
        last.is_none_or(|last| row.seq > *last)
    }
}
