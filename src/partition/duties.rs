//! Duties wherever they lie: those under way in memory, those at rest in the store.
//!
//! Invariant: a duty that is not in memory is in the store as it stands. So what is brought to disk may leave memory,
//! never what moved since; and of what the store shows, a duty in memory is the newer one.

use std::collections::BTreeSet;
use std::sync::Arc;

use quietus_core::engine::{Concerned, Found, Input, Words, named};
use quietus_core::identity::{ItemId, SubjectKey};
use quietus_core::obligation::{Obligation, ObligationId};

use super::{Inner, Partition, kept};
use crate::store::{DutyRow, part_of};

impl Partition {
    /// Every duty, an item's together; others get in between, and what moves meanwhile is shown as it stood or stands.
    pub fn each_duty(&self, visit: &mut dyn FnMut(&Obligation)) {
        let of = self.read().store.duty_parts();
        for n in 0..of {
            let part = self.read().duties_in(n, of);
            part.iter().for_each(|duty| visit(duty));
        }
    }

    /// Duties at rest that a record is about whoever's they are. Its owner alone moves duties, so that they stand so still
    /// when the record is decided; others get in between.
    pub(super) fn concerned(&self, by: Concerned<'_>) -> Vec<Arc<Obligation>> {
        let of = self.read().store.duty_parts();
        let mut found = Vec::new();
        for n in 0..of {
            let resting = self.read().resting_in(n, of);
            found.extend(resting.into_iter().filter(|duty| by.is(duty)));
        }
        found
    }
}

impl Inner {
    pub fn duty(&self, id: ObligationId) -> Option<Arc<Obligation>> {
        let in_memory = self.state.duties.get(id).cloned().map(Arc::new);
        in_memory.or_else(|| {
            let stored = (self.stored() && !self.forgot(id)).then(|| self.store.duty(id.0)).flatten();
            stored.map(|row| Arc::new(self.read(&row)))
        })
    }

    pub fn duties_of(&self, item: ItemId) -> Vec<Arc<Obligation>> {
        let mut all: Vec<_> = self.state.duties.of_item(item).cloned().map(Arc::new).collect();
        all.extend(self.resting_of(item.subject).into_iter().filter(|duty| duty.item == item));
        all.sort_by_key(|duty| duty.id);
        all
    }

    /// As [`Partition::each_duty`], of one moment.
    pub fn each_duty(&self, visit: &mut dyn FnMut(&Obligation)) {
        let of = self.store.duty_parts();
        (0..of).for_each(|n| self.duties_in(n, of).iter().for_each(|duty| visit(duty)));
    }

    /// Lends the state what of duties at rest a record names, and what was found that it is about.
    pub(super) fn lend_named(&mut self, input: &Input<'_>, concerned: Vec<Arc<Obligation>>) {
        concerned.into_iter().for_each(|duty| self.state.duties.lend(duty));
        if !self.stored() {
            return;
        }
        for id in named(input) {
            if let Some(duty) = self.state.duties.get(id).is_none().then(|| self.duty(id)).flatten() {
                self.state.duties.lend(duty);
            }
        }
    }

    /// …and those of the items that were looked up for it.
    pub(super) fn lend_found(&mut self, found: &Found) {
        if !self.stored() {
            return;
        }
        let subjects: BTreeSet<SubjectKey> = found.lives.keys().map(|id| id.subject).collect();
        for subject in subjects {
            self.resting_of(subject).into_iter().for_each(|duty| self.state.duties.lend(duty));
        }
    }

    /// Duties at rest of one part of the store, by (subject, id).
    pub(super) fn resting_in(&self, n: u64, of: u64) -> Vec<Arc<Obligation>> {
        if !self.stored() {
            return Vec::new();
        }
        self.at_rest(self.store.duties_in(n, of))
    }

    /// Nothing but what the store alone has is asked of it.
    fn stored(&self) -> bool {
        self.state.duties.stored() > 0
    }

    fn resting_of(&self, subject: SubjectKey) -> Vec<Arc<Obligation>> {
        if !self.stored() {
            return Vec::new();
        }
        self.at_rest(self.store.duties_of(subject))
    }

    fn forgot(&self, id: ObligationId) -> bool {
        self.since.as_ref().is_some_and(|since| since.forgot(id))
    }

    /// What is in memory too is under way again, or came to rest just now.
    fn at_rest(&self, rows: Vec<DutyRow>) -> Vec<Arc<Obligation>> {
        let mut words = Words::default();
        let is_here = |id| self.state.duties.get(id).is_none() && !self.forgot(id);
        let resting = rows.iter().filter(|row| is_here(ObligationId(row.id)));
        let read = |row| {
            let mut duty = self.read(row);
            words.duty(&mut duty);
            Arc::new(duty)
        };
        resting.map(read).collect()
    }

    fn duties_in(&self, n: u64, of: u64) -> Vec<Arc<Obligation>> {
        let mut all = self.resting_in(n, of);
        let mine = self.state.duties.by_item().filter(|duty| part_of(duty.item.subject, of) == n);
        all.extend(mine.cloned());
        all.sort_by_key(|duty| (duty.item, duty.id));
        all
    }

    /// A duty that cannot be read must not be taken for none.
    fn read(&self, row: &DutyRow) -> Obligation {
        kept::read_duty(row).unwrap_or_else(|| self.store.unreadable("a duty"))
    }
}
