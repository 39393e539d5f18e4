//! What people decide: systems and sources put there, policies published, holds placed and released, requests,
//! switches.

use quietus_core::hold::Scope as RealScope;
use quietus_core::record::{
    EvidenceEnded, HoldPlaced, HoldReleased, PolicyPublished, Record, RequestReceived, SourcePut,
    SweepSwitch, SystemMode, SystemPut,
};
use quietus_core::source::{From, Kafka, Source};

use crate::acts::FEED;
use crate::ledger::Plain;
use crate::model::{Ask, Asked, Decree, Scope};
use crate::plain::{DAY, Part, Person, Purpose, System};
use crate::rules::Rules;
use crate::world::World;

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

    pub fn publish_anything(&mut self) {
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

    /// Nothing that is over by now is evidence any more, nor does a hold keep it.
    pub fn end_evidence(&mut self) {
        let held = self.node.control.holds.values().filter(|h| h.released.is_none());
        let held: Vec<String> = held.map(|h| h.id.clone()).collect();
        held.into_iter().for_each(|id| self.release_hold(id));
        let record = EvidenceEnded { before: self.real, at: self.real };
        self.decree(Record::EvidenceEnded(record), Decree::Other);
    }

    pub fn place(&mut self) {
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

    pub fn release(&mut self) {
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

    pub fn ask(&mut self) {
        let grounds = [None, Some("unlawful"), Some("consent_withdrawn")];
        let person = self.rng.usize(..self.company.people.len());
        let asks = match self.rng.u8(..6) {
            0..3 => Asked::Erase(grounds[self.rng.usize(..3)]),
            3 => Asked::Withdraw,
            _ => {
                let all = [Part::Email, Part::Note, Part::Amount, Part::Basket];
                let first = self.rng.usize(..4);
                Asked::Correct(self.company.new_values(&mut self.rng, &all[first..(first + 2).min(4)]))
            }
        };
        self.asks(person, asks);
    }

    pub fn asks(&mut self, person: Person, asks: Asked) {
        let ask = Ask { id: self.fresh("rq"), person, asks };
        self.say(&format!("{ask:?}"));
        self.tick_all();
        let subject = self.keys.subject_key("customer_id", &self.company.people[person]);
        let (mut purposes, mut categories, mut corrections, mut grounds) = Default::default();
        let kind = match &ask.asks {
            Asked::Erase(because) => {
                grounds = because.map(str::to_owned);
                "erase"
            }
            Asked::Withdraw => {
                purposes = vec![Purpose::Ads.name().to_owned()];
                "withdraw"
            }
            Asked::Correct(values) => {
                categories = values.keys().map(|part| part.category().to_owned()).collect();
                let values =
                    values.iter().map(|(part, value)| (part.category().to_owned(), Some(value.clone())));
                corrections = self.keys.seal_corrections(&subject, None, &values.collect()).ok();
                "correct"
            }
        };
        let record = RequestReceived {
            id: ask.id.clone(),
            kind: kind.to_owned(),
            subject: subject.0.to_vec(),
            grounds,
            purposes,
            regime: None,
            received: self.real,
            due: self.real + 30 * DAY,
            categories,
            corrections,
            on_behalf_of: None,
            asked: None,
            by: None,
            identity: None,
            unverified: false,
        };
        self.append(self.home(person), Record::RequestReceived(record), Plain::Asked(ask));
    }

    pub fn flip(&mut self) {
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
}
