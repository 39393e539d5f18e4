//! The laws on the http connector: a partner over real HTTP whose people are the fixture's records.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;
use axum::extract::State;
use axum::routing::{get, post};
use axum::{Json, Router};
use quietus_conformance::{Harness, Row, broken_laws, fixture, prove, run};
use quietus_contract::{Connector, Identity, Locator, Scalar, Secret, Target};
use quietus_core::system::{Call, CopiesOf, CorrectCall, HoldsCall, HttpCalls, Manifest, Poll, ReadBackCall};
use quietus_http::HttpConnector;
use serde_json::{Value, json};

/// Who lies at the partner: a person's id, and the record they stand for.
type People = Arc<Mutex<BTreeMap<String, Row>>>;

struct Partner {
    people: People,
    url: String,
}

const IDENTITY: &str = "person";

impl Partner {
    async fn open() -> std::io::Result<Self> {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await?;
        let url = format!("http://{}", listener.local_addr()?);
        let people = People::default();
        let app = Router::new()
            .route("/erase", post(erase))
            .route("/jobs/{job}", get(|| async { Json(json!({"state": "done"})) }))
            .route("/find", post(find))
            .route("/correct", post(correct))
            .route("/show", post(show))
            .with_state(Arc::clone(&people));
        tokio::spawn(async move { axum::serve(listener, app).await });
        Ok(Self { people, url })
    }

    fn people(&self) -> MutexGuard<'_, BTreeMap<String, Row>> {
        self.people.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn asked(body: &Value) -> Vec<String> {
    let people = body["people"].as_array().cloned().unwrap_or_default();
    people.iter().filter_map(Value::as_str).map(str::to_owned).collect()
}

async fn erase(State(people): State<People>, Json(body): Json<Value>) -> Json<Value> {
    let mut people = people.lock().unwrap_or_else(PoisonError::into_inner);
    for person in asked(&body) {
        people.remove(&person);
    }
    Json(json!({"job": "j"}))
}

async fn find(State(people): State<People>, Json(body): Json<Value>) -> Json<Value> {
    let people = people.lock().unwrap_or_else(PoisonError::into_inner);
    let found: Vec<String> = asked(&body).into_iter().filter(|p| people.contains_key(p)).collect();
    Json(json!({"found": found}))
}

/// Category → the field that holds it, of any of the fixture's collections.
const FIELDS: [(&str, &[&str]); 4] = [
    ("user.name", &["name"]),
    ("user.contact.email", &["email"]),
    ("user.contact.phone_number", &["phone"]),
    ("user.content", &["select", "note"]),
];

async fn correct(State(people): State<People>, Json(body): Json<Value>) -> Json<Value> {
    let mut people = people.lock().unwrap_or_else(PoisonError::into_inner);
    for person in asked(&body) {
        let Some(row) = people.get_mut(&person) else { continue };
        for (category, value) in body.get("set").and_then(Value::as_object).into_iter().flatten() {
            let fields = FIELDS.iter().filter(|(c, _)| c == category).flat_map(|(_, fields)| *fields);
            for field in fields.filter(|field| row.columns.contains_key(**field)).collect::<Vec<_>>() {
                row.columns.insert((*field).to_owned(), value.as_str().map(str::to_owned));
            }
        }
    }
    Json(json!({"job": "j"}))
}

async fn show(State(people): State<People>, Json(body): Json<Value>) -> Json<Value> {
    let people = people.lock().unwrap_or_else(PoisonError::into_inner);
    let shown = |row: &Row| {
        let field = |fields: &[&str]| fields.iter().find_map(|f| row.get(f)).map(str::to_owned);
        FIELDS.iter().map(|(category, fields)| ((*category).to_owned(), json!(field(fields)))).collect()
    };
    let found: Vec<serde_json::Map<String, Value>> =
        asked(&body).iter().filter_map(|p| people.get(p)).map(shown).collect();
    Json(json!({"found": found}))
}

/// A record's name among people; None where the locator is not this dataset's key.
fn person(dataset: &str, locator: &Locator) -> Option<String> {
    let mut columns = fixture::key(dataset);
    columns.sort();
    if columns.is_empty() || !locator.keys().eq(columns.iter()) {
        return None;
    }
    let text = |scalar: &Scalar| match scalar {
        Scalar::Text(text) | Scalar::Number(text) => text.reveal().to_owned(),
        Scalar::Integer(number) => number.to_string(),
    };
    Some(format!("{dataset}|{}", locator.values().map(text).collect::<Vec<_>>().join("|")))
}

fn connector(url: &str) -> Result<Arc<dyn Connector>, String> {
    let people = || Some(json!({"people": "{values}"}));
    let manifest = Manifest {
        system: "conform".into(),
        kind: "http".into(),
        copies_of: [fixture::PEOPLE, fixture::LETTERS, fixture::ORDERS]
            .map(|dataset| CopiesOf {
                system: "shop-db".into(),
                dataset: Some(dataset.into()),
                ..CopiesOf::default()
            })
            .into(),
        http: Some(HttpCalls {
            identity: IDENTITY.into(),
            submit: Call {
                method: "POST".into(),
                path: "/erase".into(),
                body: people(),
                reference: Some("/job".into()),
            },
            poll: Some(Poll {
                path: "/jobs/{ref}".into(),
                every: 1,
                done: [("/state".to_owned(), vec!["done".to_owned()])].into(),
                ..Poll::default()
            }),
            read_back: Some(ReadBackCall {
                path: "/find".into(),
                body: people(),
                absent: [("/found".to_owned(), json!([]))].into(),
            }),
            correct: Some(CorrectCall {
                call: Call {
                    method: "POST".into(),
                    path: "/correct".into(),
                    body: Some(json!({"people": "{values}", "set": "{corrections}"})),
                    reference: Some("/job".into()),
                },
                read_back: Some(HoldsCall {
                    call: ReadBackCall {
                        path: "/show".into(),
                        body: people(),
                        absent: [("/found".to_owned(), json!([]))].into(),
                    },
                    holds: FIELDS.map(|(c, _)| (format!("/found/0/{c}"), c.to_owned())).into(),
                }),
            }),
            deadline: None,
        }),
        ..Manifest::default()
    };
    let settings = [("url".to_owned(), url.to_owned())].into();
    Ok(Arc::new(HttpConnector::new(&manifest, &settings, Arc::new(|| 0)).map_err(|e| e.to_string())?))
}

#[async_trait]
impl Harness for Partner {
    async fn prepare(&self, rows: &[Row]) -> Result<Arc<dyn Connector>, String> {
        self.people().clear();
        for row in rows {
            self.put(row).await?;
        }
        connector(&self.url)
    }

