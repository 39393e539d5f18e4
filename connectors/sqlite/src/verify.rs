//! The independent read-back: a read-only session of its own, opened for this call, and no statement of `erase`.
//!
//! Erase converts a locator to the column's type; here every type is tried, and what comes back is compared as text,
//! so that a wrong conversion there is not repeated here. The read by identity catches a row whose key is spelled
//! otherwise: among the subject's rows, one that differs from the locator only in case, space or type is a find.
//! Other rows of the subject are counted and said in the scope; they may be live items.

use std::collections::{BTreeMap, BTreeSet};

use quietus_contract::{Failure, Finding, ReadBack, Scalar, Target, Work, identity_columns};
use quietus_core::system::{Collection, Manifest};
use rusqlite::types::Value;
use rusqlite::{Connection, params_from_iter};

use crate::apply::quoted;
use crate::config::{Config, clock};
use crate::schema::{Schema, Table};
use crate::value::{bytes, number, whole};
use crate::{correct, erase, fault};

pub(crate) fn read_back(config: &Config, manifest: &Manifest, targets: &[Target]) -> Vec<ReadBack> {
    match session(config, manifest) {
        Ok((conn, schema)) => {
            let at = clock(&conn).ok();
            let mut reader =
                Reader { conn: &conn, schema: &schema, manifest, people: BTreeMap::new(), targets };
            targets.iter().map(|t| ReadBack { at, ..reader.target(t) }).collect()
        }
        Err(failure) => targets.iter().map(|t| unreadable(t, failure.clone())).collect(),
    }
}

fn session(config: &Config, manifest: &Manifest) -> Result<(Connection, Schema), Failure> {
    let conn = config.reader()?;
    // One snapshot for all of it: the schema, the keys, the identities.
    conn.execute_batch("BEGIN").map_err(|e| fault::of(&e))?;
    let schema = Schema::read(&conn, manifest)?;
    Ok((conn, schema))
}

fn unreadable(target: &Target, failure: Failure) -> ReadBack {
    ReadBack {
        command: target.command,
        finding: Finding::Unreadable(failure),
        scope: Vec::new(),
        not_checked: Vec::new(),
        at: None,
    }
}

struct Reader<'a> {
    conn: &'a Connection,
    schema: &'a Schema,
    manifest: &'a Manifest,
    targets: &'a [Target],
    /// What was read of a person in a collection: read once for all targets of the call.
    people: BTreeMap<(String, String, String), Person>,
}

/// The rows of one identity in one collection.
#[derive(Clone, Default)]
struct Person {
    rows: u64,
    /// Loose keys of targets of this call that are among them.
    loose: BTreeSet<Vec<String>>,
}

/// What is to be gone from a row.
enum Wanted {
    Row,
    /// Column and the value it is to hold.
    Fields(Vec<(String, Value)>),
}

