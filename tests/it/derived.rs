//! One person, three systems: a shop's row, its entry in a real cache, and a partner over real HTTP, where the copies
//! follow from `copies_of`. Each is told gone only when its own read-back says so; a partner that lies is found.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use axum::extract::State;
use axum::routing::{get, post};
use axum::{Json, Router};
use quietus_test_servers::Redis;
use serde_json::{Value, json};

use crate::world::{World, recorded};

/// Customers that the partner holds; those among `kept` it only says it erases.
#[derive(Default)]
struct Partner {
    people: BTreeSet<String>,
    kept: BTreeSet<String>,
}

type Shared = Arc<Mutex<Partner>>;

async fn partner(people: &[&str], kept: &[&str]) -> (String, Shared) {
    let set = |names: &[&str]| names.iter().map(|n| (*n).to_owned()).collect();
    let shared = Arc::new(Mutex::new(Partner { people: set(people), kept: set(kept) }));
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let app = Router::new()
        .route("/erase", post(erase))
        .route("/jobs/{job}", get(|| async { Json(json!({"state": "done"})) }))
        .route("/find", post(find))
        .with_state(Arc::clone(&shared));
    tokio::spawn(async move { axum::serve(listener, app).await });
    (url, shared)
}

fn named(body: &Value) -> Vec<String> {
    body["people"].as_array().unwrap().iter().map(|p| p.as_str().unwrap().to_owned()).collect()
}

async fn erase(State(partner): State<Shared>, Json(body): Json<Value>) -> Json<Value> {
    let mut partner = partner.lock().unwrap_or_else(PoisonError::into_inner);
    for person in named(&body) {
        if !partner.kept.contains(&person) {
            partner.people.remove(&person);
        }
    }
    Json(json!({"job": "j-1"}))
}

async fn find(State(partner): State<Shared>, Json(body): Json<Value>) -> Json<Value> {
    let partner = partner.lock().unwrap_or_else(PoisonError::into_inner);
    let found: Vec<String> = named(&body).into_iter().filter(|p| partner.people.contains(p)).collect();
    Json(json!({"found": found}))
}

#[tokio::test(flavor = "multi_thread")]
async fn a_row_its_cache_entry_and_its_partner_go_together_and_a_lie_is_found() {
    let dir = tempfile::tempdir().unwrap();
    let shop = dir.path().join("shop.db");
    let db = rusqlite::Connection::open(&shop).unwrap();
    db.execute_batch("CREATE TABLE users (id INTEGER PRIMARY KEY, email TEXT)").unwrap();
    let cache = Redis::start().unwrap();
    let mut entries = redis::Client::open(cache.url()).unwrap().get_connection().unwrap();
    for id in [1, 2, 10] {
        db.execute("INSERT INTO users VALUES (?1, ?2)", (id, format!("p{id}@example.org"))).unwrap();
        redis::cmd("SET").arg(format!("user:{id}")).arg("{}").exec(&mut entries).unwrap();
        redis::cmd("SADD").arg("users:all").arg(id).exec(&mut entries).unwrap();
    }
    let (partner_url, partner) = partner(&["1", "2", "10"], &["2"]).await;
    let world = World::start(dir.path()).await;
    world.set_up(&shop).await;
    let of = json!({"system": "shop-db", "dataset": "shop.users"});
    let copy = |more: Value| {
        let mut entry = of.clone();
        entry.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        entry
    };
    let systems = [
        json!({"system": "cache", "kind": "redis", "mode": "enforce", "connection": {"url": cache.url()},
               "copies_of": [copy(json!({"key": "user:{id}"})),
                             copy(json!({"set": "users:all", "member": "{id}"}))]}),
        json!({"system": "mailer", "kind": "http", "mode": "enforce", "connection": {"url": partner_url},
               "copies_of": [copy(json!({}))],
               "http": {"identity": "customer_id",
                        "submit": {"path": "/erase", "body": {"people": "{values}"}, "ref": "/job"},
                        "poll": {"path": "/jobs/{ref}", "every": "1s", "done": {"/state": ["done"]}},
                        "read_back": {"path": "/find", "body": {"people": "{values}"}, "absent": {"/found": []}}}}),
    ];
    for system in &systems {
        let path = format!("/v1/systems/{}", system["system"].as_str().unwrap());
        let (status, answer) = world.put(&path, system).await;
        assert!(status < 300, "{answer}");
        let (_, check) = world.post(&format!("{path}/check"), &json!({})).await;
        let problems = check["problems"].as_array().unwrap();
        assert!(problems.iter().all(|p| p["fatal"] != true), "{check}");
    }
    let events: Vec<Value> = [("1", 40), ("2", 40), ("10", 10)]
        .map(|(id, days)| recorded(id, days, &["service"], &json!(id.parse::<i64>().unwrap())))
        .into();
    assert_eq!(world.events(&events).await.1["accepted"], 3);
    world.post("/v1/sweeps", &json!({"plan": false})).await;

    let outcome = async |id: &str, system: &str| {
        let (_, found) =
            world.post("/v1/items/lookup", &json!({"subject": format!("customer_id:{id}")})).await;
        let copies = found["items"][0]["copies"].as_array().cloned().unwrap_or_default();
        copies.iter().find(|c| c["system"] == system).map_or(Value::Null, |c| c["outcome"].clone())
    };
    for (id, system, wanted) in [
        ("1", "shop-db", "verified"),
        ("1", "cache", "verified"),
        ("1", "mailer", "verified"),
        ("2", "shop-db", "verified"),
        ("2", "cache", "verified"),
        ("2", "mailer", "failed"),
        ("10", "shop-db", "live"),
        ("10", "cache", "live"),
        ("10", "mailer", "live"),
    ] {
        let mut seen = Value::Null;
        for _ in 0..1200 {
            seen = outcome(id, system).await;
            assert!(wanted != "failed" || seen != "verified" && seen != "executed", "a lie was believed");
            if seen == wanted {
                break;
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        assert_eq!(seen, wanted, "customer {id} at {system}");
    }
    let left: i64 = db.query_row("SELECT sum(id) FROM users", [], |r| r.get(0)).unwrap();
    assert_eq!(left, 10);
    let mut keys: Vec<String> = redis::cmd("KEYS").arg("*").query(&mut entries).unwrap();
    keys.sort();
    assert_eq!(keys, ["user:10", "users:all"]);
    let members: Vec<String> = redis::cmd("SMEMBERS").arg("users:all").query(&mut entries).unwrap();
    assert_eq!(members, ["10"]);
    let partner = partner.lock().unwrap_or_else(PoisonError::into_inner).people.clone();
    assert_eq!(partner, ["10".to_owned(), "2".to_owned()].into());
    world.stop().await;
}
