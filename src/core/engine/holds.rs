//! Placing and releasing a hold, in one partition.
//!
//! From the moment the entry is read nothing covered is sent, and the gate stops what is out before its commit.

use crate::hold::Hold;
use crate::life::Life;
use crate::obligation::{Block, Duty, Event, Obligation, ObligationId, Stand};

use super::decision::Decision;
use super::state::{Covered, State};
use super::{Turn, corrections};

/// A hold being placed.
#[derive(Debug)]
pub(super) struct Placing {
    id: String,
    /// None = it is none that this version can read.
    hold: Option<Hold>,
    covered: Covered,
}

impl Placing {
    pub(super) fn begin(state: &State, id: &str) -> Self {
        let hold = state.control.holds.get(id).cloned();
        Self { id: id.to_owned(), hold, covered: Covered::default() }
    }

    pub(super) fn slice(&mut self, turn: &mut Turn<'_>) {
        let lives: Vec<Life> = turn.found.lives.values().filter_map(|l| l.newest().cloned()).collect();
        lives.iter().for_each(|life| self.item(turn, life));
    }

    pub(super) fn end(self, turn: &mut Turn<'_>) {
        if self.hold.is_some() {
            turn.rule(Decision::Covered { hold: self.id, covered: self.covered });
        }
    }

    fn item(&mut self, turn: &mut Turn<'_>, life: &Life) {
        let Some(hold) = &self.hold else { return };
        let covers = |copy: &crate::item::Copy, parts: &[String]| {
            parts.iter().any(|category| hold.scope.covers(&life.item, copy, category))
        };
        let mut covered =
            life.item.copies.iter().filter(|c| c.is_live() && covers(c, &c.categories)).peekable();
        if covered.peek().is_none() {
            return;
        }
        self.covered.items += 1;
        covered.for_each(|c| *self.covered.by_system.entry(c.system.to_string()).or_default() += 1);
        let stopped = |d: &Obligation| -> Vec<String> {
            let copy = life.copy_at(&d.place).and_then(|at| life.item.copies.get(at));
            let stops = |p: &&String| copy.is_some_and(|c| hold.stops(d.duty, &life.item, c, p));
            d.parts.iter().filter(stops).cloned().collect()
        };
        let duties = turn.state.duties.of_item(life.item.id).map(|d| (d.clone(), stopped(d)));
        let duties: Vec<(Obligation, Vec<String>)> = duties.filter(|(_, parts)| !parts.is_empty()).collect();
        for (duty, parts) in duties {
            // What is out is stopped by the gate, or answers; it cannot be called back here.
            if duty.stand.is_out() || duty.stand == Stand::Withdrawn {
                continue;
            }
            let partly = duty.duty == Duty::Correct && parts.len() < duty.parts.len();
            if partly && duty.stand.after(Event::Withdraw).is_some() {
                let free = duty.parts.iter().filter(|p| !parts.contains(p)).cloned().collect();
                let [_, held] = corrections::in_two(turn, &duty, [free, parts]);
                held.into_iter().for_each(|id| block(turn, id, &self.id));
            } else {
                block(turn, duty.id, &self.id);
            }
        }
    }
}

fn block(turn: &mut Turn<'_>, duty: ObligationId, hold: &str) {
    turn.advance(duty, Event::Block, |d| {
        let mut ids = match d.block.take() {
            Some(Block::Hold(ids)) => ids,
            Some(Block::Minimum { .. } | Block::Lock { .. } | Block::Others { .. }) | None => Vec::new(),
        };
        ids.push(hold.to_owned());
        ids.sort();
        ids.dedup();
        d.block = Some(Block::Hold(ids));
        d.not_before = None;
    });
}

pub(super) fn is_held_by(duty: &Obligation, hold: &str) -> bool {
    matches!(&duty.block, Some(Block::Hold(ids)) if ids.iter().any(|h| h == hold))
}

/// Release re-queues after the cool-down; whether it is still owed is judged when it is sent.
pub(super) fn released(turn: &mut Turn<'_>, id: &str) {
    let cool_down = turn.state.control.policy.as_ref().map_or(DEFAULT_COOL_DOWN, |p| p.policy.cool_down);
    let free_at = turn.state.now.plus(cool_down);
    let held: Vec<ObligationId> =
        turn.state.duties.standing(Stand::Blocked).filter(|d| is_held_by(d, id)).map(|d| d.id).collect();
    for duty in held {
        turn.note(duty, |d| {
            let Some(Block::Hold(ids)) = &mut d.block else { return };
            ids.retain(|h| h != id);
            // Another hold may stop only some of what a correction sets: judged when it is to go.
            if ids.is_empty() || (d.duty == Duty::Correct && d.parts.len() > 1) {
                d.block = None;
                d.not_before = Some(free_at);
                d.tries = 0;
            }
        });
    }
}

/// Without a policy that says otherwise: 24 hours.
const DEFAULT_COOL_DOWN: i64 = crate::time::Millis::DAY;
