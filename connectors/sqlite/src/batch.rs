//! Short transactions: begin, do, ask the gate, look at the lease, commit.
//!
//! Invariant: between the gate's last word and the commit there is nothing but a look at the clock, and the commit
//! itself waits for readers no longer than the lease lasts. What the gate stops is taken out and the rest done anew,
//! because a savepoint inside a set-wise statement cannot be undone alone.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use quietus_contract::{CommandId, Failure, Gate, Outcome, TargetOutcome, Verdict};
use rusqlite::{Connection, Error};
use tokio::runtime::Handle;

use crate::apply::apply;
use crate::fault;
use crate::schema::Schema;
use crate::step::Step;

/// A transaction that held the database longer than this makes the next ones half as big.
const LONG: Duration = Duration::from_millis(50);
const SHORT: Duration = Duration::from_millis(15);
/// No smaller on account of a slow disk.
const FEW: usize = 20;
/// Between two transactions, so that the application's writers get their turn.
const PAUSE: Duration = Duration::from_millis(1);
const LONGEST_WAIT: Duration = Duration::from_millis(2_000);
/// How often a batch is done anew because the gate stopped some of it, or rows went that others had waited for.
const ROUNDS: usize = 8;
/// SQLite's own limit is 32,766 bound values in a statement.
const BOUND_VALUES: usize = 30_000;

/// How long this call may commit: counted from the call by a clock that nobody can set.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Lease {
    end: Option<Instant>,
}

impl Lease {
    pub(crate) fn starting_now(length: Duration) -> Self {
        Self { end: Instant::now().checked_add(length) }
    }

    fn left(self) -> Result<Duration, Failure> {
        let left = self.end.map_or(LONGEST_WAIT, |end| end.saturating_duration_since(Instant::now()));
        if left.is_zero() {
            return Err(Failure::retry(
                "expired",
                "the permit ran out before the commit; nothing was changed",
            ));
        }
        Ok(left.min(LONGEST_WAIT))
    }
}

pub(crate) struct Batch<'a> {
    pub(crate) conn: &'a Connection,
    pub(crate) schema: &'a Schema,
    pub(crate) lease: Lease,
    pub(crate) gate: Arc<dyn Gate>,
    pub(crate) runtime: Handle,
    /// How many rows a transaction takes at present, and at most.
    pub(crate) size: &'a AtomicUsize,
    pub(crate) limit: usize,
}

/// How long the database was held: for the statements, and for the commit. Waiting for it, and for the gate, does
/// not count: smaller transactions would not make that shorter.
#[derive(Clone, Copy, Default)]
struct Held {
    working: Duration,
    committing: Duration,
}

/// A transaction that came to nothing.
enum Lost {
    /// For every step alike.
    All(Failure),
    /// Some of the steps are to blame: in parts, the others can go.
    Some(Failure),
}

