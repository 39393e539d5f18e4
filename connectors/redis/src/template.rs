//! Key templates: `user:{id}`, `session:{id}:*`.
//!
//! Invariant: a column's value is text and nothing else. Only a `*` that stands in the template itself means "any";
//! whatever else looks like a glob, in the template or in a value, is escaped before Redis sees it.

use quietus_contract::{Locator, Scalar};

/// A template as the manifest writes it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Template(Vec<Part>);

#[derive(Clone, Debug, PartialEq, Eq)]
enum Part {
    Text(String),
    Column(String),
    Any,
}

/// A template with its columns filled in: the literal pieces between its stars; one piece is one key. No Debug: it
/// holds values.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct Name(Vec<String>);

impl Template {
    /// Braces come in pairs: the manifest's parser has seen to it.
    pub(crate) fn parse(text: &str) -> Self {
        let mut parts = Vec::new();
        let mut rest = text;
        while let Some(at) = rest.find(['{', '*']) {
            let (before, from) = rest.split_at(at);
            if !before.is_empty() {
                parts.push(Part::Text(before.to_owned()));
            }
            rest = match from.strip_prefix('*') {
                Some(after) => {
                    parts.push(Part::Any);
                    after
                }
                None => {
                    let (column, after) = from.get(1..).and_then(|t| t.split_once('}')).unwrap_or((from, ""));
                    parts.push(Part::Column(column.to_owned()));
                    after
                }
            };
        }
        if !rest.is_empty() {
            parts.push(Part::Text(rest.to_owned()));
        }
        Self(parts)
    }

    /// Fills the columns in; the error names the one that the locator lacks.
    pub(crate) fn fill(&self, locator: &Locator) -> Result<Name, String> {
        self.with(|column| locator.get(column).map(text).ok_or_else(|| column.to_owned()))
    }

    /// One name that this template could make, for asking about rights.
    pub(crate) fn sample(&self) -> String {
        let filled = self.with(|_| Ok("0".to_owned())).unwrap_or(Name(Vec::new()));
        filled.0.join("0")
    }

    /// Says "any" somewhere.
    pub(crate) fn is_pattern(&self) -> bool {
        self.0.contains(&Part::Any)
    }

    /// A star right beside a column: with `s:{id}*` the value 1 takes what belongs to 10 along.
    pub(crate) fn has_star_beside_column(&self) -> bool {
        let touching =
            |pair: &[Part]| matches!(pair, [Part::Column(_), Part::Any] | [Part::Any, Part::Column(_)]);
        self.0.windows(2).any(touching)
    }

    fn with(&self, mut value: impl FnMut(&str) -> Result<String, String>) -> Result<Name, String> {
        let (mut pieces, mut piece) = (Vec::new(), String::new());
        for part in &self.0 {
            match part {
                Part::Text(text) => piece.push_str(text),
                Part::Column(column) => piece.push_str(&value(column)?),
                Part::Any => pieces.push(std::mem::take(&mut piece)),
            }
        }
        pieces.push(piece);
        Ok(Name(pieces))
    }
}

impl Name {
    /// The one key; None where there is a star.
    pub(crate) fn exact(&self) -> Option<&str> {
        match self.0.as_slice() {
            [one] => Some(one),
            _ => None,
        }
    }

    /// What every key meant begins with.
    pub(crate) fn head(&self) -> &str {
        self.0.first().map_or("", String::as_str)
    }

    pub(crate) fn pieces(&self) -> &[String] {
        &self.0
    }

    /// Whether this key is meant: its head, its tail, and the pieces between in order.
    pub(crate) fn means(&self, key: &[u8]) -> bool {
        let [head, middle @ .., tail] = self.0.as_slice() else {
            return self.exact().is_some_and(|one| one.as_bytes() == key);
        };
        let inner = key.strip_prefix(head.as_bytes()).and_then(|k| k.strip_suffix(tail.as_bytes()));
        let Some(mut rest) = inner else { return false };
        middle.iter().all(|piece| match find(rest, piece.as_bytes()) {
            Some(after) => {
                rest = after;
                true
            }
            None => false,
        })
    }
}

/// What follows the first `piece`.
fn find<'k>(key: &'k [u8], piece: &[u8]) -> Option<&'k [u8]> {
    (0..=key.len()).find_map(|at| key.get(at..)?.strip_prefix(piece))
}

/// Text that MATCH takes for itself.
pub(crate) fn escape(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        if matches!(c, '*' | '?' | '[' | ']' | '^' | '-' | '\\') {
            out.push('\\');
        }
        out.push(c);
    }
    out
}

/// A column's value as it stands in a key.
fn text(scalar: &Scalar) -> String {
    match scalar {
        Scalar::Text(text) | Scalar::Number(text) => text.reveal().to_owned(),
        Scalar::Integer(number) => number.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use quietus_contract::Secret;

    use super::*;

    fn filled(template: &str, id: &str) -> Name {
        let locator = [("id".to_owned(), Scalar::Text(Secret::new(id)))].into();
        Template::parse(template).fill(&locator).expect("the column is there")
    }

    #[test]
    fn a_column_is_filled_in_as_it_is() {
        let locator =
            [("shop".to_owned(), Scalar::Text(Secret::new("s"))), ("no".to_owned(), Scalar::Integer(-7))]
                .into();
        let name = Template::parse("o:{shop}:{no}").fill(&locator).expect("both");
        assert_eq!(name.exact(), Some("o:s:-7"));
        assert_eq!(Template::parse("o:{nope}").fill(&locator).err(), Some("nope".to_owned()));
    }

    #[test]
    fn a_value_is_never_a_glob() {
        let star = filled("s:{id}:*", "*");
        assert!(star.means(b"s:*:a") && !star.means(b"s:1:a"));
        assert_eq!(filled("s:{id}", "*").exact(), Some("s:*"));
        assert_eq!(escape("a*b?[c]\\"), "a\\*b\\?\\[c\\]\\\\");
    }

    #[test]
    fn only_the_templates_own_star_means_any() {
        let name = filled("s:{id}:*:x:*", "1");
        assert!(name.means(b"s:1:a:x:") && name.means(b"s:1::x:b:x:c"));
        assert!(!name.means(b"s:1:a:y:") && !name.means(b"s:10:a:x:") && !name.means(b"s:1:"));
        assert!(!filled("ab*ba", "").means(b"aba"), "head and tail do not share a letter");
        assert!(filled("s?{id}", "1").exact() == Some("s?1"));
    }

    #[test]
    fn a_star_beside_a_column_is_seen() {
        assert!(Template::parse("s:{id}*").has_star_beside_column());
        assert!(!Template::parse("s:{id}:*").has_star_beside_column());
        assert_eq!(Template::parse("s:{id}:*:{no}").sample(), "s:0:0:0");
    }
}
