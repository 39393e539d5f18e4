//! Where in a record a value stands: `value:/json/pointer`, `key:/pointer`, `header:name`, `meta:…`, or a literal.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::document::nearest;

/// An address, or a text that stands for itself.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub enum Value {
    At(Address),
    Literal(String),
}

#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub enum Address {
    /// JSON pointer (RFC 6901) into the record's value, taken apart.
    Value(Vec<String>),
    Key(Vec<String>),
    Header(String),
    Meta(Meta),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Meta {
    Topic,
    Partition,
    Timestamp,
}

const META: [(&str, Meta); 3] =
    [("topic", Meta::Topic), ("partition", Meta::Partition), ("timestamp", Meta::Timestamp)];

impl Value {
    /// The error is the remedy.
    pub fn parse(text: &str) -> Result<Self, String> {
        if let Some(literal) = text.strip_prefix("literal:") {
            return Ok(Self::Literal(literal.to_owned()));
        }
        if let Some(address) = Address::parse(text)? {
            return Ok(Self::At(address));
        }
        // `vlaue:/id` would silently be the same text for every record.
        if let Some((word, _)) = text.split_once(":/")
            && let Some(near) = nearest(word, ["value", "key"])
        {
            return Err(format!("did you mean `{near}:/…`? Write \"literal:{text}\" if it is a text"));
        }
        Ok(Self::Literal(text.to_owned()))
    }
}

impl Address {
    /// None = the text is no address.
    pub fn parse(text: &str) -> Result<Option<Self>, String> {
        let Some((kind, rest)) = text.split_once(':') else { return Ok(None) };
        Ok(Some(match kind {
            "value" => Self::Value(pointer(kind, rest)?),
            "key" => Self::Key(pointer(kind, rest)?),
            "header" if rest.is_empty() => return Err("write header:NAME".to_owned()),
            "header" => Self::Header(rest.to_owned()),
            "meta" => match META.iter().find(|(word, _)| *word == rest) {
                Some((_, meta)) => Self::Meta(*meta),
                None => return Err("write meta:topic, meta:partition or meta:timestamp".to_owned()),
            },
            _ => return Ok(None),
        }))
    }
}

fn pointer(kind: &str, rest: &str) -> Result<Vec<String>, String> {
    if rest.is_empty() {
        return Ok(Vec::new());
    }
    let Some(path) = rest.strip_prefix('/') else {
        return Err(format!("begin the path with a slash: {kind}:/{rest}"));
    };
    Ok(path.split('/').map(|part| part.replace("~1", "/").replace("~0", "~")).collect())
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let path = |f: &mut fmt::Formatter<'_>, kind: &str, parts: &[String]| {
            write!(f, "{kind}:")?;
            parts.iter().try_for_each(|p| write!(f, "/{}", p.replace('~', "~0").replace('/', "~1")))
        };
        match self {
            Self::Value(parts) => path(f, "value", parts),
            Self::Key(parts) => path(f, "key", parts),
            Self::Header(name) => write!(f, "header:{name}"),
            Self::Meta(meta) => {
                let word = META.iter().find(|(_, m)| m == meta).map_or("", |(word, _)| word);
                write!(f, "meta:{word}")
            }
        }
    }
}

impl fmt::Display for Value {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::At(address) => address.fmt(f),
            Self::Literal(text) => write!(f, "literal:{text}"),
        }
    }
}

impl TryFrom<String> for Value {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        Self::parse(&text)
    }
}

impl From<Value> for String {
    fn from(value: Value) -> Self {
        value.to_string()
    }
}

impl TryFrom<String> for Address {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        Self::parse(&text)?.ok_or_else(|| "write value:/…, key:/…, header:… or meta:…".to_owned())
    }
}

impl From<Address> for String {
    fn from(address: Address) -> Self {
        address.to_string()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_form_is_read_and_written() {
        for text in ["value:/a/b~1c/~0d", "key:", "header:ce_id", "meta:timestamp", "literal:value:/x"] {
            assert_eq!(Value::parse(text).unwrap().to_string(), text);
        }
        assert_eq!(
            Value::parse("value:/a/b~1c").unwrap(),
            Value::At(Address::Value(vec!["a".into(), "b/c".into()]))
        );
        for literal in ["service", "customer_id:4711", "https://example.org", ""] {
            assert_eq!(Value::parse(literal).unwrap(), Value::Literal(literal.into()));
        }
    }

    #[test]
    fn a_misspelt_address_is_no_literal() {
        for (text, fix) in [
            ("value:id", "value:/id"),
            ("vlaue:/id", "value"),
            ("meta:offset", "meta:topic"),
            ("header:", "NAME"),
        ] {
            assert!(Value::parse(text).unwrap_err().contains(fix), "{text}");
        }
    }
}
