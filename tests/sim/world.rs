//! The system under test, one step at a time: the real partitions, intake, gate, barrier and connectors on a ledger
//! in memory, driven by a single thread whose next step a seed chooses.
//!
//! [`Node`] is what a crash takes; everything else in [`World`] outlives it.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use quietus::clock::{Clock, SimulatedClock};
use quietus::intake::{self, Context, Intake, Receipt};
use quietus::ledger::Stream;
use quietus::ledger::codec::{Avro, decode_frame, encode_record};
use quietus::partition::Partition;
use quietus::schedule::clock::Steady;
use quietus::sealing::Keys;
use quietus_core::engine::Effect;
use quietus_core::engine::control::Control;
use quietus_core::identity::ItemId;
use quietus_core::item::CopyState;
use quietus_core::obligation::{Obligation, ObligationId};
use quietus_core::record::{ControlCopy, Frame, OwnerStarted, Record, SEMANTICS, Tick};
use quietus_core::time::Millis;

use crate::calls::Call;
use crate::company::{Company, Site};
use crate::history::History;
use crate::invariants::{Broken, Checked, Memory};
use crate::ledger::{Ledger, Plain};
use crate::model::{Decree, Gone, Model, Scope};
use crate::plain::{DAY, Item, Person, System, Told};
use crate::stored::Stored;

pub const START: i64 = 1_750_000_000_000;
pub const LEASE: i64 = 10_000;

pub struct World {
    pub rng: fastrand::Rng,
    pub history: History,
    /// What time it really is.
    pub real: i64,
    pub clock: SimulatedClock,
    pub keys: Keys,
    pub company: Company,
    pub sites: BTreeMap<System, Site>,
    pub ledger: Ledger,
    pub node: Node,
    pub memory: Memory,
    /// Every hold there ever was.
    pub scopes: BTreeMap<String, Scope>,
    pub ids: u64,
    pub version: i64,
    pub by_id: BTreeMap<ItemId, Item>,
}

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
    pub stored: Stored,
}

/// A batch that was written and is not yet durable.
#[derive(Debug)]
pub struct Unanswered {
    pub until: usize,
    pub receipt: Receipt,
    pub events: Vec<(Person, Told)>,
    /// (lane, offset after it)
    pub lane: Option<(usize, usize)>,
}

