//! What the catalogue says of a table: real types, defaults, foreign keys, and who else acts on its rows.
//!
//! Invariant: parameters are cast to a column's base type *without* its length, because `'abcdef'::varchar(3)` is
//! silently `'abc'` and would meet somebody else's row. The column itself is never cast in a key comparison, so that
//! its index is used.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use quietus_contract::Failure;
use quietus_core::system::{Collection, Manifest};
use tokio_postgres::{Error, Row};

use crate::failure::Fault;
use crate::pool::Lease;

/// Types whose values have one text each. (`1.50` is the numeric `1.5`, and `bpchar` forgives blanks.)
const EXACT: [&str; 7] = ["bigint", "integer", "smallint", "uuid", "date", "text", "character varying"];
/// How long a reading of the catalogue is believed. An error about names or types ends it at once.
const BELIEVED_FOR: Duration = Duration::from_secs(30);

#[derive(Clone, Debug)]
pub(crate) struct Table {
    pub(crate) oid: u32,
    /// `"schema"."table"`, quoted.
    pub(crate) name: String,
    /// `"table"`, quoted: how its columns are qualified.
    pub(crate) alias: String,
    /// `dataset.collection`
    pub(crate) shown: String,
    pub(crate) columns: BTreeMap<String, Column>,
    /// The manifest's key, else the primary key.
    pub(crate) key: Vec<String>,
    /// The key is the primary key, of this table and all that it is made of.
    pub(crate) key_is_unique: bool,
    /// Tables that this one's foreign keys point at.
    pub(crate) parents: BTreeSet<u32>,
    /// Foreign keys of other tables on this one.
    pub(crate) children: Vec<ForeignKey>,
    /// A view, a rule or a trigger may make `RETURNING` tell more than what happened: read again.
    pub(crate) delete_is_watched: bool,
    pub(crate) update_is_watched: bool,
    pub(crate) where_: Option<String>,
    /// Reading it whole costs little.
    pub(crate) is_small: bool,
}

#[derive(Clone, Debug)]
pub(crate) struct Column {
    /// Base type without length, under any domains: for keys.
    pub(crate) base: String,
    /// The type as declared: for comparing what was written.
    pub(crate) full: String,
    /// `S` = text; others forgive outer blanks when cast, so we do not let them in.
    pub(crate) is_text: bool,
    /// Two values are equal exactly when their texts are.
    pub(crate) is_exact: bool,
    pub(crate) not_null: bool,
    /// The default's text, when it is the same for every row.
    pub(crate) constant_default: Option<String>,
    pub(crate) has_default: bool,
    /// Generated, or `GENERATED ALWAYS AS IDENTITY`: cannot be set.
    pub(crate) computed: bool,
}

#[derive(Clone, Debug)]
pub(crate) struct ForeignKey {
    pub(crate) name: String,
    pub(crate) child: u32,
    /// Quoted and qualified.
    pub(crate) child_name: String,
    /// (child's column, ours)
    pub(crate) columns: Vec<(String, String)>,
    /// Deleting ours deletes the child.
    pub(crate) cascades: bool,
    pub(crate) is_indexed: bool,
}

impl Column {
    /// The value, where this is a column of whole numbers and takes it.
    pub(crate) fn whole(&self, text: &str) -> Option<i64> {
        text.parse().ok().filter(|number| self.takes(*number))
    }

    /// Whether this is a column of whole numbers and takes this one.
    pub(crate) fn takes(&self, number: i64) -> bool {
        match self.base.as_str() {
            "bigint" => true,
            "integer" => i32::try_from(number).is_ok(),
            "smallint" => i16::try_from(number).is_ok(),
            _ => false,
        }
    }
}

/// The tables of a system, read when needed.
#[derive(Debug, Default)]
pub(crate) struct Catalogue {
    tables: Mutex<BTreeMap<String, (Instant, Arc<Table>)>>,
}

impl Catalogue {
    /// The table behind `dataset.collection`, if it was read lately.
    pub(crate) fn known(&self, name: &str) -> Option<Arc<Table>> {
        let tables = self.tables.lock().unwrap_or_else(PoisonError::into_inner);
        tables.get(name).filter(|(read, _)| read.elapsed() < BELIEVED_FOR).map(|(_, table)| Arc::clone(table))
    }

    /// The table behind `dataset.collection`.
    pub(crate) async fn table(
        &self,
        lease: &mut Lease,
        manifest: &Manifest,
        name: &str,
    ) -> Result<Arc<Table>, Fault> {
        if let Some(known) = self.known(name) {
            return Ok(known);
        }
        let table = Arc::new(read(lease, manifest, name).await?);
        self.tables
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .insert(name.to_owned(), (Instant::now(), Arc::clone(&table)));
        Ok(table)
    }

