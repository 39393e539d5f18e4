//! `quietus bench sweep`: what is due becomes duties, beside PostgreSQL's `INSERT INTO outbox SELECT …`.
//!
//! The system that the items lie in is nobody's: duties are opened and observed, and nothing is sent.

use std::time::Instant;

use serde::Serialize;

use super::filled::Filled;
use super::ingest::PROMISED_MIB;
use super::load::{Load, YEARS};
use super::peer::Peer;
use super::usage::peak_rss_mib;
use super::{BenchError, Disk, policy};
use crate::clock::{Clock, SystemClock};
use crate::schedule::sweeps;

const PROMISED: f64 = 1_000_000.0;
const PROMISED_WITHOUT_INDEX: f64 = 10.0;
const PROMISED_WITH_INDEX: f64 = 5.0;

/// Percent of the items that ran out, of the items that were touched, of the persons who took their consent back.
#[derive(Clone, Copy, Debug)]
pub struct Shares {
    pub run_out: u64,
    pub touched: u64,
    pub withdrawn: u64,
}

/// One JSON object on stdout.
#[derive(Clone, Debug, Serialize)]
pub struct Swept {
    pub bench: &'static str,
    pub items: u64,
    pub spread: bool,
    /// From the order until every partition has applied it, its duties open and its root in the audit chain.
    pub seconds: f64,
    /// Decisions: items that were decided about.
    pub per_second: f64,
    pub candidates: u64,
    pub due: u64,
    pub due_per_second: f64,
    pub due_share: f64,
    pub touched_percent: u64,
    pub withdrawn_percent: u64,
    pub peak_rss_mib: f64,
    /// Before the sweep.
    pub loaded_rss_mib: f64,
    pub disk_bytes_per_item: Disk,
    /// Null, as what follows of it, where there was no peer.
    pub peer_due: Option<u64>,
    pub peer_seconds_with_index: Option<f64>,
    pub peer_seconds_without_index: Option<f64>,
    pub ratio_with_index: Option<f64>,
    pub ratio_without_index: Option<f64>,
    pub limit_per_second: f64,
    pub limit_ratio_with_index: f64,
    pub limit_ratio_without_index: f64,
    pub limit_rss_mib: f64,
    pub ok: bool,
}

/// `alone` = without the peer: what compares is not judged.
pub async fn run(
    items: u64,
    spread: bool,
    shares: Shares,
    alone: bool,
    tell: &mut dyn FnMut(&str),
) -> Result<Swept, BenchError> {
    let load = Load::new(items, spread, SystemClock::new().now());
    let filled = Filled::start().await?;
    let keep_days = YEARS / quietus_core::time::Millis::DAY
        * (100 - i64::try_from(shares.run_out.min(100)).unwrap_or(100))
        / 100;
    policy::publish(&filled.node, keep_days).await?;
    tell(&format!("taking in {} items", load.items));
    filled.feed(load, Load::recorded).await?;
    filled.feed(load, move |load, batch| load.touched(batch, shares.touched)).await?;
    filled.feed(load, move |load, batch| load.withdrawn(batch, shares.withdrawn)).await?;
    let loaded_rss_mib = peak_rss_mib();
    tell("a sweep");
    let begun = Instant::now();
    let id = sweeps::start(&filled.node, None, None).await?;
    let seconds = begun.elapsed().as_secs_f64();
    let peak_rss_mib = peak_rss_mib();
    let slices: Vec<_> = filled
        .node
        .partitions
        .iter()
        .filter_map(|partition| partition.read().state.slices.get(&id).copied())
        .collect();
    let (candidates, due) =
        (slices.iter().map(|s| s.candidates).sum::<u64>(), slices.iter().map(|s| s.due).sum::<u64>());
    let disk = filled.stop().await?.disk(load.items)?;
    let peer = match alone {
        true => None,
        false => {
            let peer = Peer::start(tell).await?;
            tell("PostgreSQL takes in the same, then sweeps it");
            peer.fill(load).await?;
            peer.withdraw(load, shares.withdrawn).await?;
            Some(peer.sweep(load, keep_days).await?)
        }
    };
    let per_second = candidates as f64 / seconds;
    let with_index = peer.as_ref().map(|peer| peer.with_index / seconds);
    let without_index = peer.as_ref().map(|peer| peer.without_index / seconds);
    Ok(Swept {
        bench: "sweep",
        items: load.items,
        spread,
        seconds,
        per_second,
        candidates,
        due,
        due_per_second: due as f64 / seconds,
        due_share: due as f64 / load.items as f64,
        touched_percent: shares.touched,
        withdrawn_percent: shares.withdrawn,
        peak_rss_mib,
        loaded_rss_mib,
        disk_bytes_per_item: disk,
        peer_due: peer.as_ref().map(|peer| peer.due),
        peer_seconds_with_index: peer.as_ref().map(|peer| peer.with_index),
        peer_seconds_without_index: peer.as_ref().map(|peer| peer.without_index),
        ratio_with_index: with_index,
        ratio_without_index: without_index,
        limit_per_second: PROMISED,
        limit_ratio_with_index: PROMISED_WITH_INDEX,
        limit_ratio_without_index: PROMISED_WITHOUT_INDEX,
        limit_rss_mib: PROMISED_MIB,
        ok: per_second >= PROMISED
            && with_index.is_none_or(|ratio| ratio >= PROMISED_WITH_INDEX)
            && without_index.is_none_or(|ratio| ratio >= PROMISED_WITHOUT_INDEX)
            && peak_rss_mib <= PROMISED_MIB,
    })
}
