//! Taps every decision: a hash chain per partition, over which checkpoints are signed.

pub mod chain;

pub use chain::{Chain, Entry};
