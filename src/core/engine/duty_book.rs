//! Every duty, with the ways to find it.
//!
//! What is under way is in memory. What a sweep left at rest ([`rests`]) may lie in the store: nothing finds it but by its
//! item or its own name, and whoever decides a record is lent what that record is about. Invariant: what is decided is
//! the same wherever a duty lies, so that a node may put away what it likes.
//! Rejected: all of them in memory, which grows with everything that was ever erased.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use crate::engine::orders::MAX_TRIES;
use crate::identity::ItemId;
use crate::obligation::{Cause, Duty, Obligation, ObligationId, Stand};
use crate::record::{ReapplyOrdered, Record};
use crate::request::Request;
use crate::time::Millis;
use crate::word::Word;

use super::{Input, reapply};

#[derive(Clone, Debug, Default)]
pub struct Duties {
    all: BTreeMap<ObligationId, Arc<Obligation>>,
    by_item: BTreeSet<(ItemId, ObligationId)>,
    by_stand: BTreeMap<Stand, BTreeSet<ObligationId>>,
    /// Per system and item: the command that is out.
    out: BTreeMap<(ItemId, Word), ObligationId>,
    /// What wants looking at when time has come: back-off, cool-down, lost commands.
    timers: BTreeSet<(Millis, ObligationId)>,
    /// Wherever they lie.
    tallies: BTreeMap<(Word, Stand), u64>,
    /// By a request: they stay in memory.
    named: BTreeSet<ObligationId>,
    /// From the store, for one record.
    lent: Vec<Arc<Obligation>>,
}

impl Duties {
    pub fn get(&self, id: ObligationId) -> Option<&Obligation> {
        self.all.get(&id).map(|duty| &**duty)
    }

    /// Those in memory, by id.
    pub fn all(&self) -> impl Iterator<Item = &Obligation> {
        self.all.values().map(|duty| &**duty)
    }

    pub fn of_item(&self, item: ItemId) -> impl Iterator<Item = &Obligation> {
        let of_item = (item, ObligationId([0; 16]))..=(item, ObligationId([255; 16]));
        self.by_item.range(of_item).filter_map(|(_, id)| self.get(*id))
    }

    /// Those in memory, an item's together.
    pub fn by_item(&self) -> impl Iterator<Item = &Arc<Obligation>> {
        self.by_item.iter().filter_map(|(_, id)| self.all.get(id))
    }

    /// Those in memory: every one, where [`rests`] is never true of this stand.
    pub fn standing(&self, stand: Stand) -> impl Iterator<Item = &Obligation> {
        self.by_stand.get(&stand).into_iter().flatten().filter_map(|id| self.get(*id))
    }

    /// How many stand where, by system, wherever they lie.
    pub fn tallies(&self) -> impl Iterator<Item = (&Word, Stand, u64)> {
        self.tallies.iter().map(|((system, stand), count)| (system, *stand, *count))
    }

    /// Those in memory.
    pub fn held(&self) -> usize {
        self.all.len()
    }

    /// Those that lie in the store alone.
    pub fn stored(&self) -> u64 {
        self.tallies.values().sum::<u64>().saturating_sub(self.all.len() as u64)
    }

    /// The command that is out for this item at this system.
    pub fn out(&self, item: ItemId, system: &str) -> Option<ObligationId> {
        self.out.get(&(item, Word::from(system))).copied()
    }

    /// Duties whose time has come at `now`, earliest first.
    pub fn ripe(&self, now: Millis) -> Vec<ObligationId> {
        self.timers.iter().take_while(|(at, _)| *at <= now).map(|(_, id)| *id).collect()
    }

    /// The earliest time anything wants looking at.
    pub fn next_timer(&self) -> Option<Millis> {
        self.timers.first().map(|(at, _)| *at)
    }

    /// Of duties that lie in the store those that the next record is about.
    pub fn lend(&mut self, duty: Arc<Obligation>) {
        if !self.all.contains_key(&duty.id) {
            self.lent.push(Arc::clone(&duty));
            self.insert(duty);
        }
    }

    /// After the record: what it left as it was is in memory no longer.
    pub fn give_back(&mut self) {
        for duty in std::mem::take(&mut self.lent) {
            let is_as_it_was = self.all.get(&duty.id).is_some_and(|now| Arc::ptr_eq(now, &duty));
            if is_as_it_was && !self.named.contains(&duty.id) {
                self.leave(&duty);
            }
        }
    }

    /// All of them are in the store: those at rest leave memory.
    pub fn put_away(&mut self) {
        let away: Vec<ObligationId> = self.all().filter(|duty| rests(duty)).map(|duty| duty.id).collect();
        self.leave_to_store(away);
    }

    /// These are in the store as they stand: they leave memory, unless a request named them.
    pub fn leave_to_store(&mut self, ids: impl IntoIterator<Item = ObligationId>) {
        for id in ids {
            if let Some(duty) = self.all.get(&id).filter(|_| !self.named.contains(&id)).cloned() {
                self.leave(&duty);
            }
        }
    }

    /// One that the store has; where it `stays` there it is only counted, unless a request named it.
    pub(super) fn recall(&mut self, duty: Obligation, stays: bool) {
        *self.tallies.entry((duty.place.system.clone(), duty.stand)).or_default() += 1;
        if !stays || self.named.contains(&duty.id) {
            self.insert(Arc::new(duty));
        }
    }

    /// What a request refers to, from here on.
    pub(super) fn name(&mut self, request: &Request) {
        self.named.extend(request.duties());
    }

