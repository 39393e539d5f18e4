//! A real PostgreSQL and its standby: nothing is verified that the standby still shows, and nothing is sent while it is too far
//! behind.

use std::time::Duration;

use quietus_test_servers::Postgres;
use serde_json::{Value, json};
use tokio_postgres::NoTls;

use crate::world::{World, recorded, shop};

async fn connect(url: &str) -> tokio_postgres::Client {
    let (client, connection) = tokio_postgres::connect(url, NoTls).await.unwrap();
    tokio::spawn(connection);
    client
}

async fn there(client: &tokio_postgres::Client, id: i64) -> i64 {
    client.query_one("SELECT count(*) FROM users WHERE id = $1", &[&id]).await.unwrap().get(0)
}

async fn outcome(world: &World, id: &str) -> Value {
    let body = json!({"system": "shop-db", "dataset": "shop.users", "locator": {"id": id}});
    world.post("/v1/items/lookup", &body).await.1["items"][0]["copies"][0]["outcome"].clone()
}

async fn becomes(world: &World, id: &str, wanted: &str) {
    for _ in 0..400 {
        if outcome(world, id).await == wanted {
            return;
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    panic!("{id} stands {}, not {wanted}", outcome(world, id).await);
}

fn manifest(system: &str, url: &str) -> Value {
    let mut manifest = shop(url);
    manifest["system"] = json!(system);
    manifest["kind"] = json!("postgres");
    manifest
}

#[tokio::test(flavor = "multi_thread")]
async fn a_standby_that_lags_verifies_nothing_and_stops_the_erasing() {
    let primary = Postgres::start().unwrap();
    let client = connect(&primary.url()).await;
    client
        .batch_execute(
            "CREATE TABLE users (id bigint PRIMARY KEY, email text);
             INSERT INTO users SELECT n, 'u' || n || '@example.org' FROM generate_series(1, 9) n",
        )
        .await
        .unwrap();
    let standby = primary.standby().unwrap();
    let follower = connect(&standby.url()).await;

    let folder = tempfile::tempdir().unwrap();
    let world = World::start(folder.path()).await;
    world.publish().await;
    let mut shop_db = manifest("shop-db", &primary.url());
    shop_db["verify_with"] = json!("shop-replica");
    world.register(&shop_db).await;
    // Nobody has told of the replica yet.
    let (_, report) = world.post("/v1/systems/shop-db/check", &json!({})).await;
    assert!(report.to_string().contains("not registered"), "{report}");
    let mut replica = manifest("shop-replica", &standby.url());
    replica["mode"] = json!("observe");
    world.register(&replica).await;
    let (_, report) = world.post("/v1/systems/shop-db/check", &json!({})).await;
    assert!(!report.to_string().contains("verify_with"), "{report}");

    let events: Vec<Value> = ["1", "2"].iter().map(|id| recorded(id, 40, &["service"], &json!(id))).collect();
    assert_eq!(world.events(&events[..1]).await.0, 202);
    world.sweep().await;
    becomes(&world, "1", "verified").await;

    follower.batch_execute("SELECT pg_wal_replay_pause()").await.unwrap();
    assert_eq!(world.events(&events[1..]).await.0, 202);
    let (status, started) = world.post("/v1/sweeps", &json!({"plan": false})).await;
    assert_eq!(status, 202, "{started}");
    becomes(&world, "2", "executed").await;
    // Longer than the read-back waits for the standby.
    tokio::time::sleep(Duration::from_secs(7)).await;
    assert_eq!(there(&follower, 2).await, 1, "its readers still see it");
    assert_eq!(outcome(&world, "2").await, "executed");
    follower.batch_execute("SELECT pg_wal_replay_resume()").await.unwrap();
    becomes(&world, "2", "verified").await;
    assert_eq!(there(&follower, 2).await, 0);

    shop_db["limits"] = json!({"replica_lag_max": "1s"});
    world.register(&shop_db).await;
    follower.batch_execute("SELECT pg_wal_replay_pause()").await.unwrap();
    // The brake knows how far behind it is once it has seen the log go on.
    for _ in 0..4 {
        client.batch_execute("UPDATE users SET email = email WHERE id = 9").await.unwrap();
        let _ = world.post("/v1/systems/shop-db/check", &json!({})).await;
        tokio::time::sleep(Duration::from_millis(500)).await;
    }
    assert_eq!(world.events(&[recorded("3", 40, &["service"], &json!("3"))]).await.0, 202);
    assert_eq!(world.post("/v1/sweeps", &json!({"plan": false})).await.0, 202);
    becomes(&world, "3", "failed").await;
    assert_eq!(there(&client, 3).await, 1, "sent while the replica is behind");
    follower.batch_execute("SELECT pg_wal_replay_resume()").await.unwrap();
    becomes(&world, "3", "verified").await;
    world.stop().await;
}
