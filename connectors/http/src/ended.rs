//! How many of a command's jobs have ended at the partner without the person being gone.
//!
//! A partner answers a key that it has seen with what it answered then: after a job that failed, the next try must be
//! a request of its own. A deadline that passed ended no job: that try carries the same key. Kept in memory only: after
//! a restart the first key comes once more, is answered with the job that ended, and the next one is new.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use quietus_contract::CommandId;

#[derive(Debug, Default)]
pub(crate) struct Ended(Mutex<BTreeMap<CommandId, u32>>);

/// Commands remembered; beyond that all begin with their first key again.
const COMMANDS: usize = 100_000;

impl Ended {
    pub(crate) fn count(&self, command: CommandId) -> u32 {
        self.lock().get(&command).copied().unwrap_or_default()
    }

    pub(crate) fn add(&self, command: CommandId) {
        let mut ended = self.lock();
        if ended.len() >= COMMANDS {
            ended.clear();
        }
        *ended.entry(command).or_default() += 1;
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<CommandId, u32>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
