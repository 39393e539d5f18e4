//! A store that is mostly dead is written anew at a start, and is the same store, wherever the start is killed.

use std::path::Path;

use super::resume::{SMALL, busy, copy, image, opened, same};
use super::*;
use crate::store::Database;

/// A node's folder at rest, its ledger's beginning gone, with dead bytes in its store; and the node that it was.
async fn sparse() -> (World, tempfile::TempDir) {
    let mut w = world_of(SMALL).await;
    busy(&w).await;
    for id in [21, 22] {
        w.customer(id, 2, &["ads"]).await;
        w.node.take_snapshots(0).await.unwrap();
        w.node.give_up().await.unwrap();
    }
    w.customer(23, 2, &["ads"]).await;
    w.running.take().unwrap().stop().await.unwrap();
    let dir = image(w.dir.path(), "");
    let database = Database::open(&store(dir.path())).unwrap();
    let blocks = database.partition(1);
    // Nothing names it: the next start drops it.
    (0..3_000).for_each(|block| blocks.put(60_000, block, &[block as u8; 4_000]).unwrap());
    drop((database, blocks));
    (w, dir)
}

fn store(dir: &Path) -> std::path::PathBuf {
    dir.join("data/store")
}

fn taken(dir: &Path) -> u64 {
    std::fs::metadata(store(dir).join("db")).unwrap().len()
}

/// What was done to the folder when a start was killed.
type Case<'a> = (&'a str, &'a dyn Fn(&Path));

/// Nothing is beside the store but what belongs there.
fn is_tidy(dir: &Path) -> bool {
    ["store.new", "store.aside"].iter().all(|left| !dir.join("data").join(left).exists())
}

/// Opened, written anew if it is worth it, and not run.
async fn rewriting(dir: &Path, store: crate::store::Sizes) -> Arc<Node> {
    let (keys, _) = Keys::load_or_create(&dir.join("tenant.key")).unwrap();
    let at = NodeOptions::at(dir.join("data"));
    let options = NodeOptions { settle_ms: 0, store, rewrite_above: 1 << 20, ..at };
    Node::open(options, keys, Arc::new(SystemClock::new())).await.unwrap()
}

fn is_the_same(node: &Node, w: &World) {
    same(node, &w.node);
    assert_eq!(node.state_digest(), w.node.state_digest());
    for (here, there) in node.partitions.iter().zip(w.node.partitions.iter()) {
        assert_eq!(here.snapshots(), there.snapshots());
        assert_eq!(here.snapshots().len(), 2);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_store_that_is_mostly_dead_shrinks_and_knows_all_the_same() {
    let (w, dir) = sparse().await;
    let before = taken(dir.path());
    let as_it_was = image(dir.path(), "");
    is_the_same(&*opened(as_it_was.path(), SMALL).await, &w);
    assert!(taken(as_it_was.path()) >= before, "smaller ones than the option says stay as they are");

    let node = rewriting(dir.path(), SMALL).await;
    is_the_same(&node, &w);
    assert_eq!(node.read_at_start(), 0, "it goes on from the root that it had");
    assert!(taken(dir.path()) * 4 < before, "{} of {before} bytes", taken(dir.path()));
    assert!(is_tidy(dir.path()));
    // It is whole, and can be written to.
    let running = node.start().await.unwrap();
    let id = node.keys.subject_key("customer_id", "21");
    let (request, _) = node.receive_request(RequestOrder::of(RequestKind::Erase, id)).await.unwrap();
    running.stop().await.unwrap();
    let digest = node.state_digest();
    drop(node);
    let node = opened(image(dir.path(), "").path(), SMALL).await;
    assert_eq!(node.state_digest(), digest);
    assert!(node.request(&request.id).is_ok());
}

#[tokio::test(flavor = "multi_thread")]
async fn wherever_the_exchange_is_cut_off_there_is_one_whole_store() {
    let (w, dir) = sparse().await;
    let written = image(dir.path(), "");
    let node = rewriting(written.path(), SMALL).await;
    node.ledger().close().await.unwrap();
    drop(node);
    let anew = store(written.path());
    let cases: [Case<'_>; 6] = [
        ("half of it is written", &|data| {
            copy(&anew, &data.join("store.new"), "db");
            std::fs::write(data.join("store.new/db"), b"torn").unwrap();
        }),
        ("all of it is written", &|data| copy(&anew, &data.join("store.new"), "")),
        ("the store was put aside", &|data| {
            copy(&anew, &data.join("store.new"), "");
            std::fs::rename(data.join("store"), data.join("store.aside")).unwrap();
        }),
        ("…and the other is not there", &|data| {
            std::fs::rename(data.join("store"), data.join("store.aside")).unwrap();
        }),
        ("the other is in its place", &|data| {
            std::fs::rename(data.join("store"), data.join("store.aside")).unwrap();
            copy(&anew, &data.join("store"), "");
        }),
        ("…and cannot be opened", &|data| {
            std::fs::rename(data.join("store"), data.join("store.aside")).unwrap();
            copy(&anew, &data.join("store"), "");
            std::fs::write(data.join("store/conf"), b"nothing that sled ever wrote").unwrap();
            // What the store is made of otherwise.
            std::fs::remove_dir_all(data.join("snapshots")).unwrap();
        }),
    ];
    for (case, cut_off) in cases {
        let killed = image(dir.path(), "");
        cut_off(&killed.path().join("data"));
        let once_more = image(killed.path(), "");
        let node = opened(killed.path(), SMALL).await;
        is_the_same(&node, &w);
        assert_eq!(node.read_at_start(), 0, "{case}");
        assert!(is_tidy(killed.path()), "{case}");
        is_the_same(&*rewriting(once_more.path(), SMALL).await, &w);
        assert!(is_tidy(once_more.path()), "{case}");
        assert!(taken(once_more.path()) * 4 < taken(dir.path()), "{case}");
    }
}
