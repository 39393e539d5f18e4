//! What the company does and tells: events drawn, sent over HTTP or left for a feed to read, late, twice or out of order.

use quietus::intake::Feed;
use quietus_core::record::{Mark, Record, SourceAt};

use crate::acts::{FEED, SETTLE};
use crate::company::recording;
use crate::ledger::Plain;
use crate::model::{Copy, Gone};
use crate::plain::{DAY, Item, Purpose, System, What};
use crate::world::World;

impl World {
    pub fn something_happens(&mut self) {
        let person = self.rng.usize(..self.company.people.len());
        let item = self.rng.usize(..self.company.items.len());
        let owner = self.company.items[&item].person;
        let known = self.company.about.contains_key(&item);
        let own = self.rng.bool().then_some(item);
        let (who, what) = match self.rng.u8(..20) {
            0..8 => return self.record(item),
            8..12 if known => (owner, What::Touched { item }),
            12 => (person, What::Active),
            13 => (owner, What::Granted { item: own.filter(|_| known), purpose: Purpose::Ads }),
            14..16 => (owner, What::Withdrawn { item: own.filter(|_| known), purpose: Purpose::Ads }),
            16 => (person, What::Closed),
            17 => (person, What::Reopened),
            18 => return self.lose(item),
            19 if known => return self.correct(item),
            _ => return,
        };
        if what.item().is_none_or(|i| self.may_speak_of(i)) {
            let _ = self.happens(who, what);
        }
    }

    /// No two things happen in the same millisecond: nobody could say which came first.
    pub fn happens(&mut self, person: usize, what: What) -> u64 {
        self.pass(1);
        self.say(&format!("person {person}: {what:?}"));
        self.company.happens(&mut self.rng, person, self.real, what)
    }

    /// Events of a record that has gone before come one after the other, as its one source has them in order.
    pub fn may_speak_of(&self, item: Item) -> bool {
        !self.company.gone_before.contains(&item) || self.is_all_heard(item)
    }

    pub fn is_all_heard(&self, item: Item) -> bool {
        let home = usize::try_from(self.home(self.company.items[&item].person)).unwrap();
        let about = self.company.about.get(&item).into_iter().flatten();
        about.clone().all(|id| self.node.models[home].has_heard(*id))
    }

    /// An item is recorded: for the first time, again, in a new life, or put back as it was.
    pub fn record(&mut self, item: Item) {
        let (person, homes) = (self.company.items[&item].person, self.company.items[&item].kind.homes());
        if !self.company.about.contains_key(&item) {
            let systems: Vec<System> = match self.rng.u8(..4) {
                0 => vec![homes[0]],
                1 => vec![homes[1], homes[0]],
                _ => homes.to_vec(),
            };
            systems.iter().for_each(|s| self.company.put(&self.sites[s], *s, item));
            let ago = self.rng.i64(0..60 * DAY);
            let start = (self.rng.u8(..12) > 0).then_some(self.real - ago);
            self.company.starts.insert(item, start);
            let what = recording(&mut self.rng, item, systems, start);
            let _ = self.happens(person, what);
            return;
        }
        if !self.may_speak_of(item) {
            return;
        }
        let there: Vec<System> =
            homes.into_iter().filter(|s| self.company.is_complete_in(*s, item)).collect();
        if !there.is_empty() {
            let mut systems = there;
            let other = homes.into_iter().find(|s| !systems.contains(s));
            if let Some(other) =
                other.filter(|s| !self.company.rows.contains_key(&(*s, item)) && self.rng.bool())
            {
                let generation = self.company.generation.get(&item).copied().unwrap_or(1);
                if !self.memory.was_erased(item, generation, other) {
                    self.company.put(&self.sites[&other], other, item);
                    systems.push(other);
                }
            }
            let start = self.restated(item);
            let what = recording(&mut self.rng, item, systems, start);
            let _ = self.happens(person, what);
            return;
        }
        self.come_back(item, homes.to_vec());
    }

    /// The start as it was told, or an earlier one; a new life's lies after the end of the one before.
    pub fn restated(&mut self, item: Item) -> Option<i64> {
        let start = self.company.starts[&item];
        let reborn = self.company.generation.contains_key(&item);
        match start {
            _ if reborn || self.rng.bool() => start,
            Some(start) => Some(start - self.rng.i64(0..20 * DAY)),
            None => Some(self.real - 80 * DAY),
        }
    }

    /// A customer comes back when everything of theirs is gone, whether or not the node knows by then; or a backup is put
    /// back when it does.
    pub fn come_back(&mut self, item: Item, homes: Vec<System>) {
        let person = self.company.items[&item].person;
        let at = usize::try_from(self.home(person)).unwrap();
        let Some(life) = self.node.models[at].lives.get(&item).and_then(|l| l.last()).cloned() else {
            return;
        };
        let lies = homes.iter().any(|s| self.company.rows.contains_key(&(*s, item)));
        if lies || !self.is_all_heard(item) {
            return;
        }
        let past = |gone: Gone| gone.at < self.real;
        let known = life.copies.iter().all(|c| c.gone.is_some_and(past));
        let really =
            |c: &Copy| c.gone.is_some_and(past) || (c.gone.is_none() && self.is_erased(item, c.system));
        if !life.copies.iter().all(really) {
            return;
        }
        let old = self.company.starts[&item].filter(|_| known && self.rng.bool());
        let (systems, start) = match old {
            Some(start) => (life.copies.iter().map(|c| c.system).collect(), start),
            None => {
                // Nobody comes back within the millisecond of the erasure.
                self.pass(1);
                *self.company.generation.entry(item).or_insert(1) += 1;
                self.company.starts.insert(item, Some(self.real));
                (homes, self.real)
            }
        };
        systems.iter().for_each(|s| self.company.put(&self.sites[s], *s, item));
        let what = recording(&mut self.rng, item, systems, Some(start));
        let event = self.happens(person, what);
        if old.is_none() {
            self.company.new_lives.insert(event);
            if !known {
                self.say(&format!("item {item} is there anew before its end was known"));
                self.company.came_unknown.insert((item, self.company.generation[&item]));
            }
        }
    }

