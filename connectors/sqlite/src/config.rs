//! Where the database is, and how a session on it is opened.
//!
//! Writing and reading back never share a session: the reader is opened read-only, anew for every read-back.
//! A file that is not there is an error, never a new and empty database.

use std::path::PathBuf;
use std::time::Duration;

use quietus_contract::Failure;
use rusqlite::{Connection, OpenFlags};

use crate::fault;

/// How long a session waits for another writer before it gives the batch back.
const BUSY: Duration = Duration::from_millis(2_000);

#[derive(Clone, Debug)]
pub(crate) struct Config {
    path: PathBuf,
}

impl Config {
    /// `sqlite:///abs/path`; the path is taken literally.
    pub(crate) fn parse(url: &str) -> Result<Self, Failure> {
        match url.strip_prefix("sqlite://") {
            Some(path) if path.starts_with('/') && path.len() > 1 => Ok(Self { path: PathBuf::from(path) }),
            _ => Err(Failure::fatal(
                "unreachable",
                "connection.url is no SQLite address: write sqlite:// and an absolute path, as in sqlite:///var/lib/shop.db",
            )),
        }
    }

    /// A session that may change rows. Deleted content is overwritten, foreign keys are enforced, and a commit is
    /// on disk before it is reported.
    pub(crate) fn writer(&self) -> Result<Connection, Failure> {
        let conn = self.open(OpenFlags::SQLITE_OPEN_READ_WRITE)?;
        conn.execute_batch("PRAGMA foreign_keys = ON; PRAGMA secure_delete = ON; PRAGMA synchronous = FULL;")
            .map_err(|e| fault::of(&e))?;
        Ok(conn)
    }

    /// A session that cannot change anything.
    pub(crate) fn reader(&self) -> Result<Connection, Failure> {
        let conn = self.open(OpenFlags::SQLITE_OPEN_READ_ONLY)?;
        conn.execute_batch("PRAGMA query_only = ON;").map_err(|e| fault::of(&e))?;
        Ok(conn)
    }

    fn open(&self, access: OpenFlags) -> Result<Connection, Failure> {
        let conn = Connection::open_with_flags(&self.path, access | OpenFlags::SQLITE_OPEN_NO_MUTEX)
            .map_err(|e| fault::of(&e))?;
        conn.busy_timeout(BUSY).map_err(|e| fault::of(&e))?;
        // Opening is lazy: only the first read tells whether this is a database at all.
        conn.query_row("PRAGMA schema_version", [], |r| r.get::<_, i64>(0)).map_err(|e| fault::of(&e))?;
        Ok(conn)
    }
}

/// SQLite's own clock, milliseconds since the epoch.
pub(crate) fn clock(conn: &Connection) -> rusqlite::Result<i64> {
    conn.query_row("SELECT CAST(unixepoch('subsec') * 1000 AS INTEGER)", [], |r| r.get(0))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_an_absolute_sqlite_url_is_taken() {
        assert!(Config::parse("sqlite:///var/lib/a b?.db").is_ok());
        for bad in ["sqlite://relative.db", "sqlite:///", "postgres://x/y", "/var/lib/x.db", "sqlite:/x"] {
            assert_eq!(Config::parse(bad).expect_err(bad).code, "unreachable");
        }
    }

    #[test]
    fn a_missing_file_is_unreachable_and_is_not_made() {
        let dir = tempfile::tempdir().expect("dir");
        let path = dir.path().join("none.db");
        let config = Config::parse(&format!("sqlite://{}", path.display())).expect("url");
        let failure = config.writer().expect_err("nothing there");
        assert_eq!(
            (failure.code, failure.may_retry, failure.might_have_happened),
            ("unreachable", true, false)
        );
        assert!(!path.exists());
    }
}
