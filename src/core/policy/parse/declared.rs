//! What a policy declares: its groups, categories, events and purposes.

use std::collections::{BTreeMap, BTreeSet};

use super::names::{Names, each};
use super::period::period;
use crate::document::{Diagnostics, Fields, Key, Node, choose};
use crate::policy::effect::ends_on_by_default;
use crate::policy::model::{Assume, Basis, EndsOn, EventDecl, Level, Purpose, Residency, Start};
use crate::policy::period::is_event_name;
use crate::policy::taxonomy::is_jurisdiction;

const LEVELS: &[(&str, Level)] =
    &[("subject", Level::Subject), ("process", Level::Process), ("item", Level::Item)];
const BASES: &[(&str, Basis)] = &[
    ("consent", Basis::Consent),
    ("contract", Basis::Contract),
    ("legal_obligation", Basis::LegalObligation),
    ("vital_interests", Basis::VitalInterests),
    ("public_interest", Basis::PublicInterest),
    ("legitimate_interests", Basis::LegitimateInterests),
];
const ENDS_ON: &[(&str, EndsOn)] =
    &[("withdraw", EndsOn::Withdraw), ("object", EndsOn::Object), ("erase", EndsOn::Erase)];
/// Names of starting points, and of the event that feeds `last_activity`.
const RESERVED: &[&str] = &["recorded", "last_activity", "granted", "withdrawn", "active"];

fn is_reserved(name: &str) -> bool {
    RESERVED.iter().any(|reserved| reserved.eq_ignore_ascii_case(name))
}

pub(super) fn jurisdictions(top: &mut Fields<'_>, found: &mut Diagnostics) -> BTreeMap<String, Vec<String>> {
    let entries = top.map("jurisdictions", found);
    let groups: BTreeSet<&str> = entries.iter().map(|(key, _)| key.text.as_str()).collect();
    let mut all = BTreeMap::new();
    for (key, node) in entries {
        if is_jurisdiction(&key.text) {
            let detail = format!("`{}` is a country already", key.text);
            found.error(key, detail, "give the group a name that is no ISO 3166 code, such as EEA");
        }
        let mut members = Vec::new();
        for (code, at) in each(node, &key.text, found) {
            if code == key.text {
                found.error(at, format!("the group `{code}` holds itself"), "remove it");
            } else if !is_jurisdiction(code) && !groups.contains(code) {
                found.error(
                    at,
                    format!("`{code}` is no ISO 3166 code and no group"),
                    "use codes such as DE or US-CA",
                );
            }
            members.push(code.to_owned());
        }
        all.insert(key.text.clone(), members);
    }
    all
}

pub(super) fn categories(top: &mut Fields<'_>, found: &mut Diagnostics) -> BTreeMap<String, Option<String>> {
    let mut all = BTreeMap::new();
    for (key, node) in top.map("categories", found) {
        let fine = |segment: &str| {
            !segment.is_empty()
                && segment.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '_' | '-'))
        };
        if !key.text.split('.').all(fine) {
            found.error(
                key,
                "a category key is letters, digits, `_` and `-`, parted by dots",
                "write one such as user.financial.vouchers",
            );
        }
        let title = match node.as_map() {
            Some(_) => Fields::of(node, "a category", found).and_then(|mut fields| {
                let title = fields.text("title", found);
                fields.finish(found);
                title
            }),
            None if node.is_null() => None,
            None => {
                found.error(node, "a category is declared by a map", "write {title: …}");
                None
            }
        };
        all.insert(key.text.clone(), title);
    }
    all
}

pub(super) fn residency(
    top: &mut Fields<'_>,
    names: &Names<'_>,
    found: &mut Diagnostics,
) -> BTreeMap<String, Residency> {
    let mut all = BTreeMap::new();
    for (key, node) in top.map("residency", found) {
        let Some(mut fields) = Fields::of(node, "a residency", found) else { continue };
        if let Some(place) = top_key(key) {
            names.jurisdiction(&place, &key.text, found);
        }
        let mut store_in = Vec::new();
        if let Some(list) = fields.need("store_in", found) {
            for (code, at) in each(list, "store_in", found) {
                names.jurisdiction(at, code, found);
                store_in.push(code.to_owned());
            }
        }
        let except = fields.one_or_many("except", found);
        fields.finish(found);
        all.insert(key.text.clone(), Residency { store_in, except });
    }
    all
}

/// A key as a node, for messages that point at it.
fn top_key(key: &Key) -> Option<Node> {
    let value = crate::document::Value::Text(key.text.clone());
    Some(Node { value, line: key.line, column: key.column, plain: None })
}

/// Every event that may be named: the declared ones, and those that take them back.
pub(super) fn event_names(entries: &[(Key, Node)], found: &mut Diagnostics) -> BTreeSet<String> {
    let mut names = BTreeSet::new();
    for (key, node) in entries {
        if is_reserved(&key.text) {
            found.error(key, format!("`{}` is a name of the language", key.text), "name the event otherwise");
        } else if !is_event_name(&key.text) {
            found.error(
                key,
                "an event's name is letters, digits, `_`, `.` and `-`, a letter first",
                "write one such as account_closed",
            );
        }
        names.insert(key.text.clone());
        names.extend(node.get("undone_by").and_then(Node::text).map(str::to_owned));
    }
    names
}

