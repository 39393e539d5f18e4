//! A real connector on a real database: snapshot, changes, and our own deletes coming back.

use quietus_test_servers::{Connect, Options, Postgres};

use super::*;

#[tokio::test(flavor = "multi_thread")]
async fn a_followed_table_is_known_and_our_own_deletes_are_echoes() {
    let kafka = broker();
    let postgres = Postgres::start_with(Options { fsync: false }).unwrap_or_else(|why| panic!("{why}"));
    let url = postgres.url();
    let (client, connection) = tokio_postgres::connect(&url, tokio_postgres::NoTls).await.unwrap();
    tokio::spawn(connection);
    let sql = async |text: &str| client.batch_execute(text).await.unwrap();
    sql("CREATE TABLE users (id bigint PRIMARY KEY, email text, created timestamptz, note text)").await;
    sql("INSERT INTO users SELECT n, 'x' || n, '2020-01-01T00:00:00Z', 'n' FROM generate_series(1, 5) n")
        .await;

    let (prefix, source) = (own("shop").replace('-', "_"), own("users"));
    let topic = format!("{prefix}.public.users");
    let brokers = kafka.brokers();
    let connect = Connect::debezium(&root(), &brokers, &url, (&prefix, "one", "public.users"), "");
    let connect = connect.unwrap_or_else(|why| panic!("{why}"));

    let folder = tempfile::tempdir().unwrap();
    let shop = folder.path().join("unused.db");
    database(&shop, 1);
    let world = World::reading(folder.path(), Some(brokers.clone())).await;
    world.set_up(&shop).await;
    let mut manifest = super::super::world::shop(&url);
    (manifest["system"], manifest["kind"]) = (json!("shop-pg"), json!("postgres"));
    let users = &mut manifest["datasets"][0]["collections"][0];
    users["quietus"]["recorded_at"] = json!("created");
    users["quietus"]["purposes"] = json!(["service"]);
    users["fields"].as_array_mut().unwrap().push(json!({"name": "created"}));
    let (status, answer) = world.put("/v1/systems/shop-pg", &manifest).await;
    assert_eq!(status, 201, "{answer}");
    let text = format!(
        "source: {source}\nfrom: {{kafka: {{topic: {topic}}}}}\nformat: debezium\ndataset: {{system: shop-pg, name: shop.users}}\nsettle: 30s\n"
    );
    put(&world, &source, &text).await;

    // What happened before now has been read once a heartbeat of later has.
    let followed = async || {
        let from = quietus::core::time::Millis::parse(&now()).unwrap();
        let path = format!("/v1/sources/{source}");
        until(&world, &path, |s| {
            let at = s["watermark"].as_str().and_then(quietus::core::time::Millis::parse);
            s["state"] == "running" && at.is_some_and(|at| at > from)
        })
        .await
    };
    let state = async |id: i64| {
        let body = json!({"system": "shop-pg", "dataset": "shop.users", "locator": {"id": id}});
        let (_, found) = world.post("/v1/items/lookup", &body).await;
        found["items"][0]["state"].as_str().map(str::to_owned)
    };
    followed().await;
    for id in 1..=5 {
        assert_eq!(state(id).await.as_deref(), Some("live"), "snapshot, row {id}");
    }
    sql("INSERT INTO users VALUES (6, 'new', now(), 'n'); UPDATE users SET note = 'changed' WHERE id = 2; DELETE FROM users WHERE id = 3").await;
    followed().await;
    assert_eq!(state(6).await.as_deref(), Some("live"), "an insert");
    assert_ne!(state(3).await.as_deref(), Some("live"), "a delete, by its key alone");

    let sweep = world.sweep().await;
    assert_eq!(
        (&sweep["erased"], &sweep["verified"], &sweep["failed"]),
        (&json!(4), &json!(4), &json!(0)),
        "{sweep}"
    );
    followed().await;
    let after = world.sweep().await;
    let counts = |s: &Value| (s["resurrected"].clone(), s["generations"].clone(), s["items"].clone());
    assert_eq!(counts(&after), (json!(0), json!(0), json!(1)), "our deletes come back as echoes: {after}");

    sql("INSERT INTO users VALUES (2, 'back', now(), 'n')").await;
    followed().await;
    let after = world.sweep().await;
    assert_eq!(
        counts(&after),
        (json!(0), json!(1), json!(2)),
        "who signs up again begins a new life: {after}"
    );
    assert_eq!(state(2).await.as_deref(), Some("live"));

    // Another connector with a slot of its own reads every row again.
    drop(connect);
    let again = Connect::debezium(&root(), &brokers, &url, (&prefix, "two", "public.users"), "");
    let _again = again.unwrap_or_else(|why| panic!("{why}"));
    followed().await;
    let after = world.sweep().await;
    assert_eq!(
        counts(&after),
        (json!(0), json!(1), json!(2)),
        "a snapshot taken again changes nothing: {after}"
    );
    assert_eq!(world.get("/v1/dead-letters").await.1["items"], json!([]));
    world.stop().await;
}
