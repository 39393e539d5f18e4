//! Given a partition, when records are read, then duties stand where they should.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

mod derived;
mod partner;
mod world;
