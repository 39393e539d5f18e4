//! One trace from the producer's event to the read-back, as an OTLP collector sees it.

use std::io::{BufRead, BufReader};
use std::net::TcpListener;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex};

use axum::Router;
use axum::body::Bytes;
use axum::routing::post;
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use prost::Message;
use serde_json::{Value, json};

use crate::world::{POLICY, recorded, shop};

/// (trace id in hex, name of the span)
type Spans = Arc<Mutex<Vec<(String, String)>>>;

/// A collector on loopback that keeps what it is sent.
async fn collector() -> (String, Spans) {
    let spans = Spans::default();
    let kept = Arc::clone(&spans);
    let take = move |body: Bytes| {
        let kept = Arc::clone(&kept);
        async move {
            let sent = ExportTraceServiceRequest::decode(body).unwrap();
            let sent = sent.resource_spans.into_iter().flat_map(|r| r.scope_spans).flat_map(|s| s.spans);
            let hex = |id: &[u8]| id.iter().map(|b| format!("{b:02x}")).collect::<String>();
            kept.lock().unwrap().extend(sent.map(|s| (hex(&s.trace_id), s.name)));
        }
    };
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    tokio::spawn(async move {
        axum::serve(listener, Router::new().route("/v1/traces", post(take))).await.unwrap()
    });
    (url, spans)
}

/// The real binary; ended when dropped.
struct Served(Child);

impl Drop for Served {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

impl Served {
    /// Returns once the node says that it listens.
    fn start(dir: &Path, otlp: &str) -> (Self, String) {
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let config = format!(
            "dir: {}\nhttp: {{listen: \"127.0.0.1:{port}\", settle: 0s}}\ntelemetry: {{level: info, format: text, otlp: \"{otlp}\"}}\n",
            dir.join("data").display()
        );
        let file = dir.join("quietus.yaml");
        std::fs::write(&file, config).unwrap();
        let mut child = Command::new(env!("CARGO_BIN_EXE_quietus"))
            .args(["serve", "--config"])
            .arg(&file)
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(child.stderr.take().unwrap()).lines();
        let mut seen = Vec::new();
        loop {
            let line = lines.next().unwrap_or_else(|| panic!("it ended: {}", seen.join("\n"))).unwrap();
            let ready = line.contains("listening on ");
            seen.push(line);
            if ready {
                break;
            }
        }
        // Whoever does not read fills the pipe, and then it stands still.
        std::thread::spawn(move || lines.for_each(drop));
        (Self(child), format!("http://127.0.0.1:{port}"))
    }

    fn end(&mut self) {
        let pid = self.0.id().to_string();
        assert!(Command::new("kill").args(["-TERM", &pid]).status().unwrap().success());
        assert!(self.0.wait().unwrap().success());
    }
}

async fn send(
    client: &reqwest::Client,
    method: reqwest::Method,
    url: String,
    trace: &str,
    body: &Value,
) -> Value {
    let answer = client
        .request(method, &url)
        .header("traceparent", trace)
        .header("idempotency-key", format!("\"{}\"", quietus::node::fresh_id("ik")))
        .json(body)
        .send()
        .await
        .unwrap();
    assert!(answer.status().is_success(), "{url}: {}", answer.text().await.unwrap());
    answer.json().await.unwrap_or(Value::Null)
}

#[tokio::test(flavor = "multi_thread")]
async fn one_trace_id_over_intake_decide_dispatch_confirm() {
    let folder = tempfile::tempdir().unwrap();
    let database = folder.path().join("shop.db");
    let db = rusqlite::Connection::open(&database).unwrap();
    db.execute_batch("CREATE TABLE users (id INTEGER PRIMARY KEY, email TEXT); INSERT INTO users VALUES (1, 'a@example.org')")
        .unwrap();
    let (otlp, spans) = collector().await;
    let (mut served, url) = Served::start(folder.path(), &otlp);
    let client = reqwest::Client::new();
    let id = "4bf92f3577b34da6a3ce929d0e0e4736";
    let trace = format!("00-{id}-00f067aa0ba902b7-01");
    let put =
        client.put(format!("{url}/v1/policies/shop")).header("content-type", "application/yaml").body(POLICY);
    assert!(put.send().await.unwrap().status().is_success());
    let (post, put) = (reqwest::Method::POST, reqwest::Method::PUT);
    let other = "00-11111111111111111111111111111111-00f067aa0ba902b7-01";
    send(&client, post.clone(), format!("{url}/v1/policies/shop/publish"), other, &json!({})).await;
    let manifest = shop(&format!("sqlite://{}", database.display()));
    send(&client, put, format!("{url}/v1/systems/shop-db"), other, &manifest).await;
    // The producer's trace: its event, and its customer's request.
    let event = recorded("1", 3, &["ads"], &json!(1));
    let events = client.post(format!("{url}/v1/events")).header("traceparent", &trace);
    let events = events.header("content-type", "application/cloudevents+json").body(event.to_string());
    assert_eq!(events.send().await.unwrap().status().as_u16(), 202);
    let body = json!({"type": "erase", "subject": "customer_id:1"});
    let request = send(&client, post, format!("{url}/v1/requests"), &trace, &body).await;
    let path = format!("{url}/v1/requests/{}", request["id"].as_str().unwrap());
    for _ in 0..400 {
        let answer: Value = client.get(&path).send().await.unwrap().json().await.unwrap();
        if answer["state"] == "fulfilled" {
            break;
        }
        tokio::time::sleep(std::time::Duration::from_millis(25)).await;
    }
    let left: i64 = db.query_row("SELECT count(*) FROM users", [], |r| r.get(0)).unwrap();
    assert_eq!(left, 0);
    served.end();
    let spans = spans.lock().unwrap();
    for step in ["intake", "decide", "dispatch", "confirm"] {
        let mine = spans.iter().any(|(trace, name)| trace == id && name == step);
        assert!(mine, "no span `{step}` in the producer's trace: {spans:?}");
    }
}
