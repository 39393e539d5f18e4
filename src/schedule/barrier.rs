//! The hold barrier: when a hold is *effective*.
//!
//! A hold stops every commit from the moment the control log's state has it: the gate asks that, whatever a partition
//! has read (see [`Underway`]). It is effective once each covered command that was let through before has answered or
//! passed its `not_after`. What it covers, a partition counts when it reads the hold, which may be long after where a
//! sweep is under way: the date does not wait for that, whoever placed it does.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use quietus_core::engine::control::Control;
use quietus_core::hold::Hold;
use quietus_core::obligation::{Obligation, ObligationId, Stand};
use quietus_core::record::{HoldEffective, Record};
use quietus_core::time::Millis;

use crate::dispatch::{Through, Underway, covers};
use crate::node::Node;
use crate::partition::Partition;

const PERIOD: Duration = Duration::from_millis(20);

/// Where a placed hold stands.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Standing {
    /// Partitions that have not read it yet, and so have not counted what it covers.
    pub waiting_for: Vec<u32>,
    pub items: u64,
    pub copies: u64,
    /// Covered commands that were let through before: (command, system). Those at a partner that accepted them do
    /// not delay the hold, they are listed.
    pub out: Vec<(ObligationId, String)>,
    pub accepted: Vec<(ObligationId, String)>,
    /// Systems with covered copies that expire data by themselves.
    pub not_preserved: Vec<String>,
}

/// Declares holds effective, for ever.
pub async fn run(node: Arc<Node>) {
    loop {
        let _ = tokio::time::timeout(PERIOD, node.moved.notified()).await;
        let open = |h: &&Hold| h.effective.is_none() && h.released.is_none();
        let holds: Vec<Hold> = node.with_control(|c| c.holds.values().filter(open).cloned().collect());
        for hold in holds {
            let at = node.now();
            if !is_effective(&node.partitions, &node.underway, &hold, at) {
                continue;
            }
            // What was counted by then.
            let standing = standing(&node, &hold);
            let record = HoldEffective {
                id: hold.id.clone(),
                at: at.0,
                covered_items: i64::try_from(standing.items).unwrap_or(i64::MAX),
                covered_copies: i64::try_from(standing.copies).unwrap_or(i64::MAX),
            };
            match node.append_control(Record::HoldEffective(record)).await {
                // Seen before the next look, or that would declare it again.
                Ok(k) => node.has_folded(k).await,
                Err(error) => {
                    tracing::warn!(%error, hold = hold.id, "cannot be declared effective yet");
                }
            }
        }
    }
}

/// Nothing that it covers can be committed any more.
pub fn is_effective(partitions: &[Arc<Partition>], underway: &Underway, hold: &Hold, now: Millis) -> bool {
    underway.knows(hold) && out(partitions, underway, hold, now).is_empty()
}

/// Looks at every partition.
pub fn standing(node: &Node, hold: &Hold) -> Standing {
    let out = out(&node.partitions, &node.underway, hold, node.now());
    let counted = node.with_control(|control| counted(&node.partitions, control, hold));
    Standing { out, ..counted }
}

fn counted(partitions: &[Arc<Partition>], control: &Control, hold: &Hold) -> Standing {
    let mut standing = Standing::default();
    let mut systems = std::collections::BTreeSet::new();
    for partition in partitions {
        let inner = partition.read();
        match inner.state.covered.get(&hold.id) {
            Some(covered) => {
                standing.items += covered.items;
                standing.copies += covered.copies();
                systems.extend(covered.by_system.keys().cloned());
            }
            None => standing.waiting_for.push(partition.index()),
        }
        let accepted = inner.state.duties.standing(Stand::Accepted).filter(|d| covers(&inner, hold, d));
        standing.accepted.extend(accepted.map(named));
    }
    let expires = |s: &String| control.systems.get(s).is_some_and(|s| s.manifest.expires.is_some());
    standing.not_preserved = systems.into_iter().filter(expires).collect();
    standing
}

/// Covered commands that were let through and may be committed yet. Only partitions with such commands are asked.
fn out(
    partitions: &[Arc<Partition>],
    underway: &Underway,
    hold: &Hold,
    now: Millis,
) -> Vec<(ObligationId, String)> {
    let of = u32::try_from(partitions.len()).unwrap_or(u32::MAX);
    let mut by_partition: BTreeMap<u32, Vec<Through>> = BTreeMap::new();
    for through in underway.out() {
        by_partition.entry(through.item.subject.partition(of)).or_default().push(through);
    }
    let mut out = Vec::new();
    for (at, commands) in by_partition {
        let Some(partition) = usize::try_from(at).ok().and_then(|at| partitions.get(at)) else { continue };
        let inner = partition.read();
        let known = commands.iter().filter_map(|t| {
            let duty = inner.state.duties.get(ObligationId(t.command.0));
            duty.filter(|duty| duty.attempt == t.attempt)
        });
        out.extend(known.filter(|d| still_out(d, now) && covers(&inner, hold, d)).map(named));
    }
    out
}

/// Nothing of a command is committed past its `not_after`; one whose answer waits for a read-back is over.
fn still_out(duty: &Obligation, now: Millis) -> bool {
    duty.stand == Stand::Ordered && !duty.absent && !duty.claimed && duty.not_after.is_some_and(|at| at > now)
}

fn named(duty: &Obligation) -> (ObligationId, String) {
    (duty.id, duty.place.system.to_string())
}
