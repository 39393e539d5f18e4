//! The report of a sweep, a plan or a demo: every copy that fell due stands in exactly one column.

use quietus_core::obligation::{Block, Duty, Obligation, Stand};
use quietus_core::verdict::Action;
use serde::{Deserialize, Serialize};

use super::{Inner, Partition};

/// One JSON object. Item-copies, but for `subjects`, `items`, `generations`, `audit` and `seconds`.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct Report {
    pub subjects: u64,
    pub items: u64,
    pub copies: u64,
    pub due: u64,
    pub erased: u64,
    pub masked: u64,
    pub verified: u64,
    pub held: u64,
    pub deferred: u64,
    pub residual: u64,
    pub refused: u64,
    pub out_of_reach: u64,
    pub failed: u64,
    pub in_flight: u64,
    pub observed: u64,
    pub corrected: u64,
    pub resurrected: u64,
    pub generations: u64,
    pub audit: Tallied,
    pub seconds: f64,
}

/// The audit chains, all partitions together.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct Tallied {
    pub entries: u64,
    pub decisions: u64,
    /// Hex.
    pub root: String,
    pub ok: bool,
}

/// How the subjects of a report are counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Subjects {
    Now,
    /// For whoever asks again and again while a sweep runs.
    Lately,
}

/// Where a copy stands, in the order that decides when its parts differ.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Column {
    Failed,
    Refused,
    OutOfReach,
    InFlight,
    Held,
    Deferred,
    Residual,
    Observed,
    Masked,
    Erased,
}

impl Report {
    /// Adds what this partition knows, but of duties, and what its subjects were counted to.
    pub fn add(&mut self, inner: &Inner, subjects: u64) {
        self.subjects += subjects;
        self.items += inner.state.alive.items;
        self.copies += copies(inner, inner.state.alive.copies);
        self.corrected += inner.state.tally.corrected;
        self.resurrected += inner.state.tally.resurrected;
        self.generations += inner.state.tally.generations;
    }

    /// Adds the duties that `counts` lets through; no reader of the partition waits for all of them.
    pub fn add_duties(&mut self, partition: &Partition, counts: impl Fn(&Obligation) -> bool) {
        let mut of_item: Vec<Obligation> = Vec::new();
        partition.each_duty(&mut |duty| {
            if counts(duty) {
                if of_item.first().is_some_and(|first| first.item != duty.item) {
                    self.item(&mut of_item);
                }
                of_item.push(duty.clone());
            }
        });
        self.item(&mut of_item);
    }

    /// The duties of one item, copy by copy.
    fn item(&mut self, duties: &mut Vec<Obligation>) {
        duties.sort_by(|a, b| (a.generation, &a.place).cmp(&(b.generation, &b.place)));
        let alike = |a: &Obligation, b: &Obligation| a.generation == b.generation && a.place == b.place;
        duties.chunk_by(alike).for_each(|duties| self.copy(duties));
        duties.clear();
    }

    fn copy(&mut self, duties: &[Obligation]) {
        let whole_gone = duties.iter().any(|d| d.duty == Duty::Delete && d.stand.is_gone());
        let columns = duties.iter().filter_map(column);
        let Some(worst) = (if whole_gone { Some(Column::Erased) } else { columns.min() }) else { return };
        self.due += 1;
        *self.cell(worst) += 1;
        let gone = || duties.iter().filter(|d| d.stand.is_gone() && column(d).is_some());
        if worst >= Column::Masked && gone().all(|d| d.stand == Stand::Verified) {
            self.verified += 1;
        }
    }

    fn cell(&mut self, column: Column) -> &mut u64 {
        match column {
            Column::Failed => &mut self.failed,
            Column::Refused => &mut self.refused,
            Column::OutOfReach => &mut self.out_of_reach,
            Column::InFlight => &mut self.in_flight,
            Column::Held => &mut self.held,
            Column::Deferred => &mut self.deferred,
            Column::Residual => &mut self.residual,
            Column::Observed => &mut self.observed,
            Column::Masked => &mut self.masked,
            Column::Erased => &mut self.erased,
        }
    }

    /// `due` is the sum of its columns.
    pub fn adds_up(&self) -> bool {
        let gone = self.erased + self.masked;
        let kept = self.held + self.deferred + self.residual + self.refused + self.out_of_reach;
        self.due == gone + kept + self.failed + self.in_flight + self.observed && self.verified <= gone
    }
}

/// Live copies: those the store counts, and where there are derived ones those that only a look at each item shows.
fn copies(inner: &Inner, counted: u64) -> u64 {
    let control = &inner.state.control;
    if control.derivations.is_empty() {
        return counted;
    }
    let mut all = 0;
    inner.store.each(&mut |lives, _| {
        let Some(mut life) = lives.newest().cloned() else { return };
        control.complete(&mut life);
        all += life.item.copies.iter().filter(|c| c.is_live()).count() as u64;
    });
    all
}

fn is_restriction(duty: &Obligation) -> bool {
    duty.duty == Duty::Change(Action::Restrict)
}

fn column(duty: &Obligation) -> Option<Column> {
    // A correction makes nothing due.
    if is_restriction(duty) || duty.duty == Duty::Correct {
        return None;
    }
    Some(match (duty.stand, &duty.block, duty.duty) {
        (Stand::Withdrawn, ..) => return None,
        // It failed, and its next try may be long in coming: a system that is down is left alone for a while.
        (Stand::Owed, ..) if duty.tries > 0 => Column::Failed,
        (Stand::Owed | Stand::Ordered | Stand::Accepted, ..) => Column::InFlight,
        (Stand::Executed | Stand::Verified, _, Duty::Delete) => Column::Erased,
        (Stand::Executed | Stand::Verified, _, Duty::Change(_) | Duty::Correct) => Column::Masked,
        // A released hold that cools down is still a hold to whoever counts.
        (Stand::Blocked, Some(Block::Hold(_)) | None, _) => Column::Held,
        (Stand::Blocked, Some(Block::Minimum { .. } | Block::Lock { .. } | Block::Others { .. }), _) => {
            Column::Deferred
        }
        (Stand::Residual, ..) => Column::Residual,
        (Stand::Refused, ..) => Column::Refused,
        (Stand::OutOfReach, ..) => Column::OutOfReach,
        (Stand::Failed, ..) => Column::Failed,
        (Stand::Observed, ..) => Column::Observed,
    })
}
