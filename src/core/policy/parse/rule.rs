//! The rules of a policy file.

use std::collections::BTreeMap;

use super::names::{Names, each};
use super::period::period;
use crate::document::{Diagnostics, Fields, Node, choose};
use crate::policy::model::{Keep, Period, Rule, Selectors, Stage};
use crate::verdict::Action;

const ACTIONS: &[(&str, Action)] = &[
    ("erase", Action::Erase),
    ("anonymise", Action::Anonymise),
    ("pseudonymise", Action::Pseudonymise),
    ("mask", Action::Mask),
    ("restrict", Action::Restrict),
];

pub(super) fn rules(nodes: &[Node], names: &Names<'_>, found: &mut Diagnostics) -> Vec<Rule> {
    let mut ids: BTreeMap<String, usize> = BTreeMap::new();
    let mut all = Vec::new();
    for node in nodes {
        let Some(rule) = rule(node, names, found) else { continue };
        if let Some(line) = ids.insert(rule.id.clone(), rule.line).filter(|_| !rule.id.is_empty()) {
            let at = node.get("id").unwrap_or(node);
            found.error(
                at,
                format!("the rule `{}` stands in line {line} already", rule.id),
                "give each rule an id of its own",
            );
        }
        all.push(rule);
    }
    all
}

fn rule(node: &Node, names: &Names<'_>, found: &mut Diagnostics) -> Option<Rule> {
    let mut fields = Fields::of(node, "a rule", found)?;
    let id = fields.need_text("id", found).unwrap_or_default();
    let selectors = selectors(&mut fields, names, found);
    let why = fields.text("why", found);
    let keep_node = fields.take("keep");
    let at_least_node = fields.take("at_least");
    let then_node = fields.take("then");
    let keep = keep_node.and_then(|at| keep(at, why.as_deref(), names, found));
    let at_least = at_least_node.and_then(|at| period(at, names, found));
    let (stages, then) = then_node.map_or((None, Action::Erase), |at| then(at, names, found));
    if let (Some(stages), Some(at)) = (&stages, keep_node) {
        let last = stages.last().map(|stage| stage.period.to_string()).unwrap_or_default();
        found.error(
            at,
            "stages replace `keep`",
            format!("remove `keep`; the last stage ({last}) is the maximum"),
        );
    }
    if keep_node.is_none() && at_least_node.is_none() && stages.is_none() {
        let broken = then_node.is_some_and(|at| at.as_list().is_some());
        if !broken {
            found.error(
                node,
                format!("the rule `{id}` has no period"),
                "add `keep:` (a maximum) or `at_least:` (a statutory minimum)",
            );
        }
    }
    let keep = stages.map(Keep::Stages).or(keep);
    if let (Some(at), None, true) = (then_node, &keep, at_least_node.is_some()) {
        found.warning(
            at,
            "`then` has no effect on a rule that only says `at_least`",
            "remove it, or add `keep:`",
        );
    }
    match (&keep, why.as_ref().and(fields.take("why"))) {
        (Some(Keep::Indefinitely { .. }), _) | (_, None) => {}
        (_, Some(at)) => {
            found.warning(at, "`why` has no effect without `keep: indefinitely`", "write `note:` instead")
        }
    }
    let rule = Rule {
        id,
        selectors,
        keep,
        at_least,
        then,
        name: fields.text("name", found),
        law: fields.text("law", found),
        clause: fields.text("clause", found),
        note: fields.text("note", found),
        locked: fields.bool("locked", found).unwrap_or(false),
        line: node.line,
        column: node.column,
    };
    fields.finish(found);
    Some(rule)
}

