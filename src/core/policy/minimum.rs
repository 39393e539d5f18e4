//! Statutory minima: which of an item's copies must be kept, and until when.
//!
//! Invariant: while a minimum that some live copy falls under runs, one such copy at least is kept; copies in
//! other systems go on time. A minimum whose start is not known has no end either, and so still binds.

use super::model::{Policy, Rule};
use super::period::Ends;
use super::scope::{Point, Scope};
use super::start::Starts;
use crate::item::{Copy, CopyState};
use crate::verdict::{RuleKind, RuleVerdict};

/// A minimum that binds one part of one copy.
#[derive(Clone, Debug)]
pub struct Binding<'a> {
    pub rule: &'a Rule,
    pub ends: Ends,
}

/// Every rule whose minimum binds this category of the `n`th of these copies.
pub fn bound<'a>(
    policy: &'a Policy,
    copies: &[Copy],
    retains: &dyn Fn(&str) -> bool,
    n: usize,
    category: &str,
) -> Vec<&'a Rule> {
    let minima = policy.rules.iter().filter(|rule| rule.at_least.is_some());
    minima.filter(|rule| binds(policy, rule, copies, retains, n, category)).collect()
}

impl<'a> Binding<'a> {
    /// The rule's minimum, dated for one item; `purposes` are those of the copy's that it names.
    pub fn of(starts: &Starts<'_>, rule: &'a Rule, purposes: &[&str]) -> Self {
        let ends = rule.at_least.as_ref().map_or(Ends::Unknown, |period| {
            period.ends(starts.calendar, &mut |start| starts.begun(start, purposes))
        });
        Self { rule, ends }
    }

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
    copies: &[Copy],
    retains: &dyn Fn(&str) -> bool,
    n: usize,
    category: &str,
) -> bool {
    let spoken_for: Vec<(usize, &Copy)> = copies
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
