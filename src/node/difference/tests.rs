//! What is counted equals what is judged one by one, whatever is known, flushed and merged, on both stores.

mod world;

use std::collections::BTreeSet;
use std::sync::Arc;

use jiff::ToSpan;
use proptest::prelude::*;
use quietus_core::engine::Row;
use quietus_core::engine::control::Control;
use quietus_core::identity::{ItemId, ItemKey, SubjectKey};
use quietus_core::item::Subject;
use quietus_core::life::{ChangeRow, FactRow, Lives, What};
use quietus_core::record::Shape;

use self::world::{NOW, POLICIES, SMALL, SYSTEMS, beside, change, control, fact, policy, shape};
use super::*;
use crate::store::{Census, Database, DiskStore, Matters, MemoryStore, Said, Sizes, Store};

fn difference(
    (old, new): (Option<&ActivePolicy>, &ActivePolicy),
    control: &Control,
    store: &dyn Store,
    one_by_one: bool,
) -> Difference {
    let replan = Replan::new(old, new, NOW);
    let days = replan.days();
    let mut counting = Counting::new(replan, &days);
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
        later in proptest::collection::vec(prop_oneof![fact(), change()], 0..30),
        few in any::<bool>(),
        shuffled in any::<bool>(),
        flushed in 0u8..3,
        systems in 0usize..=SYSTEMS.len(),
        old in proptest::option::of(0..POLICIES.len()),
        new in 0..POLICIES.len(),
    ) {
        let dir = tempfile::tempdir().unwrap();
        let database = Database::open(dir.path()).unwrap();
        // Looked up, or every page read.
        let sizes = Sizes { apart: facts.len() % 3, ..SMALL };
        let (mut disk, mut memory) = (DiskStore::open(&database, 3, sizes).unwrap(), MemoryStore::default());
        let mut known = BTreeSet::new();
        let few = if few { 2 } else { changes.len() };
        let mut rows: Vec<Row> = facts.into_iter().chain(changes.into_iter().take(few)).collect();
        if shuffled {
            // Sources keep no order between them.
            rows.reverse();
        }
        let mut later = later;
        for (n, row) in rows.iter_mut().chain(&mut later).enumerate() {
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
            if flushed > 1 {
                merge(&mut disk);
            }
        }
        let (old, new, control) = (old.map(policy), policy(new), control(systems));
        let both = (old.as_deref(), &*new);
        let all = difference(both, &control, &memory, true);
        prop_assert_eq!(difference(both, &control, &memory, false), all.clone());
        prop_assert_eq!(difference(both, &control, &disk, true), all.clone());
        prop_assert_eq!(difference(both, &control, &disk, false), all.clone());
        // What the count asked for is joined, or nothing is; as it was when that began.
        let (early, late) = later.split_at(later.len() / 2);
        resolve(&mut disk, |disk| disk.write(early));
        memory.write(early);
        let all = difference(both, &control, &memory, true);
        prop_assert_eq!(difference(both, &control, &disk, false), all.clone());
        disk.flush(0, beside().into()).unwrap();
        disk.write(late);
        memory.write(late);
        let all = difference(both, &control, &memory, true);
        prop_assert_eq!(difference(both, &control, &disk, false), all.clone());
        resolve(&mut disk, merge);
        prop_assert_eq!(difference(both, &control, &disk, false), all.clone());
        drop(disk);
        for counted in counted_after_a_crash(&database, sizes, late, |disk| difference(both, &control, disk, false)) {
            prop_assert_eq!(counted, all.clone());
        }
    }
}

fn merge(disk: &mut DiskStore) {
    if let Some(merge) = disk.begin_merge() {
        let merged = merge.run();
        disk.end_merge(merge, merged).unwrap();
    }
}

/// …of rows that were not flushed: the ledger gives them again. Before they are flushed then, and after it.
fn counted_after_a_crash(
    database: &Database,
    sizes: Sizes,
    rows: &[Row],
    count: impl Fn(&DiskStore) -> Difference,
) -> [Difference; 2] {
    let mut disk = DiskStore::open(database, 3, sizes).unwrap();
    disk.write(rows);
    let before = count(&disk);
    disk.flush(0, beside().into()).unwrap();
    [before, count(&disk)]
}

/// Joins what persons have, if the last count asked for it, while this happens.
fn resolve(disk: &mut DiskStore, meanwhile: impl FnOnce(&mut DiskStore)) {
    let Some(merge) = disk.begin_resolving() else { return meanwhile(disk) };
    meanwhile(disk);
    let merged = merge.run();
    disk.end_merge(merge, merged).unwrap();
}

