//! What the database says of itself, for registering it: four statements on its catalogue, none on its rows.

use std::collections::BTreeMap;

use quietus_contract::Failure;
use quietus_contract::catalogue::{Catalogue, Column, ColumnKind, ForeignKey, PassedOver, Table};
use tokio_postgres::Row;

use crate::failure::Fault;
use crate::pool::{Lease, Pool};
use crate::types::get;

pub(crate) async fn read(pool: &Pool) -> Result<Catalogue, Failure> {
    let mut lease = pool.lease().await?;
    let catalogue = gather(&mut lease).await.map_err(|fault| fault.failure)?;
    lease.roll_back().await;
    Ok(catalogue)
}

async fn gather(lease: &mut Lease) -> Result<Catalogue, Fault> {
    lease.begin_read(WHERE).await?;
    let mut tables: BTreeMap<u32, Table> = BTreeMap::new();
    let mut order = Vec::new();
    let mut passed_over = Vec::new();
    for row in rows(lease, TABLES).await? {
        let (oid, schema, name): (u32, String, String) = (at(&row, 0)?, at(&row, 1)?, at(&row, 2)?);
        if let Some(what) = apart(&at::<String>(&row, 3)?, at(&row, 5)?, at(&row, 6)?) {
            passed_over.push(PassedOver { name: format!("{schema}.{name}"), what });
            continue;
        }
        // Before the first ANALYZE the estimate is -1.
        let rows = u64::try_from(at::<i64>(&row, 4)?).ok();
        order.push(oid);
        tables.insert(oid, Table { schema: Some(schema), name, rows, ..Table::default() });
    }
    for row in rows(lease, COLUMNS).await? {
        let Some(table) = tables.get_mut(&at(&row, 0)?) else { continue };
        table.columns.push(column(&row)?);
    }
    for row in rows(lease, KEYS).await? {
        let Some(table) = tables.get_mut(&at(&row, 0)?).filter(|t| t.key.is_empty()) else { continue };
        table.key = at(&row, 1)?;
    }
    for row in rows(lease, REFERENCES).await? {
        let Some(table) = tables.get_mut(&at(&row, 0)?) else { continue };
        table.references.push(ForeignKey {
            columns: at(&row, 1)?,
            schema: at(&row, 2)?,
            table: at(&row, 3)?,
            to: at(&row, 4)?,
        });
    }
    let tables = order.iter().filter_map(|oid| tables.remove(oid)).collect();
    Ok(Catalogue { tables, passed_over })
}

const WHERE: &str = "the catalogue";

async fn rows(lease: &mut Lease, sql: &str) -> Result<Vec<Row>, Fault> {
    lease.query(sql, &[]).await.map_err(|e| Fault::read(&e, WHERE))
}

fn at<'a, T: tokio_postgres::types::FromSql<'a>>(row: &'a Row, at: usize) -> Result<T, Fault> {
    get(row, at, WHERE)
}

/// Why a relation is no table to be registered.
fn apart(kind: &str, inherits: bool, is_extensions: bool) -> Option<&'static str> {
    match kind {
        "v" => Some("a view"),
        "m" => Some("a materialised view"),
        "f" => Some("a foreign table"),
        _ if is_extensions => Some("an extension's table"),
        _ if inherits => Some("a table read with the one it inherits from"),
        _ => None,
    }
}

fn column(row: &Row) -> Result<Column, Fault> {
    let (base, category): (String, String) = (at(row, 3)?, at(row, 4)?);
    Ok(Column {
        name: at(row, 1)?,
        declared: at(row, 2)?,
        kind: kind(&base, &category),
        nullable: !at::<bool>(row, 5)?,
        has_default: at(row, 7)?,
        unique: at(row, 8)?,
        length: u32::try_from(at::<i32>(row, 6)?).ok().filter(|length| *length > 0),
    })
}

/// By the type's name, else by its category in `pg_type`.
fn kind(base: &str, category: &str) -> ColumnKind {
    match base {
        "smallint" | "integer" | "bigint" => ColumnKind::Integer,
        "uuid" => ColumnKind::Uuid,
        "json" | "jsonb" | "xml" => ColumnKind::Document,
        "bytea" => ColumnKind::Bytes,
        "inet" | "cidr" => ColumnKind::Address,
        "date" | "timestamp with time zone" | "timestamp without time zone" => ColumnKind::Time,
        _ => match category {
            "S" => ColumnKind::Text,
            "N" => ColumnKind::Number,
            "B" => ColumnKind::Boolean,
            _ => ColumnKind::Other,
        },
    }
}

