//! Why an item is kept, or due when; what has no date; what a policy would change.
//!
//! Everything here is judged anew from what is known: nothing that is said about a date is stored anywhere. What was
//! known at a time that is over is read from the ledger again: a state forgets what came before, its record does not.

use std::sync::Arc;

use quietus_core::document::Diagnostic;
use quietus_core::engine::control::ActivePolicy;
use quietus_core::engine::judge;
use quietus_core::identity::ItemId;
use quietus_core::item::{CopyState, Subject};
use quietus_core::life::Life;
use quietus_core::policy::{Calendar, Policy};
use quietus_core::record::Record;
use quietus_core::time::Millis;
use quietus_core::verdict::{CopyVerdict, Open, Verdict};

use super::policies::Refusal;
use super::{Node, NodeError};
use crate::ledger::Stream;
use crate::ledger::codec::{Avro, decode_frame};
use crate::partition::{Inner, ItemView, Partition};

/// A verdict with what is needed to show it.
#[derive(Clone, Debug)]
pub struct Explained {
    pub item: ItemId,
    pub verdict: Verdict,
    /// (system, dataset) of each copy, in the verdict's order.
    pub places: Vec<(String, String)>,
    /// Holds in force, per copy and part.
    pub holds: Vec<Vec<Vec<String>>>,
    /// Where the item and its copies stand, in the same order.
    pub standing: ItemView,
}

/// A part without a date.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unsettled {
    pub item: ItemId,
    pub system: String,
    pub dataset: String,
    pub category: String,
    pub purposes: Vec<String>,
    pub open: Open,
}

impl Node {
    /// The verdict on an item. As of a time that is over: by what was known then, under the policy and the holds that
    /// were in force then. None = nothing is, or was, known under this key.
    pub fn explain(&self, id: ItemId, at: Option<Millis>) -> Result<Option<Explained>, NodeError> {
        Ok(self.explain_all(&[id], at)?.pop())
    }

    /// The verdicts on those of the items that are, or were, known.
    pub fn explain_all(&self, ids: &[ItemId], at: Option<Millis>) -> Result<Vec<Explained>, NodeError> {
        let now = self.now();
        let mut explained = Vec::new();
        let mut past: Option<Partition> = None;
        for id in ids {
            let partition = self.partition_of(id.subject);
            let Some(at) = at.filter(|at| *at < now) else {
                explained.extend(explain_in(&partition.read(), *id, at.unwrap_or(now))?);
                continue;
            };
            // One person's items are in one partition.
            let then = match past.take().filter(|p| p.index() == partition.index()) {
                Some(then) => then,
                None => self.as_it_was(partition, at)?,
            };
            explained.extend(explain_in(&then.read(), *id, at)?);
            past = Some(then);
        }
        Ok(explained)
    }

    /// A partition as it stood at this time: its ledger, read again up to the first tick after it.
    fn as_it_was(&self, live: &Partition, at: Millis) -> Result<Partition, NodeError> {
        let _kept = self.look_back();
        let past = self.as_of(live, |snapshot| snapshot.at <= at.0)?.ok_or_else(|| NodeError::NotFound {
            what: format!("what was known at {at} is no longer known: the ledger's beginning was given up"),
        })?;
        for frame in self.ledger.read(Stream::Partition(live.index()), past.applied())?.by_ref() {
            let frame = frame?;
            let batch = decode_frame(&frame.body)?;
            if batch.records.iter().any(|r| matches!(r, Record::Tick(tick) if tick.now > at.0)) {
                break;
            }
            past.apply(frame.offset, &frame.body, &batch, &Avro);
        }
        Ok(past)
    }

    /// A stored policy as if it were active.
    pub fn stored_policy(&self, name: &str) -> Result<(Arc<ActivePolicy>, Vec<Diagnostic>), Refusal> {
        let document = self.with_control(|c| c.stored.get(name).cloned());
        let Some(document) = document else {
            return Err(NodeError::NotFound { what: format!("there is no policy {name}") }.into());
        };
        let checked = super::check_policy(name, document.as_bytes());
        if checked.is_refused() {
            return Err(Refusal::Wrong(checked.diagnostics));
        }
        let compiled = checked.policy.and_then(|p| Calendar::new(&p).ok().map(|c| (p, c)));
        let Some((policy, calendar)) = compiled else { return Err(Refusal::Wrong(checked.diagnostics)) };
        let published = self.clock.now();
        let as_active = ActivePolicy { version: 0, policy, calendar, document, published };
        Ok((Arc::new(as_active), checked.diagnostics))
    }

