//! What a policy would change, counted: exactly, and without a look at each item.
//!
//! Of most items nothing is known but the fact that they were recorded by. Those of one shape that were recorded on the
//! same local day come to the same under policies that count in whole days, so a store counts them by its page headers,
//! and each day is judged once. What more is told of, and what a policy counts more finely, is judged item by item; so
//! is everything under a policy that asks for the activity of all of a person's items. Rejected: halving for the start
//! from which on a date has passed, which is right only where expiry is monotone.

mod census;
mod consents;
mod kind;
mod kinds;
mod pattern;
mod replan;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet};
use std::num::NonZero;
use std::sync::atomic::{AtomicUsize, Ordering};

use quietus_core::engine::control::ActivePolicy;
use quietus_core::time::Millis;
use quietus_core::verdict::{CopyVerdict, Open};

use self::census::Counting;
use self::replan::Replan;
use super::Node;

impl Node {
    /// What publishing `new` would change.
    pub fn difference(&self, new: &ActivePolicy) -> Difference {
        let active = self.with_control(|c| c.policy.clone());
        let replan = Replan::new(active.as_deref(), new, self.clock.now());
        let (days, next) = (replan.days(), AtomicUsize::new(0));
        let some = || {
            let mut counting = Counting::new(replan, &days);
            while let Some(partition) = self.partitions.get(next.fetch_add(1, Ordering::Relaxed)) {
                let inner = partition.read();
                counting.count(&*inner.store, &inner.state.control);
            }
            counting.finish()
        };
        let at_once = std::thread::available_parallelism().map_or(1, NonZero::get).min(self.partitions.len());
        let mut difference = Difference::default();
        std::thread::scope(|scope| {
            let threads: Vec<_> = (0..at_once).map(|_| scope.spawn(some)).collect();
            for thread in threads {
                match thread.join() {
                    Ok(counted) => difference.add(&counted, 1),
                    Err(panic) => std::panic::resume_unwind(panic),
                }
            }
        });
        difference
    }
}

/// What publishing a policy would change, counted in copies.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Difference {
    pub due_now: u64,
    pub due_then: u64,
    pub moved: Moved,
    pub uncovered_now: u64,
    pub uncovered_then: u64,
    pub by_rule: BTreeMap<String, RuleDifference>,
}

/// The same of the copies in which one rule decides a part.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct RuleDifference {
    pub due_now: u64,
    pub due_then: u64,
    pub moved: Moved,
}

/// How dates move. No date is later than any.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Moved {
    pub earlier: u64,
    pub later: u64,
    /// Due then, and not now.
    pub newly: u64,
    /// Due now, and not then.
    pub no_longer: u64,
}

impl Moved {
    fn add(&mut self, other: Self, times: i64) {
        add(&mut self.earlier, other.earlier, times);
        add(&mut self.later, other.later, times);
        add(&mut self.newly, other.newly, times);
        add(&mut self.no_longer, other.no_longer, times);
    }

    fn count(&mut self, before: Option<Millis>, after: Option<Millis>, now: Millis) {
        let order = |d: Option<Millis>| d.unwrap_or(Millis(i64::MAX));
        let is_due = |d: Option<Millis>| d.is_some_and(|d| d <= now);
        self.earlier += u64::from(order(after) < order(before));
        self.later += u64::from(order(after) > order(before));
        self.newly += u64::from(is_due(after) && !is_due(before));
        self.no_longer += u64::from(is_due(before) && !is_due(after));
    }
}

impl Difference {
    fn add(&mut self, one: &Self, times: i64) {
        add(&mut self.due_now, one.due_now, times);
        add(&mut self.due_then, one.due_then, times);
        self.moved.add(one.moved, times);
        add(&mut self.uncovered_now, one.uncovered_now, times);
        add(&mut self.uncovered_then, one.uncovered_then, times);
        for (rule, one) in &one.by_rule {
            let total = self.by_rule.entry(rule.clone()).or_default();
            add(&mut total.due_now, one.due_now, times);
            add(&mut total.due_then, one.due_then, times);
            total.moved.add(one.moved, times);
        }
    }

    fn copy(&mut self, old: Option<&CopyVerdict>, new: Option<&CopyVerdict>, now: Millis) {
        let due = |v: Option<&CopyVerdict>| v.and_then(|v| v.due);
        let open = |v: Option<&CopyVerdict>| {
            v.is_some_and(|v| v.parts.iter().any(|p| p.open == Some(Open::Uncovered)))
        };
        let (before, after) = (due(old), due(new));
        self.due_now += u64::from(before.is_some_and(|d| d <= now));
        self.due_then += u64::from(after.is_some_and(|d| d <= now));
        self.moved.count(before, after, now);
        self.uncovered_now += u64::from(open(old));
        self.uncovered_then += u64::from(open(new));
        // A copy counts once under each rule that decides one of its parts, by the latest of those parts.
        let dates = |v: Option<&CopyVerdict>| -> BTreeMap<String, Millis> {
            let mut dates = BTreeMap::new();
            for part in v.into_iter().flat_map(|v| &v.parts) {
                let (Some(due), Some(rule)) = (part.due, part.rules.iter().find(|r| r.wins)) else {
                    continue;
                };
                let latest = dates.entry(rule.id.clone()).or_insert(due);
                *latest = due.max(*latest);
            }
            dates
        };
        let (before, after) = (dates(old), dates(new));
        let rules: BTreeSet<&String> = before.keys().chain(after.keys()).collect();
        for rule in rules {
            let (before, after) = (before.get(rule).copied(), after.get(rule).copied());
            let difference = self.by_rule.entry(rule.clone()).or_default();
            difference.due_now += u64::from(before.is_some_and(|d| d <= now));
            difference.due_then += u64::from(after.is_some_and(|d| d <= now));
            difference.moved.count(before, after, now);
        }
    }
}

fn add(total: &mut u64, one: u64, times: i64) {
    *total = total.wrapping_add_signed(i64::try_from(one).unwrap_or(i64::MAX).wrapping_mul(times));
}
