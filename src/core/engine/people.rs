//! Systems that know people and not records: folders of lines, partners outside.
//!
//! Invariant: what is sent there takes everything of the person along, so nothing is sent while anything else of theirs
//! is still to be kept there, by its rules, a minimum or a hold. Each sweep asks again. Rejected: leaving it to whoever
//! writes the manifest, who does not know which item falls due first.

use crate::engine::control::ActivePolicy;
use crate::item::Subject;
use crate::life::Life;
use crate::obligation::{Block, Duty, Event, Obligation};
use crate::time::Millis;

use super::Turn;
use super::duties::{Stop, judge, wishes};
use super::reach::moment;

/// Blocks the duty where something else of the person is to be kept; true = it is.
pub(super) fn kept_for_others(turn: &mut Turn<'_>, duty: &Obligation) -> bool {
    if !turn.state.control.knows_people_only(&duty.place.system) {
        return false;
    }
    let Some(active) = turn.state.control.policy.clone() else { return false };
    let subject = turn.subject(duty.item.subject);
    let mine = |life: &&Life| life.item.id.subject == duty.item.subject;
    let lives = turn.found.lives.values().filter_map(|lives| lives.newest()).filter(mine);
    let kept = lives.flat_map(|life| kept(turn, &active, life, &subject, duty));
    // Until the last of them is over; without a date where one of them has none.
    let Some(until) = kept.reduce(|a, b| a.zip(b).map(|(a, b)| a.max(b))) else { return false };
    turn.advance(duty.id, Event::Block, |d| {
        d.block = Some(Block::Others { until });
        d.detail =
            Some("the person is known there as a whole, and something else of theirs is kept".to_owned());
    })
}

/// The dates of a life's copies there that are not over, the duty's own left out.
fn kept(
    turn: &Turn<'_>,
    active: &ActivePolicy,
    life: &Life,
    subject: &Subject,
    duty: &Obligation,
) -> Vec<Option<Millis>> {
    let (control, now) = (&turn.state.control, turn.state.now);
    let others = |copy: &crate::item::Copy| {
        let own = life.item.id == duty.item && copy.is_at(&duty.place);
        copy.is_live() && copy.system == duty.place.system && !own
    };
    if !life.item.copies.iter().any(others) {
        return Vec::new();
    }
    let goes = |copy: &crate::item::Copy, wishes: &[super::Wish]| {
        let stopped = |stop: &Option<Stop>| matches!(stop, Some(Stop::Blocked(_)));
        wishes.iter().any(|w| copy.is_at(&w.place) && w.duty == Duty::Delete && !stopped(&w.stop))
    };
    let wishes = wishes(control, life, subject, moment(turn.state, life));
    let verdict = judge(active, control, life, subject, now);
    let judged = life.item.copies.iter().zip(&verdict.copies);
    let kept = judged.filter(|(copy, _)| others(copy) && !goes(copy, &wishes));
    kept.map(|(_, verdict)| verdict.due.filter(|due| *due > now)).collect()
}
