//! What intake must know of the policy and the systems to take an event in.
//!
//! Invariant: nothing in here makes intake refuse what is merely unknown: an unregistered system, a dataset without
//! a key, an event name that no policy declares are taken in and counted.

use std::collections::BTreeMap;

use quietus_core::policy::{Level, Policy};
use quietus_core::system::Manifest;
use quietus_core::time::Millis;

#[derive(Clone, Debug)]
pub struct Context {
    /// The type of an identity written without one.
    pub default_type: String,
    /// System → `dataset.collection` → how its items are named.
    pub systems: BTreeMap<String, BTreeMap<String, Naming>>,
    /// Declared events, those that take one back included.
    pub events: BTreeMap<String, Level>,
    /// The newest tick of any partition: the only now there is.
    pub newest_tick: Millis,
}

/// How a collection names its items.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Naming {
    /// Key columns; empty = not known.
    pub key: Vec<String>,
    /// The column that holds the company's own item id.
    pub item: Option<String>,
}

impl Context {
    pub fn new(default_type: &str, newest_tick: Millis) -> Self {
        Self {
            default_type: default_type.to_owned(),
            systems: BTreeMap::new(),
            events: BTreeMap::new(),
            newest_tick,
        }
    }

    pub fn with_system(mut self, manifest: &Manifest) -> Self {
        let collections = manifest.datasets.iter().flat_map(|d| {
            d.collections.iter().map(|c| {
                let naming = Naming { key: c.key.clone(), item: c.item.clone() };
                (format!("{}.{}", d.fides_key, c.name), naming)
            })
        });
        self.systems.insert(manifest.system.clone(), collections.collect());
        self
    }

    pub fn with_policy(mut self, policy: &Policy) -> Self {
        for (name, event) in &policy.events {
            self.events.insert(name.clone(), event.level);
            if let Some(undone_by) = &event.undone_by {
                self.events.entry(undone_by.clone()).or_insert(event.level);
            }
        }
        self
    }

    /// How items at this place are named; None = the place is not registered.
    pub fn naming(&self, system: &str, dataset: &str) -> Option<&Naming> {
        self.systems.get(system)?.get(dataset)
    }

    pub fn is_ahead(&self, at: Millis) -> bool {
        at > self.newest_tick.plus(Millis::SKEW)
    }
}
