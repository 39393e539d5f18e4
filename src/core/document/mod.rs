//! A YAML 1.2 (or JSON) file as a tree that remembers line and column.
//!
//! Every file kind is read through here: [`read()`] makes the tree, [`Fields`] takes a map apart and refuses what
//! nobody asked for, [`Diagnostic`] says where and what to do about it. Scalars follow the core schema: `NO` is a
//! text, `22:00` is a text, a quoted scalar is always a text.
//!
//! Invariant: what is read is bounded (size, depth, alias expansion) before it is built, and no input panics.
//! Rejected: serde straight into structs, which loses the place of a semantic error; YAML 1.1 booleans and merge
//! keys, which turn Norway into `false`.

mod diagnostic;
mod fields;
mod read;
mod scalar;

pub use diagnostic::{At, Diagnostic, Diagnostics, Severity};
pub use fields::{Fields, duration, nearest};
pub(crate) use fields::{choose, shown};
pub use read::read;

/// A value and where it begins (both counted from 1; columns in characters).
#[derive(Clone, Debug, PartialEq)]
pub struct Node {
    pub value: Value,
    pub line: usize,
    pub column: usize,
    /// A plain scalar as written (`1.10`, `0o17`, `yes`); None for a quoted one, a list, a map.
    pub plain: Option<Box<str>>,
}

#[derive(Clone, Debug, PartialEq)]
pub enum Value {
    Null,
    Bool(bool),
    Int(i64),
    /// As written: floats, and integers beyond 64 bits.
    Float(String),
    Text(String),
    List(Vec<Node>),
    /// In the order of the file; keys are unique.
    Map(Vec<(Key, Node)>),
}

/// A key of a map and where it stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Key {
    pub text: String,
    pub line: usize,
    pub column: usize,
}

impl Node {
    /// A scalar as written, whatever the core schema makes of it (`clause: 1.10` is "1.10"); None for null, lists
    /// and maps.
    pub fn text(&self) -> Option<&str> {
        match (&self.value, &self.plain) {
            (Value::Text(text) | Value::Float(text), _) => Some(text),
            (Value::Bool(_) | Value::Int(_), Some(plain)) => Some(plain),
            (Value::Bool(true), None) => Some("true"),
            (Value::Bool(false), None) => Some("false"),
            (Value::Int(_) | Value::Null | Value::List(_) | Value::Map(_), _) => None,
        }
    }

    pub fn as_list(&self) -> Option<&[Node]> {
        match &self.value {
            Value::List(list) => Some(list),
            _ => None,
        }
    }

    pub fn as_map(&self) -> Option<&[(Key, Node)]> {
        match &self.value {
            Value::Map(map) => Some(map),
            _ => None,
        }
    }

    /// The value under `key`, when this is a map that has it.
    pub fn get(&self, key: &str) -> Option<&Node> {
        self.as_map()?.iter().find(|(k, _)| k.text == key).map(|(_, node)| node)
    }

    pub fn is_null(&self) -> bool {
        self.value == Value::Null
    }

    /// What this is, for messages: `a text`, `a list`.
    pub fn kind(&self) -> &'static str {
        match self.value {
            Value::Null => "nothing",
            Value::Bool(_) => "true or false",
            Value::Int(_) | Value::Float(_) => "a number",
            Value::Text(_) => "a text",
            Value::List(_) => "a list",
            Value::Map(_) => "a map",
        }
    }
}

/// What a plain scalar of this text would be: for settings that come from elsewhere than a file.
pub(crate) fn scalar(text: &str) -> Node {
    Node { value: scalar::plain(text), line: 1, column: 1, plain: Some(text.into()) }
}

/// The canonical form: what the same file written as JSON would hold. A number that JSON cannot hold exactly
/// (beyond 64 bits, `.inf`, `.nan`) stays the text it was.
pub fn to_json(node: &Node) -> serde_json::Value {
    match &node.value {
        Value::Null => serde_json::Value::Null,
        Value::Bool(b) => (*b).into(),
        Value::Int(i) => (*i).into(),
        Value::Float(text) => scalar::exact_float(text)
            .and_then(serde_json::Number::from_f64)
            .map_or_else(|| text.as_str().into(), serde_json::Value::Number),
        Value::Text(text) => text.as_str().into(),
        Value::List(list) => list.iter().map(to_json).collect(),
        Value::Map(map) => {
            serde_json::Value::Object(map.iter().map(|(k, v)| (k.text.clone(), to_json(v))).collect())
        }
    }
}

#[cfg(test)]
mod tests;
