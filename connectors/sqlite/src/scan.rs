//! A page of a table: by its rowid, which is unique and in order; where it has none, by its key.
//!
//! A session of its own for every page, read-only: nothing is held open between two of them.

use std::ops::ControlFlow;

use quietus_contract::{Failure, Page, Reading, Scalar, ScannedRow, Secret, time_of_number, time_of_text};
use quietus_core::system::{Collection, ColumnOr, Manifest};
use rusqlite::types::Value;
use rusqlite::{Connection, params_from_iter};
use serde_json::json;

use crate::config::Config;
use crate::fault;
use crate::schema::{Table, read_table};
use crate::spelling::shown;
use crate::value::{self, stored};

pub(crate) fn page(config: &Config, manifest: &Manifest, reading: &Reading) -> Result<Page, Failure> {
    let missing = |what: String| Failure::fatal("missing_table", what);
    let (_, collection) = manifest
        .collection(&reading.dataset)
        .ok_or_else(|| missing(format!("{}: the manifest has no such collection", reading.dataset)))?;
    let conn = config.reader()?;
    let table = read_table(&conn, &collection.name).map_err(|e| fault::of(&e))?;
    let table = table
        .ok_or_else(|| missing(format!("{}: there is no table {}", reading.dataset, collection.name)))?;
    let wanted = Wanted::new(&table, collection, reading)?;
    wanted.read(&conn, reading)
}

/// The columns that a page is made of, by their place in the statement.
struct Wanted<'a> {
    table: &'a Table,
    collection: &'a Collection,
    key: Vec<String>,
    /// Quoted; those by which the pages are in order come last.
    columns: Vec<String>,
    order: Vec<String>,
    subject: Option<usize>,
    item: Option<usize>,
    process: Option<usize>,
    jurisdiction: Option<usize>,
    recorded_at: Option<usize>,
    last_activity: Option<usize>,
    /// The column that says what changed since.
    changed: Option<usize>,
}

impl<'a> Wanted<'a> {
    fn new(table: &'a Table, collection: &'a Collection, reading: &Reading) -> Result<Self, Failure> {
        let key = table.key(collection);
        if key.is_empty() {
            let what = format!("{}: nothing names its rows; add `quietus: {{key: […]}}`", reading.dataset);
            return Err(Failure::fatal("missing_key", what));
        }
        let mut columns = Vec::new();
        let mut place = |column: Option<&str>| -> Result<Option<usize>, Failure> {
            let Some(column) = column else { return Ok(None) };
            if table.column(column).is_none() {
                let what = format!("{}.{column}: there is no such column", reading.dataset);
                return Err(Failure::fatal("missing_column", what));
            }
            columns.push(quote(column));
            Ok(Some(columns.len() - 1))
        };
        for column in &key {
            place(Some(column))?;
        }
        let subject = place(collection.subject.as_ref().map(|s| s.column.as_str()))?;
        let item = place(collection.item.as_deref())?;
        let process = place(collection.process.as_deref())?;
        let jurisdiction = match &collection.jurisdiction {
            Some(ColumnOr::Column(column)) => place(Some(column))?,
            Some(ColumnOr::Literal(_)) | None => None,
        };
        let recorded_at = place(collection.recorded_at.as_deref())?;
        let last_activity = place(collection.last_activity.as_deref())?;
        let changed = place(reading.since.as_ref().map(|s| s.column.as_str()))?;
        let order: Vec<String> = match &table.rowid {
            Some(name) => vec![name.clone()],
            None => key.iter().map(|c| quote(c)).collect(),
        };
        columns.extend(order.iter().cloned());
        Ok(Self {
            table,
            collection,
            key,
            columns,
            order,
            subject,
            item,
            process,
            jurisdiction,
            recorded_at,
            last_activity,
            changed,
        })
    }

    /// Rows are passed over here and not by the statement, so that a page ends after so many rows *looked at*.
    fn read(&self, conn: &Connection, reading: &Reading) -> Result<Page, Failure> {
        let (sql, values) = self.statement(reading)?;
        let at = crate::config::clock(conn).map_err(|e| fault::of(&e))?;
        let mut page = Page { at: Some(at), ..Page::default() };
        let mut last: Option<Vec<Value>> = None;
        let mut looked_at = 0;
        let mut read = || -> rusqlite::Result<()> {
            let mut statement = conn.prepare(&sql)?;
            let mut rows = statement.query(params_from_iter(&values))?;
            while let Some(row) = rows.next()? {
                let row: Vec<Value> = (0..self.columns.len())
                    .map(|i| row.get_ref(i).map(stored))
                    .collect::<rusqlite::Result<_>>()?;
                looked_at += 1;
                let from = row.len().saturating_sub(self.order.len());
                last = row.get(from..).map(<[Value]>::to_vec);
                if self.is_new(&row, reading) {
                    match self.row(&row) {
                        ControlFlow::Continue(row) => page.rows.push(row),
                        ControlFlow::Break(()) => page.nameless += 1,
                    }
                }
            }
            Ok(())
        };
        read().map_err(|e| fault::of(&e))?;
        if looked_at >= reading.limit.max(1) {
            page.next = last.map(|values| cursor(&values));
        }
        Ok(page)
    }

