//! The store on disk against the one in memory: the same answers whatever was flushed, merged or lost in a crash.

mod rows;

use std::collections::BTreeMap;
use std::sync::atomic::Ordering;

use proptest::prelude::*;
use quietus_core::digest::Digest;
use quietus_core::engine::{Found, Needs, Row};
use quietus_core::identity::{ItemId, ItemKey, ShownItem, SubjectKey};
use quietus_core::item::Subject;
use quietus_core::life::{ChangeRow, What};
use quietus_core::time::Millis;

use rows::{cell, forgetting, item, row, subject};

use super::row::Family;
use super::{Database, DiskStore, Sizes, Snapshot, StoreError};
use crate::store::{Beside, DutyRow, Lies, MemoryStore, Store, Unkept};

/// Small enough that a few rows make many runs of many pages.
const SMALL: Sizes = Sizes {
    flush_rows: 7,
    flush_frames: 40,
    fan_in: 3,
    run_rows: 9,
    slice_rows: 5,
    laid_from: 2,
    apart: 2,
    duties_held: 0,
};

#[derive(Clone, Debug)]
enum Deed {
    Append(Vec<Row>),
    /// The evidence of these items of a person ends, and the person's where none is left and this says so.
    Forget(u8, u8, bool),
    Settle,
    Flush(u8),
    /// Duties at rest leave memory in the middle of a frame.
    Spill(u8),
    Merge,
    /// What persons have is joined.
    Resolve,
    /// The process dies and comes back: what was not flushed comes from the ledger again.
    Crash,
    /// It dies before a flush has replaced the root, or right after, before what was there is dropped.
    Torn(u8, bool),
    /// The root is kept, after a flush; perhaps it dies before what the older one named is dropped.
    Snapshot(u8, bool),
    /// What the root names is found damaged.
    Back,
}

fn deed() -> impl Strategy<Value = Deed> {
    prop_oneof![
        6 => proptest::collection::vec(row(), 1..6).prop_map(Deed::Append),
        2 => (0u8..5, any::<u8>(), any::<bool>()).prop_map(|(s, which, whole)| Deed::Forget(s, which, whole)),
        2 => Just(Deed::Settle),
        1 => any::<u8>().prop_map(Deed::Flush),
        1 => any::<u8>().prop_map(Deed::Spill),
        1 => Just(Deed::Merge),
        1 => Just(Deed::Resolve),
        1 => Just(Deed::Crash),
        1 => any::<(u8, bool)>().prop_map(|(n, root)| Deed::Torn(n, root)),
        1 => any::<(u8, bool)>().prop_map(|(n, dies)| Deed::Snapshot(n, dies)),
        1 => Just(Deed::Back),
    ]
}

/// What lies beside the rows, and the duties among them.
#[derive(Clone, Debug, Default, PartialEq)]
struct Told {
    beside: Beside,
    duties: Vec<DutyRow>,
}

impl From<Told> for Unkept<'_> {
    fn from(told: Told) -> Self {
        Self { duties: Box::new(told.duties.into_iter().map(Ok)), ..told.beside.into() }
    }
}

/// Something of everything; entries sometimes fill more than a block.
fn beside(n: u8) -> Told {
    let bytes = |len: u8| vec![n; usize::from(len) * 20];
    let duties = if n.is_multiple_of(3) { Vec::new() } else { vec![duty(n)] };
    Told {
        beside: Beside { state: bytes(n), entries: bytes(n), events: (0..u64::from(n) % 5).collect() },
        duties,
    }
}

fn duty(n: u8) -> DutyRow {
    let lies = [Lies::UnderWay, Lies::AtRest, Lies::AtRestNow, Lies::Nowhere][usize::from(n / 4) % 4];
    let bytes = if lies == Lies::Nowhere { Vec::new() } else { cell(n) };
    DutyRow { id: [n % 4; 16], subject: subject(n % 4), lies, bytes }
}

/// What flushes add up to.
fn add(kept: &mut Option<Told>, spilled: &mut Vec<DutyRow>, next: Told) {
    let kept = kept.get_or_insert_default();
    kept.beside.state = next.beside.state;
    kept.beside.entries.extend(next.beside.entries);
    kept.beside.events.extend(next.beside.events);
    spilled.drain(..).chain(next.duties).for_each(|duty| stands(&mut kept.duties, duty));
}