/// Partitions are read with their table and are not listed; what inherits otherwise is, to be told.
const TABLES: &str = "
SELECT c.oid, n.nspname::text, c.relname::text, c.relkind::text, c.reltuples::int8,
       EXISTS (SELECT FROM pg_catalog.pg_inherits i WHERE i.inhrelid = c.oid),
       EXISTS (SELECT FROM pg_catalog.pg_depend d
               WHERE d.classid = 'pg_catalog.pg_class'::regclass AND d.objid = c.oid AND d.deptype = 'e')
FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
WHERE c.relkind IN ('r', 'p', 'v', 'm', 'f') AND NOT c.relispartition AND c.relpersistence <> 't'
  AND n.nspname <> 'information_schema' AND n.nspname !~ '^pg_'
ORDER BY n.nspname, c.relname";

const COLUMNS: &str = "
SELECT a.attrelid, a.attname::text, format_type(a.atttypid, a.atttypmod),
       (WITH RECURSIVE b(oid) AS (SELECT a.atttypid UNION ALL
                                  SELECT d.typbasetype FROM b JOIN pg_catalog.pg_type d ON d.oid = b.oid WHERE d.typtype = 'd')
        SELECT format_type(b.oid, -1) FROM b JOIN pg_catalog.pg_type d ON d.oid = b.oid WHERE d.typtype <> 'd'),
       t.typcategory::text, a.attnotnull OR t.typnotnull,
       CASE WHEN a.atttypid IN (1042, 1043) AND a.atttypmod > 4 THEN a.atttypmod - 4 ELSE 0 END,
       a.atthasdef OR a.attidentity <> '',
       EXISTS (SELECT FROM pg_catalog.pg_index i WHERE i.indrelid = a.attrelid AND i.indisunique
               AND i.indnkeyatts = 1 AND i.indkey[0] = a.attnum)
FROM pg_catalog.pg_attribute a
JOIN pg_catalog.pg_type t ON t.oid = a.atttypid
JOIN pg_catalog.pg_class c ON c.oid = a.attrelid
JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
WHERE a.attnum > 0 AND NOT a.attisdropped AND c.relkind IN ('r', 'p') AND NOT c.relispartition
  AND n.nspname <> 'information_schema' AND n.nspname !~ '^pg_'
ORDER BY a.attrelid, a.attnum";

/// The primary key first, then unique indexes over columns that are never empty, the narrowest first.
const KEYS: &str = "
SELECT i.indrelid,
       (SELECT array_agg(a.attname::text ORDER BY k.n) FROM unnest(i.indkey::int2[]) WITH ORDINALITY k(attnum, n)
        JOIN pg_catalog.pg_attribute a ON a.attrelid = i.indrelid AND a.attnum = k.attnum WHERE k.n <= i.indnkeyatts)
FROM pg_catalog.pg_index i
WHERE i.indisunique AND i.indisvalid AND i.indpred IS NULL AND i.indexprs IS NULL AND i.indimmediate
  AND NOT EXISTS (SELECT FROM unnest(i.indkey::int2[]) WITH ORDINALITY k(attnum, n)
                  JOIN pg_catalog.pg_attribute a ON a.attrelid = i.indrelid AND a.attnum = k.attnum
                  WHERE k.n <= i.indnkeyatts AND NOT a.attnotnull)
ORDER BY i.indrelid, i.indisprimary DESC, i.indnkeyatts, i.indexrelid";

const REFERENCES: &str = "
SELECT f.conrelid,
       (SELECT array_agg(a.attname::text ORDER BY k.n) FROM unnest(f.conkey) WITH ORDINALITY k(attnum, n)
        JOIN pg_catalog.pg_attribute a ON a.attrelid = f.conrelid AND a.attnum = k.attnum),
       n.nspname::text, c.relname::text,
       (SELECT array_agg(a.attname::text ORDER BY k.n) FROM unnest(f.confkey) WITH ORDINALITY k(attnum, n)
        JOIN pg_catalog.pg_attribute a ON a.attrelid = f.confrelid AND a.attnum = k.attnum)
FROM pg_catalog.pg_constraint f
JOIN pg_catalog.pg_class c ON c.oid = f.confrelid JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
WHERE f.contype = 'f' AND f.conparentid = 0
ORDER BY f.conrelid, f.conname";
