//! Locked rules: what a new version of a policy would shorten.
//!
//! Invariant: a locked rule is only lengthened. A version that shortens one, narrows it, or drops it needs a second
//! person and a changed `law`. Two periods that cannot be compared (another start, another edge) count as shortened:
//! whoever locked the rule did so to be asked.

use super::check::at_least_as_long;
use super::model::{Keep, Period, Policy, Rule};
use super::scope::Scope;

/// A locked rule that a new version does not honour.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unlocked {
    pub rule: String,
    pub how: How,
    /// The new version names another law: together with a second person, this is what lets it through.
    pub law_changed: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum How {
    Dropped,
    /// It is no longer locked.
    Opened,
    /// It speaks for less than before.
    Narrowed,
    /// Its maximum or minimum is shorter, or cannot be compared.
    Shortened,
}

/// The locked rules of the version in force that the new one does not honour, in the order of the file.
pub fn unlocked(in_force: &Policy, new: &Policy) -> Vec<Unlocked> {
    let locked = in_force.rules.iter().filter(|rule| rule.locked);
    let judge = |rule: &Rule| {
        let successor = new.rules.iter().find(|other| other.id == rule.id);
        let how = how(in_force, new, rule, successor)?;
        let law_changed =
            successor.is_some_and(|successor| successor.law.is_some() && successor.law != rule.law);
        Some(Unlocked { rule: rule.id.clone(), how, law_changed })
    };
    locked.filter_map(judge).collect()
}

fn how(in_force: &Policy, new: &Policy, rule: &Rule, successor: Option<&Rule>) -> Option<How> {
    let Some(successor) = successor else { return Some(How::Dropped) };
    let spoken_for = Scope::of(&successor.selectors);
    let covered = |scope: &Scope<'_>| {
        // What a group of jurisdictions meant is what it meant when the rule was locked.
        scope_codes(in_force, scope).iter().all(|scope| spoken_for.iter().any(|wide| scope.within(new, wide)))
    };
    if !Scope::of(&rule.selectors).iter().all(covered) {
        return Some(How::Narrowed);
    }
    if shorter(rule.at_least.as_ref(), successor.at_least.as_ref()) || shorter_keep(rule, successor) {
        return Some(How::Shortened);
    }
    (!successor.locked).then_some(How::Opened)
}

/// A scope, one per code of its jurisdiction.
fn scope_codes<'a>(policy: &'a Policy, scope: &Scope<'a>) -> Vec<Scope<'a>> {
    match scope.jurisdiction {
        None => vec![*scope],
        Some(name) => super::scope::members(policy, name)
            .into_iter()
            .map(|code| Scope { jurisdiction: Some(code), ..*scope })
            .collect(),
    }
}

fn shorter(old: Option<&Period>, new: Option<&Period>) -> bool {
    match (old, new) {
        (None, _) => false,
        (Some(_), None) => true,
        (Some(old), Some(new)) => !at_least_as_long(new, old),
    }
}

fn shorter_keep(old: &Rule, new: &Rule) -> bool {
    match (&old.keep, &new.keep) {
        (None, _) | (Some(_), Some(Keep::Indefinitely { .. })) => false,
        (Some(Keep::For(old)), Some(Keep::For(new))) => !at_least_as_long(new, old),
        (Some(Keep::Stages(old)), Some(Keep::Stages(new))) => {
            old.len() != new.len()
                || old
                    .iter()
                    .zip(new)
                    .any(|(old, new)| old.action != new.action || !at_least_as_long(&new.period, &old.period))
        }
        (Some(_), _) => true,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::policy::{Taxonomy, parse};

    fn policy(rules: &str) -> Policy {
        let text = format!(
            "policy: p\ntimezone: UTC\njurisdictions: {{DACH: [DE, AT, CH]}}\nevents: {{closed: {{of: subject, open_ended: true}}}}\nrules:\n  - {rules}\n"
        );
        parse("p.yaml", text.as_bytes(), Taxonomy::bundled()).0.unwrap()
    }

    #[test]
    fn a_locked_rule_is_only_lengthened() {
        let old = "{id: r, category: user.name, jurisdiction: DACH, at_least: 10y after recorded, law: A, locked: true}";
        let rows = [
            (old.to_owned(), None),
            (old.replace("10y", "11y"), None),
            (old.replace("10y", "121mo"), None),
            (old.replace("user.name", "user"), None),
            (old.replace("jurisdiction: DACH, ", ""), None),
            (old.replace("10y", "9y"), Some((How::Shortened, false))),
            (old.replace("10y", "9y").replace("law: A", "law: B"), Some((How::Shortened, true))),
            (old.replace("recorded", "closed"), Some((How::Shortened, false))),
            (old.replace("at_least", "keep"), Some((How::Shortened, false))),
            (old.replace("user.name", "user.name.first"), Some((How::Narrowed, false))),
            (old.replace("DACH", "[DE, AT]"), Some((How::Narrowed, false))),
            (old.replace("DACH", "[DE, AT, CH]"), None),
            (old.replace("locked: true", "locked: false"), Some((How::Opened, false))),
            (old.replace("id: r", "id: other"), Some((How::Dropped, false))),
        ];
        for (new, expected) in rows {
            let found = unlocked(&policy(old), &policy(&new));
            let found: Vec<(How, bool)> = found.iter().map(|u| (u.how, u.law_changed)).collect();
            assert_eq!(found, Vec::from_iter(expected), "{new}");
        }
        let open = "{id: r, keep: 10y after recorded}";
        assert_eq!(
            unlocked(&policy(open), &policy("{id: r, keep: 1y after recorded}")),
            [],
            "it was not locked"
        );
    }

    #[test]
    fn a_locked_maximum_and_its_stages_are_only_lengthened() {
        let old = "{id: r, then: [{restrict: 1d after closed}, {erase: {latest: [10y after closed, 28y after recorded]}}], locked: true}";
        for (new, expected) in [
            (old.to_owned(), None),
            (old.replace("28y", "29y"), None),
            (old.replace("28y", "27y"), Some(How::Shortened)),
            (old.replace("latest", "earliest"), Some(How::Shortened)),
            (old.replace("1d", "0d"), Some(How::Shortened)),
            ("{id: r, keep: indefinitely, why: w, locked: true}".to_owned(), None),
            ("{id: r, keep: 99y after closed, locked: true}".to_owned(), Some(How::Shortened)),
        ] {
            let found: Vec<How> = unlocked(&policy(old), &policy(&new)).iter().map(|u| u.how).collect();
            assert_eq!(found, Vec::from_iter(expected), "{new}");
        }
    }
}
