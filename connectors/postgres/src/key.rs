//! A record's key in the database's terms: one value per key column, in the order of [`Table::key`].
//!
//! Invariant: no value is changed by the cast that a statement makes of it, so none meets another row.
//! Nothing here has `Debug`: it holds keys.

use std::borrow::Cow;

use quietus_contract::{Failure, Scalar, Target};

use crate::types::{Column, Table};

#[derive(Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Key {
    /// Most keys are one column: nothing more is allocated then.
    first: Part,
    others: Vec<Part>,
}

#[derive(Clone, PartialEq, Eq, PartialOrd, Ord)]
enum Part {
    /// Of a column of whole numbers that takes it.
    Whole(i64),
    Text(String),
}

impl Key {
    pub(crate) fn of(table: &Table, target: &Target) -> Result<Self, Failure> {
        let Some((first, others)) = table.key.split_first() else {
            let place = &table.shown;
            let detail = format!("{place}: no primary key, and the dataset names no `quietus: {{key: […]}}`");
            return Err(Failure::fatal("missing_column", detail));
        };
        let others = others.iter().map(|name| part(table, target, name)).collect::<Result<_, _>>()?;
        Ok(Self { first: part(table, target, first)?, others })
    }

    /// The first column's value, where it is a whole number.
    pub(crate) fn whole(&self) -> Option<i64> {
        match self.first {
            Part::Whole(number) => Some(number),
            Part::Text(_) => None,
        }
    }

    /// The first column's value.
    pub(crate) fn text(&self) -> Cow<'_, str> {
        self.first.text()
    }

    pub(crate) fn text_at(&self, column: usize) -> Option<Cow<'_, str>> {
        match column.checked_sub(1) {
            None => Some(self.text()),
            Some(at) => self.others.get(at).map(Part::text),
        }
    }
}

impl Part {
    fn text(&self) -> Cow<'_, str> {
        match self {
            Self::Whole(number) => Cow::Owned(number.to_string()),
            Self::Text(text) => Cow::Borrowed(text),
        }
    }
}

fn part(table: &Table, target: &Target, name: &str) -> Result<Part, Failure> {
    let place = &table.shown;
    let column = table.columns.get(name).ok_or_else(|| {
        Failure::fatal("missing_column", format!("{place}: the table has no key column {name}"))
    })?;
    let value = target.locator.get(name).ok_or_else(|| {
        Failure::fatal("conflict", format!("{place}: the locator does not say key column {name}"))
    })?;
    let text = match value {
        Scalar::Integer(number) if column.takes(*number) => return Ok(Part::Whole(*number)),
        Scalar::Integer(number) => Cow::Owned(number.to_string()),
        Scalar::Text(text) | Scalar::Number(text) => Cow::Borrowed(text.reveal()),
    };
    // Casting would cut or trim these, and so meet another row.
    if !survives(column, &text) {
        let detail = format!("{place}: the locator's {name} is no value of type {}", column.base);
        return Err(Failure::fatal("conflict", detail));
    }
    Ok(column.whole(&text).map_or_else(|| Part::Text(text.into_owned()), Part::Whole))
}

fn survives(column: &Column, text: &str) -> bool {
    match column.base.as_str() {
        "\"char\"" => text.len() <= 1,
        "name" => text.len() < 64,
        _ => column.is_text || text.trim() == text,
    }
}
