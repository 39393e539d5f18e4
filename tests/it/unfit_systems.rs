//! Systems that are not as they were registered: told where people look, with the remedy, and nothing is called erased.

use quietus_test_servers::Postgres;
use serde_json::{Value, json};

use super::world::{World, recorded, shop};

/// A fatal problem of this code, with its remedy.
fn has(check: &Value, code: &str, place: &str) -> bool {
    let fits = |p: &Value| {
        p["fatal"] == true && p["code"] == code && p["place"] == place && p["fix"].as_str() != Some("")
    };
    check["ok"] == false && check["problems"].as_array().unwrap().iter().any(fits)
}

async fn becomes(change: &str, code: &str, place: &str) {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("shop.db");
    let database = rusqlite::Connection::open(&file).unwrap();
    database.execute_batch("CREATE TABLE users (id INTEGER PRIMARY KEY, email TEXT)").unwrap();
    database.execute_batch("INSERT INTO users VALUES (1, 'x')").unwrap();
    let world = World::start(folder.path()).await;
    world.set_up(&file).await;
    assert_eq!(world.events(&[recorded("1", 40, &["service"], &json!(1))]).await.0, 202);
    assert_eq!(world.post("/v1/systems/shop-db/check", &json!({})).await.1["ok"], true);

    database.execute_batch(change).unwrap();
    let (_, check) = world.post("/v1/systems/shop-db/check", &json!({})).await;
    assert!(has(&check, code, place), "{check}");
    let sweep = world.sweep().await;
    assert_eq!((&sweep["erased"], &sweep["verified"]), (&json!(0), &json!(0)), "{sweep}");
    assert_eq!(sweep["failed"].as_u64().unwrap() + sweep["refused"].as_u64().unwrap(), 1, "{sweep}");
    let place = json!({"system": "shop-db", "dataset": "shop.users", "locator": {"id": 1}});
    let (_, found) = world.post("/v1/items/lookup", &place).await;
    let copy = &found["items"][0]["copies"][0];
    assert!(copy["detail"].as_str().is_some_and(|detail| !detail.is_empty()), "{found}");
    world.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_table_that_vanished() {
    becomes("ALTER TABLE users RENAME TO people", "missing_table", "shop.users").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn wrong_credentials() {
    let server = Postgres::start().unwrap();
    let url = server.database().unwrap();
    let (sql, driver) = tokio_postgres::connect(&url, tokio_postgres::NoTls).await.unwrap();
    tokio::spawn(driver);
    sql.batch_execute("CREATE ROLE shop LOGIN PASSWORD 'right'").await.unwrap();
    let rules: String = sql.query_one("SHOW hba_file", &[]).await.unwrap().get(0);
    let copy = format!(
        "COPY (VALUES ('host all shop 127.0.0.1/32 scram-sha-256'), ('host all all 127.0.0.1/32 trust')) TO '{rules}'"
    );
    sql.batch_execute(&copy).await.unwrap();
    sql.batch_execute("SELECT pg_reload_conf()").await.unwrap();

    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("shop.db");
    rusqlite::Connection::open(&file)
        .unwrap()
        .execute_batch("CREATE TABLE users (id INTEGER PRIMARY KEY, email TEXT)")
        .unwrap();
    let world = World::start(folder.path()).await;
    world.set_up(&file).await;
    let (_, place) = url.split_once('@').unwrap();
    let secret = folder.path().join("url");
    std::fs::write(&secret, format!("postgres://shop:wrongword@{place}")).unwrap();
    let mut manifest = shop(&format!("${{file:{}}}", secret.display()));
    manifest["kind"] = json!("postgres");
    let (status, answer) = world.put("/v1/systems/shop-db", &manifest).await;
    assert!(status < 300, "{answer}");
    let (_, check) = world.post("/v1/systems/shop-db/check", &json!({})).await;
    let problems = check["problems"].as_array().unwrap();
    assert!(check["ok"] == false && problems.iter().any(|p| p["fatal"] == true), "{check}");
    assert!(problems.iter().all(|p| p["fix"].as_str().is_some_and(|fix| !fix.is_empty())), "{check}");
    // It did not come so far as to miss the table.
    assert!(problems.iter().all(|p| p["code"] != "missing_table"), "{check}");
    assert!(!check.to_string().contains("wrongword"), "a secret shows");
    world.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_missing_column() {
    becomes("ALTER TABLE users RENAME COLUMN id TO number", "missing_column", "shop.users.id").await;
}
