//! What one item owes now: the verdict of the rules, stopped by holds and minima, as wished-for duties.
//!
//! Pure and printable: a sweep, a plan, a request and the last judgement before a command all ask this.

use std::sync::Arc;

use crate::engine::control::{ActivePolicy, Control};
use crate::item::{Copy, Subject};
use crate::life::{CopyNote, Life};
use crate::obligation::{Block, Duty, ObligationId, Place};
use crate::policy::{self, ShapeRules};
use crate::system::{Mode, OnDue};
use crate::time::{Millis, Moment};
use crate::verdict::{Action, CopyVerdict, Open, PartVerdict, Verdict};
use crate::word::Word;

/// A duty that should exist for a copy.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Wish {
    pub place: Place,
    /// Sorted.
    pub parts: Arc<[String]>,
    pub duty: Duty,
    pub round: u32,
    pub stop: Option<Stop>,
    /// The rule that made it due.
    pub rule: Option<Word>,
    /// When it fell due.
    pub due: Millis,
    /// The moment it was judged at.
    pub judged: Moment,
    /// Of a correction.
    pub values: Option<Vec<u8>>,
}

/// What keeps a wish from being ordered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Stop {
    Blocked(Block),
    /// Its system only observes.
    Observed,
}

impl Wish {
    pub fn id(&self, life: &Life) -> ObligationId {
        ObligationId::of(life.item.id, life.item.generation, &self.place, &self.parts, self.duty, self.round)
    }
}

/// The verdict on an item under the active policy; a key that rides along with its record sets no date.
pub fn judge(
    active: &ActivePolicy,
    control: &Control,
    life: &Life,
    subject: &Subject,
    now: Millis,
) -> Verdict {
    judge_under(&rules_of(active, control, &life.item.copies), active, control, life, subject, now)
}

/// What the rules come to for copies like these.
pub fn rules_of<'a>(active: &'a ActivePolicy, control: &Control, copies: &'a [Copy]) -> ShapeRules<'a> {
    ShapeRules::of(&active.policy, copies, &|system: &str| control.retains(system))
}

/// [`judge`] by rules that were resolved for copies like its own.
pub fn judge_under(
    rules: &ShapeRules<'_>,
    active: &ActivePolicy,
    control: &Control,
    life: &Life,
    subject: &Subject,
    now: Millis,
) -> Verdict {
    let (policy, calendar) = (&active.policy, &active.calendar);
    let starts = policy::Starts { policy, calendar, item: &life.item, subject };
    let mut verdict = rules.verdict(&starts, now);
    for (copy, judged) in life.item.copies.iter().zip(&mut verdict.copies) {
        let dated = judged.parts.iter().filter(|p| !rides(control, life, copy, p)).map(|p| p.due);
        judged.due = latest(dated);
    }
    let live = life.item.copies.iter().zip(&verdict.copies).filter(|(copy, _)| copy.is_live());
    verdict.due = latest(live.map(|(_, judged)| judged.due));
    verdict
}

/// A key that no rule speaks for goes with its record; one that a rule covers is waited for like any part.
fn rides(control: &Control, life: &Life, copy: &Copy, part: &PartVerdict) -> bool {
    let system = || life.named(&copy.dataset, &copy.cell).map_or(&copy.system, |named| &named.system);
    part.open == Some(Open::Uncovered) && control.only_identifies(system(), &copy.dataset, &part.category)
}

/// The latest date; None where there is none, or one is not known.
fn latest(dates: impl Iterator<Item = Option<Millis>>) -> Option<Millis> {
    dates.reduce(|a, b| a.zip(b).map(|(a, b)| a.max(b))).flatten()
}

/// What the item owes at a moment.
pub fn wishes(control: &Control, life: &Life, subject: &Subject, moment: Moment) -> Vec<Wish> {
    let Some(active) = &control.policy else { return Vec::new() };
    wishes_under(&rules_of(active, control, &life.item.copies), active, control, life, subject, moment)
}

/// The same by rules that were resolved for copies like its own.
pub(super) fn wishes_under(
    rules: &ShapeRules<'_>,
    active: &ActivePolicy,
    control: &Control,
    life: &Life,
    subject: &Subject,
    moment: Moment,
) -> Vec<Wish> {
    let verdict = judge_under(rules, active, control, life, subject, moment.now);
    let copies = life.copies().zip(&verdict.copies).filter(|((copy, _), _)| copy.is_live());
    copies
        .flat_map(|((copy, note), verdict)| {
            let forced = is_over_anyway(note);
            copy_wishes(control, life, copy, note, verdict, moment, forced)
        })
        .collect()
}

/// A copy that came back, or became known after its item's end, is over whatever its dates say.
fn is_over_anyway(note: &CopyNote) -> bool {
    note.back || note.late
}

/// One part of a copy that is over.
struct Over<'a> {
    category: &'a str,
    action: Action,
    due: Millis,
    rule: Option<String>,
    block: Option<Block>,
}

