//! A few connections, made when first asked for and remade after a loss.
//!
//! Invariant: only a connection whose last transaction ended properly comes back ([`Lease::give_back`]); one that is
//! dropped in the middle (a cancelled call, an error nobody read) is closed, and the server rolls back. Outside of a
//! transaction that says it writes, a session cannot: so a statement may be sent behind a `BEGIN` that is not answered
//! yet ([`Lease::send`]).
//! Rejected: a general pool crate; what is needed is a semaphore and a stack.

use std::collections::{BTreeMap, VecDeque};
use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll, Waker};
use std::time::Instant;

use quietus_contract::Failure;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio_postgres::types::ToSql;
use tokio_postgres::{Client, Error, NoTls, Row, SimpleQueryMessage, Statement};

use crate::config::Connection;
use crate::failure::Fault;
use crate::transaction::CLOCK;

/// Of every session: a time without a zone is UTC, and row security may not hide rows in silence.
const SETTINGS: &str = "SET TimeZone = 'UTC'; SET DateStyle = 'ISO, YMD'; SET row_security = off";
/// Of a session that writes: a commit that was answered is on this server's disk, and what is written is written in a
/// transaction that says so. Whether server and role let us write is read before that is set.
fn writing() -> String {
    format!(
        "PREPARE quietus_limits (text, text) AS SELECT set_config('statement_timeout', $1, true), \
         set_config('idle_in_transaction_session_timeout', $1, true), set_config('lock_timeout', $2, true), {CLOCK}; \
         PREPARE quietus_seal (int8) AS \
         SELECT pg_current_wal_lsn()::text || ' xid ' || txid_current()::text, us::text, 1 / (us < $1)::int \
         FROM (SELECT {CLOCK} AS us OFFSET 0) AS clock; \
         SELECT current_setting('transaction_read_only'), set_config('default_transaction_read_only', 'on', false), \
         set_config('synchronous_commit', replace(current_setting('synchronous_commit'), 'off', 'local'), false)"
    )
}
/// The longest that a statement which only reads may take.
const READ_MS: u32 = 30_000;
/// More distinct statements than this in one session, and all are prepared anew.
const STATEMENTS_MAX: usize = 256;

pub(crate) struct Pool {
    connection: Connection,
    writes: bool,
    idle: Arc<Mutex<Vec<Session>>>,
    places: Arc<Semaphore>,
}

/// One connection, what it has prepared, and what it has been sent and not asked for.
struct Session {
    client: Arc<Client>,
    statements: BTreeMap<String, Statement>,
    /// The server and the role let it write.
    writes: bool,
    /// It was to write and may not: made anew, it is asked again.
    refused: bool,
    sent: VecDeque<Answer>,
    answered: VecDeque<Result<Vec<String>, Error>>,
    answered_at: Instant,
}

