//! What the targets of one call came to, each at its place.
//!
//! Invariant: every target is answered; again only where it was tried again.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use quietus_contract::{CommandId, Failure, Outcome, Target, TargetOutcome};

use crate::transaction::{Draft, Drafted, Stamp, is_effect};

/// In the order of the targets; None = not answered yet.
pub(crate) struct Answers<'t> {
    targets: &'t [Target],
    told: Mutex<Vec<Option<TargetOutcome>>>,
    /// Whether it is worth looking for one that failed.
    failed: AtomicBool,
}

impl<'t> Answers<'t> {
    pub(crate) fn new(targets: &'t [Target]) -> Self {
        let told = targets.iter().map(|_| None).collect();
        Self { targets, told: Mutex::new(told), failed: AtomicBool::new(false) }
    }

    /// Without a transaction that ended well.
    pub(crate) fn put(&self, outcomes: impl IntoIterator<Item = (usize, Outcome)>) {
        let mut told = self.lock();
        for (index, outcome) in outcomes {
            let Some((target, place)) = self.targets.get(index).zip(told.get_mut(index)) else { continue };
            self.heed(&outcome);
            *place = Some(TargetOutcome { command: target.command, outcome, at: None, position: None });
        }
    }

    /// By a transaction that was committed.
    pub(crate) fn stamped(&self, draft: Draft, stamp: &Stamp) {
        let mut told = self.lock();
        for Drafted { index, command, outcome } in draft {
            let Some(place) = told.get_mut(index) else { continue };
            self.heed(&outcome);
            let position = stamp.position.clone().filter(|_| is_effect(&outcome));
            *place = Some(TargetOutcome { command, outcome, at: Some(stamp.at / 1000), position });
        }
    }

    fn heed(&self, outcome: &Outcome) {
        if matches!(outcome, Outcome::Failed(_)) {
            self.failed.store(true, Ordering::Relaxed);
        }
    }

    pub(crate) fn have_failures(&self) -> bool {
        self.failed.load(Ordering::Relaxed)
    }

    /// Whether any of them, or the one at a place, came to something like this.
    pub(crate) fn any(&self, is: impl Fn(&Outcome) -> bool) -> bool {
        self.lock().iter().flatten().any(|told| is(&told.outcome))
    }

    pub(crate) fn at(&self, index: usize, is: impl Fn(&Outcome) -> bool) -> bool {
        self.lock().get(index).and_then(Option::as_ref).is_some_and(|told| is(&told.outcome))
    }

    pub(crate) fn told(self) -> Vec<TargetOutcome> {
        let told = self.told.into_inner().unwrap_or_else(PoisonError::into_inner);
        let unanswered = |index: usize| {
            let why = "the call ended before this target's turn";
            let outcome = Outcome::Failed(Failure::retry("internal", why));
            let command = self.targets.get(index).map_or(CommandId([0; 16]), |target| target.command);
            TargetOutcome { command, outcome, at: None, position: None }
        };
        // In place: a call has thousands.
        told.into_iter().enumerate().map(|(at, told)| told.unwrap_or_else(|| unanswered(at))).collect()
    }

    fn lock(&self) -> MutexGuard<'_, Vec<Option<TargetOutcome>>> {
        self.told.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