    /// By us, in its present life, and nobody has put it back or taken it away since.
    fn is_erased(&self, item: Item, system: System) -> bool {
        let generation = self.company.generation.get(&item).copied().unwrap_or(1);
        self.memory.was_erased(item, generation, system) && !self.company.lost.contains(&(system, item))
    }

    /// A source that reads the system's own log tells of our erasure as of any other.
    pub fn echo(&mut self, item: Item, system: System) {
        if self.rng.u8(..3) == 0 && self.may_speak_of(item) {
            self.happens(self.company.items[&item].person, What::Gone { item, system });
        }
    }

    /// The company tells new values of a record; who sets them in its systems is the node.
    pub fn correct(&mut self, item: Item) {
        if self.may_speak_of(item) {
            let parts = self.company.items[&item].kind.parts();
            let values = self.company.new_values(&mut self.rng, &parts);
            self.happens(self.company.items[&item].person, What::Corrected { item, values });
        }
    }

    /// The company deletes a record by itself, and mostly says so.
    pub fn lose(&mut self, item: Item) {
        let systems = self.company.items[&item].kind.homes();
        let system = systems[self.rng.usize(..2)];
        if self.company.rows.contains_key(&(system, item)) && self.is_all_heard(item) {
            self.company.delete(&self.sites[&system], system, item);
            if self.rng.u8(..4) > 0 {
                self.happens(self.company.items[&item].person, What::Gone { item, system });
            }
        }
    }

    pub fn post(&mut self) {
        if self.company.outbox.is_empty() {
            return;
        }
        let at = self.rng.usize(..self.company.outbox.len());
        let waiting = |id: u64| self.node.unanswered.iter().any(|u| u.events.iter().any(|(_, t)| t.id == id));
        if self.company.outbox[at].iter().any(|(_, t)| waiting(t.id)) {
            return;
        }
        let batch = self.company.outbox.remove(at);
        self.say(&format!("post {:?}", batch.iter().map(|(_, t)| t.id).collect::<Vec<_>>()));
        let back = self.take_in(batch, &Feed::default(), None);
        if !back.is_empty() {
            self.company.outbox.push(back);
        }
    }

    pub fn read_lane(&mut self) {
        let lane = self.rng.usize(..2);
        if self.company.lanes[lane].stalled {
            return;
        }
        let from = self.company.lanes[lane].next;
        let ready = self.node.newest_tick + SETTLE;
        let waiting = self.company.lanes[lane].events[from..].iter().take_while(|(_, t)| t.at <= ready);
        let events: Vec<_> = waiting.take(self.rng.usize(1..5)).cloned().collect();
        if events.is_empty() {
            return;
        }
        let to = from + events.len();
        let offset = |n: usize| i64::try_from(n).unwrap();
        let mark = Mark {
            topic: "events".to_owned(),
            partition: i32::try_from(lane).unwrap(),
            from: offset(from),
            to: offset(to - 1),
        };
        let feed = Feed { source: FEED.to_owned(), generation: 1, marks: vec![mark], taken: Vec::new() };
        self.say(&format!("lane {lane} is read from {from} to {to}"));
        let back = self.take_in(events, &feed, Some((lane, to)));
        assert!(back.is_empty());
        self.company.lanes[lane].next = to;
    }

    /// Another consumer takes a lane over, from where the last committed offset was or before it: what the first had read
    /// and not yet made durable is read twice.
    pub fn rebalance(&mut self) {
        let lane = self.rng.usize(..2);
        let back = self.rng.usize(..3);
        let lane = &mut self.company.lanes[lane];
        lane.next = lane.committed.saturating_sub(back);
        let from = lane.next;
        self.say(&format!("a rebalance: a lane is read again from {from}"));
    }

    /// A lane of the source stops, mostly for days, or goes on.
    pub fn stall(&mut self) {
        let lane = self.rng.usize(..2);
        let stalled = !self.company.lanes[lane].stalled;
        self.say(&format!("lane {lane} {}", if stalled { "stalls" } else { "goes on" }));
        self.company.lanes[lane].stalled = stalled;
    }

    /// The source says how far it has been read.
    pub fn tell_watermark(&mut self) {
        let next = |lane: &crate::company::Lane| lane.events.get(lane.next).map(|(_, t)| t.at - 1);
        let time = self.company.lanes.iter().filter_map(next).min().unwrap_or(self.real - 1);
        for partition in 0..u32::try_from(self.node.partitions.len()).unwrap() {
            let (source, position) = (FEED.to_owned(), String::new());
            let record = SourceAt { source, source_generation: 1, position, time };
            self.append(partition, Record::SourceAt(record), Plain::Nothing);
        }
    }
}
