//! A rule of a source file → [`Rule`].

use std::collections::BTreeMap;

use super::model::{CopyOf, Emit, Rule, SubjectOf, Unit, What, When, With};
use super::value::{Address, Value};
use super::with;
use crate::document::{Diagnostics, Fields, Node, choose, shown};

pub(super) fn rule(node: &Node, found: &mut Diagnostics) -> Option<Rule> {
    let mut fields = Fields::of(node, "a rule", found)?;
    let conditions = fields.map("when", found);
    let mut conditions_read = Vec::new();
    for (key, values) in conditions {
        let address = match Address::parse(&key.text) {
            Ok(Some(address)) => address,
            Ok(None) => {
                let fix = "write value:/path, key:/path, header:NAME or meta:topic";
                found.error(key, format!("`{}` is no address", key.text), fix);
                continue;
            }
            Err(fix) => {
                found.error(key, format!("`{}` is no address", key.text), fix);
                continue;
            }
        };
        conditions_read.push((address, texts(values, "a condition", found)));
    }
    let skip = fields.bool("skip", found).unwrap_or_default();
    let emit = fields.word("emit", &Emit::ALL, found);
    let with = fields.take("with");
    let said = node.get("emit").is_some_and(|n| !n.is_null());
    fields.finish(found);
    let what = match (skip, said, with) {
        (true, false, None) => What::Skip,
        (true, ..) => {
            found.error(node, "a rule that skips makes no fact", "leave `emit` and `with` out, or `skip`");
            return None;
        }
        (false, false, _) => {
            found.error(
                node,
                "the rule says neither `emit` nor `skip`",
                "add `emit:` and `with:`, or `skip: true`",
            );
            return None;
        }
        (false, true, None) => {
            found.error(node, "`emit` needs `with`", "add `with: {subject: …}`");
            return None;
        }
        (false, true, Some(with)) => {
            let emit = emit?;
            What::Emit(emit, Box::new(data(emit, with, found)?))
        }
    };
    Some(Rule { when: conditions_read, what })
}

fn data(emit: Emit, node: &Node, found: &mut Diagnostics) -> Option<With> {
    let word = Emit::ALL.iter().find(|(_, e)| *e == emit).map_or("", |(word, _)| word);
    let mut fields = Fields::of(node, &format!("`with` of {word}"), found)?;
    let (needed, beside) = with::fields(emit);
    for name in with::ALL {
        let known = needed.contains(&name) || beside.contains(&name);
        match node.get(name).filter(|n| !n.is_null()) {
            Some(at) if !known => {
                let allowed: Vec<&str> = needed.iter().chain(beside).copied().collect();
                found.error(
                    at,
                    format!("{word} has no `{name}`"),
                    format!("it takes {}", allowed.join(", ")),
                );
            }
            None if needed.contains(&name) => {
                found.error(node, format!("{word} needs `{name}`"), format!("add `{name}:`"));
            }
            _ => {}
        }
    }
    let there = |name| node.get(name).is_some_and(|n| !n.is_null());
    if with::is_of_an_item(emit) && !there("item") && !there("copies") {
        found.error(
            node,
            format!("{word} needs `item`"),
            "add `item:`, or `copies:` with the record's place",
        );
    }
    let out = With {
        item: one(&mut fields, "item", found),
        subject: fields.take("subject").and_then(|n| subject(n, found)),
        category: values(fields.take("category"), found),
        purposes: values(fields.take("purposes"), found),
        jurisdiction: one(&mut fields, "jurisdiction", found),
        process: one(&mut fields, "process", found),
        controller: one(&mut fields, "controller", found),
        service: one(&mut fields, "service", found),
        recorded_at: fields.take("recorded_at").and_then(|n| when(n, found)),
        at: fields.take("at").and_then(|n| when(n, found)),
        copies: fields.list("copies", found).iter().filter_map(|n| copy(n, found)).collect(),
        system: one(&mut fields, "system", found),
        dataset: one(&mut fields, "dataset", found),
        purpose: one(&mut fields, "purpose", found),
        policy_version: one(&mut fields, "policy_version", found),
        event: one(&mut fields, "event", found),
        also: fields.take("also").map(|n| subjects(n, found)).unwrap_or_default(),
        values: named(&mut fields, "values", found),
        disclosure: disclosure(&mut fields, found),
    };
    fields.finish(found);
    Some(out)
}

