//! Rows of every kind about a few items of a few persons.

use std::sync::Arc;

use proptest::prelude::*;
use quietus_core::engine::Row;
use quietus_core::identity::{ItemId, ItemKey, ProcessKey, SubjectKey};
use quietus_core::life::{AddedCopy, ChangeRow, FactRow, Parts, What};
use quietus_core::obligation::Place;
use quietus_core::record::{Shape, ShapeCopy};
use quietus_core::time::Millis;
use quietus_core::verdict::Action;

use crate::store::{MemoryStore, Store};

pub fn subject(n: u8) -> SubjectKey {
    // As far apart as hashes are.
    SubjectKey([n.wrapping_mul(67); 16])
}

pub fn item(n: u8) -> ItemKey {
    ItemKey([n.wrapping_mul(41); 16])
}

pub fn shape(n: u8) -> Arc<Shape> {
    let copy = |m: u8| ShapeCopy { system: format!("s{m}"), dataset: "d.t".into(), ..ShapeCopy::default() };
    Arc::new(Shape {
        categories: vec!["user.name".into(), format!("user.c{n}")],
        purposes: vec!["service".into()],
        copies: (0..=n % 3).map(copy).collect(),
        ..Shape::default()
    })
}

pub fn place(n: u8) -> Place {
    Place { system: format!("s{}", n % 3).into(), dataset: "d.t".into(), cell: cell(n) }
}

/// Sometimes longer than a page.
pub fn cell(n: u8) -> Vec<u8> {
    vec![n; if n.is_multiple_of(11) { 5_000 } else { 3 }]
}

pub fn parts() -> impl Strategy<Value = Parts> {
    prop_oneof![
        Just(Parts::Whole),
        Just(Parts::Some { categories: vec!["user.name".into()], action: Action::Mask }),
    ]
}

pub fn what(id: ItemId) -> impl Strategy<Value = What> {
    let name = prop_oneof![Just("ads".to_owned()), Just("news".to_owned())];
    (0u8..20, any::<i16>(), any::<u8>(), name, parts()).prop_map(move |(kind, at, n, name, parts)| {
        let at = Millis(i64::from(at));
        let generation = u32::from(n % 2) + 1;
        match kind {
            0 => What::Touched { id, at },
            1 => What::ItemEvent { id, event: name, at },
            2 => What::ItemGranted { id, purpose: name, at },
            3 => What::ItemWithdrawn { id, purpose: name, at },
            4 => What::ItemEnded { id, purpose: name, at },
            5 => {
                let copy = AddedCopy { place: place(n), purposes: None, disclosure: Some(name) };
                What::Copied { id, copy }
            }
            6 => What::Gone { id, system: (n % 2 == 0).then(|| "s1".into()), dataset: None, at },
            7 => What::Outcome { id, generation, place: place(n), parts, executed: at, verified: Some(at) },
            8 => What::Revived { id, generation, place: place(n) },
            9 => What::Late { id, generation, place: place(n) },
            10 => What::StillThere { id, generation, place: place(n), parts },
            11 => What::Granted { purpose: name, at },
            12 => What::Withdrawn { purpose: name, at },
            13 => What::Ended { purpose: name, at },
            14 => What::SubjectEvent { event: name, at },
            15 => What::ProcessEvent { process: ProcessKey([n; 16]), event: name, at },
            16 => What::Active { at },
            17 => What::Returned { id, generation, place: place(n) },
            18 => What::Derived { id, generation, place: place(n) },
            _ => What::Linked { also: subject(n) },
        }
    })
}

pub fn row() -> impl Strategy<Value = Row> {
    let id = (0u8..5, 0u8..4).prop_map(|(s, i)| ItemId { subject: subject(s), item: item(i) });
    let fact = (id.clone(), any::<u8>(), proptest::option::of(any::<i16>()), 1u32..3).prop_map(
        |(id, n, start, generation)| {
            let shape = shape(n % 4);
            let cells = shape.copies.iter().map(|_| cell(n)).collect();
            let process = n.is_multiple_of(3).then_some(ProcessKey([n; 16]));
            let start = start.map(|s| Millis(i64::from(s)));
            Row::Fact(FactRow { id, generation, again: n.is_multiple_of(2), start, shape, process, cells })
        },
    );
    let change = id.prop_flat_map(|id| {
        what(id).prop_map(move |what| Row::Change(ChangeRow { subject: id.subject, what }))
    });
    let identity =
        (0u8..5, any::<u8>()).prop_map(|(s, n)| Row::Identity { subject: subject(s), cell: vec![n, 1] });
    prop_oneof![4 => fact, 4 => change, 1 => identity]
}

/// What the engine writes when evidence ends: of a person who stays known when something was last heard of them.
pub fn forgetting(memory: &MemoryStore, key: SubjectKey, which: u8, whole: bool) -> Vec<Row> {
    let change = |what| Row::Change(ChangeRow { subject: key, what });
    let items = memory.items_of(key);
    let past = items.iter().enumerate().filter(|(n, _)| whole || which >> (n % 8) & 1 == 1);
    let mut rows: Vec<Row> = past.map(|(_, id)| change(What::Forgotten { id: *id })).collect();
    match memory.subject(key) {
        _ if whole => rows.push(change(What::SubjectForgotten)),
        Some(person) if !rows.is_empty() => {
            rows.push(change(What::Seen { process: None, at: person.latest_activity }));
            let of = person.process_activity.iter();
            rows.extend(of.map(|(p, at)| change(What::Seen { process: Some(*p), at: Some(*at) })));
        }
        Some(_) | None => {}
    }
    rows
}
