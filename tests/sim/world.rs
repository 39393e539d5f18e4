//! The system under test, one step at a time: the real partitions, intake, gate, barrier and connectors on a ledger
//! in memory, driven by a single thread whose next step a seed chooses.
//!
//! [`Node`] is what a crash takes; everything else in [`World`] outlives it.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use quietus::clock::SimulatedClock;
use quietus::intake::{self, Context, Receipt};
use quietus::ledger::Stream;
use quietus::sealing::Keys;
use quietus_core::identity::ItemId;
use quietus_core::record::{Frame, Record};
use quietus_core::time::Millis;

use crate::company::{Company, Site};
use crate::history::History;
use crate::invariants::Memory;
use crate::ledger::{Ledger, Plain};
use crate::model::{Decree, Scope};
use crate::node::Node;
use crate::plain::{Item, Person, System, Told};
use crate::stored::Stored;

pub const START: i64 = 1_750_000_000_000;
pub const LEASE: i64 = 10_000;

pub struct World {
    pub rng: fastrand::Rng,
    /// For what changes nothing that anybody sees: a seed's history is the same without it.
    pub whims: fastrand::Rng,
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
            whims: fastrand::Rng::with_seed(seed),
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