    /// No request refers to them any more, but for those among `others`.
    pub(super) fn unname<'r>(
        &mut self,
        ids: impl Iterator<Item = ObligationId>,
        others: impl Iterator<Item = &'r Request>,
    ) {
        let still: BTreeSet<ObligationId> = others.flat_map(Request::duties).collect();
        for id in ids.filter(|id| !still.contains(id)) {
            self.named.remove(&id);
        }
    }

    /// A request refers to it.
    pub(super) fn is_named(&self, id: ObligationId) -> bool {
        self.named.contains(&id)
    }

    /// One that is known no longer, here or in the store.
    pub(super) fn take(&mut self, id: ObligationId) {
        let Some(duty) = self.all.get(&id).cloned() else { return };
        self.uncount(&duty);
        self.leave(&duty);
    }

    pub(super) fn put(&mut self, duty: Arc<Obligation>) {
        if let Some(old) = self.all.get(&duty.id).cloned() {
            self.uncount(&old);
        }
        *self.tallies.entry((duty.place.system.clone(), duty.stand)).or_default() += 1;
        self.insert(duty);
    }

    fn uncount(&mut self, duty: &Obligation) {
        let key = (duty.place.system.clone(), duty.stand);
        if let Some(count) = self.tallies.get_mut(&key) {
            *count -= 1;
            if *count == 0 {
                self.tallies.remove(&key);
            }
        }
    }

    fn insert(&mut self, duty: Arc<Obligation>) {
        match self.all.insert(duty.id, Arc::clone(&duty)) {
            Some(old) => self.forget(&old),
            None => {
                self.by_item.insert((duty.item, duty.id));
            }
        }
        self.by_stand.entry(duty.stand).or_default().insert(duty.id);
        if duty.stand.is_out() {
            self.out.insert((duty.item, duty.place.system.clone()), duty.id);
        }
        if let Some(at) = timer(&duty) {
            self.timers.insert((at, duty.id));
        }
    }

    fn leave(&mut self, duty: &Obligation) {
        self.all.remove(&duty.id);
        self.by_item.remove(&(duty.item, duty.id));
        self.forget(duty);
    }

    /// Takes the ways to it back.
    fn forget(&mut self, old: &Obligation) {
        let id = old.id;
        // Where none is left none is kept: what was restored is the same, word by word.
        if let Some(ids) = self.by_stand.get_mut(&old.stand)
            && ids.remove(&id)
            && ids.is_empty()
        {
            self.by_stand.remove(&old.stand);
        }
        if old.stand.is_out() {
            let key = (old.item, old.place.system.clone());
            if self.out.get(&key) == Some(&id) {
                self.out.remove(&key);
            }
        }
        if let Some(at) = timer(old) {
            self.timers.remove(&(at, id));
        }
    }
}

/// Neither time nor a connector's answer moves it on: it waits until its item is looked at, or somebody names it. What
/// a person asked for stays at hand.
pub fn rests(duty: &Obligation) -> bool {
    let of_sweep = matches!(duty.cause, Cause::Sweep(_)) && duty.duty != Duty::Correct;
    of_sweep
        && match duty.stand {
            Stand::Verified | Stand::Blocked | Stand::Refused => true,
            Stand::OutOfReach | Stand::Observed | Stand::Withdrawn => true,
            Stand::Owed | Stand::Ordered | Stand::Accepted | Stand::Executed => false,
            Stand::Residual | Stand::Failed => false,
        }
}

/// When a duty wants looking at without news from outside.
fn timer(duty: &Obligation) -> Option<Millis> {
    match duty.stand {
        Stand::Ordered => duty.not_after,
        Stand::Accepted => duty.deadline,
        Stand::Failed if duty.may_retry && duty.tries < MAX_TRIES => duty.not_before,
        // What a sweep made due waits for the next one; a person's request waits for none.
        Stand::Blocked if duty.block.is_none() && !matches!(duty.cause, Cause::Sweep(_)) => duty.not_before,
        Stand::Owed | Stand::Executed | Stand::Verified | Stand::Blocked => None,
        Stand::Residual | Stand::Refused | Stand::OutOfReach | Stand::Failed => None,
        Stand::Observed | Stand::Withdrawn => None,
    }
}

/// Duties that a record is about whoever's they are.
#[derive(Clone, Copy, Debug)]
pub enum Concerned<'a> {
    /// Released: what it blocks.
    Held(&'a str),
    /// A restore undid them.
    Undone(&'a ReapplyOrdered),
}

impl<'a> Concerned<'a> {
    /// None = those of the items that are looked up for it.
    pub fn by(input: &'a Input<'_>) -> Option<Self> {
        match (input.record, &input.control) {
            (Record::ControlCopy(_), Some(Record::HoldReleased(r))) => Some(Self::Held(&r.id)),
            (Record::ControlCopy(_), Some(Record::ReapplyOrdered(r))) => Some(Self::Undone(r)),
            _ => None,
        }
    }

    pub fn is(&self, duty: &Obligation) -> bool {
        match self {
            Self::Held(hold) => super::holds::is_held_by(duty, hold),
            Self::Undone(record) => reapply::is_undone(duty, record),
        }
    }
}

/// Duties that a record names by their ids.
pub fn named<'a>(input: &'a Input<'_>) -> Box<dyn Iterator<Item = ObligationId> + 'a> {
    let record = match (input.record, &input.control) {
        (Record::Forwarded(_), Some(record)) => record,
        (record, _) => record,
    };
    let id = |bytes: &Vec<u8>| ObligationId::from_slice(bytes);
    match record {
        Record::Ordered(r) => Box::new(r.orders.iter().filter_map(move |o| id(&o.obligation))),
        Record::Confirmed(r) => Box::new(r.answers.iter().filter_map(move |a| id(&a.obligation))),
        Record::ReadBack(r) => Box::new(r.seen.iter().filter_map(move |s| id(&s.obligation))),
        _ => Box::new(std::iter::empty()),
    }
}
