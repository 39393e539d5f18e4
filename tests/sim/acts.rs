//! What happens around the node: people's decisions, faults, clocks, the company's news; and the node's own steps.
//! Which comes next is the seed's choice.

use quietus::clock::Clock;
use quietus::dispatch::propose;
use quietus::ledger::Stream;
use quietus::schedule::{barrier, plan, sweeps};
use quietus_core::hold::Scope as RealScope;
use quietus_core::record::{
    ClockAccepted, HoldEffective, HoldPlaced, HoldReleased, PolicyPublished, Record, RequestReceived,
    SourcePut, SweepClosed, SweepOrdered, SweepSwitch, SystemMode, SystemPut, Tick,
};
use quietus_core::source::{From, Kafka, Source};
use quietus_core::time::Millis;
use quietus_memory::Faults;

use crate::invariants::{Broken, Checked};
use crate::ledger::Plain;
use crate::model::{Ask, Decree, Scope};
use crate::plain::{DAY, HOUR, Item, Part, Purpose, System, What};
use crate::rules::Rules;
use crate::world::{LEASE, World};

/// How late events over HTTP may come.
pub const SETTLE: i64 = 5 * 60_000;
pub const FEED: &str = "feed";

impl World {
    pub fn set_up(&mut self) {
        for system in System::ALL {
            let manifest = system.manifest(self.sites[&system].retains);
            let manifest = serde_json::to_string(&manifest).unwrap();
            let record = SystemPut { name: system.name().to_owned(), manifest, by: None, at: self.real };
            self.decree(Record::SystemPut(record), Decree::Other);
        }
        // Every shape waits for it, and for no longer than twice its `settle`.
        let source = Source {
            source: FEED.to_owned(),
            from: From::Kafka(Kafka { topic: "events".to_owned(), ..Kafka::default() }),
            settle: 20 * DAY,
            ..Source::default()
        };
        let feed = SourcePut {
            name: FEED.to_owned(),
            document: Some(source.canonical_json()),
            generation: 1,
            by: None,
            at: self.real,
        };
        self.decree(Record::SourcePut(feed), Decree::Other);
        self.publish_anything();
    }

    fn publish_anything(&mut self) {
        let rules = Rules::draw(&mut self.rng, self.version);
        self.publish(rules);
    }

    pub fn publish(&mut self, rules: Rules) {
        self.version += 1;
        let document = rules.yaml();
        self.say(&document);
        let (version, at) = (self.version, self.real);
        let name = "company".to_owned();
        let record = PolicyPublished { name, version, document, by: None, approved_by: None, at };
        self.decree(Record::PolicyPublished(record), Decree::Policy(rules));
    }

    /// One step of anybody.
    pub fn step(&mut self) -> Checked {
        match self.rng.u8(..) {
            0..30 => self.something_happens(),
            30..42 => self.post(),
            42..56 => self.read_lane(),
            56..59 => self.tell_watermark(),
            59 => self.stall(),
            60..66 => self.place(),
            66..70 => self.release(),
            70..74 => self.ask(),
            74..76 => self.publish_anything(),
            76..80 => self.fault(),
            80..82 => self.disturb_clock(),
            82..84 => self.flip(),
            84..88 => self.repeat(),
            88..92 => return self.crash(),
            92..108 => self.time_passes(),
            108..112 => {
                self.sweep()?;
                for _ in 0..self.rng.u8(..80) {
                    self.work()?;
                }
            }
            _ => {
                for _ in 0..self.rng.u8(1..6) {
                    self.work()?;
                }
            }
        }
        Ok(())
    }

