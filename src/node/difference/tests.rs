//! What is counted equals what is judged one by one, whatever is known, flushed and merged, on both stores.

use std::collections::BTreeSet;
use std::sync::Arc;

use proptest::prelude::*;
use quietus_core::engine::control::Control;
use quietus_core::engine::{Row, State};
use quietus_core::identity::{ItemId, ItemKey, ProcessKey, SubjectKey};
use quietus_core::item::Subject;
use quietus_core::life::{AddedCopy, ChangeRow, FactRow, Lives, Parts, What};
use quietus_core::obligation::Place;
use quietus_core::record::{PolicyPublished, Record, Shape, ShapeCopy, SystemPut};
use quietus_core::system::parse_manifest;
use quietus_core::verdict::Action;

use super::*;
use crate::store::{Beside, Census, Database, DiskStore, Matters, MemoryStore, Sizes, Store};

const SMALL: Sizes =
    Sizes { flush_rows: 1 << 20, flush_frames: 1 << 20, fan_in: 3, run_rows: 40, slice_rows: 7 };

/// The rules of each in turn are put in force in place of another's: other zones, spans, purposes and starts.
const POLICIES: [&str; 7] = [
    "timezone: Europe/Berlin
events:
  closed: {of: subject, open_ended: true}
purposes:
  service: {use: essential.service, basis: contract, ended_by: closed}
  ads: {use: marketing.advertising, basis: consent}
rules:
  - {id: name, category: user.name, purpose: service, keep: 300d after recorded}
  - {id: contact, category: user.contact, purpose: service, keep: 90d after closed}
  - {id: ads, category: user, purpose: ads, keep: 2y after recorded to end_of_year}
",
    "timezone: America/Sao_Paulo
events:
  closed: {of: subject, open_ended: true}
purposes:
  service: {use: essential.service, basis: contract, ended_by: closed}
  ads: {use: marketing.advertising, basis: consent}
rules:
  - {id: name, category: user.name, purpose: service, keep: 310d after recorded}
  - {id: ads, category: user, purpose: ads, keep: 1y after recorded}
  - {id: least, category: user.name, at_least: 2y after recorded to end_of_year, law: l}
",
    "timezone: Europe/Berlin
purposes:
  service: {use: essential.service, basis: contract}
  ads: {use: marketing.advertising, basis: consent}
rules:
  - {id: name, category: user.name, purpose: service, keep: 300d after recorded}
  - {id: ads, category: user, purpose: ads, keep: 100d after last_activity}
",
    "timezone: UTC
purposes:
  service: {use: essential.service, basis: contract}
  ads: {use: marketing.advertising, basis: consent}
rules:
  - {id: name, category: user.name, purpose: service, keep: 1000h after recorded}
  - {id: ads, category: user, purpose: ads, keep: 1y after recorded}
",
    "timezone: UTC
events:
  closed: {of: subject, assume: 400d after last_activity}
purposes:
  service: {use: essential.service, basis: contract, ended_by: closed}
  ads: {use: marketing.advertising, basis: consent}
rules:
  - {id: name, category: user, purpose: service, keep: 30d after closed}
  - {id: ads, category: user, purpose: ads, keep: 200d after recorded}
",
    "timezone: Pacific/Apia
jurisdictions: {EEA: [DE, FR]}
events:
  closed: {of: process, open_ended: true, undone_by: opened}
  removed: {of: item, assume: 100d after recorded}
purposes:
  service: {use: essential.service, basis: contract, ended_by: closed}
  ads: {use: marketing.advertising, basis: consent}
rules:
  - {id: name, category: user, purpose: service, keep: {earliest: [30d after closed, 2y after recorded]}}
  - {id: eea, category: user, purpose: service, jurisdiction: EEA, keep: 20d after removed}
  - {id: ads, category: user, purpose: ads, keep: 10d after withdrawn}
  - {id: least, category: user.contact, purpose: [service, ads], at_least: 1y after granted, law: l}
",
    "timezone: America/New_York
jurisdictions: {EEA: [DE, FR]}
events:
  closed: {of: subject, assume: 3y after recorded}
purposes:
  service: {use: essential.service, basis: contract, ended_by: closed}
  ads: {use: marketing.advertising, basis: legitimate_interests}
rules:
  - {id: name, category: user, purpose: service, then: [{restrict: 10d after recorded}, {erase: 400d after recorded}]}
  - {id: eea, category: user, jurisdiction: EEA, keep: {latest: [1y after closed, 5d after granted]}}
  - {id: ads, category: user, purpose: ads, keep: 30h after recorded}
",
];