/// A duty's newest row; that it lay among others before is not told.
fn stands(all: &mut Vec<DutyRow>, duty: DutyRow) {
    let lies = if duty.lies == Lies::UnderWay { Lies::UnderWay } else { Lies::AtRest };
    all.retain(|old| old.id != duty.id);
    if duty.lies == Lies::Nowhere {
        return;
    }
    all.push(DutyRow { lies, ..duty });
    all.sort_by_key(|duty| duty.id);
}

fn told(disk: &DiskStore) -> Option<Told> {
    let mut duties = Vec::new();
    let tell = |duty: DutyRow| {
        duties.push(duty);
        Ok::<_, StoreError>(())
    };
    let mut tell = tell;
    disk.each_duty(&mut tell).unwrap();
    duties.sort_by_key(|duty| duty.id);
    Some(Told { beside: disk.beside().unwrap()?, duties })
}

/// Duties at rest are found by their ids, their subjects and in their parts.
fn are_found(disk: &DiskStore, duties: &[DutyRow]) {
    let parts = |of: u64| (0..of).flat_map(|n| disk.duties_in(n, of)).collect::<Vec<_>>();
    for duty in duties.iter().filter(|duty| duty.lies == Lies::AtRest) {
        assert_eq!(disk.duty(duty.id).as_ref(), Some(duty));
        assert!(disk.duties_of(duty.subject).contains(duty));
        assert!(parts(1).contains(duty) && parts(4).contains(duty));
    }
}

fn agree(disk: &DiskStore, memory: &MemoryStore) {
    for s in 0..5 {
        let key = subject(s);
        assert_eq!(disk.subject(key), memory.subject(key));
        assert_eq!(disk.identity(key), memory.identity(key));
        assert_eq!(disk.items_of(key), memory.items_of(key));
        for id in memory.items_of(key) {
            assert_eq!(disk.lives(id), memory.lives(id));
            let shown = ShownItem::parse(&id.to_string()).unwrap();
            assert_eq!(disk.shown(shown), memory.shown(shown));
        }
    }
    let absent = ItemKey([7; 16]);
    assert!(disk.lives(ItemId { subject: subject(0), item: absent }).is_none());
    assert_eq!(disk.subjects_alive(), memory.subjects_alive());
    let told = |store: &dyn Store| {
        let mut told = Vec::new();
        store.each(&mut |lives, subject| told.push((lives.clone(), subject.clone())));
        told
    };
    assert_eq!(told(disk), told(memory));
    let digest = |store: &dyn Store| {
        let mut digest = Digest::default();
        store.digest(&mut digest);
        digest.finish()
    };
    assert_eq!(digest(disk), digest(memory));
    for n in 0..5 {
        let asked = Needs { activity: true, ..asked(n) };
        assert_eq!(disk.fetch(&asked).lives, memory.fetch(&asked).lives);
        assert_eq!(disk.fetch(&asked).subjects, memory.fetch(&asked).subjects);
        let asked = Needs { activity: false, ..asked };
        assert_eq!(disk.fetch(&asked).lives, memory.fetch(&asked).lives);
        assert_eq!(but_activity(disk.fetch(&asked)), but_activity(memory.fetch(&asked)));
    }
}

/// Subjects as they are seen by whom their activity is nothing to, who takes one that is not there for an unknown one.
fn but_activity(found: Found) -> BTreeMap<SubjectKey, Subject> {
    let but = |(key, subject)| {
        let known = Subject { latest_activity: None, process_activity: BTreeMap::new(), ..subject };
        (known != Subject::unknown(key)).then_some((key, known))
    };
    found.subjects.into_iter().filter_map(but).collect()
}