impl Batch<'_> {
    /// All steps, children before parents. Rows that others still referred to are tried again while others go, so
    /// that the answer does not hang on how the steps fell into transactions.
    pub(crate) fn run(&self, steps: &[Step<'_>]) -> Vec<TargetOutcome> {
        let mut pending: Vec<&Step<'_>> = steps.iter().collect();
        pending.sort_by_key(|s| std::cmp::Reverse(s.table.rank));
        let mut answers: BTreeMap<CommandId, TargetOutcome> = BTreeMap::new();
        for _ in 0..ROUNDS {
            let tried = self.pass(&pending);
            let went = tried.iter().any(|a| matches!(a.outcome, Outcome::Removed(_)));
            answers.extend(tried.into_iter().map(|a| (a.command, a)));
            pending.retain(|s| answers.get(&s.command).is_some_and(is_referred_to));
            if pending.is_empty() || !went {
                break;
            }
        }
        answers.into_values().collect()
    }

    fn pass(&self, steps: &[&Step<'_>]) -> Vec<TargetOutcome> {
        let widest = steps.iter().map(|s| s.columns.len() + s.sets()).max().unwrap_or(1).max(1);
        let limit = self.limit.min(BOUND_VALUES / widest).max(1);
        let (mut outcomes, mut rest) = (Vec::with_capacity(steps.len()), steps);
        while !rest.is_empty() {
            let full = self.size.load(Ordering::Relaxed).clamp(1, limit);
            let (now, later) = rest.split_at(full.min(rest.len()));
            let mut held = Held::default();
            self.settle(now, &mut outcomes, &mut held);
            self.resize(held, now.len(), full);
            rest = later;
            if !rest.is_empty() {
                std::thread::sleep(PAUSE);
            }
        }
        outcomes
    }

    /// Only a full transaction shows that more would do; one that was not full and still long was too much. Where
    /// it is the disk that is slow, transactions of a row each would only be more of the same.
    fn resize(&self, held: Held, size: usize, full: usize) {
        let least = if held.working > LONG { 1 } else { FEW };
        let took = held.working.saturating_add(held.committing);
        if took > LONG {
            let less = if size == full { size / 2 } else { size };
            self.size.store(less.max(least), Ordering::Relaxed);
        } else if took < SHORT && size == full {
            self.size.store(size.saturating_mul(2), Ordering::Relaxed);
        }
    }

    /// One transaction, or several smaller ones.
    fn settle(&self, steps: &[&Step<'_>], outcomes: &mut Vec<TargetOutcome>, held: &mut Held) {
        let failure = match self.transaction(steps, held) {
            Ok(done) => return outcomes.extend(done),
            Err(Lost::Some(_)) if steps.len() > 1 => {
                let (first, second) = steps.split_at(steps.len() / 2);
                self.settle(first, outcomes, held);
                return self.settle(second, outcomes, held);
            }
            Err(Lost::Some(failure) | Lost::All(failure)) => failure,
        };
        outcomes.extend(steps.iter().map(|s| answer(s.command, Outcome::Failed(failure.clone()), None)));
    }

    fn transaction(&self, steps: &[&Step<'_>], held: &mut Held) -> Result<Vec<TargetOutcome>, Lost> {
        let mut steps: Vec<&Step<'_>> = steps.to_vec();
        let mut blocked: Vec<TargetOutcome> = Vec::new();
        for _ in 0..ROUNDS {
            if steps.is_empty() {
                return Ok(blocked);
            }
            self.begin()?;
            let started = Instant::now();
            let applied = apply(self.conn, self.schema, &steps);
            held.working = held.working.saturating_add(started.elapsed());
            let outcomes = applied.map_err(|error| self.lose(&error))?;
            let effects = effects(&outcomes);
            let stopped = self.stopped(&effects).inspect_err(|_| self.undo()).map_err(Lost::All)?;
            if stopped.is_empty() {
                let at = self.clock();
                let started = Instant::now();
                let finished = self.finish(!effects.is_empty());
                held.committing = held.committing.saturating_add(started.elapsed());
                finished?;
                blocked.extend(outcomes.into_iter().map(|(command, outcome)| answer(command, outcome, at)));
                return Ok(blocked);
            }
            self.undo();
            steps.retain(|s| !stopped.contains(&s.command));
            let hold = |command: &CommandId| {
                answer(*command, Outcome::Blocked { cause: "hold".into(), until: None }, None)
            };
            blocked.extend(stopped.iter().map(hold));
        }
        let failure = Failure::retry("conflict", "holds kept coming in; nothing more was changed");
        blocked.extend(steps.iter().map(|s| answer(s.command, Outcome::Failed(failure.clone()), None)));
        Ok(blocked)
    }

    fn begin(&self) -> Result<(), Lost> {
        self.wait_at_most(self.lease.left().map_err(Lost::All)?)?;
        self.conn.execute_batch("BEGIN IMMEDIATE").map_err(|e| Lost::All(fault::of(&e)))
    }

    /// The commands the gate does not let through; a verdict that did not come is a stop. A gate that takes longer
    /// than the lease is not waited for: the application's writers wait too.
    fn stopped(&self, effects: &[CommandId]) -> Result<Vec<CommandId>, Failure> {
        if effects.is_empty() {
            return Ok(Vec::new());
        }
        let left = self.lease.left()?;
        let asked = async { tokio::time::timeout(left, self.gate.may_commit(effects)).await };
        let verdicts = self
            .runtime
            .block_on(asked)
            .map_err(|_| Failure::retry("expired", "the gate did not answer in time; nothing was changed"))?;
        let mut verdicts = verdicts.into_iter();
        Ok(effects.iter().copied().filter(|_| verdicts.next() != Some(Verdict::Go)).collect())
    }

    fn finish(&self, changed: bool) -> Result<(), Lost> {
        if !changed {
            self.undo();
            return Ok(());
        }
        let left = self.lease.left().inspect_err(|_| self.undo()).map_err(Lost::All)?;
        self.wait_at_most(left).inspect_err(|_| self.undo())?;
        let Err(error) = self.conn.execute_batch("COMMIT") else { return Ok(()) };
        // While the transaction is still open nothing has happened; otherwise only a read-back can tell.
        if !self.conn.is_autocommit() {
            return Err(self.lose(&error));
        }
        Err(Lost::All(Failure::unknown(
            "internal",
            "the commit was not confirmed; read back before trying again",
        )))
    }

    fn lose(&self, error: &Error) -> Lost {
        self.undo();
        let failure = fault::of(error);
        if fault::is_constraint(error) { Lost::Some(failure) } else { Lost::All(failure) }
    }

    fn undo(&self) {
        if !self.conn.is_autocommit() && self.conn.execute_batch("ROLLBACK").is_err() {
            tracing::warn!("SQLite did not roll back; closing the session does");
        }
    }

    fn wait_at_most(&self, wait: Duration) -> Result<(), Lost> {
        self.conn.busy_timeout(wait).map_err(|e| Lost::All(fault::of(&e)))
    }

    fn clock(&self) -> Option<i64> {
        crate::config::clock(self.conn).ok()
    }
}

/// Only what would change something needs the gate's word.
fn effects(outcomes: &BTreeMap<CommandId, Outcome>) -> Vec<CommandId> {
    let changes = |o: &Outcome| matches!(o, Outcome::Removed(_) | Outcome::Changed(_));
    outcomes.iter().filter(|(_, o)| changes(o)).map(|(c, _)| *c).collect()
}

fn is_referred_to(answer: &TargetOutcome) -> bool {
    matches!(&answer.outcome, Outcome::Failed(f) if f.code == "constraint" && f.may_retry)
}

pub(crate) fn answer(command: CommandId, outcome: Outcome, at: Option<i64>) -> TargetOutcome {
    TargetOutcome { command, outcome, at, position: None }
}
