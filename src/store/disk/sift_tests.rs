//! What a sweep is shown is enough: what is left out owes nothing, whatever was flushed and merged.

use std::collections::BTreeSet;
use std::fs;
use std::sync::Arc;

use proptest::prelude::*;
use quietus_core::engine::{Row, Sieve, State, wishes};
use quietus_core::identity::{ItemId, ItemKey, ProcessKey, SubjectKey};
use quietus_core::item::Subject;
use quietus_core::life::{AddedCopy, ChangeRow, FactRow, Lives, What};
use quietus_core::obligation::Place;
use quietus_core::record::{PolicyPublished, Record, Shape, ShapeCopy};
use quietus_core::time::{Millis, Moment};

use super::sift::Range;
use super::{Database, DiskStore, LaidOut, Sizes, part_of};
use crate::store::{Beside, Store};

const SMALL: Sizes = Sizes {
    flush_rows: 1 << 20,
    flush_frames: 1 << 20,
    fan_in: 3,
    run_rows: 9,
    slice_rows: 7,
    laid_from: 2,
    apart: 2,
    duties_held: 0,
};

/// The second knows of dates that depend on all of a person's items.
const POLICIES: [&str; 2] = [
    "policy: p
timezone: Europe/Berlin
events:
  closed: {of: subject, open_ended: true}
purposes:
  service: {use: essential.service, basis: contract, ended_by: closed}
  ads: {use: marketing.advertising, basis: consent}
  news: {use: marketing.communications, basis: consent}
rules:
  - {id: name, category: user.name, purpose: service, keep: 300d after recorded}
  - {id: contact, category: user.contact, purpose: service, keep: 90d after closed}
  - {id: ads, category: user, purpose: ads, keep: 2y after recorded to end of year}
  - {id: news, category: user, purpose: news, keep: 100d after last_activity}
",
    "policy: p
timezone: UTC
events:
  closed: {of: subject, assume: 400d after last_activity}
purposes:
  service: {use: essential.service, basis: contract, ended_by: closed}
  ads: {use: marketing.advertising, basis: consent}
rules:
  - {id: service, category: user, purpose: service, keep: 30d after closed}
  - {id: ads, category: user, purpose: ads, keep: 200d after recorded}
",
];

fn state(policy: usize) -> State {
    let document = POLICIES[policy].to_owned();
    let published =
        PolicyPublished { name: "p".into(), version: 1, document, by: None, approved_by: None, at: 0 };
    let mut state = State::default();
    state.control.apply(1, &Record::PolicyPublished(published));
    assert!(state.control.policy.is_some(), "the policy was refused");
    state
}

fn beside() -> Beside {
    Beside { state: Vec::new(), entries: Vec::new(), events: Vec::new() }
}

fn subject(n: u8) -> SubjectKey {
    SubjectKey([n.wrapping_mul(67); 16])
}

fn shape(n: u8) -> Arc<Shape> {
    let purposes: &[&str] = match n % 4 {
        0 => &["service"],
        1 => &["ads"],
        2 => &["ads", "news"],
        _ => &[],
    };
    let category = if n.is_multiple_of(3) { "user.contact.email" } else { "user.name" };
    Arc::new(Shape {
        categories: vec![category.into()],
        purposes: purposes.iter().map(|p| (*p).to_owned()).collect(),
        copies: vec![ShapeCopy {
            system: format!("s{}", n % 2),
            dataset: "d.t".into(),
            ..ShapeCopy::default()
        }],
        ..Shape::default()
    })
}

fn place(n: u8) -> Place {
    Place { system: format!("s{}", n % 2).into(), dataset: "d.t".into(), cell: vec![1] }
}

fn at(n: i16) -> Millis {
    Millis(i64::from(n) * Millis::HOUR * 2)
}

