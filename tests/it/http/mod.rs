//! The HTTP surface of a running node on a real SQLite database.

mod auth;
mod documents;
mod events;
mod history;
mod idempotency;
mod openapi;
mod people;
mod restarts;
mod scans;
mod story;
mod tls;

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::{Body, to_bytes};
use axum::http::{Request, StatusCode};
use quietus::clock::SystemClock;
use quietus::node::{Node, NodeOptions, Running};
use quietus::sealing::Keys;
use quietus::surface::http::{App, Token, router};
use serde_json::{Value, json};
use tower::ServiceExt;

const POLICY: &str = "policy: shop
timezone: Europe/Berlin
events:
  account_closed: {of: subject, open_ended: true}
purposes:
  service: {use: essential.service, basis: contract, ended_by: account_closed}
  ads: {use: marketing.advertising, basis: consent}
rules:
  - {id: contacts, category: [user.contact, user.unique_id], purpose: service, keep: 30d after recorded}
  - {id: ads, category: [user.contact, user.unique_id], purpose: ads, keep: 900d after recorded}
holds: {cool_down: 0s}
";

struct World {
    node: Arc<Node>,
    router: Router,
    running: Option<Running>,
    db: rusqlite::Connection,
    dir: tempfile::TempDir,
}

/// An answer: status, the headers of interest, the body.
#[derive(Debug)]
struct Answer {
    status: StatusCode,
    headers: axum::http::HeaderMap,
    text: String,
}

impl Answer {
    fn json(&self) -> Value {
        serde_json::from_str(&self.text).unwrap_or_else(|e| panic!("{e}: {}", self.text))
    }

    /// A problem of this status and code, complete.
    #[track_caller]
    fn is_problem(&self, status: u16, code: &str) -> Value {
        assert_eq!(self.status, status, "{}", self.text);
        assert_eq!(self.headers["content-type"], "application/problem+json");
        let problem = self.json();
        assert_eq!(problem["code"], code, "{problem}");
        assert_eq!(problem["type"], format!("urn:quietus:problem:{code}"));
        assert_eq!(problem["status"], status);
        assert!(["never", "safe", "after"].contains(&problem["retry"].as_str().unwrap()), "{problem}");
        assert!(
            !problem["title"].as_str().unwrap().is_empty() && !problem["detail"].as_str().unwrap().is_empty()
        );
        problem
    }
}

async fn send(router: &Router, request: Request<Body>) -> Answer {
    let response = router.clone().oneshot(request).await.unwrap();
    let (parts, body) = response.into_parts();
    let body = to_bytes(body, usize::MAX).await.unwrap();
    Answer { status: parts.status, headers: parts.headers, text: String::from_utf8(body.to_vec()).unwrap() }
}

fn request(method: &str, path: &str, headers: &[(&str, &str)], body: impl Into<Body>) -> Request<Body> {
    let mut request = Request::builder().method(method).uri(path);
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    request.body(body.into()).unwrap()
}

async fn open(dir: &std::path::Path) -> (Arc<Node>, Running) {
    let (keys, _) = Keys::load_or_create(&dir.join("tenant.key")).unwrap();
    let options = NodeOptions { settle_ms: 0, ..NodeOptions::at(dir.join("data")) };
    let node = Node::open(options, keys, Arc::new(SystemClock::new())).await.unwrap();
    let running = node.start().await.unwrap();
    (node, running)
}

