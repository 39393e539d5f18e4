//! The company around the system under test: its people, its records, its sources, its own idea of every row.
//!
//! It survives every crash of the node. What it has sent and was not told to be kept, it sends again.

use std::collections::{BTreeMap, BTreeSet};

use quietus_contract::{Locator, Scalar, Secret};
use quietus_memory::{Faults, Fields, Key, MemoryConnector};

use crate::plain::{Item, Kind, Part, Person, Purpose, Record, System, Told, Values, What};

#[derive(Debug)]
pub struct Company {
    /// Identity values.
    pub people: Vec<String>,
    pub items: BTreeMap<Item, Record>,
    next_event: u64,
    /// Batches over HTTP that nobody has acknowledged.
    pub outbox: Vec<Vec<(Person, Told)>>,
    pub lanes: [Lane; 2],
    /// What lies in each system, as the company left it and as connectors were seen to change it.
    pub rows: BTreeMap<(System, Item), Row>,
    pub acknowledged: BTreeSet<u64>,
    /// Every event about an item.
    pub about: BTreeMap<Item, Vec<u64>>,
    /// How often an item began a new life.
    pub generation: BTreeMap<Item, u32>,
    /// Events by which an item began a new life.
    pub new_lives: BTreeSet<u64>,
    /// Lives that began before the node knew that the one before had ended.
    pub came_unknown: BTreeSet<(Item, u32)>,
    /// Deleted by the company itself, which did not always say so.
    pub lost: BTreeSet<(System, Item)>,
    /// A copy of it went: what is told from then on is told in order.
    pub gone_before: BTreeSet<Item>,
    /// The start it has in its present life.
    pub starts: BTreeMap<Item, Option<i64>>,
    /// Every value that something was to be corrected to.
    corrected: Vec<String>,
}

/// One partition of a source that is read at its own pace: redelivered after a crash, never lost.
#[derive(Debug, Default)]
pub struct Lane {
    pub events: Vec<(Person, Told)>,
    pub next: usize,
    pub committed: usize,
    /// Its source has stopped; what happens meanwhile is told when it goes on.
    pub stalled: bool,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Row {
    pub generation: u32,
    /// Fields that still hold something, and what.
    pub parts: Values,
}

/// A system of the company, with its connector.
#[derive(Debug)]
pub struct Site {
    pub connector: MemoryConnector,
    pub retains: bool,
}

impl Site {
    pub fn new(system: System, retains: bool) -> Self {
        Self { connector: MemoryConnector::new(system.manifest(retains)), retains }
    }

    pub fn mend(&self) {
        self.connector.set_faults(Faults::default());
    }
}

impl Company {
    pub fn new(rng: &mut fastrand::Rng, seed: u64) -> Self {
        let people: Vec<String> = (0..rng.usize(3..7)).map(|n| format!("anna.{seed}.{n}.secret")).collect();
        let records = rng.usize(4..14);
        let items = (0..records).map(|n| {
            let kind = if rng.bool() { Kind::Profile } else { Kind::Order };
            let person = rng.usize(..people.len());
            (n, Record { person, kind, key: format!("row-{seed}-{n}-private") })
        });
        let items = items.collect();
        Self {
            people,
            items,
            next_event: 1,
            outbox: Vec::new(),
            lanes: Default::default(),
            rows: BTreeMap::new(),
            acknowledged: BTreeSet::new(),
            about: BTreeMap::new(),
            generation: BTreeMap::new(),
            new_lives: BTreeSet::new(),
            came_unknown: BTreeSet::new(),
            lost: BTreeSet::new(),
            gone_before: BTreeSet::new(),
            starts: BTreeMap::new(),
            corrected: Vec::new(),
        }
    }

    /// Something happens now, and its source will tell.
    pub fn happens(&mut self, rng: &mut fastrand::Rng, person: Person, at: i64, what: What) -> u64 {
        let told = Told { id: self.next_event, at, what };
        self.next_event += 1;
        let channel = match told.what.item() {
            Some(item) => {
                self.about.entry(item).or_default().push(told.id);
                item % 3
            }
            None => person % 3,
        };
        let id = told.id;
        match channel {
            0 => {
                if rng.u8(..8) == 0 {
                    self.outbox.push(vec![(person, told.clone())]);
                }
                // A batch is told once, whole: what comes later is another one.
                self.outbox.push(vec![(person, told)]);
                if rng.bool() && self.outbox.len() > 1 {
                    let last = self.outbox.pop().unwrap();
                    self.outbox.last_mut().unwrap().extend(last);
                }
            }
            lane => self.lanes[lane - 1].events.push((person, told)),
        }
        id
    }

