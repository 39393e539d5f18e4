//! A sweep: what is due, as of the watermark, becomes duties.

use crate::life::Life;
use crate::merkle::{self, Tree};
use crate::obligation::Cause;
use crate::record::SweepOrdered;
use crate::time::Millis;

use super::Turn;
use super::decision::Decision;
use super::duties::{Wish, wishes};
use super::state::Slice;

pub(super) fn ordered(turn: &mut Turn<'_>, record: &SweepOrdered) {
    let at = usize::try_from(turn.state.partition).unwrap_or_default();
    let mut quota = record.quota.get(at).map(|q| u64::try_from(*q).unwrap_or_default());
    let cause = Cause::Sweep(record.id.clone());
    let mut slice = Slice::default();
    let mut tree = Tree::default();
    let lives: Vec<Life> = turn.found.lives.values().filter_map(|l| l.newest().cloned()).collect();
    for life in lives {
        slice.candidates += 1;
        let subject = turn.subject(life.item.id.subject);
        let mut due = wishes(&turn.state.control, &life, &subject, Millis(record.as_of));
        if let Some(left) = &mut quota {
            let may = usize::try_from(*left).unwrap_or(usize::MAX);
            let over = due.len().saturating_sub(may);
            slice.over_limit += over as u64;
            due.truncate(may);
            *left -= due.len() as u64;
        }
        slice.due += due.len() as u64;
        due.iter().for_each(|w| tree.push(merkle::leaf(&frozen(&life, w))));
        // Most items owe nothing and never did.
        if !due.is_empty() || turn.state.duties.of_item(life.item.id).next().is_some() {
            turn.settle(&life, &due, &cause);
        }
    }
    slice.root = tree.root();
    turn.rule(Decision::Swept { sweep: record.id.clone(), slice });
}

/// One row of a frozen set: (SubjectKey, ItemKey, generation, copy, parts).
pub fn frozen(life: &Life, wish: &Wish) -> Vec<u8> {
    let mut row = Vec::with_capacity(96);
    row.extend_from_slice(&wish.id(life).0);
    row.extend_from_slice(&life.item.id.subject.0);
    row.extend_from_slice(&life.item.id.item.0);
    row.extend_from_slice(&life.item.generation.to_le_bytes());
    row
}
