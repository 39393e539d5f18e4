//! Fides dataset YAML, with our `quietus:` keys, → [`Dataset`].
//!
//! Fides ignores keys it does not know, so here only those that look like a misspelt one are refused
//! (`data_categorys` would leave personal data unmapped). Under `quietus:` every unknown key is.

use std::collections::BTreeMap;

use super::dataset::{Collection, Dataset, Reference, SubjectColumn};
use super::references::{self, FidesReference};
use super::{order, own_keys, read_field};
use crate::document::{Diagnostic, Diagnostics, Fields, Node, read, shown};

/// Is this a data category: Fideslang's, or one that the policy declares?
pub type IsCategory<'a> = &'a dyn Fn(&str) -> bool;

/// The datasets of a file. What could be read is returned beside the findings.
pub fn parse_dataset(file: &str, bytes: &[u8], is_category: IsCategory) -> (Vec<Dataset>, Vec<Diagnostic>) {
    let nodes = match read(file, bytes) {
        Ok(nodes) => nodes,
        Err(found) => return (Vec::new(), found),
    };
    let mut found = Diagnostics::new(file);
    let mut datasets = Vec::new();
    for node in &nodes {
        datasets.extend(from_node(node, is_category, &mut found));
    }
    refuse_duplicates(&datasets, &mut found);
    (datasets.into_iter().map(|(dataset, _)| dataset).collect(), found.into_vec())
}

/// A document: `{dataset: […]}`, or one dataset as it travels over HTTP.
pub(super) fn from_node<'a>(
    node: &'a Node,
    is_category: IsCategory,
    found: &mut Diagnostics,
) -> Vec<(Dataset, &'a Node)> {
    let mut reader = Reader { is_category, found };
    if node.get("fides_key").is_some() {
        return reader.dataset(node).map(|d| (d, node)).into_iter().collect();
    }
    let Some(mut fields) = Fields::of(node, "a dataset file", reader.found) else { return Vec::new() };
    fields.format(reader.found);
    fields.need("dataset", reader.found);
    let list = fields.list("dataset", reader.found);
    fields.finish(reader.found);
    list.iter().filter_map(|n| reader.dataset(n).map(|d| (d, n))).collect()
}

pub(super) fn refuse_duplicates(datasets: &[(Dataset, &Node)], found: &mut Diagnostics) {
    let mut seen = BTreeMap::new();
    for (dataset, node) in datasets {
        if let Some(first) = seen.insert(dataset.fides_key.as_str(), node.line) {
            let detail =
                format!("the dataset `{}` stands here twice (first in line {first})", dataset.fides_key);
            found.error(node.get("fides_key").unwrap_or(node), detail, "give each its own fides_key");
        }
    }
}

pub(super) struct Reader<'r, 'f> {
    is_category: IsCategory<'r>,
    pub found: &'f mut Diagnostics,
}

