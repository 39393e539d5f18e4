//! Sources over HTTP and from files: registered, mapped, imported; what cannot be read, retried.

use std::fs;
use std::path::Path;
use std::process::Output;

use serde_json::{Value, json};

use super::cli::quietus;
use super::world::World;

const ORDERS: &str = "source: orders
from: {http: {}}
format: json
settle: 0s
rules:
  - when: {value:/type: [signed_up]}
    emit: item.recorded
    with:
      subject: {type: customer_id, value: value:/who}
      category: user.contact.email
      purposes: [service]
      recorded_at: {from: value:/at, unit: s}
      copies: [{system: shop-db, dataset: shop.users, locator: {id: value:/who}}]
  - {when: {value:/type: [heartbeat]}, skip: true}
";

async fn put(world: &World, name: &str, text: &str) -> (u16, Value) {
    let url = format!("{}/v1/sources/{name}", world.url);
    let put =
        reqwest::Client::new().put(url).header("content-type", "application/yaml").body(text.to_owned());
    let answer = put.send().await.unwrap();
    (answer.status().as_u16(), answer.json().await.unwrap_or(Value::Null))
}

async fn send(world: &World, media: &str, body: &str) -> (u16, Value) {
    let url = format!("{}/v1/sources/orders", world.url);
    let post = reqwest::Client::new().post(url).header("content-type", media).body(body.to_owned());
    let answer = post.send().await.unwrap();
    (answer.status().as_u16(), answer.json().await.unwrap_or(Value::Null))
}

fn run(folder: &Path, world: &World, args: &[&str]) -> (Option<i32>, String, String) {
    let args: Vec<String> =
        args.iter().map(|a| (*a).to_owned()).chain(["--url".into(), world.url.clone()]).collect();
    let Output { status, stdout, stderr } = quietus(folder, &args);
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
    (status.code(), text(stdout), text(stderr))
}

fn database(path: &Path, rows: i64) {
    let db = rusqlite::Connection::open(path).unwrap();
    db.execute_batch("CREATE TABLE users (id INTEGER PRIMARY KEY, email TEXT)").unwrap();
    for id in 1..=rows {
        db.execute("INSERT INTO users VALUES (?1, 'x')", [id]).unwrap();
    }
}

