//! `quietus bench replan`: what one rule over half of all items would change, counted, beside PostgreSQL's `UPDATE` of
//! a stored date and beside a count there by class and day, which shares the trick.
//!
//! Counted three times: when nothing is known of any item but its recording, again after items were touched and persons
//! took their consent back, and once more when what these persons have was joined, which the second count asked for. Both peers
//! must come to the same numbers in the same run.

use std::sync::Arc;
use std::time::Instant;

use quietus_core::engine::control::ActivePolicy;
use quietus_core::time::Millis;
use serde::Serialize;

use super::filled::Filled;
use super::ingest::PROMISED_MIB;
use super::load::{Load, YEARS};
use super::peer::Peer;
use super::replan_peer::{Due, Question};
use super::usage::peak_rss_mib;
use super::{BenchError, Disk, policy};
use crate::clock::{Clock, SystemClock};
use crate::node::Difference;

/// The middle of so many counts.
const TURNS: usize = 5;
const KEPT_NOW: i64 = YEARS / Millis::DAY / 2;
const KEPT_THEN: i64 = YEARS / Millis::DAY * 2 / 5;
const PROMISED_RATIO_UPDATE: f64 = 2_000.0;
const PROMISED_RATIO_FAIR: f64 = 1.0;
const PROMISED_SECONDS: f64 = 0.1;
const PROMISED_SECONDS_TOLD: f64 = 0.5;

/// One JSON object on stdout.
#[derive(Clone, Debug, Serialize)]
pub struct Replanned {
    pub bench: &'static str,
    pub items: u64,
    pub spread: bool,
    /// Nothing is known of any item but its recording.
    pub seconds: f64,
    pub per_second: f64,
    pub due_now: u64,
    pub due_then: u64,
    pub touched_percent: u64,
    pub withdrawn_percent: u64,
    /// After so many were touched and withdrew.
    pub told_seconds: f64,
    pub told_due_now: u64,
    pub told_due_then: u64,
    /// Once what these persons have was joined, which took so long after it was asked for.
    pub resolved_seconds: f64,
    pub resolving_seconds: f64,
    pub peak_rss_mib: f64,
    /// Before the first count.
    pub loaded_rss_mib: f64,
    pub disk_bytes_per_item: Disk,
    /// Null, as what follows of it, where there was no peer.
    pub peer_update_seconds: Option<f64>,
    pub peer_fair_seconds: Option<f64>,
    pub peer_fair_told_seconds: Option<f64>,
    pub ratio_update: Option<f64>,
    pub ratio_fair: Option<f64>,
    pub ratio_fair_told: Option<f64>,
    pub ratio_fair_resolved: Option<f64>,
    /// Both peers counted the same, both times.
    pub same_counts: Option<bool>,
    pub limit_ratio_update: f64,
    pub limit_ratio_fair: f64,
    pub limit_seconds: f64,
    pub limit_told_seconds: f64,
    pub limit_rss_mib: f64,
    pub ok: bool,
}

