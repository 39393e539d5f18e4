//! The targets of a call that wait for their turn, and the steps of the next batch of them.
//!
//! Steps are made batch by batch, so that a lane prepares its next batch while the database works on the one before.
//! Invariant: no step is handed out before those of a lower rank were, and none twice.

use std::cmp::Ordering;
use std::sync::{Mutex, PoisonError};

use quietus_contract::{Failure, Outcome, Target, Work};

use crate::step::Step;
use crate::transaction::Batch;

/// One target in line.
#[derive(Clone, Copy)]
pub(crate) struct Waiting<'t> {
    /// Its place in the call.
    pub(crate) index: usize,
    pub(crate) target: &'t Target,
    /// Children have a lower one than their parents.
    pub(crate) rank: usize,
}

impl Waiting<'_> {
    /// Children first, what one statement may carry out together.
    pub(crate) fn order(&self, other: &Self) -> Ordering {
        let (one, two) = (self.target, other.target);
        self.rank
            .cmp(&other.rank)
            .then_with(|| one.dataset.cmp(&two.dataset))
            .then_with(|| by_work(&one.work, &two.work))
    }
}

fn by_work(one: &Work, other: &Work) -> Ordering {
    match (one, other) {
        (Work::Delete, Work::Delete) => Ordering::Equal,
        (Work::Delete, Work::Change { .. } | Work::Correct(_)) => Ordering::Less,
        (Work::Change { .. } | Work::Correct(_), Work::Delete) => Ordering::Greater,
        (Work::Change { categories: one, .. }, Work::Change { categories: other, .. }) => one.cmp(other),
        (Work::Change { .. }, Work::Correct(_)) => Ordering::Less,
        (Work::Correct(_), Work::Change { .. }) => Ordering::Greater,
        (Work::Correct(one), Work::Correct(other)) => {
            one.iter().map(|c| &c.category).cmp(other.iter().map(|c| &c.category))
        }
    }
}

pub(crate) struct Line<'b, 't> {
    batch: &'b Batch<'b>,
    /// As many as a batch may have at all: those that wait for each other have the best chance together.
    together: bool,
    rest: Mutex<&'t [Waiting<'t>]>,
}

impl<'b, 't> Line<'b, 't> {
    pub(crate) fn new(batch: &'b Batch<'b>, waiting: &'t [Waiting<'t>], together: bool) -> Self {
        Self { batch, together, rest: Mutex::new(waiting) }
    }

    /// The steps of the next batch, in the order in which every session takes them (fewer deadlocks). What cannot be
    /// carried out is answered at once.
    pub(crate) fn next(&self) -> Option<Vec<Step>> {
        loop {
            let batch = self.take();
            if batch.is_empty() {
                return None;
            }
            let mut steps = Vec::with_capacity(batch.len());
            for waiting in batch {
                match self.step(waiting) {
                    Ok(step) => steps.push(step),
                    Err(outcome) => self.batch.answers.put([(waiting.index, outcome)]),
                }
            }
            if !steps.is_empty() {
                steps.sort_by(Step::order);
                return Some(steps);
            }
        }
    }

    fn take(&self) -> &'t [Waiting<'t>] {
        let pace = &self.batch.connector.pace;
        let mut rest = self.rest.lock().unwrap_or_else(PoisonError::into_inner);
        let size = if self.together { rest.len().min(pace.batch_max) } else { pace.take(&rest) };
        let (now, later) = rest.split_at(size);
        *rest = later;
        now
    }

    fn step(&self, waiting: &Waiting<'_>) -> Result<Step, Outcome> {
        let Waiting { index, target, rank } = *waiting;
        match self.batch.tables.get(&*target.dataset) {
            Some(Ok(table)) => Step::new(&self.batch.connector.manifest, table, rank, index, target),
            Some(Err(failure)) => Err(Outcome::Failed(failure.clone())),
            None => Err(Outcome::Failed(Failure::retry("internal", "a table was not read"))),
        }
    }
}
