//! Whom the rows of each table are about.
//!
//! A *person's table* holds a row for each person; its key is their identity. Every other table is about the person
//! that one of its columns points at: by a foreign key, else by the column's name, else by an e-mail address.
//! Rejected: following foreign keys over several tables. A subject must stand in the row itself, or nothing could be
//! read back by it.

use std::collections::BTreeMap;

use quietus_contract::catalogue::{Column, ColumnKind, Table};

use super::guess::{self, About};
use super::{Guess, says, words};

/// Words for people, as the last word of a table's name.
const PEOPLE: &[&str] = &[
    "user",
    "users",
    "customer",
    "customers",
    "client",
    "clients",
    "person",
    "persons",
    "people",
    "member",
    "members",
    "patient",
    "patients",
    "employee",
    "employees",
    "student",
    "students",
    "subscriber",
    "subscribers",
    "guest",
    "guests",
    "applicant",
    "applicants",
    "candidate",
    "candidates",
    "visitor",
    "visitors",
    "tenant_user",
    "passenger",
    "passengers",
    "donor",
    "donors",
    "lead",
    "leads",
    "kunde",
    "kunden",
    "benutzer",
    "mitarbeiter",
    "patienten",
    "staff",
    "teacher",
    "teachers",
    "driver",
    "drivers",
    "buyer",
    "buyers",
    "seller",
    "sellers",
    "player",
    "players",
];

/// As those, where nothing else says whom the table is about.
const PERHAPS: &[&str] =
    &["account", "accounts", "profile", "profiles", "contact", "contacts", "participant", "participants"];

/// Columns that point at somebody who dealt with the row, not at whom it is about.
const DEALT_WITH: &[&str] = &[
    "created_by",
    "updated_by",
    "modified_by",
    "deleted_by",
    "approved_by",
    "assigned",
    "assigned_to",
    "assignee",
    "manager",
    "agent",
    "seller",
    "reviewer",
    "editor",
    "moderator",
    "referrer",
    "referred_by",
    "invited_by",
    "handled_by",
    "processed_by",
    "sales_rep",
    "support_rep",
    "doctor",
    "teacher",
    "staff",
    "employee",
    "recruiter",
    "parent",
];

/// A subject column.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Subject {
    pub column: String,
    /// Identity type.
    pub kind: String,
}

/// What is known of each table, beside it: by its place in the catalogue.
#[derive(Debug, Default)]
pub struct People {
    /// Place of a person's table → identity type.
    themselves: BTreeMap<usize, String>,
}

impl People {
    pub fn of(tables: &[Table]) -> Self {
        let named = |at: usize, words: &[&str]| tables.get(at).is_some_and(|t| says_last(&t.name, words));
        let is_sure = |at: usize| named(at, PEOPLE) && tables.get(at).is_some_and(|t| t.key.len() == 1);
        let sure: Vec<usize> = (0..tables.len()).filter(|at| is_sure(*at)).collect();
        let points_at = |table: &Table, parents: &[usize]| {
            table
                .references
                .iter()
                .any(|r| parents.iter().any(|p| tables.get(*p).is_some_and(|t| is_to(r, t))))
        };
        let is_person = |(at, table): &(usize, &Table)| {
            let looks = table.columns.iter().filter(|c| is_of_a_person(c)).count();
            let single = table.key.len() == 1;
            let perhaps = named(*at, PERHAPS) && looks >= 1;
            // Whatever it is called: a name and an e-mail address, and others point here.
            let unnamed =
                looks >= 2 && tables.iter().any(|other| other.references.iter().any(|r| is_to(r, table)));
            sure.contains(at) || (single && (perhaps || unnamed) && !points_at(table, &sure))
        };
        let found = tables.iter().enumerate().filter(is_person);
        Self { themselves: found.map(|(at, table)| (at, identity_type(&table.name))).collect() }
    }

    pub fn count(&self) -> usize {
        self.themselves.len()
    }