/// An instant near those that decide: recordings, ends of periods, now.
fn telling() -> impl Strategy<Value = Millis> {
    let days = prop_oneof![Just(0i64), Just(100), Just(300), Just(310), Just(365), Just(730), -2i64..800];
    (days, prop_oneof![-1i64..=1, Just(Millis::HOUR), Just(-7 * Millis::HOUR)], any::<bool>()).prop_map(
        |(days, off, midnight)| {
            let at = NOW.plus(-days * Millis::DAY);
            let berlin = policy(0).calendar.clone();
            (if midnight { berlin.first_instant(berlin.local_date(at)) } else { at }).plus(off)
        },
    )
}

/// The end of an item's period: which item's, so many days later, in which policy's zone.
fn ends() -> impl Strategy<Value = (usize, i64, usize)> {
    let spans = prop_oneof![Just(301i64), Just(311), Just(366)];
    (0usize..5, spans, 0usize..2)
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(48) })]
    /// Many on the same days, whose persons said something at times that differ by little.
    #[test]
    fn consents_that_lie_alike_come_to_the_same(
        starts in proptest::collection::vec(telling(), 1..5),
        times in proptest::collection::vec((telling(), proptest::option::of(ends())), 1..5),
        items in proptest::collection::vec((0usize..5, 0u8..5, 0i64..3), 1..200),
        said in proptest::collection::vec((0u8..200, 0u8..3, any::<bool>(), 0usize..5, -1i64..=1), 0..300),
        old in proptest::option::of(prop_oneof![0usize..2, Just(7)]),
        new in prop_oneof![2 => 0usize..2, 2 => Just(7), 1 => 5usize..7],
    ) {
        let dir = tempfile::tempdir().unwrap();
        let database = Database::open(dir.path()).unwrap();
        let sizes = Sizes { apart: items.len() % 3, ..SMALL };
        let (mut disk, mut memory) = (DiskStore::open(&database, 3, sizes).unwrap(), MemoryStore::default());
        let subject = |n: u8| SubjectKey([n.wrapping_mul(67); 16]);
        let times: Vec<Millis> = times.iter().map(|(at, end)| match end {
            Some((start, span, zone)) => {
                let calendar = &policy(*zone).calendar;
                let last = calendar.local_date(starts[start % starts.len()]).saturating_add((*span).days());
                calendar.first_instant(last)
            }
            None => *at,
        }).collect();
        let recorded = (0u8..).zip(&items).map(|(n, (start, of, off))| {
            let id = ItemId { subject: subject(n), item: ItemKey([n; 16]) };
            let start = Some(starts[start % starts.len()].plus(off - 1));
            let (shape, cells) = (shape([1, 2, 3, 4, 8][usize::from(of % 5)]), vec![vec![1], vec![2], vec![3]]);
            let cells = cells.into_iter().take(shape.copies.len()).collect();
            Row::Fact(FactRow { id, generation: 1, again: false, start, shape, process: None, cells })
        });
        let told = said.iter().map(|(n, how, ads, at, off)| {
            let (at, purpose) = (times[at % times.len()].plus(*off), if *ads { "ads" } else { "service" }.to_owned());
            let what = match how {
                0 => What::Granted { purpose, at },
                1 => What::Withdrawn { purpose, at },
                _ => What::Ended { purpose, at },
            };
            Row::Change(ChangeRow { subject: subject(*n), what })
        });
        let rows: Vec<Row> = recorded.chain(told).collect();
        let (old, new, control) = (old.map(policy), policy(new), control(0));
        let both = (old.as_deref(), &*new);
        let (first, second) = rows.split_at(rows.len() * 2 / 3);
        disk.write(first);
        memory.write(first);
        let all = difference(both, &control, &memory, true);
        prop_assert_eq!(difference(both, &control, &disk, false), all.clone());
        disk.flush(0, beside().into()).unwrap();
        prop_assert_eq!(difference(both, &control, &disk, false), all);
        disk.write(second);
        memory.write(second);
        let all = difference(both, &control, &memory, true);
        prop_assert_eq!(difference(both, &control, &disk, false), all.clone());
        resolve(&mut disk, |_| ());
        prop_assert_eq!(difference(both, &control, &disk, false), all.clone());
        drop(disk);
        for counted in counted_after_a_crash(&database, sizes, second, |disk| difference(both, &control, disk, false)) {
            prop_assert_eq!(counted, all.clone());
        }
    }
}

