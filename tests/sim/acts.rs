//! Which comes next is the seed's choice: something around the node (`decrees`, `trouble`, `news`), time, or one of the
//! node's own steps.

use quietus::clock::Clock;
use quietus::dispatch::propose;
use quietus::schedule::{barrier, plan, sweeps};
use quietus_core::record::{HoldEffective, Record, SweepClosed, SweepOrdered, Tick};
use quietus_core::time::Millis;

use crate::invariants::{Broken, Checked};
use crate::ledger::Plain;
use crate::model::Decree;
use crate::plain::{DAY, HOUR, Item, System, What};
use crate::world::{LEASE, World};

/// How late events over HTTP may come.
pub const SETTLE: i64 = 5 * 60_000;
pub const FEED: &str = "feed";

impl World {
    /// One step of anybody.
    pub fn step(&mut self) -> Checked {
        if self.whims.u8(..8) == 0 {
            let at = self.whims.usize(..self.node.partitions.len());
            self.snapshot_goes_on(at);
        }
        match self.rng.u8(..) {
            0..30 => self.something_happens(),
            30..42 => self.post(),
            42..56 => self.read_lane(),
            56..59 => self.tell_watermark(),
            59 => match self.rng.bool() {
                true => self.stall(),
                false => self.rebalance(),
            },
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

    /// Every partition has read all of the control log, too.
    pub fn copy_all(&mut self) -> Checked {
        self.read_all()?;
        for partition in 0..u32::try_from(self.node.partitions.len()).unwrap() {
            while self.copy_control(partition) {}
        }
        self.read_all()
    }

    /// Items that are known to any partition.
    pub fn items_known(&self) -> usize {
        let mut known = 0;
        for partition in self.node.partitions.iter() {
            partition.read().store.each(&mut |lives, _| known += usize::from(!lives.lives.is_empty()));
        }
        known
    }

    pub fn digests(&self) -> Vec<[u8; 32]> {
        self.node.partitions.iter().map(|partition| partition.digest()).collect()
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
            if barrier::is_effective(&self.node.partitions, &self.node.underway, &hold, now) {
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
