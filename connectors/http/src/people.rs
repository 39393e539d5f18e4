//! Whom a target means: the values of the one identity type that the partner knows, and nothing else of the record.

use std::collections::{BTreeMap, BTreeSet};

use quietus_contract::{Outcome, Target};
use serde_json::Value;

use crate::config::Config;

/// One person of a call, with everything that was ordered about them. No Debug: it holds identities.
pub(crate) struct Person<'t> {
    pub(crate) values: BTreeSet<String>,
    pub(crate) targets: Vec<&'t Target>,
}

/// Targets of the same values are one person; what means nobody here is refused.
pub(crate) fn gather<'t>(
    config: &Config,
    targets: impl Iterator<Item = &'t Target>,
) -> (Vec<Person<'t>>, Vec<(&'t Target, Outcome)>) {
    let mut people: BTreeMap<BTreeSet<String>, Vec<&Target>> = BTreeMap::new();
    let mut refused = Vec::new();
    for target in targets {
        match values(config, target) {
            Ok(values) => people.entry(values).or_default().push(target),
            Err(reason) => refused.push((target, Outcome::Refused { reason })),
        }
    }
    let person = |(values, mut targets): (BTreeSet<String>, Vec<&'t Target>)| {
        targets.sort_by_key(|t| t.command);
        Person { values, targets }
    };
    let mut people: Vec<Person<'_>> = people.into_iter().map(person).collect();
    // By command, not by value: the order of a request must not tell who else was in an earlier one.
    people.sort_by_key(|p| p.targets.first().map(|t| t.command));
    (people, refused)
}

fn values(config: &Config, target: &Target) -> Result<BTreeSet<String>, String> {
    let known = |o: &Option<String>| o.as_deref().is_none_or(|o| *o == *target.dataset);
    if !config.origins.is_empty() && !config.origins.iter().any(known) {
        return Err(format!("no entry of copies_of names {}", target.dataset));
    }
    let kind = &config.calls.identity;
    let values: BTreeSet<String> =
        target.identities.iter().filter(|i| i.kind == *kind).map(|i| i.value.reveal().to_owned()).collect();
    if values.is_empty() {
        return Err(format!(
            "no {kind} of this person is known, and the partner knows people by nothing else"
        ));
    }
    Ok(values)
}

/// Requests of at most so many people each, as the partner's batch size says.
pub(crate) fn requests<'p, 't>(people: &'p [Person<'t>], batch: usize) -> Vec<&'p [Person<'t>]> {
    let mut requests = Vec::new();
    let mut rest = people;
    while !rest.is_empty() {
        let mut size = 0;
        let fits = |person: &&Person<'t>| {
            size += person.values.len();
            size <= batch
        };
        // One person's identities are never torn apart.
        let count = rest.iter().take_while(fits).count().max(1);
        let (request, after) = rest.split_at(count.min(rest.len()));
        requests.push(request);
        rest = after;
    }
    requests
}

/// A body with this in it: every text that is one of the places becomes what belongs there.
pub(crate) fn fill(body: &Value, places: &[(&str, Value)]) -> Value {
    match body {
        Value::String(text) => {
            let of = places.iter().find(|(place, _)| place == text);
            of.map_or_else(|| body.clone(), |(_, value)| value.clone())
        }
        Value::Array(items) => items.iter().map(|item| fill(item, places)).collect(),
        Value::Object(fields) => {
            fields.iter().map(|(name, value)| (name.clone(), fill(value, places))).collect()
        }
        other => other.clone(),
    }
}

/// The people, as a list.
pub(crate) const PEOPLE: &str = "{values}";
/// What is to be set, as an object.
pub(crate) const CORRECTIONS: &str = "{corrections}";

pub(crate) fn listed(values: &BTreeSet<String>) -> Value {
    values.iter().map(|v| Value::from(v.as_str())).collect()
}

pub(crate) fn has_place(body: &Value, place: &str) -> bool {
    match body {
        Value::String(text) => text == place,
        Value::Array(items) => items.iter().any(|item| has_place(item, place)),
        Value::Object(fields) => fields.values().any(|value| has_place(value, place)),
        _ => false,
    }
}

/// Everybody's values together.
pub(crate) fn all_values(people: &[Person<'_>]) -> BTreeSet<String> {
    people.iter().flat_map(|p| p.values.iter().cloned()).collect()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn person(values: &[&str]) -> Person<'static> {
        Person { values: values.iter().map(|v| (*v).to_owned()).collect(), targets: Vec::new() }
    }

    #[test]
    fn a_body_is_filled_wherever_it_names_the_people() {
        let body = json!({"q": {"people": "{values}", "why": "law {values}"}, "n": 1});
        let filled = fill(&body, &[(PEOPLE, listed(&["a".to_owned(), "b\"".to_owned()].into()))]);
        assert_eq!(filled, json!({"q": {"people": ["a", "b\""], "why": "law {values}"}, "n": 1}));
        assert!(has_place(&body, PEOPLE) && !has_place(&json!({"why": "law {values}"}), PEOPLE));
    }

    #[test]
    fn requests_keep_to_the_batch_and_tear_nobody_apart() {
        let people = [person(&["a"]), person(&["b", "c"]), person(&["d", "e", "f"]), person(&["g"])];
        let sizes: Vec<usize> = requests(&people, 2).iter().map(|r| r.len()).collect();
        assert_eq!(sizes, [1, 1, 1, 1]);
        let sizes: Vec<usize> = requests(&people, 3).iter().map(|r| r.len()).collect();
        assert_eq!(sizes, [2, 1, 1]);
    }
}
