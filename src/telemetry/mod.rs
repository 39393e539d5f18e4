//! What the node tells about itself: logs, traces, metrics. Never an identity in any of them.

pub mod metrics;
pub mod trace;

pub use metrics::Metrics;
