//! The connector against a real server.

#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test fails by panicking"
)]

mod check;
mod correct;
mod erase;
mod lane;
mod loss;
mod shop;
mod verify;
