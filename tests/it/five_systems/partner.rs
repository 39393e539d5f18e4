//! A partner over real HTTP that takes a job and works on it for days.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use axum::extract::State;
use axum::routing::{get, post};
use axum::{Json, Router};
use serde_json::{Value, json};

#[derive(Debug, Default)]
pub struct Books {
    pub people: BTreeSet<String>,
    /// Asked for, and not carried out yet.
    taken: BTreeSet<String>,
    has_ended: bool,
}

#[derive(Clone, Debug)]
pub struct Partner {
    pub url: String,
    books: Arc<Mutex<Books>>,
}

impl Partner {
    pub async fn open(people: &[&str]) -> Self {
        let people = people.iter().map(|p| (*p).to_owned()).collect();
        let books = Arc::new(Mutex::new(Books { people, ..Books::default() }));
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let partner = Self { url: format!("http://{}", listener.local_addr().unwrap()), books };
        let app = Router::new()
            .route("/erase", post(erase))
            .route("/jobs/{job}", get(job))
            .route("/find", post(find))
            .with_state(partner.clone());
        tokio::spawn(async move { axum::serve(listener, app).await });
        partner
    }

    pub fn books(&self) -> MutexGuard<'_, Books> {
        self.books.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The days are over.
    pub fn ends_its_jobs(&self) {
        let mut books = self.books();
        books.has_ended = true;
        for person in std::mem::take(&mut books.taken) {
            books.people.remove(&person);
        }
    }
}

fn named(body: &Value) -> impl Iterator<Item = String> {
    body["people"].as_array().unwrap().iter().map(|p| p.as_str().unwrap().to_owned())
}

async fn erase(State(partner): State<Partner>, Json(body): Json<Value>) -> Json<Value> {
    partner.books().taken.extend(named(&body));
    Json(json!({"job": "j-1"}))
}

async fn job(State(partner): State<Partner>) -> Json<Value> {
    Json(json!({"state": if partner.books().has_ended { "done" } else { "working" }}))
}

async fn find(State(partner): State<Partner>, Json(body): Json<Value>) -> Json<Value> {
    let books = partner.books();
    let found: Vec<String> = named(&body).filter(|p| books.people.contains(p)).collect();
    Json(json!({"found": found}))
}