    pub(crate) fn forget(&self) {
        self.tables.lock().unwrap_or_else(PoisonError::into_inner).clear();
    }
}

/// `"na""me"`
pub(crate) fn quote(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}

fn table_fault(code: &'static str, detail: String) -> Fault {
    Fault { failure: Failure::fatal(code, detail), concerns: crate::failure::Concerns::Table }
}

/// Reads the catalogue for one collection, fresh.
pub(crate) async fn read(lease: &mut Lease, manifest: &Manifest, name: &str) -> Result<Table, Fault> {
    let Some((dataset, collection)) = manifest.collection(name) else {
        return Err(table_fault("missing_table", format!("{name}: the manifest has no such collection")));
    };
    let table = quote(&collection.name);
    let wanted = dataset.schema.as_deref().map_or_else(|| table.clone(), |s| format!("{}.{table}", quote(s)));
    let fault = |e: Error| Fault::read(&e, name);
    let found = lease.query(TABLE, &[&wanted]).await.map_err(fault)?;
    let Some(row) = found.first() else {
        return Err(table_fault(
            "missing_table",
            format!("{name}: there is no table {wanted}, or no right to see it"),
        ));
    };
    let oid: u32 = get(row, 0, name)?;
    let kind: String = get(row, 3, name)?;
    let has_rules: bool = get(row, 4, name)?;
    let is_plain = !has_rules && matches!(kind.as_str(), "r" | "p");
    let mut columns = BTreeMap::new();
    for row in lease.query(COLUMNS, &[&oid]).await.map_err(fault)? {
        let (column, described) = column(lease, &row, name).await?;
        columns.insert(column, described);
    }
    let primary: Vec<String> = get(row, 7, name)?;
    let mut children = Vec::new();
    for row in lease.query(CHILDREN, &[&oid]).await.map_err(fault)? {
        let (theirs, ours): (Vec<String>, Vec<String>) = (get(&row, 3, name)?, get(&row, 4, name)?);
        children.push(ForeignKey {
            name: get(&row, 0, name)?,
            child: get(&row, 1, name)?,
            child_name: get(&row, 2, name)?,
            columns: theirs.into_iter().zip(ours).collect(),
            cascades: get(&row, 5, name)?,
            is_indexed: get(&row, 6, name)?,
        });
    }
    let key = if collection.key.is_empty() { primary.clone() } else { collection.key.clone() };
    Ok(Table {
        oid,
        name: format!("{}.{}", quote(&get::<String>(row, 1, name)?), quote(&get::<String>(row, 2, name)?)),
        alias: table,
        shown: name.to_owned(),
        columns,
        key_is_unique: !key.is_empty() && key == primary && !get::<bool>(row, 10, name)?,
        key,
        parents: get::<Vec<u32>>(row, 8, name)?.into_iter().collect(),
        children,
        delete_is_watched: !is_plain || get(row, 5, name)?,
        update_is_watched: !is_plain || get(row, 6, name)?,
        where_: condition(collection),
        is_small: get(row, 9, name)?,
    })
}

async fn column(lease: &mut Lease, row: &Row, name: &str) -> Result<(String, Column), Fault> {
    let (default, is_constant): (Option<String>, bool) = (get(row, 4, name)?, get(row, 5, name)?);
    let full: String = get(row, 2, name)?;
    let constant_default = match default.as_deref().filter(|_| is_constant) {
        Some(expression) => {
            let sql = format!("SELECT (({expression})::{full})::text");
            let rows = lease.query(&sql, &[]).await.map_err(|e| Fault::read(&e, name))?;
            rows.first().and_then(|r| r.try_get(0).ok())
        }
        None => None,
    };
    let base: String = get(row, 1, name)?;
    let described = Column {
        is_exact: EXACT.contains(&base.as_str()) && get(row, 8, name)?,
        base,
        full,
        is_text: get(row, 7, name)?,
        not_null: get(row, 3, name)?,
        constant_default,
        has_default: default.is_some(),
        computed: get(row, 6, name)?,
    };
    Ok((get(row, 0, name)?, described))
}

/// The collection's `where`, closed by a line break so that a comment in it ends there.
fn condition(collection: &Collection) -> Option<String> {
    collection.where_.as_deref().filter(|w| !w.trim().is_empty()).map(|w| format!("({w}\n)"))
}

pub(crate) fn get<'a, T: tokio_postgres::types::FromSql<'a>>(
    row: &'a Row,
    at: usize,
    name: &str,
) -> Result<T, Fault> {
    row.try_get(at).map_err(|_| {
        table_fault(
            "internal",
            format!("{name}: the server answered column {at} in a form this connector does not know"),
        )
    })
}

