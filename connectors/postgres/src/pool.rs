//! A few connections, made when first asked for and remade after a loss.
//!
//! Invariant: only a connection whose last transaction ended properly comes back ([`Lease::give_back`]); one that is
//! dropped in the middle (a cancelled call, an error nobody read) is closed, and the server rolls back.
//! Rejected: a general pool crate; what is needed is a semaphore and a stack.

use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use quietus_contract::Failure;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio_postgres::types::ToSql;
use tokio_postgres::{Error, Row};

use crate::config::Connection;
use crate::failure::Fault;
use crate::session::{Rows, Session, last_row};

pub(crate) struct Pool {
    connection: Connection,
    writes: bool,
    idle: Arc<Mutex<Vec<Session>>>,
    places: Arc<Semaphore>,
}

impl Pool {
    pub(crate) fn new(connection: Connection, size: usize, writes: bool) -> Self {
        Self { connection, writes, idle: Arc::default(), places: Arc::new(Semaphore::new(size.max(1))) }
    }

    /// A connection, waiting for one when all are out.
    pub(crate) async fn lease(&self) -> Result<Lease, Failure> {
        let place = Arc::clone(&self.places)
            .acquire_owned()
            .await
            .map_err(|_| Failure::retry("internal", "the connection pool is closed"))?;
        let session = loop {
            match self.pop() {
                Some(mut session) => {
                    session.catch_up().await;
                    let is_well = std::iter::from_fn(|| session.answer()).all(|answer| answer.is_ok());
                    if is_well && !session.client.is_closed() {
                        break session;
                    }
                }
                None => break Session::connect(&self.connection, self.writes).await?,
            }
        };
        Ok(Lease { session, idle: Arc::clone(&self.idle), _place: place })
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
        if !self.session.owes_answers() {
            self.return_it();
        }
    }

    /// Ends a transaction that only read, for the next one, who waits for the answer.
    pub(crate) fn leave(mut self) {
        if !self.session.owes_answers() {
            self.send("ROLLBACK".to_owned());
            self.return_it();
        }
    }

    fn return_it(self) {
        if !self.session.refused && self.session.is_patient() && !self.session.client.is_closed() {
            self.idle.lock().unwrap_or_else(PoisonError::into_inner).push(self.session);
        }
    }

    /// Prepares once a session, then runs.
    pub(crate) async fn query(
        &mut self,
        sql: &str,
        values: &[&(dyn ToSql + Sync)],
    ) -> Result<Vec<Row>, Error> {
        let statement = self.session.prepared(sql).await?;
        let client = Arc::clone(&self.session.client);
        let (rows, ()) = tokio::join!(client.query(&statement, values), self.session.catch_up());
        rows
    }

    /// Puts a statement on its way, before everything that is sent later; prepared once a session.
    pub(crate) async fn ask<V>(&mut self, sql: &str, value: V) -> Result<Rows, Error>
    where
        V: ToSql + Send + Sync + 'static,
    {
        self.session.ask(sql, value).await
    }

    /// Runs, and answers how many rows it touched.
    pub(crate) async fn execute(&mut self, sql: &str, values: &[&(dyn ToSql + Sync)]) -> Result<u64, Error> {
        let statement = self.session.prepared(sql).await?;
        let client = Arc::clone(&self.session.client);
        let (count, ()) = tokio::join!(client.execute(&statement, values), self.session.catch_up());
        count
    }

    /// Puts a script on its way, before everything that is sent later, and does not wait for its answer.
    pub(crate) fn send(&mut self, sql: String) {
        self.session.send(sql);
    }

    /// Opens a transaction that writes, its statements limited to what is left, and asks for the database's clock.
    pub(crate) fn send_begin(&mut self, left: Duration, and: &str) {
        self.session.send_begin(left, and);
    }

    /// Sends the statements that end a transaction; the next one is opened in the same message where its limits stand
    /// already. Whether it was. What is answered is the end, whatever became of the beginning: what comes after it is
    /// refused then.
    pub(crate) fn send_end(&mut self, end: &[&str], next: Option<Duration>) -> bool {
        self.session.send_end(end, next)
    }

    /// The answer to the oldest script that was sent and not asked for.
    pub(crate) async fn receive(&mut self) -> Result<Vec<String>, Error> {
        self.session.catch_up().await;
        // Asked once for each that was sent.
        self.session.answer().unwrap_or_else(|| Ok(Vec::new()))
    }

    /// When the last answer to a script came.
    pub(crate) fn answered_at(&self) -> Instant {
        self.session.answered_at
    }

    /// Opens a read-only transaction with one snapshot; [`Lease::reading_at`] has its answer.
    pub(crate) fn send_begin_read(&mut self) {
        self.send("BEGIN ISOLATION LEVEL REPEATABLE READ, READ ONLY; EXECUTE quietus_clock".to_owned());
    }

    /// The database's clock in milliseconds, as a transaction that reads began.
    pub(crate) async fn reading_at(&mut self, place: &str) -> Result<Option<i64>, Fault> {
        let clock = self.receive().await.map_err(|e| Fault::read(&e, place))?;
        Ok(clock.first().and_then(|us| us.parse::<i64>().ok()).map(|us| us / 1000))
    }

    /// Opens a read-only transaction with one snapshot; answers the database's clock in milliseconds.
    pub(crate) async fn begin_read(&mut self, place: &str) -> Result<Option<i64>, Fault> {
        self.send_begin_read();
        self.reading_at(place).await
    }

    /// Ends a transaction that is to leave nothing behind, for the next one.
    pub(crate) async fn roll_back(mut self) {
        self.session.catch_up().await;
        self.session.forget();
        if self.script("ROLLBACK").await.is_ok() {
            self.give_back();
        }
    }

    /// Statements without values, several at once; the rows of the last `SELECT` as text.
    pub(crate) async fn script(&mut self, sql: &str) -> Result<Vec<String>, Error> {
        last_row(&self.session.client, sql, usize::MAX).await
    }
}
