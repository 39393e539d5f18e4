//! A dataset in Fides dataset YAML with our `quietus:` keys, parsed.

use serde::{Deserialize, Serialize};

/// One `fides_key` with its collections.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Dataset {
    pub fides_key: String,
    /// `fides_meta.namespace.schema`; PostgreSQL only.
    pub schema: Option<String>,
    pub collections: Vec<Collection>,
}

/// A table, a folder of rows, a key space. Names are literal, never lower-cased.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
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
    /// Nested fields of an object.
    pub fields: Vec<Field>,
}
