//! The last judgement before a command goes out.

use crate::engine::duties::wishes;
use crate::life::Life;
use crate::obligation::{Duty, Event, Obligation, ObligationId, Stand};
use crate::record::{Order, Ordered};
use crate::system::Mode;
use crate::time::Millis;

use super::decision::Effect;
use super::derived::{is_origin, precedes};
use super::duties::Stop;
use super::people;
use super::reapply::is_overtaken;
use super::state::State;
use super::{Turn, corrections, restrict};

/// Attempts before a duty waits for the next sweep.
pub const MAX_TRIES: u32 = 8;

/// How long a copy waits for the cache in front of it to go first, milliseconds.
const CACHE_FIRST: i64 = 60_000;

/// Milliseconds to wait after the given number of tries: doubling from one second, at most one minute, with up to a quarter of
/// jitter drawn from the duty's own id, so that a replay waits alike and a thousand duties do not wake together.
pub(super) fn back_off(id: ObligationId, tries: u32) -> i64 {
    let base = 1_000_i64.saturating_mul(1 << tries.min(6)).min(60_000);
    let [a, b, ..] = id.0;
    base + base / 4 * i64::from(u16::from_le_bytes([a, b])) / i64::from(u16::MAX)
}

pub(super) fn exhausted(duty: &Obligation) -> bool {
    duty.tries >= MAX_TRIES
}

pub(super) fn ordered(turn: &mut Turn<'_>, record: &Ordered) {
    let (mut send, now) = (Vec::new(), turn.state.now);
    for order in &record.orders {
        let Some(id) = ObligationId::from_slice(&order.obligation) else { continue };
        if may_go(turn, id, order) {
            let (attempt, not_after) =
                (u32::try_from(order.attempt).unwrap_or_default(), Millis(order.not_after));
            turn.advance(id, Event::Order, |d| {
                d.attempt = attempt;
                d.tries += 1;
                d.not_after = Some(not_after);
                d.sent = d.sent.or(Some(now));
                d.not_before = None;
                d.absent = false;
                d.claimed = false;
                d.reference = None;
                d.deadline = None;
                d.residue = None;
                d.detail = None;
            });
            send.extend(turn.state.duties.get(id).cloned());
        }
    }
    if !send.is_empty() {
        turn.effect(Effect::Send { system: record.system.clone(), duties: send });
    }
}

/// Judged once more against the state at the moment of sending.
fn may_go(turn: &mut Turn<'_>, id: ObligationId, order: &Order) -> bool {
    let control = &turn.state.control;
    let Some(duty) = turn.state.duties.get(id) else { return false };
    let next = i64::from(duty.attempt) + 1;
    let fresh = duty.stand == Stand::Owed
        && i64::from(order.attempt) == next
        && Millis(order.not_after) > turn.state.now
        && duty.not_before.is_none_or(|at| at <= turn.state.now);
    let free = !control.stopped
        && control.mode(&duty.place.system) == Mode::Enforce
        && control.is_open(&duty.place.system, turn.state.now)
        && !waits(turn.state, duty)
        && turn.state.duties.out(duty.item, &duty.place.system).is_none();
    if !(fresh && free) {
        return false;
    }
    let (item, generation) = (duty.item, duty.generation);
    let duty = duty.clone();
    let life =
        turn.found.lives.get(&item).and_then(|l| l.lives.iter().find(|l| l.item.generation == generation));
    let Some(life) = life.cloned() else { return false };
    if is_overtaken(turn, &duty) {
        turn.advance(id, Event::Withdraw, |d| d.detail = Some("a new life lies there".to_owned()));
        return false;
    }
    match duty.duty {
        Duty::Correct => corrections::still_owed(turn, &duty, &life),
        Duty::Change(_) if restrict::is_asked_for(&duty) => restrict::still_owed(turn, &duty, &life),
        Duty::Delete | Duty::Change(_) => {
            still_owed(turn, &duty, &life) && !people::kept_for_others(turn, &duty)
        }
    }
}

/// Something else about the same item goes first: what `erase_after` names, what the copy is made of, a cache.
pub fn waits(state: &State, duty: &Obligation) -> bool {
    let control = &state.control;
    let after = control.systems.get(&*duty.place.system).map(|s| s.manifest.erase_after.as_slice());
    let after = after.unwrap_or_default();
    if after.is_empty() && control.derivations.is_empty() && duty.duty != Duty::Correct {
        return false;
    }
    state.duties.of_item(duty.item).filter(|d| d.id != duty.id).any(|other| {
        let named = after.iter().any(|system| **system == *other.place.system)
            && !other.evicted
            && is_under_way(other.stand);
        let origin = is_origin(control, duty, other)
            && (duty.evicted || !precedes(control, duty, other))
            && will_go(other);
        // What failed or is stopped there keeps nothing else waiting, and what nobody can reach not for long: it goes
        // once more after this anyhow.
        let is_fresh = state.now < other.opened.plus(CACHE_FIRST);
        let cache =
            precedes(control, other, duty) && !other.evicted && is_on_its_way(other.stand) && is_fresh;
        let earlier = (duty.duty, other.duty) == (Duty::Correct, Duty::Correct)
            && other.place == duty.place
            && other.round < duty.round
            && will_go(other);
        named || origin || cache || earlier
    })
}

fn is_under_way(stand: Stand) -> bool {
    is_on_its_way(stand) || stand == Stand::Executed
}

fn is_on_its_way(stand: Stand) -> bool {
    match stand {
        Stand::Owed | Stand::Ordered | Stand::Accepted => true,
        Stand::Executed | Stand::Verified | Stand::Blocked | Stand::Residual | Stand::Refused => false,
        Stand::OutOfReach | Stand::Failed | Stand::Observed | Stand::Withdrawn => false,
    }
}

/// It is not gone yet and is still being tried.
pub(super) fn will_go(duty: &Obligation) -> bool {
    let tried_again = duty.stand == Stand::Failed && duty.may_retry && !exhausted(duty);
    is_on_its_way(duty.stand) || tried_again
}

/// What has changed since it was owed is put right at once: blocked, observed or withdrawn.
fn still_owed(turn: &mut Turn<'_>, duty: &Obligation, life: &Life) -> bool {
    let subject = turn.subject(duty.item.subject);
    let wishes = wishes(&turn.state.control, life, &subject, duty.judged);
    match wishes.iter().find(|w| w.id(life) == duty.id).map(|w| w.stop.clone()) {
        Some(None) => true,
        Some(Some(Stop::Observed)) => {
            turn.advance(duty.id, Event::Observe, |_| {});
            false
        }
        Some(Some(Stop::Blocked(block))) => {
            turn.advance(duty.id, Event::Block, |d| d.block = Some(block));
            false
        }
        None => {
            // The same copy may owe something else by now.
            turn.settle(life, &wishes, &duty.cause);
            turn.advance(duty.id, Event::Withdraw, |_| {});
            false
        }
    }
}