/// The rows' text of a script that is on its way.
type Answer = Pin<Box<dyn Future<Output = Result<Vec<String>, Error>> + Send>>;

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
                    let left = std::mem::take(&mut session.answered);
                    if !session.client.is_closed() && left.iter().all(Result::is_ok) {
                        break session;
                    }
                }
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
        let failed = |e| Fault::connecting(&e, &place);
        client.simple_query(SETTINGS).await.map_err(failed)?;
        let said = match self.writes {
            true => last_row(client.simple_query(&writing()).await).map_err(failed)?,
            false => Vec::new(),
        };
        Ok(Session {
            client: Arc::new(client),
            statements: BTreeMap::new(),
            writes: said.first().is_some_and(|read_only| read_only == "off"),
            refused: false,
            sent: VecDeque::new(),
            answered: VecDeque::new(),
            answered_at: Instant::now(),
        })
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
        let has_answers = !self.session.sent.is_empty() || !self.session.answered.is_empty();
        if !has_answers {
            self.return_it();
        }
    }

    /// Ends a transaction that only read, for the next one, who waits for the answer.
    pub(crate) fn leave(mut self) {
        if self.session.answered.is_empty() {
            self.send("ROLLBACK".to_owned());
            self.return_it();
        }
    }

    fn return_it(self) {
        if !self.session.refused && !self.session.client.is_closed() {
            self.idle.lock().unwrap_or_else(PoisonError::into_inner).push(self.session);
        }
    }

    /// Prepares once a session, then runs.
    pub(crate) async fn query(
        &mut self,
        sql: &str,
        values: &[&(dyn ToSql + Sync)],
    ) -> Result<Vec<Row>, Error> {
        let statement = self.prepared(sql).await?;
        let client = Arc::clone(&self.session.client);
        let (rows, ()) = tokio::join!(client.query(&statement, values), self.session.catch_up());
        rows
    }

    /// Runs, and answers how many rows it touched.
    pub(crate) async fn execute(&mut self, sql: &str, values: &[&(dyn ToSql + Sync)]) -> Result<u64, Error> {
        let statement = self.prepared(sql).await?;
        let client = Arc::clone(&self.session.client);
        let (count, ()) = tokio::join!(client.execute(&statement, values), self.session.catch_up());
        count
    }

    async fn prepared(&mut self, sql: &str) -> Result<Statement, Error> {
        if let Some(known) = self.session.statements.get(sql) {
            return Ok(known.clone());
        }
        if self.session.statements.len() >= STATEMENTS_MAX {
            self.session.statements.clear();
        }
        let prepared = self.session.client.prepare(sql).await?;
        self.session.statements.insert(sql.to_owned(), prepared.clone());
        Ok(prepared)
    }

    /// Puts a script on its way, before everything that is sent later, and does not wait for its answer.
    pub(crate) fn send(&mut self, sql: String) {
        let client = Arc::clone(&self.session.client);
        let mut answer: Answer = Box::pin(async move { last_row(client.simple_query(&sql).await) });
        // The first poll writes it.
        match answer.as_mut().poll(&mut Context::from_waker(Waker::noop())) {
            Poll::Pending => self.session.sent.push_back(answer),
            Poll::Ready(at_once) => self.session.sent.push_back(Box::pin(std::future::ready(at_once))),
        }
    }

    /// The answer to the oldest script that was sent and not asked for.
    pub(crate) async fn receive(&mut self) -> Result<Vec<String>, Error> {
        self.session.catch_up().await;
        // Asked once for each that was sent.
        self.session.answered.pop_front().unwrap_or_else(|| Ok(Vec::new()))
    }

    /// When the last answer to a script came.
    pub(crate) fn answered_at(&self) -> Instant {
        self.session.answered_at
    }

    /// How a transaction that writes begins: where the session may not, its statements are refused.
    pub(crate) fn begin(&mut self) -> &'static str {
        if self.session.writes {
            return "BEGIN ISOLATION LEVEL READ COMMITTED, READ WRITE";
        }
        self.session.refused = true;
        "BEGIN ISOLATION LEVEL READ COMMITTED"
    }

    /// Opens a read-only transaction with one snapshot; [`Lease::reading_at`] has its answer.
    pub(crate) fn send_begin_read(&mut self) {
        self.send(format!(
            "BEGIN ISOLATION LEVEL REPEATABLE READ, READ ONLY; SET LOCAL statement_timeout = {READ_MS}; SELECT {CLOCK}"
        ));
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
        self.session.answered.clear();
        if self.script("ROLLBACK").await.is_ok() {
            self.give_back();
        }
    }

    /// Statements without values, several at once; the rows of the last `SELECT` as text.
    pub(crate) async fn script(&mut self, sql: &str) -> Result<Vec<String>, Error> {
        last_row(self.session.client.simple_query(sql).await)
    }
}

impl Session {
    /// Waits until every script that was sent is answered.
    async fn catch_up(&mut self) {
        while let Some(answer) = self.sent.front_mut() {
            let said = answer.await;
            self.sent.pop_front();
            self.answered.push_back(said);
            self.answered_at = Instant::now();
        }
    }
}

fn last_row(messages: Result<Vec<SimpleQueryMessage>, Error>) -> Result<Vec<String>, Error> {
    let messages = messages?;
    let row = messages.iter().rev().find_map(|m| match m {
        SimpleQueryMessage::Row(row) => Some(row),
        _ => None,
    });
    Ok(row.map_or_else(Vec::new, |row| (0..row.len()).map(|i| row.get(i).unwrap_or("").to_owned()).collect()))
}
