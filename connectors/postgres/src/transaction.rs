//! One short transaction over a batch of steps, and what happens when it does not go through.
//!
//! Invariant: between the gate's last *go* and the commit lies one message, and that message lets the database check
//! `not_after` by its own clock before it commits. A step is a success only when the commit was answered.
//! Rejected: asking the gate before the statements (a hold placed meanwhile would be missed), and savepoints around
//! every statement (most batches have nothing wrong with them: the careful way is for those that have).

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::{Duration, Instant};

use quietus_contract::{CommandId, Failure, Gate, Outcome, Verdict};
use tokio_postgres::Error;

use crate::PostgresConnector;
use crate::answers::Answers;
use crate::erase::{Deadline, Tables};
use crate::failure::{Concerns, Fault, session_lives};
use crate::pool::Lease;
use crate::rows;
use crate::step::Step;

const TRIES_MAX: usize = 4;
/// Holds that arrive while a batch is redone without the held ones; past this the rest is left for a retry.
const STOPS_MAX: usize = 5;

/// What every batch of a call shares.
pub(crate) struct Batch<'a> {
    pub(crate) connector: &'a PostgresConnector,
    pub(crate) tables: &'a Tables,
    pub(crate) gate: &'a dyn Gate,
    pub(crate) deadline: Deadline,
    pub(crate) answers: &'a Answers<'a>,
}

/// The database's clock in microseconds and its log position at a commit.
#[derive(Clone, Debug)]
pub(crate) struct Stamp {
    pub(crate) at: i64,
    pub(crate) position: Option<Arc<str>>,
}

/// What a step came to, as long as its transaction is open: told to nobody.
pub(crate) struct Drafted {
    /// The target's place in the call.
    pub(crate) index: usize,
    pub(crate) command: CommandId,
    pub(crate) outcome: Outcome,
}

/// One for every step.
pub(crate) type Draft = Vec<Drafted>;

enum Attempt {
    Committed(Draft, Stamp),
    /// The gate held these back; everything was rolled back.
    Stopped(BTreeSet<usize>),
    /// Something in it fails: again, isolating it.
    Isolate,
    /// Again as it is; this is the answer if it stays so.
    Again(Failure),
    /// For all of them, as it is.
    Over(Failure),
}