/// Something of everything that the engine asks for.
fn asked(n: u8) -> Needs {
    let id = |s: u8, i: u8| ItemId { subject: subject(s), item: item(i) };
    Needs {
        items: [id(n, 0), id(n, 1)].into(),
        news: [id(n + 1, 0), id(n, 2), id(n + 1, 9)].into(),
        subjects: [subject(n + 2)].into(),
        orphans: if n == 3 { [item(1)].into() } else { [].into() },
        ..Needs::default()
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]
    #[test]
    fn it_answers_as_the_one_in_memory(deeds in proptest::collection::vec(deed(), 1..40)) {
        let dir = tempfile::tempdir().unwrap();
        let database = Database::open(dir.path()).unwrap();
        let mut disk = DiskStore::open(&database, 3, SMALL).unwrap();
        let (mut memory, mut ledger) = (MemoryStore::default(), Vec::<Row>::new());
        let (mut kept, mut spilled) = (None, Vec::new());
        let mut snapshots: Vec<(u64, Option<Told>)> = Vec::new();
        for (turn, deed) in (0i64..).zip(deeds) {
            let applied = ledger.len() as u64;
            match deed {
                Deed::Append(rows) => {
                    disk.write(&rows);
                    memory.write(&rows);
                    ledger.extend(rows);
                }
                Deed::Forget(s, which, whole) => {
                    let rows = forgetting(&memory, subject(s), which, whole);
                    disk.write(&rows);
                    memory.write(&rows);
                    ledger.extend(rows);
                }
                Deed::Settle if disk.is_full(0, applied) => {
                    disk.flush(applied, beside(1).into()).unwrap();
                    add(&mut kept, &mut spilled, beside(1));
                }
                Deed::Settle => {}
                Deed::Flush(n) => {
                    disk.flush(applied, beside(n).into()).unwrap();
                    add(&mut kept, &mut spilled, beside(n));
                }
                Deed::Spill(n) if matches!(duty(n).lies, Lies::UnderWay | Lies::Nowhere) => {}
                Deed::Spill(n) => {
                    disk.spill(&mut [Ok(duty(n))].into_iter()).unwrap();
                    spilled.push(duty(n));
                }
                Deed::Merge => merge(&mut disk),
                Deed::Resolve => {
                    disk.wants_resolved.store(true, Ordering::Relaxed);
                    resolve(&mut disk);
                }
                Deed::Crash => {
                    disk = again(disk, &database, &ledger);
                    spilled.clear();
                }
                Deed::Torn(n, replaced) => {
                    disk.write_out(applied, beside(n).into()).unwrap();
                    if replaced {
                        let run = disk.take_number();
                        disk.name(run).unwrap();
                        add(&mut kept, &mut spilled, beside(n));
                    }
                    disk = again(disk, &database, &ledger);
                    spilled.clear();
                }
                Deed::Snapshot(n, dies) => {
                    disk.flush(applied, beside(n).into()).unwrap();
                    add(&mut kept, &mut spilled, beside(n));
                    snapshots.push((applied, kept.clone()));
                    if dies {
                        disk.begin_snapshot(described(applied, turn)).unwrap().unwrap().run().unwrap();
                        disk = again(disk, &database, &ledger);
                    } else {
                        keep_root(&mut disk, described(applied, turn));
                    }
                    snapshots.drain(..snapshots.len().saturating_sub(2));
                }
                Deed::Back => {
                    database.partition(3).suspect().unwrap();
                    disk = again(disk, &database, &ledger);
                    spilled.clear();
                    if let Some((_, then)) = snapshots.last() {
                        kept.clone_from(then);
                    } else {
                        database.partition(3).trust().unwrap();
                    }
                }
            }
            let kept_at: Vec<u64> = disk.snapshots().iter().map(|snapshot| snapshot.applied).collect();
            prop_assert_eq!(kept_at, snapshots.iter().map(|(applied, _)| *applied).collect::<Vec<_>>());
        }
        agree(&disk, &memory);
        for (snapshot, (applied, then)) in disk.snapshots().iter().zip(&snapshots) {
            let past = disk.look_back(snapshot).unwrap().unwrap();
            let mut memory = MemoryStore::default();
            memory.write(&ledger[..usize::try_from(*applied).unwrap()]);
            agree(&past, &memory);
            prop_assert_eq!(&told(&past), then);
        }
        let mut all = kept.clone().unwrap_or_default().duties;
        spilled.drain(..).for_each(|duty| stands(&mut all, duty));
        are_found(&disk, &all);
        prop_assert_eq!(told(&again(disk, &database, &ledger)), kept);
    }
}

fn merge(disk: &mut DiskStore) {
    if let Some(merge) = disk.begin_merge() {
        let merged = merge.run();
        disk.end_merge(merge, merged).unwrap();
    }
}

fn resolve(disk: &mut DiskStore) {
    if let Some(merge) = disk.begin_resolving() {
        let merged = merge.run();
        disk.end_merge(merge, merged).unwrap();
    }
}