impl Reader<'_> {
    fn target(&mut self, target: &Target) -> ReadBack {
        self.read(target).unwrap_or_else(|failure| unreadable(target, failure))
    }

    fn read(&mut self, target: &Target) -> Result<ReadBack, Failure> {
        let manifest = self.manifest;
        let (_, collection) = manifest.collection(&target.dataset).ok_or_else(|| {
            Failure::fatal("missing_table", format!("dataset {} is not in the manifest", target.dataset))
        })?;
        let table = self
            .schema
            .table(&collection.name)
            .ok_or_else(|| Failure::fatal("missing_table", format!("no such table: {}", collection.name)))?;
        if target.locator.is_empty() {
            return Err(Failure::fatal("missing_column", "the target has no locator to read by"));
        }
        let wanted = wanted(collection, table, &target.work)?;
        let (rows, kept) = self.by_key(table, target, &wanted)?;
        let mut scope = vec!["primary key".to_owned()];
        let mut not_checked = Vec::new();
        let by_identity = self.by_identity(collection, table, target, &mut scope, &mut not_checked)?;
        let finding = if kept > 0 {
            Finding::Found { count: kept, by: "primary key".into() }
        } else if rows == 0 && by_identity {
            Finding::Found { count: 1, by: "identity".into() }
        } else {
            Finding::Gone
        };
        Ok(ReadBack { command: target.command, finding, scope, not_checked, at: None })
    }

    /// How many rows have this key, and how many of them still hold what is to be gone.
    fn by_key(&self, table: &Table, target: &Target, wanted: &Wanted) -> Result<(u64, u64), Failure> {
        let mut conditions = Vec::new();
        let mut values = Vec::new();
        for (name, scalar) in &target.locator {
            if table.column(name).is_none() {
                return Err(Failure::fatal(
                    "missing_column",
                    format!("no such column: {}.{name}", table.name),
                ));
            }
            let spellings = spellings(&shown_scalar(scalar));
            conditions.push(format!("{} IN ({})", quoted(name), vec!["?"; spellings.len()].join(", ")));
            values.extend(spellings);
        }
        let fields: &[(String, Value)] = match wanted {
            Wanted::Row => &[],
            Wanted::Fields(fields) => fields,
        };
        let names: Vec<String> =
            target.locator.keys().chain(fields.iter().map(|(n, _)| n)).map(|n| quoted(n)).collect();
        let sql = format!(
            "SELECT {} FROM {} WHERE {}",
            names.join(", "),
            quoted(&table.name),
            conditions.join(" AND ")
        );
        let (mut there, mut kept) = (0, 0);
        self.each(&sql, &values, |row| {
            let same = target.locator.values().zip(row).all(|(s, v)| same(v, &shown_scalar(s)));
            let held = row.iter().skip(target.locator.len());
            let replaced = !fields.is_empty() && fields.iter().zip(held).all(|((_, w), v)| equal(v, w));
            there += u64::from(same);
            kept += u64::from(same && !replaced);
        })?;
        Ok((there, kept))
    }

    /// Whether the row is there under another spelling of its key.
    fn by_identity(
        &mut self,
        collection: &Collection,
        table: &Table,
        target: &Target,
        scope: &mut Vec<String>,
        not_checked: &mut Vec<String>,
    ) -> Result<bool, Failure> {
        let (mut read, mut found) = (false, false);
        for identity in &target.identities {
            let mut rows = 0;
            let columns = identity_columns(collection, &identity.kind);
            for column in &columns {
                if table.column(column).is_none() {
                    not_checked
                        .push(format!("identity {}: no column {}.{column}", identity.kind, table.name));
                    continue;
                }
                let person =
                    self.person(collection, table, column, &identity.kind, identity.value.reveal())?;
                rows += person.rows;
                found |= person.loose.contains(&loose_locator(target));
                read = true;
            }
            if !columns.is_empty() {
                scope.push(format!("identity {}: {rows} rows", identity.kind));
            }
        }
        if !read {
            not_checked.push(format!("by identity: {} names no column for this subject", target.dataset));
        }
        Ok(found)
    }

    fn person(
        &mut self,
        collection: &Collection,
        table: &Table,
        column: &str,
        kind: &str,
        value: &str,
    ) -> Result<Person, Failure> {
        let known = (collection.name.clone(), column.to_owned(), value.to_owned());
        if let Some(person) = self.people.get(&known) {
            return Ok(person.clone());
        }
        let wanted: BTreeMap<Vec<String>, BTreeSet<Vec<String>>> = self.loose_keys(collection);
        let mut person = Person::default();
        let spellings = spellings(value);
        // An e-mail address is known in lower case; the application may keep it as it was typed.
        let fold = if kind == "email" { " COLLATE NOCASE" } else { "" };
        let ours = collection.where_.as_ref().map_or_else(String::new, |w| format!(" AND ({w}\n)"));
        for (columns, keys) in &wanted {
            if columns.iter().any(|c| table.column(c).is_none()) {
                continue;
            }
            let names: Vec<String> = columns.iter().map(|c| quoted(c)).collect();
            let sql = format!(
                "SELECT {} FROM {} WHERE {}{fold} IN ({}){ours}",
                names.join(", "),
                quoted(&table.name),
                quoted(column),
                vec!["?"; spellings.len()].join(", "),
            );
            let mut rows = 0;
            self.each(&sql, &spellings, |row| {
                rows += 1;
                let key: Vec<String> = row.iter().map(|v| loose(&shown(v))).collect();
                if keys.contains(&key) {
                    person.loose.insert(key);
                }
            })?;
            person.rows = person.rows.max(rows);
        }
        self.people.insert(known, person.clone());
        Ok(person)
    }

    /// The loose keys of this call's targets in a collection, by their columns.
    fn loose_keys(&self, collection: &Collection) -> BTreeMap<Vec<String>, BTreeSet<Vec<String>>> {
        let mut keys: BTreeMap<Vec<String>, BTreeSet<Vec<String>>> = BTreeMap::new();
        for target in self.targets {
            if self.manifest.collection(&target.dataset).is_some_and(|(_, c)| c.name == collection.name) {
                keys.entry(target.locator.keys().cloned().collect())
                    .or_default()
                    .insert(loose_locator(target));
            }
        }
        keys
    }

    fn each(&self, sql: &str, values: &[Value], mut see: impl FnMut(&[Value])) -> Result<(), Failure> {
        let mut read = || -> rusqlite::Result<()> {
            let mut statement = self.conn.prepare_cached(sql)?;
            let width = statement.column_count();
            let mut rows = statement.query(params_from_iter(values))?;
            while let Some(row) = rows.next()? {
                let row: Vec<Value> = (0..width).map(|i| row.get(i)).collect::<rusqlite::Result<_>>()?;
                see(&row);
            }
            Ok(())
        };
        read().map_err(|e| fault::of(&e))
    }
}

