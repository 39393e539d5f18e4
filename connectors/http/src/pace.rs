//! When the partner may be called again: after what its Retry-After asked for.
//!
//! Kept in memory only: a restart asks once too often, and is told so again. How often a job is asked about is the
//! dispatcher's business.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

#[derive(Debug, Default)]
pub(crate) struct Pace(Mutex<Option<Instant>>);

impl Pace {
    /// How long the partner still wants to be left alone.
    pub(crate) fn rest(&self) -> Option<Duration> {
        let left = (*self.lock())?.saturating_duration_since(Instant::now());
        (!left.is_zero()).then_some(left)
    }

    pub(crate) fn wait(&self, wanted: Duration) {
        let until = Instant::now() + wanted;
        let mut not_before = self.lock();
        *not_before = Some(not_before.map_or(until, |at| at.max(until)));
    }

    fn lock(&self) -> MutexGuard<'_, Option<Instant>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