fn row() -> impl Strategy<Value = Row> {
    let id = (0u8..7, 0u8..3).prop_map(|(s, i)| ItemId {
        subject: subject(s),
        item: ItemKey([i.wrapping_mul(41).wrapping_add(s); 16]),
    });
    let fact =
        (id.clone(), 0u8..12, proptest::option::weighted(0.9, any::<i16>())).prop_map(|(id, n, start)| {
            let process = n.is_multiple_of(5).then_some(ProcessKey([n; 16]));
            let (start, cells) = (start.map(at), vec![vec![1]]);
            Row::Fact(FactRow { id, generation: 1, again: false, start, shape: shape(n), process, cells })
        });
    let change = (id, 0u8..12, any::<i16>(), any::<u8>()).prop_map(|(id, kind, when, n)| {
        let (at, purpose) = (at(when), ["service", "ads", "news", ""][usize::from(n % 4)].to_owned());
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
            8 => What::SubjectEvent { event: "closed".into(), at },
            9 => What::Active { at },
            10 => What::Granted { purpose, at },
            _ => What::Gone { id, system: None, dataset: None, at },
        };
        Row::Change(ChangeRow { subject: id.subject, what })
    });
    prop_oneof![3 => fact, 2 => change]
}

/// What the store shows owes, as a sweep would see it.
fn owed(state: &State, as_of: Millis, show: impl FnOnce(&mut dyn FnMut(&Lives, &Subject))) -> Vec<String> {
    let mut owed = Vec::new();
    show(&mut |lives, subject| {
        let Some(life) = lives.newest().filter(|life| !life.is_ended()) else { return };
        let mut life = life.clone();
        state.control.complete(&mut life);
        for wish in wishes(&state.control, &life, subject, Moment::at(as_of)) {
            owed.push(format!("{} {wish:?}", life.item.id));
        }
    });
    owed
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(96))]
    #[test]
    fn what_a_sweep_is_not_shown_owes_nothing(
        batches in proptest::collection::vec((proptest::collection::vec(row(), 1..9), 0u8..3), 1..12),
        when in any::<i16>(),
        policy in 0usize..2,
        apart in 0usize..3,
    ) {
        let dir = tempfile::tempdir().unwrap();
        let database = Database::open(dir.path()).unwrap();
        let mut disk = DiskStore::open(&database, 3, Sizes { apart, ..SMALL }).unwrap();
        let mut known = BTreeSet::new();
        for (mut rows, then) in batches {
            for row in &mut rows {
                if let Row::Fact(fact) = row {
                    fact.again = !known.insert(fact.id);
                }
            }
            disk.write(&rows);
            if then > 0 {
                disk.flush(0, beside().into()).unwrap();
            }
            if then > 1 {
                merge(&mut disk);
            }
        }
        let (state, as_of) = (state(policy), at(when));
        let all = owed(&state, as_of, |visit| disk.each(visit));
        let sifted = owed(&state, as_of, |visit| disk.sift(&Sieve::due(&state, as_of), visit));
        prop_assert_eq!(sifted, all);
        for sieve in [Sieve::due(&state, as_of), Sieve::Everything] {
            let also: Vec<ItemId> = known.iter().step_by(3).copied().collect();
            let laid = laid_out(&mut disk, &sieve, 5);
            for n in 0..5 {
                let mine: Vec<ItemId> =
                    also.iter().filter(|id| part_of(id.subject, 5) == n).copied().collect();
                let rows = |laid| disk.rows_of(&sieve, &mine, Range { n, of: 5 }, laid).unwrap();
                prop_assert_eq!(format!("{:?}", rows(Some(&laid))), format!("{:?}", rows(None)));
            }
        }
        // What was merged meanwhile is dropped.
        let named: BTreeSet<u32> = disk.list.runs().chain([disk.list_run]).collect();
        prop_assert!(disk.blocks.runs().unwrap().is_subset(&named));
    }
}

fn merge(disk: &mut DiskStore) {
    if let Some(merge) = disk.begin_merge() {
        let merged = merge.run();
        disk.end_merge(merge, merged).unwrap();
    }
}

