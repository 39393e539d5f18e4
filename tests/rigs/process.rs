//! A node as a process of its own, and how a rig talks to it.

use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use quietus::clock::{Clock, SystemClock};
use reqwest::Method;
use serde_json::{Value, json};

/// Retention counted in seconds, so that a rig sees dates come.
pub const POLICY: &str = "policy: shop
timezone: UTC
events:
  account_closed: {of: subject, open_ended: true}
purposes:
  service: {use: essential.service, basis: contract, ended_by: account_closed}
  ads: {use: marketing.advertising, basis: consent}
rules:
  - {id: contacts, category: user.contact, purpose: service, keep: 4s after recorded}
  - {id: places, category: user.contact.address, purpose: service, keep: 900d after recorded}
  - {id: ads, category: user.contact, purpose: ads, keep: 900d after recorded}
sweep: {schedule: \"0 0 0 1 1 *\"}
holds: {cool_down: 0s}
";

pub fn now() -> i64 {
    SystemClock::new().now().0
}

/// How long a living node may take to answer on a machine that has much else to do.
const PATIENCE: Duration = Duration::from_secs(180);

/// One node's folder; the process in it may be dead.
#[derive(Debug)]
pub struct Process {
    dir: PathBuf,
    /// Settings beside the rigs' own, as environment variables.
    settings: Vec<(String, String)>,
    child: Option<Child>,
    url: String,
    client: reqwest::Client,
}

/// The call came to no answer: the node is dead or too slow.
#[derive(Debug)]
pub struct NoAnswer;

impl Process {
    pub fn at(dir: &Path) -> Self {
        let client = reqwest::Client::builder().timeout(PATIENCE).build().unwrap();
        Self { dir: dir.to_owned(), settings: Vec::new(), child: None, url: String::new(), client }
    }

    /// With a setting more.
    pub fn set(mut self, variable: &str, value: &str) -> Self {
        self.settings.push((variable.to_owned(), value.to_owned()));
        self
    }

    /// Starts it; false = it died before it listened, which only a kill point may cause.
    pub fn start(&mut self, kill_at: Option<&str>) -> bool {
        self.kill();
        // Another build of it may be put to the same test.
        let binary = std::env::var("QUIETUS_RIG_BINARY");
        let mut command = Command::new(binary.as_deref().unwrap_or(env!("CARGO_BIN_EXE_quietus")));
        command
            .args(["serve", "--dir", "data", "--listen", "127.0.0.1:0"])
            .env("QUIETUS_HTTP__SETTLE", "0s")
            .env("RUST_BACKTRACE", "1")
            .envs(self.settings.iter().map(|(variable, value)| (variable, value)))
            .current_dir(&self.dir)
            .stderr(Stdio::piped());
        if let Some(point) = kill_at {
            command.env("QUIETUS_KILL_AT", point);
        }
        let mut child = command.spawn().unwrap();
        let mut lines = BufReader::new(child.stderr.take().unwrap()).lines().map_while(Result::ok);
        let mut said = Vec::new();
        let url = lines.find_map(|line| {
            let url = line.strip_prefix("listening on ").map(str::to_owned);
            said.push(line);
            url
        });
        let mut log =
            std::fs::OpenOptions::new().create(true).append(true).open(self.dir.join("log")).unwrap();
        let write =
            move |line: String| drop(std::io::Write::write_all(&mut log, format!("{line}\n").as_bytes()));
        let Some(url) = url else {
            let status = child.wait().unwrap();
            assert!(kill_at.is_some(), "the node does not start ({status}):\n{}", said.join("\n"));
            said.into_iter().for_each(write);
            return false;
        };
        std::thread::spawn(move || said.into_iter().chain(lines).for_each(write));
        self.url = url;
        self.child = Some(child);
        true
    }

    /// At how many points of this kind it has killed itself.
    pub fn killed_at(&self, kind: &str) -> usize {
        let log = std::fs::read_to_string(self.dir.join("log")).unwrap();
        let lines = log.lines().filter(|line| line.starts_with("killed at point "));
        lines.filter(|line| line.ends_with(&format!(": {kind}"))).count()
    }

    /// How often it said this.
    pub fn said(&self, what: &str) -> usize {
        let log = std::fs::read_to_string(self.dir.join("log")).unwrap();
        log.lines().filter(|line| line.contains(what)).count()
    }

    /// `kill -9`.
    pub fn kill(&mut self) {
        if let Some(mut child) = self.child.take() {
            let _ = child.kill();
            let _ = child.wait();
        }
    }

    /// Asked to stop, it does.
    pub fn stop(&mut self) {
        if let Some(mut child) = self.child.take() {
            let asked = Command::new("kill").args(["-TERM", &child.id().to_string()]).status();
            assert!(asked.unwrap().success() && child.wait().unwrap().success(), "no orderly stop");
        }
    }

    pub fn is_alive(&mut self) -> bool {
        self.child.as_mut().is_some_and(|c| c.try_wait().unwrap().is_none())
    }

    /// True once it is dead; false when it goes on living. A connection may break before its process has ended.
    pub async fn dies(&mut self) -> bool {
        let begun = Instant::now();
        while self.is_alive() {
            if begun.elapsed() > PATIENCE {
                return false;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        true
    }

    pub fn caller(&self) -> Caller {
        Caller { url: self.url.clone(), client: self.client.clone() }
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.kill();
    }
}

/// Talks to the node that was running when it was made.
#[derive(Clone, Debug)]
pub struct Caller {
    pub url: String,
    client: reqwest::Client,
}

impl Caller {
    pub async fn call(&self, method: Method, path: &str, body: &Value) -> Result<(u16, Value), NoAnswer> {
        let key = quietus::node::fresh_id("ik");
        self.keyed(method, path, body, &key).await
    }

    /// With an idempotency key of the caller's own.
    pub async fn keyed(
        &self,
        method: Method,
        path: &str,
        body: &Value,
        key: &str,
    ) -> Result<(u16, Value), NoAnswer> {
        let request = self.client.request(method, format!("{}{path}", self.url));
        let request = request.header("idempotency-key", format!("\"{key}\"")).json(body);
        read(request).await
    }

    /// What a counter of `/metrics` stands at, over all its labels.
    pub async fn counted(&self, name: &str) -> Result<u64, NoAnswer> {
        let answer = self.client.get(format!("{}/metrics", self.url)).send().await.map_err(|_| NoAnswer)?;
        let text = answer.text().await.map_err(|_| NoAnswer)?;
        let samples = text.lines().filter(|line| line.starts_with(name));
        Ok(samples.filter_map(|line| line.rsplit_once(' ')?.1.parse::<u64>().ok()).sum())
    }

    pub async fn events(&self, events: &[Value]) -> Result<(u16, Value), NoAnswer> {
        let request = self.client.post(format!("{}/v1/events", self.url));
        let request = request.header("content-type", "application/cloudevents-batch+json");
        read(request.body(Value::Array(events.to_vec()).to_string())).await
    }

    /// Policy and system; a repeat changes nothing.
    pub async fn set_up(&self, system: &Value) -> Result<(), NoAnswer> {
        let put = self.client.put(format!("{}/v1/policies/shop", self.url));
        let put = put.header("content-type", "application/yaml").body(POLICY);
        for (status, answer) in [
            read(put).await?,
            self.call(Method::POST, "/v1/policies/shop/publish", &json!({})).await?,
            self.call(Method::PUT, "/v1/systems/shop-db", system).await?,
        ] {
            assert!(status < 300, "{status} {answer}");
        }
        Ok(())
    }

    /// A sweep, waited for until it no longer runs.
    pub async fn sweep(&self) -> Result<Value, NoAnswer> {
        let (status, started) = self.call(Method::POST, "/v1/sweeps", &json!({"plan": false})).await?;
        assert_eq!(status, 202, "{started}");
        let path = format!("/v1/sweeps/{}", started["id"].as_str().unwrap());
        let begun = Instant::now();
        loop {
            let (status, sweep) = self.call(Method::GET, &path, &Value::Null).await?;
            if status == 200 && sweep["state"] != "running" || begun.elapsed() > 2 * PATIENCE {
                return Ok(sweep);
            }
            tokio::time::sleep(Duration::from_millis(25)).await;
        }
    }

    /// The outcome of the one copy of a row, or what stands in its place.
    pub async fn outcome(&self, id: i64) -> Result<String, NoAnswer> {
        self.outcome_in("shop.users", id).await
    }

    pub async fn outcome_in(&self, dataset: &str, id: i64) -> Result<String, NoAnswer> {
        let body = json!({"system": "shop-db", "dataset": dataset, "locator": {"id": id}});
        let (status, answer) = self.call(Method::POST, "/v1/items/lookup", &body).await?;
        assert_eq!(status, 200, "{answer}");
        Ok(answer["items"][0]["copies"][0]["outcome"].as_str().unwrap_or("unknown").to_owned())
    }
}

async fn read(request: reqwest::RequestBuilder) -> Result<(u16, Value), NoAnswer> {
    let answer = request.send().await.map_err(|_| NoAnswer)?;
    let status = answer.status().as_u16();
    let body = answer.bytes().await.map_err(|_| NoAnswer)?;
    Ok((status, serde_json::from_slice(&body).unwrap_or(Value::Null)))
}

/// `customer_id:ID` and its row were recorded at this time.
pub fn recorded(id: i64, at: i64, purposes: &[&str]) -> Value {
    recorded_in("shop.users", id, at, purposes)
}

/// The same of a row of this table.
pub fn recorded_in(dataset: &str, id: i64, at: i64, purposes: &[&str]) -> Value {
    json!({
        "specversion": "1.0", "id": format!("rec-{id}"), "source": "/rig", "type": "quietus.item.recorded.v1",
        "data": {"subject": format!("customer_id:{id}"), "category": "user.contact.email", "purposes": purposes,
                 "recorded_at": quietus::core::time::Millis(at).to_string(),
                 "copies": [{"system": "shop-db", "dataset": dataset, "locator": {"id": id}}]},
    })
}
