//! One connection: what it has prepared, and what it has been sent and not asked for.
//!
//! Invariant: outside of a transaction that says it writes, a session cannot, so a statement may be sent behind a
//! `BEGIN` that is not answered yet. Its limits stand outside of transactions, so a rollback does not take them back.

use std::collections::{BTreeMap, VecDeque};
use std::future::Future;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::{Context, Poll, Waker};
use std::time::{Duration, Instant};

use futures_util::StreamExt;
use quietus_contract::Failure;
use tokio_postgres::types::ToSql;
use tokio_postgres::{Client, Error, NoTls, Row, SimpleQueryMessage, Statement};

use crate::config::Connection;
use crate::failure::Fault;
use crate::transaction::CLOCK;

/// Of every session: a time without a zone is UTC, row security may not hide rows in silence, and no statement takes
/// longer than half a minute.
fn settings() -> String {
    format!(
        "SET TimeZone = 'UTC'; SET DateStyle = 'ISO, YMD'; SET row_security = off; SET statement_timeout = 30000; \
         PREPARE quietus_clock AS SELECT {CLOCK}"
    )
}
/// Of a session that writes: a commit that was answered is on this server's disk, and what is written is written in a
/// transaction that says so. Whether server and role let us write is read before that is set.
fn writing() -> String {
    format!(
        "PREPARE quietus_limits (text, text) AS SELECT set_config('statement_timeout', $1, false), \
         set_config('idle_in_transaction_session_timeout', $1, false), set_config('lock_timeout', $2, false); \
         PREPARE quietus_seal (int8) AS \
         SELECT {CLOCK}, pg_current_wal_lsn()::text || ' xid ' || txid_current()::text, 1 / ({CLOCK} < $1)::int; \
         SELECT current_setting('transaction_read_only'), set_config('default_transaction_read_only', 'on', false), \
         set_config('default_transaction_isolation', 'read committed', false), \
         set_config('synchronous_commit', replace(current_setting('synchronous_commit'), 'off', 'local'), false)"
    )
}
/// Waiting longer for a row would make the transaction long: it is left for the next attempt.
const LOCK_WAIT: Duration = Duration::from_millis(200);
/// Limits shorter than this are of a permit that was running out.
const PATIENT: Duration = Duration::from_secs(1);
/// More distinct statements than this in one session, and all are prepared anew.
const STATEMENTS_MAX: usize = 256;

pub(crate) struct Session {
    pub(crate) client: Arc<Client>,
    statements: BTreeMap<String, Statement>,
    /// The server and the role let it write.
    writes: bool,
    /// It was to write and may not: made anew, it is asked again.
    pub(crate) refused: bool,
    /// How long its statements may take, and it may idle in a transaction; None: never set.
    limit: Option<Duration>,
    /// Whether that was set is not known.
    doubtful: bool,
    sent: VecDeque<Answer>,
    answered: VecDeque<Result<Vec<String>, Error>>,
    /// When the last answer to a script came.
    pub(crate) answered_at: Instant,
}

/// What is on its way.
type Sent<T> = Pin<Box<dyn Future<Output = Result<T, Error>> + Send>>;
/// The rows' text of a script.
type Answer = Sent<Vec<String>>;
/// The rows of a statement.
pub(crate) type Rows = Sent<Vec<Row>>;

impl Session {
    pub(crate) async fn connect(connection: &Connection, writes: bool) -> Result<Self, Failure> {
        let place = connection.place();
        let (client, driver) =
            connection.settings().connect(NoTls).await.map_err(|e| Fault::connecting(&e, &place))?;
        let lost = place.clone();
        tokio::spawn(async move {
            if driver.await.is_err() {
                tracing::debug!(place = %lost, "a PostgreSQL connection was lost");
            }
        });
        let failed = |e| Fault::connecting(&e, &place);
        client.simple_query(&settings()).await.map_err(failed)?;
        let said = match writes {
            true => last_row(&client, &writing(), usize::MAX).await.map_err(failed)?,
            false => Vec::new(),
        };
        Ok(Self {
            client: Arc::new(client),
            statements: BTreeMap::new(),
            writes: said.first().is_some_and(|read_only| read_only == "off"),
            refused: false,
            limit: None,
            doubtful: false,
            sent: VecDeque::new(),
            answered: VecDeque::new(),
            answered_at: Instant::now(),
        })
    }

    /// Puts a script on its way, before everything that is sent later.
    pub(crate) fn send(&mut self, sql: String) {
        let answer = self.write(sql, usize::MAX);
        self.sent.push_back(answer);
    }

    pub(crate) fn send_begin(&mut self, left: Duration, and: &str) {
        let begin = format!("{};{and} EXECUTE quietus_clock", self.begin());
        let limits = self.limit_to(left);
        let begun = self.write(begin, usize::MAX);
        self.sent.push_back(match limits {
            None => begun,
            Some(limits) => Box::pin(async move {
                limits.await?;
                begun.await
            }),
        });
    }

    pub(crate) fn send_end(&mut self, end: &[&str], next: Option<Duration>) -> bool {
        let begin = next.filter(|left| self.is_limited_to(*left)).map(|_| self.begin());
        let statements: Vec<&str> = end.iter().copied().chain(begin).collect();
        let answer = self.write(statements.join("; "), end.len());
        self.sent.push_back(answer);
        begin.is_some()
    }

