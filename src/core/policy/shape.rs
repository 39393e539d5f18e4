//! What the rules come to for one shape: resolved once, asked for every item of that shape.
//!
//! Invariant: [`super::judge()`] is this and nothing else, so that a sweep which resolves a shape once and asks it a
//! million times says the same as `explain` says of one item. Which rules win depends on the copies alone; when they
//! are over, on the item alone.

use super::keeping::{Keeping, Kept};
use super::minimum::{self, Binding};
use super::model::{Policy, Rule};
use super::period::Ends;
use super::scope::{Covering, Point};
use super::start::Starts;
use crate::item::{Copy, CopyState};
use crate::time::Millis;
use crate::verdict::{Action, Open};

/// The rules for items whose live copies are these.
#[derive(Clone, Debug)]
pub struct ShapeRules<'a> {
    /// Each distinct purpose with its rules.
    purposes: Vec<PurposeRules<'a>>,
    /// Each distinct minimum with the purposes that it is asked for.
    minima: Vec<MinimumRule<'a>>,
    /// In the order of the copies and of their categories; only live copies have any.
    parts: Vec<PartRules<'a>>,
    /// A live copy without any category: nothing says when it is over.
    bare: bool,
}

#[derive(Clone, Debug, PartialEq)]
pub(super) struct PurposeRules<'a> {
    pub purpose: Option<&'a str>,
    pub covering: Covering<'a>,
}

#[derive(Clone, Debug, PartialEq)]
pub(super) struct MinimumRule<'a> {
    pub rule: &'a Rule,
    pub purposes: Vec<&'a str>,
}

/// One category of one copy: which of the shape's purposes keep it, which of its minima bind it.
#[derive(Clone, Debug)]
pub(super) struct PartRules<'a> {
    pub copy: usize,
    pub category: &'a str,
    pub purposes: Vec<usize>,
    pub minima: Vec<usize>,
}

/// When one part of one copy is due; the index of the copy, then of the category in it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PartDate {
    pub copy: usize,
    pub part: usize,
    /// None = unknown or never.
    pub due: Option<Millis>,
    pub action: Action,
}

/// The dates of one item, and the room they are worked out in: kept from item to item, it costs no allocation.
#[derive(Clone, Debug, Default)]
pub struct Dates {
    ends: Vec<(Option<Millis>, Action)>,
    minima: Vec<Option<Millis>>,
    parts: Vec<PartDate>,
    bare: bool,
}

impl Dates {
    pub fn parts(&self) -> &[PartDate] {
        &self.parts
    }

    /// When the first part of any copy is due.
    pub fn earliest(&self) -> Option<Millis> {
        self.parts.iter().filter_map(|part| part.due).min()
    }

    /// When the whole item is gone: None where any part has no date.
    pub fn latest(&self) -> Option<Millis> {
        if self.bare {
            return None;
        }
        self.parts
            .iter()
            .map(|part| part.due)
            .min_by_key(|due| (due.is_some(), std::cmp::Reverse(*due)))
            .flatten()
    }
}

impl<'a> ShapeRules<'a> {
    /// Resolves the rules for these copies. `retains` says of a system whether it is to keep what a minimum asks for.
    pub fn of(policy: &'a Policy, copies: &'a [Copy], retains: &dyn Fn(&str) -> bool) -> Self {
        let mut rules = Self { purposes: Vec::new(), minima: Vec::new(), parts: Vec::new(), bare: false };
        for (n, copy) in copies.iter().enumerate().filter(|(_, copy)| copy.state == CopyState::Live) {
            rules.bare |= copy.categories.is_empty();
            for category in &copy.categories {
                let nameless = minimum::point_of(copy, category);
                let points = match copy.purposes.as_slice() {
                    [] => vec![nameless],
                    named => {
                        named.iter().map(|purpose| Point { purpose: Some(purpose), ..nameless }).collect()
                    }
                };
                let purposes = points.iter().map(|point| rules.purpose(policy, point)).collect();
                let bound = minimum::bound(policy, copies, retains, n, category);
                let minima = bound.into_iter().map(|rule| rules.minimum(rule, copy)).collect();
                rules.parts.push(PartRules { copy: n, category, purposes, minima });
            }
        }
        rules
    }

