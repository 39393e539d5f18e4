//! Statutory minima: which of an item's copies must be kept, and until when.
//!
//! Invariant: while a minimum that some live copy falls under runs, one such copy at least is kept; copies in
//! other systems go on time. A minimum whose start is not known has no end either, and so still binds.

use super::model::{Policy, Rule};
use super::period::Ends;
use super::scope::{Point, Scope};
use super::start::Starts;
use crate::item::{Copy, CopyState, Item};
use crate::verdict::{RuleKind, RuleVerdict};

/// A minimum that binds one part of one copy.
#[derive(Clone, Debug)]
pub struct Binding<'a> {
    pub rule: &'a Rule,
    pub ends: Ends,
}

/// Every minimum that binds this part of the item's `n`th copy.
pub fn binding<'a>(
    starts: &Starts<'a>,
    retains: &dyn Fn(&str) -> bool,
    n: usize,
    category: &str,
) -> Vec<Binding<'a>> {
    let mut found = Vec::new();
    for rule in &starts.policy.rules {
        let Some(period) = &rule.at_least else { continue };
        if !binds(starts.policy, rule, starts.item, retains, n, category) {
            continue;
        }
        let purposes: Vec<&str> = starts.item.copies.get(n).map_or_else(Vec::new, |copy| {
            let named = |purpose: &&String| {
                rule.selectors.purpose.is_empty() || rule.selectors.purpose.contains(purpose)
            };
            copy.purposes.iter().filter(named).map(String::as_str).collect()
        });
        let ends = period.ends(starts.calendar, &mut |start| starts.begun(start, &purposes));
        found.push(Binding { rule, ends });
    }
    found
}

impl Binding<'_> {
    pub fn verdict(&self) -> RuleVerdict {
        RuleVerdict {
            id: self.rule.id.clone(),
            kind: RuleKind::AtLeast,
            purpose: None,
            start: self.ends.start(),
            due: self.ends.due(),
            wins: false,
        }
    }
}

/// Of the live copies that the rule speaks for: those in systems that retain, else the first one that was named
/// (a derived copy goes with the one it was made of).
fn binds(
    policy: &Policy,
    rule: &Rule,
    item: &Item,
    retains: &dyn Fn(&str) -> bool,
    n: usize,
    category: &str,
) -> bool {
    let spoken_for: Vec<(usize, &Copy)> = item
        .copies
        .iter()
        .enumerate()
        .filter(|(_, copy)| copy.state == CopyState::Live && speaks_for(policy, rule, copy, category))
        .collect();
    if spoken_for.iter().any(|(_, copy)| retains(&copy.system)) {
        return spoken_for.iter().any(|(m, copy)| *m == n && retains(&copy.system));
    }
    spoken_for.iter().find(|(_, copy)| !copy.derived).is_some_and(|(m, _)| *m == n)
}

fn speaks_for(policy: &Policy, rule: &Rule, copy: &Copy, category: &str) -> bool {
    let scopes = Scope::of(&rule.selectors);
    let has = |purpose: Option<&str>| {
        let point = Point { purpose, ..point_of(copy, category) };
        scopes.iter().any(|scope| scope.matches(policy, &point))
    };
    copy.categories.iter().any(|own| own == category)
        && (has(None) || copy.purposes.iter().any(|purpose| has(Some(purpose))))
}

/// The point that a part of a copy is, its purpose left open.
pub fn point_of<'a>(copy: &'a Copy, category: &'a str) -> Point<'a> {
    Point {
        category: Some(category),
        purpose: None,
        jurisdiction: copy.jurisdiction.as_deref(),
        system: Some(&copy.system),
        service: copy.service.as_deref(),
        controller: copy.controller.as_deref(),
    }
}
