//! Words that many duties have in common, kept once.
//!
//! Invariant: what is given out is equal to what was asked for; only where it lies in memory differs. Rejected: numbers
//! in place of words, which every reader would have to look up.

use std::collections::BTreeSet;
use std::sync::Arc;

use crate::obligation::{Cause, Obligation, Place};
use crate::word::Word;

#[derive(Clone, Debug, Default)]
pub struct Words {
    texts: BTreeSet<Word>,
    lists: BTreeSet<Arc<[String]>>,
}

impl Words {
    pub(super) fn text(&mut self, text: &mut Word) {
        match self.texts.get(text) {
            Some(known) => *text = known.clone(),
            None => drop(self.texts.insert(text.clone())),
        }
    }

    pub(super) fn list(&mut self, list: &mut Arc<[String]>) {
        match self.lists.get(list) {
            Some(known) => *list = Arc::clone(known),
            None => drop(self.lists.insert(Arc::clone(list))),
        }
    }

    /// A duty that was read back from the disk has words of its own.
    pub fn duty(&mut self, duty: &mut Obligation) {
        let Place { system, dataset, .. } = &mut duty.place;
        self.text(system);
        self.text(dataset);
        self.list(&mut duty.parts);
        duty.rule.iter_mut().chain(&mut duty.trace).for_each(|word| self.text(word));
        match &mut duty.cause {
            Cause::Sweep(id) | Cause::Request(id) | Cause::Reapply(id) => self.text(id),
            Cause::Resurrection | Cause::Correction | Cause::LateCopy => {}
        }
    }
}
