//! Servers of one's own for benches and tests: programs that are installed here, started on a free port of 127.0.0.1
//! in a folder of their own, stopped at the end. Nothing is installed by this.

#![forbid(unsafe_code)]

pub mod account;
mod postgres;

pub use postgres::{Options, Postgres};

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
