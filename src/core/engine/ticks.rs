//! A tick: the only *now*. Time alone frees what cooled down, retries what failed, gives up what is lost.

use crate::obligation::{Event, ObligationId, Stand};
use crate::time::Millis;

use super::Turn;
use super::decision::{Decision, Noticed};
use super::orders::back_off;

/// A command is given up this long after its `not_after`: its answer may still be on the way.
const GRACE: i64 = 1_000;

pub(super) fn tick(turn: &mut Turn<'_>, now: Millis) {
    if now <= turn.state.now {
        return;
    }
    turn.rule(Decision::Now(now));
    super::dead_letters::expire(turn, now);
    for id in turn.state.duties.ripe(now) {
        ripe(turn, id, now);
    }
    super::requests::passed(turn);
}

fn ripe(turn: &mut Turn<'_>, id: ObligationId, now: Millis) {
    let Some(duty) = turn.state.duties.get(id) else { return };
    match duty.stand {
        Stand::Ordered if duty.not_after.is_some_and(|at| at.plus(GRACE) > now) => {}
        Stand::Ordered => {
            let wait = back_off(id, duty.tries);
            turn.advance(id, Event::Fail, |d| {
                d.may_retry = true;
                d.uncertain = true;
                d.detail = Some("no answer before its not_after".to_owned());
                d.not_before = Some(now.plus(wait));
            });
        }
        Stand::Accepted if duty.claimed => {}
        Stand::Accepted => {
            let (item, place, wait) = (duty.item, duty.place.clone(), back_off(id, duty.tries));
            turn.rule(Decision::Noticed(Noticed::PastDeadline { item, place }));
            turn.advance(id, Event::Fail, |d| {
                d.may_retry = true;
                d.detail = Some("accepted, and not answered before its deadline".to_owned());
                d.not_before = Some(now.plus(wait));
                d.deadline = None;
            });
        }
        Stand::Failed if super::orders::exhausted(duty) => {}
        Stand::Failed | Stand::Blocked => {
            turn.advance(id, Event::Release, |d| d.not_before = None);
        }
        Stand::Owed | Stand::Executed | Stand::Verified | Stand::Residual => {}
        Stand::Refused | Stand::OutOfReach | Stand::Observed | Stand::Withdrawn => {}
    }
}
