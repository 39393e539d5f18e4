//! The node under test: what a crash takes, and how it is made again from the ledger.

use std::collections::BTreeMap;
use std::sync::Arc;

use quietus::clock::{Clock, SimulatedClock};
use quietus::dispatch::Underway;
use quietus::intake::{self, Intake};
use quietus::ledger::Stream;
use quietus::ledger::codec::{Avro, decode_frame};
use quietus::partition::Partition;
use quietus::schedule::clock::Steady;
use quietus::sealing::Keys;
use quietus::store::Naming;
use quietus_core::engine::control::Control;
use quietus_core::obligation::{Obligation, ObligationId};
use quietus_core::record::{OwnerStarted, Record, SEMANTICS, Tick};
use quietus_core::time::Millis;

use crate::calls::Call;
use crate::invariants::{Broken, Checked, Memory};
use crate::ledger::{Ledger, Plain};
use crate::model::Model;
use crate::plain::{DAY, System};
use crate::stored::Stored;
use crate::world::{Unanswered, World};

/// A running node: gone with a crash, and made again from the ledger.
pub struct Node {
    pub steady: Steady,
    pub partitions: Arc<Vec<Arc<Partition>>>,
    /// Beside each partition, what it has been told.
    pub models: Vec<Model>,
    /// The control log, folded up to `folded`.
    pub control: Control,
    pub folded: u64,
    /// Per partition: the last entry of the control log that was copied into it.
    pub copied: Vec<u64>,
    pub underway: Arc<Underway>,
    pub intake: Intake,
    pub newest_tick: i64,
    /// Let through and not sent.
    pub sends: Vec<(System, Vec<Obligation>)>,
    pub calls: Vec<Call>,
    /// What connectors and read-backs said, not yet written.
    pub answers: Vec<(u32, Record)>,
    /// Being read back, until the frame at this offset has been applied.
    pub looking: BTreeMap<ObligationId, Option<u64>>,
    /// Proposed, until the frame at this offset has been applied.
    pub proposed: BTreeMap<(System, u32), u64>,
    pub unanswered: Vec<Unanswered>,
    /// How far each partition's next snapshot is.
    pub snapshots: Vec<Taking>,
    pub stored: Stored,
}

/// A snapshot while it is taken: a crash may come at any of these.
#[derive(Debug, Default)]
pub enum Taking {
    #[default]
    Nothing,
    Begun(Naming),
    Named(Naming),
    /// The ledger may give up what lies before the older.
    Taken,
}

impl Node {
    pub fn new(
        keys: &Keys,
        partitions: u32,
        clock: &SimulatedClock,
        stored: Stored,
        ledger: &Ledger,
    ) -> Self {
        let salt = keys.audit_salt();
        let intake = Intake::new(keys.clone(), partitions, intake::Options::default());
        let of = |p: u32| {
            let opened = stored.partition(p, partitions, &salt, |k| ledger.control(k));
            let (partition, events) = opened;
            intake.recall(p, events);
            Arc::new(partition)
        };
        let count = usize::try_from(partitions).unwrap();
        Self {
            steady: Steady::new(clock),
            partitions: Arc::new((0..partitions).map(of).collect()),
            models: vec![Model::default(); count],
            control: Control::default(),
            folded: 0,
            copied: vec![0; count],
            underway: Arc::default(),
            intake,
            newest_tick: 0,
            sends: Vec::new(),
            calls: Vec::new(),
            answers: Vec::new(),
            looking: BTreeMap::new(),
            proposed: BTreeMap::new(),
            unanswered: Vec::new(),
            snapshots: (0..count).map(|_| Taking::Nothing).collect(),
            stored,
        }
    }

    pub fn applied(&self, partition: u32) -> u64 {
        self.partitions[usize::try_from(partition).unwrap()].applied()
    }
}

