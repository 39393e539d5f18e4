//! What an erasure asks of a row: that it goes, or that the fields of some categories hold their replacement.

use quietus_contract::{Outcome, Target, Work, fields_to_mask};
use quietus_core::system::{Collection, Field, Manifest};
use quietus_core::verdict::Action;
use rusqlite::types::Value;

use crate::schema::{Column, Schema, Table};
use crate::step::{Op, Place, Step};
use crate::value::{Affinity, typed_text};

pub(crate) fn plan<'a>(
    schema: &'a Schema,
    manifest: &'a Manifest,
    target: &Target,
) -> Result<Step<'a>, Outcome> {
    let place = Place::of(schema, manifest, target)?;
    let op = match &target.work {
        Work::Delete => Op::Delete,
        Work::Change { action: Action::Mask | Action::Erase, categories } => Op::Set(
            replacements(place.collection, place.table, categories)
                .map_err(|reason| Outcome::Refused { reason })?,
        ),
        Work::Change { action, .. } => {
            let word = word(*action);
            return Err(Outcome::Refused {
                reason: format!("this connector cannot {word}; it can erase and mask"),
            });
        }
        Work::Correct(_) => {
            return Err(Outcome::Refused { reason: "a correction was sent as an erasure".into() });
        }
    };
    Ok(place.step(target.command, op))
}

/// Every field of these categories with what it is to hold; an error where one of them cannot be replaced.
pub(crate) fn replacements(
    collection: &Collection,
    table: &Table,
    categories: &[String],
) -> Result<Vec<(String, Value)>, String> {
    let mut set: Vec<(String, Value)> = Vec::new();
    for field in fields_to_mask(collection, categories)? {
        set.push((field.name.clone(), replacement(collection, table, field)?));
    }
    set.sort_by(|(a, _), (b, _)| a.cmp(b));
    Ok(set)
}

/// The field's `mask`, else NULL, else the column's default.
pub(crate) fn replacement(collection: &Collection, table: &Table, field: &Field) -> Result<Value, String> {
    let column = settable(collection, table, &field.name)?;
    let value = match &field.mask {
        Some(mask) => typed_text(mask, column.affinity),
        None => return cleared(table, column),
    };
    value.filter(|v| fits(v, table, column)).ok_or_else(|| {
        format!("the mask of {}.{} does not fit its type {}", table.name, column.name, column.declared)
    })
}

/// NULL, else the column's default.
pub(crate) fn cleared(table: &Table, column: &Column) -> Result<Value, String> {
    if !column.not_null {
        return Ok(Value::Null);
    }
    column.default.clone().ok_or_else(|| {
        format!("{}.{} is NOT NULL and has neither a `mask` nor a literal default", table.name, column.name)
    })
}

/// The column, if a statement may set it at all.
pub(crate) fn settable<'t>(
    collection: &Collection,
    table: &'t Table,
    name: &str,
) -> Result<&'t Column, String> {
    let column = table.column(name).ok_or_else(|| format!("no such column: {}.{name}", table.name))?;
    if column.generated {
        return Err(format!("{}.{name} is a generated column: map the columns it is made of", table.name));
    }
    if table.primary_key.iter().any(|k| k == name) || table.key(collection).iter().any(|k| k == name) {
        return Err(format!("{}.{name} is part of the key and can only go with its record", table.name));
    }
    Ok(column)
}

/// A strict table takes a value only as its declared type.
pub(crate) fn fits(value: &Value, table: &Table, column: &Column) -> bool {
    !table.strict
        || match (column.affinity, value) {
            (_, Value::Null) => !column.not_null,
            (Affinity::Integer, Value::Integer(_)) => true,
            (Affinity::Real | Affinity::Numeric, Value::Integer(_) | Value::Real(_)) => true,
            (Affinity::Text, Value::Text(_)) => true,
            (Affinity::Blob, Value::Blob(_)) => true,
            (Affinity::Any, _) => true,
            _ => false,
        }
}

fn word(action: Action) -> &'static str {
    match action {
        Action::Restrict => "restrict",
        Action::Mask => "mask",
        Action::Pseudonymise => "pseudonymise",
        Action::Anonymise => "anonymise",
        Action::Erase => "erase",
    }
}
