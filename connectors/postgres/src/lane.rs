//! One connection's way through batches: a batch's commit, the next one's begin and its first statement are one flight.
//!
//! Invariant: a commit is on its way as soon as the gate let its batch through, before anything of the next one. What
//! does not go smoothly is rolled back here and carried out alone ([`Batch::carry_out`]), where errors, holds and lost
//! connections are dealt with. Rejected: a connection more per batch in flight, which costs a database more than a
//! wait.

use std::time::Instant;

use quietus_contract::{Failure, Outcome};

use crate::erase::Outcomes;
use crate::failure::{Concerns, Fault};
use crate::pool::Lease;
use crate::rows::{self, Count};
use crate::step::Step;
use crate::transaction::{Batch, Draft, Stamp, seal, sealed, stamped, with_effect};

pub(crate) struct Lane<'b, 's> {
    batch: &'b Batch<'b>,
    lease: Option<Lease>,
    sent: Option<Sent<'s>>,
    outcomes: Outcomes,
}

/// Let through by the gate, its end on the way to the database.
struct Sent<'s> {
    steps: &'s [Step],
    draft: Draft,
    commits: bool,
}

/// How it ended. The inner error: it may have happened; the outer: it has not.
type End = Result<Result<Stamp, Failure>, Fault>;

impl<'b, 's> Lane<'b, 's> {
    pub(crate) fn new(batch: &'b Batch<'b>) -> Self {
        Self { batch, lease: None, sent: None, outcomes: Outcomes::new() }
    }

    /// The next batch; the one before it is answered by the way.
    pub(crate) async fn take_on(&mut self, steps: &'s [Step]) {
        let mut lease = match self.lease.take() {
            Some(lease) => lease,
            None => match self.batch.connector.write.lease().await {
                Ok(lease) => lease,
                Err(_) => return self.alone(steps, false).await,
            },
        };
        let worked = match self.batch.begin(&mut lease, false) {
            Ok(begin) => {
                lease.send(begin);
                self.batch.work(&mut lease, steps).await
            }
            // The time is over.
            Err(_) => return self.give_up(lease, Some(steps)).await,
        };
        let ended = self.ended(&mut lease).await;
        let careful = matches!(worked, Err(Concerns::Row | Concerns::LockedRow | Concerns::Table));
        let goes_on = ended.as_ref().is_none_or(|(_, end)| matches!(end, Ok(Ok(_))));
        let sent = if goes_on { self.batch.let_through(&mut lease, steps, worked).await } else { None };
        let undone = ended.and_then(|(sent, end)| self.note(sent, end));
        match sent {
            Some(sent) => (self.lease, self.sent) = (Some(lease), Some(sent)),
            None => {
                lease.roll_back().await;
                if let Some(before) = undone {
                    self.alone(before, false).await;
                }
                self.alone(steps, careful && goes_on).await;
            }
        }
    }

    /// An outcome for every step of every batch.
    pub(crate) async fn end(mut self) -> Outcomes {
        if let Some(lease) = self.lease.take() {
            self.give_up(lease, None).await;
        }
        self.outcomes
    }

    /// Nothing more on this connection: what is on its way is answered, `steps` are carried out alone.
    async fn give_up(&mut self, mut lease: Lease, steps: Option<&'s [Step]>) {
        let ended = self.ended(&mut lease).await;
        match ended.as_ref().is_none_or(|(_, end)| matches!(end, Ok(Ok(_)))) {
            true => lease.give_back(),
            false => lease.roll_back().await,
        }
        let undone = ended.and_then(|(sent, end)| self.note(sent, end));
        for steps in undone.into_iter().chain(steps) {
            self.alone(steps, false).await;
        }
    }

    async fn alone(&mut self, steps: &[Step], careful: bool) {
        let outcomes = self.batch.carry_out(steps, careful).await;
        self.outcomes.extend(outcomes);
    }

    async fn ended(&mut self, lease: &mut Lease) -> Option<(Sent<'s>, End)> {
        let sent = self.sent.take()?;
        Some((sent, sealed(lease.receive().await)))
    }

    /// Keeps the outcomes of a batch that ended; answers its steps where nothing happened.
    fn note(&mut self, sent: Sent<'s>, end: End) -> Option<&'s [Step]> {
        match end {
            Ok(Ok(stamp)) => self.outcomes.extend(stamped(sent.draft, &stamp)),
            Ok(Err(unknown)) if sent.commits => {
                let failed = |s: &Step| (s.index, (Outcome::Failed(unknown.clone()), None));
                self.outcomes.extend(sent.steps.iter().map(failed));
            }
            Ok(Err(_)) | Err(_) => return Some(sent.steps),
        }
        None
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

    /// Asks the gate, and sends the end of the transaction. None: it is to be rolled back.
    async fn let_through<'s>(
        &self,
        lease: &mut Lease,
        steps: &'s [Step],
        worked: Result<Draft, Concerns>,
    ) -> Option<Sent<'s>> {
        let not_after = self.not_after(lease.receive().await).ok()?;
        let draft = worked.ok()?;
        let all: Vec<&Step> = steps.iter().collect();
        let asked = with_effect(&all, &draft);
        if !self.ask(&asked).await.ok()?.is_empty() {
            return None;
        }
        let commits = !asked.is_empty();
        lease.send(seal(not_after, commits));
        Some(Sent { steps, draft, commits })
    }
}