const SYSTEMS: [&str; 3] = [
    "system: s0
kind: memory
retains: true
datasets:
  - fides_key: d
    name: d
    collections:
      - name: t0
        quietus: {key: [id], subject: {column: id, type: customer_id}}
        fields:
          - {name: id, data_categories: [user.unique_id], fides_meta: {primary_key: true}}
          - {name: email, data_categories: [user.contact.email]}
",
    "system: cache\nkind: memory\ncopies_of: [{system: s0, key: \"u:{id}\"}]\n",
    "system: partner\nkind: memory\ncopies_of: [{system: s1, dataset: d.t3, key: \"u:{id}\"}, {system: cache, key: \"u:{id}\"}]\n",
];

fn control(systems: usize) -> Control {
    let mut state = State::default();
    for (k, text) in (1..).zip(&SYSTEMS[..systems]) {
        let (parsed, said) = parse_manifest("test.yaml", text.as_bytes(), &|_| Err(String::new()), &|_| true);
        let manifest = serde_json::to_string(&parsed.unwrap_or_else(|| panic!("{said:?}"))).unwrap();
        let put = SystemPut { name: text[8..].lines().next().unwrap().into(), manifest, by: None, at: 0 };
        state.control.apply(k, &Record::SystemPut(put));
    }
    assert_eq!(state.control.systems.len(), systems);
    state.control
}

fn policy(n: usize) -> Arc<ActivePolicy> {
    let document = format!("policy: p\n{}", POLICIES[n]);
    let published =
        PolicyPublished { name: "p".into(), version: 1, document, by: None, approved_by: None, at: 0 };
    let mut state = State::default();
    state.control.apply(1, &Record::PolicyPublished(published));
    state.control.policy.clone().expect("the policy was refused")
}

fn beside() -> Beside {
    Beside { state: Vec::new(), duties: Vec::new(), entries: Vec::new(), events: Vec::new() }
}

/// In two systems or one, in tables of one name or two, and in one table twice.
fn shape(n: u8) -> Arc<Shape> {
    let purposes: &[&str] = match n % 5 {
        0 | 1 => &["service"],
        2 => &["ads"],
        3 => &["ads", "service"],
        _ => &[],
    };
    let categories: &[&str] = match n % 3 {
        0 => &["user.contact.email"],
        1 => &["user.name", "user.unique_id"],
        _ => &["user.name"],
    };
    let copies = |at: u8| ShapeCopy {
        system: format!("s{}", if n == 7 { 0 } else { at }),
        dataset: format!("d.t{}", if n.is_multiple_of(4) { n % 5 + at } else { n % 5 }),
        purposes: (n == 9).then(|| vec!["ads".to_owned()]),
        ..ShapeCopy::default()
    };
    Arc::new(Shape {
        categories: categories.iter().map(|c| (*c).to_owned()).collect(),
        purposes: purposes.iter().map(|p| (*p).to_owned()).collect(),
        jurisdiction: [None, Some("FR"), Some("CN")][usize::from(n % 3)].map(str::to_owned),
        copies: (0..=n % 2 + u8::from(n == 8)).map(copies).collect(),
        ..Shape::default()
    })
}

