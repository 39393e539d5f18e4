//! Real servers for the tests: found or installed, started on a free port of 127.0.0.1, stopped at the end.
//!
//! Invariant: a test that asks for a server gets a real one or fails with what to do about it; it never skips.
//! Rejected: containers, which need an engine, and in-process fakes, which agree with whoever wrote them.

#![forbid(unsafe_code)]

mod authority;
mod connect;
mod kafka;
mod maven;
mod packages;
mod postgres;
mod promtool;
mod python;
mod redis;

pub use authority::{Authority, Pair};
pub use connect::Connect;
pub use kafka::{Cluster, Kafka, Lock, java_program};
pub use postgres::Postgres;
pub use promtool::Promtool;
pub use python::python;
pub use quietus_servers::{Options, Result, free_port};
pub use redis::Redis;

use quietus_servers::account;
