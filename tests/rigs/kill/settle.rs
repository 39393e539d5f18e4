//! Everything that is known comes to its end, and the node is asked for what it was told.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use reqwest::Method;
use serde_json::{Value, json};

use super::books::{Books, KEEP_MS, Kind};
use super::load::Load;
use crate::chance::Chance;
use crate::database::Database;
use crate::process::{Caller, Process, now};

/// On a machine that has much else to do.
pub const PATIENCE: Duration = Duration::from_secs(600);

/// Holds released, what is due swept, and what was acknowledged is there.
pub async fn settle(node: &mut Process, database: &Database, books: &mut Books, patience: Duration) {
    assert!(node.start(None));
    let caller = node.caller();
    let mut chance = Chance(1);
    // What was never answered is answered at last, so that every id is known.
    let mut load = Load { caller: &caller, database, books: &mut *books, chance: &mut chance };
    assert!(load.again().await.is_ok(), "a node that nobody killed does not answer");
    for (hold, held) in std::mem::take(&mut books.holds) {
        let path = format!("/v1/holds/{hold}");
        let (status, answer) = caller.call(Method::GET, &path, &Value::Null).await.unwrap();
        if status != 200 || answer["state"] == "placing" {
            books.lost.push(format!("hold {hold}: {answer}"));
        }
        books.held.push((held.row, held.from, now()));
    }
    // Also those that were not effective when they were answered.
    for hold in all(&caller, "/v1/holds").await.iter().filter(|h| h["state"] != "released") {
        let path = format!("/v1/holds/{}/release", hold["id"].as_str().unwrap());
        let (status, answer) = caller.call(Method::POST, &path, &json!({})).await.unwrap();
        assert!(status < 300, "{answer}");
    }
    tokio::time::sleep(Duration::from_millis(KEEP_MS.unsigned_abs() + 500)).await;
    let begun = Instant::now();
    while !owed(database, &caller, books).await.is_empty() && begun.elapsed() < patience {
        let _ = caller.sweep().await.unwrap();
    }
    books.found_again = caller.counted("quietus_resurrections_total").await.unwrap();
    rows(database, &caller, books).await;
    made(&caller, books).await;
}

/// Acknowledged, over, and not yet gone for good.
async fn owed(database: &Database, caller: &Caller, books: &Books) -> Vec<i64> {
    let reachable: BTreeSet<i64> = database.reachable().await.into_iter().collect();
    let requested: BTreeSet<i64> = books.requests.values().copied().collect();
    let mut open = Vec::new();
    for (id, known) in books.rows.iter().filter(|(_, k)| k.acknowledged) {
        let is_open = match known.kind {
            Kind::Masked => reachable.contains(id),
            Kind::Long if !requested.contains(id) => false,
            Kind::Short | Kind::Long => caller.outcome(*id).await.unwrap() != "verified",
        };
        if is_open {
            open.push(*id);
        }
    }
    open
}

async fn rows(database: &Database, caller: &Caller, books: &mut Books) {
    let rows: BTreeSet<i64> = database.rows().await.into_iter().collect();
    let reachable: BTreeSet<i64> = database.reachable().await.into_iter().collect();
    for (id, known) in books.rows.iter().filter(|(_, k)| k.acknowledged) {
        let dataset = if known.kind == Kind::Masked { "shop.profiles" } else { "shop.users" };
        let outcome = caller.outcome_in(dataset, *id).await.unwrap();
        let right = match (known.kind, outcome.as_str()) {
            (Kind::Masked, "live") => !reachable.contains(id),
            // Back, unless a re-audit drew it: see [`count`].
            (Kind::Short | Kind::Long, "verified") => known.back || !rows.contains(id),
            (Kind::Long, "live") => rows.contains(id),
            _ => false,
        };
        if !right {
            books.lost.push(format!("row {id} ({known:?}) is `{outcome}`, there: {}", rows.contains(id)));
        }
    }
    for (request, id) in &books.requests {
        let path = format!("/v1/requests/{request}");
        let (status, answer) = caller.call(Method::GET, &path, &Value::Null).await.unwrap();
        if status != 200 || rows.contains(id) {
            books.lost.push(format!("request {request}: {answer}"));
        }
    }
    books.lost.extend(database.overdone().await.iter().map(|id| format!("profile {id} lost its city")));
}

/// Requests and holds that no call was answered with: a call made something more than once.
async fn made(caller: &Caller, books: &mut Books) {
    for path in ["/v1/requests", "/v1/holds"] {
        for one in all(caller, path).await {
            if !books.ids.contains(one["id"].as_str().unwrap()) {
                books.twice.push(format!("{path}: nobody was answered with {one}"));
            }
        }
    }
}

async fn all(caller: &Caller, path: &str) -> Vec<Value> {
    let (mut found, mut cursor) = (Vec::new(), String::new());
    loop {
        let page = format!("{path}?limit=500{cursor}");
        let (_, answer) = caller.call(Method::GET, &page, &Value::Null).await.unwrap();
        found.extend(answer["items"].as_array().unwrap().clone());
        match answer["next"].as_str() {
            Some(next) => cursor = format!("&cursor={next}"),
            None => return found,
        }
    }
}
