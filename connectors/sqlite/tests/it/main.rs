//! What the conformance laws leave to each database: SQLite's types, collations, triggers, cascades and locks.

#![expect(
    clippy::disallowed_methods,
    clippy::expect_used,
    reason = "a test issues its own permits, and stops where it cannot go on"
)]

mod agrees;
#[path = "../harness/mod.rs"]
mod harness;
mod rows;
mod shop;
mod transactions;