/// A merge that ends meanwhile takes nothing away.
fn laid_out(disk: &mut DiskStore, sieve: &Sieve<'_>, of: u64) -> LaidOut {
    let mut laying = disk.begin_laying(sieve, of).unwrap();
    (0..of).for_each(|n| Store::ask_for(disk, sieve, n, &mut laying));
    merge(disk);
    let laid = laying.run().unwrap();
    disk.end_laying().unwrap();
    laid
}

/// What was let go is not shown because it lies in a file still, and a file that was changed is not believed.
#[test]
fn what_was_laid_out_serves_as_long_as_it_is_what_the_store_says() {
    let dir = tempfile::tempdir().unwrap();
    let database = Database::open(dir.path()).unwrap();
    let mut disk = DiskStore::open(&database, 3, SMALL).unwrap();
    let facts = (0..6u8).map(|n| {
        let id = ItemId { subject: subject(n), item: ItemKey([n; 16]) };
        let (start, cells) = (Some(at(0)), vec![vec![1]]);
        Row::Fact(FactRow { id, generation: 1, again: false, start, shape: shape(0), process: None, cells })
    });
    disk.write(&facts.collect::<Vec<_>>());
    disk.flush(0, beside().into()).unwrap();
    let rows = |disk: &DiskStore, laid| {
        (0..2)
            .map(|n| {
                format!("{:?}", disk.rows_of(&Sieve::Everything, &[], Range { n, of: 2 }, laid).unwrap())
            })
            .collect::<Vec<_>>()
    };
    let laid = laid_out(&mut disk, &Sieve::Everything, 2);
    assert!(fs::read_dir(dir.path()).unwrap().all(|file| !format!("{file:?}").contains("laid")));
    assert_eq!(rows(&disk, None), rows(&disk, Some(&laid)));
    laid.garble();
    assert_eq!(rows(&disk, None), rows(&disk, Some(&laid)));
    let laid = laid_out(&mut disk, &Sieve::Everything, 2);
    disk.write(&[Row::Change(ChangeRow { subject: subject(1), what: What::SubjectForgotten })]);
    disk.write(&[Row::Change(ChangeRow {
        subject: subject(1),
        what: What::Forgotten { id: ItemId { subject: subject(1), item: ItemKey([1; 16]) } },
    })]);
    disk.flush(0, beside().into()).unwrap();
    merge(&mut disk);
    assert_eq!(rows(&disk, None), rows(&disk, Some(&laid)));
}

#[test]
fn a_sweep_is_shown_what_may_be_due_and_little_else() {
    let dir = tempfile::tempdir().unwrap();
    let database = Database::open(dir.path()).unwrap();
    let mut disk = DiskStore::open(&database, 3, Sizes { slice_rows: 100, ..SMALL }).unwrap();
    let rows: Vec<Row> = (0..1_000u32)
        .map(|n| {
            let [a, b, ..] = n.wrapping_mul(0x9e37_79b9).to_le_bytes();
            let key = [a, b, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, n.to_le_bytes()[0], n.to_le_bytes()[1], 0, 0];
            let id = ItemId { subject: SubjectKey(key), item: ItemKey(key) };
            let start = Some(Millis(i64::from(n) * Millis::DAY));
            let cells = vec![vec![1]];
            Row::Fact(FactRow {
                id,
                generation: 1,
                again: false,
                start,
                shape: shape(4),
                process: None,
                cells,
            })
        })
        .collect();
    disk.write(&rows);
    disk.flush(0, beside().into()).unwrap();
    let state = state(0);
    let mut shown = 0;
    let as_of = Millis(310 * Millis::DAY);
    disk.sift(&Sieve::due(&state, as_of), &mut |_, _| shown += 1);
    assert!((10..20).contains(&shown), "{shown}");
    assert_eq!(owed(&state, as_of, |visit| disk.each(visit)).len(), 10);
}