    /// One step of the node itself.
    pub fn work(&mut self) -> Checked {
        let partition = self.rng.u32(..u32::try_from(self.node.partitions.len()).unwrap());
        let system = System::ALL[self.rng.usize(..3)];
        match self.rng.u8(..16) {
            0..2 => self.sync(),
            2..6 => drop(self.apply(partition)?),
            6 => drop(self.fold()),
            7..9 => drop(self.copy_control(partition)),
            9 => self.tick(),
            10 => self.propose(system, partition),
            11 if !self.node.sends.is_empty() => {
                let at = self.rng.usize(..self.node.sends.len());
                self.send(at)?;
            }
            12..14 if !self.node.calls.is_empty() => {
                let at = self.rng.usize(..self.node.calls.len());
                self.go_on(at)?;
            }
            14 => self.look(system, partition, 4),
            15 if !self.node.answers.is_empty() => {
                let at = self.rng.usize(..self.node.answers.len());
                self.answer(at);
            }
            _ => self.declare(),
        }
        Ok(())
    }

    fn place(&mut self) {
        let mut scope = Scope::default();
        if self.rng.bool() {
            scope.people.push(self.rng.usize(..self.company.people.len()));
        }
        if self.rng.u8(..3) == 0 {
            scope.systems.push(System::ALL[self.rng.usize(..3)]);
        }
        if self.rng.u8(..3) == 0 {
            scope.parts.push([Part::Email, Part::Note, Part::Amount, Part::Basket][self.rng.usize(..4)]);
        }
        let key = |p: &usize| self.keys.subject_key("customer_id", &self.company.people[*p]).0;
        let mut real = RealScope {
            subjects: scope.people.iter().map(key).collect(),
            systems: scope.systems.iter().map(|s| s.name().to_owned()).collect(),
            categories: scope.parts.iter().map(|p| p.category().to_owned()).collect(),
            ..RealScope::default()
        };
        real.all = real.is_empty();
        let id = self.fresh("hd");
        self.say(&format!("hold {id} on {scope:?}"));
        self.scopes.insert(id.clone(), scope.clone());
        let record = HoldPlaced {
            id: id.clone(),
            matter: "matter".to_owned(),
            authority: "court".to_owned(),
            reference: None,
            owner: "legal".to_owned(),
            reason: "case".to_owned(),
            scope: serde_json::to_string(&real).unwrap(),
            review: "2030-01-01".to_owned(),
            confidential: false,
            asked: None,
            allow: Vec::new(),
            by: None,
            at: self.real,
        };
        self.decree(Record::HoldPlaced(record), Decree::Placed(id, scope));
    }

    fn release(&mut self) {
        let open: Vec<String> = {
            let open = self.node.control.holds.values().filter(|h| h.released.is_none());
            open.map(|h| h.id.clone()).collect()
        };
        if open.is_empty() {
            return;
        }
        let id = open[self.rng.usize(..open.len())].clone();
        self.release_hold(id);
    }

    pub fn release_hold(&mut self, id: String) {
        self.say(&format!("hold {id} is released"));
        let record = HoldReleased { id: id.clone(), by: None, reason: None, at: self.real };
        self.decree(Record::HoldReleased(record), Decree::Released(id));
    }

    fn ask(&mut self) {
        let grounds = [None, Some("unlawful"), Some("consent_withdrawn")];
        let erase = (self.rng.u8(..4) > 0).then(|| grounds[self.rng.usize(..3)]);
        let person = self.rng.usize(..self.company.people.len());
        let ask = Ask { id: self.fresh("rq"), person, erase };
        self.say(&format!("{ask:?}"));
        self.tick_all();
        let subject = self.keys.subject_key("customer_id", &self.company.people[person]);
        let purposes = if erase.is_none() { vec![Purpose::Ads.name().to_owned()] } else { Vec::new() };
        let record = RequestReceived {
            id: ask.id.clone(),
            kind: if erase.is_some() { "erase" } else { "withdraw" }.to_owned(),
            subject: subject.0.to_vec(),
            grounds: erase.flatten().map(str::to_owned),
            purposes,
            regime: None,
            received: self.real,
            due: self.real + 30 * DAY,
            categories: Vec::new(),
            corrections: None,
            on_behalf_of: None,
            asked: None,
            by: None,
            identity: None,
            unverified: false,
        };
        self.append(self.home(person), Record::RequestReceived(record), Plain::Asked(ask));
    }