/// It names them in a family of its own.
#[test]
fn what_persons_have_leaves_the_disk_with_what_was_forgotten() {
    let dir = tempfile::tempdir().unwrap();
    let database = Database::open(dir.path()).unwrap();
    let mut disk = DiskStore::open(&database, 3, Sizes { fan_in: 100, ..SMALL }).unwrap();
    let mut memory = MemoryStore::default();
    let mut write = |disk: &mut DiskStore, rows: &[Row]| {
        disk.write(rows);
        memory.write(rows);
        // Beside them nothing that a key could be taken for.
        disk.flush(1, beside(0).into()).unwrap();
        forgetting(&memory, subject(1), 0, true)
    };
    let withdrawn = |n| {
        let what = What::Withdrawn { purpose: "ads".into(), at: Millis(1) };
        Row::Change(ChangeRow { subject: subject(n), what })
    };
    let forgets = write(&mut disk, &[withdrawn(1), withdrawn(2)]);
    let resolved = |disk: &DiskStore| {
        disk.runs_of(&[Family::Resolved])
            .flat_map(|(_, run)| run.page(&disk.blocks, 0).unwrap())
            .collect::<Vec<_>>()
    };
    disk.wants_resolved.store(true, Ordering::Relaxed);
    resolve(&mut disk);
    assert_eq!(resolved(&disk).iter().map(|row| row.subject).collect::<Vec<_>>(), [subject(1), subject(2)]);
    write(&mut disk, &forgets);
    merge(&mut disk);
    assert_eq!(resolved(&disk), []);
    let blocks = &disk.blocks;
    let holding = blocks.runs().unwrap().into_iter().filter(|run| {
        blocks.of_run(*run).any(|block| block.unwrap().1.windows(16).any(|key| *key == subject(1).0))
    });
    assert_eq!(holding.count(), 0);
}

fn described(applied: u64, at: i64) -> Snapshot {
    Snapshot { applied, at, k: 0, entries: 0, head: [0; 32] }
}

fn keep_root(disk: &mut DiskStore, snapshot: Snapshot) {
    let naming = disk.begin_snapshot(snapshot).unwrap().unwrap();
    let named = naming.run();
    disk.end_snapshot(naming, named).unwrap();
}

#[test]
fn what_is_being_named_is_not_dropped_meanwhile() {
    let dir = tempfile::tempdir().unwrap();
    let database = Database::open(dir.path()).unwrap();
    let mut disk = DiskStore::open(&database, 3, SMALL).unwrap();
    disk.flush(1, beside(1).into()).unwrap();
    for failed in [true, false] {
        let naming = disk.begin_snapshot(described(disk.kept().unwrap(), 0)).unwrap().unwrap();
        // The next roots have no use for what lay beside the one to be named.
        (2..5).for_each(|n| disk.flush(disk.kept().unwrap() + 1, beside(n).into()).unwrap());
        let named = naming.run();
        let lost = StoreError::Disk("it may have its name".to_owned());
        let handed_back = disk.end_snapshot(naming, if failed { Err(lost.clone()) } else { named });
        assert_eq!(handed_back, if failed { Err(lost) } else { Ok(()) });
        assert_eq!(disk.snapshots().len(), if failed { 0 } else { 2 });
        disk.blocks.suspect().unwrap();
        let back = DiskStore::open(&database, 3, SMALL).unwrap();
        assert_eq!(back.kept(), Some(if failed { 1 } else { 4 }));
        if failed {
            disk = back;
            disk.flush(4, beside(1).into()).unwrap();
        }
    }
}

#[test]
fn it_goes_back_to_a_snapshot_that_can_be_read_or_not_at_all() {
    let dir = tempfile::tempdir().unwrap();
    let database = Database::open(dir.path()).unwrap();
    let mut disk = DiskStore::open(&database, 3, SMALL).unwrap();
    for n in 1..=3u8 {
        disk.flush(u64::from(n), beside(n).into()).unwrap();
        keep_root(&mut disk, described(u64::from(n), 0));
    }
    disk.flush(4, beside(4).into()).unwrap();
    drop(disk);
    let applied = || DiskStore::open(&database, 3, SMALL).map(|disk| disk.kept());
    let blocks = database.partition(3);
    assert_eq!(applied(), Ok(Some(4)));
    blocks.set_root(b"no root").unwrap();
    assert_eq!(applied(), Ok(Some(3)), "the newest");
    let newest = super::snapshot::Pinned::all(&blocks).unwrap().pop().unwrap();
    // A block that only the newest names.
    let (run, _) = newest.list.state.unwrap();
    blocks.drop_run(run).unwrap();
    blocks.suspect().unwrap();
    assert_eq!(applied(), Ok(Some(2)), "the one before");
    assert_eq!(applied(), Ok(Some(2)), "and it stays so");
    let only = super::snapshot::Pinned::all(&blocks).unwrap().pop().unwrap();
    blocks.drop_run(only.list.state.unwrap().0).unwrap();
    blocks.suspect().unwrap();
    let before = blocks.runs().unwrap();
    assert!(matches!(applied(), Err(StoreError::Damaged(_))));
    assert_eq!(blocks.runs().unwrap(), before, "nothing is given up while there is nothing to go on from");
}

