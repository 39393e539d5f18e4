//! Scopes: what a rule speaks for, and which of two scopes lies within the other.
//!
//! Invariant: a rule with lists stands for one scope per combination, and is compared by those, so that
//! `[a, b]` never shadows a rule for `a` alone. Rejected: a weight per selector, which orders scopes that do not
//! nest and so settles silently what a person must settle.

use std::collections::BTreeSet;

use super::model::{Policy, Rule, Selectors};
use super::taxonomy::Taxonomy;

/// One combination of a rule's selectors; None = all.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Scope<'a> {
    pub category: Option<&'a str>,
    pub purpose: Option<&'a str>,
    pub jurisdiction: Option<&'a str>,
    pub system: Option<&'a str>,
    pub service: Option<&'a str>,
    pub controller: Option<&'a str>,
}

/// What a rule is asked about: one part of one copy under one of its purposes (None = the nameless one).
pub type Point<'a> = Scope<'a>;

impl<'a> Scope<'a> {
    /// Every combination that a rule stands for.
    pub fn of(selectors: &'a Selectors) -> Vec<Self> {
        let all = Self {
            category: None,
            purpose: None,
            jurisdiction: None,
            system: None,
            service: None,
            controller: None,
        };
        let mut scopes = vec![all];
        let mut each = |list: &'a [String], set: fn(Self, &'a str) -> Self| {
            if !list.is_empty() {
                scopes =
                    scopes.iter().flat_map(|scope| list.iter().map(|value| set(*scope, value))).collect();
            }
        };
        each(&selectors.category, |scope, value| Self { category: Some(value), ..scope });
        each(&selectors.purpose, |scope, value| Self { purpose: Some(value), ..scope });
        each(&selectors.jurisdiction, |scope, value| Self { jurisdiction: Some(value), ..scope });
        each(&selectors.system, |scope, value| Self { system: Some(value), ..scope });
        each(&selectors.service, |scope, value| Self { service: Some(value), ..scope });
        each(&selectors.controller, |scope, value| Self { controller: Some(value), ..scope });
        scopes
    }

    /// How many combinations a rule stands for.
    pub fn count(selectors: &Selectors) -> usize {
        let Selectors { category, purpose, jurisdiction, system, service, controller } = selectors;
        let lists = [category, purpose, jurisdiction, system, service, controller];
        lists.iter().fold(1, |product: usize, list| product.saturating_mul(list.len().max(1)))
    }

    /// True where this scope speaks for that point.
    pub fn matches(&self, policy: &Policy, point: &Point<'_>) -> bool {
        let same = |mine: Option<&str>, theirs: Option<&str>| mine.is_none() || mine == theirs;
        same(self.purpose, point.purpose)
            && same(self.system, point.system)
            && same(self.service, point.service)
            && same(self.controller, point.controller)
            && self
                .category
                .is_none_or(|mine| point.category.is_some_and(|key| Taxonomy::bundled().covers(mine, key)))
            && self
                .jurisdiction
                .is_none_or(|mine| point.jurisdiction.is_some_and(|code| in_jurisdiction(policy, mine, code)))
    }

    /// True where everything this scope speaks for, the other speaks for too.
    pub fn within(&self, policy: &Policy, other: &Self) -> bool {
        let same = |mine: Option<&str>, theirs: Option<&str>| theirs.is_none() || mine == theirs;
        same(self.purpose, other.purpose)
            && same(self.system, other.system)
            && same(self.service, other.service)
            && same(self.controller, other.controller)
            && other.category.is_none_or(|theirs| {
                self.category.is_some_and(|mine| Taxonomy::bundled().covers(theirs, mine))
            })
            && other.jurisdiction.is_none_or(|theirs| {
                self.jurisdiction.is_some_and(|mine| {
                    members(policy, mine).iter().all(|code| in_jurisdiction(policy, theirs, code))
                })
            })
    }
}

/// True where a jurisdiction or group covers a code, by whole `-` segments.
pub fn in_jurisdiction(policy: &Policy, selector: &str, code: &str) -> bool {
    selector == code
        || members(policy, selector).iter().any(|member| {
            code.strip_prefix(member).is_some_and(|rest| rest.is_empty() || rest.starts_with('-'))
        })
}

/// The codes a jurisdiction stands for: itself, or a group's members, groups within groups resolved.
pub fn members<'p>(policy: &'p Policy, name: &'p str) -> BTreeSet<&'p str> {
    let mut codes = BTreeSet::new();
    let mut groups = BTreeSet::new();
    let mut open = vec![name];
    while let Some(next) = open.pop() {
        match policy.jurisdictions.get(next) {
            // A group that names itself is a jurisdiction of that name.
            Some(inner) if groups.insert(next) => open.extend(inner.iter().map(String::as_str)),
            Some(_) => {}
            None => {
                codes.insert(next);
            }
        }
    }
    codes
}

/// The rules that speak for a point, parted into those that win by scope and those that lose.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Covering<'a> {
    /// Usually one; several only where no scope lies within the other's, which `policy check` refuses unless
    /// they agree.
    pub winners: Vec<&'a Rule>,
    pub losers: Vec<&'a Rule>,
}

impl<'a> Covering<'a> {
    /// The winners first.
    pub fn all(&self) -> impl Iterator<Item = &'a Rule> {
        self.winners.iter().chain(&self.losers).copied()
    }

    /// Among the rules that `wanted` picks, those for a point; a scope that holds another matching one loses to it.
    pub fn of(policy: &'a Policy, point: &Point<'_>, wanted: impl Fn(&Rule) -> bool) -> Self {
        let matching: Vec<(&Rule, Vec<Scope<'_>>)> = policy
            .rules
            .iter()
            .filter(|rule| wanted(rule))
            .map(|rule| {
                let mut scopes = Scope::of(&rule.selectors);
                scopes.retain(|scope| scope.matches(policy, point));
                (rule, scopes)
            })
            .filter(|(_, scopes)| !scopes.is_empty())
            .collect();
        let loses = |scope: &Scope<'_>| {
            matching
                .iter()
                .flat_map(|(_, scopes)| scopes)
                .any(|other| other.within(policy, scope) && !scope.within(policy, other))
        };
        let mut covering = Self::default();
        for (rule, scopes) in &matching {
            if scopes.iter().all(loses) {
                covering.losers.push(rule);
            } else {
                covering.winners.push(rule);
            }
        }
        covering
    }
}
