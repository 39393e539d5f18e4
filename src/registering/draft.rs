//! What is to be written of a database: every table, whom it is about, which of its columns are personal data.

use std::collections::{BTreeMap, BTreeSet};

use quietus_contract::Catalogue;
use quietus_contract::catalogue::{Column, ColumnKind, ForeignKey, PassedOver, Table};

use super::guess::{self, About};
use super::people::{People, Subject};
use super::rows;
use super::{Address, Guess, times};

#[derive(Debug)]
pub struct Draft {
    pub address: Address,
    /// One dataset a schema, the default schema first.
    pub sets: Vec<Set>,
    pub passed_over: Vec<PassedOver>,
    /// Names of the persons' tables.
    pub people: Vec<String>,
}

#[derive(Debug)]
pub struct Set {
    pub fides_key: String,
    pub schema: Option<String>,
    pub tables: Vec<Drafted>,
}

#[derive(Debug)]
pub struct Drafted {
    pub table: Table,
    pub subject: Option<Guess<Subject>>,
    pub recorded_at: Option<Guess<String>>,
    pub last_activity: Option<Guess<String>>,
    pub changed_at: Option<Guess<String>>,
    pub references: Vec<ForeignKey>,
    /// References that a dataset cannot hold, and why.
    pub left_out: Vec<String>,
    pub fields: Vec<Field>,
}

#[derive(Debug)]
pub struct Field {
    pub column: Column,
    pub in_key: bool,
    pub category: Option<Guess<String>>,
    /// What stands there once the value is gone, where the column takes no NULL.
    pub mask: Option<String>,
    /// Something to know about it.
    pub note: Option<String>,
}

impl Draft {
    pub fn new(address: Address, catalogue: &Catalogue) -> Self {
        let tables = &catalogue.tables;
        let people = People::of(tables);
        let drafted = tables.iter().enumerate().map(|(at, table)| Drafted::new(&people, tables, at, table));
        let mut by_schema: BTreeMap<Option<String>, Vec<Drafted>> = BTreeMap::new();
        for one in drafted {
            by_schema.entry(one.table.schema.clone()).or_default().push(one);
        }
        // `public` is where a name without a schema is looked for.
        let mut schemas: Vec<Option<String>> = by_schema.keys().cloned().collect();
        schemas.sort_by_key(|schema| (schema.as_deref() != Some("public"), schema.clone()));
        let mut taken = BTreeSet::new();
        let sets = schemas.into_iter().filter_map(|schema| {
            let mut tables = by_schema.remove(&schema)?;
            break_circles(&mut tables, schema.as_ref());
            Some(Set { fides_key: key(&address.name, schema.as_deref(), &mut taken), schema, tables })
        });
        Self {
            sets: sets.collect(),
            passed_over: catalogue.passed_over.clone(),
            people: people.names(tables).map(str::to_owned).collect(),
            address,
        }
    }

    pub fn tables(&self) -> impl Iterator<Item = &Drafted> {
        self.sets.iter().flat_map(|s| &s.tables)
    }

    /// Every category guessed somewhere.
    pub fn categories(&self) -> BTreeSet<&str> {
        let fields = self.tables().flat_map(|t| &t.fields);
        fields.filter_map(|f| f.category.as_ref()).map(|g| g.is.as_str()).collect()
    }
}

/// The database's name; with the schema's behind it for any but the default one.
fn key(name: &str, schema: Option<&str>, taken: &mut BTreeSet<String>) -> String {
    let fit = |text: &str| -> String {
        text.chars().map(|c| if c.is_ascii_alphanumeric() { c } else { '_' }).take(12).collect()
    };
    let wanted = match schema {
        None | Some("public") => name.to_owned(),
        Some(schema) => format!("{name}_{}", fit(schema)),
    };
    let mut key = wanted.clone();
    let mut number = 2;
    while !taken.insert(key.clone()) {
        key = format!("{wanted}_{number}");
        number += 1;
    }
    key
}

impl Drafted {
    fn new(people: &People, tables: &[Table], at: usize, table: &Table) -> Self {
        let (subject, about) = match people.subject(tables, at) {
            Some((subject, about)) => (Some(subject), about),
            None => (None, About::Nobody),
        };
        let named = (about == About::Person).then(|| rows::table(table)).flatten();
        let mut drafted = Self {
            fields: table.columns.iter().map(|c| Field::new(table, c, about, named.as_ref())).collect(),
            subject,
            recorded_at: times::recorded_at(table),
            last_activity: times::last_activity(table),
            changed_at: times::changed_at(table),
            references: table.references.clone(),
            left_out: Vec::new(),
            table: table.clone(),
        };
        drafted.say_something_of_the_person(named);
        drafted
    }

