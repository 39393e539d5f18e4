//! What the node tells about itself: logs, traces, metrics. Never an identity in any of them.

pub mod init;
pub mod log;
pub mod metrics;
pub mod trace;

pub use init::{Guard, init};
pub use metrics::Metrics;
