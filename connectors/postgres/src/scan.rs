//! A page of a table in the order of its key, by the index that the key has.
//!
//! Invariant: every page is a transaction of its own, read-only, that is over before its rows are looked at; so a
//! scan keeps no snapshot, and may run on a replica. Rejected: a cursor, and `COPY`, which hold one snapshot for as
//! long as the reader takes.

use quietus_contract::{
    Failure, Locator, Page, Reading, Scalar, ScannedRow, Secret, time_of_number, time_of_text,
};
use quietus_core::system::{Collection, ColumnOr};
use tokio_postgres::Row;
use tokio_postgres::types::ToSql;

use crate::PostgresConnector;
use crate::failure::{Concerns, Fault};
use crate::pool::Lease;
use crate::types::{Column, Table, get, quote};

pub(crate) async fn page(connector: &PostgresConnector, reading: &Reading) -> Result<Page, Failure> {
    let mut lease = connector.read.lease().await?;
    match read(connector, &mut lease, reading).await {
        Ok(page) => {
            lease.roll_back().await;
            Ok(page)
        }
        Err(fault) => {
            // Names or types may have changed: what was read of them is not believed any longer.
            if fault.concerns == Concerns::Table {
                connector.seen.forget();
            }
            Err(fault.failure)
        }
    }
}

async fn read(connector: &PostgresConnector, lease: &mut Lease, reading: &Reading) -> Result<Page, Fault> {
    let table = connector.seen.table(lease, &connector.manifest, &reading.dataset).await?;
    let missing =
        |code, what: String| Fault { failure: Failure::fatal(code, what), concerns: Concerns::Table };
    let Some((_, collection)) = connector.manifest.collection(&reading.dataset) else {
        return Err(missing(
            "missing_table",
            format!("{}: the manifest has no such collection", reading.dataset),
        ));
    };
    if table.key.is_empty() {
        let what = format!("{}: nothing names its rows; add `quietus: {{key: […]}}`", reading.dataset);
        return Err(missing("missing_key", what));
    }
    let wanted = Wanted::new(&table, collection, reading).map_err(|column| {
        missing("missing_column", format!("{}.{column}: there is no such column", reading.dataset))
    })?;
    let after = reading
        .after
        .as_ref()
        .map(|a| position(a, table.key.len()))
        .transpose()
        .map_err(|f| Fault { failure: f, concerns: Concerns::Row })?;
    let sql = wanted.statement(after.is_some(), reading);
    let mut values: Vec<&(dyn ToSql + Sync)> = Vec::new();
    for value in after.iter().flatten() {
        values.push(value);
    }
    if let Some(since) = &reading.since {
        values.push(&since.from);
    }
    let at = lease.begin_read(&table.shown).await?;
    let rows = lease.query(&sql, &values).await.map_err(|e| Fault::read(&e, &table.shown))?;
    let mut page = Page { at, ..Page::default() };
    for row in &rows {
        match wanted.row(row)? {
            Some(row) => page.rows.push(row),
            None => page.nameless += 1,
        }
    }
    if rows.len() >= reading.limit.max(1) {
        page.next = rows.last().map(|row| wanted.cursor(row)).transpose()?;
    }
    Ok(page)
}

/// How a time column comes: as milliseconds where the database knows it as a time, else as text.
#[derive(Clone, Copy)]
enum Time {
    Millis(usize),
    Text(usize),
}

/// The columns that a page is made of, by their place in the statement; those of the key come first.
struct Wanted<'a> {
    table: &'a Table,
    expressions: Vec<String>,
    subject: Option<usize>,
    item: Option<usize>,
    process: Option<usize>,
    jurisdiction: Option<usize>,
    recorded_at: Option<Time>,
    last_activity: Option<Time>,
    where_: Option<&'a String>,
    /// Milliseconds of the column that says what changed since.
    changed: Option<String>,
}

impl<'a> Wanted<'a> {
    /// The error is the column that is not there.
    fn new(table: &'a Table, collection: &'a Collection, reading: &Reading) -> Result<Self, String> {
        let find = |column: &str| table.columns.get(column).ok_or_else(|| column.to_owned());
        let mut expressions = Vec::new();
        for column in &table.key {
            find(column)?;
            expressions.push(text(column));
        }
        let mut place = |column: Option<&str>| -> Result<Option<usize>, String> {
            let Some(column) = column else { return Ok(None) };
            find(column)?;
            expressions.push(text(column));
            Ok(Some(expressions.len() - 1))
        };
        let subject = place(collection.subject.as_ref().map(|s| s.column.as_str()))?;
        let item = place(collection.item.as_deref())?;
        let process = place(collection.process.as_deref())?;
        let jurisdiction = match &collection.jurisdiction {
            Some(ColumnOr::Column(column)) => place(Some(column))?,
            Some(ColumnOr::Literal(_)) | None => None,
        };
        let mut time = |column: Option<&str>| -> Result<Option<Time>, String> {
            let Some(column) = column else { return Ok(None) };
            let native = millis(column, find(column)?);
            expressions.push(native.clone().unwrap_or_else(|| text(column)));
            let at = expressions.len() - 1;
            Ok(Some(if native.is_some() { Time::Millis(at) } else { Time::Text(at) }))
        };
        let recorded_at = time(collection.recorded_at.as_deref())?;
        let last_activity = time(collection.last_activity.as_deref())?;
        let changed = match &reading.since {
            None => None,
            Some(since) => {
                let column = find(&since.column)?;
                Some(millis(&since.column, column).unwrap_or_else(|| epoch(&since.column)))
            }
        };
        let where_ = table.where_.as_ref();
        Ok(Self {
            table,
            expressions,
            subject,
            item,
            process,
            jurisdiction,
            recorded_at,
            last_activity,
            where_,
            changed,
        })
    }

