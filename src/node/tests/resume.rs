//! A start that goes on where the store stands knows what a start from the whole ledger knows.

use std::path::Path;

use quietus_core::engine::{Duties, State};

use super::*;
use crate::partition::Inner;
use crate::store::{Database, Sizes};

/// Flushes come every few rows and merges every few flushes.
pub(super) const SMALL: Sizes = Sizes {
    flush_rows: 6,
    flush_frames: 50,
    fan_in: 3,
    run_rows: 9,
    slice_rows: 5,
    laid_from: 2,
    apart: 2,
    duties_held: 0,
};

/// Both know all the same: states word by word, digests, chains.
pub(super) fn same(one: &Node, other: &Node) {
    for (one, other) in one.partitions.iter().zip(other.partitions.iter()) {
        let (digests, one, other) = ((one.digest(), other.digest()), one.read(), other.read());
        let (left, right) = (words(&one), words(&other));
        let differs = left.lines().zip(right.lines()).enumerate().find(|(_, (left, right))| left != right);
        assert!(left == right, "{differs:?}");
        assert_eq!(digests.0, digests.1);
        assert_eq!(one.chain.entries(), other.chain.entries());
        assert_eq!((one.chain.head(), one.chain.root()), (other.chain.head(), other.chain.root()));
        assert_eq!(one.chain.decisions(), other.chain.decisions());
    }
}

fn words(inner: &Inner) -> String {
    let state = State { duties: Duties::default(), ..inner.state.clone() };
    let mut words = format!("{state:#?} {:#?}", inner.state.duties.tallies().collect::<Vec<_>>());
    inner.each_duty(&mut |duty| words += &format!("\n{duty:#?}"));
    words
}

/// The folder as it lies there now, as a killed node would leave it; `without` one of its parts.
pub(super) fn image(dir: &Path, without: &str) -> tempfile::TempDir {
    let to = tempfile::tempdir().unwrap();
    copy(dir, to.path(), without);
    to
}

pub(super) fn copy(from: &Path, to: &Path, without: &str) {
    std::fs::create_dir_all(to).unwrap();
    for entry in std::fs::read_dir(from).unwrap().map(Result::unwrap).filter(|e| e.file_name() != without) {
        let to = to.join(entry.file_name());
        match entry.file_type().unwrap().is_dir() {
            true => copy(&entry.path(), &to, without),
            false => drop(std::fs::copy(entry.path(), to).unwrap()),
        }
    }
}

/// Opened and not run.
pub(super) async fn opened(dir: &Path, store: Sizes) -> Arc<Node> {
    let (keys, _) = Keys::load_or_create(&dir.join("tenant.key")).unwrap();
    let options = NodeOptions { settle_ms: 0, store, ..NodeOptions::at(dir.join("data")) };
    Node::open(options, keys, Arc::new(SystemClock::new())).await.unwrap()
}

async fn rebuilt(dir: &Path) -> Arc<Node> {
    opened(image(dir, "store").path(), Sizes::default()).await
}

fn event(id: &str) -> String {
    let at = "2026-01-01T00:00:00Z";
    serde_json::json!([{
        "specversion": "1.0", "id": id, "source": "/tests", "type": "quietus.item.recorded.v1", "time": at,
        "data": {"item": "i1", "subject": "customer_id:77", "category": "user.contact.email",
            "purposes": ["service"], "recorded_at": at,
            "copies": [{"system": "shop-db", "dataset": "shop.users", "locator": {"id": 77}}]}
    }])
    .to_string()
}

const BATCH: &str = "application/cloudevents-batch+json";

