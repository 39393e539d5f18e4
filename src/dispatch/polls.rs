//! When to ask a partner again about what it accepted.
//!
//! What is to be asked stands in the partitions' states with its reference and deadline, and survives everything; only
//! when it was asked last is remembered here, so a restart asks once too often. Rejected: a record per poll, thousands
//! for one answer.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

use quietus_core::engine::State;
use quietus_core::obligation::{Obligation, ObligationId, Stand};
use quietus_core::system::Manifest;
use quietus_core::time::Millis;

/// Without `http.poll.every`: a minute.
const EVERY: i64 = 60_000;
const AT_ONCE: i64 = 1_000;

#[derive(Debug)]
pub struct Polls {
    every: i64,
    asked: Mutex<BTreeMap<ObligationId, Millis>>,
    /// Taken back, by attempt: said once.
    recalled: Mutex<BTreeMap<ObligationId, u32>>,
}

impl Polls {
    pub fn new(manifest: &Manifest) -> Self {
        let declared = manifest.http.as_ref().and_then(|http| http.poll.as_ref()).map(|poll| poll.every);
        // Its confirmations are here already: to look costs nothing.
        let every = if manifest.kind == "kafka" { AT_ONCE } else { EVERY };
        Self { every: declared.unwrap_or(every), asked: Mutex::default(), recalled: Mutex::default() }
    }

    /// What was accepted at this system and is to be asked about now; from now on it was asked.
    pub fn ripe(&self, state: &State, system: &str, at_most: usize) -> Vec<Obligation> {
        let mut asked = self.asked.lock().unwrap_or_else(PoisonError::into_inner);
        asked.retain(|id, _| state.duties.get(*id).is_none_or(|d| d.stand == Stand::Accepted));
        let waits = |d: &&Obligation| *d.place.system == *system && !d.claimed && d.reference.is_some();
        let ripe = state
            .duties
            .standing(Stand::Accepted)
            .filter(waits)
            .filter(|d| asked.get(&d.id).is_none_or(|at| at.plus(self.every) <= state.now));
        // Whom nobody asked about for longest comes first: none waits for ever behind others.
        let mut ripe: Vec<&Obligation> = ripe.collect();
        ripe.sort_by_key(|d| asked.get(&d.id).copied());
        let ripe: Vec<Obligation> = ripe.into_iter().take(at_most).cloned().collect();
        ripe.iter().for_each(|d| {
            asked.insert(d.id, state.now);
        });
        ripe
    }

    /// There is news: everything is asked about at once.
    pub fn forget(&self) {
        self.asked.lock().unwrap_or_else(PoisonError::into_inner).clear();
    }

    /// Of these, what is to be taken back and was not yet; from now on it was.
    pub fn to_recall(&self, held: Vec<Obligation>) -> Vec<Obligation> {
        let mut recalled = self.recalled.lock().unwrap_or_else(PoisonError::into_inner);
        recalled.retain(|id, _| held.iter().any(|d| d.id == *id));
        held.into_iter().filter(|d| recalled.insert(d.id, d.attempt) != Some(d.attempt)).collect()
    }
}
