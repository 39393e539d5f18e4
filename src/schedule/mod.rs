//! Ticks, cron, watermarks, the hold barrier, the end of evidence: proposes, never decides.
//!
//! Everything here reads states and appends records. A task that dies loses nothing: what it was waiting for is
//! read from the states again.

pub mod barrier;
pub mod brake;
pub mod clock;
mod counted;
pub mod evidence;
pub mod plan;
pub mod scans;
pub mod sweeps;
pub mod ticks;

pub use counted::Counted;