/// Around now, and far away.
fn at(n: i16) -> Millis {
    let far = if n.unsigned_abs().is_multiple_of(97) { 200 * 366 * Millis::DAY } else { 0 };
    NOW.plus(i64::from(n) * Millis::HOUR - far)
}

const NOW: Millis = Millis(1_700_000_000_000);

fn place(n: u8) -> Place {
    Place {
        system: ["s0", "s1", "cache"][usize::from(n % 3)].into(),
        dataset: format!("d.t{}", n % 5).into(),
        cell: vec![1],
    }
}

fn id() -> impl Strategy<Value = ItemId> {
    (0u8..40, 0u8..3).prop_map(|(s, i)| ItemId {
        subject: SubjectKey([s.wrapping_mul(67); 16]),
        item: ItemKey([i.wrapping_mul(81).wrapping_add(s); 16]),
    })
}

fn fact() -> impl Strategy<Value = Row> {
    let start = proptest::option::weighted(0.9, any::<i16>());
    (id(), 0u8..12, start, any::<bool>()).prop_map(|(id, n, start, alike)| {
        let process = n.is_multiple_of(2).then_some(ProcessKey([n % 4; 16]));
        let shape = shape(n);
        let cells = (1u8..).map(|at| vec![if alike { 1 } else { at }]).take(shape.copies.len()).collect();
        Row::Fact(FactRow { id, generation: 1, again: false, start: start.map(at), shape, process, cells })
    })
}

fn change() -> impl Strategy<Value = Row> {
    (id(), 0u8..21, any::<i16>(), any::<u8>()).prop_map(|(id, kind, when, n)| {
        let (at, purpose) = (at(when), ["service", "ads", ""][usize::from(n % 3)].to_owned());
        let event = ["closed", "removed", "opened", "unheard_of"][usize::from(n % 4)].to_owned();
        let parts = match n % 2 {
            0 => Parts::Whole,
            _ => Parts::Some { categories: vec!["user.name".into()], action: Action::Mask },
        };
        let what = match kind {
            0 => What::Touched { id, at },
            1 => What::ItemWithdrawn { id, purpose, at },
            2 => What::ItemEnded { id, purpose, at },
            3 => {
                let copy = AddedCopy { place: place(n), purposes: Some(vec![purpose]), disclosure: None };
                What::Copied { id, copy }
            }
            4 => What::Late { id, generation: 1, place: place(n) },
            5 => What::Revived { id, generation: 1, place: place(n) },
            6 => What::Withdrawn { purpose, at },
            7 => What::Ended { purpose, at },
            8 => What::SubjectEvent { event, at },
            9 => What::Active { at },
            10 => What::Granted { purpose, at },
            11 => What::ItemEvent { id, event, at },
            12 => What::Outcome { id, generation: 1, place: place(n), parts, executed: at, verified: None },
            13 => What::ProcessEvent { process: ProcessKey([n % 4; 16]), event, at },
            14 => What::ItemGranted { id, purpose, at },
            15 => What::Linked { also: SubjectKey([n; 16]) },
            16 => What::Returned { id, generation: 1, place: place(n) },
            17 => What::Derived { id, generation: 1, place: place(n) },
            18 => What::StillThere { id, generation: 1, place: place(n), parts },
            19 => What::Gone { id, system: Some("s0".into()), dataset: None, at },
            _ => What::Gone { id, system: None, dataset: None, at },
        };
        Row::Change(ChangeRow { subject: id.subject, what })
    })
}