pub(super) fn events(
    entries: &[(Key, Node)],
    names: &Names<'_>,
    found: &mut Diagnostics,
) -> BTreeMap<String, EventDecl> {
    let mut all = BTreeMap::new();
    let mut undoing = Vec::new();
    for (key, node) in entries {
        let Some(mut fields) = Fields::of(node, "an event", found) else { continue };
        let level = if fields.need("of", found).is_some() { fields.word("of", LEVELS, found) } else { None };
        let assume = fields.take("assume").map(|at| (at, assume(at, names, found)));
        let open_ended = fields.bool("open_ended", found).unwrap_or(false);
        let undone_by = fields.take("undone_by").zip(fields.text("undone_by", found));
        fields.finish(found);
        match (&assume, open_ended) {
            (None, false) => found.error(
                node,
                format!("nothing says what holds while `{}` has not come", key.text),
                "add `assume: PERIOD`, or `open_ended: true`",
            ),
            (Some((at, _)), true) => {
                found.error(*at, "an event is assumed or open ended, not both", "remove one of the two");
            }
            _ => {}
        }
        let level = level.unwrap_or(Level::Subject);
        if let Some((at, name)) = &undone_by {
            if *name == key.text {
                found.error(
                    *at,
                    "an event cannot take itself back",
                    "name the event that does, such as account_reopened",
                );
            } else if is_reserved(name) || !is_event_name(name) {
                found.error(
                    *at,
                    format!("`{name}` cannot be an event's name"),
                    "write one such as account_reopened",
                );
            }
            undoing.push((name.clone(), level, *at));
        }
        let undone_by = undone_by.map(|(_, name)| name);
        let assume = assume.and_then(|(_, assume)| assume);
        all.insert(key.text.clone(), EventDecl { level, assume, open_ended, undone_by });
    }
    for (name, level, at) in undoing {
        let implied = EventDecl { level, assume: None, open_ended: true, undone_by: None };
        if all.entry(name).or_insert(implied).level != level {
            found.error(
                at,
                "this event is declared of another level",
                "take an event back by one of the same level",
            );
        }
    }
    circles(entries, &all, found);
    all
}

fn assume(node: &Node, names: &Names<'_>, found: &mut Diagnostics) -> Option<Assume> {
    match node.text().map(Start::parse) {
        Some(Ok(start)) => {
            if let Start::Event(name) = &start {
                names.event(node, name, found);
            }
            Some(Assume::Start(start))
        }
        Some(Err(_)) | None => period(node, names, found).map(Assume::Period),
    }
}

/// An assumption that rests on itself never comes to a date.
fn circles(entries: &[(Key, Node)], all: &BTreeMap<String, EventDecl>, found: &mut Diagnostics) {
    for (key, node) in entries {
        let mut seen = BTreeSet::new();
        let mut open = vec![key.text.as_str()];
        while let Some(name) = open.pop() {
            let rests_on: Vec<&Start> = match all.get(name).and_then(|event| event.assume.as_ref()) {
                Some(Assume::Start(start)) => vec![start],
                Some(Assume::Period(period)) => period.starts(),
                None => Vec::new(),
            };
            for start in rests_on {
                let Start::Event(next) = start else { continue };
                if *next == key.text {
                    let at = node.get("assume").unwrap_or(node);
                    found.error(
                        at,
                        format!("`{}` is assumed from itself", key.text),
                        "assume it after recorded or last_activity",
                    );
                    return;
                }
                if seen.insert(next) {
                    open.push(next);
                }
            }
        }
    }
}

pub(super) fn purposes(
    top: &mut Fields<'_>,
    names: &Names<'_>,
    found: &mut Diagnostics,
) -> BTreeMap<String, Purpose> {
    let mut all = BTreeMap::new();
    for (key, node) in top.map("purposes", found) {
        let Some(mut fields) = Fields::of(node, "a purpose", found) else { continue };
        if key.text.trim().is_empty() {
            found.error(key, "a purpose has no name", "write one such as registration");
        }
        let data_use = fields.need("use", found);
        let data_use = data_use.and_then(|at| Some((at, fields.text("use", found)?))).map(|(at, key)| {
            names.data_use(at, &key, found);
            key
        });
        let basis =
            if fields.need("basis", found).is_some() { fields.word("basis", BASES, found) } else { None };
        let ended_by = fields.take("ended_by").zip(fields.text("ended_by", found));
        if let Some((at, event)) = &ended_by {
            names.event(at, event, found);
            if basis.is_some_and(|basis| basis != Basis::Contract) {
                found.warning(
                    *at,
                    "`ended_by` has no effect: only a contract's relationship ends",
                    "remove it, or see `ends_on`",
                );
            }
        }
        let written = fields.take("ends_on").map(|at| ends_on(at, found));
        fields.finish(found);
        let basis = basis.unwrap_or(Basis::LegitimateInterests);
        all.insert(
            key.text.clone(),
            Purpose {
                data_use: data_use.unwrap_or_default(),
                basis,
                ended_by: ended_by.map(|(_, event)| event),
                overrides: written.is_some(),
                ends_on: written.unwrap_or_else(|| ends_on_by_default(basis)),
            },
        );
    }
    all
}

fn ends_on(node: &Node, found: &mut Diagnostics) -> Vec<EndsOn> {
    if node.as_list().is_some_and(<[Node]>::is_empty) {
        return Vec::new();
    }
    let mut all = Vec::new();
    for (word, at) in each(node, "ends_on", found) {
        match ENDS_ON.iter().find(|(name, _)| *name == word) {
            Some((_, kind)) => all.push(*kind),
            None => {
                let fix = choose(word, ENDS_ON.iter().map(|(name, _)| *name));
                found.error(at, format!("`ends_on` cannot be `{word}`"), fix);
            }
        }
    }
    all
}
