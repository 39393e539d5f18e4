//! How the read-back compares: as text, over every type a value may have been stored as.
//!
//! Apart from [`crate::value`] on purpose: what erase converts wrongly is not to be read back through the same
//! conversion.

use quietus_contract::{Failure, Scalar, Target};
use rusqlite::types::Value;
use rusqlite::{Connection, params_from_iter};

use crate::fault;
use crate::value::{bytes, number, stored, whole};

/// Every value a column of any type may hold for this text.
pub(crate) fn spellings(text: &str) -> Vec<Value> {
    let mut all = vec![Value::Text(text.to_owned())];
    all.extend(number(text));
    all.extend(bytes(text).filter(|b| !b.is_empty()).map(Value::Blob));
    all
}

pub(crate) fn shown_scalar(scalar: &Scalar) -> String {
    match scalar {
        Scalar::Text(t) | Scalar::Number(t) => t.reveal().to_owned(),
        Scalar::Integer(i) => i.to_string(),
    }
}

pub(crate) fn shown(value: &Value) -> String {
    match value {
        Value::Null => String::new(),
        Value::Integer(i) => i.to_string(),
        Value::Real(r) => whole(*r).map_or_else(|| r.to_string(), |i| i.to_string()),
        Value::Text(t) => t.clone(),
        Value::Blob(b) => b.iter().map(|byte| format!("{byte:02x}")).collect(),
    }
}

/// Whether a stored value is what the text names.
pub(crate) fn same(value: &Value, text: &str) -> bool {
    match value {
        Value::Null => false,
        Value::Text(t) => t == text,
        Value::Blob(b) => bytes(text).as_ref() == Some(b),
        Value::Integer(_) | Value::Real(_) => number(text).is_some_and(|n| equal(value, &n)),
    }
}

pub(crate) fn equal(a: &Value, b: &Value) -> bool {
    match (a, b) {
        (Value::Integer(i), Value::Real(r)) | (Value::Real(r), Value::Integer(i)) => whole(*r) == Some(*i),
        _ => a == b,
    }
}

/// Without case and surrounding space; a number and its text are one.
pub(crate) fn loose(text: &str) -> String {
    text.trim().to_lowercase()
}

pub(crate) fn loose_locator(target: &Target) -> Vec<String> {
    target.locator.values().map(|s| loose(&shown_scalar(s))).collect()
}

/// Every row of a statement, as values.
pub(crate) fn each(
    conn: &Connection,
    sql: &str,
    values: &[Value],
    mut see: impl FnMut(&[Value]),
) -> Result<(), Failure> {
    let mut read = || -> rusqlite::Result<()> {
        let mut statement = conn.prepare_cached(sql)?;
        let width = statement.column_count();
        let mut rows = statement.query(params_from_iter(values))?;
        while let Some(row) = rows.next()? {
            let row: Vec<Value> =
                (0..width).map(|i| row.get_ref(i).map(stored)).collect::<rusqlite::Result<_>>()?;
            see(&row);
        }
        Ok(())
    };
    read().map_err(|e| fault::of(&e))
}