/// `alone` = without the peers: what compares is not judged, and nobody has counted the same.
pub async fn run(
    items: u64,
    spread: bool,
    (touched, withdrawn): (u64, u64),
    alone: bool,
    tell: &mut dyn FnMut(&str),
) -> Result<Replanned, BenchError> {
    let load = Load::new(items, spread, SystemClock::new().now());
    let filled = Filled::start().await?;
    policy::publish(&filled.node, KEPT_NOW).await?;
    // In order every item is the service's.
    let (service, ads) = if spread { (KEPT_NOW, KEPT_THEN) } else { (KEPT_THEN, KEPT_NOW) };
    let new = policy::store(&filled.node, service, ads).await?;
    tell(&format!("taking in {} items", load.items));
    filled.feed(load, Load::recorded).await?;
    let loaded_rss_mib = peak_rss_mib();
    // What is merged beside it takes a core that a count would have.
    filled.at_rest().await?;
    tell("counting");
    let plain = counted(&filled, &new, TURNS, tell).await?;
    filled.feed(load, move |load, batch| load.touched(batch, touched)).await?;
    filled.feed(load, move |load, batch| load.withdrawn(batch, withdrawn)).await?;
    filled.at_rest().await?;
    tell("counting again");
    // It asks for what the next ones find.
    let told = counted(&filled, &new, 1, tell).await?;
    let begun = Instant::now();
    filled.at_rest().await?;
    let resolving_seconds = begun.elapsed().as_secs_f64();
    let resolved = counted(&filled, &new, TURNS, tell).await?;
    if resolved.found != told.found {
        return Err(BenchError::Wrong("what was joined counts otherwise than what was read".to_owned()));
    }
    let peak_rss_mib = peak_rss_mib();
    let now = filled.node.clock.now();
    let disk_bytes_per_item = filled.stop().await?.disk(load.items)?;

    let question = Question { load, now, kept_now: KEPT_NOW, kept_then: KEPT_THEN };
    let by_hand = match alone {
        true => None,
        false => Some(by_hand(&question, withdrawn, tell).await?),
    };
    let due = |found: &Difference| Due { now: found.due_now, then: found.due_then };
    let same_counts = by_hand.as_ref().map(|hand| {
        let (plain, told) = (due(&plain.found), due(&told.found));
        plain == hand.updated && plain == hand.fair && told == hand.told && told == hand.fair_told
    });
    let by_hand = by_hand.as_ref();
    let ratio_update = by_hand.map(|hand| hand.update_seconds / plain.seconds);
    let ratio_fair = by_hand.map(|hand| hand.fair_seconds / plain.seconds);
    let ratio_fair_told = by_hand.map(|hand| hand.fair_told_seconds / told.seconds);
    let ratio_fair_resolved = by_hand.map(|hand| hand.fair_told_seconds / resolved.seconds);
    let reaches = |ratio: Option<f64>, promised: f64| ratio.is_none_or(|ratio| ratio >= promised);
    Ok(Replanned {
        bench: "replan",
        items: load.items,
        spread,
        seconds: plain.seconds,
        per_second: load.items as f64 / plain.seconds,
        due_now: plain.found.due_now,
        due_then: plain.found.due_then,
        touched_percent: touched,
        withdrawn_percent: withdrawn,
        told_seconds: told.seconds,
        told_due_now: told.found.due_now,
        told_due_then: told.found.due_then,
        resolved_seconds: resolved.seconds,
        resolving_seconds,
        peak_rss_mib,
        loaded_rss_mib,
        disk_bytes_per_item,
        peer_update_seconds: by_hand.map(|hand| hand.update_seconds),
        peer_fair_seconds: by_hand.map(|hand| hand.fair_seconds),
        peer_fair_told_seconds: by_hand.map(|hand| hand.fair_told_seconds),
        ratio_update,
        ratio_fair,
        ratio_fair_told,
        ratio_fair_resolved,
        same_counts,
        limit_ratio_update: PROMISED_RATIO_UPDATE,
        limit_ratio_fair: PROMISED_RATIO_FAIR,
        limit_seconds: PROMISED_SECONDS,
        limit_told_seconds: PROMISED_SECONDS_TOLD,
        limit_rss_mib: PROMISED_MIB,
        ok: same_counts != Some(false)
            && reaches(ratio_update, PROMISED_RATIO_UPDATE)
            && reaches(ratio_fair, PROMISED_RATIO_FAIR)
            && reaches(ratio_fair_resolved, PROMISED_RATIO_FAIR)
            && plain.seconds <= PROMISED_SECONDS
            && resolved.seconds <= PROMISED_SECONDS
            && told.seconds <= PROMISED_SECONDS_TOLD
            && peak_rss_mib <= PROMISED_MIB,
    })
}

/// What both peers counted, and how long they took.
struct ByHand {
    updated: Due,
    fair: Due,
    told: Due,
    fair_told: Due,
    update_seconds: f64,
    fair_seconds: f64,
    fair_told_seconds: f64,
}

async fn by_hand(
    question: &Question,
    withdrawn: u64,
    tell: &mut dyn FnMut(&str),
) -> Result<ByHand, BenchError> {
    let peer = Peer::start(tell).await?;
    tell("PostgreSQL takes in the same, then dates it anew");
    peer.fill(question.load).await?;
    let dated = peer.dated(question).await?;
    let (update_seconds, updated) = peer.update(question).await?;
    let (fair_seconds, fair) = peer.by_day(question, TURNS).await?;
    peer.withdraw(question.load, withdrawn).await?;
    let told = peer.dated_told(question).await?;
    let (fair_told_seconds, fair_told) = peer.by_day_told(question, TURNS).await?;
    let updated = Due { now: dated, then: updated };
    Ok(ByHand { updated, fair, told, fair_told, update_seconds, fair_seconds, fair_told_seconds })
}

struct Counted {
    found: Difference,
    seconds: f64,
}

async fn counted(
    filled: &Filled,
    new: &Arc<ActivePolicy>,
    turns: usize,
    tell: &mut dyn FnMut(&str),
) -> Result<Counted, BenchError> {
    let mut seconds = Vec::with_capacity(turns);
    let mut found = Difference::default();
    for _ in 0..turns {
        let (node, new) = (Arc::clone(&filled.node), Arc::clone(new));
        let begun = Instant::now();
        let counted = tokio::task::spawn_blocking(move || node.difference(&new)).await;
        seconds.push(begun.elapsed().as_secs_f64());
        found = counted.map_err(|e| BenchError::Wrong(e.to_string()))?;
    }
    let seconds = middle(seconds);
    let Difference { due_now, due_then, .. } = found;
    tell(&format!("{due_now} are due, {due_then} would be: counted in {seconds:.4} s"));
    Ok(Counted { found, seconds })
}

pub(super) fn middle(mut seconds: Vec<f64>) -> f64 {
    seconds.sort_by(f64::total_cmp);
    seconds.get(seconds.len() / 2).copied().unwrap_or_default()
}
