//! A dataset in Fides dataset YAML with our `quietus:` keys, parsed.

use serde::{Deserialize, Serialize};

/// One `fides_key` with its collections.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Dataset {
    pub fides_key: String,
    /// `fides_meta.namespace.schema`; PostgreSQL only.
    pub schema: Option<String>,
    pub collections: Vec<Collection>,
}

/// A table, a folder of rows, a key space. Names are literal, never lower-cased.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Collection {
    pub name: String,
    /// Primary key columns, in order.
    pub key: Vec<String>,
    pub subject: Option<SubjectColumn>,
    pub recorded_at: Option<String>,
    pub last_activity: Option<String>,
    pub jurisdiction: Option<ColumnOr>,
    pub purposes: Vec<String>,
    pub process: Option<String>,
    /// The column that holds the company's own item id.
    pub item: Option<String>,
    pub service: Option<String>,
    pub controller: Option<String>,
    /// Only rows matching this condition are ours.
    pub where_: Option<String>,
    pub on_due: OnDue,
    pub joint: Option<Joint>,
    pub references: Vec<Reference>,
    /// Collections of the same dataset that must be erased before this one, beside those that reference it.
    pub erase_after: Vec<String>,
    pub soft_delete: Option<String>,
    pub fields: Vec<Field>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SubjectColumn {
    pub column: String,
    /// Identity type, `customer_id`.
    #[serde(rename = "type")]
    pub kind: String,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum ColumnOr {
    Literal(String),
    Column(String),
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum OnDue {
    #[default]
    Row,
    Columns,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Joint {
    Redact,
    Keep,
    Erase,
}

/// A (composite) foreign key: these columns point at those of another collection, so this is its child.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Reference {
    pub columns: Vec<String>,
    pub collection: String,
    pub to: Vec<String>,
}

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Field {
    pub name: String,
    /// Fideslang keys or the company's own. Sorted.
    pub categories: Vec<String>,
    /// The literal replacement when masked; without it NULL, else the column's default.
    pub mask: Option<String>,
    /// Known personal data that is left alone, and why.
    pub waived: Option<String>,
    pub primary_key: bool,
    /// This field holds an identity of this type.
    pub identity: Option<String>,
    /// Fides' word for its type: `string`, `integer`, `string[]`, …
    pub data_type: Option<String>,
    /// The longest text it takes.
    pub length: Option<u32>,
    /// Nested fields of an object.
    pub fields: Vec<Field>,
}

impl Collection {
    /// The field at `path`: nested ones are joined with dots.
    pub fn field(&self, path: &str) -> Option<&Field> {
        find(&self.fields, path)
    }

    /// Whether the column tells records apart: key, subject and reference columns go with their record, and cannot be
    /// taken out of it.
    pub fn tells_apart(&self, path: &str) -> bool {
        self.key.iter().any(|column| column == path)
            || self.subject.as_ref().is_some_and(|subject| subject.column == path)
            || self.references.iter().any(|reference| reference.columns.iter().any(|column| column == path))
    }

    /// Every field that holds a value, with its path, depth first in the order of the file.
    pub fn leaves(&self) -> Vec<(String, &Field)> {
        let mut out = Vec::new();
        gather(&self.fields, "", &mut out);
        out
    }
}

/// The longest name wins, so that a column whose name holds a dot is found as well.
fn find<'a>(fields: &'a [Field], path: &str) -> Option<&'a Field> {
    fields.iter().find(|f| f.name == path).or_else(|| {
        fields.iter().find_map(|f| {
            let rest = path.strip_prefix(f.name.as_str())?.strip_prefix('.')?;
            find(&f.fields, rest)
        })
    })
}

fn gather<'a>(fields: &'a [Field], prefix: &str, out: &mut Vec<(String, &'a Field)>) {
    for field in fields {
        let path = format!("{prefix}{}", field.name);
        if field.fields.is_empty() {
            out.push((path, field));
        } else {
            gather(&field.fields, &format!("{path}."), out);
        }
    }
}
