//! The target every law is tried on: three collections whose names and keys are as awkward as real ones.
//!
//! One dataset for all connectors, so that a law is the same sentence everywhere. A harness makes it from
//! [`ddl`] where there is SQL, and from [`manifest`] elsewhere.

use std::collections::BTreeMap;

use quietus_contract::{CommandId, Identity, Locator, Scalar, Secret, Target, Work};
use quietus_core::system::{Collection, Dataset, Field, Manifest, Mode, Reference, SubjectColumn};
use quietus_core::verdict::Action;

pub const PEOPLE: &str = "conform.people";
pub const LETTERS: &str = "conform.odd \"Letters\"";
pub const ORDERS: &str = "conform.orders";
/// Named by nobody's manifest.
pub const NOWHERE: &str = "conform.nowhere";
/// What a masked e-mail address reads.
pub const MASK: &str = "redacted@invalid";

/// A record as it lies in the target: every column as text, None for NULL.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Row {
    /// `dataset.collection`
    pub dataset: String,
    pub columns: BTreeMap<String, Option<String>>,
}

impl Row {
    pub fn get(&self, column: &str) -> Option<&str> {
        self.columns.get(column)?.as_deref()
    }

    /// The key columns with their values, as a command names them.
    pub fn locator(&self) -> Locator {
        let scalar = |column: &String| {
            let text = self.get(column).unwrap_or_default();
            match text.parse() {
                Ok(number) if is_integer(&self.dataset, column) => Scalar::Integer(number),
                _ => Scalar::Text(Secret::new(text)),
            }
        };
        key(&self.dataset).iter().map(|c| (c.clone(), scalar(c))).collect()
    }

    /// A command for this record; `n` makes its id.
    pub fn target(&self, n: u8, work: Work) -> Target {
        let identity =
            self.get("customer").map(|v| Identity { kind: "customer_id".into(), value: Secret::new(v) });
        Target {
            command: CommandId([n; 16]),
            attempt: 1,
            dataset: self.dataset.as_str().into(),
            locator: self.locator(),
            identities: identity.into_iter().collect(),
            answered_at: None,
            work,
        }
    }

    pub fn with(&self, column: &str, value: Option<&str>) -> Self {
        let mut row = self.clone();
        row.columns.insert(column.into(), value.map(Into::into));
        row
    }
}

pub fn person(id: i64) -> Row {
    let text = |what: &str| Some(format!("{what}-{id}"));
    row(
        PEOPLE,
        [
            ("id", Some(id.to_string())),
            ("customer", text("customer")),
            ("name", text("name")),
            ("email", text("email")),
            ("phone", text("phone")),
        ],
    )
}

pub fn letter(no: &str, customer: &str) -> Row {
    row(
        LETTERS,
        [
            ("letter no", Some(no.into())),
            ("customer", Some(customer.into())),
            ("select", Some(format!("body of {no}"))),
        ],
    )
}

/// An order of that person; it refers to them.
pub fn order(shop: &str, no: i64, person: i64) -> Row {
    row(
        ORDERS,
        [
            ("shop", Some(shop.into())),
            ("no", Some(no.to_string())),
            ("person", Some(person.to_string())),
            ("note", Some(format!("note {shop} {no}"))),
        ],
    )
}

fn row<const N: usize>(dataset: &str, columns: [(&str, Option<String>); N]) -> Row {
    Row {
        dataset: dataset.into(),
        columns: columns.into_iter().map(|(name, value)| (name.to_owned(), value)).collect(),
    }
}

pub fn mask(categories: &[&str]) -> Work {
    change(Action::Mask, categories)
}

pub fn change(action: Action, categories: &[&str]) -> Work {
    Work::Change { action, categories: categories.iter().map(|c| (*c).to_owned()).collect() }
}

pub fn correction(category: &str, value: Option<&str>) -> Work {
    Work::Correct(vec![quietus_contract::Change { category: category.into(), value: value.map(Secret::new) }])
}

/// The manifest of the fixture for a connector of this kind.
pub fn manifest(kind: &str) -> Manifest {
    let subject = Some(SubjectColumn { column: "customer".into(), kind: "customer_id".into() });
    let people = Collection {
        name: "people".into(),
        key: vec!["id".into()],
        subject: subject.clone(),
        fields: vec![
            field("id", ""),
            field("customer", ""),
            field("name", "user.name"),
            Field { mask: Some(MASK.into()), ..field("email", "user.contact.email") },
            field("phone", "user.contact.phone_number"),
        ],
        ..Collection::default()
    };
    let letters = Collection {
        name: "odd \"Letters\"".into(),
        key: vec!["letter no".into()],
        subject,
        fields: vec![field("letter no", ""), field("customer", ""), field("select", "user.content")],
        ..Collection::default()
    };
    let orders = Collection {
        name: "orders".into(),
        key: vec!["shop".into(), "no".into()],
        references: vec![Reference {
            columns: vec!["person".into()],
            collection: "people".into(),
            to: vec!["id".into()],
        }],
        fields: vec![field("shop", ""), field("no", ""), field("person", ""), field("note", "user.content")],
        ..Collection::default()
    };
    let dataset =
        Dataset { fides_key: "conform".into(), schema: None, collections: vec![people, letters, orders] };
    Manifest {
        system: "conform".into(),
        kind: kind.into(),
        mode: Mode::Enforce,
        datasets: vec![dataset],
        ..Manifest::default()
    }
}

fn field(name: &str, category: &str) -> Field {
    let categories = Some(category).filter(|c| !c.is_empty()).map(str::to_owned);
    Field { name: name.into(), categories: categories.into_iter().collect(), ..Field::default() }
}

/// Statements that make the fixture in any SQL database, parents first; one statement each.
pub fn ddl() -> Vec<String> {
    [
        "CREATE TABLE \"people\" (\"id\" BIGINT NOT NULL PRIMARY KEY, \"customer\" TEXT, \"name\" TEXT, \
         \"email\" TEXT NOT NULL, \"phone\" TEXT)",
        "CREATE INDEX people_customer ON \"people\" (\"customer\")",
        "CREATE TABLE \"odd \"\"Letters\"\"\" (\"letter no\" TEXT NOT NULL PRIMARY KEY, \"customer\" TEXT, \"select\" TEXT)",
        "CREATE INDEX letters_customer ON \"odd \"\"Letters\"\"\" (\"customer\")",
        "CREATE TABLE \"orders\" (\"shop\" TEXT NOT NULL, \"no\" BIGINT NOT NULL, \
         \"person\" BIGINT REFERENCES \"people\" (\"id\"), \"note\" TEXT, PRIMARY KEY (\"shop\", \"no\"))",
        "CREATE INDEX orders_person ON \"orders\" (\"person\")",
    ]
    .map(str::to_owned)
    .into()
}

/// Every collection: `dataset.collection`, the table's own name, its columns in order.
pub fn tables() -> Vec<(&'static str, &'static str, &'static [&'static str])> {
    vec![
        (PEOPLE, "people", &["id", "customer", "name", "email", "phone"]),
        (LETTERS, "odd \"Letters\"", &["letter no", "customer", "select"]),
        (ORDERS, "orders", &["shop", "no", "person", "note"]),
    ]
}

/// Whether a column holds integers; all others hold text.
pub fn is_integer(dataset: &str, column: &str) -> bool {
    matches!((dataset, column), (PEOPLE, "id") | (ORDERS, "no" | "person"))
}

/// The key columns of a collection.
pub fn key(dataset: &str) -> Vec<String> {
    manifest("").collection(dataset).map(|(_, c)| c.key.clone()).unwrap_or_default()
}
