//! What must go first: children before parents, and no circle among systems.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use super::dataset::{Collection, Dataset};
use super::manifest::{CopiesOf, Manifest};
use crate::document::{At, Diagnostic, Diagnostics, Severity, choose};

/// Names that lead back to the first: `a → b → a`.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub struct Cycle(pub Vec<String>);

impl fmt::Display for Cycle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let first = self.0.first().map(String::as_str).unwrap_or_default();
        self.0.iter().try_for_each(|name| write!(f, "{name} → "))?;
        f.write_str(first)
    }
}

/// The collections in an order in which a foreign key never points at what is already gone. Among those that are
/// free, the order of the file. A table that references itself is no circle: its rows go in one statement.
pub fn children_first(dataset: &Dataset) -> Result<Vec<&Collection>, Cycle> {
    // A collection waits for its children, and for those it is told to be erased after.
    let mut waits: BTreeMap<&str, BTreeSet<&str>> =
        dataset.collections.iter().map(|c| (c.name.as_str(), BTreeSet::new())).collect();
    for child in &dataset.collections {
        for parent in &child.references {
            if let Some(set) =
                waits.get_mut(parent.collection.as_str()).filter(|_| parent.collection != child.name)
            {
                set.insert(&child.name);
            }
        }
        let told = child.erase_after.iter().map(String::as_str).filter(|n| *n != child.name);
        if let Some(set) = waits.get_mut(child.name.as_str()) {
            set.extend(told);
        }
    }
    let order = sorted(dataset.collections.iter().map(|c| c.name.as_str()), &waits)?;
    Ok(order.iter().filter_map(|name| dataset.collections.iter().find(|c| c.name == *name)).collect())
}

/// What only shows when all systems are known: circles, names that lead nowhere.
pub fn check_systems(systems: &BTreeMap<String, Manifest>) -> Vec<Diagnostic> {
    let mut out = Vec::new();
    for (name, manifest) in systems {
        let file = Some(&manifest.places.file).filter(|f| !f.is_empty()).unwrap_or(name);
        let mut found = Diagnostics::new(file);
        for (i, copy) in manifest.copies_of.iter().enumerate() {
            check_copy(copy, at(manifest, &format!("copies_of.{i}")), systems, &mut found);
        }
        let replica = manifest.verify_with.as_ref().and_then(|name| systems.get(name));
        if let Some(other) = replica.filter(|other| other.kind != manifest.kind) {
            let detail =
                format!("`{}` is a `{}`, and no replica of a `{}`", other.system, other.kind, manifest.kind);
            found.error(at(manifest, "verify_with"), detail, "name its replica, or leave `verify_with` out");
        }
        let others = manifest.erase_after.iter().map(|s| (s, at(manifest, &format!("erase_after.{s}"))));
        for (other, at) in others.chain(manifest.verify_with.iter().map(|s| (s, at(manifest, "verify_with"))))
        {
            if !systems.contains_key(other) {
                let fix = choose(other, systems.keys().map(String::as_str));
                found.warning(at, format!("no system `{other}` is registered yet"), fix);
            }
        }
        out.extend(found.into_vec());
    }
    let copies = |m: &Manifest| m.copies_of.iter().map(|c| c.system.clone()).collect();
    out.extend(circle(systems, "copies_of", copies));
    out.extend(circle(systems, "erase_after", |m| m.erase_after.iter().cloned().collect()));
    if out.iter().all(|d| d.severity != Severity::Error) {
        out.extend(circle(systems, "the order of erasing", |m| goes_after(systems, m)));
    }
    out
}

/// What `erase_after` names, what a copy is made of, and the caches that are emptied before their origin.
fn goes_after(systems: &BTreeMap<String, Manifest>, manifest: &Manifest) -> BTreeSet<String> {
    let name = &manifest.system;
    let first = |copier: &Manifest, origin: &str| copier.goes_before(systems.get(origin), origin);
    let origins = manifest.copies_of.iter().map(|c| &c.system).filter(|o| !first(manifest, o));
    let made_of_it = |m: &&Manifest| m.copies_of.iter().any(|c| c.system == *name);
    let caches = systems.values().filter(made_of_it).filter(|m| first(m, name)).map(|m| &m.system);
    manifest.erase_after.iter().chain(origins).chain(caches).cloned().collect()
}

