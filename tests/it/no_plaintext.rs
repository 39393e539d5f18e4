//! Every byte a node wrote is searched for the identities it was told.

use std::path::Path;

use serde_json::json;

use crate::world::{World, recorded};

fn bytes_below(dir: &Path) -> Vec<(String, Vec<u8>)> {
    let mut all = Vec::new();
    for entry in std::fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            all.extend(bytes_below(&path));
        } else {
            all.push((path.display().to_string(), std::fs::read(&path).unwrap()));
        }
    }
    all
}

#[tokio::test(flavor = "multi_thread")]
async fn no_identity_stands_in_anything_that_was_written() {
    let folder = tempfile::tempdir().unwrap();
    let shop = tempfile::tempdir().unwrap();
    let database = shop.path().join("shop.db");
    let db = rusqlite::Connection::open(&database).unwrap();
    db.execute_batch("CREATE TABLE users (id TEXT PRIMARY KEY, email TEXT)").unwrap();
    let world = World::start(folder.path()).await;
    world.set_up(&database).await;
    let secrets: Vec<String> = (0..40).map(|n| format!("Zaphod-{n}-Beeblebrox")).collect();
    let mut events = Vec::new();
    for (n, secret) in secrets.iter().enumerate() {
        db.execute("INSERT INTO users VALUES (?1, ?2)", (secret, format!("{secret}@example.org"))).unwrap();
        let days = if n % 2 == 0 { 40 } else { 3 };
        let mut event = recorded(secret, days, &["service", "ads"], &json!(secret));
        event["id"] = json!(format!("e{n}"));
        events.push(event);
    }
    let (status, answer) = world.events(&events).await;
    assert_eq!((status, answer["accepted"].as_u64()), (202, Some(40)), "{answer}");
    let subject = format!("customer_id:{}", secrets[1]);
    let scope = json!({"subjects": [format!("customer_id:{}", secrets[2])]});
    let hold = json!({"matter": "m", "authority": "court", "owner": "legal", "reason": "suit", "review": "2030-01-01", "scope": scope});
    let (status, answer) = world.post("/v1/holds?wait=5s", &hold).await;
    assert_eq!(status, 201, "{answer}");
    let (status, answer) = world.post("/v1/requests", &json!({"type": "erase", "subject": subject})).await;
    assert_eq!(status, 202, "{answer}");
    world.sweep().await;
    let metrics = reqwest::get(format!("{}/metrics", world.url)).await.unwrap().bytes().await.unwrap();
    world.stop().await;

    let mut searched = bytes_below(folder.path());
    searched.push(("/metrics".to_owned(), metrics.to_vec()));
    assert!(searched.iter().any(|(name, bytes)| name.contains("ledger") && bytes.len() > 1000));
    let needles = secrets.iter().flat_map(|s| [s.clone(), s.to_lowercase()]).chain(["Beeblebrox".to_owned()]);
    for needle in needles {
        for (name, bytes) in &searched {
            let found = bytes.windows(needle.len()).any(|w| w == needle.as_bytes());
            assert!(!found, "an identity stands in clear in {name}");
        }
    }
}
