//! What stands outside the shop's databases and is reached over HTTP: a cache of rendered pages in front of them, and
//! the mailing partner with a database of its own. Real servers on loopback, in this process.
//!
//! Each keeps what it holds in the demo's folder, so that it can be counted without asking quietus.

use std::collections::BTreeMap;
use std::fs::{self, OpenOptions};
use std::io::{self, Write};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use axum::extract::{Path as Segment, State};
use axum::http::StatusCode;
use axum::routing::{get, post};
use axum::{Json, Router};
use rusqlite::{Connection, OpenFlags, params};
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio::task::AbortHandle;

use super::DemoError;

const PARTNER: &str = "
CREATE TABLE people (customer_id TEXT PRIMARY KEY, address TEXT);
CREATE TABLE gone (customer_id TEXT NOT NULL);
CREATE TRIGGER people_gone AFTER DELETE ON people BEGIN INSERT INTO gone VALUES (old.customer_id); END;
";
/// Questions about a job before the partner has got round to it.
const PATIENCE: u32 = 2;

/// Both servers; dropping it ends them.
#[derive(Debug)]
pub struct Outside {
    pub cache: String,
    pub partner: String,
    http: reqwest::Client,
    tasks: Vec<AbortHandle>,
}

impl Drop for Outside {
    fn drop(&mut self) {
        self.tasks.iter().for_each(AbortHandle::abort);
    }
}

impl Outside {
    /// Opens both on free ports; what they keep lies in `dir`.
    pub async fn open(dir: &Path) -> Result<Self, DemoError> {
        let io = |cause| DemoError::Io { dir: dir.to_owned(), cause };
        let cache = Arc::new(Cache {
            pages: dir.join("cache"),
            log: dir.join("cache.log"),
            shop: dir.join("shop.db"),
        });
        fs::create_dir_all(&cache.pages).map_err(io)?;
        fs::write(&cache.log, "").map_err(io)?;
        let pages = Router::new()
            .route("/customers/{id}", get(page))
            .route("/purge", post(purge))
            .route("/jobs/{id}", get(purged))
            .route("/look", post(look))
            .with_state(cache);
        let people = Connection::open(dir.join("partner.db"))?;
        people.execute_batch(PARTNER)?;
        let partner = Arc::new(Partner { people: Mutex::new(people), jobs: Mutex::default() });
        let mailing = Router::new()
            .route("/people", post(subscribe))
            .route("/erasures", post(erase))
            .route("/erasures/{id}", get(asked))
            .route("/search", post(search))
            .with_state(partner);
        let mut tasks = Vec::new();
        let cache = serve(pages, &mut tasks).await.map_err(io)?;
        let partner = serve(mailing, &mut tasks).await.map_err(io)?;
        Ok(Self { cache, partner, http: reqwest::Client::builder().no_proxy().build()?, tasks })
    }

    /// Somebody looks at a customer's page: from then on it lies in the cache.
    pub async fn visit(&self, customer: i64) -> Result<(), DemoError> {
        let answer = self.http.get(format!("{}/customers/{customer}", self.cache)).send().await?;
        answer.error_for_status()?;
        Ok(())
    }

    /// The shop hands an address to the partner.
    pub async fn hand_on(&self, customer: i64, address: &str) -> Result<(), DemoError> {
        let body = json!({"customer_id": customer.to_string(), "address": address});
        let answer = self.http.post(format!("{}/people", self.partner)).json(&body).send().await?;
        answer.error_for_status()?;
        Ok(())
    }
}

async fn serve(router: Router, tasks: &mut Vec<AbortHandle>) -> io::Result<String> {
    let listener = TcpListener::bind(SocketAddr::from(([127, 0, 0, 1], 0))).await?;
    let url = format!("http://{}", listener.local_addr()?);
    let task = tokio::spawn(async move {
        // It ends with the demo.
        let _ = axum::serve(listener, router).await;
    });
    tasks.push(task.abort_handle());
    Ok(url)
}

/// Pages by customer, a file each.
struct Cache {
    pages: PathBuf,
    /// A line for each page that was taken away.
    log: PathBuf,
    shop: PathBuf,
}

type Failed = (StatusCode, String);

fn failed(cause: impl std::fmt::Display) -> Failed {
    (StatusCode::INTERNAL_SERVER_ERROR, cause.to_string())
}

impl Cache {
    /// Only numbers name a page.
    fn file(&self, customer: &str) -> Option<PathBuf> {
        customer.parse::<i64>().ok().map(|id| self.pages.join(format!("{id}.html")))
    }
}