    /// Names of the persons' tables.
    pub fn names<'a>(&'a self, tables: &'a [Table]) -> impl Iterator<Item = &'a str> {
        self.themselves.keys().filter_map(|at| tables.get(*at)).map(|t| t.name.as_str())
    }

    pub fn subject(&self, tables: &[Table], at: usize) -> Option<(Guess<Subject>, About)> {
        let table = tables.get(at)?;
        if let (Some(kind), [key]) = (self.themselves.get(&at), table.key.as_slice()) {
            let why = format!("a row of {} is a person", table.name);
            let subject = Subject { column: key.clone(), kind: kind.clone() };
            return Some((Guess { is: subject, why }, About::Themselves));
        }
        let found = self
            .by_reference(tables, table)
            .or_else(|| self.by_name(tables, table))
            .or_else(|| by_email(table));
        found.map(|subject| (subject, About::Person))
    }

    fn by_reference(&self, tables: &[Table], table: &Table) -> Option<Guess<Subject>> {
        let mut found = Vec::new();
        for reference in &table.references {
            for (parent, kind) in &self.themselves {
                let Some(parent) = tables.get(*parent).filter(|p| is_to(reference, p)) else { continue };
                let key = reference.to.iter().zip(&reference.columns).find(|(to, _)| parent.key.contains(to));
                let Some((_, column)) = key else { continue };
                found.push((column.clone(), kind.clone(), format!("it points at {}", parent.name)));
            }
        }
        // Among several: whom it is about rather than who dealt with it, and never empty rather than perhaps empty.
        let rank = |column: &String| {
            let dealt = says(&words(column), DEALT_WITH);
            (dealt, table.columns.iter().any(|c| c.name == *column && c.nullable))
        };
        let others = found.len();
        let (column, kind, mut why) = found.into_iter().min_by_key(|(column, ..)| rank(column))?;
        if others > 1 {
            why.push_str(&format!(", the likeliest of {others} such columns"));
        }
        Some(Guess { is: Subject { column, kind }, why })
    }

    /// `customer_id` where no foreign key is declared.
    fn by_name(&self, tables: &[Table], table: &Table) -> Option<Guess<Subject>> {
        self.themselves.iter().find_map(|(parent, kind)| {
            let parent = tables.get(*parent)?;
            let own = words(&singular(last_word(&parent.name)));
            let wanted = format!("{own}id_");
            let fits = |c: &&Column| words(&c.name).ends_with(&wanted) && !says(&words(&c.name), DEALT_WITH);
            let column = table.columns.iter().find(fits)?;
            let why = format!("named after {}; no foreign key says so", parent.name);
            Some(Guess { is: Subject { column: column.name.clone(), kind: kind.clone() }, why })
        })
    }
}

/// A list of addresses is about whose they are.
fn by_email(table: &Table) -> Option<Guess<Subject>> {
    let is_email =
        |c: &&Column| guess::column(c, About::Nobody).is_some_and(|g| g.is == "user.contact.email");
    let column = table.columns.iter().find(is_email)?;
    let subject = Subject { column: column.name.clone(), kind: "email".to_owned() };
    Some(Guess {
        is: subject,
        why: "it is an e-mail address, and nothing else says whose row this is".to_owned(),
    })
}

fn is_of_a_person(column: &Column) -> bool {
    let telling = [
        "user.contact.email",
        "user.name",
        "user.contact.phone_number",
        "user.demographic.date_of_birth",
        "user.authorization.password",
    ];
    let guessed = guess::column(column, About::Themselves).filter(|_| column.kind != ColumnKind::Boolean);
    guessed.is_some_and(|g| telling.iter().any(|t| g.is.starts_with(t)))
}

fn is_to(reference: &quietus_contract::catalogue::ForeignKey, table: &Table) -> bool {
    reference.table == table.name
        && (reference.schema.is_none() || table.schema.is_none() || reference.schema == table.schema)
}

