//! What the database says of itself, for registering it.

use quietus_contract::Failure;
use quietus_contract::catalogue::{Catalogue, Column, ColumnKind, ForeignKey, PassedOver, Table};
use rusqlite::Connection;

use crate::config::Config;
use crate::fault;
use crate::schema::{self, read_table};
use crate::value::Affinity;

pub(crate) fn read(config: &Config) -> Result<Catalogue, Failure> {
    let conn = config.reader()?;
    tables(&conn).map_err(|e| fault::of(&e))
}

fn tables(conn: &Connection) -> rusqlite::Result<Catalogue> {
    // A module's shadow tables are its own affair, and SQLite's are nobody's.
    let sql = "SELECT name, type FROM pragma_table_list
               WHERE schema = 'main' AND type IN ('table', 'view', 'virtual') AND name NOT LIKE 'sqlite\\_%' ESCAPE '\\'
               ORDER BY name";
    let mut statement = conn.prepare(sql)?;
    let listed: Vec<(String, String)> =
        statement.query_map([], |r| Ok((r.get(0)?, r.get(1)?)))?.collect::<rusqlite::Result<_>>()?;
    let mut catalogue = Catalogue::default();
    for (name, kind) in listed {
        match kind.as_str() {
            "table" => catalogue.tables.extend(read_table(conn, &name)?.map(|t| described(conn, &t))),
            "view" => catalogue.passed_over.push(PassedOver { name, what: "a view" }),
            _ => catalogue.passed_over.push(PassedOver { name, what: "a virtual table" }),
        }
    }
    Ok(catalogue)
}

fn described(conn: &Connection, table: &schema::Table) -> Table {
    let columns = table.columns.iter().map(|c| Column {
        name: c.name.clone(),
        declared: c.declared.clone(),
        kind: kind(&c.declared, c.affinity),
        nullable: !c.not_null && !table.primary_key.contains(&c.name),
        has_default: c.default.is_some(),
        unique: table.is_unique(std::slice::from_ref(&c.name)),
        length: length(&c.declared),
    });
    let references = table.parents.iter().map(|f| ForeignKey {
        columns: f.columns.clone(),
        schema: None,
        table: f.parent.clone(),
        to: f.to.clone(),
    });
    Table {
        schema: None,
        name: table.name.clone(),
        rows: estimate(conn, table),
        columns: columns.collect(),
        key: key(table),
        references: references.collect(),
    }
}

/// The primary key, else the narrowest unique index over columns that are never empty.
fn key(table: &schema::Table) -> Vec<String> {
    if !table.primary_key.is_empty() {
        return table.primary_key.clone();
    }
    let never_empty = |name: &String| table.column(name).is_some_and(|c| c.not_null);
    let unique = table.indexes.iter().filter(|(columns, unique)| *unique && columns.iter().all(never_empty));
    unique.map(|(columns, _)| columns.clone()).min_by_key(Vec::len).unwrap_or_default()
}

/// The highest rowid: a look at the end of the table, where counting would read all of it.
fn estimate(conn: &Connection, table: &schema::Table) -> Option<u64> {
    let rowid = table.rowid.as_ref()?;
    let name = table.name.replace('"', "\"\"");
    let highest: Option<i64> =
        conn.query_row(&format!("SELECT max({rowid}) FROM \"{name}\""), [], |r| r.get(0)).ok()?;
    Some(highest.unwrap_or_default().max(0).unsigned_abs())
}

fn kind(declared: &str, affinity: Affinity) -> ColumnKind {
    let upper = declared.to_ascii_uppercase();
    let has = |part: &str| upper.contains(part);
    if has("DATE") || has("TIME") {
        return ColumnKind::Time;
    }
    if has("BOOL") {
        return ColumnKind::Boolean;
    }
    if has("JSON") {
        return ColumnKind::Document;
    }
    if has("UUID") {
        return ColumnKind::Uuid;
    }
    match affinity {
        Affinity::Integer => ColumnKind::Integer,
        Affinity::Real | Affinity::Numeric => ColumnKind::Number,
        Affinity::Text => ColumnKind::Text,
        Affinity::Blob => ColumnKind::Bytes,
        Affinity::Any => ColumnKind::Other,
    }
}

/// `VARCHAR(64)`: SQLite takes longer texts, the application may not.
fn length(declared: &str) -> Option<u32> {
    let upper = declared.to_ascii_uppercase();
    let inside = upper.split_once('(')?.1.split_once(')')?.0;
    inside.trim().parse().ok().filter(|length| upper.contains("CHAR") && *length > 0)
}
