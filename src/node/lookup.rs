//! Finding items: by person, by the company's id, by what this system shows, by where a record lies.

use std::collections::BTreeMap;

use quietus_contract::{Locator, Scalar, Secret};
use quietus_core::engine::Needs;
use quietus_core::identity::{ItemId, ItemKey, ShownItem, SubjectKey};
use quietus_core::item::Subject;
use quietus_core::life::Life;

use super::{Node, NodeError};
use crate::intake::identify;
use crate::partition::{Inner, ItemView};

/// Which items are meant.
#[derive(Clone, Debug, PartialEq)]
pub enum Wanted {
    Subject(SubjectKey),
    /// By the company's id.
    Item(ItemKey),
    /// By `it_…`.
    Shown(ShownItem),
    Both(SubjectKey, ItemKey),
}

impl Node {
    /// The key of a person; the error names `field` and never the value.
    pub fn subject_of(&self, text: &str, field: &str) -> Result<identify::Who, NodeError> {
        identify::subject(&self.keys, text, self.desk().default_type(), field).map_err(|refused| {
            NodeError::Refused {
                code: refused.code,
                what: refused.detail,
                fix: "write it as type:value, such as customer_id:4711".to_owned(),
            }
        })
    }

    /// An item by the company's id, or by `it_…`.
    pub fn item_of(&self, text: &str, subject: Option<SubjectKey>) -> Wanted {
        match (ShownItem::parse(text), subject) {
            (Some(shown), _) => Wanted::Shown(shown),
            (None, None) => Wanted::Item(self.keys.item_key(text)),
            (None, Some(subject)) => Wanted::Both(subject, self.keys.item_key(text)),
        }
    }

    /// An item by where its first copy lies: named as intake would name it.
    pub fn item_at(
        &self,
        system: &str,
        dataset: &str,
        locator: &BTreeMap<String, serde_json::Value>,
    ) -> Result<Wanted, NodeError> {
        let mut read = Locator::new();
        for (column, value) in locator {
            read.insert(column.clone(), scalar(column, value)?);
        }
        let context = self.intake_context();
        let naming = context.naming(system, dataset);
        let item = naming.and_then(|n| n.item.as_deref()).and_then(|column| locator.get(column));
        if let Some(id) = item {
            let id = id.as_str().map_or_else(|| id.to_string(), str::to_owned);
            return Ok(Wanted::Item(self.keys.item_key(&id)));
        }
        let key = identify::key_columns(&read, naming);
        if key.is_empty() {
            return Err(NodeError::Refused {
                code: "locator-missing",
                what: "the locator names no column".to_owned(),
                fix: "name the key columns and their values".to_owned(),
            });
        }
        Ok(Wanted::Item(self.keys.item_key_at(system, dataset, &key)))
    }

    /// The items meant, in key order. Nothing known is an empty list.
    pub fn find(&self, wanted: &Wanted) -> Vec<ItemId> {
        match wanted {
            Wanted::Subject(subject) => {
                let mut found = self.partition_of(*subject).read().store.items_of(*subject);
                found.sort_unstable();
                found
            }
            Wanted::Both(subject, item) => vec![ItemId { subject: *subject, item: *item }],
            Wanted::Shown(shown) => {
                self.partitions.iter().find_map(|p| p.read().store.shown(*shown)).into_iter().collect()
            }
            Wanted::Item(key) => {
                let needs = Needs { orphans: [*key].into(), ..Needs::default() };
                let mut found: Vec<ItemId> = self
                    .partitions
                    .iter()
                    .flat_map(|p| p.read().store.fetch(&needs).lives.into_keys())
                    .collect();
                found.sort_unstable();
                found
            }
        }
    }

    /// An item as it stands; None = nothing was recorded under this key.
    pub fn item_view(&self, id: ItemId) -> Option<ItemView> {
        let view = |inner: &Inner, life: &Life, subject: &Subject| {
            ItemView::of(&inner.state, life, subject, &inner.duties_of(id))
        };
        self.with_life(id, view)
    }

    /// Looks at the newest life of an item.
    pub fn with_life<R>(&self, id: ItemId, look: impl FnOnce(&Inner, &Life, &Subject) -> R) -> Option<R> {
        let inner = self.partition_of(id.subject).read();
        let (mut life, subject) = inner.newest_life(id)?;
        inner.state.control.complete(&mut life);
        Some(look(&inner, &life, &subject))
    }
}

/// A locator's value as intake reads it.
fn scalar(column: &str, value: &serde_json::Value) -> Result<Scalar, NodeError> {
    match value {
        serde_json::Value::String(text) => Ok(identify::scalar(text)),
        serde_json::Value::Number(number) => Ok(match number.as_i64() {
            Some(n) => Scalar::Integer(n),
            None => Scalar::Number(Secret::new(number.to_string())),
        }),
        _ => Err(NodeError::Refused {
            code: "wrong-type",
            what: format!("locator.{column} is neither a text nor a number"),
            fix: "write it as a JSON string or number".to_owned(),
        }),
    }
}
