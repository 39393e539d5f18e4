//! Everything that would make a command fail, found before one is sent. Reads only, in a read-only session.
//!
//! The clock's skew is the caller's to judge: it has its own clock and our `now()`.

use std::collections::BTreeSet;

use quietus_contract::{CheckReport, Failure, Problem};
use quietus_core::system::{Collection, ColumnOr};
use quietus_core::verdict::Action;

use crate::PostgresConnector;
use crate::failure::Fault;
use crate::pool::Lease;
use crate::step::{clearing, settable};
use crate::types::{self, Table, get};

/// `txid_current`, generated columns and identity columns as used here.
const VERSION_MIN: i32 = 120_000;

pub(crate) async fn check(connector: &PostgresConnector) -> CheckReport {
    let system = &connector.manifest.system;
    let mut report = Report { problems: Vec::new() };
    report.warn(
        "cannot_execute",
        system,
        "this connector cannot anonymise, pseudonymise or restrict",
        "use `then: erase` or `mask` for what lies here",
    );
    if let Err(failure) = read(connector, &mut report).await {
        report.fail(system, &failure);
    }
    CheckReport { problems: report.problems }
}

/// The action as people say it.
pub(crate) fn verb(action: Action) -> &'static str {
    match action {
        Action::Restrict => "restrict",
        Action::Mask => "mask",
        Action::Pseudonymise => "pseudonymise",
        Action::Anonymise => "anonymise",
        Action::Erase => "erase",
    }
}

struct Report {
    problems: Vec<Problem>,
}

impl Report {
    fn fatal(&mut self, code: &'static str, place: &str, detail: impl Into<String>, fix: impl Into<String>) {
        self.add(true, code, place, detail.into(), fix.into());
    }

    fn warn(&mut self, code: &'static str, place: &str, detail: impl Into<String>, fix: impl Into<String>) {
        self.add(false, code, place, detail.into(), fix.into());
    }

    fn fail(&mut self, place: &str, failure: &Failure) {
        let fix = match failure.code {
            "denied" => "grant the connector's role what it needs",
            "missing_table" | "missing_column" => "correct the dataset, or the schema it names",
            _ => "see that the server is up and that connection.url is right, then check again",
        };
        self.fatal(failure.code, place, failure.detail.clone(), fix);
    }

    fn add(&mut self, fatal: bool, code: &'static str, place: &str, detail: String, fix: String) {
        self.problems.push(Problem { fatal, code, place: place.to_owned(), detail, fix });
    }
}

async fn read(connector: &PostgresConnector, report: &mut Report) -> Result<(), Failure> {
    let mut lease = connector.read.lease().await?;
    let faulty = |e| Fault::read(&e, "check").failure;
    lease.begin_read("check").await.map_err(|f| f.failure)?;
    server(connector, &mut lease, report).await.map_err(faulty)?;
    let mut tables = Vec::new();
    for dataset in &connector.manifest.datasets {
        for collection in &dataset.collections {
            let name = format!("{}.{}", dataset.fides_key, collection.name);
            lease.script("SAVEPOINT quietus").await.map_err(faulty)?;
            match types::read(&mut lease, &connector.manifest, &name).await {
                Ok(table) => tables.push((collection, table)),
                Err(fault) => {
                    report.fail(&name, &fault.failure);
                    lease.script("ROLLBACK TO SAVEPOINT quietus").await.map_err(faulty)?;
                }
            }
        }
    }
    let mapped: BTreeSet<u32> = tables.iter().map(|(_, t)| t.oid).collect();
    for (collection, table) in &tables {
        columns(collection, table, report);
        rights(&mut lease, collection, table, report).await.map_err(|f| f.failure)?;
        replacements(&mut lease, collection, table, report).await.map_err(|f| f.failure)?;
        indexes(&mut lease, collection, table, report).await.map_err(|f| f.failure)?;
        children(table, &mapped, report);
    }
    lease.roll_back().await;
    Ok(())
}

async fn server(
    connector: &PostgresConnector,
    lease: &mut Lease,
    report: &mut Report,
) -> Result<(), tokio_postgres::Error> {
    let system = &connector.manifest.system;
    let sql = "SELECT current_setting('server_version_num'), pg_is_in_recovery()::text, \
               current_setting('default_transaction_read_only')";
    let row = lease.script(sql).await?;
    let is = |at: usize, text: &str| row.get(at).is_some_and(|t| t == text);
    if row.first().and_then(|v| v.parse::<i32>().ok()).is_none_or(|v| v < VERSION_MIN) {
        report.fatal("cannot_execute", system, "the server is older than PostgreSQL 12", "upgrade it");
    }
    if is(1, "true") {
        report.fatal("denied", system, "the server is a standby", "name the primary in connection.url");
    } else if is(2, "on") {
        let fix = "ALTER ROLE … SET default_transaction_read_only = off for the connector's role";
        report.fatal("denied", system, "sessions of this role are read-only", fix);
    }
    Ok(())
}

