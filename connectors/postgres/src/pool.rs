//! A few connections, made when first asked for and remade after a loss.
//!
//! Invariant: only a connection whose last transaction ended properly comes back ([`Lease::give_back`]); one that is
//! dropped in the middle (a cancelled call, an error nobody read) is closed, and the server rolls back.
//! Rejected: a general pool crate; what is needed is a semaphore and a stack.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};

use quietus_contract::Failure;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio_postgres::types::ToSql;
use tokio_postgres::{Client, Error, NoTls, Row, Statement};

use crate::config::Connection;
use crate::failure::Fault;
use crate::transaction::CLOCK;

/// Of every session: a time without a zone is UTC, row security may not hide rows in silence, and a commit that was
/// answered is on this server's disk.
const SETTINGS: &str = "SET TimeZone = 'UTC'; SET DateStyle = 'ISO, YMD'; SET row_security = off; \
    SELECT set_config('synchronous_commit', replace(current_setting('synchronous_commit'), 'off', 'local'), false)";
/// The longest that a statement which only reads may take.
const READ_MS: u32 = 30_000;
/// More distinct statements than this in one session, and all are prepared anew.
const STATEMENTS_MAX: usize = 256;

pub(crate) struct Pool {
    connection: Connection,
    idle: Arc<Mutex<Vec<Session>>>,
    places: Arc<Semaphore>,
}

/// One connection and what it has prepared.
struct Session {
    client: Client,
    statements: BTreeMap<String, Statement>,
}

impl Pool {
    pub(crate) fn new(connection: Connection, size: usize) -> Self {
        Self { connection, idle: Arc::default(), places: Arc::new(Semaphore::new(size.max(1))) }
    }

    /// A connection, waiting for one when all are out.
    pub(crate) async fn lease(&self) -> Result<Lease, Failure> {
        let place = Arc::clone(&self.places)
            .acquire_owned()
            .await
            .map_err(|_| Failure::retry("internal", "the connection pool is closed"))?;
        let session = loop {
            match self.pop() {
                Some(session) if session.client.is_closed() => {}
                Some(session) => break session,
                None => break self.connect().await?,
            }
        };
        Ok(Lease { session, idle: Arc::clone(&self.idle), _place: place })
    }

    async fn connect(&self) -> Result<Session, Failure> {
        let place = self.connection.place();
        let (client, driver) =
            self.connection.settings().connect(NoTls).await.map_err(|e| Fault::connecting(&e, &place))?;
        let lost = place.clone();
        tokio::spawn(async move {
            if driver.await.is_err() {
                tracing::debug!(place = %lost, "a PostgreSQL connection was lost");
            }
        });
        client.simple_query(SETTINGS).await.map_err(|e| Fault::connecting(&e, &place))?;
        Ok(Session { client, statements: BTreeMap::new() })
    }

    fn pop(&self) -> Option<Session> {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner).pop()
    }
}

impl fmt::Debug for Pool {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Pool").field(&self.connection).finish()
    }
}

/// A connection that is ours until it is given back.
pub(crate) struct Lease {
    session: Session,
    idle: Arc<Mutex<Vec<Session>>>,
    _place: OwnedSemaphorePermit,
}

impl Lease {
    /// For the next one. The caller says by this that no transaction is open.
    pub(crate) fn give_back(self) {
        if !self.session.client.is_closed() {
            self.idle.lock().unwrap_or_else(PoisonError::into_inner).push(self.session);
        }
    }

    /// Prepares once a session, then runs.
    pub(crate) async fn query(
        &mut self,
        sql: &str,
        values: &[&(dyn ToSql + Sync)],
    ) -> Result<Vec<Row>, Error> {
        let statement = match self.session.statements.get(sql) {
            Some(prepared) => prepared.clone(),
            None => {
                if self.session.statements.len() >= STATEMENTS_MAX {
                    self.session.statements.clear();
                }
                let prepared = self.session.client.prepare(sql).await?;
                self.session.statements.insert(sql.to_owned(), prepared.clone());
                prepared
            }
        };
        self.session.client.query(&statement, values).await
    }

    /// Opens a read-only transaction with one snapshot; answers the database's clock in milliseconds.
    pub(crate) async fn begin_read(&self, place: &str) -> Result<Option<i64>, Fault> {
        let sql = format!(
            "BEGIN ISOLATION LEVEL REPEATABLE READ, READ ONLY; SET LOCAL statement_timeout = {READ_MS}; SELECT {CLOCK}"
        );
        let clock = self.script(&sql).await.map_err(|e| Fault::read(&e, place))?;
        Ok(clock.first().and_then(|us| us.parse::<i64>().ok()).map(|us| us / 1000))
    }

    /// Ends a transaction that is to leave nothing behind, for the next one.
    pub(crate) async fn roll_back(self) {
        if self.script("ROLLBACK").await.is_ok() {
            self.give_back();
        }
    }

    /// Statements without values, several at once; the rows of the last `SELECT` as text.
    pub(crate) async fn script(&self, sql: &str) -> Result<Vec<String>, Error> {
        let messages = self.session.client.simple_query(sql).await?;
        let row = messages.iter().rev().find_map(|m| match m {
            tokio_postgres::SimpleQueryMessage::Row(row) => Some(row),
            _ => None,
        });
        Ok(row.map_or_else(Vec::new, |row| {
            (0..row.len()).map(|i| row.get(i).unwrap_or("").to_owned()).collect()
        }))
    }
}
