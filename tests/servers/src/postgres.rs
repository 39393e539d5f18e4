//! The PostgreSQL server of a test: installed when it is not here.
//!
//! `QUIETUS_TEST_POSTGRES` names a server to use instead: then every [`Postgres`] is a new database in it, which
//! stays there afterwards, and what stops or kills the server is an error.

use std::ops::{Deref, DerefMut};
use std::process::Command;
use std::sync::{Arc, Mutex, PoisonError, Weak};

use quietus_servers::Options;

use crate::{Result, packages};

/// A running server; dropping it stops it and removes its folder.
#[derive(Debug)]
pub struct Postgres(quietus_servers::Postgres);

impl Postgres {
    /// A fresh server with one database `lab`, with fsync on.
    pub fn start() -> Result<Self> {
        Self::start_with(Options::default())
    }

    pub fn start_with(options: Options) -> Result<Self> {
        if let Ok(url) = std::env::var("QUIETUS_TEST_POSTGRES") {
            return quietus_servers::Postgres::given(&url).map(Self);
        }
        if !quietus_servers::Postgres::is_installed() {
            packages::install("postgresql")?;
        }
        quietus_servers::Postgres::start(options).map(Self)
    }

    /// One of its programs, such as `pg_dump`.
    pub fn program(name: &str) -> Result<Command> {
        quietus_servers::Postgres::program(name)
    }

    /// The server that the tests of this process share, fsync off: it stops when the last of them is over. What is
    /// changed in it must be in a [`quietus_servers::Postgres::database`] of the test's own.
    pub fn shared() -> Result<Arc<Self>> {
        static SHARED: Mutex<Weak<Postgres>> = Mutex::new(Weak::new());
        let mut shared = SHARED.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(running) = shared.upgrade() {
            return Ok(running);
        }
        let server = Arc::new(Self::start_with(Options { fsync: false })?);
        *shared = Arc::downgrade(&server);
        Ok(server)
    }
}

impl Deref for Postgres {
    type Target = quietus_servers::Postgres;

    fn deref(&self) -> &Self::Target {
        &self.0
    }
}

impl DerefMut for Postgres {
    fn deref_mut(&mut self) -> &mut Self::Target {
        &mut self.0
    }
}
