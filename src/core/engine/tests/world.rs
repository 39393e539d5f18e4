//! One partition with everything around it that the engine needs: a store of maps, a clock, connectors that say what
//! a test tells them to.

use std::collections::BTreeMap;

use crate::engine::{
    Concerned, Decision, Effect, Found, Input, Needs, Noticed, Row, State, Step, named, needs, step, waits,
};
use crate::identity::{ItemId, ItemKey, SubjectKey};
use crate::item::Subject;
use crate::life::{Lives, What, change_subject};
use crate::obligation::{Obligation, ObligationId, Stand};
use crate::record::{
    Answer, AnswerKind, Change, ChangeKind, Changes, Confirmed, ControlCopy, Fact, Facts, FindingKind, Order,
    Ordered, Origin, PolicyPublished, ReadBack, Record, RequestReceived, Seen, Shape, ShapeCopy,
    SweepOrdered, SystemPut, Tick,
};
use crate::system::{Manifest, parse_manifest};
use crate::time::Millis;

pub const POLICY: &str = "policy: shop
timezone: Europe/Berlin
purposes:
  service: {use: essential.service, basis: contract}
  ads: {use: marketing.advertising, basis: consent}
rules:
  - {id: contacts, category: user.contact, purpose: service, keep: 30d after recorded}
  - {id: ads, category: user.contact, purpose: ads, keep: 900d after recorded}
holds: {cool_down: 0s}
";

pub const SHOP: &str = "system: shop-db
kind: memory
mode: enforce
datasets:
  - fides_key: shop
    name: shop
    collections:
      - name: users
        quietus: {key: [id], subject: {column: id, type: customer_id}}
        fields:
          - {name: id, data_categories: [user.unique_id], fides_meta: {primary_key: true}}
          - {name: email, data_categories: [user.contact.email]}
";

/// A system that holds copies of another's.
pub fn copier(name: &str, kind: &str, of: &str, more: &str) -> String {
    let url = if kind == "memory" { "" } else { "connection: {url: \"redis://127.0.0.1\"}\n" };
    format!(
        "system: {name}\nkind: {kind}\nmode: enforce\n{url}copies_of: [{{system: {of}, key: \"u:{{id}}\"}}]\n{more}"
    )
}

pub struct World {
    pub state: State,
    pub lives: BTreeMap<ItemId, Lives>,
    pub subjects: BTreeMap<SubjectKey, Subject>,
    pub noticed: Vec<Noticed>,
    pub sent: Vec<Obligation>,
    offset: u64,
    sweeps: u32,
}

pub fn item(n: u8) -> ItemId {
    ItemId { subject: SubjectKey([n; 16]), item: ItemKey([n; 16]) }
}

impl World {
    pub fn new(systems: &[String]) -> Self {
        let state = State { partitions: 1, ..State::default() };
        let mut world = Self {
            state,
            lives: BTreeMap::new(),
            subjects: BTreeMap::new(),
            noticed: Vec::new(),
            sent: Vec::new(),
            offset: 0,
            sweeps: 0,
        };
        world.tick(Millis::parse("2026-06-01T00:00:00Z").unwrap());
        world.publish(POLICY);
        systems.iter().for_each(|text| world.register(text));
        world
    }

    pub fn publish(&mut self, policy: &str) {
        let version = self.state.control.policy.as_ref().map_or(0, |active| active.version) + 1;
        let (name, document, at) = ("shop".to_owned(), policy.to_owned(), self.state.now.0);
        let version = i64::try_from(version).unwrap();
        let published = PolicyPublished { name, version, document, by: None, approved_by: None, at };
        self.control(Record::PolicyPublished(published));
    }

    pub fn register(&mut self, text: &str) {
        let load = |path: &str| Err(format!("no file {path}"));
        let (manifest, found) = parse_manifest("s.yaml", text.as_bytes(), &load, &|_| true);
        let manifest: Manifest = manifest.unwrap_or_else(|| panic!("{found:?}"));
        let record = SystemPut {
            name: manifest.system.clone(),
            manifest: manifest.canonical_json(),
            by: None,
            at: self.state.now.0,
        };
        self.control(Record::SystemPut(record));
    }

    fn fetch(&self, needs: &Needs) -> Found {
        let mut found = Found::default();
        let wanted = |id: &ItemId| {
            needs.items.contains(id)
                || needs.news.contains(id)
                || needs.subjects.contains(&id.subject)
                || needs.orphans.contains(&id.item)
                || needs.everything
        };
        for (id, lives) in self.lives.iter().filter(|(id, _)| wanted(id)) {
            found.lives.insert(*id, lives.clone());
            found.subjects.extend(self.subjects.get(&id.subject).map(|s| (id.subject, s.clone())));
        }
        for key in needs.subjects.iter().chain(needs.items.iter().map(|id| &id.subject)) {
            found.subjects.extend(self.subjects.get(key).map(|s| (*key, s.clone())));
        }
        found
    }