impl World {
    pub fn new(seed: u64, stored: Stored) -> Self {
        let mut rng = fastrand::Rng::with_seed(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) ^ 0x51_71);
        let keys = Keys::from_tenant(&[u8::try_from(seed % 251).unwrap(); 32]).unwrap();
        let company = Company::new(&mut rng, seed);
        let sites = System::ALL.map(|s| (s, Site::new(s, s == System::Shop && rng.bool())));
        let sites: BTreeMap<System, Site> = sites.into_iter().collect();
        let clock = SimulatedClock::at(Millis(START));
        let partitions = rng.u32(1..4);
        let by_id = company.items.iter().map(|(n, record)| {
            let subject = keys.subject_key("customer_id", &company.people[record.person]);
            (ItemId { subject, item: keys.item_key(&record.key) }, *n)
        });
        let by_id = by_id.collect();
        let node = Node::new(&keys, partitions, &clock, stored, &Ledger::default());
        let mut world = Self {
            rng,
            history: History::new(),
            real: START,
            clock,
            keys,
            company,
            sites,
            ledger: Ledger::default(),
            node,
            memory: Memory::default(),
            scopes: BTreeMap::new(),
            ids: 0,
            version: 0,
            by_id,
        };
        world.pass(0);
        world.own();
        world.set_up();
        world.sync();
        world
    }

    pub fn say(&mut self, what: &str) {
        self.history.line(self.real, what);
    }

    pub fn fresh(&mut self, prefix: &str) -> String {
        self.ids += 1;
        format!("{prefix}_{}", self.ids)
    }

    /// Real time passes, for every clock.
    pub fn pass(&mut self, ms: i64) {
        self.real += ms;
        self.clock.advance(Duration::from_millis(u64::try_from(ms).unwrap()));
        self.sites.values().for_each(|site| site.connector.set_now(Some(self.real)));
    }

    /// The time the node goes by.
    pub fn now(&mut self) -> i64 {
        self.node.steady.now(&self.clock).0
    }

    pub fn home(&self, person: Person) -> u32 {
        let key = self.keys.subject_key("customer_id", &self.company.people[person]);
        key.partition(u32::try_from(self.node.partitions.len()).unwrap())
    }

    pub fn append(&mut self, partition: u32, record: Record, plain: Plain) -> u64 {
        let stream = Stream::Partition(partition);
        self.ledger.append(stream, &Frame::of(vec![record]), plain);
        self.ledger.written(stream) - 1
    }

    pub fn decree(&mut self, record: Record, decree: Decree) {
        self.say(&format!("control: {}", record.name()));
        self.ledger.append(Stream::Control, &Frame::of(vec![record]), Plain::Decree(decree));
    }

    /// Everything written becomes durable, and who waited for that is answered.
    pub fn sync(&mut self) {
        self.ledger.sync();
        let durable = self.ledger.durable();
        let waiting = std::mem::take(&mut self.node.unanswered);
        let (kept, waiting): (Vec<_>, Vec<_>) = waiting.into_iter().partition(|u| u.until <= durable);
        self.node.unanswered = waiting;
        for batch in kept {
            self.node.intake.remember(&batch.receipt);
            self.company.acknowledged.extend(batch.events.iter().map(|(_, t)| t.id));
            if let Some((lane, next)) = batch.lane {
                let lane = &mut self.company.lanes[lane];
                lane.committed = lane.committed.max(next);
            }
        }
    }

    /// The control plane reads the next entry of the control log.
    pub fn fold(&mut self) -> bool {
        let Some(entry) = self.ledger.frame(Stream::Control, self.node.folded) else { return false };
        let frame = decode_frame(&entry.bytes).unwrap();
        self.node.folded += 1;
        self.node.control.apply(self.node.folded, &frame.records[0]);
        true
    }

    /// Entry k + 1 of the control log goes into a partition.
    pub fn copy_control(&mut self, partition: u32) -> bool {
        let at = usize::try_from(partition).unwrap();
        let next = self.node.copied[at];
        let Some(entry) = self.ledger.frame(Stream::Control, next) else { return false };
        let frame = decode_frame(&entry.bytes).unwrap();
        let (schema, body) = encode_record(&frame.records[0]).unwrap();
        let k = i64::try_from(next + 1).unwrap();
        self.append(partition, Record::ControlCopy(ControlCopy { k, schema, body }), Plain::Copied(next + 1));
        self.node.copied[at] += 1;
        true
    }

    /// The partition reads its next durable frame.
    pub fn apply(&mut self, partition: u32) -> Result<bool, Broken> {
        let at = usize::try_from(partition).unwrap();
        let owner = Arc::clone(&self.node.partitions[at]);
        let offset = owner.applied();
        let Some(entry) = self.ledger.frame(Stream::Partition(partition), offset).cloned() else {
            return Ok(false);
        };
        let frame = decode_frame(&entry.bytes).unwrap();
        let before = self.memory.before(&owner, &frame, entry.repeated);
        let asked = owner.apply(offset, &entry.bytes, &frame, &Avro);
        while owner.tidy().unwrap() {}
        self.told(partition, &entry.plain);
        self.known(partition, &frame);
        self.memory.after(&owner, &frame, before)?;
        for effect in asked.effects {
            if let Effect::Send { system, duties } = effect {
                let system = System::of(&system);
                for duty in &duties {
                    self.may_be_sent(partition, system, duty)?;
                }
                self.say(&format!("partition {partition} lets {} go to {}", duties.len(), system.name()));
                self.node.sends.push((system, duties));
            }
        }
        Ok(true)
    }

    fn told(&mut self, partition: u32, plain: &Plain) {
        let at = usize::try_from(partition).unwrap();
        let decree = match plain {
            Plain::Copied(k) => match &self.ledger.frame(Stream::Control, k - 1).unwrap().plain {
                Plain::Decree(decree) => Some((*k, decree.clone())),
                _ => None,
            },
            _ => None,
        };
        let model = &mut self.node.models[at];
        match plain {
            Plain::Told(events) => {
                for (person, told) in events {
                    model.hear(*person, told, self.company.new_lives.contains(&told.id));
                }
            }
            Plain::Tick(now) => {
                model.now = model.now.max(*now);
                self.node.newest_tick = self.node.newest_tick.max(*now);
            }
            Plain::Asked(ask) => model.asked(ask, &self.company.items),
            Plain::Copied(_) => {
                if let Some((k, decree)) = decree {
                    model.decreed(k, &decree);
                }
            }
            Plain::Nothing | Plain::Decree(_) => {}
        }
    }

    /// What an answer or a read-back makes known: that a copy is gone, or that it is not.
    fn known(&mut self, partition: u32, frame: &Frame) {
        let at = usize::try_from(partition).unwrap();
        let inner = self.node.partitions[at].read();
        for id in crate::invariants::named(frame) {
            let Some(duty) = inner.state.duties.get(id) else { continue };
            if duty.duty == quietus_core::obligation::Duty::Delete {
                let item = self.by_id[&duty.item];
                let system = System::of(&duty.place.system);
                let lives = inner.store.lives(duty.item).unwrap();
                let life = lives.lives.iter().find(|l| l.item.generation == duty.generation).unwrap();
                let state = life.copy_at(&duty.place).map(|c| life.item.copies[c].state);
                let gone = match state {
                    Some(CopyState::Erased { at, .. }) => Some(Gone { at: at.0, erased: true }),
                    Some(CopyState::Gone { at }) => Some(Gone { at: at.0, erased: false }),
                    Some(CopyState::Live) | None => None,
                };
                self.node.models[at].saw(item, duty.generation, system, gone);
            }
        }
    }

    /// An owner's first record is its start, then a tick.
    fn own(&mut self) {
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
        // A store in memory is gone; one on disk stands where its last root was made.
        let stored = std::mem::replace(&mut self.node.stored, Stored::Memory);
        let models = std::mem::take(&mut self.node.models);
        self.node.partitions = Arc::default();
        let of = u32::try_from(before.len()).unwrap();
        self.node = Node::new(&self.keys, of, &self.clock, stored, &self.ledger);
        self.node.models = models;
        self.node.calls = orphans;
        self.replay(&before)?;
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

    pub fn context(&self) -> Context {
        let context = Context::new("customer_id", Millis(self.node.newest_tick));
        let systems = self.node.control.systems.values();
        let context = systems.fold(context, |c, system| c.with_system(&system.manifest));
        match &self.node.control.policy {
            Some(active) => context.with_policy(&active.policy),
            None => context,
        }
    }

    /// Takes a batch in as it comes over the wire; what is refused is given back.
    pub fn take_in(
        &mut self,
        events: Vec<(Person, Told)>,
        feed: &intake::Feed,
        lane: Option<(usize, usize)>,
    ) -> Vec<(Person, Told)> {
        let body: Vec<serde_json::Value> = events
            .iter()
            .map(|(person, told)| told.cloud_event(&self.company.people[*person], &self.company.items))
            .collect();
        let body = serde_json::Value::Array(body).to_string();
        let batch = intake::read("application/cloudevents-batch+json", |_| None, body.as_bytes()).unwrap();
        let accepted = self.node.intake.accept(&batch, feed, &self.context());
        let refused: BTreeSet<usize> = accepted.rejected.iter().map(|r| r.index).collect();
        assert!(accepted.rejected.iter().all(|r| r.code == "time-ahead"), "{:?}", accepted.rejected);
        let (mut taken, mut back) = (Vec::new(), Vec::new());
        for (n, event) in events.into_iter().enumerate() {
            if refused.contains(&n) { back.push(event) } else { taken.push(event) }
        }
        for (partition, frame) in accepted.frames {
            let mine = taken.iter().filter(|(person, _)| self.home(*person) == partition).cloned().collect();
            self.ledger.append(Stream::Partition(partition), &frame, Plain::Told(mine));
        }
        let until = self.ledger.len();
        self.node.unanswered.push(Unanswered { until, receipt: accepted.receipt, events: taken, lane });
        back
    }
}

impl Node {
    fn new(keys: &Keys, partitions: u32, clock: &SimulatedClock, stored: Stored, ledger: &Ledger) -> Self {
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
            intake,
            newest_tick: 0,
            sends: Vec::new(),
            calls: Vec::new(),
            answers: Vec::new(),
            looking: BTreeMap::new(),
            proposed: BTreeMap::new(),
            unanswered: Vec::new(),
            stored,
        }
    }

    pub fn applied(&self, partition: u32) -> u64 {
        self.partitions[usize::try_from(partition).unwrap()].applied()
    }
}
