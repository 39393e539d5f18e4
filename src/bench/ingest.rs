//! `quietus bench ingest`: items through intake, ledger, engine and store, beside PostgreSQL told of the same ones.

use serde::Serialize;

use super::filled::Filled;
use super::load::Load;
use super::peer::Peer;
use super::usage::peak_rss_mib;
use super::{BenchError, Disk};
use crate::clock::{Clock, SystemClock};

const PROMISED: f64 = 300_000.0;
const PROMISED_RATIO: f64 = 10.0;
pub(super) const PROMISED_MIB: f64 = 256.0;

/// One JSON object on stdout.
#[derive(Clone, Debug, Serialize)]
pub struct Ingested {
    pub bench: &'static str,
    pub items: u64,
    pub spread: bool,
    /// Until the last item was fsynced and applied.
    pub seconds: f64,
    pub per_second: f64,
    /// Until the last item was fsynced.
    pub durable_per_second: f64,
    pub peak_rss_mib: f64,
    pub disk_bytes_per_item: Disk,
    /// Null where there was no peer.
    pub peer_per_second: Option<f64>,
    pub ratio: Option<f64>,
    pub limit_per_second: f64,
    pub limit_ratio: f64,
    pub limit_rss_mib: f64,
    pub ok: bool,
}

/// `alone` = without the peer: what compares is not judged.
pub async fn run(
    items: u64,
    spread: bool,
    alone: bool,
    tell: &mut dyn FnMut(&str),
) -> Result<Ingested, BenchError> {
    let load = Load::new(items, spread, SystemClock::new().now());
    let filled = Filled::start().await?;
    tell(&format!("taking in {} items", load.items));
    let fed = filled.feed(load, Load::recorded).await?;
    let peak_rss_mib = peak_rss_mib();
    let disk = filled.stop().await?.disk(load.items)?;
    let peer_per_second = match alone {
        true => None,
        false => Some(filled_by_peer(load, tell).await?),
    };
    let ratio = peer_per_second.map(|peer| fed.per_second() / peer);
    Ok(Ingested {
        bench: "ingest",
        items: fed.events,
        spread,
        seconds: fed.applied.as_secs_f64(),
        per_second: fed.per_second(),
        durable_per_second: fed.events as f64 / fed.durable.as_secs_f64(),
        peak_rss_mib,
        disk_bytes_per_item: disk,
        peer_per_second,
        ratio,
        limit_per_second: PROMISED,
        limit_ratio: PROMISED_RATIO,
        limit_rss_mib: PROMISED_MIB,
        ok: fed.per_second() >= PROMISED
            && ratio.is_none_or(|ratio| ratio >= PROMISED_RATIO)
            && peak_rss_mib <= PROMISED_MIB,
    })
}

async fn filled_by_peer(load: Load, tell: &mut dyn FnMut(&str)) -> Result<f64, BenchError> {
    let peer = Peer::start(tell).await?;
    tell("PostgreSQL takes in the same");
    Ok(load.items as f64 / peer.fill(load).await?)
}