/// Every column that the dataset names must be there.
fn columns(collection: &Collection, table: &Table, report: &mut Report) {
    let jurisdiction = match &collection.jurisdiction {
        Some(ColumnOr::Column(name)) => Some(name),
        Some(ColumnOr::Literal(_)) | None => None,
    };
    let named: BTreeSet<&String> = (collection.key.iter())
        .chain(collection.subject.iter().map(|s| &s.column))
        .chain(&collection.recorded_at)
        .chain(&collection.last_activity)
        .chain(jurisdiction)
        .chain(&collection.process)
        .chain(&collection.item)
        .chain(&collection.soft_delete)
        .chain(collection.references.iter().flat_map(|r| &r.columns))
        .chain(collection.fields.iter().map(|f| &f.name))
        .collect();
    for name in named.into_iter().filter(|name| !table.columns.contains_key(*name)) {
        let place = format!("{}.{name}", table.shown);
        report.fatal(
            "missing_column",
            &place,
            "the table has no such column",
            "names are literal: correct the dataset",
        );
    }
}

async fn rights(
    lease: &mut Lease,
    collection: &Collection,
    table: &Table,
    report: &mut Report,
) -> Result<(), Fault> {
    let place = &table.shown;
    let sql = "SELECT has_table_privilege($1::oid, 'SELECT'), has_table_privilege($1::oid, 'DELETE'), \
               row_security_active($1::oid), has_schema_privilege(c.relnamespace, 'USAGE') FROM pg_class c WHERE c.oid = $1";
    let rows = lease.query(sql, &[&table.oid]).await.map_err(|e| Fault::read(&e, place))?;
    let Some(row) = rows.first() else { return Ok(()) };
    for (at, right) in [(0, "SELECT"), (1, "DELETE")] {
        if !get::<bool>(row, at, place)? {
            let fix = format!("GRANT {right} ON {} TO the connector's role", table.name);
            report.fatal("denied", place, format!("the role may not {right}"), fix);
        }
    }
    if !get::<bool>(row, 3, place)? {
        report.fatal(
            "denied",
            place,
            "the role may not use the schema",
            "GRANT USAGE ON SCHEMA … TO the connector's role",
        );
    }
    if get(row, 2, place)? {
        let detail = "row security hides rows from this role, so that nothing could be said to be gone";
        report.fatal("denied", place, detail, "ALTER ROLE … BYPASSRLS for the connector's role");
    }
    for field in collection.fields.iter().filter(|f| !f.categories.is_empty() && f.waived.is_none()) {
        if settable(table, &field.name).is_err() {
            continue;
        }
        let sql = "SELECT has_column_privilege($1::oid, $2::text, 'UPDATE')";
        let rows = lease.query(sql, &[&table.oid, &field.name]).await.map_err(|e| Fault::read(&e, place))?;
        if let Some(row) = rows.first()
            && !get::<bool>(row, 0, place)?
        {
            let fix = format!(
                "GRANT UPDATE ({}) ON {} TO the connector's role",
                types::quote(&field.name),
                table.name
            );
            report.fatal(
                "denied",
                &format!("{place}.{}", field.name),
                "the role may not UPDATE this column",
                fix,
            );
        }
    }
    Ok(())
}