    /// Waits until every script that was sent is answered.
    pub(crate) async fn catch_up(&mut self) {
        while let Some(answer) = self.sent.front_mut() {
            let said = answer.await;
            self.sent.pop_front();
            self.answered.push_back(said);
            self.answered_at = Instant::now();
        }
    }

    /// The oldest answer that nobody asked for.
    pub(crate) fn answer(&mut self) -> Option<Result<Vec<String>, Error>> {
        self.answered.pop_front()
    }

    pub(crate) fn owes_answers(&self) -> bool {
        !self.sent.is_empty() || !self.answered.is_empty()
    }

    /// Something went wrong: answers are for nobody, limits may not have been set.
    pub(crate) fn forget(&mut self) {
        self.answered.clear();
        self.doubtful = true;
    }

    /// Whether the next call has time to set limits of its own, and to read the catalogue.
    pub(crate) fn is_patient(&self) -> bool {
        self.limit.is_none_or(|limit| limit >= PATIENT)
    }

    pub(crate) async fn prepared(&mut self, sql: &str) -> Result<Statement, Error> {
        if let Some(known) = self.statements.get(sql) {
            return Ok(known.clone());
        }
        if self.statements.len() >= STATEMENTS_MAX {
            self.statements.clear();
        }
        let prepared = self.client.prepare(sql).await?;
        self.statements.insert(sql.to_owned(), prepared.clone());
        Ok(prepared)
    }

    /// How a transaction that writes begins: where the session may not, its statements are refused.
    fn begin(&mut self) -> &'static str {
        if self.writes {
            return "BEGIN READ WRITE";
        }
        self.refused = true;
        "BEGIN"
    }

    /// Whether its limits are within what is left, and no needless haste.
    fn is_limited_to(&self, left: Duration) -> bool {
        !self.doubtful && self.limit.is_some_and(|limit| limit <= left && left <= limit.saturating_mul(2))
    }

    /// Makes the limits fit. A quarter shorter than need be, so that they fit the next transactions too: being told
    /// them costs a database more than many rows.
    fn limit_to(&mut self, left: Duration) -> Option<Answer> {
        if self.is_limited_to(left) {
            return None;
        }
        let limit = (left - left / 4).max(Duration::from_millis(1));
        (self.limit, self.doubtful) = (Some(limit), false);
        let (limit, wait) = (limit.as_millis(), limit.min(LOCK_WAIT).as_millis());
        Some(self.write(format!("EXECUTE quietus_limits ('{limit}', '{wait}')"), usize::MAX))
    }

    fn write(&self, sql: String, enough: usize) -> Answer {
        let client = Arc::clone(&self.client);
        sent(async move { last_row(&client, &sql, enough).await })
    }

    /// Puts a statement on its way, before everything that is sent later.
    pub(crate) async fn ask<V>(&mut self, sql: &str, value: V) -> Result<Rows, Error>
    where
        V: ToSql + Send + Sync + 'static,
    {
        let statement = self.prepared(sql).await?;
        let client = Arc::clone(&self.client);
        Ok(sent(async move { client.query(&statement, &[&value]).await }))
    }
}

/// The first poll writes it.
fn sent<T: Send + 'static>(answer: impl Future<Output = Result<T, Error>> + Send + 'static) -> Sent<T> {
    let mut answer: Sent<T> = Box::pin(answer);
    match answer.as_mut().poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Pending => answer,
        Poll::Ready(at_once) => Box::pin(std::future::ready(at_once)),
    }
}

/// The text of the last row that a script's statements returned. Once `enough` of them have completed, what fails
/// after them is no error.
pub(crate) async fn last_row(client: &Client, sql: &str, enough: usize) -> Result<Vec<String>, Error> {
    let mut messages = pin!(client.simple_query_raw(sql).await?);
    let (mut last, mut completed) = (Vec::new(), 0);
    while let Some(message) = messages.next().await {
        match message {
            Ok(SimpleQueryMessage::Row(row)) => {
                last = (0..row.len()).map(|i| row.get(i).unwrap_or("").to_owned()).collect();
            }
            Ok(SimpleQueryMessage::CommandComplete(_)) => completed += 1,
            Ok(_) => {}
            Err(_) if completed >= enough => break,
            Err(error) => return Err(error),
        }
    }
    Ok(last)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_commit_stands_whatever_becomes_of_the_begin_behind_it() {
        let server = quietus_test_servers::Postgres::start().unwrap();
        let (client, driver) = tokio_postgres::connect(&server.url(), NoTls).await.unwrap();
        tokio::spawn(driver);
        client.batch_execute("CREATE TABLE t (a int)").await.unwrap();
        let script = "INSERT INTO t VALUES (1) RETURNING 'kept'; COMMIT; SELECT 1 / 0";
        client.batch_execute("BEGIN").await.unwrap();
        assert_eq!(last_row(&client, script, 2).await.unwrap(), ["kept"]);
        client.batch_execute("BEGIN").await.unwrap();
        assert!(last_row(&client, script, 3).await.is_err());
        let early = script.replace("COMMIT", "SELECT 1 / 0");
        client.batch_execute("BEGIN").await.unwrap();
        assert!(last_row(&client, &early, 2).await.is_err(), "it was not committed");
        client.batch_execute("ROLLBACK").await.unwrap();
        assert_eq!(last_row(&client, "SELECT count(*) FROM t", usize::MAX).await.unwrap(), ["2"]);
    }
}
