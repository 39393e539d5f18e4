//! Rigs: the real binary, killed and started again, against databases that the rig reads by itself.
#![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "a rig says what is wrong by panicking")]

mod brokers;
mod chance;
mod database;
mod kill;
mod onboard;
mod power;
mod process;
mod thread;