    /// Every rule that speaks for some part of them, the losers too; some come twice.
    pub fn rules(&self) -> impl Iterator<Item = &'a Rule> {
        let covering = self.purposes.iter().map(|rules| &rules.covering);
        let keeps = covering.flat_map(Covering::all);
        keeps.chain(self.minima.iter().map(|minimum| minimum.rule))
    }

    /// The dates of one item of this shape: what [`super::judge()`] says, without the reasons.
    pub fn dates(&self, starts: &Starts<'_>, dates: &mut Dates) {
        dates.ends.clear();
        dates.ends.extend(self.purposes.iter().map(|rules| {
            let keeping = Keeping::of(starts, rules.purpose, &rules.covering.winners);
            (keeping.end().ok(), keeping.action())
        }));
        dates.minima.clear();
        dates.minima.extend(self.minima.iter().map(|minimum| minimum.ends(starts).due()));
        dates.parts.clear();
        dates.bare = self.bare;
        let Dates { ends, minima, parts, .. } = dates;
        let mut place = (usize::MAX, 0);
        for part in &self.parts {
            place = if place.0 == part.copy { (part.copy, place.1 + 1) } else { (part.copy, 0) };
            let kept = || part.purposes.iter().filter_map(|n| ends.get(*n));
            let bound = part.minima.iter().filter_map(|n| minima.get(*n));
            // The latest of all, and none where one is unknown.
            let due = kept()
                .map(|(end, _)| end)
                .chain(bound)
                .try_fold(Millis(i64::MIN), |latest, date| date.map(|date| latest.max(date)));
            let action = kept().map(|(_, action)| *action).max().unwrap_or(Action::Erase);
            parts.push(PartDate { copy: place.0, part: place.1, due, action });
        }
    }

    /// Adds when each rule that speaks for some part of an item of this shape has run out, the losers and the minima too,
    /// whatever ended a purpose sooner; always in one order. Err = there is no date, and why.
    pub fn run_out(&self, starts: &Starts<'_>, dates: &mut Vec<Result<Millis, Open>>) {
        for PurposeRules { purpose, covering } in &self.purposes {
            dates.extend(
                covering.all().filter_map(|rule| Kept::of(starts, rule, *purpose)).map(|kept| kept.due()),
            );
        }
        dates.extend(self.minima.iter().map(|minimum| match minimum.ends(starts) {
            Ends::At { due, .. } => Ok(due),
            Ends::Waiting => Err(Open::Waiting),
            Ends::Unknown => Err(Open::Undated),
        }));
    }

    /// Every purpose with its rules, dated for one item; `parts` index into it.
    pub(super) fn keepings(&self, starts: &Starts<'_>) -> Vec<Keeping<'a>> {
        let dated = |rules: &PurposeRules<'a>| {
            Keeping::of(starts, rules.purpose, &rules.covering.winners).with_losers(starts, &rules.covering)
        };
        self.purposes.iter().map(dated).collect()
    }

    pub(super) fn bindings(&self, starts: &Starts<'_>) -> Vec<Binding<'a>> {
        self.minima.iter().map(|minimum| Binding::of(starts, minimum.rule, &minimum.purposes)).collect()
    }

    pub(super) fn parts_of(&self, copy: usize) -> impl Iterator<Item = &PartRules<'a>> {
        self.parts.iter().filter(move |part| part.copy == copy)
    }

    fn purpose(&mut self, policy: &'a Policy, point: &Point<'a>) -> usize {
        let covering = Covering::of(policy, point, |rule| rule.keep.is_some());
        let rules = PurposeRules { purpose: point.purpose, covering };
        let same = |other: &PurposeRules<'_>| {
            let alike = |a: &[&Rule], b: &[&Rule]| {
                a.len() == b.len() && a.iter().zip(b).all(|(a, b)| std::ptr::eq(*a, *b))
            };
            other.purpose == rules.purpose
                && alike(&other.covering.winners, &rules.covering.winners)
                && alike(&other.covering.losers, &rules.covering.losers)
        };
        self.purposes.iter().position(same).unwrap_or_else(|| {
            self.purposes.push(rules);
            self.purposes.len() - 1
        })
    }

    fn minimum(&mut self, rule: &'a Rule, copy: &'a Copy) -> usize {
        let named =
            |purpose: &&String| rule.selectors.purpose.is_empty() || rule.selectors.purpose.contains(purpose);
        let purposes: Vec<&str> = copy.purposes.iter().filter(named).map(String::as_str).collect();
        let same = |other: &MinimumRule<'_>| std::ptr::eq(other.rule, rule) && other.purposes == purposes;
        self.minima.iter().position(same).unwrap_or_else(|| {
            self.minima.push(MinimumRule { rule, purposes });
            self.minima.len() - 1
        })
    }
}

impl MinimumRule<'_> {
    fn ends(&self, starts: &Starts<'_>) -> Ends {
        Binding::of(starts, self.rule, &self.purposes).ends
    }
}
