//! Everything that would make a command fail, found before the first one: reading only.

use quietus_contract::{CheckReport, Failure, Problem};
use quietus_core::system::{Collection, Dataset, Field, Manifest};
use rusqlite::Connection;

use crate::apply::quoted;
use crate::config::Config;
use crate::erase::replacement;
use crate::schema::{Schema, Table};

pub(crate) fn report(config: &Config, manifest: &Manifest) -> CheckReport {
    let mut problems = Problems { system: &manifest.system, list: Vec::new() };
    problems.abilities();
    // A writer is opened, and nothing written: whether the file may be written shows in the open and in its lock.
    let conn = match config.writer().and_then(|conn| writable(&conn).map(|()| conn)) {
        Ok(conn) => conn,
        Err(failure) => {
            problems.system(failure);
            return CheckReport { problems: problems.list };
        }
    };
    match Schema::read(&conn, manifest) {
        Ok(schema) => {
            for dataset in &manifest.datasets {
                for collection in &dataset.collections {
                    problems.collection(&conn, &schema, dataset, collection);
                }
            }
        }
        Err(failure) => problems.system(failure),
    }
    CheckReport { problems: problems.list }
}

fn writable(conn: &Connection) -> Result<(), Failure> {
    if conn.is_readonly("main").unwrap_or(true) {
        return Err(Failure::fatal("denied", "the database file can only be read"));
    }
    Ok(())
}

struct Problems<'a> {
    system: &'a str,
    list: Vec<Problem>,
}

