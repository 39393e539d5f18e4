//! Policies, systems, items and changes of every sort.

use std::sync::Arc;

use proptest::prelude::*;
use quietus_core::engine::control::{ActivePolicy, Control};
use quietus_core::engine::{Row, State};
use quietus_core::identity::{ItemId, ItemKey, ProcessKey, SubjectKey};
use quietus_core::life::{AddedCopy, ChangeRow, FactRow, Parts, What};
use quietus_core::obligation::Place;
use quietus_core::record::{PolicyPublished, Record, Shape, ShapeCopy, SystemPut};
use quietus_core::system::parse_manifest;
use quietus_core::time::Millis;
use quietus_core::verdict::Action;

use crate::store::{Beside, Sizes};

pub const SMALL: Sizes = Sizes {
    flush_rows: 1 << 20,
    flush_frames: 1 << 20,
    fan_in: 3,
    run_rows: 40,
    slice_rows: 7,
    laid_from: 2,
    apart: 2,
    duties_held: 0,
};

/// The rules of each in turn are put in force in place of another's: other zones, spans, purposes and starts.
pub const POLICIES: [&str; 8] = [
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
    // Rules that differ in who wins from day to day, none of which starts at consent.
    "timezone: Europe/Berlin
jurisdictions: {EEA: [DE, FR]}
events:
  closed: {of: subject, assume: 300d after recorded}
purposes:
  service: {use: essential.service, basis: contract, ended_by: closed}
  ads: {use: marketing.advertising, basis: consent}
rules:
  - {id: name, category: user.name, purpose: service, keep: {earliest: [310d after recorded, 1y after recorded to end_of_year]}}
  - {id: contact, category: user.contact, purpose: service, keep: indefinitely, why: the shop needs it}
  - {id: eea, category: user, jurisdiction: EEA, keep: {latest: [10d after closed, 365d after recorded]}}
  - {id: ads, category: user, purpose: ads, then: [{restrict: 10d after recorded}, {erase: 300d after recorded to end_of_year}]}
",
];

pub const SYSTEMS: [&str; 3] = [
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

pub fn control(systems: usize) -> Control {
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

pub fn policy(n: usize) -> Arc<ActivePolicy> {
    let document = format!("policy: p\n{}", POLICIES[n]);
    let published =
        PolicyPublished { name: "p".into(), version: 1, document, by: None, approved_by: None, at: 0 };
    let mut state = State::default();
    state.control.apply(1, &Record::PolicyPublished(published));
    state.control.policy.clone().expect("the policy was refused")
}

pub fn beside() -> Beside {
    Beside { state: Vec::new(), entries: Vec::new(), events: Vec::new() }
}

/// In two systems or one, in tables of one name or two, and in one table twice.
pub fn shape(n: u8) -> Arc<Shape> {
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
pub fn at(n: i16) -> Millis {
    let far = if n.unsigned_abs().is_multiple_of(97) { 200 * 366 * Millis::DAY } else { 0 };
    NOW.plus(i64::from(n) * Millis::HOUR - far)
}

pub const NOW: Millis = Millis(1_700_000_000_000);

pub fn place(n: u8) -> Place {
    Place {
        system: ["s0", "s1", "cache"][usize::from(n % 3)].into(),
        dataset: format!("d.t{}", n % 5).into(),
        cell: vec![1],
    }
}

pub fn id() -> impl Strategy<Value = ItemId> {
    (0u8..40, 0u8..3).prop_map(|(s, i)| ItemId {
        subject: SubjectKey([s.wrapping_mul(67); 16]),
        item: ItemKey([i.wrapping_mul(81).wrapping_add(s); 16]),
    })
}

pub fn fact() -> impl Strategy<Value = Row> {
    let start = proptest::option::weighted(0.9, any::<i16>());
    (id(), 0u8..12, start, any::<bool>()).prop_map(|(id, n, start, alike)| {
        let process = n.is_multiple_of(2).then_some(ProcessKey([n % 4; 16]));
        let shape = shape(n);
        let cells = (1u8..).map(|at| vec![if alike { 1 } else { at }]).take(shape.copies.len()).collect();
        Row::Fact(FactRow { id, generation: 1, again: false, start: start.map(at), shape, process, cells })
    })
}

pub fn change() -> impl Strategy<Value = Row> {
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
