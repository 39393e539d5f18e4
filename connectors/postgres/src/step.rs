//! One target as a step: which table, which key, and what is to be done there, in the database's terms.
//!
//! Pure: what cannot be executed is found here, before anything is sent. Nothing here has `Debug`: it holds keys and
//! values.

use std::sync::Arc;

use quietus_contract::{Outcome, Target, Work};
use quietus_core::system::{Collection, Manifest};

use crate::correct;
use crate::erase;
use crate::key::Key;
use crate::transaction::Drafted;
use crate::types::Table;

#[derive(Clone)]
pub(crate) struct Step {
    /// The target's place in the call.
    pub(crate) index: usize,
    pub(crate) command: quietus_contract::CommandId,
    pub(crate) table: Arc<Table>,
    /// Children have a lower one than their parents.
    pub(crate) rank: usize,
    pub(crate) key: Key,
    pub(crate) act: Act,
}

#[derive(Clone, PartialEq, Eq)]
pub(crate) enum Act {
    Delete,
    /// Each column gets this text, or NULL.
    Set(Vec<Assignment>),
}

#[derive(Clone, PartialEq, Eq)]
pub(crate) struct Assignment {
    pub(crate) column: String,
    pub(crate) value: Option<String>,
}

impl Step {
    pub(crate) fn new(
        manifest: &Manifest,
        table: &Arc<Table>,
        rank: usize,
        index: usize,
        target: &Target,
    ) -> Result<Self, Outcome> {
        let key = Key::of(table, target).map_err(Outcome::Failed)?;
        let act = act(manifest, table, target)?;
        Ok(Self { index, command: target.command, table: Arc::clone(table), rank, key, act })
    }

    pub(crate) fn came_to(&self, outcome: Outcome) -> Drafted {
        Drafted { index: self.index, command: self.command, outcome }
    }

    /// Steps that one statement carries out.
    pub(crate) fn is_alike(&self, other: &Self) -> bool {
        self.table.oid == other.table.oid
            && self.table.shown == other.table.shown
            && self.columns().eq(other.columns())
            && matches!(self.act, Act::Delete) == matches!(other.act, Act::Delete)
    }

    /// The columns it sets.
    pub(crate) fn columns(&self) -> impl Iterator<Item = &str> {
        let fields: &[Assignment] = match &self.act {
            Act::Delete => &[],
            Act::Set(fields) => fields,
        };
        fields.iter().map(|a| a.column.as_str())
    }

    pub(crate) fn value(&self, at: usize) -> Option<&str> {
        match &self.act {
            Act::Delete => None,
            Act::Set(fields) => fields.get(at)?.value.as_deref(),
        }
    }

    /// Children first, equal statements together, equal rows in one order in every session (fewer deadlocks).
    pub(crate) fn order(&self, other: &Self) -> std::cmp::Ordering {
        self.rank
            .cmp(&other.rank)
            .then_with(|| self.table.shown.cmp(&other.table.shown))
            .then_with(|| self.columns().cmp(other.columns()))
            .then_with(|| self.key.cmp(&other.key))
    }
}

/// What the target's work means for this table, or why it is not to be done.
pub(crate) fn act(manifest: &Manifest, table: &Table, target: &Target) -> Result<Act, Outcome> {
    let Some((_, collection)) = manifest.collection(&target.dataset) else {
        return Err(Outcome::Refused {
            reason: format!("{}: the manifest has no such collection", target.dataset),
        });
    };
    match &target.work {
        Work::Delete => Ok(Act::Delete),
        Work::Change { action, categories } => {
            erase::replacements(table, collection, *action, categories).map(Act::Set)
        }
        Work::Correct(changes) => correct::values(table, collection, changes).map(Act::Set),
    }
    .map_err(|reason| Outcome::Refused { reason })
}

/// What clears a column: its mask, else NULL, else its default; or why nothing does.
pub(crate) fn clearing(table: &Table, collection: &Collection, name: &str) -> Result<Assignment, String> {
    let place = format!("{}.{name}", table.shown);
    let mask = collection.fields.iter().find(|f| f.name == name).and_then(|f| f.mask.clone());
    let column = settable(table, name)?;
    let value = match (&mask, column.not_null, &column.constant_default) {
        (Some(mask), _, _) => Some(mask.clone()),
        (None, false, _) => None,
        (None, true, Some(default)) => Some(default.clone()),
        (None, true, None) if column.has_default => {
            return Err(format!(
                "{place} is NOT NULL and its default differs from row to row: give it a `mask`"
            ));
        }
        (None, true, None) => {
            return Err(format!("{place} is NOT NULL and has no default: give it a `mask`"));
        }
    };
    Ok(Assignment { column: name.to_owned(), value })
}

/// The column, if it may be set at all.
pub(crate) fn settable<'a>(table: &'a Table, name: &str) -> Result<&'a crate::types::Column, String> {
    let place = format!("{}.{name}", table.shown);
    let column = table.columns.get(name).ok_or_else(|| format!("{place}: the table has no such column"))?;
    if table.key.iter().any(|k| k == name) {
        return Err(format!("{place} is part of the key: changing it would lose the record"));
    }
    if column.computed {
        return Err(format!("{place} is generated by the database: map the columns it is made of"));
    }
    Ok(column)
}

/// Whether `selector` names `category` or something above it, by whole segments.
pub(crate) fn covers(selector: &str, category: &str) -> bool {
    category.strip_prefix(selector).is_some_and(|rest| rest.is_empty() || rest.starts_with('.'))
}

#[cfg(test)]
mod tests {
    use super::covers;

    #[test]
    fn categories_match_by_whole_segments() {
        assert!(covers("user.contact", "user.contact.email") && covers("user.contact", "user.contact"));
        assert!(!covers("user.contact", "user.contacts") && !covers("user.contact.email", "user.contact"));
    }
}
