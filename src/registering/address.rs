//! A database's URL: what kind it is, what it is called, and whether it may be written down.
//!
//! Invariant: a URL with a secret in it leaves here as a reference to a variable, and shows nowhere.

use std::fmt;

use quietus_core::system::holds_secret;

#[derive(Clone, PartialEq, Eq)]
pub struct Address {
    pub kind: &'static str,
    /// Of the database: fit for a file, a system and a dataset.
    pub name: String,
    /// As it may stand in a manifest.
    pub written: String,
    /// The variable that is to hold the URL, where it may not stand in a file.
    pub variable: Option<String>,
}

impl Address {
    /// `given` as it was typed, `resolved` with its references replaced.
    pub fn read(given: &str, resolved: &str) -> Result<Self, String> {
        let (scheme, rest) = resolved.split_once("://").ok_or(WHICH)?;
        let (kind, name) = match scheme {
            "postgres" | "postgresql" => ("postgres", database(rest)),
            "sqlite" if rest.starts_with('/') => ("sqlite", file(rest)),
            "sqlite" => return Err("write an absolute path: sqlite:///var/lib/shop.db".to_owned()),
            _ => return Err(WHICH.to_owned()),
        };
        let name = fit(name);
        let literal = !given.contains("${") && holds_secret(given);
        let variable = literal.then(|| variable(&name));
        let written = variable.as_ref().map_or_else(|| given.to_owned(), |v| format!("${{env:{v}}}"));
        Ok(Self { kind, name, written, variable })
    }
}

const WHICH: &str = "this reads PostgreSQL and SQLite: postgres://USER@HOST/DATABASE or sqlite:///PATH";

fn database(rest: &str) -> &str {
    let path = rest.split(['?', '#']).next().unwrap_or_default();
    let name = path.rsplit_once('/').map(|(_, name)| name).filter(|n| !n.is_empty());
    // Without a database libpq takes the user's name, which would put a person into file names.
    name.unwrap_or("database")
}

fn file(path: &str) -> &str {
    let name = path.rsplit('/').next().unwrap_or_default();
    name.split_once('.').map_or(name, |(stem, _)| stem)
}

/// Letters, digits, `_`, `-`, beginning with a letter or a digit, at most 48.
fn fit(name: &str) -> String {
    let clean: String =
        name.chars().map(|c| if c.is_ascii_alphanumeric() || c == '-' { c } else { '_' }).take(48).collect();
    let clean = clean.trim_matches(['_', '-']);
    if clean.is_empty() { "database".to_owned() } else { clean.to_owned() }
}

/// `SHOP_URL`
fn variable(name: &str) -> String {
    let upper = name.to_ascii_uppercase().replace('-', "_");
    let prefix = if upper.starts_with(|c: char| c.is_ascii_digit()) { "DB_" } else { "" };
    format!("{prefix}{upper}_URL")
}

impl fmt::Debug for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Address").field("kind", &self.kind).field("name", &self.name).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_is_written_as_a_reference() {
        let read = |url: &str| Address::read(url, url).unwrap();
        let plain = read("postgres://lab@127.0.0.1:5432/shop?connect_timeout=3");
        assert_eq!((plain.kind, plain.name.as_str(), plain.variable), ("postgres", "shop", None));
        for url in ["postgres://ann:s3cret@db/my-shop", "postgresql://db/my-shop?password=s3cret"] {
            let secret = read(url);
            assert_eq!(secret.written, "${env:MY_SHOP_URL}");
            assert!(!format!("{secret:?}").contains("s3cret"));
        }
        let given = Address::read("${env:DB}", "postgres://ann:s3cret@db/shop").unwrap();
        assert_eq!((given.written.as_str(), given.variable), ("${env:DB}", None));
    }

    #[test]
    fn a_name_is_fit_for_files() {
        let name = |url: &str| Address::read(url, url).map(|a| a.name);
        assert_eq!(name("sqlite:///var/lib/My Shop.v2.db").as_deref(), Ok("My_Shop"));
        assert_eq!(name("postgres://db").as_deref(), Ok("database"));
        assert_eq!(name("postgres://db/%C3%BC").as_deref(), Ok("C3_BC"));
        assert!(
            name("mysql://db/x").is_err() && name("shop.db").is_err() && name("sqlite://shop.db").is_err()
        );
    }
}
