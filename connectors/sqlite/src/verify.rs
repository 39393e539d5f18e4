//! The independent read-back: a read-only session of its own, opened for this call, and no statement of `erase`.
//!
//! Erase converts a locator to the column's type; here every type is tried, and what comes back is compared as text,
//! so that a wrong conversion there is not repeated here. The read by identity catches a row whose key is spelled
//! otherwise: among the subject's rows, one that differs from the locator only in case, space or type is a find.
//! Other rows of the subject are counted and said in the scope; they may be live items.

use std::sync::Arc;

use quietus_contract::{Failure, Finding, ReadBack, Target, Work, identity_columns};
use quietus_core::system::{Collection, Manifest};
use rusqlite::Connection;
use rusqlite::types::Value;

use crate::apply::quoted;
use crate::config::{Config, clock};
use crate::people::People;
use crate::schema::{Schema, Table};
use crate::spelling::{each, equal, loose_locator, same, shown_scalar, spellings};
use crate::{correct, erase, fault};

pub(crate) fn read_back(config: &Config, manifest: &Manifest, targets: &[Target]) -> Vec<ReadBack> {
    match session(config, manifest) {
        Ok((conn, schema)) => {
            let at = clock(&conn).ok();
            let people = People::of(manifest, targets);
            let mut reader = Reader { conn: &conn, schema: &schema, manifest, people };
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
        identity_rows: None,
        scope: Arc::default(),
        not_checked: Vec::new(),
        at: None,
    }
}

struct Reader<'a> {
    conn: &'a Connection,
    schema: &'a Schema,
    manifest: &'a Manifest,
    people: People<'a>,
}

/// What lies in the collection under the subject's identities.
#[derive(Default)]
struct Theirs {
    /// None = no identity field could be read.
    rows: Option<u64>,
    /// With the target's key in another spelling.
    lookalikes: u64,
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
        let person = self.by_identity(collection, table, target, &mut scope, &mut not_checked)?;
        let by_identity = person.lookalikes;
        let finding = if kept > 0 {
            Finding::Found { count: kept, by: "primary key".into() }
        } else if rows == 0 && by_identity > 0 {
            Finding::Found { count: by_identity, by: "identity".into() }
        } else {
            Finding::Gone
        };
        let identity_rows = person.rows;
        let scope = scope.into();
        Ok(ReadBack { command: target.command, finding, identity_rows, scope, not_checked, at: None })
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
        each(self.conn, &sql, &values, |row| {
            let same = target.locator.values().zip(row).all(|(s, v)| same(v, &shown_scalar(s)));
            let held = row.iter().skip(target.locator.len());
            let replaced = !fields.is_empty() && fields.iter().zip(held).all(|((_, w), v)| equal(v, w));
            there += u64::from(same);
            kept += u64::from(same && !replaced);
        })?;
        Ok((there, kept))
    }

    /// The subject's rows, and how many of them have this key in any spelling.
    fn by_identity(
        &mut self,
        collection: &Collection,
        table: &Table,
        target: &Target,
        scope: &mut Vec<String>,
        not_checked: &mut Vec<String>,
    ) -> Result<Theirs, Failure> {
        let mut theirs = Theirs::default();
        for identity in &target.identities {
            let mut rows = 0;
            let columns = identity_columns(collection, &identity.kind);
            for column in &columns {
                if table.column(column).is_none() {
                    not_checked
                        .push(format!("identity {}: no column {}.{column}", identity.kind, table.name));
                    continue;
                }
                let known = identity.value.reveal();
                let person =
                    self.people.person(self.conn, (collection, table), column, &identity.kind, known)?;
                rows += person.rows;
                let alike = person.loose.get(&loose_locator(target)).copied().unwrap_or(0);
                theirs.lookalikes = theirs.lookalikes.max(alike);
                theirs.rows = theirs.rows.max(Some(rows));
            }
            if !columns.is_empty() {
                scope.push(format!("identity {}", identity.kind));
            }
        }
        if theirs.rows.is_none() {
            not_checked.push(format!("by identity: {} names no column for this subject", target.dataset));
        }
        Ok(theirs)
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
