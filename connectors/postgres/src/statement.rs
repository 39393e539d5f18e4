//! The SQL. Values are always parameters; names are always quoted; only the manifest's own `where` is inlined.
//!
//! The keys come as text arrays and are cast on their side: `unnest($1::text[], …)`. Columns of that relation are
//! called `quietus_…`, so that a name in a `where` means the table's own column.

use std::borrow::Cow;

use crate::step::Step;
use crate::types::{ForeignKey, Table, quote};

/// `DELETE … RETURNING` the ordinals of the keys that met a row.
pub(crate) fn delete(table: &Table) -> String {
    format!(
        "DELETE FROM {} USING {} WHERE {}{} RETURNING quietus_k.quietus_o",
        table.name,
        keys(table, &[]),
        met(table),
        ours(table)
    )
}

/// The same for a key of one column, given as `sent`, with nothing to tell but how many rows went.
pub(crate) fn delete_by(table: &Table, column: &str, sent: &str) -> String {
    let base = table.columns.get(column).map_or(sent, |c| c.base.as_str());
    let key = format!("{}.{}", table.alias, quote(column));
    format!("DELETE FROM {} WHERE {key} = ANY ($1::{sent}[]::{base}[]){}", table.name, ours(table))
}

/// The same for a key of one exact column, without a join: the keys that went, as the database writes them.
pub(crate) fn delete_exact(table: &Table, column: &str) -> String {
    let base = table.columns.get(column).map_or("text", |c| c.base.as_str());
    let key = format!("{}.{}", table.alias, quote(column));
    format!(
        "WITH gone AS (DELETE FROM {} WHERE {key} = ANY ($1::text[]::{base}[]){} RETURNING {key}::text AS k) \
         SELECT coalesce(array_agg(k), '{{}}') FROM gone",
        table.name,
        ours(table)
    )
}

/// The same for whole numbers, without a text in between: `$1` and the answer are 64-bit whatever the column is.
pub(crate) fn delete_numbered(table: &Table, column: &str) -> String {
    let base = table.columns.get(column).map_or("bigint", |c| c.base.as_str());
    let key = format!("{}.{}", table.alias, quote(column));
    format!(
        "WITH gone AS (DELETE FROM {} WHERE {key} = ANY ($1::int8[]::{base}[]){} RETURNING {key}::int8 AS k) \
         SELECT coalesce(array_agg(k), '{{}}') FROM gone",
        table.name,
        ours(table)
    )
}

/// The keys as the database writes them.
pub(crate) fn spell(table: &Table, column: &str) -> String {
    let base = table.columns.get(column).map_or("text", |c| c.base.as_str());
    format!("SELECT $1::text[]::{base}[]::text[]")
}

/// `UPDATE … RETURNING` the ordinals and whether every field holds its replacement now. Rows that hold them all
/// already are left alone.
pub(crate) fn set(table: &Table, columns: &[&str]) -> String {
    let sets: Vec<String> =
        columns.iter().enumerate().map(|(i, c)| format!("{} = quietus_k.quietus_v{i}", quote(c))).collect();
    format!(
        "UPDATE {} SET {} FROM {} WHERE {}{} AND NOT ({holds}) RETURNING quietus_k.quietus_o, ({holds})",
        table.name,
        sets.join(", "),
        keys(table, columns),
        met(table),
        ours(table),
        holds = holds(table, columns),
    )
}

/// Which keys still meet a row, how many, and whether all of them hold their replacements. Heeds no `where`.
pub(crate) fn look(table: &Table, columns: &[&str]) -> String {
    format!(
        "SELECT quietus_k.quietus_o, count(*), bool_and({}) FROM {} JOIN {} ON {} GROUP BY quietus_k.quietus_o",
        holds(table, columns),
        keys(table, columns),
        table.name,
        met(table)
    )
}

/// Locks the rows that nobody else holds and says which they are.
pub(crate) fn lock_free(table: &Table) -> String {
    format!(
        "SELECT quietus_k.quietus_o FROM {} JOIN {} ON {} FOR UPDATE OF {} SKIP LOCKED",
        keys(table, &[]),
        table.name,
        met(table),
        table.alias
    )
}

