//! What the targets of one call came to, each at its place.
//!
//! Invariant: every target is answered; again only where it was tried again.

use std::sync::{Mutex, MutexGuard, PoisonError};

use quietus_contract::{Failure, Outcome, Target, TargetOutcome};

use crate::transaction::{Draft, Stamp, is_effect};

type Told = Option<(Outcome, Option<Stamp>)>;

/// In the order of the targets.
pub(crate) struct Answers(Mutex<Vec<Told>>);

impl Answers {
    pub(crate) fn new(targets: usize) -> Self {
        Self(Mutex::new(vec![None; targets]))
    }

    /// Without a transaction that ended well.
    pub(crate) fn put(&self, outcomes: impl IntoIterator<Item = (usize, Outcome)>) {
        let mut told = self.lock();
        outcomes.into_iter().for_each(|(index, outcome)| put(&mut told, index, (outcome, None)));
    }

    /// By a transaction that was committed.
    pub(crate) fn stamped(&self, draft: Draft, stamp: &Stamp) {
        let mut told = self.lock();
        for drafted in draft {
            let position = stamp.position.clone().filter(|_| is_effect(&drafted.outcome));
            let stamp = Stamp { at: stamp.at, position };
            put(&mut told, drafted.index, (drafted.outcome, Some(stamp)));
        }
    }

    /// Whether any of them, or the one at a place, came to something like this.
    pub(crate) fn any(&self, is: impl Fn(&Outcome) -> bool) -> bool {
        self.lock().iter().flatten().any(|(outcome, _)| is(outcome))
    }

    pub(crate) fn at(&self, index: usize, is: impl Fn(&Outcome) -> bool) -> bool {
        self.lock().get(index).and_then(Option::as_ref).is_some_and(|(outcome, _)| is(outcome))
    }

    pub(crate) fn told(self, targets: &[Target]) -> Vec<TargetOutcome> {
        let told = self.0.into_inner().unwrap_or_else(PoisonError::into_inner);
        let answer = |(target, told): (&Target, Told)| {
            let (outcome, stamp) = told.unwrap_or_else(|| {
                (
                    Outcome::Failed(Failure::retry("internal", "the call ended before this target's turn")),
                    None,
                )
            });
            let (at, position) = stamp.map_or((None, None), |s| (Some(s.at / 1000), s.position));
            TargetOutcome { command: target.command, outcome, at, position }
        };
        targets.iter().zip(told).map(answer).collect()
    }

    fn lock(&self) -> MutexGuard<'_, Vec<Told>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn put(told: &mut [Told], index: usize, answer: (Outcome, Option<Stamp>)) {
    if let Some(place) = told.get_mut(index) {
        *place = Some(answer);
    }
}
