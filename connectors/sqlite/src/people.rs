//! The rows of the people of a call: each collection is read once for all of them.

use std::collections::{BTreeMap, BTreeSet};

use quietus_contract::{Failure, Target};
use quietus_core::system::{Collection, Manifest};
use rusqlite::Connection;
use rusqlite::types::Value;

use crate::apply::quoted;
use crate::schema::Table;
use crate::spelling::{each, loose, loose_locator, shown, spellings};
use crate::value::number;

/// How many people one statement asks for; each may take three bound values.
const AT_ONCE: usize = 2_000;

/// The rows of one identity in one collection.
#[derive(Clone, Default)]
pub(crate) struct Person {
    pub(crate) rows: u64,
    /// How many of them have the loose key of a target of this call.
    pub(crate) loose: BTreeMap<Vec<String>, u64>,
}

pub(crate) struct People<'a> {
    manifest: &'a Manifest,
    targets: &'a [Target],
    /// By collection, column and identity type; then by identity value.
    read: BTreeMap<(String, String, String), BTreeMap<String, Person>>,
}

impl<'a> People<'a> {
    pub(crate) fn of(manifest: &'a Manifest, targets: &'a [Target]) -> Self {
        Self { manifest, targets, read: BTreeMap::new() }
    }

    /// What this person has in a collection, by one of its identity columns.
    pub(crate) fn person(
        &mut self,
        conn: &Connection,
        place: (&Collection, &Table),
        column: &str,
        kind: &str,
        value: &str,
    ) -> Result<Person, Failure> {
        let known = (place.0.name.clone(), column.to_owned(), kind.to_owned());
        if !self.read.contains_key(&known) {
            let people = self.load(conn, place, column, kind)?;
            self.read.insert(known.clone(), people);
        }
        let person = self.read.get(&known).and_then(|people| people.get(&normal(kind, value)));
        Ok(person.cloned().unwrap_or_default())
    }

    fn load(
        &self,
        conn: &Connection,
        (collection, table): (&Collection, &Table),
        column: &str,
        kind: &str,
    ) -> Result<BTreeMap<String, Person>, Failure> {
        let here = |t: &&Target| {
            self.manifest.collection(&t.dataset).is_some_and(|(_, c)| c.name == collection.name)
        };
        let mut values: BTreeSet<&str> = BTreeSet::new();
        let mut keys: BTreeMap<Vec<&String>, BTreeSet<Vec<String>>> = BTreeMap::new();
        for target in self.targets.iter().filter(here) {
            values.extend(target.identities.iter().filter(|i| i.kind == kind).map(|i| i.value.reveal()));
            if target.locator.keys().all(|c| table.column(c).is_some()) {
                keys.entry(target.locator.keys().collect()).or_default().insert(loose_locator(target));
            }
        }
        let values: Vec<&str> = values.into_iter().collect();
        let mut people: BTreeMap<String, Person> = BTreeMap::new();
        for (columns, wanted) in &keys {
            let mut counted: BTreeMap<String, u64> = BTreeMap::new();
            for some in values.chunks(AT_ONCE) {
                let bound: Vec<Value> = some.iter().flat_map(|v| spellings(v)).collect();
                let sql = select(collection, table, columns, column, kind, bound.len());
                each(conn, &sql, &bound, |row| {
                    let Some((identity, key)) = row.split_first() else { return };
                    let owner = normal(kind, &shown(identity));
                    *counted.entry(owner.clone()).or_default() += 1;
                    let key: Vec<String> = key.iter().map(|v| loose(&shown(v))).collect();
                    if wanted.contains(&key) {
                        *people.entry(owner).or_default().loose.entry(key).or_default() += 1;
                    }
                })?;
            }
            for (owner, rows) in counted {
                let person = people.entry(owner).or_default();
                person.rows = person.rows.max(rows);
            }
        }
        Ok(people)
    }
}

fn select(
    collection: &Collection,
    table: &Table,
    columns: &[&String],
    column: &str,
    kind: &str,
    bound: usize,
) -> String {
    let names: Vec<String> = columns.iter().map(|c| quoted(c)).collect();
    // An e-mail address is known in lower case; the application may keep it as it was typed.
    let fold = if kind == "email" { " COLLATE NOCASE" } else { "" };
    let ours = collection.where_.as_ref().map_or_else(String::new, |w| format!(" AND ({w}\n)"));
    format!(
        "SELECT {0}, {1} FROM {2} WHERE {0}{fold} IN ({3}){ours}",
        quoted(column),
        names.join(", "),
        quoted(&table.name),
        vec!["?"; bound].join(", "),
    )
}

/// One spelling for what the statement takes as equal.
fn normal(kind: &str, value: &str) -> String {
    match number(value) {
        Some(n) => shown(&n),
        None if kind == "email" => value.to_lowercase(),
        None => value.to_owned(),
    }
}
