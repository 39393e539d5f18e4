//! Dead letters: kept until they are taken in after all, or until their time is over.

use std::collections::{BTreeMap, BTreeSet};

use crate::record::{DeadLetterClosed, DeadLettered};
use crate::time::Millis;

use super::Turn;
use super::decision::Decision;

/// Every dead letter of a partition.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct DeadLetters {
    all: BTreeMap<String, DeadLettered>,
    expiry: BTreeSet<(Millis, String)>,
}

impl DeadLetters {
    pub fn get(&self, id: &str) -> Option<&DeadLettered> {
        self.all.get(id)
    }

    /// By id.
    pub fn all(&self) -> impl Iterator<Item = &DeadLettered> {
        self.all.values()
    }

    pub fn len(&self) -> usize {
        self.all.len()
    }

    pub fn is_empty(&self) -> bool {
        self.all.is_empty()
    }

    pub(super) fn put(&mut self, letter: DeadLettered) {
        self.expiry.insert((Millis(letter.expires), letter.id.clone()));
        self.all.insert(letter.id.clone(), letter);
    }

    pub(super) fn take(&mut self, id: &str) {
        if let Some(letter) = self.all.remove(id) {
            self.expiry.remove(&(Millis(letter.expires), letter.id));
        }
    }

    fn over(&self, now: Millis) -> Vec<String> {
        self.expiry.iter().take_while(|(at, _)| *at <= now).map(|(_, id)| id.clone()).collect()
    }
}

pub(super) fn lettered(turn: &mut Turn<'_>, record: &DeadLettered) {
    if turn.state.dead_letters.get(&record.id).is_some() {
        return turn.ignore("a dead letter of this position stands");
    }
    turn.rule(Decision::DeadLettered(Box::new(record.clone())));
}

pub(super) fn closed(turn: &mut Turn<'_>, record: &DeadLetterClosed) {
    if turn.state.dead_letters.get(&record.id).is_none() {
        return turn.ignore("no such dead letter");
    }
    turn.rule(Decision::DeadLetterClosed { id: record.id.clone() });
}

/// Those whose time is over go.
pub(super) fn expire(turn: &mut Turn<'_>, now: Millis) {
    for id in turn.state.dead_letters.over(now) {
        turn.rule(Decision::DeadLetterClosed { id });
    }
}
