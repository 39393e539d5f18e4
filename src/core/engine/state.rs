//! What a partition knows beside its items: duties, requests, sweeps, marks, and its position in the control log.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use crate::engine::control::Control;
use crate::engine::dead_letters::DeadLetters;
use crate::engine::duty_book::Duties;
use crate::engine::news::News;
use crate::identity::SubjectKey;
use crate::record::Record;
use crate::request::Request;
use crate::time::Millis;

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
