//! The records: per dataset, by key, in order.
//!
//! Keys are compared as text, exactly: `7` and `"7"` are one, `"7"` and `" 7"` are two.

use std::collections::BTreeMap;
use std::ops::Bound;

use quietus_contract::{Locator, Scalar};
use quietus_core::system::{Collection, Manifest};

/// Column → value, as text.
pub type Key = BTreeMap<String, String>;
/// Field → value; None is NULL.
pub type Fields = BTreeMap<String, Option<String>>;

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Rows {
    by_dataset: BTreeMap<String, BTreeMap<Key, Fields>>,
}

/// What was at a key before: to take a change back.
pub(crate) struct Before {
    dataset: String,
    key: Key,
    fields: Option<Fields>,
}

impl Rows {
    pub(crate) fn get(&self, dataset: &str, key: &Key) -> Option<&Fields> {
        self.by_dataset.get(dataset)?.get(key)
    }

    pub(crate) fn of(&self, dataset: &str) -> impl Iterator<Item = (&Key, &Fields)> {
        self.by_dataset.get(dataset).into_iter().flatten()
    }

    /// Those behind a key, in order.
    pub(crate) fn after(&self, dataset: &str, from: Bound<Key>) -> impl Iterator<Item = (&Key, &Fields)> {
        self.by_dataset
            .get(dataset)
            .into_iter()
            .flat_map(move |rows| rows.range((from.clone(), Bound::Unbounded)))
    }

    /// Puts fields at a key, or takes the record away.
    pub(crate) fn replace(&mut self, dataset: &str, key: &Key, fields: Option<Fields>) -> Before {
        let rows = self.by_dataset.entry(dataset.to_owned()).or_default();
        let before = match fields {
            Some(fields) => rows.insert(key.clone(), fields),
            None => rows.remove(key),
        };
        Before { dataset: dataset.to_owned(), key: key.clone(), fields: before }
    }

    /// Takes changes back, the last one first.
    pub(crate) fn undo(&mut self, changes: Vec<Before>) {
        for change in changes.into_iter().rev() {
            self.replace(&change.dataset, &change.key, change.fields);
        }
    }

    pub(crate) fn all(&self) -> BTreeMap<(String, Key), Fields> {
        let each = |(d, rows): (&String, &BTreeMap<Key, Fields>)| {
            rows.iter().map(|(k, f)| ((d.clone(), k.clone()), f.clone())).collect::<Vec<_>>()
        };
        self.by_dataset.iter().flat_map(each).collect()
    }

    /// Whether other records refer to this one by a reference of their dataset.
    pub(crate) fn has_children(
        &self,
        manifest: &Manifest,
        dataset: &str,
        key: &Key,
        fields: &Fields,
    ) -> bool {
        let Some((parents, collection)) = manifest.collection(dataset) else { return false };
        parents.collections.iter().any(|child| {
            let name = format!("{}.{}", parents.fides_key, child.name);
            child.references.iter().filter(|r| r.collection == collection.name).any(|r| {
                let wanted: Vec<Option<&str>> = r.to.iter().map(|c| value(key, fields, c)).collect();
                self.of(&name).any(|(k, f)| {
                    let same = r.columns.iter().map(|c| value(k, f, c)).eq(wanted.iter().copied());
                    same && wanted.iter().all(Option::is_some) && !(name == dataset && k == key)
                })
            })
        })
    }
}

/// A column's value, be it in the key or among the fields.
pub(crate) fn value<'a>(key: &'a Key, fields: &'a Fields, column: &str) -> Option<&'a str> {
    key.get(column).or_else(|| fields.get(column)?.as_ref()).map(String::as_str)
}

pub(crate) fn key(locator: &Locator) -> Key {
    locator.iter().map(|(column, scalar)| (column.clone(), text(scalar))).collect()
}

fn text(scalar: &Scalar) -> String {
    match scalar {
        Scalar::Text(t) | Scalar::Number(t) => t.reveal().to_owned(),
        Scalar::Integer(i) => i.to_string(),
    }
}

/// How deep each collection hangs below those it refers to: the deepest is deleted from first.
pub(crate) fn rank(manifest: &Manifest, collection: &Collection) -> usize {
    let collections = || manifest.datasets.iter().flat_map(|d| &d.collections);
    let mut above: Vec<&str> = vec![collection.name.as_str()];
    let mut depth = 0;
    for _ in collections() {
        let parents = collections().filter(|c| above.contains(&c.name.as_str())).flat_map(|c| {
            let before = collections().filter(|x| x.erase_after.contains(&c.name)).map(|x| x.name.as_str());
            let parents = c.references.iter().map(|r| r.collection.as_str()).filter(|r| *r != c.name);
            parents.chain(before).collect::<Vec<_>>()
        });
        above = parents.collect();
        if above.is_empty() {
            break;
        }
        depth += 1;
    }
    depth
}
