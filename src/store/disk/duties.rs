//! Duties: those under way, which a start reads again, and those at rest, which are looked up here when they are needed.
//!
//! Each lies in the family of where it stands; the newest row of both counts. Whoever looks among those at rest knows by
//! itself which of them are under way again: they are in its memory.

use std::borrow::Cow;
use std::cmp::Reverse;

use quietus_core::identity::{ItemKey, SubjectKey};

use super::DiskStore;
use super::blocks::StoreError;
use super::flush::Runs;
use super::group::Group;
use super::row::{Family, Stored};
use super::run::Run;
use super::sift::Range;
use crate::store::{DutyRow, Lies};

const BOTH: [Family; 2] = [Family::Duties, Family::Rests];

impl DiskStore {
    /// Tells every duty as it stands, a range of subjects in memory at a time.
    pub fn each_duty<E: From<StoreError>>(
        &self,
        tell: &mut dyn FnMut(DutyRow) -> Result<(), E>,
    ) -> Result<(), E> {
        let rows = self.runs_of(&BOTH).map(|(_, run)| run.rows).sum::<u64>();
        let of = self.cut(rows);
        for n in 0..of {
            let newest = self.newest(&BOTH, Range { n, of })?;
            newest.into_iter().filter_map(|(family, row)| row.duty(family)).try_for_each(&mut *tell)?;
        }
        Ok(())
    }

    pub(super) fn put_apart(
        &mut self,
        duties: &mut dyn Iterator<Item = Result<DutyRow, StoreError>>,
    ) -> Result<(), StoreError> {
        let groups = self.put_duties(duties)?;
        self.spilled.extend(groups);
        Ok(())
    }

    /// Rows by (subject, id), as groups of one run each.
    pub(super) fn put_duties(
        &mut self,
        duties: &mut dyn Iterator<Item = Result<DutyRow, StoreError>>,
    ) -> Result<Vec<Group>, StoreError> {
        let mut seq = self.list.next_seq;
        let [mut under_way, mut at_rest] = BOTH.map(|family| Runs::new(self, family));
        for duty in duties {
            let duty = duty?;
            let runs = match duty.lies {
                Lies::UnderWay => &mut under_way,
                Lies::AtRest => &mut at_rest,
                Lies::AtRestNow => {
                    under_way.push(Cow::Owned(Stored::of_no_duty(seq, &duty)))?;
                    seq += 1;
                    &mut at_rest
                }
                Lies::Nowhere => {
                    under_way.push(Cow::Owned(Stored::of_no_duty(seq, &duty)))?;
                    at_rest.push(Cow::Owned(Stored::of_no_duty(seq + 1, &duty)))?;
                    seq += 2;
                    continue;
                }
            };
            runs.push(Cow::Owned(Stored::of_duty(seq, duty)))?;
            seq += 1;
        }
        let groups = under_way.finish()?.into_iter().chain(at_rest.finish()?).collect();
        self.list.next_seq = seq;
        Ok(groups)
    }

    pub(super) fn resting_duty(&self, id: [u8; 16]) -> Result<Option<DutyRow>, StoreError> {
        let mut rows = Vec::new();
        for (_, run) in self.runs_of(&[Family::Rests]) {
            run.of_item(&self.blocks, ItemKey(id), &mut rows)?;
        }
        Ok(rows.into_iter().max_by_key(|row| row.seq).and_then(|row| row.duty(Family::Rests)))
    }

    pub(super) fn resting_of(&self, subject: SubjectKey) -> Result<Vec<DutyRow>, StoreError> {
        let mut rows = Vec::new();
        for (family, run) in self.runs_of(&[Family::Rests]) {
            let mut found = Vec::new();
            run.of_subject(&self.blocks, subject, &mut found)?;
            rows.extend(found.into_iter().map(|row| (family, row)));
        }
        Ok(newest_of(rows).into_iter().filter_map(|(family, row)| row.duty(family)).collect())
    }

    pub(super) fn resting_parts(&self) -> u64 {
        self.cut(self.resting())
    }

    pub(super) fn resting_in(&self, n: u64, of: u64) -> Result<Vec<DutyRow>, StoreError> {
        let rows = self.newest(&[Family::Rests], Range { n, of })?;
        Ok(rows.into_iter().filter_map(|(family, row)| row.duty(family)).collect())
    }

    /// Rows of duties at rest, those of before included.
    pub(super) fn resting(&self) -> u64 {
        self.runs_of(&[Family::Rests]).map(|(_, run)| run.rows).sum()
    }

    pub(super) fn runs_of(&self, families: &[Family]) -> impl Iterator<Item = (Family, &Run)> {
        let all = self.groups.iter().chain(&self.spilled);
        let mine = all.filter(|group| families.contains(&group.family));
        mine.flat_map(|group| group.runs.iter().map(|run| (group.family, &**run)))
    }

    fn newest(&self, families: &[Family], range: Range) -> Result<Vec<(Family, Stored)>, StoreError> {
        let rows = self.of_families(families, range)?;
        if rows.iter().any(|(_, row)| row.is_torn_duty()) {
            return Err(StoreError::Damaged("a duty's row is too short".to_owned()));
        }
        Ok(newest_of(rows))
    }

    /// Parts in which so many rows are read.
    fn cut(&self, rows: u64) -> u64 {
        (rows / self.sizes.slice_rows.max(1) + 1).min(1 << 16)
    }
}

/// By (subject, id), of each the newest.
fn newest_of(mut rows: Vec<(Family, Stored)>) -> Vec<(Family, Stored)> {
    rows.sort_unstable_by_key(|(_, row)| (row.subject, row.item, Reverse(row.seq)));
    rows.dedup_by_key(|(_, row)| (row.subject, row.item));
    rows
}
