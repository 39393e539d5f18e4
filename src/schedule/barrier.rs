//! The hold barrier: when a hold is *effective*.
//!
//! A hold is in force in a partition from the moment it is read there. It is effective once every partition has read
//! it and each covered command that was out has answered or passed its `not_after`.

use std::sync::Arc;
use std::time::Duration;

use quietus_core::engine::control::Control;
use quietus_core::hold::Hold;
use quietus_core::obligation::{Obligation, ObligationId, Stand};
use quietus_core::record::{HoldEffective, Record};
use quietus_core::time::Millis;

use crate::node::Node;
use crate::partition::{Inner, Partition};

const PERIOD: Duration = Duration::from_millis(20);

/// Where a placed hold stands.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Standing {
    /// Partitions that have not read it yet.
    pub waiting_for: Vec<u32>,
    pub items: u64,
    pub copies: u64,
    /// Covered commands that are out: (command, system). Those at a partner that accepted them do not delay the
    /// hold, they are listed.
    pub out: Vec<(ObligationId, String)>,
    pub accepted: Vec<(ObligationId, String)>,
    /// Systems with covered copies that expire data by themselves.
    pub not_preserved: Vec<String>,
}

impl Standing {
    /// Everyone has read it, and nothing covered can still be committed.
    pub fn is_effective(&self) -> bool {
        self.waiting_for.is_empty() && self.out.is_empty()
    }
}

/// Declares holds effective, for ever.
pub async fn run(node: Arc<Node>) {
    loop {
        let _ = tokio::time::timeout(PERIOD, node.moved.notified()).await;
        let open = |h: &&Hold| h.effective.is_none() && h.released.is_none();
        let holds: Vec<Hold> = node.with_control(|c| c.holds.values().filter(open).cloned().collect());
        for hold in holds {
            let standing = standing(&node, &hold);
            if standing.is_effective() {
                let record = HoldEffective {
                    id: hold.id.clone(),
                    at: node.now().0,
                    covered_items: i64::try_from(standing.items).unwrap_or(i64::MAX),
                    covered_copies: i64::try_from(standing.copies).unwrap_or(i64::MAX),
                };
                if let Err(error) = node.decree(Record::HoldEffective(record)).await {
                    tracing::warn!(%error, hold = hold.id, "cannot be declared effective yet");
                }
            }
        }
    }
}

/// Looks at every partition.
pub fn standing(node: &Node, hold: &Hold) -> Standing {
    node.with_control(|control| stands(&node.partitions, control, hold, node.now()))
}

/// The same of these partitions, under this control log, at this time.
pub fn stands(partitions: &[Arc<Partition>], control: &Control, hold: &Hold, now: Millis) -> Standing {
    let mut standing = Standing::default();
    let mut systems = std::collections::BTreeSet::new();
    for partition in partitions {
        let inner = partition.read();
        let Some(covered) = inner.state.covered.get(&hold.id) else {
            standing.waiting_for.push(partition.index());
            continue;
        };
        standing.items += covered.items;
        standing.copies += covered.copies();
        systems.extend(covered.by_system.keys().cloned());
        let covers = |d: &&Obligation| is_covered(&inner, hold, d);
        let named = |d: &Obligation| (d.id, d.place.system.to_string());
        let out = inner.state.duties.standing(Stand::Ordered).filter(|d| still_out(d, now)).filter(covers);
        standing.out.extend(out.map(named));
        standing.accepted.extend(inner.state.duties.standing(Stand::Accepted).filter(covers).map(named));
    }
    let expires = |s: &String| control.systems.get(s).is_some_and(|s| s.manifest.expires.is_some());
    standing.not_preserved = systems.into_iter().filter(expires).collect();
    standing
}

/// Nothing of a command is committed past its `not_after`; one whose answer waits for a read-back is over.
fn still_out(duty: &Obligation, now: Millis) -> bool {
    !duty.absent && !duty.claimed && duty.not_after.is_some_and(|at| at > now)
}

fn is_covered(inner: &Inner, hold: &Hold, duty: &Obligation) -> bool {
    let Some(lives) = inner.store.lives(duty.item) else { return true };
    let life = lives.lives.into_iter().find(|l| l.item.generation == duty.generation);
    let Some(mut life) = life else { return true };
    inner.state.control.complete(&mut life);
    let Some(copy) = life.copy_at(&duty.place).and_then(|at| life.item.copies.get(at)) else { return true };
    duty.parts.iter().any(|p| hold.stops(duty.duty, &life.item, copy, p))
}
