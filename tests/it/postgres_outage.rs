//! PostgreSQL away under load: killed three times while a sweep erases, and nothing is lost, nothing too much.

use std::sync::Arc;
use std::time::{Duration, Instant};

use quietus_test_servers::Postgres;
use serde_json::{Value, json};
use tokio_postgres::NoTls;

use crate::world::{POLICY, World, recorded, shop};

const DUE: i64 = 20_000;
const KEPT: i64 = 2_000;
const STOPS: usize = 3;
/// The server is up for so long between two stops; three of them lie within half a minute.
const APART: Duration = Duration::from_secs(5);
/// Erasures a second while the server is up, under the development profile.
const PACE: f64 = 500.0;

async fn connect(url: &str) -> tokio_postgres::Client {
    let (client, connection) = tokio_postgres::connect(url, NoTls).await.unwrap();
    tokio::spawn(connection);
    client
}

async fn count(url: &str, which: &str) -> i64 {
    let client = connect(url).await;
    client.query_one(&format!("SELECT count(*) FROM users WHERE {which}"), &[]).await.unwrap().get(0)
}

#[tokio::test(flavor = "multi_thread")]
async fn postgres_outage() {
    let mut server = Postgres::start().unwrap();
    let url = server.url();
    let client = connect(&url).await;
    let made = "CREATE TABLE users (id bigint PRIMARY KEY, email text)";
    client.batch_execute(made).await.unwrap();
    let filled =
        "INSERT INTO users SELECT n, 'u' || n || '@example.org' FROM generate_series(1, $1::bigint) n";
    client.execute(filled, &[&(DUE + KEPT)]).await.unwrap();
    drop(client);

    let folder = tempfile::tempdir().unwrap();
    let world = Arc::new(World::start(folder.path()).await);
    let put = reqwest::Client::new().put(format!("{}/v1/policies/shop", world.url));
    let put = put.header("content-type", "application/yaml").body(POLICY);
    assert!(put.send().await.unwrap().status().is_success());
    assert!(world.post("/v1/policies/shop/publish", &json!({})).await.0 < 300);
    let mut manifest = shop(&url);
    manifest["kind"] = json!("postgres");
    // The load is spread over the outages.
    manifest["limits"] = json!({"batch": 250, "concurrency": 2, "per_second": 1200});
    let (status, answer) = world.put("/v1/systems/shop-db", &manifest).await;
    assert!(status < 300, "{answer}");
    let ids: Vec<i64> = (1..=DUE + KEPT).collect();
    for ids in ids.chunks(1_000) {
        let event = |id: &i64| {
            let days = if *id <= DUE { 40 } else { 3 };
            recorded(&id.to_string(), days, &["service"], &json!(id))
        };
        let (status, answer) = world.events(&ids.iter().map(event).collect::<Vec<Value>>()).await;
        assert_eq!((status, answer["accepted"].as_u64()), (202, Some(ids.len() as u64)), "{answer}");
    }

    let (status, started) = world.post("/v1/sweeps", &json!({"plan": false})).await;
    assert_eq!(status, 202, "{started}");
    let path = format!("/v1/sweeps/{}", started["id"].as_str().unwrap());
    let begun = Instant::now();
    let (mut up_since, mut up, mut erased) = (begun, Duration::ZERO, 0);
    let mut stopped = Vec::new();
    for stop in 0..STOPS {
        tokio::time::sleep(APART).await;
        let left = count(&url, &format!("id <= {DUE}")).await;
        up += up_since.elapsed();
        erased = DUE - left;
        stopped.push(begun.elapsed());
        assert!(left > 0, "the load was over before stop {stop}");
        eprintln!("stop {stop}: {left} of {DUE} left after {:.1} s", begun.elapsed().as_secs_f64());
        server = tokio::task::spawn_blocking(move || {
            server.kill9().unwrap();
            std::thread::sleep(Duration::from_millis(500));
            server.start_again().unwrap();
            server
        })
        .await
        .unwrap();
        up_since = Instant::now();
    }
    assert!(stopped[STOPS - 1] - stopped[0] < Duration::from_secs(30), "the stops were at {stopped:?}");
    let pace = erased as f64 / up.as_secs_f64();
    eprintln!("{erased} erased in {:.1} s of the server being up: {pace:.0}/s", up.as_secs_f64());
    assert!(pace >= PACE, "{pace:.0} erasures a second");

    // What waits for longer than a sweep cares is owed again by the next one.
    let mut sweep = Value::Null;
    let mut next = path;
    for _ in 0..3 {
        sweep = rest(&world, &next).await;
        if sweep["failed"] == 0 && sweep["in_flight"] == 0 {
            break;
        }
        let (_, again) = world.post("/v1/sweeps", &json!({"plan": false})).await;
        next = format!("/v1/sweeps/{}", again["id"].as_str().unwrap());
    }
    let number = |name: &str| sweep[name].as_i64().unwrap();
    eprintln!("{:.1} s: {sweep}", begun.elapsed().as_secs_f64());
    assert_eq!((number("in_flight"), number("failed"), number("refused")), (0, 0, 0), "{sweep}");
    assert_eq!(number("due"), number("erased"), "{sweep}");
    assert_eq!(number("verified"), number("erased"), "{sweep}");
    assert_eq!(number("items"), KEPT, "{sweep}");
    assert_eq!(count(&url, &format!("id <= {DUE}")).await, 0);
    assert_eq!(count(&url, &format!("id > {DUE}")).await, KEPT);
    for id in [1, DUE / 2, DUE] {
        let body = json!({"system": "shop-db", "dataset": "shop.users", "locator": {"id": id}});
        let (_, found) = world.post("/v1/items/lookup", &body).await;
        assert_eq!(found["items"][0]["copies"][0]["outcome"], "verified", "{found}");
    }
    Arc::into_inner(world).unwrap().stop().await;
}

async fn rest(world: &World, path: &str) -> Value {
    for _ in 0..2400 {
        let (_, sweep) = world.get(path).await;
        if sweep["state"] != "running" {
            return sweep;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    panic!("the sweep does not come to rest: {}", world.get(path).await.1);
}
