//! Where two scopes overlap, and the rule that would settle it.
//!
//! Invariant: judged by the same `within` as items are, so that a policy without findings never needs the tie-break.

use super::model::{Policy, Rule};
use super::scope::{Scope, in_jurisdiction, members};
use super::taxonomy::Taxonomy;

/// One combination of one rule.
#[derive(Clone, Copy, Debug)]
pub(super) struct Combination<'a> {
    pub rule: &'a Rule,
    pub scope: Scope<'a>,
}

/// Every combination of the rules that `wanted` picks.
pub(super) fn combinations(policy: &Policy, wanted: impl Fn(&Rule) -> bool) -> Vec<Combination<'_>> {
    let rules = policy.rules.iter().filter(|rule| wanted(rule));
    rules
        .flat_map(|rule| Scope::of(&rule.selectors).into_iter().map(move |scope| Combination { rule, scope }))
        .collect()
}

impl<'a> Scope<'a> {
    /// What both scopes speak for, one scope per jurisdiction that they share; none where they are apart.
    pub(super) fn meet(&self, policy: &'a Policy, other: &Self) -> Vec<Self> {
        let meet = || {
            Some(Self {
                purpose: same(self.purpose, other.purpose)?,
                system: same(self.system, other.system)?,
                service: same(self.service, other.service)?,
                controller: same(self.controller, other.controller)?,
                category: deeper(self.category, other.category)?,
                jurisdiction: None,
            })
        };
        let Some(meet) = meet() else { return Vec::new() };
        let shared = jurisdictions(policy, self.jurisdiction, other.jurisdiction);
        shared.into_iter().map(|jurisdiction| Self { jurisdiction, ..meet }).collect()
    }
}

type Selector<'a> = Option<&'a str>;

/// What two selectors that match only themselves have in common: None = nothing, Some(None) = all.
fn same<'a>(one: Selector<'a>, other: Selector<'a>) -> Option<Selector<'a>> {
    match (one, other) {
        (Some(one), Some(other)) => (one == other).then_some(Some(one)),
        (one, other) => Some(one.or(other)),
    }
}

fn deeper<'a>(one: Selector<'a>, other: Selector<'a>) -> Option<Selector<'a>> {
    let (Some(a), Some(b)) = (one, other) else { return Some(one.or(other)) };
    let taxonomy = Taxonomy::bundled();
    if taxonomy.covers(a, b) { Some(other) } else { taxonomy.covers(b, a).then_some(one) }
}

fn jurisdictions<'a>(policy: &'a Policy, one: Selector<'a>, other: Selector<'a>) -> Vec<Selector<'a>> {
    let (Some(a), Some(b)) = (one, other) else { return vec![one.or(other)] };
    if a == b {
        return vec![one];
    }
    let (of_a, of_b) = (members(policy, a), members(policy, b));
    let within = |codes: &std::collections::BTreeSet<&'a str>, name: &str| {
        codes.iter().all(|code| in_jurisdiction(policy, name, code))
    };
    if within(&of_a, b) {
        return vec![one];
    }
    if within(&of_b, a) {
        return vec![other];
    }
    let shared_of = |codes: &std::collections::BTreeSet<&'a str>, name: &'a str| -> Vec<&'a str> {
        codes.iter().filter(|code| in_jurisdiction(policy, name, code)).copied().collect()
    };
    let mut shared = shared_of(&of_a, b);
    shared.extend(shared_of(&of_b, a));
    shared.sort_unstable();
    shared.dedup();
    shared.into_iter().map(Some).collect()
}

/// Nobody reads further.
const MAX_FOUND: usize = 200;

/// Two combinations of different rules that speak for the same and do not agree, nor lie one within the other.
pub(super) struct Overlap<'a> {
    pub one: Combination<'a>,
    pub other: Combination<'a>,
    pub shared: Scope<'a>,
}

/// Every overlap among the rules with `keep` that no third rule settles.
pub(super) fn overlaps<'a>(policy: &'a Policy, all: &[Combination<'a>]) -> Vec<Overlap<'a>> {
    let mut found = Vec::new();
    for (n, one) in all.iter().enumerate() {
        // Looked for once it is needed: most rules overlap with none.
        let mut inside: Option<Vec<&Combination<'_>>> = None;
        for other in all.get(n.saturating_add(1)..).unwrap_or_default() {
            if found.len() >= MAX_FOUND {
                return found;
            }
            if agree(one.rule, other.rule) {
                continue;
            }
            let shared = one.scope.meet(policy, &other.scope);
            if shared.is_empty()
                || one.scope.within(policy, &other.scope) != other.scope.within(policy, &one.scope)
            {
                continue;
            }
            let inside = inside.get_or_insert_with(|| {
                all.iter().filter(|third| strictly(policy, &third.scope, &one.scope)).collect()
            });
            for shared in shared {
                // Equal scopes nest both ways: no rule can stand between them.
                let between = |third: &&Combination<'_>| {
                    shared.within(policy, &third.scope) && strictly(policy, &third.scope, &other.scope)
                };
                if !inside.iter().any(between) {
                    found.push(Overlap { one: *one, other: *other, shared });
                }
            }
        }
    }
    found
}

fn strictly(policy: &Policy, inner: &Scope<'_>, outer: &Scope<'_>) -> bool {
    inner.within(policy, outer) && !outer.within(policy, inner)
}

fn agree(one: &Rule, other: &Rule) -> bool {
    std::ptr::eq(one, other) || (one.keep == other.keep && one.then == other.then)
}

impl Overlap<'_> {
    /// True where one rule says twice what the other says, for the same: only removing one settles it.
    pub fn same_scope(&self, policy: &Policy) -> bool {
        self.one.scope.within(policy, &self.other.scope) && self.other.scope.within(policy, &self.one.scope)
    }

    /// A rule that lies within both and so wins over both.
    pub fn settled_by(&self) -> String {
        let Scope { category, purpose, jurisdiction, system, service, controller } = self.shared;
        let selectors = [
            ("category", category),
            ("purpose", purpose),
            ("jurisdiction", jurisdiction),
            ("system", system),
            ("service", service),
            ("controller", controller),
        ];
        let mut text = format!("- {{id: {}-{}", self.one.rule.id, self.other.rule.id);
        if let Some(code) = jurisdiction {
            text.push_str(&format!("-{}", code.to_lowercase()));
        }
        for (name, value) in selectors {
            text.extend(value.map(|value| format!(", {name}: {}", quoted(value))));
        }
        text.push_str(&super::check::period_text(self.one.rule));
        text.push('}');
        text
    }
}

/// As YAML wants it: a value that would not be a plain text is quoted.
fn quoted(value: &str) -> String {
    let plain = !value.is_empty()
        && value.starts_with(|c: char| c.is_ascii_alphabetic())
        && value.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '.'))
        && !matches!(
            value.to_lowercase().as_str(),
            "null" | "true" | "false" | "no" | "yes" | "on" | "off" | "y" | "n"
        );
    if plain { value.to_owned() } else { serde_json::Value::from(value).to_string() }
}
