//! A full disk: what is not durable is refused, what was acknowledged is there after a restart.

use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::json;

use crate::world::{World, recorded};

/// A small file system of its own; where mounting is refused, the test fails.
struct Small(PathBuf);

impl Small {
    fn mount(at: &Path) -> Self {
        std::fs::create_dir_all(at).unwrap();
        let done = Command::new("mount").args(["-t", "tmpfs", "-o", "size=768k", "tmpfs"]).arg(at).status();
        assert!(
            done.is_ok_and(|s| s.success()),
            "this test mounts a tmpfs: run it as root, or in a container that may"
        );
        Self(at.to_owned())
    }
}

impl Drop for Small {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("-l").arg(&self.0).status();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_full_disk_refuses_and_loses_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let small = Small::mount(&folder.path().join("small"));
    let shop = tempfile::tempdir().unwrap();
    let database = shop.path().join("shop.db");
    let db = rusqlite::Connection::open(&database).unwrap();
    db.execute_batch("CREATE TABLE users (id INTEGER PRIMARY KEY, email TEXT)").unwrap();
    // Something else fills the disk, and goes again.
    let ballast = small.0.join("ballast");
    let world = World::start(&small.0).await;
    world.set_up(&database).await;
    std::fs::write(&ballast, vec![0; 256 << 10]).unwrap();
    let mut acknowledged = Vec::new();
    let mut refused = None;
    for batch in 0..400 {
        let ids: Vec<i64> = (batch * 50..batch * 50 + 50).collect();
        let events: Vec<_> =
            ids.iter().map(|id| recorded(&id.to_string(), 40, &["ads"], &json!(id))).collect();
        let (status, answer) = world.events(&events).await;
        match status {
            202 => acknowledged.extend(ids),
            other => {
                refused = Some((other, answer));
                break;
            }
        }
    }
    let (status, answer) = refused.expect("768 KiB take no 20,000 events");
    assert_eq!(status, 507, "{answer}");
    assert_eq!(answer["code"], "disk-full", "{answer}");
    let (status, answer) = world.get("/readyz").await;
    assert_eq!(status, 503, "{answer}");
    assert!(!acknowledged.is_empty());
    world.stop().await;

    std::fs::remove_file(&ballast).unwrap();
    let world = World::start(&small.0).await;
    let (status, answer) = world.get("/readyz").await;
    assert_eq!(status, 200, "{answer}");
    let (status, answer) = world.events(&[recorded("900001", 40, &["ads"], &json!(900_001))]).await;
    assert_eq!(status, 202, "{answer}");
    for id in acknowledged.iter().step_by(7).chain(acknowledged.last()) {
        let (_, found) =
            world.post("/v1/items/lookup", &json!({"subject": format!("customer_id:{id}")})).await;
        assert_eq!(
            found["items"].as_array().map(Vec::len),
            Some(1),
            "customer {id} was acknowledged: {found}"
        );
    }
    world.stop().await;
}