    fn fault(&mut self) {
        let system = System::ALL[self.rng.usize(..3)];
        let mut faults = Faults::default();
        match self.rng.u8(..8) {
            0 => faults.unavailable = true,
            1 => faults.unreadable = true,
            2 => faults.fail_before = self.rng.u32(1..4),
            3 => faults.lose_answers = self.rng.u32(1..4),
            4 => faults.at_most = Some(self.rng.usize(..2)),
            5 => faults.lies = true,
            _ => {}
        }
        self.say(&format!("{}: {faults:?}", system.name()));
        self.sites[&system].connector.set_faults(faults);
    }

    /// The node's wall clock jumps; or somebody looks at it, sets it right and accepts it.
    fn disturb_clock(&mut self) {
        if self.clock.now().0 != self.real {
            return self.mend_clock();
        }
        let by = match self.rng.bool() {
            true => self.rng.i64(2 * DAY..200 * DAY),
            false => -self.rng.i64(60_000..40 * DAY),
        };
        self.say(&format!("the clock jumps by {} h", by / HOUR));
        self.clock.set(Millis(self.real + by));
    }

    pub fn mend_clock(&mut self) {
        self.say("the clock is set right and accepted");
        self.clock.set(Millis(self.real));
        self.node.steady = quietus::schedule::clock::Steady::new(&self.clock);
        let record = ClockAccepted { now: self.real, by: None };
        self.decree(Record::ClockAccepted(record), Decree::Other);
    }

    fn flip(&mut self) {
        if self.rng.bool() {
            let stopped = !self.node.control.stopped && self.rng.bool();
            return self.switch(stopped);
        }
        let system = System::ALL[self.rng.usize(..3)];
        let mode = if self.rng.u8(..3) == 0 { "observe" } else { "enforce" };
        self.set_mode(system, mode);
    }

    pub fn switch(&mut self, stopped: bool) {
        let record = SweepSwitch { stopped, by: None, at: self.real };
        self.decree(Record::SweepSwitch(record), Decree::Other);
    }

    pub fn set_mode(&mut self, system: System, mode: &str) {
        let (name, mode) = (system.name().to_owned(), mode.to_owned());
        self.decree(Record::SystemMode(SystemMode { name, mode, by: None, at: self.real }), Decree::Other);
    }

    /// A frame of a partition is written a second time.
    fn repeat(&mut self) {
        let durable = self.ledger.durable();
        if durable == 0 {
            return;
        }
        let at = self.rng.usize(..durable);
        let entry = self.ledger.entry(at);
        let frame = quietus::ledger::codec::decode_frame(&entry.bytes).unwrap();
        // What intake dedupes by the event's id does not come to be written twice.
        let repeats = |r: &Record| match r {
            Record::Facts(r) => !r.marks.is_empty(),
            Record::Changes(r) => !r.marks.is_empty(),
            Record::OwnerStarted(_) => false,
            _ => true,
        };
        if entry.stream != Stream::Control && frame.records.iter().all(repeats) {
            let what = format!("{} again", frame.records[0].name());
            self.ledger.repeat(at);
            self.say(&what);
        }
    }

    fn time_passes(&mut self) {
        let ms = match self.rng.u8(..32) {
            0..18 => self.rng.i64(50..3_000),
            18..26 => self.rng.i64(3_000..60_000),
            26..28 => self.rng.i64(60_000..6 * HOUR),
            _ => self.rng.i64(6 * HOUR..3 * DAY),
        };
        self.pass(ms / 2);
        if ms >= 6 * HOUR {
            self.life_goes_on();
        }
        self.pass(ms - ms / 2);
    }

    /// While a lane is stalled its records are used as ever; the node hears of it later.
    fn life_goes_on(&mut self) {
        let items: Vec<Item> = self.company.about.keys().copied().collect();
        for item in items {
            let stalled = item % 3 > 0 && self.company.lanes[item % 3 - 1].stalled;
            if stalled && self.rng.bool() && self.may_speak_of(item) {
                self.happens(self.company.items[&item].person, What::Touched { item });
            }
        }
    }

