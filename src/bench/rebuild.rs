//! `quietus bench rebuild`: a node opened with nothing but its ledger, beside the ingest that wrote it; look-ups between.

use quietus_core::time::Millis;
use serde::Serialize;

use super::filled::Filled;
use super::load::{Load, YEARS};
use super::lookups::{self, LookUps};
use super::usage::peak_rss_mib;
use super::{BenchError, Disk, policy};
use crate::clock::{Clock, SystemClock};

const PROMISED_RATIO: f64 = 1.3;

/// One JSON object on stdout.
#[derive(Clone, Debug, Serialize)]
pub struct Rebuilt {
    pub bench: &'static str,
    pub items: u64,
    pub spread: bool,
    pub seconds: f64,
    pub per_second: f64,
    pub ingest_per_second: f64,
    /// To the ingest.
    pub ratio: f64,
    /// In the store as the ingest left it.
    pub look_ups: LookUps,
    pub peak_rss_mib: f64,
    pub disk_bytes_per_item: Disk,
    pub limit_ratio: f64,
    pub ok: bool,
}

pub async fn run(items: u64, spread: bool, tell: &mut dyn FnMut(&str)) -> Result<Rebuilt, BenchError> {
    let load = Load::new(items, spread, SystemClock::new().now());
    let filled = Filled::start().await?;
    tell(&format!("taking in {} items", load.items));
    let fed = filled.feed(load, Load::recorded).await?;
    tell("looking up");
    policy::publish(&filled.node, YEARS / Millis::DAY / 2).await?;
    let look_ups = lookups::run(&filled.node, &load)?;
    let stopped = filled.stop().await?;
    tell("the store is taken away and built anew from the ledger");
    let seconds = stopped.rebuild().await?.as_secs_f64();
    let per_second = fed.events as f64 / seconds;
    let ratio = per_second / fed.per_second();
    Ok(Rebuilt {
        bench: "rebuild",
        items: fed.events,
        spread,
        seconds,
        per_second,
        ingest_per_second: fed.per_second(),
        ratio,
        look_ups,
        peak_rss_mib: peak_rss_mib(),
        disk_bytes_per_item: stopped.disk(load.items)?,
        limit_ratio: PROMISED_RATIO,
        ok: ratio >= PROMISED_RATIO,
    })
}
