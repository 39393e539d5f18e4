//! Ticks: the partitions' only *now*, written by their owner, at most one a second.

use std::sync::Arc;
use std::time::Duration;

use quietus_core::record::{Record, Tick};
use quietus_core::time::Millis;

use crate::node::{Node, NodeError};

const PERIOD: Duration = Duration::from_millis(250);
/// An idle partition's clock still moves this often, milliseconds.
const IDLE: i64 = 30_000;

/// Ticks what has something to wait for once a second, everything else now and then.
pub async fn run(node: Arc<Node>) {
    let mut seen: Vec<u64> = node.partitions.iter().map(|p| p.applied()).collect();
    loop {
        tokio::time::sleep(PERIOD).await;
        let now = node.clock.now();
        if let Err(jump) = node.steady(|steady| steady.check(&*node.clock)) {
            tracing::error!(
                jump_seconds = jump / 1000,
                "the clock jumped: no tick until it is back or accepted"
            );
            continue;
        }
        for (partition, seen) in node.partitions.iter().zip(&mut seen) {
            let (last, timer, applied) = {
                let inner = partition.read();
                (inner.state.now, inner.state.duties.next_timer(), partition.applied())
            };
            let ripe = timer.is_some_and(|at| at <= now);
            let wants = ripe || applied != *seen || now.0 - last.0 >= IDLE;
            if wants && now.0 - last.0 >= Millis::SECOND {
                let tick = Record::Tick(Tick { now: now.0 });
                match node.append(partition.index(), vec![tick], None).await {
                    // Its own tick is no news that would want another.
                    Ok(offset) => *seen = applied.max(offset + 1),
                    Err(error) => tracing::warn!(%error, "no tick"),
                }
            }
        }
    }
}

/// Brings every partition to the time to go by, and returns when they are there.
pub async fn tick_all(node: &Node) -> Result<Millis, NodeError> {
    let now = node.now();
    let mut waiting = Vec::new();
    for partition in node.partitions.iter() {
        if partition.read().state.now < now {
            let offset = node.append(partition.index(), vec![Record::Tick(Tick { now: now.0 })], None);
            waiting.push(async move { Ok::<_, NodeError>((partition, offset.await?)) });
        }
    }
    for appended in futures_util::future::join_all(waiting).await {
        let (partition, offset) = appended?;
        partition.has_applied(offset).await;
    }
    Ok(now)
}
