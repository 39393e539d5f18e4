//! Which shapes a source feeds: a sweep of those waits for it.

use super::model::{Emit, Format, Source, What};
use super::value::Value;

/// What a source may say something about.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Feeds {
    /// Items with a copy in one of these systems. Sorted.
    Systems(Vec<String>),
    /// Anything: it emits subject events, purposes or touches, or names its systems in its records.
    All,
}

impl Source {
    pub fn feeds(&self) -> Feeds {
        if let Some(dataset) = self.dataset.as_ref().filter(|_| self.rules.is_empty()) {
            return Feeds::Systems(vec![dataset.system.clone()]);
        }
        if self.rules.is_empty() && self.format != Format::Debezium {
            return Feeds::All;
        }
        let mut systems: Vec<String> = self.dataset.iter().map(|d| d.system.clone()).collect();
        for rule in &self.rules {
            let What::Emit(emit, with) = &rule.what else { continue };
            let of_copies = matches!(emit, Emit::ItemRecorded | Emit::ItemCopied | Emit::ItemGone);
            let named = with.copies.iter().map(|c| &c.system).chain(with.system.iter());
            let literal: Option<Vec<String>> = named
                .map(|system| match system {
                    Value::Literal(name) => Some(name.clone()),
                    Value::At(_) => None,
                })
                .collect();
            match literal.filter(|names| of_copies && !names.is_empty()) {
                Some(names) => systems.extend(names),
                None => return Feeds::All,
            }
        }
        systems.sort();
        systems.dedup();
        Feeds::Systems(systems)
    }
}