fn difference(
    (old, new): (Option<&ActivePolicy>, &ActivePolicy),
    control: &Control,
    store: &dyn Store,
    one_by_one: bool,
) -> Difference {
    let mut counting = Counting::new(Replan { old, new, now: NOW });
    counting.item_by_item |= one_by_one;
    counting.count(store, control);
    counting.finish()
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(64) })]
    #[test]
    fn what_is_counted_is_what_is_judged_one_by_one(
        facts in proptest::collection::vec(fact(), 1..160),
        changes in proptest::collection::vec(change(), 0..40),
        few in any::<bool>(),
        shuffled in any::<bool>(),
        flushed in 0u8..3,
        systems in 0usize..=SYSTEMS.len(),
        old in proptest::option::of(0..POLICIES.len()),
        new in 0..POLICIES.len(),
    ) {
        let dir = tempfile::tempdir().unwrap();
        let database = Database::open(dir.path()).unwrap();
        let (mut disk, mut memory) = (DiskStore::open(&database, 3, SMALL).unwrap(), MemoryStore::default());
        let mut known = BTreeSet::new();
        let few = if few { 2 } else { changes.len() };
        let mut rows: Vec<Row> = facts.into_iter().chain(changes.into_iter().take(few)).collect();
        if shuffled {
            // Sources keep no order between them.
            rows.reverse();
        }
        for (n, row) in rows.iter_mut().enumerate() {
            if let Row::Fact(fact) = row {
                fact.again = !known.insert(fact.id);
                // Some come back for another life.
                fact.generation += u32::from(fact.again && n % 2 == 0);
            }
        }
        for rows in rows.chunks(rows.len().div_ceil(5)) {
            disk.write(rows);
            memory.write(rows);
            if flushed > 0 {
                disk.flush(0, beside().into()).unwrap();
            }
            if flushed > 1 && let Some(merge) = disk.begin_merge() {
                let merged = merge.run();
                disk.end_merge(merge, merged).unwrap();
            }
        }
        let (old, new, control) = (old.map(policy), policy(new), control(systems));
        let both = (old.as_deref(), &*new);
        let all = difference(both, &control, &memory, true);
        prop_assert_eq!(difference(both, &control, &memory, false), all.clone());
        prop_assert_eq!(difference(both, &control, &disk, true), all.clone());
        prop_assert_eq!(difference(both, &control, &disk, false), all);
    }
}

/// Of items that nothing else is known of only pages at the turn of a date are read.
#[test]
fn most_items_are_counted_by_their_pages() {
    struct Looks(u64, u64);
    impl Census for Looks {
        fn matters(&self, _: &What) -> Matters {
            Matters::Nothing
        }
        fn is_for(&self, _: &Shape, _: &str) -> bool {
            false
        }
        fn shape(&mut self, _: &Arc<Shape>) -> Option<usize> {
            Some(0)
        }
        fn is_narrow(&mut self, _: usize, starts: Option<(Millis, Millis)>) -> bool {
            starts.is_none_or(|(first, last)| (first < NOW) == (last < NOW))
        }
        fn count(&mut self, _: usize, starts: Option<(Millis, Millis)>, items: i64) {
            self.0 += u64::try_from(items).unwrap();
            self.1 += u64::from(starts.is_some_and(|(first, last)| first == last));
        }
        fn whole(&mut self, _: &Lives, _: &Subject) {
            panic!("nothing else is known");
        }
    }
    let dir = tempfile::tempdir().unwrap();
    let database = Database::open(dir.path()).unwrap();
    let mut disk = DiskStore::open(&database, 3, Sizes { run_rows: 1 << 20, ..SMALL }).unwrap();
    let rows: Vec<Row> = (0..1_000u32)
        .map(|n| {
            let mut key = [0; 16];
            key[..4].copy_from_slice(&n.wrapping_mul(0x9e37_79b9).to_le_bytes());
            let id = ItemId { subject: SubjectKey(key), item: ItemKey(key) };
            let start = Some(NOW.plus((i64::from(n) - 500) * Millis::DAY));
            let (shape, cells) = (shape(0), vec![vec![1]]);
            Row::Fact(FactRow { id, generation: 1, again: false, start, shape, process: None, cells })
        })
        .collect();
    disk.write(&rows);
    disk.flush(0, beside().into()).unwrap();
    let mut looks = Looks(0, 0);
    disk.census(&mut looks);
    assert_eq!(looks.0, 1_000);
    assert!((1..=64).contains(&looks.1), "{} rows were looked at", looks.1);
}
