//! SQLite as the conformance laws see it: a file per target, read with sessions of the harness's own.

use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use quietus_conformance::{Harness, Row, fixture};
use quietus_contract::Connector;
use quietus_sqlite::SqliteConnector;
use rusqlite::Connection;
use rusqlite::types::Value;

/// A file per target; the folder goes with the harness.
pub struct Sqlite {
    dir: tempfile::TempDir,
    made: Mutex<u32>,
}

impl Sqlite {
    pub fn new() -> std::io::Result<Self> {
        Ok(Self { dir: tempfile::tempdir()?, made: Mutex::new(0) })
    }

    fn path(&self) -> Result<String, String> {
        let made = self.made.lock().map_err(|e| e.to_string())?;
        Ok(self.dir.path().join(format!("{made}.db")).display().to_string())
    }

    fn session(&self) -> Result<Connection, String> {
        let conn = Connection::open(self.path()?).map_err(|e| e.to_string())?;
        conn.execute_batch("PRAGMA synchronous = OFF; PRAGMA foreign_keys = ON")
            .map_err(|e| e.to_string())?;
        Ok(conn)
    }
}

pub fn connector(path: &str) -> Result<Arc<dyn Connector>, String> {
    let opened = SqliteConnector::open(&fixture::manifest("sqlite"), &format!("sqlite://{path}"));
    Ok(Arc::new(opened.map_err(|e| e.to_string())?))
}

fn quoted(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}

fn insert(conn: &Connection, row: &Row) -> Result<(), String> {
    let (_, table, columns) = fixture::tables()
        .into_iter()
        .find(|(dataset, ..)| *dataset == row.dataset)
        .ok_or_else(|| format!("no table for {}", row.dataset))?;
    let names: Vec<String> = columns.iter().map(|c| quoted(c)).collect();
    let marks = vec!["?"; columns.len()].join(", ");
    let sql = format!("INSERT OR REPLACE INTO {} ({}) VALUES ({marks})", quoted(table), names.join(", "));
    let values: Vec<Option<&str>> = columns.iter().map(|c| row.get(c)).collect();
    conn.execute(&sql, rusqlite::params_from_iter(values)).map(|_| ()).map_err(|e| e.to_string())
}

fn read(conn: &Connection) -> rusqlite::Result<Vec<Row>> {
    let mut rows = Vec::new();
    for (dataset, table, columns) in fixture::tables() {
        let names: Vec<String> = columns.iter().map(|c| quoted(c)).collect();
        let mut statement = conn.prepare(&format!("SELECT {} FROM {}", names.join(", "), quoted(table)))?;
        let mut found = statement.query([])?;
        while let Some(row) = found.next()? {
            let mut columns_read = std::collections::BTreeMap::new();
            for (i, column) in columns.iter().enumerate() {
                let text = match row.get::<_, Value>(i)? {
                    Value::Null => None,
                    Value::Text(t) => Some(t),
                    Value::Integer(n) => Some(n.to_string()),
                    other => Some(format!("{other:?}")),
                };
                columns_read.insert((*column).to_owned(), text);
            }
            rows.push(Row { dataset: dataset.to_owned(), columns: columns_read });
        }
    }
    Ok(rows)
}

#[async_trait]
impl Harness for Sqlite {
    async fn prepare(&self, rows: &[Row]) -> Result<Arc<dyn Connector>, String> {
        *self.made.lock().map_err(|e| e.to_string())? += 1;
        let conn = self.session()?;
        for statement in fixture::ddl() {
            conn.execute_batch(&statement).map_err(|e| e.to_string())?;
        }
        rows.iter().try_for_each(|row| insert(&conn, row))?;
        connector(&self.path()?)
    }

    async fn put(&self, row: &Row) -> Result<(), String> {
        insert(&self.session()?, row)
    }

    async fn rows(&self) -> Result<Vec<Row>, String> {
        read(&self.session()?).map_err(|e| e.to_string())
    }

    async fn unreachable(&self) -> Option<Arc<dyn Connector>> {
        connector(&self.dir.path().join("nobody/none.db").display().to_string()).ok()
    }
}