    pub fn tick(&mut self) {
        if self.node.steady.check(&self.clock).is_err() {
            return;
        }
        let now = self.clock.now().0;
        self.tick_to(now, 1_000);
    }

    /// Every partition is brought to the time to go by.
    pub fn tick_all(&mut self) {
        let now = self.now();
        self.tick_to(now, 1);
    }

    fn tick_to(&mut self, now: i64, step: i64) {
        for partition in 0..u32::try_from(self.node.partitions.len()).unwrap() {
            let last = self.node.partitions[usize::try_from(partition).unwrap()].read().state.now.0;
            if now - last >= step {
                self.append(partition, Record::Tick(Tick { now }), Plain::Tick(now));
            }
        }
    }

    /// Everything durable is read everywhere.
    pub fn read_all(&mut self) -> Checked {
        self.sync();
        while self.fold() {}
        for partition in 0..u32::try_from(self.node.partitions.len()).unwrap() {
            while self.apply(partition)? {}
        }
        Ok(())
    }

    pub fn sweep(&mut self) -> Checked {
        if self.node.control.policy.is_none() || self.node.control.stopped {
            return Ok(());
        }
        self.tick_all();
        self.read_all()?;
        let settled = Millis(self.now() - SETTLE);
        // How far each source was read, every partition knows by itself.
        let as_of = settled;
        if as_of.0 > self.real {
            return Broken::of(10, format!("a sweep as of {as_of}, and it is {}", self.real));
        }
        let limit = self.node.control.policy.as_ref().and_then(|a| a.policy.sweep.limit);
        let quota = limit.map(|limit| sweeps::share(limit, &plan::rows(&self.node.partitions, as_of)));
        let id = self.fresh("sw");
        self.say(&format!("sweep {id} as of {as_of}"));
        let record = SweepOrdered {
            id,
            as_of: as_of.0,
            planned_k: i64::try_from(self.node.control.k).unwrap(),
            quota: quota.unwrap_or_default(),
            root: None,
            asked: None,
            by: None,
            at: self.real,
        };
        self.decree(Record::SweepOrdered(record), Decree::Other);
        Ok(())
    }

    pub fn propose(&mut self, system: System, partition: u32) {
        let applied = self.node.applied(partition);
        if self.node.proposed.get(&(system, partition)).is_some_and(|offset| *offset >= applied) {
            return;
        }
        let Some(known) = self.node.control.systems.get(system.name()).cloned() else { return };
        let room = self.rng.usize(1..5);
        let proposal = {
            let inner = self.node.partitions[usize::try_from(partition).unwrap()].read();
            propose(&inner.state, &known.manifest, room, LEASE)
        };
        if let Some(proposal) = proposal {
            self.say(&format!("propose {} for {}", proposal.0.orders.len(), system.name()));
            let offset = self.append(partition, Record::Ordered(proposal.0), Plain::Nothing);
            self.node.proposed.insert((system, partition), offset);
        }
    }

    /// Holds are declared effective, sweeps that have come to rest are closed.
    pub fn declare(&mut self) {
        let now = Millis(self.now());
        let open = self.node.control.holds.values();
        let open: Vec<_> = open.filter(|h| h.effective.is_none() && h.released.is_none()).cloned().collect();
        for hold in open {
            if barrier::stands(&self.node.partitions, &self.node.control, &hold, now).is_effective() {
                self.say(&format!("hold {} is effective", hold.id));
                let (id, at) = (hold.id.clone(), now.0);
                let record = HoldEffective { id, at, covered_items: 0, covered_copies: 0 };
                self.decree(Record::HoldEffective(record), Decree::Other);
            }
        }
        let running = self.node.control.sweeps.values().filter(|s| s.closed.is_none());
        let settled = |id: &String| sweeps::has_settled(&self.node.partitions, id, &|_| true);
        let settled: Vec<String> = running.map(|s| s.id.clone()).filter(settled).collect();
        for id in settled {
            let record =
                SweepClosed { id, state: "finished".to_owned(), report: "{}".to_owned(), at: self.real };
            self.decree(Record::SweepClosed(record), Decree::Other);
        }
    }
}