impl Problems<'_> {
    fn add(&mut self, fatal: bool, code: &'static str, place: &str, detail: String, fix: &str) {
        self.list.push(Problem { fatal, code, place: place.to_owned(), detail, fix: fix.to_owned() });
    }

    fn system(&mut self, failure: Failure) {
        let place = self.system.to_owned();
        self.add(
            true,
            failure.code,
            &place,
            failure.detail,
            "see connection.url and the rights on the file and its folder",
        );
    }

    fn abilities(&mut self) {
        let place = self.system.to_owned();
        let detail = "anonymise, pseudonymise and restrict cannot be executed here".to_owned();
        self.add(false, "cannot_execute", &place, detail, "rules that reach this system: use erase or mask");
    }

    fn collection(&mut self, conn: &Connection, schema: &Schema, dataset: &Dataset, collection: &Collection) {
        let place = format!("{}.{}", dataset.fides_key, collection.name);
        let Some(table) = schema.table(&collection.name) else {
            let fix =
                "write the table's name letter by letter as in the database, or take the collection out";
            return self.add(
                true,
                "missing_table",
                &place,
                format!("no such table: {}", collection.name),
                fix,
            );
        };
        self.columns(&place, table, collection);
        self.key(&place, table, collection);
        self.replacements(&place, table, collection);
        self.condition(conn, &place, table, collection);
        self.indexes(&place, schema, table, collection);
        if table.is_virtual {
            let detail = format!("{} is a virtual table, which cannot say what it deleted", table.name);
            self.add(
                true,
                "cannot_execute",
                &place,
                detail,
                "map the table it indexes, and let a trigger follow it",
            );
        }
        if table.view {
            let detail = format!("{} is a view: whether a row goes is up to its triggers", table.name);
            self.add(false, "cannot_execute", &place, detail, "map the tables below it");
        }
    }

    fn columns(&mut self, place: &str, table: &Table, collection: &Collection) {
        let named = collection.fields.iter().map(|f| &f.name).chain(&collection.key);
        let single = [
            collection.subject.as_ref().map(|s| &s.column),
            collection.recorded_at.as_ref(),
            collection.last_activity.as_ref(),
            collection.process.as_ref(),
            collection.item.as_ref(),
            collection.soft_delete.as_ref(),
        ];
        let referring = collection.references.iter().flat_map(|r| &r.columns);
        let mut told: Vec<&String> = Vec::new();
        for name in named.chain(single.into_iter().flatten()).chain(referring) {
            if table.column(name).is_none() && !told.contains(&name) {
                told.push(name);
                let detail = format!("no such column: {}.{name}", table.name);
                let fix = match table.columns.iter().find(|c| c.name.eq_ignore_ascii_case(name)) {
                    Some(near) => format!("write it as the database does: {}", near.name),
                    None => "mend the dataset, or take the field out".to_owned(),
                };
                self.add(true, "missing_column", &format!("{place}.{name}"), detail, &fix);
            }
        }
    }

    fn key(&mut self, place: &str, table: &Table, collection: &Collection) {
        let key = table.key(collection);
        if key.is_empty() {
            let fix = "give the table a primary key, or name unique columns as `quietus: {key: […]}`";
            self.add(true, "missing_key", place, format!("{} has no key", table.name), fix);
        } else if !table.view && !table.is_unique(&key) {
            let detail = format!("({}) is neither the primary key nor unique", key.join(", "));
            self.add(true, "missing_key", place, detail, "name the primary key, or add a UNIQUE index");
        }
    }

    fn replacements(&mut self, place: &str, table: &Table, collection: &Collection) {
        let key = table.key(collection);
        for field in masked(collection) {
            // A key's categories go with the record; only a command for them alone is refused.
            if key.contains(&field.name) || table.column(&field.name).is_none() {
                continue;
            }
            let at = format!("{place}.{}", field.name);
            match replacement(collection, table, field) {
                // It goes with its record; only a rule for its category alone would want it masked.
                Err(detail) => {
                    self.add(
                        !collection.tells_apart(&field.name),
                        "not_null",
                        &at,
                        detail,
                        "give the field a `quietus: {mask: …}` of its type",
                    );
                }
                Ok(_) if field.mask.is_some() && table.is_unique(std::slice::from_ref(&field.name)) => {
                    let detail =
                        format!("{}.{} is unique: only one row can hold its mask", table.name, field.name);
                    self.add(
                        true,
                        "constraint",
                        &at,
                        detail,
                        "let the column be NULL and take the mask away",
                    );
                }
                Ok(_) => {}
            }
        }
        let inner = |f: &&Field| f.fields.iter().any(|f| !f.categories.is_empty() && f.waived.is_none());
        for field in collection.fields.iter().filter(inner) {
            let detail = format!("{} carries categories in nested fields", field.name);
            let fix = "name the categories on the column itself; it is then replaced as a whole";
            self.add(false, "cannot_execute", &format!("{place}.{}", field.name), detail, fix);
        }
    }

    fn condition(&mut self, conn: &Connection, place: &str, table: &Table, collection: &Collection) {
        let Some(condition) = &collection.where_ else { return };
        let sql = format!("SELECT 1 FROM {} WHERE ({condition}\n) LIMIT 0", quoted(&table.name));
        if conn.prepare(&sql).is_err() {
            let detail = "the condition of `where` is not understood by SQLite".to_owned();
            self.add(true, "missing_column", place, detail, "mend `quietus: {where: …}`");
        }
    }

    fn indexes(&mut self, place: &str, schema: &Schema, table: &Table, collection: &Collection) {
        if table.view {
            return;
        }
        if let Some(subject) = &collection.subject {
            let columns = [subject.column.clone()];
            if table.column(&subject.column).is_some() && !table.is_indexed(&columns) {
                let detail = format!("every read-back by {} reads all of {}", subject.kind, table.name);
                let fix = format!("CREATE INDEX … ON {} ({});", quoted(&table.name), quoted(&subject.column));
                self.add(false, "missing_index", &format!("{place}.{}", subject.column), detail, &fix);
            }
        }
        let declared = collection.references.iter().map(|r| &r.columns);
        let own = table.parents.iter().map(|f| &f.columns);
        let mut told: Vec<&Vec<String>> = Vec::new();
        for columns in declared.chain(own) {
            if !told.contains(&columns) && !table.is_indexed(columns) {
                let names: Vec<String> = columns.iter().map(|c| quoted(c)).collect();
                let detail = format!("every delete of a parent reads all of {}", table.name);
                let fix = format!("CREATE INDEX … ON {} ({});", quoted(&table.name), names.join(", "));
                self.add(false, "missing_index", place, detail, &fix);
            }
            told.push(columns);
        }
        for (child, _) in schema.children(&table.name).filter(|(_, f)| f.cascades) {
            let detail =
                format!("deleting here would delete rows of {} along (ON DELETE CASCADE)", child.name);
            let fix = "nothing to do: such a row waits until those rows are gone by their own rules";
            self.add(false, "cascade", place, detail, fix);
        }
    }
}

/// Fields that some command may ask to replace.
fn masked(collection: &Collection) -> impl Iterator<Item = &Field> {
    collection.fields.iter().filter(|f| !f.categories.is_empty() && f.waived.is_none())
}
