//! The whole way of an erasure: a node that is told of rows, a sweep that finds them due, their erasure and read-back.

use std::time::{Duration, Instant};

use reqwest::Method;
use serde::Serialize;
use serde_json::{Value, json};

use super::database::Database;
use super::served::Served;
use super::usage::bytes_below;
use super::{BenchError, http};

/// Rows of the service run out; those of the archive stay.
pub(super) const POLICY: &str = "policy: shop
timezone: Europe/Berlin
events:
  account_closed: {of: subject, open_ended: true}
purposes:
  service: {use: essential.service, basis: contract, ended_by: account_closed}
  archive: {use: essential.service, basis: contract, ended_by: account_closed}
rules:
  - {id: contacts, category: user.contact, purpose: service, keep: 30d after recorded}
  - {id: archive, category: user.contact, purpose: archive, keep: 10y after recorded}
";
const LOOK_EVERY: Duration = Duration::from_millis(100);
const GIVEN_UP_AFTER: Duration = Duration::from_secs(1_800);

/// From the sweep's order to the last row verified, over two connections.
#[derive(Clone, Debug, Serialize)]
pub struct Whole {
    pub seconds: f64,
    pub per_second: f64,
    pub erased: u64,
    pub verified: u64,
    /// To the rows by hand over two connections.
    pub ratio: f64,
}

/// The figures, and how many bytes the node's folder takes.
pub(super) async fn run(
    database: &Database,
    rows: u64,
    by_hand: f64,
    tell: &mut dyn FnMut(&str),
) -> Result<(Whole, u64), BenchError> {
    database.fill(rows).await?;
    let served = Served::start(0).await?;
    served.publish("shop", POLICY).await?;
    served.call(Method::PUT, "/v1/systems/shop-db", &manifest(database)).await?;
    http::feed(&served, rows, &database.table, tell).await?;
    tell("a sweep");
    let begun = Instant::now();
    let started = served.call(Method::POST, "/v1/sweeps", &json!({"plan": false})).await?;
    let id = started.get("id").and_then(Value::as_str).unwrap_or_default();
    let sweep = loop {
        let sweep = served.call(Method::GET, &format!("/v1/sweeps/{id}"), &Value::Null).await?;
        if sweep.get("state").and_then(Value::as_str) != Some("running") {
            break sweep;
        }
        if begun.elapsed() > GIVEN_UP_AFTER {
            return Err(BenchError::Wrong(format!("the sweep does not come to rest: {sweep}")));
        }
        tokio::time::sleep(LOOK_EVERY).await;
    };
    let seconds = begun.elapsed().as_secs_f64();
    let number = |name: &str| sweep.get(name).and_then(Value::as_u64).unwrap_or_default();
    let (erased, verified) = (number("erased"), number("verified"));
    let left = database.left().await?;
    if (erased, verified, left) != (rows, rows, 0) {
        return Err(BenchError::Wrong(format!("{rows} rows, and {left} are left after {sweep}")));
    }
    let bytes = bytes_below(served.dir())?;
    served.stop().await?;
    let per_second = rows as f64 / seconds;
    Ok((Whole { seconds, per_second, erased, verified, ratio: per_second / by_hand }, bytes))
}

pub(super) fn manifest(database: &Database) -> Value {
    json!({
        "system": "shop-db", "kind": "postgres", "mode": "enforce", "connection": {"url": database.url},
        "datasets": [{"fides_key": "shop", "name": "shop", "collections": [{
            "name": database.table,
            "quietus": {"key": ["id"], "subject": {"column": "customer", "type": "customer_id"}},
            "fields": [
                {"name": "id", "fides_meta": {"primary_key": true}},
                {"name": "customer"},
                {"name": "email", "data_categories": ["user.contact.email"]},
            ],
        }]}],
    })
}