impl Batch<'_> {
    /// Answers every step, in transactions of their own. `careful`: something among them is known to fail.
    pub(crate) async fn carry_out(&self, steps: &[Step], careful: bool) {
        let mut left: Vec<&Step> = steps.iter().collect();
        let (mut careful, mut tries, mut stops) = (careful, 0, 0);
        let failure = loop {
            if left.is_empty() {
                return;
            }
            match self.attempt(&left, careful).await {
                Attempt::Committed(draft, stamp) => {
                    return self.answers.stamped(draft, &stamp);
                }
                Attempt::Stopped(held) => {
                    stops += 1;
                    left.retain(|step| !held.contains(&step.index));
                    let blocked = || Outcome::Blocked { cause: "hold".to_owned(), until: None };
                    self.answers.put(held.into_iter().map(|index| (index, blocked())));
                    if stops >= STOPS_MAX {
                        break Failure::retry("conflict", "holds kept arriving while the batch was redone");
                    }
                }
                Attempt::Isolate => careful = true,
                Attempt::Again(failure) => {
                    tries += 1;
                    if tries >= TRIES_MAX {
                        break failure;
                    }
                    tokio::time::sleep(Duration::from_millis(10 << tries)).await;
                }
                Attempt::Over(failure) => break failure,
            }
        };
        self.answers.put(left.iter().map(|s| (s.index, Outcome::Failed(failure.clone()))));
    }

    async fn attempt(&self, steps: &[&Step], careful: bool) -> Attempt {
        let mut lease = match self.connector.write.lease().await {
            Ok(lease) => lease,
            Err(failure) if failure.may_retry => return Attempt::Again(failure),
            Err(failure) => return Attempt::Over(failure),
        };
        match self.transaction(&mut lease, steps, careful).await {
            Ok((attempt, is_open)) => {
                if is_open {
                    lease.roll_back().await;
                } else {
                    lease.give_back();
                }
                attempt
            }
            Err(fault) => {
                if fault.concerns != Concerns::Connection {
                    lease.roll_back().await;
                }
                match fault.concerns {
                    Concerns::Row | Concerns::LockedRow | Concerns::Table if !careful => Attempt::Isolate,
                    Concerns::Connection | Concerns::Transaction if fault.failure.may_retry => {
                        Attempt::Again(fault.failure)
                    }
                    _ => Attempt::Over(fault.failure),
                }
            }
        }
    }

    /// What came of it, and whether the transaction is still open.
    async fn transaction(
        &self,
        lease: &mut Lease,
        steps: &[&Step],
        careful: bool,
    ) -> Result<(Attempt, bool), Fault> {
        self.begin(lease, careful)?;
        let not_after = self.not_after(clock(lease.receive().await)?)?;
        let mut draft = Draft::new();
        for alike in steps.chunk_by(|a, b| a.is_alike(b)) {
            let Some(first) = alike.first() else { continue };
            let started = Instant::now();
            let done = if careful {
                rows::isolated(lease, self.tables, alike).await?
            } else {
                rows::together(lease, self.tables, alike).await?
            };
            self.connector.pace.learn(&first.table.shown, alike.len(), started.elapsed());
            draft.extend(done);
        }
        let asked = with_effect(&draft);
        let held = self.ask(&asked).await?;
        if !held.is_empty() {
            return Ok((Attempt::Stopped(held), true));
        }
        self.end(lease, not_after, !asked.is_empty(), false);
        match sealed(lease.receive().await)? {
            Ok(stamp) => Ok((Attempt::Committed(draft, stamp), false)),
            Err(unknown) => Ok((Attempt::Over(unknown), false)),
        }
    }

    /// Opens the transaction with its limits, and asks for the database's clock.
    pub(crate) fn begin(&self, lease: &mut Lease, careful: bool) -> Result<(), Fault> {
        let left = self.deadline.left().ok_or_else(Fault::expired)?;
        lease.send_begin(left, if careful { " SET CONSTRAINTS ALL IMMEDIATE;" } else { "" });
        Ok(())
    }

    /// `not_after` by the database's clock, in microseconds, from what that clock said lately. Counted after its answer:
    /// what the way took shortens the permit, never lengthens it.
    pub(crate) fn not_after(&self, clock: i64) -> Result<i64, Fault> {
        let left = self.deadline.left().ok_or_else(Fault::expired)?;
        Ok(clock.saturating_add(i64::try_from(left.as_micros()).unwrap_or(i64::MAX)))
    }

    /// Checks the database's clock and commits, in one message; what changes nothing needs no leave, and leaves
    /// nothing. Whether the message opens a transaction for a next batch.
    pub(crate) fn end(&self, lease: &mut Lease, not_after: i64, commits: bool, goes_on: bool) -> bool {
        let next = if goes_on { self.deadline.left() } else { None };
        if !commits {
            return lease.send_end(&[&format!("EXECUTE quietus_seal ({})", i64::MAX), "ROLLBACK"], next);
        }
        let seal = format!("EXECUTE quietus_seal ({not_after})");
        lease.send_end(&["SET CONSTRAINTS ALL IMMEDIATE", &seal, "COMMIT"], next)
    }

    /// Whom the gate stops. A gate that does not answer within the permit's time stops everything.
    pub(crate) async fn ask(&self, asked: &[&Drafted]) -> Result<BTreeSet<usize>, Fault> {
        if asked.is_empty() {
            return Ok(BTreeSet::new());
        }
        let left = self.deadline.left().ok_or_else(Fault::expired)?;
        let commands: Vec<_> = asked.iter().map(|drafted| drafted.command).collect();
        let verdicts = tokio::time::timeout(left, self.gate.may_commit(&commands))
            .await
            .map_err(|_| Fault::expired())?;
        let goes = |at: usize| verdicts.get(at) == Some(&Verdict::Go);
        Ok(asked.iter().enumerate().filter(|(at, _)| !goes(*at)).map(|(_, drafted)| drafted.index).collect())
    }
}

/// What came of [`Batch::end`]. The inner error: it may have happened.
pub(crate) fn sealed(answer: Result<Vec<String>, Error>) -> Result<Result<Stamp, Failure>, Fault> {
    match answer {
        Ok(row) => {
            Ok(Ok(Stamp { at: number(row.first())?, position: row.get(1).map(|p| Arc::from(p.as_str())) }))
        }
        Err(e) if session_lives(&e) => {
            let is_late = e.as_db_error().is_some_and(|said| said.code().code() == "22012");
            Err(if is_late { Fault::expired() } else { Fault::read(&e, "commit") })
        }
        Err(_) => Ok(Err(Failure::unknown("unreachable", "the connection was lost during the commit"))),
    }
}

/// Those that the gate is asked about.
pub(crate) fn with_effect(draft: &Draft) -> Vec<&Drafted> {
    draft.iter().filter(|drafted| is_effect(&drafted.outcome)).collect()
}

/// Whether committing this changes a row.
pub(crate) fn is_effect(outcome: &Outcome) -> bool {
    match outcome {
        Outcome::Removed(_) | Outcome::Changed(_) => true,
        Outcome::Failed(failure) => failure.might_have_happened,
        Outcome::Absent | Outcome::Unchanged { .. } | Outcome::Accepted { .. } => false,
        Outcome::Blocked { .. } | Outcome::Residual { .. } | Outcome::Refused { .. } => false,
    }
}

/// The database's clock in microseconds since the epoch.
pub(crate) const CLOCK: &str = "(extract(epoch FROM clock_timestamp()) * 1000000)::int8";

/// What a transaction that began was answered.
pub(crate) fn clock(begun: Result<Vec<String>, Error>) -> Result<i64, Fault> {
    number(begun.map_err(|e| Fault::read(&e, "begin"))?.first())
}

fn number(text: Option<&String>) -> Result<i64, Fault> {
    text.and_then(|t| t.parse().ok()).ok_or_else(|| Fault {
        failure: Failure::fatal("internal", "the server's clock could not be read"),
        concerns: Concerns::Transaction,
    })
}
