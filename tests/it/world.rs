//! A node with its HTTP surface, in this process, on a folder of its own.

use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;

use quietus::clock::{Clock, SystemClock};
use quietus::node::{KafkaOptions, Node, NodeOptions, Running};
use quietus::sealing::Keys;
use quietus::surface::http::{HttpConfig, bind, serve_on};
use serde_json::{Value, json};
use tokio::sync::oneshot;

pub const POLICY: &str = "policy: shop
timezone: Europe/Berlin
events:
  account_closed: {of: subject, open_ended: true}
purposes:
  service: {use: essential.service, basis: contract, ended_by: account_closed}
  ads: {use: marketing.advertising, basis: consent}
rules:
  - {id: contacts, category: user.contact, purpose: service, keep: 30d after recorded}
  - {id: ads, category: user.contact, purpose: ads, keep: 900d after recorded}
holds: {cool_down: 0s}
";

/// The manifest of a SQLite shop, as JSON with its dataset inline.
pub fn shop(url: &str) -> Value {
    json!({
        "system": "shop-db", "kind": "sqlite", "mode": "enforce", "connection": {"url": url},
        "datasets": [{"fides_key": "shop", "name": "shop", "collections": [{
            "name": "users",
            "quietus": {"key": ["id"], "subject": {"column": "id", "type": "customer_id"}},
            "fields": [
                {"name": "id", "fides_meta": {"primary_key": true}},
                {"name": "email", "data_categories": ["user.contact.email"]},
            ],
        }]}],
    })
}

pub struct World {
    pub url: String,
    running: Option<Running>,
    stop: Option<oneshot::Sender<()>>,
}

impl World {
    /// Opens the node in `dir` and serves it on a free port of loopback.
    pub async fn start(dir: &Path) -> Self {
        Self::reading(dir, None).await
    }

    /// As [`World::start`], with brokers that topics can be read from.
    pub async fn reading(dir: &Path, brokers: Option<String>) -> Self {
        Self::under(dir, Arc::new(SystemClock::new()), brokers).await
    }

    /// As [`World::reading`], by a clock of the test's own.
    pub async fn under(dir: &Path, clock: Arc<dyn Clock>, brokers: Option<String>) -> Self {
        let kafka = brokers.map(|b| KafkaOptions { brokers: vec![b], ..KafkaOptions::default() });
        Self::with(dir, clock, kafka).await
    }

    pub async fn with(dir: &Path, clock: Arc<dyn Clock>, kafka: Option<KafkaOptions>) -> Self {
        let (keys, _) = Keys::load_or_create(&dir.join("tenant.key")).unwrap();
        let options = NodeOptions { settle_ms: 0, kafka, ..NodeOptions::at(dir.join("data")) };
        let node = Node::open(options, keys, clock).await.unwrap();
        let running = node.start().await.unwrap();
        let config = HttpConfig { listen: SocketAddr::from(([127, 0, 0, 1], 0)), tokens: Vec::new() };
        let listener = bind(&config).await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let (stop, stopped) = oneshot::channel();
        tokio::spawn(async move {
            let ended = async move {
                let _ = stopped.await;
            };
            serve_on(listener, None, node, Vec::new(), ended).await.unwrap();
        });
        Self { url, running: Some(running), stop: Some(stop) }
    }

    /// A node that somebody else runs.
    pub fn at(url: &str) -> Self {
        Self { url: url.to_owned(), running: None, stop: None }
    }

    pub async fn stop(mut self) {
        drop(self.stop.take());
        let _ = self.running.take().unwrap().stop().await;
    }

    pub async fn call(&self, method: reqwest::Method, path: &str, body: &Value) -> (u16, Value) {
        let request = reqwest::Client::new()
            .request(method, format!("{}{path}", self.url))
            .header("idempotency-key", format!("\"{}\"", quietus::node::fresh_id("ik")))
            .json(body);
        let answer = request.send().await.unwrap();
        let status = answer.status().as_u16();
        (status, answer.json().await.unwrap_or(Value::Null))
    }

    pub async fn post(&self, path: &str, body: &Value) -> (u16, Value) {
        self.call(reqwest::Method::POST, path, body).await
    }

    pub async fn put(&self, path: &str, body: &Value) -> (u16, Value) {
        self.call(reqwest::Method::PUT, path, body).await
    }

    pub async fn get(&self, path: &str) -> (u16, Value) {
        self.call(reqwest::Method::GET, path, &Value::Null).await
    }

    /// Publishes the policy and registers the shop.
    pub async fn set_up(&self, database: &Path) {
        self.publish().await;
        self.register(&shop(&format!("sqlite://{}", database.display()))).await;
    }

    pub async fn publish(&self) {
        let url = format!("{}/v1/policies/shop", self.url);
        let put = reqwest::Client::new().put(url).header("content-type", "application/yaml").body(POLICY);
        assert!(put.send().await.unwrap().status().is_success());
        let (status, answer) = self.post("/v1/policies/shop/publish", &json!({})).await;
        assert!(status < 300, "{answer}");
    }

    pub async fn register(&self, manifest: &Value) {
        let path = format!("/v1/systems/{}", manifest["system"].as_str().unwrap());
        let (status, answer) = self.put(&path, manifest).await;
        assert!(status < 300, "{answer}");
    }

    pub async fn events(&self, events: &[Value]) -> (u16, Value) {
        let request = reqwest::Client::new()
            .post(format!("{}/v1/events", self.url))
            .header("content-type", "application/cloudevents-batch+json")
            .body(Value::Array(events.to_vec()).to_string());
        let answer = request.send().await.unwrap();
        let status = answer.status().as_u16();
        (status, answer.json().await.unwrap_or(Value::Null))
    }

    /// A sweep, waited for.
    pub async fn sweep(&self) -> Value {
        let (status, started) = self.post("/v1/sweeps", &json!({"plan": false})).await;
        assert_eq!(status, 202, "{started}");
        let path = format!("/v1/sweeps/{}", started["id"].as_str().unwrap());
        for _ in 0..1200 {
            let (_, sweep) = self.get(&path).await;
            if sweep["state"] != "running" {
                return sweep;
            }
            tokio::time::sleep(std::time::Duration::from_millis(25)).await;
        }
        panic!("the sweep does not come to rest");
    }
}

/// An item of the shop: `customer_id:ID`, recorded so many days ago.
pub fn recorded(id: &str, days_ago: i64, purposes: &[&str], locator: &Value) -> Value {
    let at = jiff_days_ago(days_ago);
    json!({
        "specversion": "1.0", "id": format!("rec-{id}"), "source": "/test", "type": "quietus.item.recorded.v1",
        "data": {"subject": format!("customer_id:{id}"), "category": "user.contact.email", "purposes": purposes,
                 "recorded_at": at,
                 "copies": [{"system": "shop-db", "dataset": "shop.users", "locator": {"id": locator}}]},
    })
}

fn jiff_days_ago(days: i64) -> String {
    use quietus::core::time::Millis;
    SystemClock::new().now().plus(-days * Millis::DAY).to_string()
}