fn one(fields: &mut Fields<'_>, key: &'static str, found: &mut Diagnostics) -> Option<Value> {
    fields.take(key).and_then(|n| value(n, found))
}

pub(super) fn value(node: &Node, found: &mut Diagnostics) -> Option<Value> {
    let Some(text) = node.text() else {
        found.error(
            node,
            format!("this must be one value, not {}", node.kind()),
            "write value:/path, or a text",
        );
        return None;
    };
    match Value::parse(text) {
        Ok(value) => Some(value),
        Err(fix) => {
            found.error(node, format!("{} is no address", shown(node)), fix);
            None
        }
    }
}

fn values(node: Option<&Node>, found: &mut Diagnostics) -> Vec<Value> {
    let Some(node) = node else { return Vec::new() };
    node.as_list().unwrap_or(std::slice::from_ref(node)).iter().filter_map(|n| value(n, found)).collect()
}

fn named(fields: &mut Fields<'_>, key: &'static str, found: &mut Diagnostics) -> BTreeMap<String, Value> {
    let entries = fields.map(key, found);
    entries.iter().filter_map(|(k, n)| Some((k.text.clone(), value(n, found)?))).collect()
}

fn subjects(node: &Node, found: &mut Diagnostics) -> Vec<SubjectOf> {
    node.as_list().unwrap_or(std::slice::from_ref(node)).iter().filter_map(|n| subject(n, found)).collect()
}

fn subject(node: &Node, found: &mut Diagnostics) -> Option<SubjectOf> {
    if node.as_map().is_none() {
        return Some(SubjectOf { kind: None, value: value(node, found)? });
    }
    let mut fields = Fields::of(node, "a subject", found)?;
    let kind = fields.need("type", found).and_then(|n| crate::system::identity_type(n, found));
    let value = fields.need("value", found).and_then(|n| value(n, found));
    fields.finish(found);
    Some(SubjectOf { kind: Some(kind?), value: value? })
}

fn when(node: &Node, found: &mut Diagnostics) -> Option<When> {
    if node.as_map().is_none() {
        return Some(When { from: value(node, found)?, unit: None });
    }
    let mut fields = Fields::of(node, "a time", found)?;
    let from = fields.need("from", found).and_then(|n| value(n, found));
    fields.need("unit", found);
    let unit = fields.word("unit", &Unit::ALL, found);
    fields.finish(found);
    Some(When { from: from?, unit: Some(unit?) })
}

fn copy(node: &Node, found: &mut Diagnostics) -> Option<CopyOf> {
    let mut fields = Fields::of(node, "a copy", found)?;
    let system = fields.need("system", found).and_then(|n| value(n, found));
    let dataset = fields.need("dataset", found).and_then(|n| value(n, found));
    fields.need("locator", found);
    let locator = named(&mut fields, "locator", found);
    let purposes = values(fields.take("purposes"), found);
    fields.finish(found);
    if locator.is_empty() && node.get("locator").is_some_and(|n| n.as_map().is_some()) {
        found.error(node, "`locator` names no column", "write {COLUMN: value:/path} for each key column");
    }
    Some(CopyOf { system: system?, dataset: dataset?, locator, purposes })
}

fn disclosure(fields: &mut Fields<'_>, found: &mut Diagnostics) -> BTreeMap<String, Value> {
    const KNOWN: [&str; 3] = ["to", "authority", "reference"];
    let entries = fields.map("disclosure", found);
    for (key, _) in entries.iter().filter(|(key, _)| !KNOWN.contains(&key.text.as_str())) {
        found.error(key, format!("a disclosure has no `{}`", key.text), choose(&key.text, KNOWN.into_iter()));
    }
    entries.iter().filter_map(|(k, n)| Some((k.text.clone(), value(n, found)?))).collect()
}

fn texts(node: &Node, what: &str, found: &mut Diagnostics) -> Vec<String> {
    let mut out = Vec::new();
    for node in node.as_list().unwrap_or(std::slice::from_ref(node)) {
        match node.text() {
            Some(text) => out.push(text.to_owned()),
            None => found.error(node, format!("{what} takes texts, this is {}", node.kind()), "write [a, b]"),
        }
    }
    out
}