/// Which keys would take rows of `child` with them (`ON DELETE CASCADE`) that are not deleted here themselves.
pub(crate) fn cascades(table: &Table, key: &ForeignKey, child: &Table) -> String {
    let joined: Vec<String> = key
        .columns
        .iter()
        .map(|(theirs, ours)| format!("quietus_c.{} = {}.{}", quote(theirs), table.alias, quote(ours)))
        .collect();
    // A row of the same table may be among those that this statement deletes.
    let spared = if child.oid == table.oid {
        let same: Vec<String> = (0..table.key.len())
            .zip(&table.key)
            .map(|(i, k)| format!("quietus_c.{} = quietus_d.quietus_k{i}", quote(k)))
            .collect();
        format!(
            " AND NOT EXISTS (SELECT FROM {} WHERE {})",
            keys_as(table, &[], "quietus_d"),
            same.join(" AND ")
        )
    } else {
        String::new()
    };
    format!(
        "SELECT DISTINCT quietus_k.quietus_o FROM {} JOIN {} ON {} JOIN {} AS quietus_c ON {}{spared}",
        keys(table, &[]),
        table.name,
        met(table),
        child.name,
        joined.join(" AND ")
    )
}

/// The parameters of a statement over `steps`: one array per key column, then one per column set.
pub(crate) fn arrays<'a>(steps: &[&'a Step], columns: usize) -> Vec<Vec<Option<Cow<'a, str>>>> {
    let width = steps.first().map_or(0, |s| s.table.key.len());
    let keys = (0..width).map(|i| steps.iter().map(|s| s.key.text_at(i)).collect());
    let values = (0..columns).map(|i| steps.iter().map(|s| s.value(i).map(Cow::Borrowed)).collect());
    keys.chain(values).collect()
}

fn keys(table: &Table, columns: &[&str]) -> String {
    keys_as(table, columns, "quietus_k")
}

/// The relation of keys and values: `quietus_o` (1, 2, …), `quietus_k0…` cast, `quietus_v0…` cast for assigning,
/// `quietus_w0…` as text as the column would show them.
fn keys_as(table: &Table, columns: &[&str], alias: &str) -> String {
    let width = table.key.len();
    let base = |name: &str| table.columns.get(name).map_or("text", |c| c.base.as_str());
    let full = |name: &str| table.columns.get(name).map_or("text", |c| c.full.as_str());
    let casts: Vec<String> = table
        .key
        .iter()
        .enumerate()
        .map(|(i, k)| format!("c{i}::{} AS quietus_k{i}", base(k)))
        .chain(columns.iter().enumerate().map(|(i, c)| {
            let raw = width + i;
            format!("c{raw}::{} AS quietus_v{i}, c{raw}::{}::text AS quietus_w{i}", base(c), full(c))
        }))
        .collect();
    let raw: Vec<String> = (0..width + columns.len()).map(|i| format!("c{i}")).collect();
    let parameters: Vec<String> = (1..=width + columns.len()).map(|i| format!("${i}::text[]")).collect();
    format!(
        "(SELECT quietus_o, {} FROM unnest({}) WITH ORDINALITY AS r({}, quietus_o)) AS {alias}",
        casts.join(", "),
        parameters.join(", "),
        raw.join(", ")
    )
}

fn met(table: &Table) -> String {
    let same: Vec<String> = table
        .key
        .iter()
        .enumerate()
        .map(|(i, k)| format!("{}.{} = quietus_k.quietus_k{i}", table.alias, quote(k)))
        .collect();
    same.join(" AND ")
}

fn ours(table: &Table) -> String {
    table.where_.as_ref().map_or_else(String::new, |w| format!(" AND {w}"))
}

fn holds(table: &Table, columns: &[&str]) -> String {
    let same: Vec<String> = columns
        .iter()
        .enumerate()
        .map(|(i, c)| {
            format!("{}.{}::text IS NOT DISTINCT FROM quietus_k.quietus_w{i}", table.alias, quote(c))
        })
        .collect();
    if same.is_empty() { "false".to_owned() } else { same.join(" AND ") }
}
