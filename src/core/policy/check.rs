//! What is wrong between the rules of a policy: overlaps that nothing settles, minima beyond their maximum.
//!
//! Invariant: an error here is a policy that would keep or erase by accident. What a single line gets wrong is said
//! when it is read, by [`super::parse()`].

use super::model::{Keep, Period, Policy, Rule, Span};
use super::overlap::{Combination, Overlap, combinations, overlaps};
use super::scope::Scope;
use super::taxonomy::Taxonomy;
use crate::document::{Diagnostic, Diagnostics};
use crate::time::Millis;
use crate::verdict::Action;

/// Comparing more combinations with each other than this would take minutes.
const MAX_COMBINATIONS: usize = 5_000;

/// A pair that some dataset uses.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Used {
    pub category: String,
    /// None = the collection names no purpose.
    pub purpose: Option<String>,
    /// `dataset.collection`, for messages.
    pub collection: String,
}

/// Compares the rules with each other. With `used`, overlaps that no dataset comes upon are warnings only, and
/// every pair that no rule covers is named.
pub fn check(file: &str, policy: &Policy, used: Option<&[Used]>) -> Vec<Diagnostic> {
    let mut found = Diagnostics::new(file);
    if let Some(beyond) = too_many(policy) {
        let detail = format!("the rules stand for more than {MAX_COMBINATIONS} combinations");
        found.error(
            (beyond.line, beyond.column),
            detail,
            "name a parent category, or leave out selectors that make no difference",
        );
        return found.into_vec();
    }
    let maxima = combinations(policy, |rule| rule.keep.is_some());
    for overlap in overlaps(policy, &maxima) {
        report(policy, &overlap, used, &mut found);
    }
    for minimum in combinations(policy, |rule| rule.at_least.is_some()) {
        beyond(policy, &minimum, &maxima, &mut found);
    }
    for pair in used.unwrap_or_default() {
        uncovered(policy, pair, &maxima, &mut found);
    }
    let mut all = found.into_vec();
    all.dedup();
    all
}

/// The rule with which there are more combinations than can be compared with each other.
pub(super) fn too_many(policy: &Policy) -> Option<&Rule> {
    let mut count = 0_usize;
    policy.rules.iter().find(|rule| {
        count = count.saturating_add(Scope::count(&rule.selectors));
        count > MAX_COMBINATIONS
    })
}

fn report(policy: &Policy, overlap: &Overlap<'_>, used: Option<&[Used]>, found: &mut Diagnostics) {
    let (one, other) = (overlap.one.rule, overlap.other.rule);
    let detail = format!("the rules `{}` (line {}) and `{}` overlap and differ", one.id, one.line, other.id);
    let fix = if overlap.same_scope(policy) {
        "they speak for the same: remove one".to_owned()
    } else {
        format!("this rule would settle it, with the period you mean: {}", overlap.settled_by())
    };
    match used {
        Some(pairs) if !pairs.iter().any(|pair| touches(&overlap.shared, pair)) => {
            found.warning(
                (other.line, other.column),
                format!("{detail}, though no dataset comes upon it"),
                fix,
            );
        }
        _ => found.error((other.line, other.column), detail, fix),
    }
}

fn touches(scope: &Scope<'_>, pair: &Used) -> bool {
    scope.category.is_none_or(|category| Taxonomy::bundled().covers(category, &pair.category))
        && (scope.purpose.is_none() || scope.purpose == pair.purpose.as_deref())
}