    /// A row about a person without any category would be no personal data: the column that names them says it.
    fn say_something_of_the_person(&mut self, named: Option<Guess<String>>) {
        let Some(subject) = &self.subject else { return };
        if self.fields.iter().any(|f| f.category.is_some()) {
            return;
        }
        let guess = named.unwrap_or_else(|| Guess::new("user", "the rows belong to people"));
        if let Some(field) = self.fields.iter_mut().find(|f| f.column.name == subject.is.column) {
            field.category = Some(guess);
            field.note = Some("it names whom the row is about: it goes with its row".to_owned());
        }
    }
}

impl Field {
    fn new(table: &Table, column: &Column, about: About, named: Option<&Guess<String>>) -> Self {
        let in_key = table.key.contains(&column.name);
        let refers = table.references.iter().any(|r| r.columns.contains(&column.name));
        let own = guess::column(column, about).filter(|_| !refers);
        let rest = || named.filter(|_| !in_key && !refers && tells(column.kind)).cloned();
        let category = own.or_else(rest);
        let (mask, note) = match &category {
            Some(_) if !in_key && !column.nullable && !column.has_default => mask(column),
            _ => (None, None),
        };
        Self { column: column.clone(), in_key, category, mask, note }
    }
}

/// What holds something told of a person; times and flags say when and whether.
fn tells(kind: ColumnKind) -> bool {
    match kind {
        ColumnKind::Text | ColumnKind::Number | ColumnKind::Integer | ColumnKind::Document => true,
        ColumnKind::Address | ColumnKind::Bytes | ColumnKind::Other => true,
        ColumnKind::Time | ColumnKind::Boolean | ColumnKind::Uuid => false,
    }
}

/// A column that takes no NULL needs something to hold instead.
fn mask(column: &Column) -> (Option<String>, Option<String>) {
    if column.unique {
        let note = "it takes no NULL and no value twice: it can only go with its row".to_owned();
        return (None, Some(note));
    }
    let text = match column.kind {
        ColumnKind::Text => "redacted",
        ColumnKind::Integer | ColumnKind::Number => "0",
        ColumnKind::Boolean => "false",
        ColumnKind::Time => "1970-01-01",
        ColumnKind::Uuid => "00000000-0000-0000-0000-000000000000",
        ColumnKind::Address => "0.0.0.0",
        ColumnKind::Document => "{}",
        ColumnKind::Bytes | ColumnKind::Other => {
            return (None, Some("it takes no NULL: give it a mask".to_owned()));
        }
    };
    let longest = column.length.map_or(usize::MAX, |l| l as usize);
    (Some(text.chars().take(longest).collect()), None)
}

/// A dataset's references lead nowhere but into it, and not in a circle; those that may be empty give way first.
fn break_circles(tables: &mut [Drafted], schema: Option<&String>) {
    let names: BTreeSet<String> = tables.iter().map(|t| t.table.name.clone()).collect();
    let mut parents: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for pass in [false, true] {
        for one in tables.iter_mut() {
            let may_be_empty = |r: &ForeignKey| {
                r.columns.iter().any(|c| one.table.columns.iter().any(|x| x.name == *c && x.nullable))
            };
            let mut kept = Vec::new();
            let mut left_out = std::mem::take(&mut one.left_out);
            for reference in std::mem::take(&mut one.references) {
                if may_be_empty(&reference) != pass {
                    kept.push(reference);
                    continue;
                }
                let columns = reference.columns.join(", ");
                let elsewhere = (reference.schema.is_some() && reference.schema.as_ref() != schema)
                    || !names.contains(&reference.table);
                if elsewhere {
                    let of = reference.schema.as_deref().map(|s| format!("{s}.")).unwrap_or_default();
                    left_out.push(format!("{columns} points at {of}{}, in another dataset", reference.table));
                } else if reference.to.len() != reference.columns.len() {
                    left_out.push(format!(
                        "{columns} points at columns of {} that it does not have",
                        reference.table
                    ));
                } else if reference.table != one.table.name
                    && leads_to(&parents, &reference.table, &one.table.name)
                {
                    left_out.push(format!("{columns} points at {} and closes a circle", reference.table));
                } else {
                    parents.entry(one.table.name.clone()).or_default().insert(reference.table.clone());
                    kept.push(reference);
                }
            }
            one.references = kept;
            one.left_out = left_out;
        }
    }
}

fn leads_to(parents: &BTreeMap<String, BTreeSet<String>>, from: &str, to: &str) -> bool {
    let (mut seen, mut open) = (BTreeSet::new(), vec![from]);
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
