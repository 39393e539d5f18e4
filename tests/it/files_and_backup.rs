//! One person's erasure over a database, archive files and a nightly backup: each target tells its own truth.

use std::fs::{self, File, FileTimes};
use std::path::Path;
use std::time::Duration;

use serde_json::{Value, json};

use super::world::{World, recorded};

/// How long the backup's last generation still has when the request is made.
const LEFT: Duration = Duration::from_secs(15);
const DAY: Duration = Duration::from_secs(86_400);

fn database(path: &Path) -> rusqlite::Connection {
    let shop = rusqlite::Connection::open(path).unwrap();
    shop.execute_batch("CREATE TABLE users (id INTEGER PRIMARY KEY, email TEXT); INSERT INTO users VALUES (4711, 'a'), (1, 'b')")
        .unwrap();
    shop
}

/// The request's targets by system, once `ripe` is content with them.
async fn targets(world: &World, path: &str, ripe: impl Fn(&dyn Fn(&str) -> String) -> bool) -> Value {
    let mut view = Value::Null;
    for _ in 0..1_200 {
        view = world.get(path).await.1;
        let outcome = |system: &str| {
            let all = view["targets"].as_array().cloned().unwrap_or_default();
            let one = all.into_iter().find(|t| t["system"] == system).unwrap_or_default();
            one["outcome"].as_str().unwrap_or_default().to_owned()
        };
        if ripe(&outcome) {
            return view;
        }
        tokio::time::sleep(Duration::from_millis(25)).await;
    }
    panic!("never came to rest: {view}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_person_goes_from_database_and_files_at_once_and_from_the_backup_when_it_is_seen_to_rotate() {
    let dir = tempfile::tempdir().unwrap();
    let (archive, nights) = (dir.path().join("archive"), dir.path().join("nights"));
    fs::create_dir_all(archive.join("dt=2026-01-01")).unwrap();
    fs::create_dir(&nights).unwrap();
    let other = "{\"user_id\": \"1\", \"seen\": true}\r\n";
    let lines = format!("{{\"user_id\":4711}}\n{other}{{\"user_id\":\"4711\",\"x\":1}}\n");
    let file = archive.join("dt=2026-01-01/events.jsonl");
    fs::write(&file, &lines).unwrap();
    fs::write(nights.join("1.dump"), "rows").unwrap();
    let generation = File::open(nights.join("1.dump")).unwrap();
    let made = generation.metadata().unwrap().modified().unwrap();
    generation.set_times(FileTimes::new().set_modified(made - DAY + LEFT)).unwrap();

    let world = World::start(dir.path()).await;
    let shop = database(&dir.path().join("shop.db"));
    world.set_up(&dir.path().join("shop.db")).await;
    for manifest in [
        json!({"system": "archive", "kind": "files", "mode": "enforce",
               "connection": {"url": format!("file://{}", archive.display())},
               "files": [{"path": "dt={date}/*.jsonl", "format": "jsonl", "match": {"user_id": "customer_id"}}]}),
        json!({"system": "nightly", "kind": "backup", "mode": "enforce", "expires": "1d", "erase_after": ["shop-db"],
               "connection": {"url": format!("file://{}", nights.display())}}),
    ] {
        let path = format!("/v1/systems/{}", manifest["system"].as_str().unwrap());
        let (status, answer) = world.put(&path, &manifest).await;
        assert!(status < 300, "{answer}");
    }
    let mut event = recorded("4711", 2, &["ads"], &json!(4711));
    let copies = event["data"]["copies"].as_array_mut().unwrap();
    copies.push(json!({"system": "archive", "dataset": "archive.events", "locator": {"user_id": 4711}}));
    copies.push(json!({"system": "nightly", "dataset": "nightly.dumps", "locator": {"id": 4711}}));
    assert_eq!(world.events(&[event]).await.1["accepted"], 1);

    let request = json!({"type": "erase", "subject": "customer_id:4711"});
    let (status, taken) = world.post("/v1/requests", &request).await;
    assert_eq!(status, 202, "{taken}");
    let path = format!("/v1/requests/{}", taken["id"].as_str().unwrap());
    let view = targets(&world, &path, |of| {
        of("shop-db") == "verified" && of("archive") == "verified" && of("nightly") == "residual"
    })
    .await;
    assert_eq!(fs::read_to_string(&file).unwrap(), other);
    assert_eq!(shop.query_row("SELECT count(*) FROM users", [], |r| r.get::<_, i64>(0)).unwrap(), 1);
    let nightly = view["targets"].as_array().unwrap().iter().find(|t| t["system"] == "nightly").unwrap();
    assert!(nightly["until"].is_string(), "{view}");

    // The next night's backup prolongs nothing; the old one goes, and that is what is seen.
    fs::write(nights.join("2.dump"), "rows of the others").unwrap();
    fs::remove_file(nights.join("1.dump")).unwrap();
    targets(&world, &path, |of| of("nightly") == "verified").await;
    world.stop().await;
}
