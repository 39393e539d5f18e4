//! Registered systems: what a manifest and its datasets say.
//!
//! [`manifest`] is one system, [`dataset`] is what lies in it; [`parse_manifest`] and [`parse_dataset`] read the
//! files, [`check_systems`] looks at all of them together, [`children_first`] is the order of deletion.
//!
//! Invariant: a [`Manifest`] that was parsed without errors holds no secret, only references to secrets, and names
//! only columns that its datasets have.

mod connection;
pub mod dataset;
pub mod manifest;
mod order;
mod own_keys;
mod partner;
mod read_dataset;
mod read_field;
mod read_manifest;
mod references;
mod window;

pub(crate) use connection::check as check_secret;
pub use connection::{holds_secret, references as secret_references};
pub use dataset::*;
pub use manifest::*;
pub use order::{Cycle, check_systems, children_first};
pub use read_dataset::{IsCategory, parse_dataset};
pub use read_manifest::{KINDS, Load, parse_manifest, placeholders};

use crate::document::{Diagnostics, Node, shown};

/// A name that may stand in a URL, a topic and a file: of systems and datasets.
pub(crate) fn is_name(text: &str) -> bool {
    text.len() <= 64
        && text.starts_with(|c: char| c.is_ascii_alphanumeric())
        && text.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '.'))
}

/// An identity type: `[a-z][a-z0-9_]*`.
pub(crate) fn identity_type(node: &Node, found: &mut Diagnostics) -> Option<String> {
    let text = node.text().unwrap_or_default();
    let tail = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_';
    if text.starts_with(|c: char| c.is_ascii_lowercase()) && text.chars().all(tail) && text.len() <= 64 {
        return Some(text.to_owned());
    }
    let fix = "use lower case, digits and `_`, such as customer_id";
    found.error(node, format!("{} cannot be an identity type", shown(node)), fix);
    None
}

#[cfg(test)]
mod tests;