fn wanted(collection: &Collection, table: &Table, work: &Work) -> Result<Wanted, Failure> {
    let fields = match work {
        Work::Delete => return Ok(Wanted::Row),
        Work::Change { categories, .. } => erase::replacements(collection, table, categories),
        Work::Correct(changes) => correct::values(collection, table, changes),
    };
    fields.map(Wanted::Fields).map_err(|reason| Failure::fatal("missing_column", reason))
}

/// Every value a column of any type may hold for this text.
fn spellings(text: &str) -> Vec<Value> {
    let mut all = vec![Value::Text(text.to_owned())];
    all.extend(number(text));
    all.extend(bytes(text).filter(|b| !b.is_empty()).map(Value::Blob));
    all
}

fn shown_scalar(scalar: &Scalar) -> String {
    match scalar {
        Scalar::Text(t) | Scalar::Number(t) => t.reveal().to_owned(),
        Scalar::Integer(i) => i.to_string(),
    }
}

fn shown(value: &Value) -> String {
    match value {
        Value::Null => String::new(),
        Value::Integer(i) => i.to_string(),
        Value::Real(r) => whole(*r).map_or_else(|| r.to_string(), |i| i.to_string()),
        Value::Text(t) => t.clone(),
        Value::Blob(b) => b.iter().map(|byte| format!("{byte:02x}")).collect(),
    }
}

/// Whether a stored value is what the text names.
fn same(value: &Value, text: &str) -> bool {
    match value {
        Value::Null => false,
        Value::Text(t) => t == text,
        Value::Blob(b) => bytes(text).as_ref() == Some(b),
        Value::Integer(_) | Value::Real(_) => number(text).is_some_and(|n| equal(value, &n)),
    }
}

fn equal(a: &Value, b: &Value) -> bool {
    match (a, b) {
        (Value::Integer(i), Value::Real(r)) | (Value::Real(r), Value::Integer(i)) => whole(*r) == Some(*i),
        _ => a == b,
    }
}

/// Without case, surrounding space and leading zeros.
fn loose(text: &str) -> String {
    let text = text.trim().to_lowercase();
    match number(&text) {
        Some(value) => shown(&value),
        None => text,
    }
}

fn loose_locator(target: &Target) -> Vec<String> {
    target.locator.values().map(|s| loose(&shown_scalar(s))).collect()
}
