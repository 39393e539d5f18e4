//! `quietus:` of a collection: what Fides has no word for.

use super::dataset::{Collection, ColumnOr, Joint, OnDue, Reference, SubjectColumn};
use super::read_dataset::Draft;
use crate::document::{Diagnostics, Fields, Node, choose, shown};

pub(super) fn read<'a>(mut own: Fields<'a>, draft: &mut Draft<'a>, found: &mut Diagnostics) {
    let collection = &mut draft.collection;
    let column = |own: &mut Fields<'a>, key, collection: &Collection, found: &mut Diagnostics| {
        own.take(key).and_then(|n| column(n, collection, found))
    };
    collection.key = own.take("key").map(|n| columns(n, collection, found)).unwrap_or_default();
    collection.subject = own.take("subject").and_then(|n| subject(n, collection, found));
    collection.recorded_at = column(&mut own, "recorded_at", collection, found);
    collection.last_activity = column(&mut own, "last_activity", collection, found);
    collection.jurisdiction = own.take("jurisdiction").and_then(|n| jurisdiction(n, collection, found));
    collection.purposes = own.one_or_many("purposes", found);
    collection.process = column(&mut own, "process", collection, found);
    collection.item = column(&mut own, "item", collection, found);
    collection.service = own.text("service", found);
    collection.controller = own.text("controller", found);
    collection.where_ = own.text("where", found);
    collection.soft_delete = column(&mut own, "soft_delete", collection, found);
    let words = [("row", OnDue::Row), ("columns", OnDue::Columns)];
    collection.on_due = own.word("on_due", &words, found).unwrap_or_default();
    let words = [("redact", Joint::Redact), ("keep", Joint::Keep), ("erase", Joint::Erase)];
    collection.joint = own.word("joint", &words, found);
    let references = own.list("references", found);
    if let Some(first) = references.get(MOST) {
        found.error(first, format!("more than {MOST} references of one collection"), "remove the surplus");
    }
    for node in references.iter().take(MOST) {
        draft.own.extend(reference(node, &draft.collection, found).map(|r| (r, node)));
    }
    own.finish(found);
}

fn subject(node: &Node, collection: &Collection, found: &mut Diagnostics) -> Option<SubjectColumn> {
    let mut fields = Fields::of(node, "a subject", found)?;
    let name = fields.need("column", found).and_then(|n| column(n, collection, found));
    let kind = fields.need("type", found).and_then(|n| super::identity_type(n, found));
    fields.finish(found);
    Some(SubjectColumn { column: name?, kind: kind? })
}

fn jurisdiction(node: &Node, collection: &Collection, found: &mut Diagnostics) -> Option<ColumnOr> {
    if let Some(literal) = node.text() {
        return Some(ColumnOr::Literal(literal.to_owned()));
    }
    let mut fields = Fields::of(node, "a jurisdiction", found)?;
    let name = fields.need("column", found).and_then(|n| column(n, collection, found));
    fields.finish(found);
    name.map(ColumnOr::Column)
}

/// `to` left out = the other collection's key.
fn reference(node: &Node, collection: &Collection, found: &mut Diagnostics) -> Option<Reference> {
    let mut fields = Fields::of(node, "a reference", found)?;
    let columns = fields.need("columns", found).map(|n| columns(n, collection, found)).unwrap_or_default();
    let target = fields.need_text("collection", found);
    let to = fields.one_or_many("to", found);
    fields.finish(found);
    Some(Reference { columns, collection: target?, to })
}

/// No key has more columns, no table more foreign keys.
const MOST: usize = 64;

fn columns(node: &Node, collection: &Collection, found: &mut Diagnostics) -> Vec<String> {
    match node.as_list() {
        Some([]) => {
            found.error(node, "no column is named here", "name at least one");
            Vec::new()
        }
        Some(list) if list.len() > MOST => {
            found.error(node, format!("more than {MOST} columns"), "name the key's columns only");
            Vec::new()
        }
        Some(list) => list.iter().filter_map(|n| column(n, collection, found)).collect(),
        None => column(node, collection, found).into_iter().collect(),
    }
}

/// The name of a field of this collection.
pub(super) fn column(node: &Node, collection: &Collection, found: &mut Diagnostics) -> Option<String> {
    let Some(name) = node.text() else {
        found.error(
            node,
            format!("a column must be a name, this is {}", node.kind()),
            "write the field's name",
        );
        return None;
    };
    if collection.field(name).is_none() {
        let leaves = collection.leaves();
        let fix = choose(name, leaves.iter().map(|(path, _)| path.as_str()));
        found.error(
            node,
            format!("{} is no field of the collection `{}`", shown(node), collection.name),
            fix,
        );
        return None;
    }
    Some(name.to_owned())
}

pub(super) fn no_field(
    at: &Node,
    shown: String,
    name: &str,
    collection: &Collection,
    found: &mut Diagnostics,
) {
    // Looking for the nearest among thousands, thousands of times, is work that nobody would read.
    let fix = if found.is_full() {
        "write a field's name".to_owned()
    } else {
        let leaves = collection.leaves();
        choose(name, leaves.iter().map(|(path, _)| path.as_str()).take(500))
    };
    found.error(at, format!("{shown} is no field of the collection `{}`", collection.name), fix);
}
