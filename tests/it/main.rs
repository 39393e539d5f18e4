//! One binary for everything that needs the whole.
#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test says what is wrong by panicking"
)]

mod audit;
mod bad_input;
mod bench;
mod cli;
mod corpus;
mod demo;
mod derived;
mod files_and_backup;
#[cfg(test)]
mod five_systems;
mod full_disk;
#[cfg(test)]
mod http;
#[cfg(test)]
mod kafka;
mod no_plaintext;
mod one_trace;
#[cfg(test)]
mod outside;
mod postgres_outage;
mod referred_to;
mod registering;
mod replicas;
mod serve;
mod sources;
mod unfit_systems;
mod world;
