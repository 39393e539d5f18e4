//! What the database itself says of the mapped tables: types, keys, triggers, who refers to whom.
//!
//! Every name that goes into a statement was found here first, letter by letter. SQLite would take a quoted name
//! that it does not know for a text, and compare with that.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;

use quietus_contract::{Failure, key_columns};
use quietus_core::system::Manifest;
use rusqlite::types::Value;
use rusqlite::{Connection, OptionalExtension};

use crate::value::Affinity;
use crate::{fault, value};

/// The mapped tables that are there, by table name, and those whose cascade would reach a mapped one.
#[derive(Debug)]
pub(crate) struct Schema {
    tables: BTreeMap<String, Table>,
}

#[derive(Debug)]
pub(crate) struct Table {
    pub(crate) name: String,
    pub(crate) columns: Vec<Column>,
    /// Its own primary key, in order.
    pub(crate) primary_key: Vec<String>,
    /// Has triggers or is a view: what a statement claims must be looked at again.
    pub(crate) guarded: bool,
    pub(crate) strict: bool,
    pub(crate) view: bool,
    /// Rows that a module keeps (a full-text index, an R-tree).
    pub(crate) is_virtual: bool,
    /// How its rowid is called, where it has one and no column hides it.
    pub(crate) rowid: Option<String>,
    /// Foreign keys of this table.
    pub(crate) parents: Vec<ForeignKey>,
    /// Columns of each index, in order; true = unique and without a condition.
    pub(crate) indexes: Vec<(Vec<String>, bool)>,
    /// How deep this table hangs below those it refers to: the deepest is deleted from first.
    pub(crate) rank: u32,
}

#[derive(Debug)]
pub(crate) struct Column {
    pub(crate) name: String,
    pub(crate) affinity: Affinity,
    pub(crate) declared: String,
    pub(crate) not_null: bool,
    /// The default, where it is a literal. A computed one cannot be told from a value that was there before.
    pub(crate) default: Option<Value>,
    pub(crate) generated: bool,
    /// Text of this column is compared byte by byte.
    pub(crate) binary: bool,
}

#[derive(Debug)]
pub(crate) struct ForeignKey {
    pub(crate) parent: String,
    pub(crate) columns: Vec<String>,
    pub(crate) to: Vec<String>,
    pub(crate) cascades: bool,
}

impl Schema {
    pub(crate) fn read(conn: &Connection, manifest: &Manifest) -> Result<Self, Failure> {
        let mut tables = BTreeMap::new();
        for collection in manifest.datasets.iter().flat_map(|d| &d.collections) {
            if let Some(table) = read_table(conn, &collection.name).map_err(|e| fault::of(&e))? {
                tables.insert(collection.name.clone(), table);
            }
        }
        between(conn, &mut tables).map_err(|e| fault::of(&e))?;
        let mut schema = Self { tables };
        schema.rank(manifest);
        Ok(schema)
    }

    pub(crate) fn table(&self, name: &str) -> Option<&Table> {
        self.tables.get(name)
    }

    /// Tables known here that refer to this one.
    pub(crate) fn children<'a>(
        &'a self,
        parent: &'a str,
    ) -> impl Iterator<Item = (&'a Table, &'a ForeignKey)> {
        self.tables.values().flat_map(move |t| {
            t.parents.iter().filter(move |f| f.parent.eq_ignore_ascii_case(parent)).map(move |f| (t, f))
        })
    }

    /// By the dataset's references and `erase_after`, and the database's own foreign keys; cycles end at the number of tables.
    fn rank(&mut self, manifest: &Manifest) {
        let mut edges: Vec<(String, String)> = Vec::new();
        for collection in manifest.datasets.iter().flat_map(|d| &d.collections) {
            edges.extend(
                collection.references.iter().map(|r| (collection.name.clone(), r.collection.clone())),
            );
        }
        for table in self.tables.values() {
            edges.extend(table.parents.iter().map(|f| (table.name.clone(), f.parent.clone())));
        }
        // SQLite takes a table's name in any case.
        let own = |name: &str| self.tables.keys().find(|t| t.eq_ignore_ascii_case(name)).cloned();
        let edges: Vec<(String, String)> = edges
            .iter()
            .filter_map(|(child, parent)| Some((own(child)?, own(parent)?)))
            .filter(|(child, parent)| child != parent)
            .collect();
        for _ in 0..self.tables.len() {
            for (child, parent) in &edges {
                let above = self.tables.get(parent).map_or(0, |t| t.rank);
                if let Some(table) = self.tables.get_mut(child) {
                    table.rank = table.rank.max(above.saturating_add(1));
                }
            }
        }
    }
}

