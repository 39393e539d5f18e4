//! How many steps go into one transaction: as many as stay under 50 ms by what each table has cost lately. And whether
//! counting what went is worth a try there.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use crate::line::Waiting;

/// Of the 50 ms that a transaction may take, what its statements may; the rest is the gate's and the commit's.
const STATEMENTS: Duration = Duration::from_millis(35);
/// Believed of a table never written to, so that even slow triggers do not make the first transaction long.
const FIRST: Duration = Duration::from_millis(2);

/// After a count that was too small, so many batches are not counted: where rows are missing, more are.
const NOT_COUNTED: u32 = 16;

#[derive(Debug)]
pub(crate) struct Pace {
    pub(crate) batch_max: usize,
    /// Nanoseconds per step, by collection.
    cost: Mutex<BTreeMap<String, u64>>,
    /// Batches that are not to be counted, by collection.
    short: Mutex<BTreeMap<String, u32>>,
}

impl Pace {
    pub(crate) fn new(batch_max: u32) -> Self {
        Self {
            batch_max: usize::try_from(batch_max).unwrap_or(usize::MAX).max(1),
            cost: Mutex::default(),
            short: Mutex::default(),
        }
    }

    /// Whether the next batch of a collection is counted.
    pub(crate) fn counts(&self, collection: &str) -> bool {
        let mut short = self.short.lock().unwrap_or_else(PoisonError::into_inner);
        match short.get_mut(collection) {
            Some(left) if *left > 0 => {
                *left -= 1;
                false
            }
            _ => true,
        }
    }

    /// A count was too small.
    pub(crate) fn fell_short(&self, collection: &str) {
        let mut short = self.short.lock().unwrap_or_else(PoisonError::into_inner);
        short.insert(collection.to_owned(), NOT_COUNTED);
    }

    /// How many of the first of these make the next transaction; at least one.
    pub(crate) fn take(&self, waiting: &[Waiting<'_>]) -> usize {
        let cost = self.cost.lock().unwrap_or_else(PoisonError::into_inner);
        let first = nanoseconds(FIRST);
        let mut budget = nanoseconds(STATEMENTS);
        let affordable = waiting
            .iter()
            .take(self.batch_max)
            .take_while(|next| {
                let price = cost.get(&*next.target.dataset).copied().unwrap_or(first);
                let fits = budget >= price;
                budget = budget.saturating_sub(price);
                fits
            })
            .count();
        affordable.max(1).min(waiting.len())
    }

    /// A statement over `steps` rows of a collection took this long. Dearer counts at once, cheaper by halves.
    pub(crate) fn learn(&self, collection: &str, steps: usize, took: Duration) {
        let now = nanoseconds(took) / u64::try_from(steps.max(1)).unwrap_or(u64::MAX);
        let mut cost = self.cost.lock().unwrap_or_else(PoisonError::into_inner);
        let known = cost.entry(collection.to_owned()).or_insert(now);
        *known = if now > *known { now } else { known.midpoint(now) };
    }
}

fn nanoseconds(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}
