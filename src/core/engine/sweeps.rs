//! A sweep: what is due, as of the watermark, becomes duties.

use std::cmp::Ordering;
use std::collections::BTreeMap;
use std::sync::Arc;

use crate::item::{Copy, Subject};
use crate::life::{Life, Lives};
use crate::merkle::{self, Tree};
use crate::obligation::{Cause, ObligationId, Stand};
use crate::policy::ShapeRules;
use crate::record::SweepOrdered;
use crate::time::{Millis, Moment};

use super::decision::Decision;
use super::duties::{Wish, rules_of, wishes_under};
use super::reach::Reach;
use super::state::{Slice, State};
use super::words::Words;
use super::{Turn, corrections};

/// A sweep under way.
#[derive(Debug)]
pub(super) struct Sweeping {
    id: String,
    cause: Cause,
    as_of: Millis,
    /// Left of the limit; None = there is none.
    quota: Option<u64>,
    reach: Reach,
    slice: Slice,
    tree: Tree,
    words: Words,
}

impl Sweeping {
    pub(super) fn begin(state: &State, record: &SweepOrdered) -> Self {
        let at = usize::try_from(state.partition).unwrap_or_default();
        let quota = record.quota.get(at).map(|q| u64::try_from(*q).unwrap_or_default());
        let (cause, as_of) = (Cause::Sweep(record.id.as_str().into()), Millis(record.as_of));
        let slice = Slice { candidates: state.alive.items, ..Slice::default() };
        let (id, reach) = (record.id.clone(), Reach::of(state));
        Self { id, cause, as_of, quota, reach, slice, tree: Tree::default(), words: Words::default() }
    }

    pub(super) fn as_of(&self) -> Millis {
        self.as_of
    }

    pub(super) fn slice(&mut self, turn: &mut Turn<'_>) {
        // Nothing that a sweep decides is written to them.
        let found = std::mem::take(&mut turn.found);
        let active = turn.state.control.policy.clone();
        // Which rules win follows from the copies alone, and many items' are alike.
        let mut rules: BTreeMap<Alike<'_>, ShapeRules<'_>> = BTreeMap::new();
        for life in found.lives.values().filter_map(Lives::newest) {
            let Some(as_of) = self.reach.limit(life, self.as_of) else { continue };
            let unknown;
            let subject = match found.subjects.get(&life.item.id.subject) {
                Some(subject) => subject,
                None => {
                    unknown = Subject::unknown(life.item.id.subject);
                    &unknown
                }
            };
            let moment = Moment::at(as_of);
            let control = &turn.state.control;
            let due = active.as_ref().map(|active| {
                let of = || rules_of(active, control, &life.item.copies);
                let rules = rules.entry(Alike(&life.item.copies)).or_insert_with(of);
                wishes_under(rules, active, control, life, subject, moment)
            });
            self.item(turn, life, subject, due.unwrap_or_default());
        }
    }

    pub(super) fn end(self, turn: &mut Turn<'_>) {
        corrections::retried(turn);
        let slice = Slice { root: self.tree.root(), ..self.slice };
        turn.rule(Decision::Swept { sweep: self.id, slice });
    }

    fn item(&mut self, turn: &mut Turn<'_>, life: &Life, subject: &Subject, due: Vec<Wish>) {
        let mut due: Vec<(ObligationId, Wish)> = due.into_iter().map(|wish| (wish.id(life), wish)).collect();
        if let Some(left) = &mut self.quota {
            due.retain(|(id, wish)| {
                let stand = turn.state.duties.get(*id).map(|duty| duty.stand);
                if !is_new(wish, stand) {
                    return true;
                }
                let room = *left > 0;
                *left -= u64::from(room);
                self.slice.over_limit += u64::from(!room);
                room
            });
        }
        self.slice.due += due.len() as u64;
        for (id, wish) in &mut due {
            self.words.list(&mut wish.parts);
            wish.rule.iter_mut().for_each(|rule| self.words.text(rule));
            self.tree.push(merkle::leaf(&frozen(life, *id)));
        }
        // Most items owe nothing and never did.
        if !due.is_empty() || turn.state.duties.of_item(life.item.id).next().is_some() {
            turn.settle_named(life, subject, &due, &self.cause);
        }
    }
}

/// Copies that the same rules speak for: they differ at most in where exactly they lie.
#[derive(Clone, Copy, Debug)]
struct Alike<'a>(&'a [Copy]);

impl Ord for Alike<'_> {
    fn cmp(&self, other: &Self) -> Ordering {
        fn one(a: &Copy, b: &Copy) -> Ordering {
            let kind = if Arc::ptr_eq(&a.kind, &b.kind) { Ordering::Equal } else { a.kind.cmp(&b.kind) };
            kind.then(a.is_live().cmp(&b.is_live()))
        }
        let differs = || self.0.iter().zip(other.0).map(|(a, b)| one(a, b)).find(|order| order.is_ne());
        self.0.len().cmp(&other.0.len()).then_with(|| differs().unwrap_or(Ordering::Equal))
    }
}

impl PartialOrd for Alike<'_> {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for Alike<'_> {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other).is_eq()
    }
}

impl Eq for Alike<'_> {}

/// It would be ordered for the first time, as its duty stands if there is one: this is what a limit counts. What is stopped, or was counted by an earlier
/// sweep and is still under way, takes nobody's place.
pub fn is_new(wish: &Wish, stand: Option<Stand>) -> bool {
    wish.stop.is_none()
        && match stand {
            None | Some(Stand::Withdrawn | Stand::Observed | Stand::Blocked) => true,
            Some(Stand::Owed | Stand::Ordered | Stand::Accepted | Stand::Executed | Stand::Verified) => false,
            Some(Stand::Residual | Stand::Refused | Stand::OutOfReach | Stand::Failed) => false,
        }
}

/// One row of a frozen set: (SubjectKey, ItemKey, generation, copy, parts).
pub fn frozen(life: &Life, id: ObligationId) -> Vec<u8> {
    let mut row = Vec::with_capacity(96);
    row.extend_from_slice(&id.0);
    row.extend_from_slice(&life.item.id.subject.0);
    row.extend_from_slice(&life.item.id.item.0);
    row.extend_from_slice(&life.item.generation.to_le_bytes());
    row
}
