//! The names that a policy may use: its own declarations and the taxonomy's.

use std::collections::BTreeSet;

use crate::document::{Diagnostics, Node, nearest};
use crate::policy::model::Policy;
use crate::policy::taxonomy::{COUNTRIES, Taxonomy, is_jurisdiction, tail};

/// What may be named without an error.
#[derive(Debug)]
pub(super) struct Names<'t> {
    taxonomy: &'t Taxonomy,
    categories: BTreeSet<String>,
    groups: BTreeSet<String>,
    pub events: BTreeSet<String>,
    pub purposes: BTreeSet<String>,
    pub has_fiscal_year: bool,
}

impl<'t> Names<'t> {
    pub fn new(taxonomy: &'t Taxonomy, policy: &Policy) -> Self {
        Self {
            taxonomy,
            categories: policy.categories.keys().cloned().collect(),
            groups: policy.jurisdictions.keys().cloned().collect(),
            events: BTreeSet::new(),
            purposes: BTreeSet::new(),
            has_fiscal_year: false,
        }
    }

    /// A category key of Fideslang or of the company's own, or a parent of one.
    pub fn category(&self, node: &Node, key: &str, found: &mut Diagnostics) {
        let own = || self.categories.iter().any(|declared| tail(key, declared).is_some());
        if !self.taxonomy.is_category(key) && !own() {
            let known = self.taxonomy.categories.iter().chain(&self.categories).map(String::as_str);
            let fix = or_declare(key, known, "categories");
            found.error(node, format!("`{key}` is no category of Fideslang and not declared"), fix);
        }
    }

    /// A data use of Fideslang, or the company's own: what looks like a misspelt one is refused, because what is
    /// under `marketing` ends on objection.
    pub fn data_use(&self, node: &Node, key: &str, found: &mut Diagnostics) {
        if self.taxonomy.is_use(key) {
            return;
        }
        let detail = format!("`{key}` is no data use of Fideslang");
        match nearest(key, self.taxonomy.uses.iter().map(String::as_str)) {
            Some(near) => found.error(node, detail, format!("did you mean `{near}`?")),
            None if self.taxonomy.uses.iter().any(|known| tail(known, key).is_some()) => {}
            None => found.warning(node, detail, "put your own below one, such as essential.service.lending"),
        }
    }

    /// An ISO 3166 code or a declared group.
    pub fn jurisdiction(&self, node: &Node, code: &str, found: &mut Diagnostics) {
        if !is_jurisdiction(code) && !self.groups.contains(code) {
            let country = code.split('-').next().unwrap_or_default();
            let known = || self.groups.iter().map(String::as_str).chain(COUNTRIES.split_whitespace());
            let upper = code.to_uppercase();
            let fix = if is_jurisdiction(&upper) {
                format!("did you mean `{upper}`?")
            } else {
                let near = nearest(code, known()).or_else(|| nearest(country, known()));
                match near {
                    Some(near) => format!(
                        "did you mean `{near}`? use an ISO 3166 code, or declare a group under `jurisdictions:`"
                    ),
                    None => {
                        "use an ISO 3166 code such as DE or US-CA, or declare a group under `jurisdictions:`"
                            .to_owned()
                    }
                }
            };
            found.error(node, format!("`{code}` is no ISO 3166 code and not declared"), fix);
        }
    }

    pub fn event(&self, node: &Node, name: &str, found: &mut Diagnostics) {
        if !self.events.contains(name) {
            let known = ["recorded", "last_activity", "granted", "withdrawn"].into_iter();
            let fix = or_declare(name, known.chain(self.events.iter().map(String::as_str)), "events");
            found.error(node, format!("the event `{name}` is not declared"), fix);
        }
    }

    pub fn purpose(&self, node: &Node, name: &str, found: &mut Diagnostics) {
        if !self.purposes.contains(name) {
            let fix = or_declare(name, self.purposes.iter().map(String::as_str), "purposes");
            found.error(node, format!("the purpose `{name}` is not declared"), fix);
        }
    }
}

fn or_declare<'n>(wrong: &str, known: impl IntoIterator<Item = &'n str>, section: &str) -> String {
    match nearest(wrong, known) {
        Some(near) => format!("did you mean `{near}`? otherwise declare it under `{section}:`"),
        None => format!("declare it under `{section}:`"),
    }
}

/// The scalars of a list or a single one, each with its place.
pub(super) fn each<'a>(node: &'a Node, key: &str, found: &mut Diagnostics) -> Vec<(&'a str, &'a Node)> {
    let nodes = node.as_list().map_or_else(|| std::slice::from_ref(node).iter(), <[Node]>::iter);
    let mut texts = Vec::new();
    for one in nodes {
        match one.text().map(str::trim) {
            Some("") => found.error(one, format!("`{key}` is empty"), "write its value, or leave it out"),
            Some(text) if texts.iter().any(|(other, _)| *other == text) => {
                found.error(one, format!("`{text}` stands twice in `{key}`"), "remove one");
            }
            Some(text) => texts.push((text, one)),
            None => found.error(
                one,
                format!("`{key}` must be a text, this is {}", one.kind()),
                "write one name, or a list of names",
            ),
        }
    }
    if texts.is_empty() && node.as_list().is_some_and(<[Node]>::is_empty) {
        found.error(
            node,
            format!("`{key}` is an empty list"),
            "name what it is for, or leave it out for all",
        );
    }
    texts
}