/// Items, a sweep that erases, a request, a hold on everything: duties that ended and duties that stand.
pub(super) async fn busy(w: &World) {
    for id in 1..=12 {
        w.customer(id, if id % 2 == 0 { 40 } else { 2 }, &["service"]).await;
    }
    let asks = w.customer(13, 2, &["ads"]).await;
    w.sweep().await;
    w.answered(RequestOrder::of(RequestKind::Erase, asks.subject), 1).await;
    let scope = quietus_core::hold::Scope { all: true, ..Default::default() };
    w.node.place_hold(court_order(scope), Duration::from_secs(5)).await.unwrap();
    w.customer(14, 40, &["service"]).await;
    w.sweep().await;
    assert_eq!(w.node.take_events(BATCH, event("e1").as_bytes()).await.unwrap().duplicates, 0);
}

fn frames(node: &Node) -> u64 {
    node.partitions.iter().map(|p| p.applied()).sum()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_start_goes_on_from_the_last_root_and_knows_all_the_same() {
    let mut w = world_of(SMALL).await;
    busy(&w).await;
    let killed = image(w.dir.path(), "");
    let node = opened(killed.path(), SMALL).await;
    let whole = rebuilt(killed.path()).await;
    same(&node, &whole);
    assert!(node.read_at_start() < whole.read_at_start(), "{} frames", node.read_at_start());
    assert_eq!(whole.read_at_start(), frames(&whole));
    let duties = |p: &Arc<Partition>| p.read().state.duties.tallies().map(|(_, _, n)| n).sum::<u64>();
    assert!(node.partitions.iter().map(duties).sum::<u64>() > 3);

    w.running.take().unwrap().stop().await.unwrap();
    let stopped = image(w.dir.path(), "");
    let node = opened(stopped.path(), SMALL).await;
    same(&node, &*rebuilt(stopped.path()).await);
    assert_eq!(node.read_at_start(), 0, "nothing came after the last root");
    let taken = node.take_events(BATCH, event("e1").as_bytes()).await.unwrap();
    assert_eq!((taken.accepted, taken.duplicates), (1, 1), "what was taken in before is known");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_decided_is_kept_however_few_the_rows() {
    let w = world_of(Sizes::default()).await;
    busy(&w).await;
    w.node.partitions.iter().for_each(|partition| partition.keep_news(&crate::ledger::codec::Avro).unwrap());
    let killed = image(w.dir.path(), "");
    let node = opened(killed.path(), Sizes::default()).await;
    let whole = rebuilt(killed.path()).await;
    same(&node, &whole);
    assert!(node.read_at_start() * 2 < whole.read_at_start(), "{} frames", node.read_at_start());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_store_that_the_ledger_does_not_bear_out_is_built_anew() {
    let (mut w, mut other) = (world_of(SMALL).await, world_of(SMALL).await);
    w.customer(99, 2, &["service"]).await;
    let early = image(w.dir.path(), "store");
    busy(&w).await;
    busy(&other).await;
    w.running.take().unwrap().stop().await.unwrap();
    other.running.take().unwrap().stop().await.unwrap();
    let whole = rebuilt(w.dir.path()).await;
    let store = |dir: &Path| dir.join("data/store");

    let foreign = image(w.dir.path(), "store");
    copy(&store(other.dir.path()), &store(foreign.path()), "");
    let damaged = image(w.dir.path(), "");
    let root = Database::open(&store(damaged.path())).unwrap();
    root.partition(2).set_root(b"no root").unwrap();
    drop(root);
    let torn = image(w.dir.path(), "store");
    copy(&store(w.dir.path()), &store(torn.path()), "");
    std::fs::write(store(torn.path()).join("conf"), b"nothing that sled ever wrote").unwrap();
    for dir in [&foreign, &damaged, &torn] {
        let node = opened(dir.path(), SMALL).await;
        same(&node, &whole);
        assert_eq!(node.read_at_start(), whole.read_at_start());
    }
    // The ledger was put back from an older copy, the store was not.
    let back = image(early.path(), "");
    copy(&store(w.dir.path()), &store(back.path()), "");
    let node = opened(back.path(), SMALL).await;
    same(&node, &*opened(early.path(), Sizes::default()).await);
}
