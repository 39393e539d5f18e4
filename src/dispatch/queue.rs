//! Commands that were let through and wait for a worker, and how many batches of them make one call.
//!
//! Over one connection a batch's commit and the next one's statement share a flight, so a call of several batches is
//! dearer for nobody and waits less. But a hold waits for the answers to what it covers, and a call answers when it is
//! over: so many batches as took [`CALL`] lately, and one where calls come to nothing. Rejected: a fixed number, which
//! on a slow table makes a hold wait for seconds and lets the last batches outlive their permit.

use std::collections::VecDeque;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// What a call may take.
const CALL: Duration = Duration::from_millis(100);
const BATCHES_MAX: usize = 16;

#[derive(Debug)]
pub struct Queue<T> {
    /// Records, as the manifest says.
    batch: usize,
    /// Whether a call may have several batches at all.
    several: bool,
    inner: Mutex<Inner<T>>,
}

#[derive(Debug)]
struct Inner<T> {
    waiting: VecDeque<Vec<T>>,
    /// How many make the next call.
    batches: usize,
}

impl<T> Queue<T> {
    pub fn new(batch: usize, several: bool) -> Self {
        Self { batch, several, inner: Mutex::new(Inner { waiting: VecDeque::new(), batches: 1 }) }
    }

    fn lock(&self) -> MutexGuard<'_, Inner<T>> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Puts commands in line; how many batches they make. Each is worth one [`Queue::next_call`].
    pub fn push(&self, commands: Vec<T>) -> usize {
        let mut inner = self.lock();
        let before = inner.waiting.len();
        inner.waiting.extend(in_parts(commands, self.batch));
        inner.waiting.len() - before
    }

    /// The batches of the next call, the longest waiting first. Empty: other calls took them along.
    pub fn next_call(&self) -> Vec<Vec<T>> {
        let mut inner = self.lock();
        let batches = inner.batches.min(inner.waiting.len());
        inner.waiting.drain(..batches).collect()
    }

    /// How many batches a call has at present.
    pub fn batches(&self) -> usize {
        self.lock().batches
    }

    /// A call over so many records took this long.
    pub fn learn(&self, records: usize, took: Duration, reached: bool) {
        let mut inner = self.lock();
        let now = inner.batches;
        inner.batches = if !reached || !self.several {
            1
        } else if took > CALL {
            (now / 2).max(1)
        } else if took * 2 <= CALL && records >= now * self.batch {
            (now * 2).min(BATCHES_MAX)
        } else {
            now
        };
    }
}

/// Parts of so many, nothing of them copied.
pub(super) fn in_parts<T>(all: Vec<T>, size: usize) -> impl Iterator<Item = Vec<T>> {
    let mut rest = all.into_iter();
    std::iter::from_fn(move || {
        let part: Vec<T> = rest.by_ref().take(size.max(1)).collect();
        (!part.is_empty()).then_some(part)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const QUICK: Duration = Duration::from_millis(10);

    #[test]
    fn a_call_grows_while_it_is_quick_and_full_and_shrinks_when_it_is_slow() {
        let queue = Queue::<u8>::new(500, true);
        assert_eq!(queue.batches(), 1);
        queue.learn(20, QUICK, true);
        assert_eq!(queue.batches(), 1, "a small call says little");
        for records in [500, 1_000, 2_000, 4_000, 8_000, 8_000] {
            queue.learn(records, QUICK, true);
        }
        assert_eq!(queue.batches(), BATCHES_MAX);
        queue.learn(8_000, Duration::from_millis(70), true);
        assert_eq!(queue.batches(), BATCHES_MAX);
        queue.learn(8_000, Duration::from_millis(101), true);
        assert_eq!(queue.batches(), 8);
        queue.learn(4_000, QUICK, false);
        assert_eq!(queue.batches(), 1, "nobody was there");
    }

    #[test]
    fn where_one_batch_a_call_is_the_rule_it_stays_so() {
        let queue = Queue::<u8>::new(500, false);
        queue.learn(500, QUICK, true);
        assert_eq!(queue.batches(), 1);
    }

    #[test]
    fn what_waits_goes_once_in_order() {
        let queue = Queue::new(2, true);
        assert_eq!(queue.push(vec![1, 2, 3, 4, 5]), 3);
        assert_eq!(queue.next_call(), [vec![1, 2]]);
        queue.learn(2, QUICK, true);
        assert_eq!(queue.next_call(), [vec![3, 4], vec![5]]);
        assert!(queue.next_call().is_empty(), "the third worker has nothing left to do");
    }
}
