//! Debezium's change events: with and without the schema envelope, in JSON and in Avro.
//!
//! A row that came, changed or was read is recorded; one that went is gone; a changed key is both. Tombstones, schema
//! changes, transaction marks and logical messages tell nothing of a row and become nothing.

use quietus_core::record::Origin;
use quietus_core::source::Rule;
use quietus_core::time::Millis;

use super::logical::{Logical, Types};
use super::row::{Row, Table};
use super::tree::Tree;
use super::{Emptied, Mapped, Record, rules};
use crate::intake::refuse::Refused;

pub fn map<'m>(record: &Record<'_, 'm>, table: &Table) -> Result<Mapped<'m>, Refused> {
    let Some(value) = record.value()? else { return Ok(Mapped::default()) };
    let (value, types) = taken_apart(value);
    let Some(op) = op(&value)? else { return Ok(Mapped::default()) };
    let at = source_time(&value).or(record.message.timestamp);
    let Some(at) = at else {
        return Err(Refused::new("missing", "source.ts_ms is missing: nothing says when the row changed"));
    };
    let before = value.some("before").map(|tree| Row { tree, types: &types, older: None });
    let after = value.some("after").map(|tree| Row { tree, types: &types, older: value.some("before") });
    let need = |row: Option<Row<'_>>, field: &str| match row {
        Some(row) => Ok(row.tree.clone()),
        None => Err(Refused::missing(field)),
    };
    let mut mapped = Mapped { source_time: Some(at), ..Mapped::default() };
    match op {
        Op::Create | Op::Read | Op::Update => {
            let origin = match op {
                Op::Create => Origin::Create,
                Op::Update => Origin::Update,
                _ => Origin::Read,
            };
            let after = after.ok_or_else(|| Refused::missing("after"))?;
            if let Some(before) = before.filter(|_| op == Op::Update)
                && table.is_another(&before, &after)?
            {
                mapped.events.extend(table.gone(&before, at)?);
            }
            mapped.events.extend(table.recorded(&after, origin, at)?);
        }
        Op::Delete => {
            let key = match before {
                Some(_) => None,
                None => record.key()?.map(taken_apart),
            };
            let tree = match &key {
                Some((key, _)) => key.clone(),
                None => need(before, "before, and the key")?,
            };
            let types = key.as_ref().map_or(&types, |(_, types)| types);
            mapped.events.extend(table.gone(&Row { tree: &tree, types, older: None }, at)?);
        }
        Op::Truncate => {
            let (system, dataset) = (table.system().to_owned(), table.dataset().to_owned());
            mapped.emptied = Some(Emptied { system, dataset, at });
        }
        Op::Message => {}
    }
    Ok(mapped)
}

/// With rules of its own: they look into `value:/after/…`, `value:/op`.
pub fn map_by_rules<'m>(record: &Record<'_, 'm>, rules: &[Rule]) -> Result<Mapped<'m>, Refused> {
    let Some(value) = record.value()? else { return Ok(Mapped::default()) };
    let (mut value, types) = taken_apart(value);
    if op(&value)?.is_none() {
        return Ok(Mapped::default());
    }
    for side in ["before", "after"] {
        meant(&mut value, side, &types);
    }
    let at = source_time(&value).or(record.message.timestamp);
    let event = rules::apply(rules, record, &value, at)?;
    Ok(Mapped::of(event, at))
}

/// Columns as their types mean them, in place.
fn meant(value: &mut Tree, side: &str, types: &Types) {
    let Tree::Map(entries) = value else { return };
    let rows = entries.iter_mut().filter(|(name, _)| name == side);
    for (_, row) in rows {
        let Tree::Map(columns) = row else { continue };
        for (column, value) in columns {
            if let Some(read) = types.get(column).and_then(|means| means.read(value)) {
                *value = read;
            }
        }
    }
}

/// `{"ts_ms": …}` on the heartbeat topic.
pub fn heartbeat(value: &Tree) -> Option<Millis> {
    let value = value.some("payload").unwrap_or(value);
    value.some("ts_ms").and_then(Tree::as_int).map(Millis)
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Op {
    Create,
    Read,
    Update,
    Delete,
    Truncate,
    Message,
}

/// None = no change of a row.
fn op(value: &Tree) -> Result<Option<Op>, Refused> {
    let has = |names: &[&str]| names.iter().all(|name| value.get(name).is_some());
    match value.some("op").and_then(Tree::as_text) {
        Some("c") => Ok(Some(Op::Create)),
        Some("r") => Ok(Some(Op::Read)),
        Some("u") => Ok(Some(Op::Update)),
        Some("d") => Ok(Some(Op::Delete)),
        Some("t") => Ok(Some(Op::Truncate)),
        Some("m") => Ok(Some(Op::Message)),
        Some(_) => Err(Refused::new("unknown-op", "op is none of c, u, d, r, t and m: use a newer quietus")),
        // A schema change, a transaction's begin or end, a heartbeat.
        None if has(&["ddl"]) || has(&["tableChanges"]) || has(&["status", "id"]) => Ok(None),
        None if matches!(value, Tree::Map(fields) if fields.len() == 1) && has(&["ts_ms"]) => Ok(None),
        None => Err(Refused::new(
            "not-debezium",
            "the record has no `op`: is it flattened (ExtractNewRecordState)? Take that transform out, or map it with `format: json`",
        )),
    }
}

fn source_time(value: &Tree) -> Option<Millis> {
    let of = |tree: &Tree| match tree.some("ts_ms") {
        Some(Tree::Int(ms)) => Some(Millis(*ms)),
        Some(Tree::Time(at)) => Some(*at),
        _ => None,
    };
    value.some("source").and_then(of).or_else(|| of(value))
}

/// The payload without the schema around it, and what the schema says of its columns.
fn taken_apart(tree: Tree) -> (Tree, Types) {
    let Tree::Map(entries) = &tree else { return (tree, Types::new()) };
    let wrapped = entries.len() == 2 && tree.get("schema").is_some() && tree.get("payload").is_some();
    if !wrapped {
        return (tree, Types::new());
    }
    let types = tree.get("schema").map(types).unwrap_or_default();
    (without_schema(tree), types)
}

pub fn without_schema(tree: Tree) -> Tree {
    match tree {
        Tree::Map(entries) if entries.len() == 2 && entries.iter().any(|(k, _)| k == "schema") => {
            let payload = entries.iter().position(|(k, _)| k == "payload");
            match payload {
                Some(at) => entries.into_iter().nth(at).map_or(Tree::Null, |(_, payload)| payload),
                None => Tree::Map(entries),
            }
        }
        other => other,
    }
}

/// Of an envelope the row's columns, of a key its own.
fn types(schema: &Tree) -> Types {
    let fields = |tree: &Tree| match tree.get("fields") {
        Some(Tree::List(fields)) => fields.clone(),
        _ => Vec::new(),
    };
    let own = fields(schema);
    let named = |field: &Tree, name: &str| field.get("field").and_then(Tree::as_text) == Some(name);
    let row = own.iter().find(|f| named(f, "after")).map(fields);
    let columns = row.unwrap_or(own);
    columns
        .iter()
        .filter_map(|column| {
            let scale = column.get("parameters").and_then(|p| p.get("scale"));
            let scale = scale.and_then(|s| s.text()?.parse().ok());
            let means = Logical::of(column.get("name")?.as_text()?, scale)?;
            Some((column.get("field")?.as_text()?.to_owned(), means))
        })
        .collect()
}
