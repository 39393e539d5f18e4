//! What a partition knows beside its items: duties, requests, sweeps, marks, and its position in the control log.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::engine::control::Control;
use crate::engine::dead_letters::DeadLetters;
use crate::engine::news::News;
use crate::engine::orders::MAX_TRIES;
use crate::identity::{ItemId, SubjectKey};
use crate::obligation::{Cause, Obligation, ObligationId, Stand};
use crate::record::Record;
use crate::request::Request;
use crate::time::Millis;
use crate::word::Word;

/// A partition's state. It changes in [`super::step`] alone.
#[derive(Clone, Debug, Default)]
pub struct State {
    pub partition: u32,
    pub partitions: u32,
    /// The last tick: the only *now*.
    pub now: Millis,
    /// Offset of the running owner's `OwnerStarted`.
    pub epoch: Option<i64>,
    pub control: Control,
    /// (source, generation) → watermark.
    pub watermarks: BTreeMap<(String, i32), Millis>,
    /// (source, generation) → where it stood, in its own terms.
    pub positions: BTreeMap<(String, i32), String>,
    /// (source, generation, topic, partition) → highest offset taken in.
    pub marks: BTreeMap<(String, i32, String, i32), i64>,
    pub dead_letters: DeadLetters,
    /// The simulation took the check of watermarks out, to show that it would be missed.
    pub heedless: bool,
    pub duties: Duties,
    pub requests: BTreeMap<String, Request>,
    /// Sweeps this partition has applied: id → its slice.
    pub slices: BTreeMap<String, Slice>,
    /// What each hold covered here when it was applied.
    pub covered: BTreeMap<String, Covered>,
    /// Identity → who said that it is theirs.
    pub claims: BTreeMap<SubjectKey, BTreeSet<SubjectKey>>,
    /// Identities of this partition that several persons claim.
    pub contested: BTreeSet<SubjectKey>,
    /// Identity → those in its set that others claim too.
    pub doubts: BTreeMap<SubjectKey, BTreeSet<SubjectKey>>,
    /// What is to be delivered to other members' partitions, by number.
    pub outbox: BTreeMap<u64, Letter>,
    /// The last number given out.
    pub passed_on: u64,
    /// Partition → the last number that was taken in from it.
    pub received: BTreeMap<i32, i64>,
    /// What others are to be told.
    pub news: News,
    pub tally: Tally,
    pub alive: Alive,
    /// Corrections taken in here: the last one's round.
    pub corrections: u32,
    /// System → how often something erased was found there again.
    pub resurrected: BTreeMap<String, u64>,
}

/// Something about one member of a linked set, for another.
#[derive(Clone, Debug, PartialEq)]
pub struct Letter {
    /// Whose key seals what is sealed in it.
    pub from: SubjectKey,
    pub to: SubjectKey,
    pub record: Record,
}

/// What a sweep found here.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Slice {
    /// Items that lived: each was decided about, most of them by their shape and start alone.
    pub candidates: u64,
    pub due: u64,
    /// Merkle root over (item, generation, copy, parts) in key order.
    pub root: [u8; 32],
    /// Left for the next sweep by the limit.
    pub over_limit: u64,
}

/// What a hold covers in one partition.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Covered {
    pub items: u64,
    pub by_system: BTreeMap<String, u64>,
}

impl Covered {
    pub fn copies(&self) -> u64 {
        self.by_system.values().sum()
    }
}

/// What lives.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Alive {
    pub items: u64,
    /// Without derived ones that nothing became known of.
    pub copies: u64,
}

impl Alive {
    /// An item had so many copies and has so many now.
    pub(super) fn moved(&mut self, before: u64, after: u64) {
        self.copies = (self.copies + after).saturating_sub(before);
        match (before, after) {
            (0, 1..) => self.items += 1,
            (1.., 0) => self.items = self.items.saturating_sub(1),
            _ => {}
        }
    }
}

/// Counted since the ledger began.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Tally {
    /// Records that could not happen where they stood, and changed nothing.
    pub ignored: u64,
    pub echoes: u64,
    pub resurrected: u64,
    /// Lives begun after the first.
    pub generations: u64,
    pub corrected: u64,
    pub breaches: u64,
    /// Events no policy declares.
    pub undeclared: u64,
    /// Partners that accepted and did not answer in time.
    pub past_deadline: u64,
}

/// Every duty, with the ways to find it.
#[derive(Clone, Debug, Default)]
pub struct Duties {
    all: BTreeMap<ObligationId, Arc<Obligation>>,
    by_item: BTreeSet<(ItemId, ObligationId)>,
    by_stand: BTreeMap<Stand, BTreeSet<ObligationId>>,
    /// Per system and item: the command that is out.
    out: BTreeMap<(ItemId, Word), ObligationId>,
    /// What wants looking at when time has come: back-off, cool-down, lost commands.
    timers: BTreeSet<(Millis, ObligationId)>,
}

impl Duties {
    pub fn get(&self, id: ObligationId) -> Option<&Obligation> {
        self.all.get(&id).map(|duty| &**duty)
    }

    pub fn all(&self) -> impl Iterator<Item = &Obligation> {
        self.all.values().map(|duty| &**duty)
    }

    pub fn of_item(&self, item: ItemId) -> impl Iterator<Item = &Obligation> {
        let of_item = (item, ObligationId([0; 16]))..=(item, ObligationId([255; 16]));
        self.by_item.range(of_item).filter_map(|(_, id)| self.get(*id))
    }

    /// All of them, an item's together.
    pub fn by_item(&self) -> impl Iterator<Item = &Obligation> {
        self.by_item.iter().filter_map(|(_, id)| self.get(*id))
    }

    pub fn standing(&self, stand: Stand) -> impl Iterator<Item = &Obligation> {
        self.by_stand.get(&stand).into_iter().flatten().filter_map(|id| self.get(*id))
    }

    pub fn count(&self, stand: Stand) -> usize {
        self.by_stand.get(&stand).map_or(0, BTreeSet::len)
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

    pub(super) fn put(&mut self, duty: Arc<Obligation>) {
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
