//! Real servers for the tests: found or installed, started on a free port of 127.0.0.1, stopped at the end.
//!
//! Invariant: a test that asks for a server gets a real one or fails with what to do about it; it never skips.
//! Rejected: containers, which need an engine, and in-process fakes, which agree with whoever wrote them.

#![forbid(unsafe_code)]

mod account;
mod packages;
mod postgres;
mod redis;

pub use postgres::{Options, Postgres};
pub use redis::Redis;

use std::net::{Ipv4Addr, TcpListener};

/// What went wrong and how to mend it.
pub type Result<T> = std::result::Result<T, String>;

/// A port of 127.0.0.1 that was free a moment ago.
pub fn free_port() -> Result<u16> {
    TcpListener::bind((Ipv4Addr::LOCALHOST, 0))
        .and_then(|listener| listener.local_addr())
        .map(|address| address.port())
        .map_err(|e| format!("no free port on 127.0.0.1: {e}"))
}
