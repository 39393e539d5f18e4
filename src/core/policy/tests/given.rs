//! Items, copies and subjects for the tables: one line each.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::identity::{ItemId, ItemKey, ProcessKey, SubjectKey};
use crate::item::{Consent, Copy, CopyKind, CopyState, Item, Subject};
use crate::policy::{Calendar, Policy, Starts, judge};
use crate::time::Millis;
use crate::verdict::{PartVerdict, Verdict};

pub const PROCESS: ProcessKey = ProcessKey([3; 16]);

/// A day in the zone of the tests, as an instant: `2026-03-10` is its first.
pub fn day(text: &str) -> Millis {
    Millis::parse(&format!("{text}T00:00:00Z")).unwrap()
}

/// One item about one subject under one policy, and the time it is looked at.
pub struct Given {
    pub policy: Policy,
    pub item: Item,
    pub subject: Subject,
    pub retaining: &'static [&'static str],
}

/// An item recorded on a day, without copies.
pub fn given(policy: &str, recorded: &str) -> Given {
    let key = SubjectKey([1; 16]);
    Given {
        policy: super::policy(policy),
        item: Item {
            id: ItemId { subject: key, item: ItemKey([2; 16]) },
            generation: 0,
            linked: Vec::new(),
            recorded: (!recorded.is_empty()).then(|| day(recorded)),
            touched: None,
            process: None,
            copies: Vec::new(),
            events: BTreeMap::new(),
            consent: Consent::default(),
        },
        subject: Subject::unknown(key),
        retaining: &[],
    }
}

pub fn words(list: &str) -> Vec<String> {
    list.split_whitespace().map(str::to_owned).collect()
}

impl Given {
    /// A live copy in a system, with its categories and purposes.
    pub fn copy(mut self, system: &str, categories: &str, purposes: &str) -> Self {
        let kind = CopyKind {
            system: system.into(),
            dataset: "d.c".into(),
            categories: words(categories),
            purposes: words(purposes),
            jurisdiction: Some("DE".to_owned()),
            service: None,
            controller: None,
            derived: false,
        };
        self.item.copies.push(Copy { kind: Arc::new(kind), cell: Vec::new(), state: CopyState::Live });
        self
    }

    /// Changes the copy that was added last.
    pub fn with(mut self, change: impl FnOnce(&mut CopyKind)) -> Self {
        change(Arc::make_mut(&mut self.item.copies.last_mut().unwrap().kind));
        self
    }

    /// Where the copy that was added last stands.
    pub fn state(mut self, state: CopyState) -> Self {
        self.item.copies.last_mut().unwrap().state = state;
        self
    }

    pub fn item(mut self, change: impl FnOnce(&mut Item)) -> Self {
        change(&mut self.item);
        self
    }

    pub fn subject(mut self, change: impl FnOnce(&mut Subject)) -> Self {
        change(&mut self.subject);
        self
    }

    pub fn event(self, name: &str, at: &str) -> Self {
        self.subject(|s| {
            s.events.insert(name.to_owned(), day(at));
        })
    }

    pub fn granted(self, purpose: &str, at: &str) -> Self {
        self.subject(|s| {
            s.consent.granted.insert(purpose.to_owned(), day(at));
        })
    }

    pub fn withdrawn(self, purpose: &str, at: &str) -> Self {
        self.subject(|s| {
            s.consent.withdrawn.insert(purpose.to_owned(), day(at));
        })
    }

    pub fn ended(self, purpose: &str, at: &str) -> Self {
        self.subject(|s| {
            s.consent.ended.insert(purpose.to_owned(), day(at));
        })
    }

    pub fn retaining(mut self, systems: &'static [&'static str]) -> Self {
        self.retaining = systems;
        self
    }

    pub fn calendar(&self) -> Calendar {
        Calendar::new(&self.policy).unwrap()
    }

    pub fn verdict(&self, now: &str) -> Verdict {
        let retains = |system: &str| self.retaining.contains(&system);
        judge(&self.policy, &self.calendar(), &self.item, &self.subject, &retains, day(now))
    }

    /// The first part of the first copy, looked at early in 2026.
    pub fn part(&self) -> PartVerdict {
        self.verdict("2026-01-01").copies[0].parts[0].clone()
    }

    /// The date of the first part of each copy; "" = none.
    pub fn dates(&self) -> Vec<String> {
        self.verdict("2026-01-01")
            .copies
            .iter()
            .map(|copy| copy.parts.first().map_or(String::new(), |part| date(part.due)))
            .collect()
    }

    pub fn starts<R>(&self, ask: impl FnOnce(&Starts<'_>) -> R) -> R {
        let calendar = self.calendar();
        ask(&Starts { policy: &self.policy, calendar: &calendar, item: &self.item, subject: &self.subject })
    }
}

/// The day of an instant; "" = none.
pub fn date(at: Option<Millis>) -> String {
    at.map_or(String::new(), |at| at.to_string().replace("T00:00:00Z", ""))
}
