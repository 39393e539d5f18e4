//! Which owed duties to propose next, for one system in one partition: a value that can be printed.

use std::collections::BTreeSet;

use quietus_core::engine::{State, waits};
use quietus_core::obligation::{ObligationId, Stand};
use quietus_core::record::{Order, Ordered};
use quietus_core::system::{Manifest, Mode};

use super::queue::in_parts;

/// A proposal for the ledger; None = nothing to do now.
#[derive(Clone, Debug, PartialEq)]
pub struct Proposal(pub Ordered);

impl Proposal {
    /// The same in records of at most so many orders.
    pub fn in_batches(self, batch: usize) -> impl Iterator<Item = Ordered> {
        let Ordered { system, control_k, orders } = self.0;
        in_parts(orders, batch).map(move |orders| Ordered { system: system.clone(), control_k, orders })
    }
}

/// Proposes at most `room` duties whose time has come, earliest opened first come by id order.
///
/// One command per item and system; nothing while stopped, in observe mode, or before what goes first.
/// `lease` in milliseconds.
pub fn propose(state: &State, manifest: &Manifest, room: usize, lease: i64) -> Option<Proposal> {
    let open = state.control.is_open(&manifest.system, state.now);
    if room == 0 || state.control.stopped || manifest.mode != Mode::Enforce || !open {
        return None;
    }
    let mut items = BTreeSet::new();
    let mut orders = Vec::new();
    for duty in state.duties.standing(Stand::Owed).filter(|d| *d.place.system == *manifest.system) {
        if orders.len() >= room {
            break;
        }
        let ripe = duty.not_before.is_none_or(|at| at <= state.now);
        let free = state.duties.out(duty.item, &manifest.system).is_none() && !waits(state, duty);
        // A command is out at most once per item: the others wait for its answer.
        if ripe && free && items.insert(duty.item) {
            orders.push(Order {
                obligation: duty.id.0.to_vec(),
                attempt: i32::try_from(duty.attempt).unwrap_or(i32::MAX - 1) + 1,
                not_after: state.now.plus(lease).0,
            });
        }
    }
    let control_k = i64::try_from(state.control.k).unwrap_or(i64::MAX);
    (!orders.is_empty()).then(|| Proposal(Ordered { system: manifest.system.clone(), control_k, orders }))
}

/// Bytes; a multiple of what an order takes.
const HASHED_AT_ONCE: usize = 20 * 400;

/// The plan's hash, which its permit carries: BLAKE3 over system, control position and orders.
pub fn plan_hash(
    system: &str,
    control_k: u64,
    duties: impl Iterator<Item = (ObligationId, u32)>,
) -> [u8; 32] {
    let mut hasher = blake3::Hasher::new_derive_key("quietus 2026 dispatch plan v1");
    hasher.update(&(system.len() as u64).to_le_bytes());
    hasher.update(system.as_bytes());
    hasher.update(&control_k.to_le_bytes());
    // Long pieces: many short ones cost ten times as much, while a database waits for its next call.
    let mut rows = Vec::with_capacity(HASHED_AT_ONCE);
    for (id, attempt) in duties {
        rows.extend_from_slice(&id.0);
        rows.extend_from_slice(&attempt.to_le_bytes());
        if rows.len() >= HASHED_AT_ONCE {
            hasher.update(&rows);
            rows.clear();
        }
    }
    hasher.update(&rows);
    *hasher.finalize().as_bytes()
}