/// Whether each personal field could be masked.
async fn replacements(
    lease: &mut Lease,
    collection: &Collection,
    table: &Table,
    report: &mut Report,
) -> Result<(), Fault> {
    for field in collection.fields.iter().filter(|f| f.waived.is_none()) {
        let place = format!("{}.{}", table.shown, field.name);
        if field.fields.iter().any(|f| !f.categories.is_empty()) {
            let fix = "delete the row as a whole, or move these values to columns of their own";
            report.warn(
                "cannot_execute",
                &place,
                "fields inside a column cannot be masked or corrected",
                fix,
            );
            continue;
        }
        let Some(column) = table.columns.get(&field.name).filter(|_| !field.categories.is_empty()) else {
            continue;
        };
        if let Err(detail) = settable(table, &field.name) {
            report.warn(
                "cannot_execute",
                &place,
                detail,
                "only deleting the row as a whole takes this value away",
            );
            continue;
        }
        match (clearing(table, collection, &field.name), &field.mask) {
            // It goes with its record; only a rule for its category alone would want it masked.
            (Err(detail), _) if collection.tells_apart(&field.name) => {
                report.warn("not_null", &place, detail, "add `quietus: {mask: …}` to the field")
            }
            (Err(detail), _) => {
                report.fatal("not_null", &place, detail, "add `quietus: {mask: …}` to the field")
            }
            (Ok(_), Some(mask)) => {
                let faulty = |e| Fault::read(&e, &place);
                lease.script("SAVEPOINT quietus").await.map_err(faulty)?;
                // The cast to the declared type cuts a text that is too long: then it is no longer the mask.
                let sql =
                    format!("SELECT ($1::text)::{}::text = ($1::text)::{}::text", column.full, column.base);
                let fits = match lease.query(&sql, &[mask]).await {
                    Ok(rows) => {
                        rows.first().is_some_and(|r| r.try_get(0).unwrap_or(false)) || !column.is_text
                    }
                    Err(_) => false,
                };
                lease.script("ROLLBACK TO SAVEPOINT quietus").await.map_err(faulty)?;
                if !fits {
                    let detail = format!("the mask is no value of type {}", column.full);
                    report.fatal("cannot_execute", &place, detail, "choose a mask that the column can hold");
                }
            }
            (Ok(_), None) => {}
        }
    }
    Ok(())
}

async fn indexes(
    lease: &mut Lease,
    collection: &Collection,
    table: &Table,
    report: &mut Report,
) -> Result<(), Fault> {
    let place = &table.shown;
    if table.key.is_empty() {
        let fix = "add a primary key, or name the key columns: `quietus: {key: […]}`";
        report.fatal("missing_key", place, "the table has no primary key and the dataset names none", fix);
    } else {
        let rows =
            lease.query(UNIQUE, &[&table.oid, &table.key]).await.map_err(|e| Fault::read(&e, place))?;
        if let Some(row) = rows.first()
            && !get::<bool>(row, 0, place)?
        {
            let detail =
                format!("no primary key or unique index says that {} names one row", table.key.join(", "));
            report.fatal(
                "missing_key",
                place,
                detail,
                "name unique columns as the key, or add a unique index",
            );
        }
    }
    let referring = collection.references.iter().filter_map(|r| r.columns.first());
    for column in collection.subject.iter().map(|s| &s.column).chain(referring).collect::<BTreeSet<_>>() {
        let rows = lease.query(LEADING, &[&table.oid, column]).await.map_err(|e| Fault::read(&e, place))?;
        if let Some(row) = rows.first()
            && !get::<bool>(row, 0, place)?
        {
            let detail = "no index starts with this column: the read-back by identity and look-ups read the whole table";
            let fix = format!("CREATE INDEX CONCURRENTLY ON {} ({})", table.name, types::quote(column));
            report.warn("missing_index", &format!("{place}.{column}"), detail, fix);
        }
    }
    Ok(())
}

/// What deleting a row here does to the tables that refer to it.
fn children(table: &Table, mapped: &BTreeSet<u32>, report: &mut Report) {
    for key in &table.children {
        let columns: Vec<String> = key.columns.iter().map(|(theirs, _)| types::quote(theirs)).collect();
        if !key.is_indexed {
            let detail = format!(
                "{} refers to this table (constraint {}) without an index: each delete reads it whole",
                key.child_name, key.name
            );
            let fix = format!("CREATE INDEX CONCURRENTLY ON {} ({})", key.child_name, columns.join(", "));
            report.warn("missing_index", &table.shown, detail, fix);
        }
        if key.cascades && !mapped.contains(&key.child) {
            let detail = format!(
                "deleting here deletes rows of {} too (constraint {}, ON DELETE CASCADE), which no dataset maps: no \
                 hold and no minimum protects them",
                key.child_name, key.name
            );
            report.warn(
                "cascades",
                &table.shown,
                detail,
                "map that table in a dataset if it holds personal data",
            );
        }
    }
}

const UNIQUE: &str = "
SELECT EXISTS (SELECT FROM pg_catalog.pg_index i WHERE i.indrelid = $1 AND i.indisunique AND i.indisvalid
    AND i.indpred IS NULL AND i.indexprs IS NULL
    AND (SELECT array_agg(a.attname::text) FROM pg_catalog.pg_attribute a
         WHERE a.attrelid = i.indrelid AND a.attnum = ANY ((i.indkey::int2[])[0:i.indnkeyatts - 1])) <@ $2::text[])";

const LEADING: &str = "
SELECT EXISTS (SELECT FROM pg_catalog.pg_index i JOIN pg_catalog.pg_attribute a
    ON a.attrelid = i.indrelid AND a.attnum = i.indkey[0]
    WHERE i.indrelid = $1 AND i.indisvalid AND i.indpred IS NULL AND a.attname = $2::text)";
