//! A partner who does what a test tells: over real HTTP, seen through a log of what arrived.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use axum::body::Bytes;
use axum::extract::{Path, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Json, Router};
use quietus_contract::{
    CommandId, Connector, Gate, Identity, Outcome, Permit, Secret, Target, TargetOutcome, Verdict, Work,
};
use quietus_core::system::{Call, HttpCalls, Limits, Manifest, Poll, ReadBackCall};
use quietus_http::HttpConnector;
use serde_json::{Value, json};

/// What arrived.
#[derive(Clone, Debug)]
pub struct Seen {
    pub path: String,
    pub headers: BTreeMap<String, String>,
    pub body: String,
}

/// How the partner behaves to one request.
#[derive(Clone, Debug)]
pub enum Mood {
    /// Status and Retry-After, nothing done.
    Answers(u16, Option<String>),
    /// Answers when it is too late.
    Slow(Duration),
    /// Does the work, and the line is cut before the answer.
    CutAfterWork,
    /// Takes it on and gives no reference.
    Nameless,
    /// Its reference is this.
    Names(String),
}

#[derive(Default)]
pub struct Books {
    pub people: BTreeSet<String>,
    pub seen: Vec<Seen>,
    pub moods: VecDeque<Mood>,
    /// Idempotency-Key → job: the same key is worked once.
    pub jobs: BTreeMap<String, String>,
    /// Answer of every job.
    pub state: String,
    /// Says so and does nothing.
    pub is_lying: bool,
    pub worked: usize,
}

#[derive(Clone)]
pub struct Partner {
    books: Arc<Mutex<Books>>,
    pub url: String,
    /// The node's clock.
    pub now: Arc<AtomicI64>,
}

pub const START: i64 = 1_800_000_000_000;
pub const SECRET: &str = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";

impl Partner {
    pub async fn open(people: &[&str]) -> Self {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let url = format!("http://{}", listener.local_addr().expect("its address"));
        let books = Books {
            people: people.iter().map(|p| (*p).to_owned()).collect(),
            state: "done".into(),
            ..Books::default()
        };
        let partner = Self { books: Arc::new(Mutex::new(books)), url, now: Arc::new(AtomicI64::new(START)) };
        let app = Router::new()
            .route("/api/erase", post(erase))
            .route("/api/jobs/{job}", get(job))
            .route("/api/find", post(find))
            .route("/api/correct", post(correct))
            .with_state(partner.clone());
        tokio::spawn(async move { axum::serve(listener, app).await });
        partner
    }

    /// The same partner, at an address where nobody answers.
    pub fn nowhere(&self) -> Self {
        Self { url: "http://127.0.0.1:1".into(), ..self.clone() }
    }

    pub fn books(&self) -> MutexGuard<'_, Books> {
        self.books.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub fn seen(&self, path: &str) -> Vec<Seen> {
        self.books().seen.iter().filter(|s| s.path == path).cloned().collect()
    }

    pub fn connector(&self) -> HttpConnector {
        self.with(calls(), 500)
    }

    pub fn with(&self, calls: HttpCalls, batch: u32) -> HttpConnector {
        let manifest = Manifest {
            system: "mailer".into(),
            kind: "http".into(),
            limits: Limits { batch, ..Limits::default() },
            http: Some(calls),
            ..Manifest::default()
        };
        let settings =
            [("url", format!("{}/api/", self.url)), ("secret", SECRET.into()), ("timeout", "1".into())];
        let settings = settings.map(|(k, v)| (k.to_owned(), v)).into();
        let now = Arc::clone(&self.now);
        HttpConnector::new(&manifest, &settings, Arc::new(move || now.load(Ordering::SeqCst))).expect("sound")
    }

    fn note(&self, path: &str, headers: &HeaderMap, body: &str) {
        let header = |(name, value): (&axum::http::HeaderName, &axum::http::HeaderValue)| {
            (name.to_string(), value.to_str().unwrap_or_default().to_owned())
        };
        let headers = headers.iter().map(header).collect();
        self.books().seen.push(Seen { path: path.to_owned(), headers, body: body.to_owned() });
    }
}

pub fn calls() -> HttpCalls {
    let done = [("/state".to_owned(), vec!["done".to_owned()])].into();
    HttpCalls {
        identity: "email".into(),
        submit: Call {
            method: "POST".into(),
            path: "/erase".into(),
            body: Some(json!({"people": "{values}"})),
            reference: Some("/job".into()),
        },
        poll: Some(Poll {
            path: "/jobs/{ref}".into(),
            every: 1,
            done,
            failed: [("/state".to_owned(), vec!["failed".to_owned()])].into(),
        }),
        read_back: Some(ReadBackCall {
            path: "/find".into(),
            body: Some(json!({"people": "{values}"})),
            absent: [("/found".to_owned(), json!([]))].into(),
        }),
        correct: None,
        deadline: Some(30 * 24 * 3_600_000),
    }
}