fn selectors(fields: &mut Fields<'_>, names: &Names<'_>, found: &mut Diagnostics) -> Selectors {
    let mut list = |key: &'static str, check: &dyn Fn(&Node, &str, &mut Diagnostics)| -> Vec<String> {
        let Some(node) = fields.take(key) else { return Vec::new() };
        let all = each(node, key, found);
        for (text, at) in &all {
            check(at, text, found);
        }
        all.into_iter().map(|(text, _)| text.to_owned()).collect()
    };
    let free = |_: &Node, _: &str, _: &mut Diagnostics| {};
    Selectors {
        category: list("category", &|at, key, found| names.category(at, key, found)),
        purpose: list("purpose", &|at, name, found| names.purpose(at, name, found)),
        jurisdiction: list("jurisdiction", &|at, code, found| names.jurisdiction(at, code, found)),
        system: list("system", &free),
        service: list("service", &free),
        controller: list("controller", &free),
    }
}

fn keep(node: &Node, why: Option<&str>, names: &Names<'_>, found: &mut Diagnostics) -> Option<Keep> {
    if node.text() != Some("indefinitely") {
        return period(node, names, found).map(Keep::For);
    }
    match why {
        None => {
            found.error(node, "`keep: indefinitely` without a reason", "add `why:`, or write a period");
            None
        }
        Some(why) => {
            found.warning(node, "this is kept indefinitely", "write a period as soon as one is known");
            Some(Keep::Indefinitely { why: why.to_owned() })
        }
    }
}

/// One action, or stages with a period each.
fn then(node: &Node, names: &Names<'_>, found: &mut Diagnostics) -> (Option<Vec<Stage>>, Action) {
    let unfinished = |last: Action, found: &mut Diagnostics| {
        if !last.discharges() {
            let fix = "add a later stage: `then: [{restrict: PERIOD}, {erase: PERIOD}]`";
            found.warning(node, "only erase and anonymise discharge: after this the data stays", fix);
        }
    };
    let Some(nodes) = node.as_list() else {
        let action = node.text().and_then(|text| action(text, node, found)).unwrap_or(Action::Erase);
        if node.text().is_none() {
            found.error(
                node,
                format!("`then` must be an action or a list of stages, this is {}", node.kind()),
                "write erase, or [{restrict: PERIOD}, {erase: PERIOD}]",
            );
        } else {
            unfinished(action, found);
        }
        return (None, action);
    };
    let stages: Vec<Stage> = nodes.iter().filter_map(|one| stage(one, names, found)).collect();
    if nodes.is_empty() {
        found.error(node, "`then` is an empty list", "write erase, or [{restrict: PERIOD}, {erase: PERIOD}]");
    }
    if stages.is_empty() || stages.len() < nodes.len() {
        return (None, Action::Erase);
    }
    for (pair, at) in stages.windows(2).zip(nodes.iter().skip(1)) {
        if let [earlier, later] = pair
            && later.action <= earlier.action
        {
            found.error(
                at,
                "a later stage must do more than the one before it",
                "put them in the order restrict, mask, pseudonymise, anonymise, erase",
            );
        }
    }
    let last = stages.last().map_or(Action::Erase, |stage| stage.action);
    unfinished(last, found);
    (Some(stages), last)
}

fn stage(node: &Node, names: &Names<'_>, found: &mut Diagnostics) -> Option<Stage> {
    let [(key, value)] = node.as_map().unwrap_or_default() else {
        found.error(
            node,
            "a stage is one action with its period",
            "write {restrict: 0d after account_closed}",
        );
        return None;
    };
    let action = action(&key.text, key, found);
    let period: Option<Period> = period(value, names, found);
    Some(Stage { action: action?, period: period? })
}

fn action(text: &str, at: impl Into<crate::document::At>, found: &mut Diagnostics) -> Option<Action> {
    let known = ACTIONS.iter().find(|(name, _)| *name == text).map(|(_, action)| *action);
    if known.is_none() {
        let fix = match text {
            "anonymize" => "write `anonymise`".to_owned(),
            "pseudonymize" => "write `pseudonymise`".to_owned(),
            "delete" | "remove" | "destroy" => "write `erase`".to_owned(),
            _ => choose(text, ACTIONS.iter().map(|(name, _)| *name)),
        };
        found.error(at, format!("`{text}` is no action"), fix);
    }
    known
}