impl World {
    /// An owner's first record is its start, then a tick.
    pub fn own(&mut self) {
        let now = self.clock.now();
        for partition in 0..u32::try_from(self.node.partitions.len()).unwrap() {
            let started =
                OwnerStarted { node: "embedded".to_owned(), semantics: SEMANTICS, version: "sim".to_owned() };
            self.append(partition, Record::OwnerStarted(started), Plain::Nothing);
            if now > self.node.partitions[usize::try_from(partition).unwrap()].read().state.now {
                self.append(partition, Record::Tick(Tick { now: now.0 }), Plain::Tick(now.0));
            }
        }
    }

    /// The power goes, and comes back.
    pub fn crash(&mut self) -> Checked {
        let tail = self.ledger.len() - self.ledger.durable();
        let survives = self.rng.usize(..=tail);
        self.say(&format!("crash: {survives} of {tail} unsynced frames survive"));
        self.ledger.crash(survives);
        for batch in std::mem::take(&mut self.node.unanswered).into_iter().filter(|b| b.lane.is_none()) {
            self.company.outbox.push(batch.events);
        }
        for lane in &mut self.company.lanes {
            lane.next = lane.committed.saturating_sub(self.rng.usize(..3));
        }
        let calls: Vec<Call> = std::mem::take(&mut self.node.calls);
        let calls = calls.into_iter().filter(|_| self.rng.bool());
        let orphans: Vec<Call> = calls.filter_map(Call::orphaned).collect();
        let before: Vec<(u64, [u8; 32])> =
            self.node.partitions.iter().map(|p| (p.applied(), p.digest())).collect();
        // A clock that is a day ahead is not believed at a start: the systems' own clocks disagree.
        if (self.clock.now().0 - self.real).abs() > DAY {
            self.clock.set(Millis(self.real));
        }
        // A store in memory is gone; one on disk stands where its last root was made, or where a snapshot was.
        for partition in self.node.partitions.iter() {
            if self.whims.u8(..4) == 0 {
                self.node.stored.suspect(partition);
            }
        }
        let stored = std::mem::replace(&mut self.node.stored, Stored::Memory);
        let models = std::mem::take(&mut self.node.models);
        self.node.partitions = Arc::default();
        let of = u32::try_from(before.len()).unwrap();
        self.node = Node::new(&self.keys, of, &self.clock, stored, &self.ledger);
        self.node.models = models;
        self.node.calls = orphans;
        self.replay(&before)?;
        self.node.underway.resume(&self.node.partitions);
        self.own();
        Ok(())
    }

    fn replay(&mut self, before: &[(u64, [u8; 32])]) -> Checked {
        while self.fold() {}
        for (partition, (applied, digest)) in (0u32..).zip(before) {
            let at = usize::try_from(partition).unwrap();
            let stream = Stream::Partition(partition);
            loop {
                if self.node.partitions[at].applied() == *applied {
                    Memory::same_digest(&self.node.partitions[at], digest)?;
                }
                // What was read before the crash is durable, and the model beside it was told.
                let is_news = self.node.partitions[at].applied() >= *applied;
                let Some(entry) = self.ledger.frame(stream, self.node.partitions[at].applied()).cloned()
                else {
                    break;
                };
                let frame = decode_frame(&entry.bytes).unwrap();
                self.node.partitions[at].apply(
                    self.node.partitions[at].applied(),
                    &entry.bytes,
                    &frame,
                    &Avro,
                );
                self.node.intake.recall(partition, frame.event_ids());
                if is_news {
                    self.told(partition, &entry.plain);
                    self.known(partition, &frame);
                }
            }
            if self.node.partitions[at].applied() < *applied {
                return Broken::of(4, format!("frames of partition {partition} that were read are gone"));
            }
            let now = self.node.partitions[at].read().state.now.0;
            self.node.newest_tick = self.node.newest_tick.max(now);
            self.node.copied[at] = self.node.partitions[at].read().state.control.k;
        }
        Ok(())
    }
}
