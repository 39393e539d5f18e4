//! `connection:` of a manifest: settings whose secrets stand elsewhere.
//!
//! Invariant: nothing that leaves this module holds a password, and no message repeats a setting's value.

use std::collections::BTreeMap;

use crate::document::{Diagnostics, Key, Node, choose};

/// Every setting some kind of system knows. Closed, because a misspelt `password` would slip past the check.
const KNOWN: [&str; 28] = [
    "url",
    "user",
    "username",
    "password",
    "secret",
    "token",
    "database",
    "schema",
    "brokers",
    "topic",
    "group",
    "prefix",
    "region",
    "bucket",
    "endpoint",
    "access_key",
    "secret_key",
    "ca",
    "cert",
    "key",
    "passphrase",
    "command",
    "args",
    "timeout",
    "sslmode",
    "header",
    "mechanism",
    "protocol",
];
const SECRET: [&str; 8] =
    ["tenant_key", "password", "secret", "token", "secret_key", "passphrase", "key", "header"];

pub(super) fn read(entries: &[(Key, Node)], kind: &str, found: &mut Diagnostics) -> BTreeMap<String, String> {
    let mut out = BTreeMap::new();
    for (key, node) in entries {
        let name = key.text.as_str();
        if !KNOWN.contains(&name) {
            found.error(key, format!("`{name}` is no connection setting"), choose(name, KNOWN.into_iter()));
            continue;
        }
        if kind == "kafka" && name == "user" {
            found.error(
                key,
                "`user` is no setting of a `kafka` system",
                "write `username`, as in `kafka: {security: …}`",
            );
            continue;
        }
        let value = match (node.text(), node.as_list()) {
            (Some(text), _) => text.to_owned(),
            (None, Some(list)) if list.iter().all(|n| n.text().is_some()) => {
                list.iter().filter_map(Node::text).collect::<Vec<_>>().join(",")
            }
            _ => {
                found.error(
                    node,
                    format!("`{name}` must be a text, this is {}", node.kind()),
                    "write one value",
                );
                continue;
            }
        };
        check(name, &value, node, found);
        if name == "url" {
            scheme(kind, &value, node, found);
        }
        out.insert(name.to_owned(), value);
    }
    out
}

/// The `${env:NAME}` and `${file:PATH}` in a setting; the error is the remedy.
pub fn references(value: &str) -> Result<Vec<&str>, String> {
    let mut out = Vec::new();
    let mut rest = value;
    while let Some((_, after)) = rest.split_once("${") {
        let (inside, tail) = after.split_once('}').ok_or("close it with `}`")?;
        match inside.split_once(':') {
            Some(("env", name)) if is_variable(name) => out.push(inside),
            Some(("file", path)) if !path.trim().is_empty() => out.push(inside),
            _ => return Err("write ${env:NAME} or ${file:PATH}".to_owned()),
        }
        rest = tail;
    }
    Ok(out)
}

fn is_variable(name: &str) -> bool {
    !name.is_empty()
        && !name.starts_with(|c: char| c.is_ascii_digit())
        && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_')
}

/// Refuses a secret that stands in the file itself; `name` says what kind of setting it is.
pub fn check(name: &str, value: &str, node: &Node, found: &mut Diagnostics) {
    let refs = match references(value) {
        Ok(refs) => refs,
        Err(fix) => return found.error(node, format!("`{name}` holds a reference that cannot be read"), fix),
    };
    let bare = without_references(value);
    let fix = "write ${env:NAME} or ${file:PATH} in its place; change the secret, it stood in a file";
    // A header's name and scheme (`Bearer ${env:…}`) may stand beside the reference.
    let literal = SECRET.contains(&name)
        && !value.is_empty()
        && (refs.is_empty() || (name != "header" && bare != REFERENCE));
    if literal {
        found.error(node, format!("`{name}` is a literal secret"), fix);
    } else if let Some(part) = secret_part(&bare) {
        found.error(node, format!("`{name}` holds a literal secret ({part})"), fix);
    }
}

/// True where a URL or connection text holds a password or another secret in clear.
pub fn holds_secret(value: &str) -> bool {
    secret_part(&without_references(value)).is_some()
}

/// Stands for a reference while a URL is taken apart: no character that a URL gives a meaning.
const REFERENCE: &str = "\u{1}";

fn without_references(value: &str) -> String {
    let mut out = String::new();
    let mut rest = value;
    while let Some((before, after)) = rest.split_once("${") {
        out.push_str(before);
        out.push_str(REFERENCE);
        rest = after.split_once('}').map_or("", |(_, tail)| tail);
    }
    out + rest
}

/// Where in a URL or a `key=value` connection text a password stands in clear.
fn secret_part(bare: &str) -> Option<&'static str> {
    let after = bare.split_once("://").map(|(_, rest)| rest);
    let authority = after.map(|rest| rest.split(['/', '?', '#']).next().unwrap_or_default());
    // A password may hold `/` or `?` unescaped: then the `@` stands behind them.
    let user = authority.into_iter().chain(after).find_map(|a| a.rsplit_once('@')).map(|(user, _)| user);
    let password = user.and_then(|u| u.split_once(':')).map(|(_, password)| password);
    if password.is_some_and(|p| !p.is_empty() && p != REFERENCE) {
        return Some("the password of the URL");
    }
    let pairs = bare.split(['?', '&', ';', ' ', '#']).filter_map(|pair| pair.split_once('='));
    for (key, value) in pairs {
        let key = key.trim().to_lowercase();
        let secret = [
            "password",
            "passwd",
            "pwd",
            "secret",
            "token",
            "api_key",
            "apikey",
            "access_key",
            "sig",
            "passphrase",
        ];
        if secret.iter().any(|s| key.ends_with(s)) && !matches!(value.trim(), "" | REFERENCE) {
            return Some("a parameter of the URL");
        }
    }
    None
}

fn scheme(kind: &str, value: &str, node: &Node, found: &mut Diagnostics) {
    let wanted: &[&str] = match kind {
        "sqlite" => &["sqlite:///"],
        "postgres" => &["postgres://", "postgresql://"],
        "mysql" => &["mysql://", "mariadb://"],
        "redis" => &["redis://", "rediss://", "redis+unix://", "unix://"],
        "files" | "backup" => &["file:///"],
        "http" | "webhook" | "opendsr" | "search" => &["http://", "https://"],
        _ => return,
    };
    if !value.starts_with("${") && !wanted.iter().any(|w| value.starts_with(w)) {
        let first = wanted.first().copied().unwrap_or_default();
        found.error(node, format!("this is no URL of a `{kind}` system"), format!("write {first}…"));
    }
}
