//! Registering a database: from its catalogue to files that can be applied as they are.
//!
//! [`address`] says where it is without its secret, [`people`] whom its rows are about, [`guess`] which columns are
//! personal data, [`times`] when a row began; [`draft`] puts that together and [`files`] writes it down.
//!
//! Invariant: pure; the catalogue is all that is known, and every guess carries its reason. Rejected: looking at
//! rows, which would read personal data to find out that it is.

pub mod address;
pub mod draft;
pub mod files;
pub mod guess;
mod lexicon;
pub mod people;
pub mod rows;
pub mod times;

pub use address::Address;
pub use draft::Draft;
pub use files::{NamedFile, files};

/// Something taken to be so, and why.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Guess<T> {
    pub is: T,
    pub why: String,
}

impl<T> Guess<T> {
    pub fn new(is: impl Into<T>, why: impl Into<String>) -> Self {
        Self { is: is.into(), why: why.into() }
    }
}

/// `_first_name_`: the words of a name between underscores, whatever case or separator it is written with.
pub fn words(name: &str) -> String {
    let mut out = String::from("_");
    let mut before = '_';
    for c in name.chars() {
        let begins = c.is_uppercase() && (before.is_lowercase() || before.is_numeric());
        let ends = !c.is_alphanumeric() || begins || (c.is_numeric() != before.is_numeric() && before != '_');
        if ends && !out.ends_with('_') {
            out.push('_');
        }
        if c.is_alphanumeric() {
            out.extend(c.to_lowercase());
        }
        before = if c.is_alphanumeric() { c } else { '_' };
    }
    if !out.ends_with('_') {
        out.push('_');
    }
    out
}

/// True where the words hold one of these, as whole words.
pub fn says(words: &str, any: &[&str]) -> bool {
    any.iter().any(|phrase| {
        words.match_indices(phrase).any(|(at, _)| {
            words.get(..at).is_some_and(|b| b.ends_with('_'))
                && words.get(at + phrase.len()..).is_some_and(|a| a.starts_with('_'))
        })
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_has_the_same_words_however_it_is_written() {
        for name in ["first_name", "firstName", "First Name", "first-name", "FIRST_NAME"] {
            assert_eq!(words(name), "_first_name_", "{name}");
        }
        assert_eq!(words("addressLine2"), "_address_line_2_");
        assert_eq!(words("_"), "_");
    }

    #[test]
    fn a_phrase_is_found_as_whole_words() {
        assert!(says("_ship_to_first_name_", &["first_name"]) && says("_ip_", &["mac", "ip"]));
        assert!(!says("_recipient_", &["ip"]) && !says("_emails_", &["email"]));
    }
}
