//! How far each source's topics were taken in, to be looked at while a frame is being applied.
//!
//! Invariant: what the state's marks say, or said just now; it only rises, with the decisions that raise them.
//! Rejected: asking the state, which made every batch of a topic wait for the frames before it to be folded.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use quietus_core::engine::{Decision, State};

/// (source, generation, topic, partition) → highest offset.
type Marks = BTreeMap<(String, i32, String, i32), i64>;

#[derive(Clone, Debug, Default)]
pub(super) struct TakenUpTo(Arc<Mutex<Marks>>);

impl TakenUpTo {
    pub fn of(state: &State) -> Self {
        Self(Arc::new(Mutex::new(state.marks.clone())))
    }

    pub fn decided(&self, decisions: &[Decision]) {
        for decision in decisions {
            if let Decision::Mark { source, generation, topic, partition, to } = decision {
                let mut marks = self.marks();
                let known =
                    marks.entry((source.clone(), *generation, topic.clone(), *partition)).or_insert(*to);
                *known = (*known).max(*to);
            }
        }
    }

    /// (topic, partition) → highest offset, of one generation of a source.
    pub fn from(&self, source: &str, generation: i32) -> BTreeMap<(String, i32), i64> {
        let first = (source.to_owned(), generation, String::new(), i32::MIN);
        let marks = self.marks();
        let mine = marks.range(first..).take_while(|((s, g, ..), _)| s == source && *g == generation);
        mine.map(|((_, _, topic, partition), to)| ((topic.clone(), *partition), *to)).collect()
    }

    fn marks(&self) -> MutexGuard<'_, Marks> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