impl World {
    /// A node with nothing in it, and a database with an empty table.
    async fn empty(tokens: Vec<Token>) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let db = rusqlite::Connection::open(dir.path().join("shop.db")).unwrap();
        db.execute_batch("CREATE TABLE users (id INTEGER PRIMARY KEY, email TEXT, created TEXT)").unwrap();
        let (node, running) = open(dir.path()).await;
        let router = router(App::new(Arc::clone(&node), tokens));
        Self { node, router, running: Some(running), db, dir }
    }

    /// With a policy and an enforced system, both over HTTP.
    async fn shop() -> Self {
        let world = Self::empty(vec![]).await;
        let stored = world.put("/v1/policies/shop", POLICY).await;
        assert_eq!(stored.status, 201, "{}", stored.text);
        let published = world.post("/v1/policies/shop/publish", json!({})).await;
        assert_eq!(
            (published.status.as_u16(), &published.json()["version"]),
            (200, &json!(1)),
            "{}",
            published.text
        );
        let put = world.put("/v1/systems/shop-db", &world.manifest("enforce")).await;
        assert_eq!(put.status, 201, "{}", put.text);
        world
    }

    fn manifest(&self, mode: &str) -> String {
        let url = format!("sqlite://{}", self.dir.path().join("shop.db").display());
        json!({
            "system": "shop-db", "kind": "sqlite", "mode": mode, "connection": {"url": url},
            "datasets": [{"fides_key": "shop", "name": "shop", "collections": [{
                "name": "users",
                "quietus": {"key": ["id"], "subject": {"column": "id", "type": "customer_id"}, "recorded_at": "created"},
                "fields": [
                    {"name": "id", "data_categories": ["user.unique_id"], "fides_meta": {"primary_key": true}},
                    {"name": "email", "data_categories": ["user.contact.email"]},
                    {"name": "created"},
                ],
            }]}],
        })
        .to_string()
    }

    async fn get(&self, path: &str) -> Answer {
        send(&self.router, request("GET", path, &[], Body::empty())).await
    }

    async fn put(&self, path: &str, body: &str) -> Answer {
        send(&self.router, request("PUT", path, &[], body.to_owned())).await
    }

    /// A POST with a key of its own.
    async fn post(&self, path: &str, body: Value) -> Answer {
        let key = quietus::node::fresh_id("key");
        self.post_with(path, &[("idempotency-key", &key)], body).await
    }

    async fn post_with(&self, path: &str, headers: &[(&str, &str)], body: Value) -> Answer {
        let headers = [headers, &[("content-type", "application/json")]].concat();
        send(&self.router, request("POST", path, &headers, body.to_string())).await
    }

    async fn events(&self, events: &[Value]) -> Answer {
        let media = [("content-type", "application/cloudevents-batch+json")];
        let body = serde_json::to_vec(events).unwrap();
        let answer = send(&self.router, request("POST", "/v1/events", &media, body)).await;
        self.caught_up().await;
        answer
    }

    /// Everything durable has been applied.
    async fn caught_up(&self) {
        while self.node.lags().iter().any(|lag| *lag > 0) {
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    }

    /// Customers with a row each, recorded so many days ago under these purposes.
    async fn customers(&self, rows: &[(i64, i64, &[&str])]) {
        let mut events = Vec::new();
        for (id, days, purposes) in rows {
            self.db
                .execute("INSERT INTO users VALUES (?1, ?2, 'x')", (id, format!("u{id}@example.org")))
                .unwrap();
            events.push(recorded(*id, *days, purposes, &self.node));
        }
        let answer = self.events(&events).await;
        assert_eq!(
            (answer.status.as_u16(), answer.json()),
            (202, json!({"accepted": rows.len(), "rejected": []}))
        );
    }

    fn rows(&self) -> i64 {
        self.db.query_row("SELECT count(*) FROM users", [], |r| r.get(0)).unwrap()
    }

    /// Runs a sweep to its end; the report.
    async fn sweep(&self) -> Value {
        let started = self.post("/v1/sweeps", json!({})).await;
        assert_eq!(started.status, 202, "{}", started.text);
        let path = format!("/v1/sweeps/{}", started.json()["id"].as_str().unwrap());
        for _ in 0..800 {
            let view = self.get(&path).await.json();
            if view["state"] != "running" {
                return view;
            }
            tokio::time::sleep(Duration::from_millis(25)).await;
        }
        panic!("the sweep does not come to rest: {}", self.get(&path).await.text);
    }

    async fn look_up(&self, body: Value) -> Value {
        let found = self.post("/v1/items/lookup", body).await;
        assert_eq!(found.status, 200, "{}", found.text);
        found.json()
    }
}

fn recorded(id: i64, days_ago: i64, purposes: &[&str], node: &Node) -> Value {
    use quietus_core::time::Millis;
    let start = node.clock.now().plus(-days_ago * Millis::DAY).to_string();
    json!({
        "specversion": "1.0", "id": format!("e{id}"), "source": "/shop", "type": "quietus.item.recorded.v1",
        "data": {
            "subject": format!("customer_id:{id}"), "category": ["user.contact.email"], "purposes": purposes,
            "recorded_at": start,
            "copies": [{"system": "shop-db", "dataset": "shop.users", "locator": {"id": id}}],
        },
    })
}
