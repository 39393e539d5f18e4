//! Placing and releasing legal holds.

use std::time::Duration;

use quietus_core::engine::control::Control;
use quietus_core::hold::{Hold, Scope};
use quietus_core::record::{HoldPlaced, HoldReleased, Record};

use super::once::{Once, WantedId, wanted};
use super::{Node, NodeError};
use crate::schedule::barrier::{self, Standing};

/// A hold as it is asked for; identities in it are keyed already.
#[derive(Clone, Debug)]
pub struct HoldOrder {
    pub matter: String,
    pub authority: String,
    pub reference: Option<String>,
    pub owner: String,
    pub reason: String,
    pub scope: Scope,
    pub review: String,
    pub confidential: bool,
    pub allow: Vec<String>,
    pub by: Option<String>,
    pub once: Option<Once>,
}

impl Node {
    /// Places a hold and waits, at most `wait`, until it is effective and every partition has counted what it covers.
    /// Answers it as it then stands.
    pub async fn place_hold(&self, order: HoldOrder, wait: Duration) -> Result<(Hold, Standing), NodeError> {
        refuse_empty(&order.scope)?;
        let known = |id: &str| self.hold(id).ok().map(|(hold, _)| (hold.placed, hold.asked));
        let (id, is_new) = match wanted(order.once.as_ref(), &self.keys, "hd", self.now(), known)? {
            WantedId::New(id) => (id, true),
            WantedId::Made(id) => (id, false),
        };
        let record = HoldPlaced {
            id: id.clone(),
            matter: order.matter,
            authority: order.authority,
            reference: order.reference,
            owner: order.owner,
            reason: order.reason,
            scope: serde_json::to_string(&order.scope).unwrap_or_default(),
            review: order.review,
            confidential: order.confidential,
            allow: order.allow,
            by: order.by,
            at: self.clock.now().0,
            asked: order.once.map(|once| once.asked.to_vec()),
        };
        if is_new {
            self.append_control(Record::HoldPlaced(record)).await?;
        }
        let effective = async {
            loop {
                let moved = self.moved.notified();
                let is_effective = |c: &Control| c.holds.get(&id).is_some_and(|h| h.effective.is_some());
                if self.with_control(is_effective) && self.have_counted(&id) {
                    return;
                }
                let _ = tokio::time::timeout(Duration::from_millis(20), moved).await;
            }
        };
        // Not effective in time is an answer too: the caller is told what it waits for.
        let _ = tokio::time::timeout(wait, effective).await;
        self.hold(&id)
    }

    /// Every partition has read this hold.
    fn have_counted(&self, id: &str) -> bool {
        self.partitions.iter().all(|partition| partition.read().state.covered.contains_key(id))
    }

    /// A hold as it stands.
    pub fn hold(&self, id: &str) -> Result<(Hold, Standing), NodeError> {
        let hold = self.with_control(|c| c.holds.get(id).cloned());
        let hold = hold.ok_or_else(|| NodeError::NotFound { what: format!("there is no hold {id}") })?;
        let standing = barrier::standing(self, &hold);
        Ok((hold, standing))
    }

    /// What a hold of this scope would cover now: (items, copies per system). Changes nothing.
    pub fn plan_hold(
        &self,
        scope: &Scope,
    ) -> Result<(u64, std::collections::BTreeMap<String, u64>), NodeError> {
        refuse_empty(scope)?;
        let (mut items, mut systems) = (0, std::collections::BTreeMap::new());
        for partition in self.partitions.iter() {
            let inner = partition.read();
            inner.store.each(&mut |lives, _| {
                let Some(mut life) = lives.newest().cloned() else { return };
                inner.state.control.complete(&mut life);
                let covers = |c: &&quietus_core::item::Copy| {
                    c.is_live() && c.categories.iter().any(|k| scope.covers(&life.item, c, k))
                };
                let covered: Vec<_> = life.item.copies.iter().filter(covers).collect();
                items += u64::from(!covered.is_empty());
                covered.iter().for_each(|c| *systems.entry(c.system.to_string()).or_default() += 1);
            });
        }
        Ok((items, systems))
    }

    /// Releases a hold: what it blocked is owed again after the cool-down.
    pub async fn release_hold(
        &self,
        id: &str,
        by: Option<String>,
        reason: Option<String>,
    ) -> Result<Hold, NodeError> {
        let (hold, _) = self.hold(id)?;
        if hold.released.is_none() {
            // The cool-down counts from now, not from the last tick.
            crate::schedule::ticks::tick_all(self).await?;
            let record = HoldReleased { id: id.to_owned(), by, reason, at: self.clock.now().0 };
            self.decree(Record::HoldReleased(record)).await?;
        }
        self.hold(id).map(|(hold, _)| hold)
    }
}

fn refuse_empty(scope: &Scope) -> Result<(), NodeError> {
    let named = Scope { all: false, ..scope.clone() };
    let fix = match (scope.is_empty(), scope.all && !named.is_empty()) {
        (true, _) => "name subjects, items, categories, systems…, or write {\"all\": true}",
        (_, true) => "leave `all` out where something is named",
        (false, false) => return check_range(scope),
    };
    Err(NodeError::Refused {
        code: "empty-scope",
        what: "a hold must say what it covers".to_owned(),
        fix: fix.to_owned(),
    })
}

fn check_range(scope: &Scope) -> Result<(), NodeError> {
    match (scope.recorded_from, scope.recorded_to) {
        (Some(from), Some(to)) if from > to => Err(NodeError::Refused {
            code: "empty-range",
            what: format!("recorded_from {from} is after recorded_to {to}"),
            fix: "swap them".to_owned(),
        }),
        _ => Ok(()),
    }
}
