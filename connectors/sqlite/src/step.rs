//! A target as a statement would need it: which table, which row, what to do there.
//!
//! Everything that can be known without touching a row is decided here, so that a target that cannot be done never
//! enters a transaction.

use std::collections::BTreeSet;

use quietus_contract::{CommandId, Failure, Outcome, Target};
use quietus_core::system::{Collection, Manifest};
use rusqlite::types::Value;

use crate::schema::{Schema, Table};
use crate::value::{Part, typed};

/// No Debug: it would show the key.
pub(crate) struct Step<'a> {
    pub(crate) command: CommandId,
    pub(crate) table: &'a Table,
    /// The locator's columns, sorted, and their values; together unique in the table.
    pub(crate) columns: Vec<String>,
    pub(crate) key: Vec<Value>,
    pub(crate) op: Op,
}

#[derive(Clone, PartialEq)]
pub(crate) enum Op {
    Delete,
    /// Column, value: all of them or nothing.
    Set(Vec<(String, Value)>),
}

/// Where a target lies.
pub(crate) struct Place<'a> {
    pub(crate) collection: &'a Collection,
    pub(crate) table: &'a Table,
    pub(crate) columns: Vec<String>,
    pub(crate) key: Vec<Value>,
}

impl<'a> Place<'a> {
    pub(crate) fn of(schema: &'a Schema, manifest: &'a Manifest, target: &Target) -> Result<Self, Outcome> {
        let missing = |detail: String| Outcome::Failed(Failure::fatal("missing_table", detail));
        let refused = |reason: String| Outcome::Refused { reason };
        let (_, collection) = manifest
            .collection(&target.dataset)
            .ok_or_else(|| missing(format!("dataset {} is not in the manifest", target.dataset)))?;
        let table = schema
            .table(&collection.name)
            .ok_or_else(|| missing(format!("no such table: {}", collection.name)))?;
        let columns: Vec<String> = target.locator.keys().cloned().collect();
        let key = table.key(collection);
        if key.is_empty() {
            return Err(refused(format!("{} has no key; name one as quietus.key", target.dataset)));
        }
        if let Some(lacking) = key.iter().find(|k| !columns.contains(k)) {
            return Err(refused(format!("the locator lacks the key column {lacking} of {}", target.dataset)));
        }
        if !table.view && !table.is_unique(&columns) {
            return Err(refused(format!("the key of {} may name several rows", target.dataset)));
        }
        let mut values = Vec::with_capacity(columns.len());
        for (name, scalar) in &target.locator {
            let column = table.column(name).ok_or_else(|| {
                let detail = format!("no such column: {}.{name}", collection.name);
                Outcome::Failed(Failure::fatal("missing_column", detail))
            })?;
            values.push(typed(scalar, column.affinity).ok_or(Outcome::Absent)?);
        }
        Ok(Self { collection, table, columns, key: values })
    }

    pub(crate) fn step(self, command: CommandId, op: Op) -> Step<'a> {
        Step { command, table: self.table, columns: self.columns, key: self.key, op }
    }
}

impl Step<'_> {
    pub(crate) fn parts(&self) -> Vec<Part> {
        self.key.iter().cloned().map(Part::from).collect()
    }

    /// How many values are bound beside the keys.
    pub(crate) fn sets(&self) -> usize {
        match &self.op {
            Op::Delete => 0,
            Op::Set(assignments) => assignments.len(),
        }
    }

    fn is_alike(&self, other: &Step<'_>) -> bool {
        self.table.name == other.table.name && self.columns == other.columns && self.op == other.op
    }
}

/// Steps that one statement can do, children before parents. A row named twice goes into two groups, so that the
/// second sees what the first did.
pub(crate) fn groups<'s, 'a>(steps: &[&'s Step<'a>]) -> Vec<Vec<&'s Step<'a>>> {
    let mut groups: Vec<(BTreeSet<Vec<Part>>, Vec<&'s Step<'a>>)> = Vec::new();
    for step in steps {
        let key = step.parts();
        let joins = |keys: &BTreeSet<Vec<Part>>, group: &[&Step<'_>]| {
            group.first().is_some_and(|first| step.is_alike(first)) && !keys.contains(&key)
        };
        match groups.iter_mut().find(|(keys, group)| joins(keys, group)) {
            Some((keys, group)) => {
                keys.insert(key);
                group.push(step);
            }
            None => groups.push((BTreeSet::from([key]), vec![step])),
        }
    }
    groups.sort_by_key(|(_, group)| std::cmp::Reverse(group.first().map_or(0, |s| s.table.rank)));
    groups.into_iter().map(|(_, group)| group).collect()
}
