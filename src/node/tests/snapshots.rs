//! Snapshots and the ledger's beginning: what a start, a look back, a certificate and a check need of what is gone.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use super::resume::{SMALL, busy, copy, image, opened, same};
use super::*;
use crate::audit::Subject;
use crate::ledger::Stream;
use crate::node::{Evidence, Held, Replayed, Signed, replay_dir};
use crate::store::Database;

/// A node that ran for a while, and whose beginning is gone: a request before it, a request after it.
async fn forgetful() -> (World, String, String) {
    let w = world_of(SMALL).await;
    busy(&w).await;
    let early = request(&w, 21).await;
    forgotten(&w).await;
    let late = request(&w, 22).await;
    assert!(forgotten(&w).await > 0);
    (w, early, late)
}

/// Snapshots, and the ledger without what lies below the older ones: how many segments went.
async fn forgotten(w: &World) -> u64 {
    w.node.take_snapshots(0).await.unwrap();
    w.node.give_up().await.unwrap()
}

async fn request(w: &World, id: i64) -> String {
    let item = w.customer(id, 2, &["ads"]).await;
    w.node.receive_request(RequestOrder::of(RequestKind::Erase, item.subject)).await.unwrap().0.id
}

async fn stopped(w: &mut World) -> tempfile::TempDir {
    w.running.take().unwrap().stop().await.unwrap();
    image(w.dir.path(), "")
}

fn verified(dir: &Path) -> Result<Replayed, NodeError> {
    let tenant_key = Some(dir.join("tenant.key"));
    replay_dir(&dir.join("data"), &Evidence { tenant_key, ..Evidence::default() })
}

/// Why it does not start.
async fn refused(dir: &Path) -> NodeError {
    let (keys, _) = Keys::load_or_create(&dir.join("tenant.key")).unwrap();
    let options = NodeOptions { settle_ms: 0, ..NodeOptions::at(dir.join("data")) };
    Node::open(options, keys, Arc::new(SystemClock::new())).await.map(drop).unwrap_err()
}

/// What a start must leave as it is when it is refused: every file of its folder but the ledger's.
fn files(dir: &Path) -> BTreeMap<PathBuf, Vec<u8>> {
    let mut found = BTreeMap::new();
    for path in std::fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().path()) {
        match path.is_dir() {
            true if path.ends_with("ledger") => {}
            true => found.extend(files(&path)),
            false => drop(found.insert(path.clone(), std::fs::read(&path).unwrap())),
        }
    }
    found
}

fn unchanged(before: &BTreeMap<PathBuf, Vec<u8>>, dir: &Path) {
    let after = files(&dir.join("data"));
    assert_eq!(before.keys().collect::<Vec<_>>(), after.keys().collect::<Vec<_>>());
    before.iter().for_each(|(path, bytes)| assert!(after[path] == *bytes, "{path:?}"));
}

/// A store that sled does not open, as a crash leaves it.
fn tear(dir: &Path) {
    std::fs::write(dir.join("data/store/conf"), b"nothing that sled ever wrote").unwrap();
    super::super::rest::remove(&dir.join("data/store")).unwrap();
}

