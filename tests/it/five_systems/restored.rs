//! A PostgreSQL that is restored from a real dump taken before erasures: it stays closed until nothing of what was
//! erased is found there.

use std::process::Command;

use quietus_test_servers::Postgres;
use serde_json::{Value, json};

use super::places::connect;
use crate::cli::quietus;
use crate::world::{World, recorded, shop};

const DUE: i64 = 60;
const KEPT: i64 = 140;

async fn finds(url: &str, which: &str) -> i64 {
    let client = connect(url).await;
    client.query_one(&format!("SELECT count(*) FROM users WHERE {which}"), &[]).await.unwrap().get(0)
}

fn run(command: &mut Command) {
    let output = command.output().unwrap();
    assert!(output.status.success(), "{command:?}: {}", String::from_utf8_lossy(&output.stderr));
}

/// `quietus system restored shop-db …`: its exit code, what it answers and what it says.
async fn restored(world: &World, more: &[&str]) -> (Option<i32>, Value, String) {
    let words = ["system", "restored", "shop-db", "--json", "--url", &world.url];
    let args: Vec<String> = words.iter().chain(more).map(|a| (*a).to_owned()).collect();
    let output = tokio::task::spawn_blocking(move || quietus(&crate::cli::root(), &args)).await.unwrap();
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    (output.status.code(), serde_json::from_slice(&output.stdout).unwrap_or_default(), said)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_restored_postgres_stays_closed_until_nothing_erased_is_found_there() {
    let dir = tempfile::tempdir().unwrap();
    let server = Postgres::shared().unwrap();
    let url = server.database().unwrap();
    let rows = format!(
        "CREATE TABLE users (id bigint PRIMARY KEY, email text);
         INSERT INTO users SELECT n, 'u' || n || '@example.org' FROM generate_series(1, {}) n",
        DUE + KEPT
    );
    connect(&url).await.batch_execute(&rows).await.unwrap();
    let world = World::start(dir.path()).await;
    world.publish().await;
    let mut manifest = shop(&url);
    manifest["kind"] = json!("postgres");
    world.register(&manifest).await;
    let event = |id: i64| recorded(&id.to_string(), if id <= DUE { 40 } else { 3 }, &["service"], &json!(id));
    let events: Vec<Value> = (1..=DUE + KEPT).map(event).collect();
    assert_eq!(world.events(&events).await.1["accepted"], DUE + KEPT);

    let (code, _, said) = restored(&world, &[]).await;
    assert_eq!((code, said.as_str()), (Some(0), "shop-db was never restored\n"));
    let as_of = now();
    let dump = dir.path().join("night.dump");
    run(Postgres::program("pg_dump").unwrap().args(["-Fc", "-d", &url, "-f"]).arg(&dump));
    let swept = world.sweep().await;
    assert_eq!((&swept["erased"], &swept["verified"]), (&json!(DUE), &json!(DUE)), "{swept}");
    assert_eq!(finds(&url, "true").await, KEPT);

    let restore = ["--clean", "--if-exists", "--single-transaction", "-d", &url];
    run(Postgres::program("pg_restore").unwrap().args(restore).arg(&dump));
    let erased = format!("id <= {DUE}");
    assert_eq!(finds(&url, &erased).await, DUE, "the dump brought them back");

    // Nobody can change anything there for now: it stays closed, and says so wherever somebody asks.
    let mut holder = connect(&url).await;
    let held = holder.transaction().await.unwrap();
    held.batch_execute("LOCK TABLE users IN SHARE MODE").await.unwrap();
    let (code, view, said) = restored(&world, &["--as-of", &as_of]).await;
    assert_eq!((code, &view["owed"], &view["verified"]), (Some(1), &json!(DUE), &json!(0)), "{view} {said}");
    assert!(said.contains("keep shop-db closed: 60 of 60 are not verified again"), "{said}");
    assert_eq!(restored(&world, &[]).await.0, Some(1));
    let (_, system) = world.get("/v1/systems/shop-db").await;
    assert_eq!(
        (&system["closed"], &system["restored"]["state"]),
        (&json!(true), &json!("running")),
        "{system}"
    );
    let (_, check) = world.post("/v1/systems/shop-db/check", &json!({})).await;
    let problems = check["problems"].as_array().unwrap();
    assert!(check["ok"] == false && problems.iter().any(|p| p["code"] == "restored"), "{check}");
    for verb in ["scan", "observe"] {
        let (status, refused) = world.post(&format!("/v1/systems/shop-db/{verb}"), &json!({})).await;
        assert_eq!((status, &refused["code"]), (409, &json!("restored-unverified")), "{refused}");
    }
    let mut observed = manifest.clone();
    observed["mode"] = json!("observe");
    let (status, refused) = world.put("/v1/systems/shop-db", &observed).await;
    assert_eq!((status, &refused["code"]), (409, &json!("restored-unverified")), "{refused}");
    held.rollback().await.unwrap();

    let (code, view, said) = restored(&world, &["--wait", "--timeout", "60s"]).await;
    assert_eq!(
        (code, &view["verified"], &view["state"]),
        (Some(0), &json!(DUE), &json!("verified")),
        "{view} {said}"
    );
    assert_eq!((finds(&url, &erased).await, finds(&url, "true").await), (0, KEPT));
    let (_, check) = world.post("/v1/systems/shop-db/check", &json!({})).await;
    assert_eq!(check["ok"], true, "{check}");
    let swept = world.sweep().await;
    assert_eq!((&swept["resurrected"], &swept["failed"]), (&json!(DUE), &json!(0)), "{swept}");
    world.stop().await;
}

fn now() -> String {
    use quietus::clock::{Clock, SystemClock};
    SystemClock::new().now().to_string()
}
