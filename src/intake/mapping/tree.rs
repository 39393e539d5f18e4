//! A record taken apart, whether it was JSON or Avro.

use std::borrow::Cow;
use std::fmt;

use quietus_core::time::Millis;
use serde::Deserialize;
use serde::de::{Deserializer, Error, MapAccess, SeqAccess, Visitor};

use crate::intake::refuse::Refused;

#[derive(Clone, PartialEq)]
pub enum Tree {
    Null,
    Bool(bool),
    Int(i64),
    /// A double: it keeps 15 digits.
    Float(f64),
    /// An exact number that is no 64-bit integer.
    Number(String),
    Text(String),
    /// What a schema says is a time.
    Time(Millis),
    Bytes(Vec<u8>),
    List(Vec<Self>),
    Map(Vec<(String, Self)>),
}

/// What a record holds is personal data.
impl fmt::Debug for Tree {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Tree(•••)")
    }
}

pub fn json(bytes: &[u8]) -> Result<Tree, Refused> {
    if bytes.len() > crate::intake::cloudevent::EVENT_MAX {
        return Err(Refused::new("too-large", "a record takes at most 1 MiB: keep content out of it"));
    }
    serde_json::from_slice(bytes).map_err(|e| {
        let (line, column) = (e.line(), e.column());
        let what = if e.is_data() { "has a field twice" } else { "is not JSON" };
        let hint = if bytes.first() == Some(&0) { "; it looks like framed Avro cut short" } else { "" };
        Refused::new("malformed", format!("the record {what}: line {line}, column {column}{hint}"))
    })
}

impl Tree {
    pub fn get(&self, name: &str) -> Option<&Self> {
        match self {
            Self::Map(entries) => entries.iter().find(|(k, _)| k == name).map(|(_, v)| v),
            _ => None,
        }
    }

    /// As [`Tree::get`], where null counts as nothing.
    pub fn some(&self, name: &str) -> Option<&Self> {
        self.get(name).filter(|v| !v.is_null())
    }

    pub fn is_null(&self) -> bool {
        *self == Self::Null
    }

    pub fn at(&self, path: &[String]) -> Option<&Self> {
        path.iter().try_fold(self, |at, part| match at {
            Self::Map(_) => at.get(part),
            Self::List(list) => list.get(part.parse::<usize>().ok()?),
            _ => None,
        })
    }

    pub fn as_int(&self) -> Option<i64> {
        match self {
            Self::Int(n) => Some(*n),
            _ => None,
        }
    }

    pub fn as_text(&self) -> Option<&str> {
        match self {
            Self::Text(text) => Some(text),
            _ => None,
        }
    }

    /// A scalar as canonical text; None for lists, maps and null.
    pub fn text(&self) -> Option<Cow<'_, str>> {
        Some(match self {
            Self::Text(text) | Self::Number(text) => Cow::Borrowed(text),
            Self::Int(n) => n.to_string().into(),
            Self::Float(n) => exact(*n)?.into(),
            Self::Bool(b) => Cow::Borrowed(if *b { "true" } else { "false" }),
            Self::Time(at) => at.to_string().into(),
            Self::Bytes(_) | Self::Null | Self::List(_) | Self::Map(_) => return None,
        })
    }
}

/// A longer number might already be another one, and has to come as a text.
fn exact(n: f64) -> Option<String> {
    let text = serde_json::Number::from_f64(n)?.to_string();
    let digits = text.bytes().filter(u8::is_ascii_digit).count();
    (digits <= 15 && !text.contains('e')).then_some(text)
}

impl<'de> Deserialize<'de> for Tree {
    fn deserialize<D: Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
        d.deserialize_any(Any)
    }
}

struct Any;

impl<'de> Visitor<'de> for Any {
    type Value = Tree;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("any JSON value")
    }

    fn visit_unit<E>(self) -> Result<Tree, E> {
        Ok(Tree::Null)
    }

    fn visit_bool<E>(self, value: bool) -> Result<Tree, E> {
        Ok(Tree::Bool(value))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Tree, E> {
        Ok(Tree::Int(value))
    }

    fn visit_u64<E>(self, value: u64) -> Result<Tree, E> {
        Ok(i64::try_from(value).map_or_else(|_| Tree::Number(value.to_string()), Tree::Int))
    }

    fn visit_f64<E>(self, value: f64) -> Result<Tree, E> {
        Ok(Tree::Float(value))
    }

    fn visit_str<E>(self, value: &str) -> Result<Tree, E> {
        Ok(Tree::Text(value.to_owned()))
    }

    fn visit_string<E>(self, value: String) -> Result<Tree, E> {
        Ok(Tree::Text(value))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Tree, A::Error> {
        let mut list = Vec::new();
        while let Some(item) = items.next_element()? {
            list.push(item);
        }
        Ok(Tree::List(list))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut fields: A) -> Result<Tree, A::Error> {
        let mut map: Vec<(String, Tree)> = Vec::new();
        // Comparing each with each is cheaper than a set for as many fields as a record has.
        const FEW: usize = 32;
        let mut seen = std::collections::BTreeSet::new();
        while let Some((key, value)) = fields.next_entry::<String, Tree>()? {
            if map.len() == FEW {
                seen.extend(map.iter().map(|(k, _)| k.clone()));
            }
            let twice = match map.len() < FEW {
                true => map.iter().any(|(k, _)| *k == key),
                false => !seen.insert(key.clone()),
            };
            if twice {
                return Err(A::Error::custom("a field twice"));
            }
            map.push((key, value));
        }
        Ok(Tree::Map(map))
    }
}