impl Table {
    pub(crate) fn column(&self, name: &str) -> Option<&Column> {
        self.columns.iter().find(|c| c.name == name)
    }

    /// The columns that name one row: the dataset's, else the table's own primary key.
    pub(crate) fn key(&self, collection: &quietus_core::system::Collection) -> Vec<String> {
        let declared = key_columns(collection);
        if declared.is_empty() { self.primary_key.clone() } else { declared }
    }

    /// Whether these columns, in any order, can name one row at most.
    pub(crate) fn is_unique(&self, columns: &[String]) -> bool {
        let within = |unique: &[String]| !unique.is_empty() && unique.iter().all(|u| columns.contains(u));
        within(&self.primary_key) || self.indexes.iter().any(|(index, unique)| *unique && within(index))
    }

    /// Whether a look-up by these columns needs no full scan.
    pub(crate) fn is_indexed(&self, columns: &[String]) -> bool {
        let leads = |index: &[String]| index.first().is_some_and(|first| columns.contains(first));
        leads(&self.primary_key) || self.indexes.iter().any(|(index, _)| leads(index))
    }
}

/// Adds the tables that nobody mapped and through which a cascade would come to a mapped one.
fn between(conn: &Connection, tables: &mut BTreeMap<String, Table>) -> rusqlite::Result<()> {
    let mut statement = conn.prepare(
        "SELECT p.name FROM sqlite_schema c, pragma_foreign_key_list(c.name) f, sqlite_schema p
         WHERE c.type = 'table' AND c.name = ?1 AND f.on_delete = 'CASCADE'
           AND p.type = 'table' AND p.name = f.\"table\" COLLATE NOCASE",
    )?;
    let mut open: Vec<String> = tables.keys().cloned().collect();
    while let Some(child) = open.pop() {
        let parents: Vec<String> =
            statement.query_map([&child], |r| r.get(0))?.collect::<rusqlite::Result<_>>()?;
        for parent in parents {
            if let Entry::Vacant(unknown) = tables.entry(parent)
                && let Some(table) = read_table(conn, unknown.key())?
            {
                open.push(unknown.key().clone());
                unknown.insert(table);
            }
        }
    }
    Ok(())
}

pub(crate) fn read_table(conn: &Connection, name: &str) -> rusqlite::Result<Option<Table>> {
    let found = conn
        .query_row(
            "SELECT type, strict, wr FROM pragma_table_list WHERE schema = 'main' AND name = ?1 COLLATE BINARY",
            [name],
            |r| Ok((r.get::<_, String>(0)?, r.get::<_, bool>(1)?, r.get::<_, bool>(2)?)),
        )
        .optional()?;
    let Some((kind, strict, without_rowid)) = found else { return Ok(None) };
    let view = kind == "view";
    let (columns, primary_key) = read_columns(conn, name, strict, view)?;
    let triggers: i64 = conn.query_row(
        "SELECT count(*) FROM sqlite_schema WHERE type = 'trigger' AND tbl_name = ?1 COLLATE NOCASE",
        [name],
        |r| r.get(0),
    )?;
    let is_free = |alias: &&str| !columns.iter().any(|c: &Column| c.name.eq_ignore_ascii_case(alias));
    let rowid = ["rowid", "_rowid_", "oid"].into_iter().find(is_free);
    Ok(Some(Table {
        name: name.to_owned(),
        rowid: rowid.filter(|_| kind == "table" && !without_rowid).map(str::to_owned),
        columns,
        primary_key,
        guarded: view || triggers > 0,
        strict,
        view,
        is_virtual: kind == "virtual",
        parents: read_parents(conn, name)?,
        indexes: read_indexes(conn, name)?,
        rank: 0,
    }))
}

fn read_columns(
    conn: &Connection,
    table: &str,
    strict: bool,
    view: bool,
) -> rusqlite::Result<(Vec<Column>, Vec<String>)> {
    let sql =
        "SELECT name, type, \"notnull\", dflt_value, pk, hidden FROM pragma_table_xinfo(?1) ORDER BY cid";
    let mut statement = conn.prepare_cached(sql)?;
    let mut rows = statement.query([table])?;
    let (mut columns, mut key) = (Vec::new(), Vec::new());
    while let Some(row) = rows.next()? {
        let name: String = row.get(0)?;
        let declared: String = row.get(1)?;
        let position: i64 = row.get(4)?;
        if position > 0 {
            key.push((position, name.clone()));
        }
        let binary = view || collation(conn, table, &name)?.eq_ignore_ascii_case("BINARY");
        columns.push(Column {
            affinity: Affinity::of(&declared, strict),
            declared,
            not_null: row.get(2)?,
            default: row.get::<_, Option<String>>(3)?.and_then(|text| literal(&text)),
            generated: row.get::<_, i64>(5)? >= 2,
            binary,
            name,
        });
    }
    key.sort();
    Ok((columns, key.into_iter().map(|(_, name)| name).collect()))
}