    /// What the same record comes to where duties at rest lie in a store, and nothing of them is lent but what must be.
    fn lean(&self, input: &Input<'_>) -> (State, Step) {
        let mut state = self.state.clone();
        state.duties.put_away();
        let lend = |state: &mut State, wanted: &dyn Fn(&Obligation) -> bool| {
            let stored: Vec<Obligation> = self.state.duties.all().filter(|d| wanted(d)).cloned().collect();
            stored.into_iter().for_each(|duty| state.duties.lend(duty.into()));
        };
        let named: Vec<ObligationId> = named(input).collect();
        lend(&mut state, &|duty| named.contains(&duty.id));
        if let Some(concerned) = Concerned::by(input) {
            lend(&mut state, &|duty| concerned.is(duty));
        }
        let found = self.fetch(&needs(&state, input));
        let subjects: Vec<SubjectKey> = found.lives.keys().map(|id| id.subject).collect();
        lend(&mut state, &|duty| subjects.contains(&duty.item.subject));
        let step = step(&mut state, input, found);
        state.duties.give_back();
        (state, step)
    }

    pub fn step(&mut self, record: Record) -> Step {
        self.take(record, None)
    }

    pub fn control(&mut self, entry: Record) -> Step {
        let k = i64::try_from(self.state.control.k).unwrap() + 1;
        let copy = ControlCopy { k, schema: i32::from(entry.schema()), body: Vec::new() };
        self.take(Record::ControlCopy(copy), Some(entry))
    }

    pub fn take(&mut self, record: Record, control: Option<Record>) -> Step {
        let input = Input { offset: self.offset, trace: None, record: &record, control };
        self.offset += 1;
        let lean = self.lean(&input);
        let found = self.fetch(&needs(&self.state, &input));
        let step = step(&mut self.state, &input, found);
        let tallies = |state: &State| {
            state.duties.tallies().map(|(at, stand, n)| (at.clone(), stand, n)).collect::<Vec<_>>()
        };
        // Where duties lie decides nothing.
        assert_eq!((&lean.1.decisions, &lean.1.effects), (&step.decisions, &step.effects));
        assert_eq!(tallies(&lean.0), tallies(&self.state));
        for row in step.rows() {
            match row {
                Row::Fact(fact) => self.lives.entry(fact.id).or_default().record(fact),
                Row::Change(change) => match change.what.item() {
                    Some(id) if matches!(change.what, What::Forgotten { .. }) => drop(self.lives.remove(&id)),
                    Some(id) => self.lives.entry(id).or_default().change(&change.what),
                    None if change.what == What::SubjectForgotten => {
                        self.subjects.remove(&change.subject);
                    }
                    None => {
                        let key = change.subject;
                        let subject = self.subjects.entry(key).or_insert_with(|| Subject::unknown(key));
                        change_subject(subject, &change.what);
                    }
                },
                Row::Identity { .. } => {}
            }
        }
        for decision in &step.decisions {
            if let Decision::Noticed(what) = decision {
                self.noticed.push(what.clone());
            }
        }
        for effect in &step.effects {
            if let Effect::Send { duties, .. } = effect {
                self.sent.extend(duties.iter().cloned());
            }
        }
        step
    }

    pub fn tick(&mut self, now: Millis) {
        self.step(Record::Tick(Tick { now: now.0 }));
    }

    pub fn later(&mut self, ms: i64) {
        self.tick(self.state.now.plus(ms));
    }

    /// An item of the shop, recorded so many days ago.
    pub fn recorded(&mut self, n: u8, days_ago: i64) -> Step {
        let start = self.state.now.plus(-days_ago * Millis::DAY);
        self.told(n, Origin::Event, Some(start), self.state.now)
    }

    pub fn told(&mut self, n: u8, origin: Origin, start: Option<Millis>, source_time: Millis) -> Step {
        self.put(item(n), origin, start, source_time)
    }

    pub fn put(&mut self, id: ItemId, origin: Origin, start: Option<Millis>, source_time: Millis) -> Step {
        self.put_under(&["service"], id, origin, start, source_time)
    }

    pub fn put_under(
        &mut self,
        purposes: &[&str],
        id: ItemId,
        origin: Origin,
        start: Option<Millis>,
        source_time: Millis,
    ) -> Step {
        let n = id.item.0[0];
        let copy = ShapeCopy { system: "shop-db".into(), dataset: "shop.users".into(), ..Default::default() };
        let mut facts = Facts {
            source: "http".into(),
            shapes: vec![Shape {
                categories: vec!["user.contact.email".into()],
                purposes: purposes.iter().map(|p| (*p).to_owned()).collect(),
                copies: vec![copy],
                ..Shape::default()
            }],
            ..Facts::default()
        };
        facts.push(&Fact {
            subject: id.subject,
            item: id.item,
            start,
            shape: 0,
            origin,
            source_time,
            process: None,
            event_id: [0; 8],
            cells: vec![vec![n]],
            identity: None,
        });
        self.step(Record::Facts(facts))
    }

