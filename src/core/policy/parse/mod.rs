//! A policy file, read: every key known, every name resolved, every period dated by a declared start.
//!
//! Invariant: what is returned beside errors is never activated; a policy without errors needs no further look at
//! names. What can only be said by comparing rules with each other is [`super::check()`]'s.

mod declared;
mod names;
mod period;
mod rule;
mod settings;

use std::collections::BTreeMap;

use super::calendar::Calendar;
use super::model::{Policy, Span, SweepPlan};
use super::taxonomy::Taxonomy;
use crate::document::{self, Diagnostic, Diagnostics, Fields, Node};
use crate::time::Millis;
use names::Names;

/// 02:00 every day.
pub const DEFAULT_SCHEDULE: &str = "0 0 2 * * *";

/// Rules beyond this are a generator's mistake, and comparing them with each other would take for ever.
const MAX_RULES: usize = 5_000;

/// Reads a policy file. The policy is there whenever the file could be made sense of, so that `check` can say the
/// rest; it may be used only where none of the diagnostics is an error.
pub fn parse(file: &str, bytes: &[u8], taxonomy: &Taxonomy) -> (Option<Policy>, Vec<Diagnostic>) {
    let documents = match document::read(file, bytes) {
        Ok(documents) => documents,
        Err(found) => return (None, found),
    };
    let mut found = Diagnostics::new(file);
    if let Some(second) = documents.get(1) {
        found.error(
            second,
            "a second document in a policy file",
            "keep one policy per file: one is active per ledger",
        );
    }
    let policy = documents.first().and_then(|node| parse_node(node, taxonomy, &mut found));
    (policy, found.into_vec())
}

/// Reads a policy that stands inside another document (a JSON body).
pub fn parse_node(node: &Node, taxonomy: &Taxonomy, found: &mut Diagnostics) -> Option<Policy> {
    let mut top = Fields::of(node, "a policy", found)?;
    top.format(found);
    let name = top.need_text("policy", found).unwrap_or_default();
    let timezone = settings::timezone(&mut top, found);
    let mut policy = Policy {
        name,
        fiscal_year: settings::fiscal_year(&mut top, found),
        effective: None,
        timezone,
        regimes: Vec::new(),
        evidence: Span::Days { months: 36, days: 0 },
        residency: BTreeMap::new(),
        jurisdictions: BTreeMap::new(),
        categories: BTreeMap::new(),
        events: BTreeMap::new(),
        purposes: BTreeMap::new(),
        rules: Vec::new(),
        sweep: SweepPlan { schedule: DEFAULT_SCHEDULE.to_owned(), limit: None, brake: None },
        cool_down: 24 * Millis::HOUR,
        clocks: BTreeMap::new(),
    };
    let calendar = Calendar::new(&policy).ok();
    policy.effective = settings::effective(&mut top, calendar.as_ref(), found);
    policy.regimes = settings::regimes(&mut top, found);
    policy.evidence = settings::evidence(&mut top, found).unwrap_or(policy.evidence);
    policy.cool_down = settings::cool_down(&mut top, found).unwrap_or(policy.cool_down);
    policy.clocks = settings::clocks(&mut top, found);
    if let Some(sweep) = settings::sweep(&mut top, found) {
        policy.sweep = sweep;
    }

    // Names are declared before they are used, wherever they stand in the file.
    policy.jurisdictions = declared::jurisdictions(&mut top, found);
    policy.categories = declared::categories(&mut top, found);
    let mut names = Names::new(taxonomy, &policy);
    policy.residency = declared::residency(&mut top, &names, found);
    let events = top.map("events", found);
    names.events = declared::event_names(events, found);
    names.has_fiscal_year = policy.fiscal_year.is_some();
    policy.events = declared::events(events, &names, found);
    policy.purposes = declared::purposes(&mut top, &names, found);
    names.purposes = policy.purposes.keys().cloned().collect();

    let rules = top.list("rules", found);
    if rules.is_empty() {
        found.warning(node, "the policy has no rules: nothing is ever due", "add `rules:`");
    }
    if let Some(beyond) = rules.get(MAX_RULES) {
        found.error(
            beyond,
            format!("more than {MAX_RULES} rules"),
            "write lists of categories and purposes instead",
        );
    }
    policy.rules = rule::rules(rules.get(..MAX_RULES).unwrap_or(rules), &names, found);
    top.finish(found);
    // Whoever judges by this policy takes the combinations apart: a flood of them is refused where it is read.
    if super::check::too_many(&policy).is_some() {
        found.extend(super::check(found.file(), &policy, None));
        policy.rules.clear();
    }
    Some(policy)
}