const TABLE: &str = "
SELECT c.oid, n.nspname::text, c.relname::text, c.relkind::text,
       EXISTS (SELECT FROM pg_catalog.pg_rewrite r WHERE r.ev_class = c.oid AND r.ev_type <> '1'),
       EXISTS (SELECT FROM pg_catalog.pg_trigger g WHERE g.tgrelid = c.oid AND NOT g.tgisinternal AND g.tgtype & 8 <> 0),
       EXISTS (SELECT FROM pg_catalog.pg_trigger g WHERE g.tgrelid = c.oid AND NOT g.tgisinternal AND g.tgtype & 16 <> 0),
       coalesce((SELECT array_agg(a.attname::text ORDER BY k.n)
                 FROM pg_catalog.pg_constraint p, unnest(p.conkey) WITH ORDINALITY k(attnum, n), pg_catalog.pg_attribute a
                 WHERE p.conrelid = c.oid AND p.contype = 'p' AND a.attrelid = c.oid AND a.attnum = k.attnum), '{}'),
       coalesce((SELECT array_agg(f.confrelid) FROM pg_catalog.pg_constraint f
                 WHERE f.conrelid = c.oid AND f.contype = 'f'), '{}'),
       c.relkind = 'r' AND pg_relation_size(c.oid) < 16 * 1024 * 1024,
       c.relkind <> 'p' AND EXISTS (SELECT FROM pg_catalog.pg_inherits i WHERE i.inhparent = c.oid)
FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
WHERE c.oid = to_regclass($1::text) AND c.relkind IN ('r', 'p', 'v', 'f')";

/// A default is constant when no function in its parsed form can change, and it is no `CURRENT_DATE` and the like.
const COLUMNS: &str = "
SELECT a.attname::text,
       (WITH RECURSIVE b(oid) AS (SELECT a.atttypid UNION ALL
                                  SELECT d.typbasetype FROM b JOIN pg_catalog.pg_type d ON d.oid = b.oid WHERE d.typtype = 'd')
        SELECT format_type(b.oid, -1) FROM b JOIN pg_catalog.pg_type d ON d.oid = b.oid WHERE d.typtype <> 'd'),
       format_type(a.atttypid, a.atttypmod),
       a.attnotnull OR t.typnotnull,
       CASE WHEN a.attgenerated = '' THEN pg_get_expr(x.adbin, x.adrelid) END,
       coalesce(x.adbin::text !~ 'SQLVALUEFUNCTION|NEXTVALUEEXPR' AND NOT EXISTS (
           SELECT FROM regexp_matches(x.adbin::text, ':(?:funcid|opfuncid) ([0-9]+)', 'g') m
           JOIN pg_catalog.pg_proc p ON p.oid = m[1]::oid WHERE p.provolatile <> 'i'), false),
       a.attgenerated <> '' OR a.attidentity = 'a',
       t.typcategory = 'S',
       coalesce((SELECT l.collisdeterministic FROM pg_catalog.pg_collation l WHERE l.oid = a.attcollation), true)
FROM pg_catalog.pg_attribute a
JOIN pg_catalog.pg_type t ON t.oid = a.atttypid
LEFT JOIN pg_catalog.pg_attrdef x ON x.adrelid = a.attrelid AND x.adnum = a.attnum
WHERE a.attrelid = $1 AND a.attnum > 0 AND NOT a.attisdropped";

const CHILDREN: &str = "
SELECT f.conname::text, f.conrelid, format('%I.%I', n.nspname, c.relname),
       (SELECT array_agg(a.attname::text ORDER BY k.n) FROM unnest(f.conkey) WITH ORDINALITY k(attnum, n)
        JOIN pg_catalog.pg_attribute a ON a.attrelid = f.conrelid AND a.attnum = k.attnum),
       (SELECT array_agg(a.attname::text ORDER BY k.n) FROM unnest(f.confkey) WITH ORDINALITY k(attnum, n)
        JOIN pg_catalog.pg_attribute a ON a.attrelid = f.confrelid AND a.attnum = k.attnum),
       f.confdeltype = 'c',
       EXISTS (SELECT FROM pg_catalog.pg_index i WHERE i.indrelid = f.conrelid AND i.indisvalid
               AND i.indpred IS NULL AND i.indkey[0] = ANY (f.conkey))
FROM pg_catalog.pg_constraint f
JOIN pg_catalog.pg_class c ON c.oid = f.conrelid JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
WHERE f.confrelid = $1 AND f.contype = 'f' AND f.conparentid = 0";