    /// Parameters: the key of the last row, where there is one, then the time since when.
    fn statement(&self, goes_on: bool, reading: &Reading) -> String {
        // Qualified: a bare name in ORDER BY is the output column, which is text.
        let key: Vec<String> =
            self.table.key.iter().map(|c| format!("{}.{}", self.table.alias, quote(c))).collect();
        let mut conditions: Vec<String> = self.where_.into_iter().cloned().collect();
        let mut next = 1;
        if goes_on {
            let base = |c: &String| self.table.columns.get(c).map_or("text", |c| c.base.as_str());
            let marks: Vec<String> =
                self.table.key.iter().zip(next..).map(|(c, n)| format!("${n}::text::{}", base(c))).collect();
            next += marks.len();
            conditions.push(format!("({}) > ({})", key.join(", "), marks.join(", ")));
        }
        if let Some(changed) = &self.changed {
            // What says no time may have changed at any.
            conditions.push(format!("coalesce({changed} >= ${next}::int8, true)"));
        }
        let conditions = if conditions.is_empty() {
            String::new()
        } else {
            format!(" WHERE {}", conditions.join(" AND "))
        };
        format!(
            "SELECT {} FROM {}{conditions} ORDER BY {} LIMIT {}",
            self.expressions.join(", "),
            self.table.name,
            key.join(", "),
            reading.limit.max(1)
        )
    }

    /// None = a key column is empty.
    fn row(&self, row: &Row) -> Result<Option<ScannedRow>, Fault> {
        let shown = &self.table.shown;
        let mut locator = Locator::new();
        for (at, column) in self.table.key.iter().enumerate() {
            let Some(value) = get::<Option<&str>>(row, at, shown)? else { return Ok(None) };
            let base = self.table.columns.get(column).map_or("text", |c| c.base.as_str());
            locator.insert(column.clone(), scalar(value, base));
        }
        let text = |at: Option<usize>| -> Result<Option<&str>, Fault> {
            at.map_or(Ok(None), |at| get(row, at, shown))
        };
        let time = |time: Option<Time>| -> Result<Option<i64>, Fault> {
            Ok(match time {
                None => None,
                Some(Time::Millis(at)) => get(row, at, shown)?,
                Some(Time::Text(at)) => get::<Option<&str>>(row, at, shown)?
                    .and_then(|t| time_of_text(t).or_else(|| time_of_number(t.trim().parse().ok()?))),
            })
        };
        Ok(Some(ScannedRow {
            locator,
            subject: text(self.subject)?.map(Secret::new),
            item: text(self.item)?.map(Secret::new),
            process: text(self.process)?.map(Secret::new),
            jurisdiction: text(self.jurisdiction)?.map(str::to_owned),
            recorded_at: time(self.recorded_at)?,
            last_activity: time(self.last_activity)?,
        }))
    }

    fn cursor(&self, row: &Row) -> Result<Secret, Fault> {
        let key: Vec<Option<&str>> =
            (0..self.table.key.len()).map(|at| get(row, at, &self.table.shown)).collect::<Result<_, _>>()?;
        Ok(Secret::new(serde_json::to_string(&key).unwrap_or_default()))
    }
}

fn position(after: &Secret, width: usize) -> Result<Vec<Option<String>>, Failure> {
    serde_json::from_str::<Vec<Option<String>>>(after.reveal())
        .ok()
        .filter(|key| key.len() == width)
        .ok_or_else(|| Failure::fatal("internal", "this is no place where a page of this connector ended"))
}

fn text(column: &str) -> String {
    format!("{}::text", quote(column))
}

/// Milliseconds since the epoch, where the database knows the column as a time; infinity is no time.
fn millis(column: &str, described: &Column) -> Option<String> {
    let name = quote(column);
    let zoned = match described.base.as_str() {
        "timestamp with time zone" | "timestamp without time zone" => name.clone(),
        "date" => format!("{name}::timestamp"),
        _ => return None,
    };
    Some(format!("CASE WHEN isfinite({name}) THEN floor(extract(epoch FROM {zoned}) * 1000)::int8 END"))
}

/// A number since the epoch in the unit that its size tells, as the contract reads it; NULL for anything else.
fn epoch(column: &str) -> String {
    let name = quote(column);
    format!(
        "CASE WHEN {name}::text !~ '^-?[0-9]{{1,18}}$' THEN NULL \
         WHEN abs({name}::text::int8) < 100000000000 THEN {name}::text::int8 * 1000 \
         WHEN abs({name}::text::int8) < 100000000000000 THEN {name}::text::int8 \
         WHEN abs({name}::text::int8) < 100000000000000000 THEN {name}::text::int8 / 1000 \
         ELSE {name}::text::int8 / 1000000 END"
    )
}

fn scalar(value: &str, base: &str) -> Scalar {
    match (base, value.parse()) {
        ("bigint" | "integer" | "smallint", Ok(number)) => Scalar::Integer(number),
        ("numeric" | "double precision" | "real", Ok(number)) => Scalar::Integer(number),
        ("numeric" | "double precision" | "real", Err(_)) => Scalar::Number(Secret::new(value)),
        _ => Scalar::Text(Secret::new(value)),
    }
}