    /// Live parts that no rule covers, or whose starting point is unknown, in key order.
    pub fn unsettled(&self, policy: &ActivePolicy, at_most: usize) -> Vec<Unsettled> {
        let mut found = Vec::new();
        self.each_life(|inner, life, subject| {
            if found.len() >= at_most {
                return;
            }
            let verdict = judge(policy, &inner.state.control, life, subject, inner.state.now);
            let live = life.item.copies.iter().zip(&verdict.copies).filter(|(c, _)| c.is_live());
            for (copy, verdict) in live {
                let parts = verdict.parts.iter().filter_map(|p| Some((p, p.open.filter(is_unsettled)?)));
                found.extend(parts.map(|(part, open)| Unsettled {
                    item: life.item.id,
                    system: copy.system.to_string(),
                    dataset: copy.dataset.to_string(),
                    category: part.category.clone(),
                    purposes: copy.purposes.clone(),
                    open,
                }));
            }
        });
        found.truncate(at_most);
        found
    }

    /// Every item that lives, in key order within its partition.
    pub fn each_life(&self, mut visit: impl FnMut(&Inner, &Life, &Subject)) {
        for partition in self.partitions.iter() {
            let inner = partition.read();
            inner.store.each(&mut |lives, subject| {
                let Some(life) = lives.newest().filter(|l| !l.is_ended()) else { return };
                let mut life = life.clone();
                inner.state.control.complete(&mut life);
                visit(&inner, &life, subject);
            });
        }
    }
}

fn is_unsettled(open: &Open) -> bool {
    matches!(open, Open::Uncovered | Open::Undated)
}

/// How the rule of one id differs between two policies.
pub fn rule_change(old: Option<&Policy>, new: &Policy, rule: &str) -> &'static str {
    let of = |p: &Policy| p.rules.iter().find(|r| r.id == rule).cloned();
    match (old.and_then(of), of(new)) {
        (None, _) => "added",
        (Some(_), None) => "removed",
        (Some(a), Some(b)) if a == b => "same",
        (Some(_), Some(_)) => "changed",
    }
}

fn explain_in(inner: &Inner, id: ItemId, now: Millis) -> Result<Option<Explained>, NodeError> {
    let control = &inner.state.control;
    let active = control.policy.clone().ok_or_else(|| NodeError::Conflict {
        code: "no-policy",
        what: "no policy is or was active, so nothing has a date".to_owned(),
        fix: "publish one: `quietus policy publish FILE`".to_owned(),
    })?;
    let Some((mut life, subject)) = inner.newest_life(id) else { return Ok(None) };
    control.complete(&mut life);
    let mut verdict = judge(&active, control, &life, &subject, now);
    // Of a copy that is gone, what the rules said of its parts; it sets no date any more.
    let mut there = life.clone();
    there.item.copies.iter_mut().for_each(|copy| copy.state = CopyState::Live);
    let said = judge(&active, control, &there, &subject, now).copies;
    for ((copy, judged), said) in life.item.copies.iter().zip(&mut verdict.copies).zip(said) {
        if !copy.is_live() {
            *judged = said;
        }
    }
    let copies = life.item.copies.iter();
    let held = |copy: &quietus_core::item::Copy, verdict: &CopyVerdict| {
        let on = |category: &str| control.holds_on(&life.item, copy, category);
        verdict.parts.iter().map(|p| on(&p.category)).collect()
    };
    Ok(Some(Explained {
        item: id,
        places: copies.clone().map(|c| (c.system.to_string(), c.dataset.to_string())).collect(),
        holds: copies.zip(&verdict.copies).map(|(c, v)| held(c, v)).collect(),
        standing: ItemView::of(&inner.state, &life, &subject, &inner.duties_of(id)),
        verdict,
    }))
}
