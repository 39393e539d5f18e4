//! The laws on this connector: somebody else's program over real signed HTTP, whose records are the fixture's.
#![expect(clippy::expect_used, clippy::indexing_slicing, reason = "a test says what is wrong by panicking")]

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;
use axum::body::Bytes;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use axum::routing::post;
use quietus_conformance::{Harness, Row, broken_laws, fixture, prove, run};
use quietus_contract::Connector;
use quietus_http::Signer;
use quietus_outside::{Command, Confirmation, OutsideConnector};
use serde_json::{Value, json};

const SECRET: &str = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";
const NOW: i64 = 1_800_000_000_000;

/// The program's records and what it has answered.
#[derive(Default)]
struct Books {
    rows: Vec<Row>,
    answered: BTreeMap<String, Confirmation>,
}

type Shared = Arc<Mutex<Books>>;

struct Program {
    books: Shared,
    url: String,
}

impl Program {
    async fn open() -> std::io::Result<Self> {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await?;
        let url = format!("http://{}/", listener.local_addr()?);
        let books = Shared::default();
        let app = axum::Router::new().route("/", post(told)).with_state(Arc::clone(&books));
        tokio::spawn(async move { axum::serve(listener, app).await });
        Ok(Self { books, url })
    }

    fn books(&self) -> MutexGuard<'_, Books> {
        self.books.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

async fn told(State(books): State<Shared>, headers: HeaderMap, body: Bytes) -> Response {
    let signer = Signer::new(SECRET).expect("a secret");
    let header = |name: &str| headers.get(name).and_then(|value| value.to_str().ok());
    if !signer.is_signed(header, &body, Some(NOW)) {
        return StatusCode::UNAUTHORIZED.into_response();
    }
    let asked: Value = serde_json::from_slice(&body).expect("JSON");
    let commands: Vec<Command> = serde_json::from_value(asked["commands"].clone()).expect("commands");
    let mut books = books.lock().unwrap_or_else(PoisonError::into_inner);
    let said: Vec<Confirmation> = commands.iter().map(|command| books.answer(command)).collect();
    let body = json!({"confirmations": said}).to_string();
    let mut response = HeaderMap::new();
    for (name, value) in signer.headers("answer", NOW, body.as_bytes()) {
        response.insert(name, value.parse().expect("a header"));
    }
    (response, body).into_response()
}

impl Books {
    fn answer(&mut self, command: &Command) -> Confirmation {
        if let Some(known) = self.answered.get(&command.id).filter(|a| command.attempt <= a.attempt) {
            return known.clone();
        }
        let (outcome, count) = if command.not_after <= NOW { ("failed", 0) } else { self.act(command) };
        let said = Confirmation {
            id: command.id.clone(),
            attempt: command.attempt,
            system: command.system.clone(),
            outcome: outcome.to_owned(),
            count,
            may_retry: outcome == "failed",
            ..Confirmation::default()
        };
        if outcome != "failed" {
            self.answered.insert(command.id.clone(), said.clone());
        }
        said
    }

    fn act(&mut self, command: &Command) -> (&'static str, i64) {
        let key = fixture::key(&command.dataset);
        if key.is_empty() || !command.locator.keys().eq(key.iter().collect::<BTreeSet<_>>()) {
            return ("refused", 0);
        }
        let is_it = |row: &&mut Row| {
            row.dataset == command.dataset
                && key.iter().all(|k| row.get(k) == command.locator.get(k).map(String::as_str))
        };
        let Some(row) = self.rows.iter_mut().find(is_it) else { return ("absent", 0) };
        let new = match command.action.as_str() {
            "erase" => {
                let gone = row.clone();
                self.rows.retain(|row| *row != gone);
                return ("removed", 1);
            }
            "mask" => {
                command.categories.iter().flat_map(|c| columns(&command.dataset, c)).collect::<Vec<_>>()
            }
            "correct" => {
                let values = command.values.iter();
                let one = |(category, value): (&String, &Option<String>)| {
                    columns(&command.dataset, category)
                        .into_iter()
                        .map(|(c, _)| (c, value.clone()))
                        .collect::<Vec<_>>()
                };
                values.flat_map(one).collect()
            }
            _ => return ("refused", 0),
        };
        if new.is_empty() {
            return ("refused", 0);
        }
        let before = row.clone();
        for (column, value) in new {
            *row = row.with(&column, value.as_deref());
        }
        if *row == before { ("unchanged", 0) } else { ("changed", 1) }
    }
}

/// The columns that carry a category, each with its replacement.
fn columns(dataset: &str, category: &str) -> Vec<(String, Option<String>)> {
    let manifest = fixture::manifest("webhook");
    let Some((_, collection)) = manifest.collection(dataset) else { return Vec::new() };
    let carries =
        |c: &String| c == category || c.strip_prefix(category).is_some_and(|rest| rest.starts_with('.'));
    let fields = collection.fields.iter().filter(|f| f.categories.iter().any(carries));
    fields.map(|f| (f.name.clone(), f.mask.clone())).collect()
}

fn connector(url: &str) -> Result<Arc<dyn Connector>, String> {
    let manifest = fixture::manifest("webhook");
    let settings = [("url".to_owned(), url.to_owned()), ("secret".to_owned(), SECRET.to_owned())].into();
    let connector = OutsideConnector::new(&manifest, &settings, None, Arc::new(|| NOW));
    Ok(Arc::new(connector.map_err(|e| e.to_string())?))
}

#[async_trait]
impl Harness for Program {
    async fn prepare(&self, rows: &[Row]) -> Result<Arc<dyn Connector>, String> {
        *self.books() = Books { rows: rows.to_vec(), ..Books::default() };
        connector(&self.url)
    }

    async fn put(&self, row: &Row) -> Result<(), String> {
        let mut books = self.books();
        books.rows.retain(|known| (&known.dataset, known.locator()) != (&row.dataset, row.locator()));
        books.rows.push(row.clone());
        Ok(())
    }

    async fn rows(&self) -> Result<Vec<Row>, String> {
        Ok(self.books().rows.clone())
    }

    async fn unreachable(&self) -> Option<Arc<dyn Connector>> {
        connector("http://127.0.0.1:1").ok()
    }

    fn enforces_references(&self) -> bool {
        false
    }
}

#[tokio::test]
async fn the_outside_connector_passes_every_law() {
    let results = run(&Program::open().await.expect("a port")).await;
    assert_eq!(broken_laws(&results), Vec::<String>::new());
    let readme = include_str!("../README.md");
    let can = connector("http://127.0.0.1:1").expect("a well-formed address").describe();
    for table in [quietus_conformance::table(&results), quietus_conformance::abilities(&can)] {
        assert!(readme.contains(&table), "README.md is to hold:\n{table}");
    }
}

#[tokio::test]
async fn each_broken_connector_fails_exactly_its_law() {
    let program = Program::open().await.expect("a port");
    assert_eq!(prove(Arc::new(program)).await, Vec::<String>::new());
}
