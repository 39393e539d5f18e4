//! A look, now and then, at what was erased long ago: a sample each hour, so that a day sees the whole share.
//!
//! The sample follows from the duties' ids and the day, and nothing is remembered: a restart at most looks twice. What
//! is found is told to the engine as a read-back that nobody waited for; it is erased again. Rejected: a list of what
//! was looked at, for a question that is asked at random anyway.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use quietus_core::obligation::{Duty, Obligation, ObligationId, Stand};

use super::runner::Dispatcher;
use super::send;
use crate::partition::Partition;

const HOUR: i64 = 3_600_000;
const HOURS: i64 = 24;
const MILLION: u128 = 1_000_000;
const DAY: u128 = 24 * MILLION;

/// The hour whose sample was taken last.
#[derive(Debug, Default)]
pub struct LastHour(AtomicI64);

impl LastHour {
    /// True once an hour.
    fn begins(&self, hour: i64) -> bool {
        self.0.swap(hour, Ordering::Relaxed) != hour
    }
}

impl Dispatcher {
    /// Starts looking at this hour's sample, if nobody has yet.
    pub(super) fn reaudit(self: &Arc<Self>) {
        let hour = self.node().now().0.div_euclid(HOUR);
        let share = self.node().options().reaudit_per_million;
        if share == 0 || !self.connector().describe().verify || !self.last_hour().begins(hour) {
            return;
        }
        let this = Arc::clone(self);
        // It goes through every duty, those on disk too.
        tokio::task::spawn_blocking(move || {
            for partition in this.node().partitions.iter() {
                let sample = sample(partition, &this.manifest().system, hour, share);
                sample.chunks(this.batch()).for_each(|batch| this.look_again(batch.to_vec()));
            }
        });
    }

    fn look_again(self: &Arc<Self>, batch: Vec<Obligation>) {
        let this = Arc::clone(self);
        tokio::spawn(async move {
            let Ok(_worker) = this.worker().await else { return };
            let system = &this.manifest().system;
            send::look_again(this.node(), Arc::clone(this.connector()), system, batch).await;
        });
    }
}

/// Verified erasures whose turn it is, and whose copy nothing else has taken the place of since.
fn sample(partition: &Partition, system: &str, hour: i64, share: u32) -> Vec<Obligation> {
    let drawn = drawn(partition, system, hour, share);
    let inner = partition.read();
    let gone = |duty: &Obligation| {
        let Some(lives) = inner.store.lives(duty.item) else { return false };
        let lies = |l: &quietus_core::life::Life| {
            let mut life = l.clone();
            inner.state.control.complete(&mut life);
            life.copy_at(&duty.place).and_then(|at| life.item.copies.get(at)).is_some_and(|c| c.is_live())
        };
        !lives.lives.iter().any(lies)
    };
    drawn.into_iter().filter(gone).collect()
}

fn drawn(partition: &Partition, system: &str, hour: i64, share: u32) -> Vec<Obligation> {
    let mut drawn = Vec::new();
    partition.each_duty(&mut |duty| {
        let mine = duty.stand == Stand::Verified && *duty.place.system == *system;
        if mine && duty.duty == Duty::Delete && is_drawn(duty.id, hour, share) {
            drawn.push(duty.clone());
        }
    });
    drawn
}

fn is_drawn(id: ObligationId, hour: i64, share: u32) -> bool {
    let mut hasher = blake3::Hasher::new_derive_key("quietus 2026 re-audit sample v1");
    hasher.update(&id.0).update(&hour.div_euclid(HOURS).to_le_bytes());
    let mut bytes = [0; 16];
    hasher.finalize_xof().fill(&mut bytes);
    // Each hour's window is as wide as the share of an hour's millionths; beyond a whole one, hours overlap.
    let place = (u128::from_le_bytes(bytes) % DAY
        + u128::from(hour.rem_euclid(HOURS).unsigned_abs()) * MILLION)
        % DAY;
    place < u128::from(share)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_day_draws_the_share_once_and_the_next_day_others() {
        let id = |n: u16| {
            let [a, b] = n.to_le_bytes();
            ObligationId([a, b, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0])
        };
        let day = |day: i64, n: u16| (0..24).filter(|h| is_drawn(id(n), day * 24 + h, 100_000)).count();
        let drawn: Vec<u16> = (0..10_000).filter(|n| day(20_000, *n) > 0).collect();
        assert!((900..1_100).contains(&drawn.len()), "{}", drawn.len());
        assert!(drawn.iter().all(|n| day(20_000, *n) == 1));
        assert!(drawn.iter().filter(|n| day(20_001, **n) > 0).count() < 200);
    }
}
