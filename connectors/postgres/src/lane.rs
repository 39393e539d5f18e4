//! One connection's way through batches: a batch's commit, the next one's begin and its first statement are one flight.
//!
//! Invariant: a commit is on its way as soon as the gate let its batch through, before anything of the next one. What
//! does not go smoothly is rolled back here and carried out alone ([`Batch::carry_out`]), where errors, holds and lost
//! connections are dealt with. Rejected: a connection more per batch in flight, which costs a database more than a
//! wait.

use std::time::Instant;

use quietus_contract::{Failure, Outcome};

use crate::failure::{Concerns, Fault};
use crate::line::Line;
use crate::pool::Lease;
use crate::rows::{self, Count};
use crate::step::Step;
use crate::transaction::{Batch, Draft, Stamp, clock, sealed, with_effect};

pub(crate) struct Lane<'b> {
    batch: &'b Batch<'b>,
    lease: Option<Lease>,
    sent: Option<Sent>,
    /// The next transaction was opened in the message that ended the one before.
    begun: bool,
    /// Committed, and told when there is time.
    committed: Option<(Draft, Stamp)>,
}

/// Let through by the gate, its end on the way to the database.
struct Sent {
    steps: Vec<Step>,
    draft: Draft,
    commits: bool,
}

/// What became of a batch that the gate let through.
struct Leave {
    draft: Draft,
    commits: bool,
    begun: bool,
}

/// How it ended. The inner error: it may have happened; the outer: it has not.
type End = Result<Result<Stamp, Failure>, Fault>;

impl<'b> Lane<'b> {
    pub(crate) fn new(batch: &'b Batch<'b>) -> Self {
        Self { batch, lease: None, sent: None, begun: false, committed: None }
    }

    /// Until nobody stands in line, and all that this lane took is answered.
    pub(crate) async fn run(mut self, line: &Line<'_, '_>) {
        let mut next = line.next();
        while let Some(steps) = next {
            next = self.take_on(steps, line).await;
        }
        if let Some(lease) = self.lease.take() {
            self.give_up(lease, None).await;
        }
        self.tell();
    }

    /// One batch; the one before it is answered by the way. What can be done beside the database is done while its
    /// statements run: the next batch is made ready.
    async fn take_on(&mut self, steps: Vec<Step>, line: &Line<'_, '_>) -> Option<Vec<Step>> {
        let mut lease = match self.lease.take() {
            Some(lease) => lease,
            None => match self.batch.connector.write.lease().await {
                Ok(lease) => lease,
                Err(_) => {
                    self.batch.carry_out(&steps, false).await;
                    return line.next();
                }
            },
        };
        let begun = std::mem::take(&mut self.begun);
        if !begun && self.batch.begin(&mut lease, false).is_err() {
            // The time is over.
            self.give_up(lease, Some(steps)).await;
            return line.next();
        }
        let batch = self.batch;
        let meanwhile = async {
            self.tell();
            line.next()
        };
        let (worked, next) = tokio::join!(biased; batch.work(&mut lease, &steps), meanwhile);
        let ended = self.ended(&mut lease).await;
        let careful = matches!(worked, Err(Concerns::Row | Concerns::LockedRow | Concerns::Table));
        let goes_on = ended.as_ref().is_none_or(|(_, end)| matches!(end, Ok(Ok(_))));
        let said = match &ended {
            Some((_, Ok(Ok(stamp)))) if begun => Some(stamp.at),
            _ if begun || !goes_on => None,
            _ => clock(lease.receive().await).ok(),
        };
        let let_through = match said {
            Some(clock) => self.batch.let_through(&mut lease, worked, clock, next.is_some()).await,
            None => None,
        };
        let undone = ended.and_then(|(sent, end)| self.note(sent, end));
        match let_through {
            Some(Leave { draft, commits, begun }) => {
                (self.lease, self.sent) = (Some(lease), Some(Sent { steps, draft, commits }));
                self.begun = begun;
            }
            None => {
                lease.roll_back().await;
                if let Some(before) = undone {
                    self.batch.carry_out(&before, false).await;
                }
                self.batch.carry_out(&steps, careful && goes_on).await;
            }
        }
        next
    }

    /// Nothing more on this connection: what is on its way is answered, `steps` are carried out alone.
    async fn give_up(&mut self, mut lease: Lease, steps: Option<Vec<Step>>) {
        let ended = self.ended(&mut lease).await;
        match ended.as_ref().is_none_or(|(_, end)| matches!(end, Ok(Ok(_)))) {
            true => lease.give_back(),
            false => lease.roll_back().await,
        }
        let undone = ended.and_then(|(sent, end)| self.note(sent, end));
        for steps in undone.into_iter().chain(steps) {
            self.batch.carry_out(&steps, false).await;
        }
    }

    async fn ended(&mut self, lease: &mut Lease) -> Option<(Sent, End)> {
        let sent = self.sent.take()?;
        Some((sent, sealed(lease.receive().await)))
    }

    /// Keeps what came of a batch that ended; its steps where nothing happened.
    fn note(&mut self, sent: Sent, end: End) -> Option<Vec<Step>> {
        match end {
            Ok(Ok(stamp)) => {
                self.tell();
                self.committed = Some((sent.draft, stamp));
            }
            Ok(Err(unknown)) if sent.commits => {
                let failed = |s: &Step| (s.index, Outcome::Failed(unknown.clone()));
                self.batch.answers.put(sent.steps.iter().map(failed));
            }
            Ok(Err(_)) | Err(_) => return Some(sent.steps),
        }
        None
    }

    fn tell(&mut self) {
        if let Some((draft, stamp)) = self.committed.take() {
            self.batch.answers.stamped(draft, &stamp);
        }
    }
}

impl Batch<'_> {
    /// Every statement of a batch. The error, and whom it concerns: it is to be rolled back and carried out alone.
    async fn work(&self, lease: &mut Lease, steps: &[Step]) -> Result<Draft, Concerns> {
        let pace = &self.connector.pace;
        let steps: Vec<&Step> = steps.iter().collect();
        let mut draft = Draft::new();
        for alike in steps.chunk_by(|a, b| a.is_alike(b)) {
            let Some(first) = alike.first() else { continue };
            let collection = &first.table.shown;
            let started = Instant::now();
            let counted = match pace.counts(collection) {
                true => rows::counted_out(lease, alike).await.map_err(|f| f.concerns)?,
                false => Count::NotHere,
            };
            let done = match counted {
                Count::All(done) => done,
                Count::TooFew => {
                    pace.fell_short(collection);
                    return Err(Concerns::Transaction);
                }
                Count::NotHere => rows::together(lease, self.tables, alike).await.map_err(|f| f.concerns)?,
            };
            // The commit before was waited for first.
            pace.learn(collection, alike.len(), started.max(lease.answered_at()).elapsed());
            draft.extend(done);
        }
        Ok(draft)
    }

    /// Asks the gate, and sends the end of the transaction: whether it commits. None: it is to be rolled back. `clock`:
    /// the database's, as it was answered since the call began.
    async fn let_through(
        &self,
        lease: &mut Lease,
        worked: Result<Draft, Concerns>,
        clock: i64,
        goes_on: bool,
    ) -> Option<Leave> {
        let not_after = self.not_after(clock).ok()?;
        let draft = worked.ok()?;
        let asked = with_effect(&draft);
        if !self.ask(&asked).await.ok()?.is_empty() {
            return None;
        }
        let commits = !asked.is_empty();
        let begun = self.end(lease, not_after, commits, goes_on);
        Some(Leave { draft, commits, begun })
    }
}