async fn erase(State(partner): State<Partner>, headers: HeaderMap, body: Bytes) -> Response {
    let text = String::from_utf8_lossy(&body).into_owned();
    partner.note("/erase", &headers, &text);
    let mood = partner.books().moods.pop_front();
    if let Some(Mood::Answers(status, after)) = &mood {
        let status = StatusCode::from_u16(*status).expect("a status");
        let after = after.iter().map(|a| ("retry-after", a.clone()));
        return (status, axum::response::AppendHeaders(after.collect::<Vec<_>>()), "ann@example.org")
            .into_response();
    }
    if let Some(Mood::Slow(by)) = &mood {
        tokio::time::sleep(*by).await;
    }
    let key = headers.get("idempotency-key").and_then(|k| k.to_str().ok()).unwrap_or_default().to_owned();
    let job = {
        let mut books = partner.books();
        let number = books.jobs.len() + 1;
        let is_new = !books.jobs.contains_key(&key);
        let job = books.jobs.entry(key).or_insert_with(|| format!("j-{number}")).clone();
        if is_new && !books.is_lying {
            books.worked += 1;
            let asked: Value = serde_json::from_str(&text).expect("JSON");
            for person in asked["people"].as_array().expect("a list") {
                books.people.remove(person.as_str().expect("a text"));
            }
        }
        job
    };
    match mood {
        // The connection's task ends with it; unlike a panic it tells nobody.
        Some(Mood::CutAfterWork) => std::panic::resume_unwind(Box::new(())),
        Some(Mood::Nameless) => Json(json!({"ok": true})).into_response(),
        Some(Mood::Names(name)) => Json(json!({"job": name})).into_response(),
        _ => (StatusCode::ACCEPTED, Json(json!({"job": job}))).into_response(),
    }
}

async fn job(State(partner): State<Partner>, Path(job): Path<String>, headers: HeaderMap) -> Response {
    partner.note(&format!("/jobs/{job}"), &headers, "");
    let books = partner.books();
    if !books.jobs.values().any(|known| *known == job) {
        return StatusCode::NOT_FOUND.into_response();
    }
    match books.state.parse::<u16>() {
        Ok(status) => StatusCode::from_u16(status).expect("a status").into_response(),
        Err(_) => Json(json!({"state": books.state})).into_response(),
    }
}

async fn find(State(partner): State<Partner>, headers: HeaderMap, body: Bytes) -> Json<Value> {
    let text = String::from_utf8_lossy(&body).into_owned();
    partner.note("/find", &headers, &text);
    let asked: Value = serde_json::from_str(&text).expect("JSON");
    let books = partner.books();
    let asked = asked["people"].as_array().expect("a list").clone();
    let found = asked.iter().filter(|p| p.as_str().is_some_and(|p| books.people.contains(p)));
    Json(json!({"found": found.collect::<Vec<_>>()}))
}

/// Says that it does, and changes nothing.
async fn correct(State(partner): State<Partner>, headers: HeaderMap, body: Bytes) -> Json<Value> {
    partner.note("/correct", &headers, &String::from_utf8_lossy(&body));
    let mut books = partner.books();
    let job = format!("j-{}", books.jobs.len() + 1);
    books.jobs.insert(job.clone(), job.clone());
    Json(json!({"job": job}))
}

pub fn record(n: u8, email: &str) -> Target {
    Target {
        command: CommandId([n; 16]),
        attempt: 1,
        dataset: "shop.users".into(),
        locator: Default::default(),
        answered_at: None,
        identities: vec![
            Identity { kind: "customer_id".into(), value: Secret::new("4711") },
            Identity { kind: "email".into(), value: Secret::new(email) },
        ],
        work: Work::Delete,
    }
}

/// Hands them over with everything let through, in the order of the commands.
pub async fn submit(connector: &HttpConnector, targets: &[Target]) -> Vec<Outcome> {
    submit_through(connector, targets, Arc::new(Stops(Vec::new()))).await
}

pub async fn submit_through(
    connector: &HttpConnector,
    targets: &[Target],
    gate: Arc<dyn Gate>,
) -> Vec<Outcome> {
    let permit = Permit::issue(1, 1, [0; 32], Duration::from_secs(30));
    sorted(connector.erase(targets, &permit, gate).await)
}

pub fn sorted(mut answers: Vec<TargetOutcome>) -> Vec<Outcome> {
    answers.sort_by_key(|a| a.command);
    answers.into_iter().map(|a| a.outcome).collect()
}

/// Asks how far these are, once the partner may be asked again.
pub async fn poll(connector: &HttpConnector, targets: &[Target], outcomes: &[Outcome]) -> Vec<Outcome> {
    tokio::time::sleep(Duration::from_millis(10)).await;
    let open = targets.iter().zip(outcomes).filter_map(|(target, outcome)| match outcome {
        Outcome::Accepted { reference } => Some((target.clone(), reference.clone())),
        _ => None,
    });
    sorted(connector.poll(&open.collect::<Vec<_>>()).await)
}

/// Stops these commands.
pub struct Stops(pub Vec<CommandId>);

#[async_trait]
impl Gate for Stops {
    async fn may_commit(&self, commands: &[CommandId]) -> Vec<Verdict> {
        commands.iter().map(|c| if self.0.contains(c) { Verdict::Stop } else { Verdict::Go }).collect()
    }
}