fn uncovered(policy: &Policy, pair: &Used, maxima: &[Combination<'_>], found: &mut Diagnostics) {
    if maxima.iter().any(|maximum| touches(&maximum.scope, pair)) {
        return;
    }
    let under = match &pair.purpose {
        Some(purpose) => format!(" under the purpose `{purpose}`"),
        None => " without a purpose".to_owned(),
    };
    let detail =
        format!("no rule covers `{}`{under} in `{}`: it is never due", pair.category, pair.collection);
    let at = policy.rules.last().map_or((1, 1), |rule| (rule.line, rule.column));
    found.warning(at, detail, format!("add a rule with `category: {}` and a period", pair.category));
}

/// A minimum that is longer than the maximum which wins for the same, in a rule that names the same purpose.
fn beyond(policy: &Policy, minimum: &Combination<'_>, maxima: &[Combination<'_>], found: &mut Diagnostics) {
    let (Some(purpose), Some(at_least)) = (minimum.scope.purpose, &minimum.rule.at_least) else { return };
    for maximum in maxima.iter().filter(|maximum| maximum.scope.purpose == Some(purpose)) {
        let keep = match &maximum.rule.keep {
            Some(Keep::For(period)) => period,
            Some(Keep::Stages(stages)) => match stages.last() {
                Some(last) => &last.period,
                None => continue,
            },
            Some(Keep::Indefinitely { .. }) | None => continue,
        };
        if !longer(at_least, keep) {
            continue;
        }
        let wins_somewhere = minimum.scope.meet(policy, &maximum.scope).iter().any(|shared| {
            !maxima.iter().any(|third| {
                shared.within(policy, &third.scope)
                    && third.scope.within(policy, &maximum.scope)
                    && !maximum.scope.within(policy, &third.scope)
            })
        });
        if wins_somewhere {
            let (rule, kept) = (minimum.rule, maximum.rule);
            let detail = if std::ptr::eq(rule, kept) {
                format!("the rule `{}` keeps for {keep}, less than its own `at_least: {at_least}`", rule.id)
            } else {
                format!(
                    "the rule `{}` asks for `at_least: {at_least}`, and `{}` (line {}) keeps only for {keep}",
                    rule.id, kept.id, kept.line
                )
            };
            found.error(
                (rule.line, rule.column),
                detail,
                format!("let `{}` say `keep: {at_least}` or longer", kept.id),
            );
        }
    }
}

/// True where one period is longer than the other whatever the start; only periods with the same start and edge
/// can be told apart.
fn longer(one: &Period, other: &Period) -> bool {
    let (
        Period::Simple { span, start, edge },
        Period::Simple { span: other_span, start: other_start, edge: other_edge },
    ) = (one, other)
    else {
        return false;
    };
    // 13mo and 12mo are told apart although their ranges in days may touch.
    start == other_start
        && edge == other_edge
        && (exceeds(*span, *other_span) || shortest(*span) > longest(*other_span))
}

/// True where one period is certain to be no shorter than the other, part by part.
pub(super) fn at_least_as_long(one: &Period, other: &Period) -> bool {
    match (one, other) {
        (Period::Earliest(one), Period::Earliest(other)) | (Period::Latest(one), Period::Latest(other)) => {
            one.len() == other.len() && one.iter().zip(other).all(|(one, other)| at_least_as_long(one, other))
        }
        (one, other) => one == other || longer(one, other),
    }
}

fn exceeds(one: Span, other: Span) -> bool {
    match (one, other) {
        (Span::Days { months, days }, Span::Days { months: other_months, days: other_days }) => {
            months >= other_months && days >= other_days && (months, days) != (other_months, other_days)
        }
        _ => false,
    }
}

fn shortest(span: Span) -> i64 {
    match span {
        // 365 days a year, 28 of a month that is left: no run of months is shorter.
        Span::Days { months, days } => {
            (i64::from(months / 12) * 365 + i64::from(months % 12) * 28 + i64::from(days)) * Millis::DAY
        }
        Span::Exact { millis } => millis,
        Span::WorkingDays(days) => i64::from(days) * Millis::DAY,
    }
}

fn longest(span: Span) -> i64 {
    match span {
        Span::Days { months, days } => {
            // The day of the start is not counted, and a day may have 25 hours.
            (i64::from(months / 12) * 366 + i64::from(months % 12) * 31 + i64::from(days) + 2) * Millis::DAY
        }
        Span::Exact { millis } => millis,
        Span::WorkingDays(days) => (i64::from(days) * 7 / 5 + 3) * Millis::DAY,
    }
}

/// A rule's `keep` and `then`, as a policy file would write them.
pub(super) fn period_text(rule: &Rule) -> String {
    let then = match rule.then {
        Action::Erase => "",
        Action::Anonymise => ", then: anonymise",
        Action::Pseudonymise => ", then: pseudonymise",
        Action::Mask => ", then: mask",
        Action::Restrict => ", then: restrict",
    };
    match &rule.keep {
        Some(Keep::For(period)) => format!(", keep: {period}{then}"),
        Some(Keep::Indefinitely { why }) => {
            format!(", keep: indefinitely, why: {}{then}", serde_json::Value::from(why.as_str()))
        }
        Some(Keep::Stages(stages)) => {
            let stages: Vec<String> =
                stages.iter().map(|stage| format!("{{{}: {}}}", name(stage.action), stage.period)).collect();
            format!(", then: [{}]", stages.join(", "))
        }
        None => String::new(),
    }
}

fn name(action: Action) -> &'static str {
    match action {
        Action::Erase => "erase",
        Action::Anonymise => "anonymise",
        Action::Pseudonymise => "pseudonymise",
        Action::Mask => "mask",
        Action::Restrict => "restrict",
    }
}
