//! quietus: knows when each item of personal data must be gone, has it erased everywhere, and proves it.
//!
//! Data flows one way, and the modules stand in its order: what comes in goes through the ledger, is decided in the
//! core, kept in the store, dispatched to connectors, and what they and the read-back say goes into the ledger
//! again.
//!
//! ```text
//! sources ─▶ intake ─▶ ledger ─▶ core::engine ─▶ store ─▶ dispatch ─▶ connectors
//!                        ▲                                                │
//!                        ├── schedule (ticks, sweeps, the hold barrier)   │
//!                        └── confirm (outcome + read-back) ◀──────────────┘
//!                                         audit taps every decision
//! ```

#![forbid(unsafe_code)]

pub mod intake;
pub mod ledger;
pub use quietus_core as core;
pub mod store;

pub mod partition;

pub mod schedule;

pub mod dispatch;

pub mod confirm;

pub mod audit;
pub mod sealing;

pub mod node;

pub mod registering;

pub mod surface;

pub mod telemetry;

pub mod clock;
mod durable;
pub mod faults;

pub mod bench;
pub mod demo;
mod sabotage;
#[cfg(test)]
mod small_disk;