#[test]
fn a_copy_is_checked_as_one_and_a_hollow_snapshot_takes_the_place_of_none() {
    let dir = tempfile::tempdir().unwrap();
    let database = Database::open(&dir.path().join("store")).unwrap();
    let mut disk = DiskStore::open(&database, 3, SMALL).unwrap();
    disk.flush(1, beside(1).into()).unwrap();
    keep_root(&mut disk, described(1, 0));
    let (file, copy) =
        (dir.path().join("snapshots/3"), |disk: &DiskStore| disk.newest_apart().unwrap().run());
    copy(&disk).unwrap();
    let whole = std::fs::read(&file).unwrap();
    for end in [whole.len() - 1, whole.len() / 2, 0] {
        std::fs::write(&file, &whole[..end]).unwrap();
        copy(&disk).unwrap();
        assert!(std::fs::read(&file).unwrap() == whole, "shortened to {end}");
        let mut bent = whole.clone();
        bent[end] ^= 1;
        std::fs::write(&file, bent).unwrap();
        copy(&disk).unwrap();
        assert!(std::fs::read(&file).unwrap() == whole, "bent at {end}");
    }
    disk.flush(2, beside(2).into()).unwrap();
    keep_root(&mut disk, described(2, 0));
    disk.blocks.drop_run(disk.list.state.unwrap().0).unwrap();
    assert!(matches!(copy(&disk), Err(StoreError::Damaged(_))));
    assert!(std::fs::read(&file).unwrap() == whole);
}

#[test]
fn a_copy_that_has_no_room_is_not_begun() {
    let (dir, small) = (tempfile::tempdir().unwrap(), crate::small_disk::Small::mount());
    std::os::unix::fs::symlink(small.path(), dir.path().join("snapshots")).unwrap();
    let database = Database::open(&dir.path().join("store")).unwrap();
    let mut disk = DiskStore::open(&database, 3, SMALL).unwrap();
    disk.flush(1, beside(1).into()).unwrap();
    keep_root(&mut disk, described(1, 0));
    let error = disk.newest_apart().unwrap().run().unwrap_err().to_string();
    assert!(error.contains("bytes of free disk, there are 10"), "{error}");
    assert_eq!(std::fs::read_dir(small.path()).unwrap().count(), 0);
}

#[test]
fn a_store_that_has_no_room_beside_it_is_not_written_anew() {
    let (dir, small) = (tempfile::tempdir().unwrap(), crate::small_disk::Small::mount());
    let database = Database::open(dir.path()).unwrap();
    let rewrite = super::Rewrite::of(&database, 4).unwrap();
    let error = rewrite.run(&small.path().join("store.new")).unwrap_err().to_string();
    assert!(error.contains("bytes of free disk, there are 10"), "{error}");
    assert_eq!(std::fs::read_dir(small.path()).unwrap().count(), 0);
}

/// The process dies and comes back.
fn again(disk: DiskStore, database: &Database, ledger: &[Row]) -> DiskStore {
    drop(disk);
    let mut disk = DiskStore::open(database, 3, SMALL).unwrap();
    let from = usize::try_from(disk.kept().unwrap()).unwrap();
    disk.write(&ledger[from..]);
    disk
}

#[test]
fn enough_hashes_of_events_are_left() {
    let dir = tempfile::tempdir().unwrap();
    let mut disk = DiskStore::open(&Database::open(dir.path()).unwrap(), 3, SMALL).unwrap();
    disk.list.events = vec![(1, 8 * 400_000), (2, 8 * 400_000), (3, 8 * 400_000), (4, 8 * 300_000)];
    assert_eq!(disk.forget_events(), [1]);
    assert_eq!(disk.forget_events(), [0; 0]);
    assert_eq!(disk.list.events.len(), 3);
}