fn firsts(node: &Node) -> Vec<u64> {
    node.partitions.iter().map(|p| node.ledger().first(Stream::Partition(p.index())).unwrap()).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_truncated_ledger_and_its_store_know_what_the_whole_one_did() {
    let (mut w, ..) = forgetful().await;
    assert!(firsts(&w.node).iter().all(|first| *first > 0), "{:?}", firsts(&w.node));
    let killed = image(w.dir.path(), "");
    let again = opened(killed.path(), SMALL).await;
    assert_eq!(again.state_digest(), w.node.state_digest());
    drop(again);

    let stopped = stopped(&mut w).await;
    let node = opened(stopped.path(), SMALL).await;
    same(&node, &w.node);
    assert_eq!(node.with_control(|c| c.k), w.node.with_control(|c| c.k));
    assert_eq!(node.with_control(|c| c.holds.len()), 1, "what is in force is known however old it is");
    node.ledger().close().await.unwrap();

    let read = verified(stopped.path()).unwrap();
    assert_eq!(read.digest, w.node.state_digest());
    assert_eq!(read.stored, Held::Frames(w.node.partitions.iter().map(|p| p.applied()).sum()));
    assert_eq!(read.signed, Signed::Entries(read.entries));
    assert!(read.from.iter().sum::<u64>() > 0 && read.from.iter().sum::<u64>() < read.entries, "{read:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_forgotten_is_no_longer_known_and_never_answered_wrongly() {
    let w = world_of(SMALL).await;
    let item = w.customer(1, 2, &["service"]).await;
    let early = request(&w, 21).await;
    let then = w.node.now();
    // A tick lies between what was then and what follows.
    tokio::time::sleep(Duration::from_millis(2_200)).await;
    forgotten(&w).await;
    tokio::time::sleep(Duration::from_millis(1_200)).await;
    let since = w.node.now();
    let late = request(&w, 22).await;
    let whole = w.node.explain(item, Some(then)).unwrap().unwrap();
    assert!(forgotten(&w).await > 0);

    let gone = w.node.explain(item, Some(then));
    assert!(
        matches!(&gone, Err(NodeError::NotFound { what }) if what.contains("no longer known")),
        "{gone:?}"
    );
    let known = w.node.explain(item, Some(since)).unwrap().unwrap();
    assert_eq!((known.verdict.due, &known.places), (whole.verdict.due, &whole.places));
    assert!(w.node.certificate(&Subject::Request(late)).is_ok());
    let gone = w.node.certificate(&Subject::Request(early));
    assert!(matches!(&gone, Err(NodeError::Conflict { code: "ledger-truncated", .. })), "{gone:?}");
    let age = w.node.oldest_forgettable().unwrap().0;
    assert!(age < w.node.now().0 - then.0, "{age} ms");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_ledger_keeps_its_beginning_unless_it_is_asked_to_let_it_go() {
    let mut w = world_of(SMALL).await;
    busy(&w).await;
    let early = request(&w, 21).await;
    w.node.take_snapshots(0).await.unwrap();
    let mut stopped = stopped(&mut w).await;
    let open = async |dir: &Path, truncate, snapshot_every_ms| {
        let (keys, _) = Keys::load_or_create(&dir.join("tenant.key")).unwrap();
        let at = NodeOptions::at(dir.join("data"));
        let options = NodeOptions { settle_ms: 0, store: SMALL, snapshot_every_ms, truncate, ..at };
        Node::open(options, keys, Arc::new(SystemClock::new())).await.unwrap()
    };
    for truncate in [false, true] {
        let node = open(stopped.path(), truncate, 1_000).await;
        let (running, began) = (node.start().await.unwrap(), node.now().0);
        let oldest = || node.now().0 - node.oldest_forgettable().unwrap().0;
        let is_over = || {
            let lately = |p: &Arc<Partition>| p.snapshots().len() == 2 && p.snapshots()[0].at > began;
            node.partitions.iter().all(lately) && (!truncate || oldest() > began)
        };
        for _ in 0..200 {
            if is_over() {
                break;
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        let kept = || node.partitions.iter().map(|p| p.snapshots()).collect::<Vec<_>>();
        assert!(is_over(), "{truncate}: {began} {} {:?}", oldest(), kept());
        let certificate = node.certificate(&Subject::Request(early.clone()));
        assert_eq!(certificate.is_err(), truncate, "{certificate:?}");
        assert_eq!(firsts(&node).iter().all(|first| *first == 0), !truncate, "{:?}", firsts(&node));
        assert_eq!(oldest() < began, !truncate);
        running.stop().await.unwrap();
        stopped = image(stopped.path(), "");
    }
    // Whoever runs it now: what it lost is in the store alone.
    let copies = stopped.path().join("data/snapshots");
    std::fs::remove_dir_all(&copies).unwrap();
    let running = open(stopped.path(), false, 7 * 86_400_000).await.start().await.unwrap();
    let kept = || std::fs::read_dir(&copies).map_or(0, |found| found.count());
    for _ in 0..200 {
        if kept() == 4 {
            break;
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    running.stop().await.unwrap();
    assert_eq!(kept(), 4);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_damaged_root_goes_back_to_a_snapshot_and_reads_the_ledger_from_there() {
    let (mut w, ..) = forgetful().await;
    request(&w, 23).await;
    let stopped = stopped(&mut w).await;
    let (torn, suspect) = (image(stopped.path(), ""), image(stopped.path(), ""));
    let store = |dir: &Path| Database::open(&dir.join("data/store")).unwrap();
    store(torn.path()).partition(1).set_root(b"no root").unwrap();
    (0..4).for_each(|p| store(suspect.path()).partition(p).suspect().unwrap());
    for dir in [torn, suspect] {
        // As after a crash: no orderly stop says where the store was left.
        super::super::rest::remove(&dir.path().join("data/store")).unwrap();
        let Held::Otherwise(findings) = verified(dir.path()).unwrap().stored else { panic!("nothing found") };
        assert!(findings.iter().any(|f| f.contains("goes back to a snapshot")), "{findings:?}");
        let node = opened(dir.path(), SMALL).await;
        same(&node, &w.node);
        assert!(node.read_at_start() > 0);
        assert_eq!(node.state_digest(), w.node.state_digest());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_database_that_does_not_open_is_made_anew_of_the_copies_of_its_snapshots() {
    let (mut w, ..) = forgetful().await;
    request(&w, 23).await;
    let stopped = stopped(&mut w).await;
    let (without, torn) = (image(stopped.path(), "store"), image(stopped.path(), ""));
    std::fs::write(torn.path().join("data/store/conf"), b"nothing that sled ever wrote").unwrap();
    let read = verified(torn.path()).unwrap();
    assert_eq!(read.digest, w.node.state_digest());
    assert!(
        matches!(&read.stored, Held::Otherwise(what) if what[0].contains("corrupted")),
        "{:?}",
        read.stored
    );
    let killed = image(torn.path(), "");
    for dir in [&without, &torn] {
        let node = opened(dir.path(), SMALL).await;
        same(&node, &w.node);
        assert!(node.read_at_start() > 0);
        assert_eq!(node.state_digest(), w.node.state_digest());
    }
    // A start that was killed when it had put the store aside, and one when the other was in its place.
    let (data, aside) = (killed.path().join("data"), killed.path().join("data/store.aside"));
    std::fs::rename(data.join("store"), &aside).unwrap();
    std::fs::write(data.join("snapshots/2.new"), b"half a copy").unwrap();
    for _ in 0..2 {
        let node = opened(killed.path(), SMALL).await;
        assert_eq!(node.state_digest(), w.node.state_digest());
        assert!(!aside.exists() && !data.join("snapshots/2.new").exists());
        node.ledger().close().await.unwrap();
        drop(node);
        std::fs::create_dir(&aside).unwrap();
    }
    // A copy that is not whole is none, and nothing is touched.
    let whole = std::fs::read(stopped.path().join("data/snapshots/2")).unwrap();
    for at in [0, whole.len() / 2, whole.len() - 1] {
        let bent = image(stopped.path(), "");
        let mut bytes = whole.clone();
        bytes[at] ^= 1;
        std::fs::write(bent.path().join("data/snapshots/2"), bytes).unwrap();
        tear(bent.path());
        let before = files(&bent.path().join("data"));
        let error = refused(bent.path()).await;
        assert!(matches!(error, NodeError::Refused { code: "store-lost", .. }), "{at}: {error:?}");
        unchanged(&before, bent.path());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn copies_that_are_not_this_ledgers_replace_no_store() {
    let (w, ..) = forgetful().await;
    let older = image(w.dir.path(), "");
    request(&w, 23).await;
    forgotten(&w).await;
    let newer = image(w.dir.path(), "");
    let restored = image(older.path(), "snapshots");
    copy(&newer.path().join("data/snapshots"), &restored.path().join("data/snapshots"), "");
    let foreign = image(newer.path(), "tenant.key");
    for (dir, says) in [(restored, "seen more of the ledger"), (foreign, "another key")] {
        tear(dir.path());
        let before = files(&dir.path().join("data"));
        let error = refused(dir.path()).await;
        assert!(matches!(error, NodeError::Refused { code: "store-lost", .. }), "{error:?}");
        assert!(error.to_string().contains(says), "{error}");
        unchanged(&before, dir.path());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_store_that_nothing_can_bring_back_is_left_as_it_is() {
    let (mut w, ..) = forgetful().await;
    let stopped = stopped(&mut w).await;
    std::fs::remove_dir_all(stopped.path().join("data/snapshots")).unwrap();
    let without = image(stopped.path(), "store");
    let torn = image(stopped.path(), "");
    std::fs::write(torn.path().join("data/store/conf"), b"nothing that sled ever wrote").unwrap();
    let foreign = image(stopped.path(), "tenant.key");
    for (dir, says) in
        [(&without, "before the ledger begins"), (&torn, "corrupted"), (&foreign, "another key")]
    {
        let error = refused(dir.path()).await;
        assert!(matches!(error, NodeError::Refused { code: "store-lost", .. }), "{error:?}");
        assert!(error.to_string().contains(says), "{error}");
    }
    let rootless = image(stopped.path(), "");
    let runs = || {
        let blocks = Database::open(&rootless.path().join("data/store")).unwrap().partition(1);
        blocks
            .remove_root()
            .and_then(|()| blocks.remove_snapshot(1))
            .and_then(|()| blocks.remove_snapshot(2))
            .unwrap();
        blocks.runs().unwrap()
    };
    let before = runs();
    let error = refused(rootless.path()).await;
    assert!(matches!(error, NodeError::Refused { code: "store-lost", .. }), "{error:?}");
    assert!(!before.is_empty() && runs() == before, "runs that nothing names any more are left too");
    // What was refused was not touched.
    copy(&stopped.path().join("data/store"), &without.path().join("data/store"), "");
    copy(stopped.path(), foreign.path(), "data");
    std::fs::copy(stopped.path().join("data/store/conf"), torn.path().join("data/store/conf")).unwrap();
    for dir in [without, torn, foreign] {
        assert_eq!(opened(dir.path(), SMALL).await.state_digest(), w.node.state_digest());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn how_old_a_ledger_is_that_cannot_be_read_is_not_known() {
    let (mut w, ..) = forgetful().await;
    let stopped = stopped(&mut w).await;
    let node = opened(stopped.path(), SMALL).await;
    std::fs::remove_dir_all(stopped.path().join("data/ledger")).unwrap();
    assert_eq!(node.oldest_forgettable(), None);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_changed_byte_of_what_is_left_is_found() {
    let (mut w, ..) = forgetful().await;
    let stopped = stopped(&mut w).await;
    let ledger = stopped.path().join("data/ledger");
    let names = std::fs::read_dir(&ledger).unwrap().map(|entry| entry.unwrap().path());
    let names: Vec<_> = names.filter(|path| path.metadata().unwrap().len() > 0).collect();
    assert!(names.iter().any(|name| name.extension().is_some_and(|e| e == "kept")), "{names:?}");
    for name in names {
        let good = std::fs::read(&name).unwrap();
        for at in [good.len() / 3, good.len() / 2, good.len() - 1] {
            let mut bad = good.clone();
            bad[at] ^= 1;
            std::fs::write(&name, &bad).unwrap();
            let error = verified(stopped.path()).unwrap_err();
            assert!(matches!(error, NodeError::Ledger(LedgerError::Damaged(_))), "{name:?} {at}: {error}");
        }
        std::fs::write(&name, &good).unwrap();
    }
    let checkpoint = stopped.path().join("data/checkpoint");
    let good = std::fs::read_to_string(&checkpoint).unwrap();
    std::fs::write(&checkpoint, good.replacen('\n', "\nx", 2)).unwrap();
    assert!(matches!(verified(stopped.path()).unwrap().signed, Signed::Otherwise(_)));
    std::fs::write(&checkpoint, good).unwrap();
    verified(stopped.path()).unwrap();

    let without = image(stopped.path(), "store");
    let read = verified(without.path()).unwrap();
    assert!(
        matches!(&read.stored, Held::Otherwise(what) if what[0].contains("it is not there")),
        "{:?}",
        read.stored
    );
    std::fs::remove_dir_all(without.path().join("data/snapshots")).unwrap();
    let unknown = verified(without.path()).unwrap_err();
    assert!(matches!(unknown, NodeError::Refused { code: "ledger-truncated", .. }), "{unknown}");
}
