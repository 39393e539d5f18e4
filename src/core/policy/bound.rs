//! How far back a sweep must look: the latest recording that could be due by now.
//!
//! Invariant: conservative. What is not certain is [`Bound::All`], and what is certain still has 48 h of slack, since
//! local days shift by up to a day and a start told later may be earlier. Every candidate is judged exactly.

use super::calendar::Calendar;
use super::minimum::point_of;
use super::model::{Keep, Period, Policy, Rule, Start};
use super::scope::{Covering, Point};
use crate::item::Copy;
use crate::time::Millis;

const SLACK: i64 = 48 * Millis::HOUR;

/// Which items of a shape a sweep must look at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Bound {
    /// None of them can be due: every part waits for ever.
    None,
    /// Those recorded at or before this, and those whose purposes were ended or withdrawn.
    Recorded(Millis),
    /// Any of them may be due.
    All,
}

/// The bound for items of one shape, told by its copies. It speaks of rules running out alone: an item whose purpose
/// was ended (one change row) may be due before it and is looked at on that account.
pub fn bound(policy: &Policy, calendar: &Calendar, copies: &[Copy], now: Millis) -> Bound {
    let mut bound = Bound::None;
    for copy in copies {
        for category in &copy.categories {
            bound = bound.widest(of_part(policy, calendar, copy, category, now));
        }
    }
    bound
}

impl Bound {
    fn widest(self, other: Self) -> Self {
        match (self, other) {
            (Self::All, _) | (_, Self::All) => Self::All,
            (Self::None, bound) | (bound, Self::None) => bound,
            (Self::Recorded(one), Self::Recorded(other)) => Self::Recorded(one.max(other)),
        }
    }

    /// What is due only when both are.
    fn narrowest(self, other: Self) -> Self {
        match (self, other) {
            (Self::None, _) | (_, Self::None) => Self::None,
            (Self::All, bound) | (bound, Self::All) => bound,
            (Self::Recorded(one), Self::Recorded(other)) => Self::Recorded(one.min(other)),
        }
    }
}

/// A part is over when all of its purposes are. One that no rule covers, or that is kept indefinitely, ends by a change row only.
fn of_part(policy: &Policy, calendar: &Calendar, copy: &Copy, category: &str, now: Millis) -> Bound {
    let nameless = point_of(copy, category);
    let points: Vec<Point<'_>> = match copy.purposes.as_slice() {
        [] => vec![nameless],
        purposes => purposes.iter().map(|purpose| Point { purpose: Some(purpose), ..nameless }).collect(),
    };
    let mut bound = Bound::All;
    for point in points {
        let winners = Covering::of(policy, &point, |rule| rule.keep.is_some()).winners;
        // Of rules that do not nest the longest keeps, and of purposes the latest.
        let of_purpose = match winners.as_slice() {
            [] => Bound::None,
            winners => {
                winners.iter().fold(Bound::All, |bound, rule| bound.narrowest(of_rule(rule, calendar, now)))
            }
        };
        bound = bound.narrowest(of_purpose);
    }
    bound
}

fn of_rule(rule: &Rule, calendar: &Calendar, now: Millis) -> Bound {
    match &rule.keep {
        Some(Keep::For(period)) => of_period(period, calendar, now),
        Some(Keep::Indefinitely { .. }) | None => Bound::None,
        // An earlier stage acts before the maximum.
        Some(Keep::Stages(stages)) => stages
            .iter()
            .fold(Bound::None, |bound, stage| bound.widest(of_period(&stage.period, calendar, now))),
    }
}

fn of_period(period: &Period, calendar: &Calendar, now: Millis) -> Bound {
    match period {
        Period::Simple { span, start: Start::Recorded, edge } => {
            // Due is monotone in its start up to the slack: the latest start that is due is found by halving.
            let is_due = |start: i64| calendar.due(Millis(start), *span, *edge) <= now;
            let (mut due, mut not_due) = (now.0.saturating_sub(1_100 * 366 * Millis::DAY), now.plus(SLACK).0);
            while not_due.saturating_sub(due) > Millis::HOUR {
                let middle = due.midpoint(not_due);
                if is_due(middle) { due = middle } else { not_due = middle }
            }
            Bound::Recorded(Millis(not_due).plus(SLACK))
        }
        Period::Simple { .. } => Bound::All,
        Period::Earliest(periods) => {
            periods.iter().fold(Bound::None, |bound, period| bound.widest(of_period(period, calendar, now)))
        }
        Period::Latest(periods) => {
            periods.iter().fold(Bound::All, |bound, period| bound.narrowest(of_period(period, calendar, now)))
        }
    }
}
