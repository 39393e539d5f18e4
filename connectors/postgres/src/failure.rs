//! A PostgreSQL error as a [`Failure`]: may I retry, might it have happened, and whom does it concern.
//!
//! Invariant: the server's own message is never passed on, since it quotes rows (`Key (email)=(…) already exists`).
//! What is passed on is the SQLSTATE and the names of the constraint, table and column.

use quietus_contract::Failure;
use tokio_postgres::Error;
use tokio_postgres::error::DbError;

/// Whom an error concerns: what it does not concern goes on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Concerns {
    /// Some row of the statement: found by halving.
    Row,
    /// Some row that another transaction holds.
    LockedRow,
    /// Every statement on this table.
    Table,
    /// The transaction: again from its start may go through.
    Transaction,
    /// The permit's time is over.
    Time,
    /// The connection is gone.
    Connection,
}

#[derive(Clone, Debug)]
pub(crate) struct Fault {
    pub(crate) failure: Failure,
    pub(crate) concerns: Concerns,
}

impl Fault {
    pub(crate) fn expired() -> Self {
        let failure =
            Failure::retry("expired", "the permit's time was over before the commit: nothing was committed");
        Self { failure, concerns: Concerns::Time }
    }

    /// What `error` means for a statement before the commit: nothing happened.
    pub(crate) fn read(error: &Error, place: &str) -> Self {
        match error.as_db_error() {
            Some(said) => Self::said(said, place),
            None if error.is_closed()
                || std::error::Error::source(error).is_some_and(|s| s.is::<std::io::Error>()) =>
            {
                Self::lost(place)
            }
            None => Self {
                failure: Failure::fatal(
                    "internal",
                    format!("{place}: the driver could not carry out the statement"),
                ),
                concerns: Concerns::Table,
            },
        }
    }

    pub(crate) fn lost(place: &str) -> Self {
        let detail = format!("{place}: the connection was lost before the commit");
        Self { failure: Failure::retry("unreachable", detail), concerns: Concerns::Connection }
    }

    fn said(said: &DbError, place: &str) -> Self {
        use Concerns::{Connection, LockedRow, Row, Table, Time, Transaction};
        let code = said.code().code();
        let detail = |what: &str| format!("{place}: {what} (SQLSTATE {code}{})", names(said));
        let retry =
            |kind, what: &str, concerns| Self { failure: Failure::retry(kind, detail(what)), concerns };
        let fatal =
            |kind, what: &str, concerns| Self { failure: Failure::fatal(kind, detail(what)), concerns };
        match (code, code.get(..2).unwrap_or("")) {
            ("55P03", _) => retry("timeout", "another transaction holds the row", LockedRow),
            ("40001" | "40P01", _) => retry("conflict", "deadlock or serialization conflict", Transaction),
            ("57014", _) => retry("timeout", "the statement took longer than the permit's time", Time),
            ("25P03", _) => {
                retry("expired", "the transaction was idle for longer than the permit's time", Connection)
            }
            ("57P01" | "57P02" | "57P03" | "57P05", _) | (_, "08") => {
                retry("unreachable", "the server closed the connection or is not ready", Connection)
            }
            (_, "53") => retry("unreachable", "the server is out of resources", Connection),
            ("42501", _) => {
                fatal("denied", "not allowed: grant it, or BYPASSRLS where row security hides rows", Table)
            }
            ("25006", _) => fatal("denied", "the session is read-only: is this a standby?", Table),
            (_, "28") => fatal("denied", "the server refused the login", Connection),
            ("3D000", _) => fatal("unreachable", "there is no such database", Connection),
            ("42P01" | "3F000", _) => fatal("missing_table", "there is no such table or schema", Table),
            ("42883" | "42804" | "42846" | "0A000", _)
                if said.message().contains("cached plan") || code != "0A000" =>
            {
                retry("conflict", "the table's types are not what they were: they are read again", Table)
            }
            ("42703", _) => fatal("missing_column", "there is no such column", Table),
            ("23503" | "23001", _) => retry("constraint", "other rows still refer to this one", Row),
            (_, "23" | "44") => fatal("constraint", "a constraint forbids it", Row),
            (_, "22") => fatal("conflict", "a value is none of the column's type", Row),
            ("P0001" | "P0004" | "38000", _) => fatal("conflict", "a trigger refused it", Row),
            ("0A000", _) => fatal("conflict", "a rule or a view does not allow it", Table),
            _ => fatal("internal", "the server refused the statement", Table),
        }
    }

    /// For a failed login: there is no statement, hence nothing can have happened.
    pub(crate) fn connecting(error: &Error, place: &str) -> Failure {
        match error.as_db_error() {
            Some(said) => Self::said(said, place).failure,
            None => Failure::retry(
                "unreachable",
                format!("no connection to {place}: is it up, is the address right?"),
            ),
        }
    }
}

/// Whether the server itself says that the statement failed and the session lives: then no commit followed.
pub(crate) fn session_lives(error: &Error) -> bool {
    use tokio_postgres::error::Severity;
    error.as_db_error().is_some_and(|said| said.parsed_severity() == Some(Severity::Error))
}

fn names(said: &DbError) -> String {
    [("constraint", said.constraint()), ("table", said.table()), ("column", said.column())]
        .into_iter()
        .filter_map(|(what, name)| Some(format!(", {what} {}", name?)))
        .collect()
}