fn copy_wishes(
    control: &Control,
    life: &Life,
    copy: &Copy,
    note: &CopyNote,
    verdict: &CopyVerdict,
    moment: Moment,
    forced: bool,
) -> Vec<Wish> {
    let counted = verdict.parts.iter().filter(|p| !rides(control, life, copy, p)).count();
    // A key that rides along is no part of its own, also of a record that is over anyway.
    let parts = verdict.parts.iter().filter(|p| counted == 0 || !rides(control, life, copy, p));
    let over: Vec<Over<'_>> = parts.filter_map(|p| over(control, life, copy, p, moment, forced)).collect();
    let changed =
        |category: &str, action: Action| note.changed.get(category).is_some_and(|done| *done >= action);
    let counted = if counted == 0 { verdict.parts.len() } else { counted };
    let whole = over.len() == counted
        && over.iter().all(|o| o.action == Action::Erase && o.block.is_none())
        && deletes_rows(control, copy);
    if whole && !over.is_empty() {
        return vec![wish(control, copy, note, moment, over.iter().collect(), Duty::Delete, None)];
    }
    let mut wishes = Vec::new();
    let open: Vec<&Over<'_>> = over.iter().filter(|o| !changed(o.category, in_place(o.action))).collect();
    let (blocked, free): (Vec<&Over<'_>>, Vec<&Over<'_>>) = open.into_iter().partition(|o| o.block.is_some());
    for action in [Action::Erase, Action::Anonymise, Action::Pseudonymise, Action::Mask, Action::Restrict] {
        let parts: Vec<&Over<'_>> = free.iter().copied().filter(|o| o.action == action).collect();
        if !parts.is_empty() {
            wishes.push(wish(control, copy, note, moment, parts, Duty::Change(in_place(action)), None));
        }
    }
    // Parts stopped by the same thing are one duty; its shape when it is freed is judged then.
    let mut rest = blocked;
    while let Some(first) = rest.first().and_then(|o| o.block.clone()) {
        let (same, other): (Vec<_>, Vec<_>) =
            rest.into_iter().partition(|o| o.block.as_ref() == Some(&first));
        let all = same.len() == counted && same.iter().all(|o| o.action == Action::Erase);
        let duty = match all && deletes_rows(control, copy) {
            true => Duty::Delete,
            false => Duty::Change(in_place(same.iter().map(|o| o.action).max().unwrap_or(Action::Mask))),
        };
        wishes.push(wish(control, copy, note, moment, same, duty, Some(Stop::Blocked(first))));
        rest = other;
    }
    wishes
}

/// Some parts of a record over: their fields are masked.
fn in_place(action: Action) -> Action {
    match action {
        Action::Erase | Action::Mask => Action::Mask,
        Action::Anonymise => Action::Anonymise,
        Action::Pseudonymise => Action::Pseudonymise,
        Action::Restrict => Action::Restrict,
    }
}

fn over<'a>(
    control: &Control,
    life: &Life,
    copy: &Copy,
    part: &'a PartVerdict,
    moment: Moment,
    forced: bool,
) -> Option<Over<'a>> {
    let run_out = part.runs_out.is_none_or(|at| at <= moment.read);
    let ended = part.keep.filter(|keep| *keep <= moment.now && run_out);
    let (action, due) = match (ended, part.stage) {
        // Kept by a law from a day nobody knows: at most restricted, listed as undated.
        _ if part.undated_minimum => {
            part.stage.filter(|(action, at)| *action == Action::Restrict && *at <= moment.read)?
        }
        (Some(due), _) => (part.action, due),
        (None, _) if forced => (Action::Erase, moment.now),
        (None, Some((action, reached))) if reached <= moment.read => (action, reached),
        (None, _) => return None,
    };
    // Restriction goes on under a hold and under a minimum.
    let block = if action == Action::Restrict { None } else { block(control, life, copy, part, moment) };
    let rule = part.rules.iter().find(|r| r.wins).map(|r| r.id.clone());
    Some(Over { category: &part.category, action, due, rule, block })
}

fn block(control: &Control, life: &Life, copy: &Copy, part: &PartVerdict, moment: Moment) -> Option<Block> {
    let holds = control.holds_on(&life.item, copy, &part.category);
    if !holds.is_empty() {
        return Some(Block::Hold(holds));
    }
    let minimum = part.minimum.as_ref().filter(|m| m.until > moment.read)?;
    Some(Block::Minimum { until: minimum.until, rule: minimum.rule.clone(), law: minimum.law.clone() })
}

fn wish(
    control: &Control,
    copy: &Copy,
    note: &CopyNote,
    moment: Moment,
    over: Vec<&Over<'_>>,
    duty: Duty,
    stop: Option<Stop>,
) -> Wish {
    let mut parts: Vec<String> = over.iter().map(|o| o.category.to_owned()).collect();
    parts.sort();
    let observed = (control.mode(&copy.system) == Mode::Observe).then_some(Stop::Observed);
    Wish {
        place: copy.place(),
        parts: parts.into(),
        duty,
        round: note.round,
        stop: stop.or(observed),
        rule: over.iter().find_map(|o| o.rule.as_deref()).map(Word::from),
        due: over.iter().map(|o| o.due).max().unwrap_or_default(),
        judged: moment,
        values: None,
    }
}

fn deletes_rows(control: &Control, copy: &Copy) -> bool {
    let manifest = control.systems.get(&*copy.system).map(|s| &s.manifest).filter(|_| !copy.derived);
    match manifest.and_then(|m| m.collection(&copy.dataset)).map(|(_, c)| c.on_due) {
        Some(OnDue::Columns) => false,
        Some(OnDue::Row) | None => true,
    }
}
