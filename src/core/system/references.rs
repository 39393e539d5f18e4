//! Who points at whom: Fides' references and ours → foreign keys of the child.
//!
//! Fides' `direction` says which way a search runs, not which side holds the key; the child is the side whose field
//! is not its collection's whole key. Where neither is a key it may be a mere join (two tables with an e-mail
//! address): it counts as a foreign key as long as it closes no circle. Rejected: trusting the direction, which would
//! delete parents first.

use std::collections::{BTreeMap, BTreeSet};

use super::dataset::{Collection, Reference};
use super::read_dataset::Draft;
use crate::document::{At, Diagnostics, Fields, Node, choose};

/// `fides_meta.references[]` of one field, not yet resolved.
#[derive(Debug)]
pub(super) struct FidesReference<'a> {
    /// The field that says so.
    pub column: String,
    pub dataset: String,
    /// `collection.field`
    pub field: String,
    pub node: &'a Node,
}

pub(super) fn fides<'a>(node: &'a Node, column: &str, found: &mut Diagnostics) -> Option<FidesReference<'a>> {
    let mut fields = Fields::of(node, "a reference", found)?;
    let dataset = fields.need_text("dataset", found);
    let field = fields.need_text("field", found);
    fields.word("direction", &[("from", ()), ("to", ())], found);
    fields.finish(found);
    Some(FidesReference { column: column.to_owned(), dataset: dataset?, field: field?, node })
}

/// Every collection's references, once all collections are known; each to something that exists.
pub(super) fn resolve(dataset: &str, drafts: &mut [Draft], found: &mut Diagnostics) {
    let known: Vec<Collection> = drafts.iter().map(|d| d.collection.clone()).collect();
    let mut resolved: Vec<(String, Reference)> = Vec::new();
    let mut joins: Vec<(String, Reference)> = Vec::new();
    for draft in drafts.iter() {
        let own = &draft.collection;
        for reference in draft.fides.iter().filter(|r| r.dataset == dataset) {
            match from_fides(reference, own, &known, found) {
                Some((edge, true)) => resolved.push(edge),
                Some((edge, false)) => joins.push(edge),
                None => {}
            }
        }
        for (reference, node) in &draft.own {
            resolved.extend(from_own(reference, node, own, &known, found));
        }
    }
    if resolved.len() + joins.len() > MOST {
        let at = drafts.first().map_or(At { line: 1, column: 1 }, |d| d.node.into());
        found.error(at, format!("more than {MOST} references in one dataset"), "split the dataset");
        return;
    }
    let mut parents: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for (child, reference) in &resolved {
        parents.entry(child.clone()).or_default().push(reference.collection.clone());
    }
    for (child, reference) in joins {
        if !leads_to(&parents, &reference.collection, &child) {
            parents.entry(child.clone()).or_default().push(reference.collection.clone());
            resolved.push((child, reference));
        }
    }
    for draft in drafts.iter_mut() {
        let name = draft.collection.name.clone();
        let mut mine: Vec<Reference> = Vec::new();
        for (_, reference) in resolved.iter().filter(|(child, _)| *child == name) {
            if !mine.contains(reference) {
                mine.push(reference.clone());
            }
        }
        draft.collection.references = mine;
        draft.collection.erase_after = erase_after(dataset, draft, &known, found);
    }
}

/// More than any schema has: following them all may take the square of it.
const MOST: usize = 10_000;

/// Can one come from `from` to `to` by going from child to parent?
fn leads_to(parents: &BTreeMap<String, Vec<String>>, from: &str, to: &str) -> bool {
    let mut seen = BTreeSet::new();
    let mut open = vec![from];
    while let Some(name) = open.pop() {
        if name == to {
            return true;
        }
        if seen.insert(name) {
            open.extend(parents.get(name).into_iter().flatten().map(String::as_str));
        }
    }
    false
}

/// The child's name and its reference; false = perhaps a mere join.
fn from_fides(
    reference: &FidesReference,
    own: &Collection,
    known: &[Collection],
    found: &mut Diagnostics,
) -> Option<((String, Reference), bool)> {
    let at = reference.node.get("field").unwrap_or(reference.node);
    let split = known.iter().filter_map(|c| {
        let column = reference.field.strip_prefix(c.name.as_str())?.strip_prefix('.')?;
        Some((c, column))
    });
    let Some((target, column)) = split.max_by_key(|(c, _)| c.name.len()) else {
        let name = reference.field.split('.').next().unwrap_or_default();
        let fix = choose(name, known.iter().map(|c| c.name.as_str()));
        found.error(at, format!("`{}` names no collection of this dataset", reference.field), fix);
        return None;
    };
    if target.field(column).is_none() {
        unknown_column(at, column, target, found);
        return None;
    }
    let is_key = |c: &Collection, column: &str| c.key.iter().map(String::as_str).eq([column]);
    let in_key = target.key.iter().any(|k| k == column);
    if is_key(own, &reference.column) && !in_key && !target.key.is_empty() {
        let turned = Reference {
            columns: vec![column.to_owned()],
            collection: own.name.clone(),
            to: vec![reference.column.clone()],
        };
        return Some(((target.name.clone(), turned), true));
    }
    let straight = Reference {
        columns: vec![reference.column.clone()],
        collection: target.name.clone(),
        to: vec![column.to_owned()],
    };
    Some(((own.name.clone(), straight), in_key))
}

fn from_own(
    reference: &Reference,
    node: &Node,
    own: &Collection,
    known: &[Collection],
    found: &mut Diagnostics,
) -> Option<(String, Reference)> {
    let Some(target) = known.iter().find(|c| c.name == reference.collection) else {
        let fix = choose(&reference.collection, known.iter().map(|c| c.name.as_str()));
        let at = node.get("collection").unwrap_or(node);
        found.error(at, format!("`{}` is no collection of this dataset", reference.collection), fix);
        return None;
    };
    let to = if reference.to.is_empty() { target.key.clone() } else { reference.to.clone() };
    let at = node.get("to").unwrap_or(node);
    let before = found.error_count();
    for column in to.iter().filter(|c| target.field(c).is_none()) {
        unknown_column(at, column, target, found);
    }
    if !reference.columns.is_empty() && to.len() != reference.columns.len() {
        let detail = format!("{} columns point at {}", reference.columns.len(), to.len());
        found.error(at, detail, format!("write `to:` with {} columns", reference.columns.len()));
    }
    (found.error_count() == before).then(|| (own.name.clone(), Reference { to, ..reference.clone() }))
}

fn erase_after(dataset: &str, draft: &Draft, known: &[Collection], found: &mut Diagnostics) -> Vec<String> {
    let mut out = Vec::new();
    for (address, node) in &draft.erase_after {
        // Another dataset's collections are ordered by the systems' own `erase_after`.
        let Some(name) = address.strip_prefix(dataset).and_then(|rest| rest.strip_prefix('.')) else {
            continue;
        };
        if known.iter().any(|c| c.name == name) {
            out.push(name.to_owned());
        } else {
            let fix = choose(name, known.iter().map(|c| c.name.as_str()));
            found.error(*node, format!("`{name}` is no collection of this dataset"), fix);
        }
    }
    out
}

fn unknown_column(at: &Node, column: &str, target: &Collection, found: &mut Diagnostics) {
    super::own_keys::no_field(at, format!("`{column}`"), column, target, found);
}