    fn statement(&self, reading: &Reading) -> Result<(String, Vec<Value>), Failure> {
        let mut conditions = Vec::new();
        let mut values = Vec::new();
        if let Some(condition) = self.collection.where_.as_deref().filter(|w| !w.trim().is_empty()) {
            // Closed by a line break, so that a comment in it ends there.
            conditions.push(format!("({condition}\n)"));
        }
        if let Some(after) = &reading.after {
            values = position(after).filter(|values| values.len() == self.order.len()).ok_or_else(|| {
                Failure::fatal("internal", "this is no place where a page of this connector ended")
            })?;
            let marks: Vec<&str> = self.order.iter().map(|_| "?").collect();
            conditions.push(format!("({}) > ({})", self.order.join(", "), marks.join(", ")));
        }
        let conditions = if conditions.is_empty() {
            String::new()
        } else {
            format!(" WHERE {}", conditions.join(" AND "))
        };
        let sql = format!(
            "SELECT {} FROM {}{conditions} ORDER BY {} LIMIT {}",
            self.columns.join(", "),
            quote(&self.table.name),
            self.order.join(", "),
            reading.limit.max(1)
        );
        Ok((sql, values))
    }

    fn is_new(&self, row: &[Value], reading: &Reading) -> bool {
        let Some(since) = &reading.since else { return true };
        let at = self.changed.and_then(|i| row.get(i)).and_then(moment);
        // What says no time may have changed at any.
        at.is_none_or(|at| at >= since.from)
    }

    /// Break = a key column is empty.
    fn row(&self, row: &[Value]) -> ControlFlow<(), ScannedRow> {
        let text = |at: Option<usize>| match row.get(at?) {
            None | Some(Value::Null) => None,
            Some(value) => Some(shown(value)),
        };
        let time = |at: Option<usize>| row.get(at?).and_then(moment);
        let mut locator = quietus_contract::Locator::new();
        for (column, value) in self.key.iter().zip(row) {
            let scalar = match value {
                Value::Null => return ControlFlow::Break(()),
                Value::Integer(n) => Scalar::Integer(*n),
                Value::Real(r) => match value::whole(*r) {
                    Some(n) => Scalar::Integer(n),
                    None => Scalar::Number(Secret::new(r.to_string())),
                },
                Value::Text(_) | Value::Blob(_) => Scalar::Text(Secret::new(shown(value))),
            };
            locator.insert(column.clone(), scalar);
        }
        ControlFlow::Continue(ScannedRow {
            locator,
            subject: text(self.subject).map(Secret::new),
            item: text(self.item).map(Secret::new),
            process: text(self.process).map(Secret::new),
            jurisdiction: text(self.jurisdiction),
            recorded_at: time(self.recorded_at),
            last_activity: time(self.last_activity),
        })
    }
}

/// SQLite keeps times as text, as seconds and their thousandths, or as Julian days.
fn moment(value: &Value) -> Option<i64> {
    /// Julian days from the year 1 to 9999; as seconds they would be in January 1970.
    const JULIAN: std::ops::Range<f64> = 1_721_425.0..5_373_485.0;
    const EPOCH: f64 = 2_440_587.5;
    match value {
        Value::Text(text) => time_of_text(text).or_else(|| time_of_number(text.trim().parse().ok()?)),
        Value::Integer(n) => time_of_number(*n),
        Value::Real(days) if JULIAN.contains(days) => Some(((days - EPOCH) * 86_400_000.0).round() as i64),
        Value::Real(seconds) if seconds.abs() < 1e11 => Some((seconds * 1_000.0).round() as i64),
        Value::Real(_) | Value::Null | Value::Blob(_) => None,
    }
}

fn quote(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}

/// Values with their storage classes, because SQLite orders by those first.
fn cursor(values: &[Value]) -> Secret {
    let one = |value: &Value| match value {
        Value::Null => json!(["n"]),
        Value::Integer(n) => json!(["i", n]),
        Value::Real(r) => json!(["r", r.to_bits()]),
        Value::Text(t) => json!(["t", t]),
        Value::Blob(_) => json!(["b", shown(value)]),
    };
    Secret::new(serde_json::Value::Array(values.iter().map(one).collect()).to_string())
}

fn position(cursor: &Secret) -> Option<Vec<Value>> {
    let values: Vec<serde_json::Value> = serde_json::from_str(cursor.reveal()).ok()?;
    let one = |value: &serde_json::Value| {
        let inner = value.get(1);
        Some(match value.get(0)?.as_str()? {
            "i" => Value::Integer(inner?.as_i64()?),
            "r" => Value::Real(f64::from_bits(inner?.as_u64()?)),
            "t" => Value::Text(inner?.as_str()?.to_owned()),
            "b" => Value::Blob(value::bytes(inner?.as_str()?)?),
            _ => Value::Null,
        })
    };
    values.iter().map(one).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_place_comes_back_with_its_storage_classes() {
        let values = vec![
            Value::Integer(-7),
            Value::Real(1.5),
            Value::Text("ü\"".into()),
            Value::Blob(vec![0, 255]),
            Value::Null,
        ];
        assert_eq!(position(&cursor(&values)), Some(values));
        assert!(!format!("{:?}", cursor(&[Value::Text("ann".into())])).contains("ann"));
    }

    #[test]
    fn every_way_sqlite_keeps_a_time_is_read() {
        let noon = Some(1_709_208_000_000);
        for value in [
            Value::Text("2024-02-29 12:00:00".into()),
            Value::Integer(1_709_208_000),
            Value::Real(2_460_370.0),
            Value::Real(1_709_208_000.0),
            Value::Text("1709208000".into()),
        ] {
            assert_eq!(moment(&value), noon, "{value:?}");
        }
        assert_eq!(moment(&Value::Null), None);
    }
}
