//! The end of evidence on a running node: known to nobody, gone from the store's files, and the same after any start.

use std::path::Path;

use quietus_core::record::EvidenceEnded;

use super::resume::{SMALL, image, opened, same};
use super::*;
use crate::audit::Subject;
use crate::ledger::codec::Avro;
use crate::node::{Evidence, Held, Wanted, replay_dir};
use crate::store::Database;

/// Values in the store's files that hold these bytes.
fn holding(dir: &Path, needle: &[u8]) -> usize {
    let copy = image(&dir.join("data/store"), "");
    let database = Database::open(copy.path()).unwrap();
    let mut found = 0;
    for index in 0..4 {
        let blocks = database.partition(index);
        for run in blocks.runs().unwrap() {
            let values = blocks.of_run(run).map(|entry| entry.unwrap().1);
            found += values.filter(|v| v.windows(needle.len()).any(|part| part == needle)).count();
        }
    }
    found
}

const FOLDER: &str = "QUIETUS_TEST_FOLDER";

/// Opens the node in this folder in a process of its own, which kills itself at this point of its stores' merges.
fn tidied_until(point: &str, dir: &Path) {
    let this = std::env::current_exe().unwrap();
    let of = ["--exact", "node::tests::evidence::merges_what_lies_in_a_folder", "--ignored", "--nocapture"];
    let mut child = std::process::Command::new(this);
    let ended = child.args(of).env("QUIETUS_KILL_AT", point).env(FOLDER, dir).output().unwrap();
    let said = String::from_utf8_lossy(&ended.stderr);
    assert!(!ended.status.success() && said.contains(point), "{point}: {:?} {said}", ended.status);
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "a process that another test starts, and that is killed"]
async fn merges_what_lies_in_a_folder() {
    let Some(dir) = std::env::var_os(FOLDER) else { return };
    let node = opened(Path::new(&dir), SMALL).await;
    node.partitions.iter().for_each(|p| while p.tidy().unwrap() {});
}

#[tokio::test(flavor = "multi_thread")]
async fn what_evidence_has_ended_of_is_known_to_nobody_and_leaves_the_disk() {
    let mut w = world_of(SMALL).await;
    let mut items = Vec::new();
    for id in 1..=12 {
        items.push(w.customer(id, if id % 2 == 0 { 40 } else { 2 }, &["service"]).await);
    }
    w.sweep().await;
    let asks = w.customer(13, 2, &["ads"]).await;
    let (request, _) = w.answered(RequestOrder::of(RequestKind::Erase, asks.subject), 1).await;
    let (lives, erased): (Vec<_>, Vec<_>) =
        items.iter().partition(|id| w.node.item_view(**id).unwrap().state == "live");
    assert_eq!((lives.len(), erased.len()), (6, 6));
    let keep = |node: &Node| {
        node.partitions.iter().for_each(|p| assert!(p.keep(&Avro).is_ok()));
    };
    keep(&w.node);
    let gone: Vec<_> = erased.into_iter().chain([asks]).collect();
    assert!(gone.iter().all(|id| holding(w.dir.path(), &id.subject.0) > 0));

    tokio::time::sleep(Duration::from_millis(5)).await;
    let then = w.node.now();
    crate::schedule::ticks::tick_all(&w.node).await.unwrap();
    // Past the date by which the request had to be answered.
    let record = EvidenceEnded { before: then.plus(60 * Millis::DAY).0, at: then.0 };
    let k = w.node.decree(Record::EvidenceEnded(record)).await.unwrap();
    w.node.has_come_through(k).await;
    let unknown = |node: &Node| {
        for id in &gone {
            assert!(node.item_view(*id).is_none() && node.find(&Wanted::Subject(id.subject)).is_empty());
            assert!(node.partition_of(id.subject).read().store.subject(id.subject).is_none());
            assert!(node.partition_of(id.subject).read().store.identity(id.subject).is_none());
            assert!(node.partition_of(id.subject).read().duties_of(*id).is_empty());
        }
        assert!(lives.iter().all(|id| node.item_view(*id).unwrap().state == "live"));
        assert!(node.request(&request.id).is_err());
        let duties = |p: &Arc<Partition>| p.read().state.duties.tallies().map(|(_, _, n)| n).sum::<u64>();
        assert_eq!(node.partitions.iter().map(duties).sum::<u64>(), 0);
    };
    unknown(&w.node);
    assert!(w.node.certificate(&Subject::Request(request.id.clone())).is_err());
    let since = then.plus(-Millis::DAY);
    assert!(matches!(w.node.exposure("shop-db", since, then), Err(NodeError::NotFound { .. })));
    let again = w.node.reapply(since, None, false, None).await;
    assert!(matches!(again, Err(NodeError::NotFound { .. })), "{again:?}");

    // Before and after it left the disk.
    let killed = image(w.dir.path(), "");
    keep(&w.node);
    let flushed = image(w.dir.path(), "");
    w.running.take().unwrap().stop().await.unwrap();
    let tidied = image(w.dir.path(), "");
    let node = opened(tidied.path(), SMALL).await;
    node.partitions.iter().for_each(|p| while p.tidy().unwrap() {});
    unknown(&node);
    node.ledger().close().await.unwrap();
    drop(node);
    let left: Vec<usize> = gone.iter().map(|id| holding(tidied.path(), &id.subject.0)).collect();
    assert!(left.iter().all(|n| *n == 0), "{left:?}");
    // A build without debug assertions has no points.
    let points: &[&str] = match cfg!(debug_assertions) {
        true => &["AmidForgetting", "BeforeForgotten", "AfterForgotten"],
        false => &[],
    };
    for point in points {
        let cut_off = image(flushed.path(), "");
        tidied_until(point, cut_off.path());
        let node = opened(cut_off.path(), SMALL).await;
        assert_eq!(node.read_at_start(), 0, "{point}: it goes on from a root");
        unknown(&node);
        node.partitions.iter().for_each(|p| while p.tidy().unwrap() {});
        assert_eq!(node.state_digest(), w.node.state_digest(), "{point}");
        node.ledger().close().await.unwrap();
        drop(node);
        let left: Vec<usize> = gone.iter().map(|id| holding(cut_off.path(), &id.subject.0)).collect();
        assert!(left.iter().all(|n| *n == 0), "{point}: {left:?}");
    }
    for dir in [&killed, &flushed, &tidied, &image(w.dir.path(), ""), &image(w.dir.path(), "store")] {
        let node = opened(dir.path(), SMALL).await;
        unknown(&node);
    }
    let stopped = image(w.dir.path(), "");
    let read = replay_dir(
        &stopped.path().join("data"),
        &Evidence { tenant_key: Some(stopped.path().join("tenant.key")), ..Evidence::default() },
    );
    let read = read.unwrap();
    assert_eq!(read.digest, w.node.state_digest());
    assert!(matches!(read.stored, Held::Frames(_)), "{:?}", read.stored);
    let node = opened(stopped.path(), SMALL).await;
    same(&node, &w.node);
}