fn last_word(name: &str) -> String {
    words(name).trim_matches('_').rsplit('_').next().unwrap_or_default().to_owned()
}

fn says_last(name: &str, any: &[&str]) -> bool {
    any.contains(&last_word(name).as_str())
}

fn singular(word: impl AsRef<str>) -> String {
    let word = word.as_ref();
    match word {
        "people" | "persons" => "person".to_owned(),
        "kunden" => "kunde".to_owned(),
        "staff" => "staff".to_owned(),
        _ => word.strip_suffix('s').filter(|w| w.len() > 2).unwrap_or(word).to_owned(),
    }
}

/// `customers` → `customer_id`, `App Users` → `app_user_id`.
fn identity_type(table: &str) -> String {
    let words = words(table);
    let words = words.trim_matches('_');
    let (head, last) = words.rsplit_once('_').map_or(("", words), |(h, l)| (h, l));
    let last = singular(last);
    let joined = if head.is_empty() { format!("{last}_id") } else { format!("{head}_{last}_id") };
    let clean: String =
        joined.chars().filter(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || *c == '_').collect();
    let clean = clean.trim_start_matches(|c: char| !c.is_ascii_lowercase());
    if clean.is_empty() { "person_id".to_owned() } else { clean.chars().take(64).collect() }
}

#[cfg(test)]
mod tests {
    use super::*;
    use quietus_contract::catalogue::ForeignKey;

    fn table(name: &str, columns: &[&str], points_at: &[(&str, &str)]) -> Table {
        let column =
            |name: &&str| Column { name: (*name).into(), kind: ColumnKind::Text, ..Column::default() };
        let reference = |(column, table): &(&str, &str)| ForeignKey {
            columns: vec![(*column).into()],
            table: (*table).into(),
            to: vec!["id".into()],
            ..ForeignKey::default()
        };
        Table {
            name: name.into(),
            columns: columns.iter().map(column).collect(),
            key: vec!["id".into()],
            references: points_at.iter().map(reference).collect(),
            ..Table::default()
        }
    }

    #[test]
    fn every_row_is_about_whom_its_table_points_at() {
        let tables = [
            table(
                "customers",
                &["id", "email", "account_manager_id"],
                &[("account_manager_id", "employees")],
            ),
            table("employees", &["id", "name"], &[("manager_id", "employees")]),
            table(
                "orders",
                &["id", "created_by", "customer_id"],
                &[("created_by", "employees"), ("customer_id", "customers")],
            ),
            table("reviews", &["id", "customerId"], &[]),
            table("newsletter", &["id", "email"], &[]),
            table("order_lines", &["id", "order_id"], &[("order_id", "orders")]),
            table("customer_profiles", &["id", "email"], &[("id", "customers")]),
        ];
        let people = People::of(&tables);
        let of =
            |at: usize| people.subject(&tables, at).map(|(g, _)| format!("{}:{}", g.is.kind, g.is.column));
        let found: Vec<_> = (0..tables.len()).map(of).collect();
        let expected = [
            Some("customer_id:id"),
            Some("employee_id:id"),
            Some("customer_id:customer_id"),
            Some("customer_id:customerId"),
            Some("email:email"),
            None,
            Some("customer_id:id"),
        ];
        assert_eq!(found.iter().map(Option::as_deref).collect::<Vec<_>>(), expected);
    }

    #[test]
    fn a_table_called_otherwise_is_a_persons_when_it_looks_like_it() {
        let tables = [
            table("hr_records", &["id", "first_name", "last_name", "email"], &[]),
            table("payslips", &["id", "hr_record"], &[("hr_record", "hr_records")]),
            table("products", &["id", "name", "description"], &[]),
        ];
        let people = People::of(&tables);
        assert_eq!(people.names(&tables).collect::<Vec<_>>(), ["hr_records"]);
        assert_eq!(identity_type("App Users"), "app_user_id");
    }
}
