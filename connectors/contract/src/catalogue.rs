//! What a database says of itself: its tables, keys, references and types. Read from its catalogue, never its rows.

/// The tables of one database, in order of their schemas and names.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Catalogue {
    pub tables: Vec<Table>,
    /// What holds rows and is no table (views, foreign tables), and why it stands apart.
    pub passed_over: Vec<PassedOver>,
}

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Table {
    /// None where the database knows no schemas.
    pub schema: Option<String>,
    pub name: String,
    /// The database's own estimate.
    pub rows: Option<u64>,
    pub columns: Vec<Column>,
    /// The primary key, in order; else the narrowest unique key without empty columns.
    pub key: Vec<String>,
    pub references: Vec<ForeignKey>,
}

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Column {
    pub name: String,
    /// As the database writes it.
    pub declared: String,
    pub kind: ColumnKind,
    pub nullable: bool,
    /// A row that does not name it gets a value all the same.
    pub has_default: bool,
    /// No two rows hold the same value.
    pub unique: bool,
    /// The longest text it takes.
    pub length: Option<u32>,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ColumnKind {
    Text,
    Integer,
    Number,
    Boolean,
    /// A date, or a date with a time of day.
    Time,
    Uuid,
    /// An address on a network.
    Address,
    /// A document: JSON, XML.
    Document,
    Bytes,
    #[default]
    Other,
}

/// These columns point at those of another table.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ForeignKey {
    pub columns: Vec<String>,
    pub schema: Option<String>,
    pub table: String,
    pub to: Vec<String>,
}

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PassedOver {
    pub name: String,
    /// `a view`, `a foreign table`.
    pub what: &'static str,
}