fn check_copy(copy: &CopiesOf, at: At, systems: &BTreeMap<String, Manifest>, found: &mut Diagnostics) {
    let Some(origin) = systems.get(&copy.system) else {
        let fix = choose(&copy.system, systems.keys().map(String::as_str));
        found.warning(at, format!("no system `{}` is registered yet", copy.system), fix);
        return;
    };
    let names: Vec<String> = origin
        .datasets
        .iter()
        .flat_map(|d| d.collections.iter().map(move |c| format!("{}.{}", d.fides_key, c.name)))
        .collect();
    let Some(dataset) = copy.dataset.as_ref().filter(|_| !names.is_empty()) else { return };
    let Some((_, collection)) = origin.collection(dataset) else {
        let fix = choose(dataset, names.iter().map(String::as_str));
        found.error(at, format!("`{dataset}` is no collection of the system `{}`", copy.system), fix);
        return;
    };
    for column in copy.rest.values().flat_map(|template| super::read_manifest::placeholders(template)) {
        if collection.field(column).is_none() {
            let leaves = collection.leaves();
            let fix = choose(column, leaves.iter().map(|(path, _)| path.as_str()));
            found.error(at, format!("`{{{column}}}` is no field of `{dataset}`"), fix);
        }
    }
}

fn circle(
    systems: &BTreeMap<String, Manifest>,
    key: &str,
    next: impl Fn(&Manifest) -> BTreeSet<String>,
) -> Option<Diagnostic> {
    let edges: BTreeMap<String, BTreeSet<String>> =
        systems.iter().map(|(n, m)| (n.clone(), next(m))).collect();
    let borrowed: BTreeMap<&str, BTreeSet<&str>> =
        edges.iter().map(|(n, to)| (n.as_str(), to.iter().map(String::as_str).collect())).collect();
    let cycle = sorted(edges.keys().map(String::as_str), &borrowed).err()?;
    let first = systems.get(cycle.0.first()?)?;
    let second = cycle.0.get(1).or(cycle.0.first())?;
    let file = if first.places.file.is_empty() { &first.system } else { &first.places.file };
    let index = first.copies_of.iter().position(|c| c.system == *second).unwrap_or_default();
    let place = if key == "copies_of" { format!("copies_of.{index}") } else { format!("{key}.{second}") };
    let mut found = Diagnostics::new(file);
    let named = if key.contains(' ') { key.to_owned() } else { format!("`{key}`") };
    found.error(
        at(first, &place),
        format!("{named} leads in a circle: {cycle}"),
        "remove one of these links",
    );
    found.into_vec().pop()
}

/// What stands in the ledger has no place of its own: the system is named as the file.
fn at(manifest: &Manifest, key: &str) -> At {
    manifest.places.at.get(key).copied().unwrap_or(At { line: 1, column: 1 })
}

/// Each name after all it waits for, else in the given order.
fn sorted<'a>(
    names: impl Iterator<Item = &'a str>,
    waits: &BTreeMap<&'a str, BTreeSet<&'a str>>,
) -> Result<Vec<&'a str>, Cycle> {
    let mut left: Vec<&str> = names.collect();
    let mut done = BTreeSet::new();
    let mut order = Vec::with_capacity(left.len());
    while !left.is_empty() {
        let open = |name: &str| {
            let mut on = waits.get(name).into_iter().flatten();
            on.find(|w| waits.contains_key(*w) && !done.contains(*w)).copied()
        };
        let Some(i) = left.iter().position(|name| open(name).is_none()) else {
            return Err(follow(left.first().copied().unwrap_or_default(), open));
        };
        let name = left.remove(i);
        done.insert(name);
        order.push(name);
    }
    Ok(order)
}

/// Everything left waits for something left: following that must come back.
fn follow<'a>(start: &'a str, open: impl Fn(&str) -> Option<&'a str>) -> Cycle {
    let mut path = vec![start];
    while let Some(next) = path.last().and_then(|name| open(name)) {
        if let Some(i) = path.iter().position(|name| *name == next) {
            return Cycle(path.split_off(i).into_iter().map(str::to_owned).collect());
        }
        path.push(next);
    }
    Cycle(path.into_iter().map(str::to_owned).collect())
}
