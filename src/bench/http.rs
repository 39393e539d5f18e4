//! `quietus bench http`: CloudEvents in batches of 1,000 over loopback, each answered once it is fsynced.

use std::time::Instant;

use quietus_core::time::Millis;
use serde_json::json;

use super::served::Served;
use super::usage::{bytes_below, peak_rss_mib};
use super::{BenchError, Disk, Figure};
use crate::clock::{Clock, SystemClock};
use crate::node::NodeOptions;

const BATCH: u64 = 1_000;
/// Producers at once.
const PRODUCERS: u64 = 4;
const PROMISED: f64 = 40_000.0;

pub async fn run(items: u64, tell: &mut dyn FnMut(&str)) -> Result<Figure, BenchError> {
    let served = Served::start(NodeOptions::at("").settle_ms).await?;
    let (accepted, seconds) = feed(&served, items, "users", tell).await?;
    let bytes = bytes_below(served.dir())?;
    served.stop().await?;
    let per_second = accepted as f64 / seconds;
    Ok(Figure {
        bench: "http",
        items: accepted,
        seconds,
        per_second,
        peak_rss_mib: peak_rss_mib(),
        disk_bytes_per_item: Disk { live: None, directory: bytes as f64 / accepted as f64 },
        limit_per_second: PROMISED,
        ok: per_second >= PROMISED,
    })
}

/// Sends so many events, rounded up to whole batches; how many were accepted, and in how many seconds. The bodies are
/// made before the clock starts.
pub(super) async fn feed(
    served: &Served,
    items: u64,
    table: &str,
    tell: &mut dyn FnMut(&str),
) -> Result<(u64, f64), BenchError> {
    let url = format!("{}/v1/events", served.url);
    tell(&format!("making {items} events"));
    let now = SystemClock::new().now();
    let bodies: Vec<String> = (0..items.div_ceil(BATCH)).map(|b| body(b, table, now)).collect();
    tell("sending them");
    let begun = Instant::now();
    let mut lanes: Vec<Vec<String>> = (0..PRODUCERS).map(|_| Vec::new()).collect();
    for (n, body) in bodies.into_iter().enumerate() {
        let lane = n % lanes.len();
        if let Some(lane) = lanes.get_mut(lane) {
            lane.push(body);
        }
    }
    let sent = lanes.into_iter().map(|lane| tokio::spawn(send(served.client.clone(), url.clone(), lane)));
    let sent: Vec<_> = sent.collect();
    let mut accepted = 0;
    for lane in sent {
        accepted += lane.await.map_err(|e| BenchError::Wrong(e.to_string()))??;
    }
    Ok((accepted, begun.elapsed().as_secs_f64()))
}

async fn send(client: reqwest::Client, url: String, bodies: Vec<String>) -> Result<u64, BenchError> {
    let mut accepted = 0;
    for body in bodies {
        let call = client.post(&url).header("content-type", "application/cloudevents-batch+json").body(body);
        let answer: serde_json::Value = call.send().await?.error_for_status()?.json().await?;
        accepted += answer.get("accepted").and_then(serde_json::Value::as_u64).unwrap_or_default();
    }
    Ok(accepted)
}

/// A batch of items of their own, each with one copy.
fn body(batch: u64, table: &str, now: Millis) -> String {
    let recorded = now.plus(-40 * Millis::DAY).to_string();
    let event = |n: u64| {
        json!({
            "specversion": "1.0", "id": n.to_string(), "source": "/bench", "type": "quietus.item.recorded.v1",
            "data": {"subject": format!("customer_id:{}", n / 4), "category": "user.contact.email",
                     "purposes": ["service"], "recorded_at": recorded,
                     "copies": [{"system": "shop-db", "dataset": format!("shop.{table}"), "locator": {"id": n}}]},
        })
    };
    serde_json::Value::Array((batch * BATCH..(batch + 1) * BATCH).map(event).collect()).to_string()
}