/// …and what came later is looked up, or read where it lies.
#[test]
fn what_persons_have_is_joined_once_a_plan_had_to_read_it() {
    let dir = tempfile::tempdir().unwrap();
    let database = Database::open(dir.path()).unwrap();
    let sizes = Sizes { fan_in: 100, run_rows: 1 << 20, slice_rows: 1 << 16, ..SMALL };
    let mut disk = DiskStore::open(&database, 3, sizes).unwrap();
    let mut memory = MemoryStore::default();
    let (old, new, control) = (policy(0), policy(1), control(0));
    let subject = |n: u32| {
        let mut key = [0; 16];
        key[..4].copy_from_slice(&n.wrapping_mul(0x9e37_79b9).to_le_bytes());
        SubjectKey(key)
    };
    let item = |subject: SubjectKey, at: u8| {
        let SubjectKey([a, b, c, d, ..]) = subject;
        ItemId { subject, item: ItemKey([a, b, c, d, at, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1]) }
    };
    let said = |n: u32| {
        let what = What::Withdrawn { purpose: "ads".into(), at: NOW.plus(-Millis::DAY) };
        Row::Change(ChangeRow { subject: subject(n), what })
    };
    let mut write = |disk: &mut DiskStore, persons: std::ops::Range<u32>, ads: bool| {
        let rows: Vec<Row> = persons
            .flat_map(|n| {
                let facts = (0..10u8).map(move |at| {
                    let (id, kind) = (item(subject(n), at), 2 + at % 2);
                    let start = Some(NOW.plus(-i64::from(n * 10 + u32::from(at)) * Millis::HOUR));
                    let (shape, cells) = (shape(kind), vec![vec![1]; usize::from(kind % 2) + 1]);
                    Row::Fact(FactRow { id, generation: 1, again: false, start, shape, process: None, cells })
                });
                facts.chain(ads.then(|| said(n))).collect::<Vec<_>>()
            })
            .collect();
        disk.write(&rows);
        memory.write(&rows);
        disk.flush(0, beside().into()).unwrap();
        difference((Some(&*old), &*new), &control, &memory, true)
    };
    let counted = |disk: &DiskStore| difference((Some(&*old), &*new), &control, disk, false);
    write(&mut disk, 0..1_300, false);
    let all = write(&mut disk, 1_300..1_500, true);
    assert_eq!(counted(&disk), all);
    assert!(disk.wants_resolved(), "it read what persons have");
    resolve(&mut disk, |_| ());
    assert_eq!(counted(&disk), all);
    assert!(!disk.wants_resolved(), "it knew what persons have");
    let all = write(&mut disk, 1_500..1_501, true);
    assert_eq!(counted(&disk), all);
    assert!(!disk.wants_resolved(), "one of them was looked up");
    let all = write(&mut disk, 1_501..1_560, true);
    assert_eq!(counted(&disk), all);
    assert!(disk.wants_resolved(), "it read what persons have");
    resolve(&mut disk, |_| ());
    drop(disk);
    let mut disk = DiskStore::open(&database, 3, sizes).unwrap();
    assert_eq!(counted(&disk), all);
    assert!(!disk.wants_resolved(), "it knew what persons have");
    let rows: Vec<Row> = (0..200).map(said).collect();
    disk.write(&rows);
    memory.write(&rows);
    let all = difference((Some(&*old), &*new), &control, &memory, true);
    assert_eq!(counted(&disk), all);
    assert!(disk.wants_resolved(), "it read what persons have");
    resolve(&mut disk, |_| ());
    assert_eq!(counted(&disk), all);
    assert!(!disk.wants_resolved(), "it knew what they have whose word no disk has");
    // Some are forgotten with all they have: in memory, on the disk, and once it has let them go.
    let items = |n: u32| (0..10).map(move |at| What::Forgotten { id: item(subject(n), at) });
    let forgets = (150..160).chain(1_450..1_460).flat_map(|n| {
        let subject = subject(n);
        let all = items(n).chain([What::SubjectForgotten]);
        all.map(move |what| Row::Change(ChangeRow { subject, what })).collect::<Vec<_>>()
    });
    let rows: Vec<Row> = forgets.collect();
    disk.write(&rows);
    memory.write(&rows);
    let fewer = difference((Some(&*old), &*new), &control, &memory, true);
    assert_ne!(fewer, all);
    assert_eq!(counted(&disk), fewer);
    disk.flush(0, beside().into()).unwrap();
    assert_eq!(counted(&disk), fewer);
    merge(&mut disk);
    assert_eq!(counted(&disk), fewer);
    assert!(disk.wants_resolved(), "the join went with them");
    resolve(&mut disk, |_| ());
    assert_eq!(counted(&disk), fewer);
}

/// Of items that nothing else is known of only pages at the turn of a date are read.
#[test]
fn most_items_are_counted_by_their_pages() {
    struct Looks(u64, u64);
    impl Census for Looks {
        fn matters(&self, _: &What) -> Matters {
            Matters::Nothing
        }
        fn minds_touches(&self) -> bool {
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
        fn forget_persons(&mut self) {}
        fn hear(&mut self, _: Option<usize>, _: Said<'_>) -> usize {
            panic!("nothing else is known");
        }
        fn is_moved(&self, _: usize) -> bool {
            false
        }
        fn consented(&mut self, _: usize, _: Option<Millis>, _: usize) {
            panic!("nothing else is known");
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