/// What is known of a collection while its neighbours are still to be read.
pub(super) struct Draft<'a> {
    pub collection: Collection,
    pub node: &'a Node,
    pub fides: Vec<FidesReference<'a>>,
    pub own: Vec<(Reference, &'a Node)>,
    pub erase_after: Vec<(String, &'a Node)>,
}

impl Reader<'_, '_> {
    fn dataset(&mut self, node: &Node) -> Option<Dataset> {
        let mut fields = Fields::of(node, "a dataset", self.found)?;
        let fides_key = fields.need_text("fides_key", self.found);
        let inherited = self.categories(&mut fields);
        fields.ignore(&[
            "name",
            "description",
            "organization_fides_key",
            "meta",
            "tags",
            "data_qualifier",
            "data_uses",
            "data_purposes",
            "data_subjects",
            "retention",
            "third_country_transfers",
            "joint_controller",
            "owner",
            "privacy_notice_url",
            "fidesctl_meta",
        ]);
        let mut schema = None;
        if let Some(mut meta) = self.meta(&mut fields) {
            if let Some(mut namespace) = meta.fields("namespace", "a namespace", self.found) {
                schema = namespace.text("schema", self.found);
            }
            meta.ignore(&["resource_id", "after"]);
            meta.finish_foreign(self.found);
        }
        if let Some(own) = fields.take("quietus") {
            self.found.error(
                own,
                "`quietus` belongs to a collection or a field",
                "move it below its collection",
            );
        }
        fields.need("collections", self.found);
        let list = fields.list("collections", self.found);
        fields.finish_foreign(self.found);

        let fides_key = fides_key?;
        if !super::is_name(&fides_key) {
            let at = node.get("fides_key").unwrap_or(node);
            let fix = "use letters, digits, `_`, `-` and `.` only, at most 64";
            self.found.error(at, format!("`{fides_key}` cannot be a fides_key"), fix);
        }
        let list = self.bounded(list, "collections");
        let mut drafts: Vec<Draft> = list.iter().filter_map(|n| self.collection(n, &inherited)).collect();
        self.unique(drafts.iter().map(|d| (d.collection.name.as_str(), d.node)), "collection");
        references::resolve(&fides_key, &mut drafts, self.found);
        let collections = drafts.into_iter().map(|d| d.collection).collect();
        let dataset = Dataset { fides_key, schema, collections };
        if let Err(cycle) = order::children_first(&dataset) {
            let fix = "leave one of these references out, and let the database set that column to NULL first";
            let at = node.get("collections").unwrap_or(node);
            self.found.error(at, format!("the collections reference each other in a circle: {cycle}"), fix);
        }
        Some(dataset)
    }

    fn collection<'a>(&mut self, node: &'a Node, inherited: &[String]) -> Option<Draft<'a>> {
        let mut fields = Fields::of(node, "a collection", self.found)?;
        let name = fields.need_text("name", self.found);
        let mut categories = self.categories(&mut fields);
        if categories.is_empty() {
            categories = inherited.to_vec();
        }
        fields.ignore(&[
            "description",
            "data_qualifier",
            "data_uses",
            "data_purposes",
            "data_subjects",
            "meta",
            "tags",
        ]);
        let mut erase_after = Vec::new();
        if let Some(mut meta) = self.meta(&mut fields) {
            let list = meta.list("erase_after", self.found);
            erase_after = list.iter().filter_map(|n| Some((n.text()?.to_owned(), n))).collect();
            meta.ignore(&["after", "skip_processing", "masking_strategy_override", "partitioning", "redact"]);
            meta.finish_foreign(self.found);
        }
        fields.need("fields", self.found);
        let list = fields.list("fields", self.found);
        let own = fields.fields("quietus", "`quietus` of a collection", self.found);
        fields.finish_foreign(self.found);

        let mut fides = Vec::new();
        let parsed = self.fields(list, "", &mut fides);
        let collection = Collection { name: name?, fields: parsed, ..Collection::default() };
        let mut draft = Draft { collection, node, fides, own: Vec::new(), erase_after };
        if let Some(own) = own {
            own_keys::read(own, &mut draft, self.found);
        }
        self.complete(&mut draft, &categories);
        Some(draft)
    }

    /// What Fides knows of a collection stands for what `quietus:` leaves out; then all of it must fit together.
    fn complete(&mut self, draft: &mut Draft, inherited: &[String]) {
        let collection = &mut draft.collection;
        let leaves = collection.leaves();
        if collection.key.is_empty() {
            let keys = leaves.iter().filter(|(_, f)| f.primary_key).map(|(path, _)| path.clone());
            let keys = keys.collect();
            collection.key = keys;
        }
        let leaves = collection.leaves();
        let identity = leaves
            .iter()
            .find_map(|(path, f)| Some(SubjectColumn { column: path.clone(), kind: f.identity.clone()? }));
        if collection.subject.is_none() {
            collection.subject = identity;
        }
        let mut bare: Vec<String> = collection.key.clone();
        bare.extend(collection.subject.iter().map(|s| s.column.clone()));
        bare.extend(draft.fides.iter().map(|r| r.column.clone()));
        bare.extend(draft.own.iter().flat_map(|(r, _)| r.columns.clone()));
        read_field::inherit(&mut collection.fields, "", inherited, &bare);

        let name = collection.name.clone();
        let personal =
            collection.leaves().iter().any(|(_, f)| f.categories.iter().any(|c| !c.starts_with("system")));
        if personal && collection.key.is_empty() {
            let detail = format!("the collection `{name}` has personal data and no key");
            let fix =
                "mark its key with `fides_meta: {primary_key: true}`, or add `quietus: {key: [COLUMN]}`";
            // Fides does without; what speaks to us must let us name its rows.
            if draft.node.get("quietus").is_some() {
                self.found.error(draft.node, detail, fix);
            } else {
                self.found.warning(draft.node, format!("{detail}: nothing in it can be erased"), fix);
            }
        }
        if personal && collection.subject.is_none() {
            let fix = "add `quietus: {subject: {column: COLUMN, type: IDENTITY_TYPE}}`";
            let detail =
                format!("nothing says whom the rows of `{name}` are about: a scan cannot record them");
            self.found.warning(draft.node, detail, fix);
        }
    }

    /// `fides_meta`, or its old name.
    pub(super) fn meta<'a>(&mut self, fields: &mut Fields<'a>) -> Option<Fields<'a>> {
        let old = fields.fields("fidesops_meta", "fidesops_meta", self.found);
        fields.fields("fides_meta", "fides_meta", self.found).or(old)
    }

    /// Sorted, each once; an unknown one is refused.
    pub(super) fn categories(&mut self, fields: &mut Fields) -> Vec<String> {
        let node = fields.take("data_categories");
        let mut out = Vec::new();
        let Some(list) = node.and_then(Node::as_list) else {
            if let Some(node) = node {
                self.found.error(
                    node,
                    "`data_categories` must be a list",
                    format!("write [{}]", node.text().unwrap_or("KEY")),
                );
            }
            return out;
        };
        for node in list {
            match node.text() {
                Some(key) if (self.is_category)(key) => out.push(key.to_owned()),
                Some(key) => {
                    let fix = match self.known_parent(key) {
                        Some(parent) => format!(
                            "`{parent}` is known: use it, or declare this one under `categories:` of the policy"
                        ),
                        None => {
                            "use a Fideslang key, or declare it under `categories:` of the policy".to_owned()
                        }
                    };
                    self.found.error(node, format!("{} is no known data category", shown(node)), fix);
                }
                None => self.found.error(
                    node,
                    format!("a category must be a text, this is {}", node.kind()),
                    "write its key",
                ),
            }
        }
        out.sort();
        out.dedup();
        out
    }

    fn known_parent<'k>(&self, key: &'k str) -> Option<&'k str> {
        let mut key = key;
        while let Some((parent, _)) = key.rsplit_once('.') {
            if (self.is_category)(parent) {
                return Some(parent);
            }
            key = parent;
        }
        None
    }

    /// No schema is larger; what compares names may take the square of it.
    pub(super) fn bounded<'n>(&mut self, list: &'n [Node], what: &str) -> &'n [Node] {
        const MOST: usize = 5_000;
        if let Some(first) = list.get(MOST) {
            self.found.error(first, format!("more than {MOST} {what}"), "split the dataset");
        }
        list.get(..MOST).unwrap_or(list)
    }

    pub(super) fn unique<'n>(&mut self, names: impl Iterator<Item = (&'n str, &'n Node)>, what: &str) {
        let mut seen = BTreeMap::new();
        for (name, node) in names {
            if let Some(first) = seen.insert(name, node.line) {
                let detail = format!("the {what} `{name}` stands here twice (first in line {first})");
                self.found.error(node.get("name").unwrap_or(node), detail, "remove one of the two");
            }
        }
    }
}
