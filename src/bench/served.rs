//! A node of the bench's own: opened in a folder that goes away with it, served on loopback.

use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;

use serde_json::Value;
use tempfile::TempDir;
use tokio::task::JoinHandle;

use super::BenchError;
use crate::clock::{Clock, SystemClock};
use crate::node::{Node, NodeOptions, Running};
use crate::sealing::Keys;
use crate::surface::http::{HttpConfig, ServeError, bind, serve_on};

pub struct Served {
    /// `http://127.0.0.1:PORT`
    pub url: String,
    pub client: reqwest::Client,
    dir: TempDir,
    running: Running,
    server: JoinHandle<Result<(), ServeError>>,
}

impl Served {
    /// `settle_ms`: how late facts may come.
    pub async fn start(settle_ms: i64) -> Result<Self, BenchError> {
        let dir = TempDir::with_prefix("quietus-bench-")?;
        let (keys, _) = Keys::load_or_create(&dir.path().join("tenant.key"))?;
        let clock = Arc::new(SystemClock::new()) as Arc<dyn Clock>;
        let options = NodeOptions { settle_ms, ..NodeOptions::at(dir.path().join("data")) };
        let node = Node::open(options, keys, clock).await?;
        let running = node.start().await?;
        let config = HttpConfig { listen: SocketAddr::from(([127, 0, 0, 1], 0)), tokens: Vec::new() };
        let listener = bind(&config).await?;
        let url = format!("http://{}", listener.local_addr()?);
        let server = tokio::spawn(serve_on(listener, None, node, Vec::new(), std::future::pending()));
        Ok(Self { url, client: reqwest::Client::new(), dir, running, server })
    }

    pub fn dir(&self) -> &Path {
        self.dir.path()
    }

    /// A call with a JSON body; the answer, or why it was refused.
    pub async fn call(&self, method: reqwest::Method, path: &str, body: &Value) -> Result<Value, BenchError> {
        let key = format!("\"{}\"", crate::node::fresh_id("ik"));
        let call = self.client.request(method, format!("{}{path}", self.url)).header("idempotency-key", key);
        let answer = call.json(body).send().await?;
        let (status, text) = (answer.status(), answer.text().await?);
        if !status.is_success() {
            return Err(BenchError::Wrong(format!("{path}: {status}: {text}")));
        }
        Ok(serde_json::from_str(&text).unwrap_or(Value::Null))
    }

    /// Stores a policy and activates it.
    pub async fn publish(&self, name: &str, policy: &'static str) -> Result<(), BenchError> {
        let put = self.client.put(format!("{}/v1/policies/{name}", self.url));
        put.header("content-type", "application/yaml").body(policy).send().await?.error_for_status()?;
        self.call(reqwest::Method::POST, &format!("/v1/policies/{name}/publish"), &serde_json::json!({}))
            .await?;
        Ok(())
    }

    pub async fn stop(self) -> Result<(), BenchError> {
        self.server.abort();
        self.running.stop().await?;
        Ok(())
    }
}