    /// What a lagging source knows and has not delivered, of this person and, where it is about an item, of this one.
    pub fn undelivered(&self, person: Person, item: Item) -> Vec<&Told> {
        let lanes = self.lanes.iter().flat_map(|l| &l.events[l.next..]);
        let mine = |t: &Told| t.what.item().is_none_or(|i| i == item);
        lanes.filter(|(p, t)| *p == person && mine(t)).map(|(_, t)| t).collect()
    }

    /// The company writes a record there.
    pub fn put(&mut self, site: &Site, system: System, item: Item) {
        let record = &self.items[&item];
        let parts: Values =
            record.kind.parts().map(|p| (p, format!("{}-of-{}", p.field(), record.key))).into();
        let mut fields: Fields =
            parts.iter().map(|(p, value)| (p.field().to_owned(), Some(value.clone()))).collect();
        fields.insert("customer".to_owned(), Some(self.people[record.person].clone()));
        site.connector.put(&record.kind.dataset(system), &locator(&record.key), fields);
        let generation = self.generation.get(&item).copied().unwrap_or(1);
        self.lost.remove(&(system, item));
        self.rows.insert((system, item), Row { generation, parts });
    }

    /// The company deletes a record there by itself.
    pub fn delete(&mut self, site: &Site, system: System, item: Item) {
        let record = &self.items[&item];
        site.connector.remove(&record.kind.dataset(system), &locator(&record.key));
        self.rows.remove(&(system, item));
        self.lost.insert((system, item));
        self.gone_before.insert(item);
    }

    /// What really lies in a system: read from its rows, not from anybody's word.
    pub fn lies_there(&self, rows: &Lying, system: System, item: Item) -> Option<Values> {
        let record = &self.items[&item];
        let key = std::iter::once(("id".to_owned(), record.key.clone())).collect();
        let fields = rows.get(&(record.kind.dataset(system), key))?;
        let value = |p: Part| Some((p, fields.get(p.field())?.clone()?));
        Some(record.kind.parts().into_iter().filter_map(value).collect())
    }

    pub fn is_complete_in(&self, system: System, item: Item) -> bool {
        self.rows.get(&(system, item)).is_some_and(|row| row.parts.len() == 2)
    }

    /// Everything that must never be read in clear.
    pub fn secrets(&self) -> Vec<&str> {
        let people = self.people.iter().map(String::as_str);
        let people = people.chain(self.items.values().map(|r| r.key.as_str()));
        people.chain(self.corrected.iter().map(String::as_str)).collect()
    }

    /// Values that nobody has had before, for some of these parts.
    pub fn new_values(&mut self, rng: &mut fastrand::Rng, parts: &[Part]) -> Values {
        let from = rng.usize(..parts.len());
        let new = |n: usize, part: Part| format!("{}.mended.{n}.secret", part.field());
        let mut values = Values::new();
        for part in &parts[from..] {
            let value = new(self.corrected.len(), *part);
            self.corrected.push(value.clone());
            values.insert(*part, value);
        }
        values
    }
}

/// Every row of a system, as it lies there.
pub type Lying = BTreeMap<(String, Key), Fields>;

pub fn locator(key: &str) -> Locator {
    std::iter::once(("id".to_owned(), Scalar::Text(Secret::new(key)))).collect()
}

/// A recording of an item under some purposes.
pub fn recording(rng: &mut fastrand::Rng, item: Item, systems: Vec<System>, start: Option<i64>) -> What {
    let mut purposes: Vec<Purpose> = Purpose::ALL.into_iter().filter(|_| rng.u8(..5) < 3).collect();
    if purposes.is_empty() && rng.u8(..3) > 0 {
        purposes.push(Purpose::Ads);
    }
    What::Recorded { item, start, purposes, systems }
}
