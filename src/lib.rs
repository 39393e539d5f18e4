//! quietus: knows when each item of personal data must be gone, has it erased everywhere, and proves it.
//!
//! Data flows one way, and the modules stand in its order.

#![forbid(unsafe_code)]

pub use quietus_core as core;

pub mod intake;
pub mod audit;
pub mod ledger;
pub mod partition;
pub mod sealing;
pub mod store;
