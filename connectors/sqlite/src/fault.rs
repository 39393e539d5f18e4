//! What an error of SQLite means for a command: may it be retried, might it have happened?
//!
//! Invariant: no text of SQLite's own is passed on but the names of constraints and schema objects, because a
//! trigger's message or a quoted statement may hold values.

use quietus_contract::Failure;
use rusqlite::{Error, ErrorCode, ffi};

/// An error before anything was committed.
pub(crate) fn of(error: &Error) -> Failure {
    let Some(code) = error.sqlite_error_code() else {
        return Failure::fatal("internal", "SQLite could not take the statement or its values");
    };
    match code {
        ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked => {
            Failure::retry("timeout", "another writer holds the database; nothing was changed")
        }
        ErrorCode::CannotOpen => Failure::retry(
            "unreachable",
            "the database file cannot be opened; check connection.url and its folder",
        ),
        ErrorCode::PermissionDenied | ErrorCode::AuthorizationForStatementDenied | ErrorCode::ReadOnly => {
            Failure::fatal("denied", "no right to write the database file or its folder")
        }
        ErrorCode::NotADatabase => {
            Failure::fatal("unreachable", "the file at connection.url is no SQLite database")
        }
        ErrorCode::DiskFull => Failure::retry("unreachable", "the disk of the database is full"),
        ErrorCode::SystemIoFailure => {
            Failure::retry("unreachable", "reading or writing the database file failed")
        }
        ErrorCode::DatabaseCorrupt => Failure::fatal("internal", "the database file is damaged"),
        ErrorCode::OperationInterrupted | ErrorCode::OutOfMemory | ErrorCode::SchemaChanged => {
            Failure::retry("conflict", "SQLite gave the statement up; nothing was changed")
        }
        ErrorCode::ConstraintViolation => constraint(error),
        _ => statement(error),
    }
}

/// Whether this error is about single rows, so that the others of the batch can still go.
pub(crate) fn is_constraint(error: &Error) -> bool {
    error.sqlite_error_code() == Some(ErrorCode::ConstraintViolation)
}

fn constraint(error: &Error) -> Failure {
    match error.sqlite_error().map(|e| e.extended_code) {
        Some(ffi::SQLITE_CONSTRAINT_FOREIGNKEY) => children(),
        Some(ffi::SQLITE_CONSTRAINT_TRIGGER) => {
            Failure::fatal("constraint", "a trigger of the database refused the change")
        }
        Some(
            ffi::SQLITE_CONSTRAINT_UNIQUE
            | ffi::SQLITE_CONSTRAINT_NOTNULL
            | ffi::SQLITE_CONSTRAINT_CHECK
            | ffi::SQLITE_CONSTRAINT_DATATYPE,
        ) => Failure::fatal("constraint", message(error)),
        _ => Failure::fatal("constraint", "a constraint of the database refused the change"),
    }
}

/// Rows that still point here: they go first, then this may be tried again.
pub(crate) fn children() -> Failure {
    Failure::retry("constraint", "other rows still refer to this one (foreign key)")
}

fn statement(error: &Error) -> Failure {
    let text = message(error);
    if let Some(column) = text.strip_prefix("no such column: ") {
        return Failure::fatal("missing_column", format!("no such column: {column}"));
    }
    if let Some(table) = text.strip_prefix("no such table: ") {
        return Failure::fatal("missing_table", format!("no such table: {table}"));
    }
    Failure::fatal("internal", "SQLite refused the statement; run `quietus system check`")
}

fn message(error: &Error) -> String {
    match error {
        Error::SqliteFailure(_, Some(text)) => text.clone(),
        Error::SqlInputError { msg, .. } => msg.clone(),
        _ => "a constraint of the database refused the change".into(),
    }
}