fn collation(conn: &Connection, table: &str, column: &str) -> rusqlite::Result<String> {
    let (_, collation, ..) = conn.column_metadata(Some("main"), table, column)?;
    Ok(collation.map_or_else(|| "BINARY".to_owned(), |c| c.to_string_lossy().into_owned()))
}

fn read_parents(conn: &Connection, table: &str) -> rusqlite::Result<Vec<ForeignKey>> {
    let sql =
        "SELECT id, \"table\", \"from\", \"to\", on_delete FROM pragma_foreign_key_list(?1) ORDER BY id, seq";
    let mut statement = conn.prepare_cached(sql)?;
    let mut rows = statement.query([table])?;
    let mut keys: BTreeMap<i64, ForeignKey> = BTreeMap::new();
    while let Some(row) = rows.next()? {
        let parent: String = row.get(1)?;
        let cascades = row.get::<_, String>(4)?.eq_ignore_ascii_case("CASCADE");
        let key = keys.entry(row.get(0)?).or_insert_with(|| ForeignKey {
            parent,
            columns: Vec::new(),
            to: Vec::new(),
            cascades,
        });
        key.columns.push(row.get(2)?);
        if let Some(to) = row.get::<_, Option<String>>(3)? {
            key.to.push(to);
        }
    }
    let mut list: Vec<ForeignKey> = keys.into_values().collect();
    for key in list.iter_mut().filter(|k| k.to.is_empty()) {
        let mut own =
            conn.prepare_cached("SELECT name FROM pragma_table_info(?1) WHERE pk > 0 ORDER BY pk")?;
        key.to = own.query_map([&key.parent], |r| r.get(0))?.collect::<rusqlite::Result<_>>()?;
    }
    Ok(list)
}

fn read_indexes(conn: &Connection, table: &str) -> rusqlite::Result<Vec<(Vec<String>, bool)>> {
    let mut list = conn.prepare_cached("SELECT name, \"unique\", partial FROM pragma_index_list(?1)")?;
    let names: Vec<(String, bool, bool)> = list
        .query_map([table], |r| Ok((r.get(0)?, r.get(1)?, r.get(2)?)))?
        .collect::<rusqlite::Result<_>>()?;
    let mut indexes = Vec::new();
    for (name, unique, partial) in names.into_iter().filter(|(_, _, partial)| !partial) {
        let mut info = conn.prepare_cached("SELECT name FROM pragma_index_info(?1) ORDER BY seqno")?;
        let columns: Vec<Option<String>> =
            info.query_map([&name], |r| r.get(0))?.collect::<rusqlite::Result<_>>()?;
        // An expression in an index has no name: then it says nothing about columns.
        if let Some(columns) = columns.into_iter().collect::<Option<Vec<String>>>() {
            indexes.push((columns, unique && !partial));
        }
    }
    Ok(indexes)
}

/// The value of a default that is a literal.
fn literal(sql: &str) -> Option<Value> {
    let text = sql.trim();
    if let Some(inner) = text.strip_prefix('\'').and_then(|t| t.strip_suffix('\'')) {
        let lone_quote = inner.replace("''", "").contains('\'');
        return (!lone_quote).then(|| Value::Text(inner.replace("''", "'")));
    }
    match text.to_ascii_uppercase().as_str() {
        "TRUE" => Some(Value::Integer(1)),
        "FALSE" => Some(Value::Integer(0)),
        _ => value::number(text),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_literal_default_is_a_replacement() {
        assert_eq!(literal("'it''s'"), Some(Value::Text("it's".into())));
        assert_eq!(literal("-1"), Some(Value::Integer(-1)));
        assert_eq!(literal("TRUE"), Some(Value::Integer(1)));
        for computed in ["CURRENT_TIMESTAMP", "(random())", "'a' || 'b'", "NULL"] {
            assert_eq!(literal(computed), None, "{computed}");
        }
    }
}