    /// An event of the subject.
    pub fn happened(&mut self, n: u8, event: &str, at: Millis) -> Step {
        let subject = Some(item(n).subject.0.to_vec());
        let name = Some(event.to_owned());
        self.changes(Change { subject, name, ..Change::new(ChangeKind::Event, at.0) })
    }

    pub fn changes(&mut self, change: Change) -> Step {
        let source = "http".to_owned();
        self.step(Record::Changes(Changes { source, rows: vec![change], ..Changes::default() }))
    }

    pub fn sweep(&mut self) {
        self.sweeps += 1;
        let record = SweepOrdered {
            id: format!("sw_{}", self.sweeps),
            as_of: self.state.now.0,
            planned_k: 0,
            quota: Vec::new(),
            root: None,
            by: None,
            at: self.state.now.0,
            asked: None,
        };
        self.control(Record::SweepOrdered(record));
    }

    pub fn asked(&self, kind: &str, n: u8) -> RequestReceived {
        RequestReceived {
            id: format!("rq_{}", self.offset),
            kind: kind.to_owned(),
            subject: item(n).subject.0.to_vec(),
            grounds: None,
            purposes: Vec::new(),
            regime: None,
            received: self.state.now.0,
            due: self.state.now.plus(30 * Millis::DAY).0,
            categories: Vec::new(),
            corrections: None,
            on_behalf_of: None,
            by: None,
            identity: None,
            unverified: false,
            asked: None,
        }
    }

    /// Orders whatever may go now; which systems commands went out to, in order of their names.
    pub fn order(&mut self) -> Vec<String> {
        let ready = self.state.duties.standing(Stand::Owed).filter(|d| !waits(&self.state, d));
        let ready: Vec<Obligation> =
            ready.filter(|d| d.not_before.is_none_or(|at| at <= self.state.now)).cloned().collect();
        let before = self.sent.len();
        for duty in ready {
            self.order_one(&duty);
        }
        let mut out: Vec<String> = self.sent[before..].iter().map(|d| d.place.system.to_string()).collect();
        out.sort();
        out
    }

    /// Orders this duty, whether or not it may go.
    pub fn order_one(&mut self, duty: &Obligation) {
        let order = Order {
            obligation: duty.id.0.to_vec(),
            attempt: i32::try_from(duty.attempt).unwrap() + 1,
            not_after: self.state.now.plus(10_000).0,
        };
        let (system, control_k) = (duty.place.system.to_string(), 0);
        self.step(Record::Ordered(Ordered { system, control_k, orders: vec![order] }));
    }

    /// What is out at a system is answered so.
    pub fn says(&mut self, system: &str, kind: AnswerKind) {
        self.says_more(system, |answer| answer.kind = kind);
    }

    pub fn says_more(&mut self, system: &str, say: impl Fn(&mut Answer)) {
        let out: Vec<Obligation> = self
            .state
            .duties
            .all()
            .filter(|d| d.place.system == system && d.stand.is_out())
            .cloned()
            .collect();
        let answers = out.iter().map(|duty| {
            let mut answer = Answer {
                obligation: duty.id.0.to_vec(),
                attempt: i32::try_from(duty.attempt).unwrap(),
                kind: AnswerKind::Removed,
                count: 1,
                detail: None,
                reference: None,
                until: None,
                may_retry: false,
                might_have_happened: false,
                at: None,
                position: None,
            };
            say(&mut answer);
            answer
        });
        let record = Confirmed { system: system.to_owned(), answers: answers.collect() };
        self.step(Record::Confirmed(record));
    }

    /// What awaits its read-back at a system is seen so.
    pub fn reads(&mut self, system: &str, finding: FindingKind) {
        let waiting = self.state.duties.all().filter(|d| d.place.system == system);
        let waiting: Vec<Obligation> =
            waiting.filter(|d| crate::engine::awaits_read_back(d)).cloned().collect();
        self.sees(system, &waiting, finding);
    }

    pub fn sees(&mut self, system: &str, duties: &[Obligation], finding: FindingKind) {
        let seen = duties.iter().map(|duty| Seen {
            obligation: duty.id.0.to_vec(),
            attempt: i32::try_from(duty.attempt).unwrap(),
            finding,
            count: 0,
            identity_rows: None,
            scope: Vec::new(),
            not_checked: Vec::new(),
            detail: None,
            at: None,
        });
        self.step(Record::ReadBack(ReadBack { system: system.to_owned(), seen: seen.collect() }));
    }

    /// Executed and read back as gone.
    pub fn erases(&mut self, system: &str) {
        self.says(system, AnswerKind::Removed);
        self.reads(system, FindingKind::Gone);
    }

    /// Where the newest duty at a system stands.
    pub fn stand(&self, system: &str) -> Option<Stand> {
        self.duty(system).map(|d| d.stand)
    }

    pub fn duty(&self, system: &str) -> Option<&Obligation> {
        let mine = self.state.duties.all().filter(|d| d.place.system == system);
        mine.max_by_key(|d| (d.generation, d.round))
    }
}