async fn page(State(cache): State<Arc<Cache>>, Segment(customer): Segment<String>) -> Result<String, Failed> {
    let file = cache.file(&customer).ok_or((StatusCode::NOT_FOUND, String::new()))?;
    if let Ok(kept) = fs::read_to_string(&file) {
        return Ok(kept);
    }
    let shop = Connection::open_with_flags(&cache.shop, OpenFlags::SQLITE_OPEN_READ_ONLY).map_err(failed)?;
    let sql = "SELECT name FROM customers WHERE customer_id = ?1";
    let name: String = shop.query_row(sql, params![customer], |row| row.get(0)).map_err(failed)?;
    let made = format!("<h1>Hello {name}</h1>\n");
    fs::write(&file, &made).map_err(failed)?;
    Ok(made)
}

fn people(body: &Value) -> Vec<String> {
    let named = body.get("people").and_then(Value::as_array).into_iter().flatten();
    named.filter_map(Value::as_str).map(str::to_owned).collect()
}

async fn purge(State(cache): State<Arc<Cache>>, Json(body): Json<Value>) -> Result<Json<Value>, Failed> {
    let mut log = OpenOptions::new().append(true).open(&cache.log).map_err(failed)?;
    for customer in people(&body) {
        let Some(file) = cache.file(&customer) else { continue };
        match fs::remove_file(file) {
            Ok(()) => writeln!(log, "{customer}").map_err(failed)?,
            Err(cause) if cause.kind() == io::ErrorKind::NotFound => {}
            Err(cause) => return Err(failed(cause)),
        }
    }
    Ok(Json(json!({"job": "purge"})))
}

/// A purge is over when it is answered.
async fn purged() -> Json<Value> {
    Json(json!({"state": "done"}))
}

async fn look(State(cache): State<Arc<Cache>>, Json(body): Json<Value>) -> Json<Value> {
    let kept = |customer: &String| cache.file(customer).is_some_and(|file| file.exists());
    let found: Vec<String> = people(&body).into_iter().filter(kept).collect();
    Json(json!({"found": found}))
}

/// Erases at its leisure: a job is done at the second time of asking.
struct Partner {
    people: Mutex<Connection>,
    jobs: Mutex<BTreeMap<String, Job>>,
}

struct Job {
    people: Vec<String>,
    asked: u32,
}

impl Partner {
    fn delete(&self, people: &[String]) -> Result<(), Failed> {
        let database = self.people.lock().unwrap_or_else(PoisonError::into_inner);
        for customer in people {
            database.execute("DELETE FROM people WHERE customer_id = ?1", [customer]).map_err(failed)?;
        }
        Ok(())
    }

    fn knows(&self, customer: &String) -> Result<bool, Failed> {
        let database = self.people.lock().unwrap_or_else(PoisonError::into_inner);
        let sql = "SELECT count(*) FROM people WHERE customer_id = ?1";
        database.query_row(sql, [customer], |row| row.get::<_, i64>(0)).map(|n| n > 0).map_err(failed)
    }
}

async fn subscribe(
    State(partner): State<Arc<Partner>>,
    Json(body): Json<Value>,
) -> Result<Json<Value>, Failed> {
    let text = |field: &str| body.get(field).and_then(Value::as_str).unwrap_or_default().to_owned();
    let database = partner.people.lock().unwrap_or_else(PoisonError::into_inner);
    let sql = "INSERT OR REPLACE INTO people VALUES (?1, ?2)";
    database.execute(sql, params![text("customer_id"), text("address")]).map_err(failed)?;
    Ok(Json(json!({})))
}

async fn erase(State(partner): State<Arc<Partner>>, Json(body): Json<Value>) -> Json<Value> {
    let mut jobs = partner.jobs.lock().unwrap_or_else(PoisonError::into_inner);
    let id = format!("job-{}", jobs.len() + 1);
    jobs.insert(id.clone(), Job { people: people(&body), asked: 0 });
    Json(json!({"job": id}))
}

async fn asked(
    State(partner): State<Arc<Partner>>,
    Segment(id): Segment<String>,
) -> Result<Json<Value>, Failed> {
    let ripe = {
        let mut jobs = partner.jobs.lock().unwrap_or_else(PoisonError::into_inner);
        let job = jobs.get_mut(&id).ok_or((StatusCode::NOT_FOUND, String::new()))?;
        job.asked += 1;
        (job.asked >= PATIENCE).then(|| job.people.clone())
    };
    let Some(people) = ripe else { return Ok(Json(json!({"state": "running"}))) };
    partner.delete(&people)?;
    Ok(Json(json!({"state": "done"})))
}

async fn search(State(partner): State<Arc<Partner>>, Json(body): Json<Value>) -> Result<Json<Value>, Failed> {
    let mut found = Vec::new();
    for customer in people(&body) {
        if partner.knows(&customer)? {
            found.push(customer);
        }
    }
    Ok(Json(json!({"found": found})))
}
