//! The verdict on an item: when each part of each copy must be gone, by which rule, and why not yet.
//!
//! Invariant: nothing is due before its latest live purpose has run out, nor before a minimum that binds it; an
//! unknown start gives no date. Due is computed from start and rule at every call and stored nowhere, so that a
//! rule change rewrites no item. Holds are the engine's: they block what is due here, and the clock runs on.

use super::calendar::Calendar;
use super::keeping::Keeping;
use super::minimum::Binding;
use super::model::Policy;
use super::period::Ends;
use super::shape::{PartRules, ShapeRules};
use super::start::Starts;
use crate::item::{CopyState, Item, Subject};
use crate::time::Millis;
use crate::verdict::{Action, CopyVerdict, Minimum, Open, PartVerdict, RuleVerdict, Verdict};

/// Judges an item under a policy. `retains` says of a system whether it is to keep what a minimum asks for. Dates
/// do not depend on `now`; only the stage that has been reached does.
pub fn judge(
    policy: &Policy,
    calendar: &Calendar,
    item: &Item,
    subject: &Subject,
    retains: &dyn Fn(&str) -> bool,
    now: Millis,
) -> Verdict {
    let starts = Starts { policy, calendar, item, subject };
    ShapeRules::of(policy, &item.copies, retains).verdict(&starts, now)
}

impl ShapeRules<'_> {
    /// The verdict on one item of this shape, with the reasons.
    pub fn verdict(&self, starts: &Starts<'_>, now: Millis) -> Verdict {
        let keepings = self.keepings(starts);
        let bindings = self.bindings(starts);
        let judge = |n: usize| {
            let part = |part: &PartRules<'_>| {
                let keepings: Vec<&Keeping<'_>> =
                    part.purposes.iter().filter_map(|n| keepings.get(*n)).collect();
                let minima: Vec<&Binding<'_>> = part.minima.iter().filter_map(|n| bindings.get(*n)).collect();
                judge_part(starts, &keepings, &minima, part.category, now)
            };
            let parts: Vec<PartVerdict> = self.parts_of(n).map(part).collect();
            CopyVerdict { due: latest(parts.iter().map(|part| part.due)), parts }
        };
        let copies: Vec<CopyVerdict> = (0..starts.item.copies.len()).map(judge).collect();
        let live = copies.iter().zip(&starts.item.copies).filter(|(_, copy)| copy.state == CopyState::Live);
        let due = latest(live.map(|(verdict, _)| verdict.due));
        Verdict { due, copies }
    }
}

fn judge_part(
    starts: &Starts<'_>,
    keepings: &[&Keeping<'_>],
    minima: &[&Binding<'_>],
    category: &str,
    now: Millis,
) -> PartVerdict {
    let keep = latest(keepings.iter().map(|keeping| keeping.end().ok()));
    let binding = minima
        .iter()
        .filter_map(|bound| bound.ends.due().map(|until| (until, bound)))
        .enumerate()
        .max_by_key(|(n, (until, _))| (*until, std::cmp::Reverse(*n)))
        .map(|(_, latest)| latest);
    let unknown = why_unknown(minima);
    let open = why_open(keepings).or(unknown);
    let unended = |keeping: &&&Keeping<'_>| keeping.ended.is_none_or(|ended| ended.at() > now);
    let runs_out = keepings.iter().filter(unended).filter_map(|keeping| keeping.end().ok()).max();
    let due = if open.is_some() { None } else { keep.max(binding.map(|(until, _)| until)) };
    PartVerdict {
        category: category.to_owned(),
        due,
        keep,
        runs_out,
        action: keepings.iter().map(|keeping| keeping.action()).max().unwrap_or(Action::Erase),
        stage: stage(starts, keepings, minima, keep, now),
        minimum: binding.map(|(until, bound)| Minimum {
            until,
            rule: bound.rule.id.clone(),
            law: bound.rule.law.clone(),
        }),
        undated_minimum: unknown.is_some(),
        open,
        rules: rules(keepings, minima, keep, due),
    }
}

/// Why some live purpose has no end, the gravest first.
fn why_open(keepings: &[&Keeping<'_>]) -> Option<Open> {
    let reasons: Vec<Open> = keepings.iter().filter_map(|keeping| keeping.end().err()).collect();
    [Open::Uncovered, Open::Undated, Open::Indefinite, Open::Waiting]
        .into_iter()
        .find(|open| reasons.contains(open))
}

/// A minimum that binds and has no date leaves the part without one.
fn why_unknown(minima: &[&Binding<'_>]) -> Option<Open> {
    let any = |ends: Ends| minima.iter().any(|bound| bound.ends == ends);
    if any(Ends::Unknown) { Some(Open::Undated) } else { any(Ends::Waiting).then_some(Open::Waiting) }
}

/// The stage reached: what every live purpose lets happen by now. While a minimum keeps what no purpose does, the
/// part is restricted.
fn stage(
    starts: &Starts<'_>,
    keepings: &[&Keeping<'_>],
    minima: &[&Binding<'_>],
    keep: Option<Millis>,
    now: Millis,
) -> Option<(Action, Millis)> {
    let kept_by_law = minima.iter().any(|bound| bound.ends.due().is_none_or(|until| until > now));
    if let Some(over) = keep.filter(|keep| *keep <= now) {
        return kept_by_law.then_some((Action::Restrict, over));
    }
    let live = keepings.iter().filter(|keeping| !keeping.end().is_ok_and(|end| end <= now));
    let reached: Option<Vec<(Action, Millis)>> = live.map(|keeping| keeping.stage(starts, now)).collect();
    let reached = reached?;
    let weakest = reached.iter().map(|(action, _)| *action).min()?;
    let since = reached.iter().map(|(_, at)| *at).max()?;
    Some((if kept_by_law { Action::Restrict } else { weakest }, since))
}

/// Every rule that applies. Where there is a date, the rule that gave it wins: a minimum only where it is later.
fn rules(
    keepings: &[&Keeping<'_>],
    minima: &[&Binding<'_>],
    keep: Option<Millis>,
    due: Option<Millis>,
) -> Vec<RuleVerdict> {
    let mut rules: Vec<RuleVerdict> = Vec::new();
    let mut winner: Option<usize> = None;
    for keeping in keepings {
        let decides = due.is_some() && due == keep && keeping.winner.is_some() && keeping.end().ok() == due;
        winner = winner.or(decides.then_some(rules.len()));
        rules.extend(keeping.verdicts());
    }
    for bound in minima {
        let decides = due.is_some() && due > keep && bound.ends.due() == due;
        winner = winner.or(decides.then_some(rules.len()));
        rules.push(bound.verdict());
    }
    if let Some(rule) = winner.and_then(|n| rules.get_mut(n)) {
        rule.wins = true;
    }
    rules
}

/// The latest of these; None where any is unknown, or there are none.
fn latest(dates: impl Iterator<Item = Option<Millis>>) -> Option<Millis> {
    dates.collect::<Option<Vec<Millis>>>()?.into_iter().max()
}