    async fn put(&self, row: &Row) -> Result<(), String> {
        let name = person(&row.dataset, &row.locator()).ok_or("a row without its key")?;
        self.people().insert(name, row.clone());
        Ok(())
    }

    async fn rows(&self) -> Result<Vec<Row>, String> {
        Ok(self.people().values().cloned().collect())
    }

    /// The partner knows a record as a person, by a name made of its key.
    fn aim(&self, mut target: Target) -> Target {
        let name = person(&target.dataset, &target.locator);
        target.identities.retain(|i| i.kind != IDENTITY);
        target.identities.extend(name.map(|n| Identity { kind: IDENTITY.into(), value: Secret::new(n) }));
        target
    }

    async fn unreachable(&self) -> Option<Arc<dyn Connector>> {
        connector("http://127.0.0.1:1").ok()
    }

    fn enforces_references(&self) -> bool {
        false
    }
}

#[tokio::test]
async fn the_http_connector_passes_every_law() {
    let results = run(&Partner::open().await.expect("a port")).await;
    assert_eq!(broken_laws(&results), Vec::<String>::new());
    let readme = include_str!("../README.md");
    let can = connector("http://127.0.0.1:1").expect("a well-formed address").describe();
    for table in [quietus_conformance::table(&results), quietus_conformance::abilities(&can)] {
        assert!(readme.contains(&table), "README.md is to hold:\n{table}");
    }
}

#[tokio::test]
async fn each_broken_connector_fails_exactly_its_law() {
    let partner = Partner::open().await.expect("a port");
    assert_eq!(prove(Arc::new(partner)).await, Vec::<String>::new());
}
