//! A row that others refer to: its sweep ends soon and says why; once they are gone, the next sweep erases it.

use serde_json::json;

use crate::world::{World, recorded};

#[tokio::test(flavor = "multi_thread")]
async fn a_row_that_others_refer_to_fails_with_its_cause_and_goes_once_they_are_gone() {
    let dir = tempfile::tempdir().unwrap();
    let shop = dir.path().join("shop.db");
    let db = rusqlite::Connection::open(&shop).unwrap();
    db.execute_batch(
        "CREATE TABLE users (id INTEGER PRIMARY KEY, email TEXT);
         CREATE TABLE orders (id INTEGER PRIMARY KEY, customer INTEGER NOT NULL REFERENCES users (id));
         INSERT INTO users VALUES (1, 'a@example.org'), (2, 'b@example.org');
         INSERT INTO orders VALUES (7, 1);",
    )
    .unwrap();
    let world = World::start(dir.path()).await;
    world.set_up(&shop).await;
    let (status, answer) = world
        .events(&[recorded("1", 40, &["service"], &json!(1)), recorded("2", 40, &["service"], &json!(2))])
        .await;
    assert_eq!(status, 202, "{answer}");

    // Half a minute at most: it is not tried for as long as a database is that may come back.
    let sweep = world.sweep().await;
    assert_eq!(
        (&sweep["state"], &sweep["failed"], &sweep["verified"]),
        (&json!("finished"), &json!(1), &json!(1))
    );
    let asked = json!({"system": "shop-db", "dataset": "shop.users", "locator": {"id": 1}});
    let (_, answer) = world.post("/v1/items/lookup", &asked).await;
    let copy = &answer["items"][0]["copies"][0];
    assert_eq!(copy["outcome"], "failed", "{answer}");
    assert!(copy["detail"].as_str().unwrap().contains("other rows still refer to this one"), "{copy}");

    db.execute("DELETE FROM orders", ()).unwrap();
    let sweep = world.sweep().await;
    assert_eq!((&sweep["failed"], &sweep["verified"]), (&json!(0), &json!(1)), "{sweep}");
    world.stop().await;
}
