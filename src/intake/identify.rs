//! Who and what an event is about, as keyed hashes; where a copy lies, as a sealed cell.
//!
//! Invariant: an item recorded by an event, a scan and change data capture has one key: its company id where the
//! company has one, else where its first copy lies, by the key columns alone. And one row has one cell: a text that
//! is a decimal integer counts as that integer.

use std::borrow::Cow;

use quietus_contract::{Identity, Locator, Scalar, Secret};
use quietus_core::identity::{ItemKey, ShownItem, SubjectKey};

use super::context::Naming;
use super::lifecycle::CopyAt;
use super::refuse::Refused;
use crate::sealing::{Keys, Refusal, parse_identity};

/// A subject by its key, with what was said, for sealing.
#[derive(Debug)]
pub struct Who {
    pub key: SubjectKey,
    pub identity: Identity,
}

pub fn subject(keys: &Keys, text: &str, default_type: &str, field: &str) -> Result<Who, Refused> {
    let identity = parse_identity(text, default_type).map_err(|refusal| {
        let code = match refusal {
            Refusal::BadType => "identity-type",
            Refusal::Empty => "identity-empty",
            Refusal::TooLong => "identity-too-long",
            Refusal::Control => "identity-control-characters",
            Refusal::NotE164 => "identity-not-e164",
        };
        Refused::new(code, format!("{field}: {refusal}"))
    })?;
    Ok(Who { key: keys.subject_key(&identity.kind, identity.value.reveal()), identity })
}

/// An item that an event refers to: by the company's id, or by the `it_…` that this system shows.
pub fn item(keys: &Keys, id: &str, subject: Option<&SubjectKey>) -> Result<ItemKey, Refused> {
    let Some(shown) = ShownItem::parse(id) else { return Ok(keys.item_key(id)) };
    match subject {
        Some(subject) if !subject.0.starts_with(&shown.subject_prefix) => Err(Refused::new(
            "item-of-another-subject",
            "data.item is an it_… of another subject: name its own, or leave the subject out",
        )),
        _ => Ok(shown.item),
    }
}

/// The key of an item that is recorded.
pub fn recorded(
    keys: &Keys,
    id: Option<&str>,
    first: &CopyAt<'_>,
    naming: Option<&Naming>,
) -> Result<ItemKey, Refused> {
    if id.is_some_and(|id| ShownItem::parse(id).is_some()) {
        return Err(Refused::new(
            "item-shown",
            "data.item is an it_… of this system: name the company's own id, or leave it out",
        ));
    }
    let column = naming.and_then(|n| n.item.as_deref());
    let there = column.and_then(|c| first.locator.get(c)).map(text_of);
    match (id, column, there) {
        (Some(id), Some(column), Some(there)) if id != there => Err(Refused::new(
            "item-disagrees",
            format!(
                "data.item differs from the locator's {column}, which the dataset says holds the item's id"
            ),
        )),
        (Some(id), _, _) => Ok(keys.item_key(id)),
        (None, Some(_), Some(there)) => Ok(keys.item_key(&there)),
        (None, Some(column), None) => Err(Refused::new(
            "item-missing",
            format!("data.item is missing: the dataset says that {column} holds the item's id"),
        )),
        (None, None, _) if first.locator.is_empty() => Err(Refused::new(
            "locator-missing",
            "data.item or data.copies[0].locator must say which record it is",
        )),
        (None, None, _) => {
            Ok(keys.item_key_at(first.system, first.dataset, &key_columns(first.locator, naming)))
        }
    }
}

/// Refuses a locator that leaves a key column of its dataset out.
pub fn check_locator(locator: &Locator, naming: Option<&Naming>, copy: usize) -> Result<(), Refused> {
    let missing = naming.and_then(|n| n.key.iter().find(|column| !locator.contains_key(column)));
    match missing {
        Some(column) if !locator.is_empty() => Err(Refused::new(
            "locator-key-missing",
            format!("data.copies[{copy}].locator lacks the key column {column} of its dataset"),
        )),
        _ => Ok(()),
    }
}

/// The locator as it is sealed: of a known collection its key columns, else all of it.
pub fn key_columns<'l>(locator: &'l Locator, naming: Option<&Naming>) -> Cow<'l, Locator> {
    let Some(key) = naming.map(|n| &n.key).filter(|key| !key.is_empty()) else {
        return Cow::Borrowed(locator);
    };
    if locator.keys().all(|column| key.contains(column)) {
        return Cow::Borrowed(locator);
    }
    let columns = key.iter().filter_map(|c| locator.get(c).map(|v| (c, v)));
    Cow::Owned(columns.map(|(c, v)| (c.clone(), v.clone())).collect())
}

/// A text that is a decimal integer as a computer writes it is that integer.
pub fn scalar(text: &str) -> Scalar {
    match text.parse::<i64>() {
        Ok(n) if n.to_string() == text => Scalar::Integer(n),
        _ => Scalar::Text(Secret::new(text)),
    }
}

fn text_of(value: &Scalar) -> String {
    match value {
        Scalar::Integer(n) => n.to_string(),
        Scalar::Text(text) | Scalar::Number(text) => text.reveal().to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_a_computer_writes_is_an_integer() {
        for text in ["0", "-7", "9223372036854775807"] {
            assert_eq!(scalar(text), Scalar::Integer(text.parse().unwrap()));
        }
        for text in ["007", "+7", " 7", "7.0", "-0", "9223372036854775808", "a", ""] {
            assert_eq!(scalar(text), Scalar::Text(Secret::new(text)), "{text}");
        }
    }

    #[test]
    fn a_locator_is_sealed_by_its_key_columns() {
        let locator: Locator = [("b", "2"), ("a", "1"), ("c", "3")]
            .into_iter()
            .map(|(column, value)| (column.to_owned(), scalar(value)))
            .collect();
        let naming = Naming { key: vec!["c".into(), "a".into()], item: None };
        let columns: Vec<String> =
            key_columns(&locator, Some(&naming)).into_owned().into_iter().map(|(column, _)| column).collect();
        assert_eq!(columns, ["a", "c"]);
        assert_eq!(*key_columns(&locator, None), locator);
        assert!(check_locator(&locator, Some(&naming), 0).is_ok());
        let naming = Naming { key: vec!["d".into()], item: None };
        assert_eq!(check_locator(&locator, Some(&naming), 0).unwrap_err().code, "locator-key-missing");
    }
}