fn left(path: &Path) -> i64 {
    let db = rusqlite::Connection::open(path).unwrap();
    db.query_row("SELECT count(*) FROM users", [], |row| row.get(0)).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_company_s_own_records_are_mapped_and_erased_in_time() {
    let folder = tempfile::tempdir().unwrap();
    let shop = folder.path().join("shop.db");
    database(&shop, 4);
    let world = World::start(folder.path()).await;
    world.set_up(&shop).await;

    let (status, wrong) = put(&world, "orders", &ORDERS.replace("emit", "emitt")).await;
    assert_eq!((status, wrong["errors"][0]["line"].as_u64()), (422, Some(6)), "{wrong}");
    assert_eq!(put(&world, "other", ORDERS).await.0, 422);
    let (status, created) = put(&world, "orders", ORDERS).await;
    assert_eq!((status, &created["result"], &created["generation"]), (201, &json!("created"), &json!(1)));
    assert_eq!(put(&world, "orders", ORDERS).await.1["result"], "unchanged");
    let (_, slower) = put(&world, "orders", &ORDERS.replace("0s", "1s")).await;
    assert_eq!((&slower["result"], &slower["generation"]), (&json!("changed"), &json!(1)));
    let (_, again) = put(&world, "orders", &ORDERS.replace("user.contact.email", "user.contact")).await;
    assert_eq!(again["generation"], 2, "another mapping reads anew");
    assert_eq!(put(&world, "orders", ORDERS).await.1["generation"], 3);

    let old = r#"{"type": "signed_up", "who": 1, "at": 1577836800}"#;
    let two = r#"[{"type": "signed_up", "who": 2, "at": 1577836800}, {"type": "heartbeat"}]"#;
    let lines = "{\"type\": \"signed_up\", \"who\": 3, \"at\": 1577836800}\n{\"type\": \"odd\"}\n";
    assert_eq!(send(&world, "application/json", old).await, (202, json!({"accepted": 1, "rejected": []})));
    assert_eq!(send(&world, "application/json", two).await.1["accepted"], 2);
    let (status, partly) = send(&world, "application/x-ndjson", lines).await;
    assert_eq!(
        (status, &partly["accepted"], &partly["rejected"][0]["code"]),
        (202, &json!(1), &json!("no-rule"))
    );
    assert_eq!(partly["rejected"][0]["index"], 1);
    assert_eq!(send(&world, "application/json", "{").await.0, 422);

    let (_, source) = world.get("/v1/sources/orders").await;
    assert_eq!(
        (&source["state"], &source["lag"], &source["error"]),
        (&json!("running"), &json!(0), &Value::Null)
    );
    let sweep = world.sweep().await;
    assert_eq!((&sweep["erased"], &sweep["verified"]), (&json!(3), &json!(3)), "{sweep}");
    assert_eq!(left(&shop), 1);
    assert_eq!(
        world.get("/v1/dead-letters").await.1["items"],
        json!([]),
        "HTTP answers, it keeps no letters"
    );

    let retired = world.call(reqwest::Method::DELETE, "/v1/sources/orders", &Value::Null).await;
    assert_eq!(
        (retired.0, world.get("/v1/sources/orders").await.0, send(&world, "", old).await.0),
        (204, 404, 404)
    );
    world.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_is_imported_once_and_what_fails_waits_to_be_retried() {
    let folder = tempfile::tempdir().unwrap();
    let shop = folder.path().join("shop.db");
    database(&shop, 50);
    let world = World::start(folder.path()).await;
    world.set_up(&shop).await;
    fs::write(folder.path().join("orders.yaml"), ORDERS).unwrap();
    let mut lines: Vec<String> =
        (1..=50).map(|id| format!(r#"{{"type": "signed_up", "who": {id}, "at": 1577836800}}"#)).collect();
    lines[10] = r#"{"type": "renamed", "who": "ann@example.org", "at": 1577836800}"#.to_owned();
    lines[20] = "not json ann@example.org".to_owned();
    fs::write(folder.path().join("old.jsonl"), lines.join("\n")).unwrap();
    let run = |args: &[&str]| run(folder.path(), &world, args);

    assert_eq!(run(&["apply", "orders.yaml"]).1, "created    source  orders\n");
    assert_eq!(run(&["apply", "orders.yaml"]).1, "unchanged  source  orders\n");
    let import = ["source", "import", "old.jsonl", "--source", "orders", "--json"];
    let (code, done, said) = run(&import);
    let done: Value = serde_json::from_str(&done).unwrap();
    assert_eq!(
        (code, &done["taken"], &done["dead_letters"], &done["known"]),
        (Some(1), &json!(48), &json!(2), &json!(0))
    );
    assert!(said.contains("50 of 50 records"), "{said}");
    let (code, again, _) = run(&import);
    let again: Value = serde_json::from_str(&again).unwrap();
    assert_eq!((code, &again["taken"], &again["known"]), (Some(0), &json!(0), &json!(50)));

    let (_, letters) = world.get("/v1/dead-letters").await;
    let text = letters.to_string();
    let letters = letters["items"].as_array().unwrap().clone();
    assert!(letters.len() == 2 && !text.contains("ann@example.org"), "{text}");
    let of = |reason: &str| letters.iter().find(|l| l["reason"] == reason).unwrap().clone();
    let (renamed, broken) = (of("no-rule"), of("malformed"));
    assert_eq!(
        (&renamed["offset"], &broken["offset"], &renamed["source"]),
        (&json!(10), &json!(20), &json!("orders"))
    );
    let (_, shown) = world.get(&format!("/v1/dead-letters/{}", renamed["id"].as_str().unwrap())).await;
    assert_eq!(shown["record"]["value"], lines[10]);
    let (_, metrics) =
        (0, reqwest::get(format!("{}/metrics", world.url)).await.unwrap().text().await.unwrap());
    assert!(metrics.contains("quietus_dead_letters{source=\"orders\",reason=\"no-rule\"} 1"), "{metrics}");
    assert!(metrics.contains("quietus_events_total{source=\"orders\",outcome=\"accepted\"} 48"), "{metrics}");

    let id = renamed["id"].as_str().unwrap();
    let (code, _, why) = run(&["dead-letter", "retry", id]);
    assert!(code == Some(1) && why.contains("no rule of the source matches"), "{why}");
    let mended =
        ORDERS.replace("[signed_up]", "[signed_up, renamed]").replace("{id: value:/who}", "{id: 11}");
    fs::write(folder.path().join("orders.yaml"), mended).unwrap();
    assert_eq!(run(&["apply", "orders.yaml"]).0, Some(0));
    assert_eq!(run(&["dead-letter", "retry", id]), (Some(0), format!("{id}  taken\n"), String::new()));
    let (code, _, why) = run(&["dead-letter", "retry", id]);
    assert!(code == Some(1) && why.contains("there is no dead letter"), "{why}");
    assert_eq!(run(&["dead-letter", "list"]).1.lines().count(), 2, "the head and the broken one");

    let sweep = world.sweep().await;
    assert_eq!((&sweep["erased"], &sweep["verified"]), (&json!(49), &json!(49)), "{sweep}");
    assert_eq!(left(&shop), 1);
    world.stop().await;

    // What waits is found again by a replay.
    let world = World::start(folder.path()).await;
    assert_eq!(world.get("/v1/dead-letters").await.1["items"][0]["id"], broken["id"]);
    world.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn change_data_capture_from_a_file_knows_what_its_dataset_says() {
    let folder = tempfile::tempdir().unwrap();
    let shop = folder.path().join("shop.db");
    database(&shop, 3);
    let world = World::start(folder.path()).await;
    world.set_up(&shop).await;
    let users = "source: users\nfrom: {file: users.jsonl}\nformat: debezium\ndataset: {system: shop-db, name: shop.users}\nsettle: 0s\n";
    assert_eq!(put(&world, "users", &users.replace("shop.users", "shop.usres")).await.0, 422);
    assert_eq!(put(&world, "users", users).await.0, 201);
    let source = json!({"ts_ms": 1_577_836_800_000_i64, "connector": "postgresql"});
    let change = |op: &str, before: Value, after: Value| json!({"op": op, "before": before, "after": after, "source": source});
    let row = |id: i64| json!({"id": id, "email": "x"});
    let lines: Vec<String> = [
        change("r", Value::Null, row(1)),
        change("c", Value::Null, row(2)),
        json!({"key": {"id": 1}, "value": change("d", row(1), Value::Null)}),
        json!({"key": {"id": 1}, "value": null}),
        change("c", Value::Null, row(3)),
    ]
    .iter()
    .map(Value::to_string)
    .collect();
    fs::write(folder.path().join("users.jsonl"), lines.join("\n")).unwrap();
    let (code, _, said) =
        run(folder.path(), &world, &["source", "import", "users.jsonl", "--source", "users"]);
    assert_eq!(code, Some(0), "{said}");
    let outcomes = |items: &Value| -> Vec<(Value, Value)> {
        let items = items["items"].as_array().unwrap().iter();
        items.map(|i| (i["state"].clone(), i["copies"][0]["outcome"].clone())).collect()
    };
    let mut states = Vec::new();
    for id in 1..=3 {
        let body = json!({"system": "shop-db", "dataset": "shop.users", "locator": {"id": id}});
        states.push(outcomes(&world.post("/v1/items/lookup", &body).await.1));
    }
    assert_eq!(states[1..], [vec![(json!("live"), json!("live"))], vec![(json!("live"), json!("live"))]]);
    assert!(states[0].iter().all(|(state, _)| state != "live"), "{states:?}");
    world.stop().await;
}
