//! Whether the wall clock may be believed.
//!
//! While running, it is compared with the monotonic one. At start, after a gap of more than a day, the databases in
//! enforce mode are asked as well; where they disagree, intake and sweeps wait for `quietus clock accept`.

use std::time::Duration;

use quietus_core::record::{ClockAccepted, Record};
use quietus_core::system::Mode;
use quietus_core::time::Millis;

use crate::clock::Clock;
use crate::node::{Node, NodeError};

/// More than this past the monotonic clock is a jump, milliseconds.
const JUMP: i64 = Millis::HOUR;
/// A longer silence at start wants a second clock, milliseconds.
const GAP: i64 = Millis::DAY;
/// How far two honest clocks may be apart, milliseconds.
const AGREE: i64 = Millis::HOUR;

/// The wall clock against the monotonic one.
#[derive(Debug)]
pub struct Steady {
    wall: Millis,
    monotonic: Duration,
}

impl Steady {
    pub fn new(clock: &dyn Clock) -> Self {
        Self { wall: clock.now(), monotonic: clock.monotonic() }
    }

    /// The time to go by: the wall clock, and past a jump that is not believed what had passed without it.
    pub fn now(&mut self, clock: &dyn Clock) -> Millis {
        match self.check(clock) {
            Ok(()) => clock.now(),
            Err(_) => self.wall.plus(self.passed(clock)),
        }
    }

    fn passed(&self, clock: &dyn Clock) -> i64 {
        let passed = clock.monotonic().saturating_sub(self.monotonic);
        i64::try_from(passed.as_millis()).unwrap_or(i64::MAX)
    }

    /// Err(milliseconds) when the wall clock ran further ahead than the monotonic one allows. A small step is taken
    /// over, so that an adjusted clock drifts in.
    pub fn check(&mut self, clock: &dyn Clock) -> Result<(), i64> {
        let (wall, monotonic) = (clock.now(), clock.monotonic());
        let ahead = wall.0 - self.wall.0 - self.passed(clock);
        if ahead > JUMP {
            return Err(ahead);
        }
        *self = Self { wall, monotonic };
        Ok(())
    }
}

/// Ok when the clock may be used to own the partitions with.
pub async fn may_start(node: &Node) -> Result<(), NodeError> {
    let last = node.partitions.iter().map(|p| p.read().state.now).max().unwrap_or_default();
    let now = node.clock.now();
    // A ledger under a simulated clock lives in a time of its own.
    if last == Millis(0) || now.0 - last.0 <= GAP || node.options().simulated {
        return Ok(());
    }
    let accepted = node.with_control(|c| c.clock_accepted).is_some_and(|a| (a.0 - now.0).abs() <= GAP);
    if accepted || second_clock_agrees(node, now).await {
        return Ok(());
    }
    Err(NodeError::ClockWaits { last: last.to_string(), now: now.to_string() })
}

/// Asks each enforced system that has a clock; true when none disagrees.
async fn second_clock_agrees(node: &Node, now: Millis) -> bool {
    let enforced = node.with_control(|c| {
        let systems = c.systems.values().filter(|s| s.manifest.mode == Mode::Enforce);
        systems.map(|s| s.manifest.clone()).collect::<Vec<_>>()
    });
    for manifest in enforced {
        let Ok(connector) = crate::node::connect(&manifest, &node.options().resolver, &node.clock) else {
            continue;
        };
        match connector.now().await {
            Ok(Some(theirs)) if (theirs - now.0).abs() > AGREE => {
                tracing::error!(system = manifest.system, "its clock and this machine's disagree");
                return false;
            }
            Ok(_) => {}
            Err(error) => {
                tracing::error!(system = manifest.system, %error, "its clock cannot be asked");
                return false;
            }
        }
    }
    true
}

/// A person looked at the clock.
pub async fn accept(node: &Node, by: Option<String>) -> Result<Millis, NodeError> {
    let now = node.clock.now();
    node.append_control(Record::ClockAccepted(ClockAccepted { now: now.0, by })).await?;
    node.steady(|steady| *steady = Steady::new(&*node.clock));
    if !node.is_running() {
        // Nobody follows the control log yet.
        node.catch_up_control()?;
    }
    node.moved.notify_waiters();
    Ok(now)
}
