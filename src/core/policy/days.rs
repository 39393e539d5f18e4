//! Days that no date tells apart: stretches of time in which every start has the same local date in all calendars.
//!
//! Periods of whole days see of a start its local date alone. So what holds for one start of a stretch holds for all,
//! and a plan need not look at items one by one. Rejected: halving for the start from which on something holds, since
//! expiry is not monotone in start everywhere.

use std::collections::BTreeSet;

use jiff::{Span as Step, Timestamp, ToSpan};

use super::calendar::Calendar;
use super::model::{Assume, Keep, Level, Period, Policy, Rule, Span, Start};
use super::shape::ShapeRules;
use crate::item::Copy;
use crate::time::Millis;

/// Stretches of time, in order and without gaps.
#[derive(Clone, Debug, Default)]
pub struct Days {
    /// Where each begins. The last one ends them all.
    begin: Vec<Millis>,
    /// In order: those whose starts are not alike.
    odd: Vec<usize>,
    /// The first stretch in each span of a day's length from the first beginning on: few more begin in it.
    near: Vec<usize>,
}

impl Days {
    /// From the day of `from` to that of `to`.
    pub fn of(calendars: &[&Calendar], from: Millis, to: Millis) -> Self {
        let mut begin: Vec<Millis> =
            calendars.iter().flat_map(|calendar| midnights(calendar, from, to)).collect();
        begin.sort_unstable();
        begin.dedup();
        // Between two midnights local time runs on evenly, but for a change of its offset.
        let differ = |begin: Millis, end: Millis, turn: Millis| {
            let ends = [begin, turn.plus(-1).max(begin), turn, end.plus(-1)];
            let dates = |calendar: &&&Calendar| {
                let day = calendar.local_date(begin);
                ends.iter().any(|at| calendar.local_date(*at) != day)
            };
            calendars.iter().any(|calendar| dates(&calendar))
        };
        let turns = calendars.iter().flat_map(|calendar| turns(calendar, from, to));
        let mut odd: Vec<usize> = turns
            .filter_map(|turn| {
                let at = begin.partition_point(|begin| *begin <= turn).checked_sub(1)?;
                let (begin, end) = (*begin.get(at)?, *begin.get(at + 1)?);
                differ(begin, end, turn).then_some(at)
            })
            .collect();
        odd.extend(begin.len().checked_sub(1));
        odd.sort_unstable();
        odd.dedup();
        let mut near = Vec::new();
        if let Some(first) = begin.first() {
            for (n, at) in begin.iter().enumerate() {
                let spans = usize::try_from((at.0 - first.0) / Millis::DAY).unwrap_or(0) + 1;
                // One that goes on into a span is the first in it.
                near.resize(spans.max(near.len()), n.saturating_sub(1));
            }
        }
        Self { begin, odd, near }
    }

    /// The stretch that this start lies in; None = its starts are not alike, or it lies outside.
    pub fn stretch(&self, start: Millis) -> Option<usize> {
        let span =
            usize::try_from(start.0.checked_sub(self.begin.first()?.0)?.div_euclid(Millis::DAY)).ok()?;
        let near = self.near.get(span).copied().unwrap_or(self.begin.len().checked_sub(1)?);
        let later = self.begin.get(near..)?.iter().take_while(|begin| **begin <= start).count();
        let at = near + later.checked_sub(1)?;
        self.odd.binary_search(&at).is_err().then_some(at)
    }

    /// Every start between these lies in a stretch of starts that are alike.
    pub fn are_alike(&self, first: usize, last: usize) -> bool {
        let odd = self.odd.partition_point(|odd| *odd < first);
        self.odd.get(odd).is_none_or(|odd| *odd > last)
    }

    /// Where this stretch begins.
    pub fn begin(&self, stretch: usize) -> Option<Millis> {
        self.begin.get(stretch).copied()
    }

    pub fn len(&self) -> usize {
        self.begin.len()
    }

    pub fn is_empty(&self) -> bool {
        self.begin.is_empty()
    }
}

fn midnights(calendar: &Calendar, from: Millis, to: Millis) -> Vec<Millis> {
    let (mut day, last) = (calendar.local_date(from), calendar.local_date(to));
    let mut found = Vec::new();
    while day <= last {
        found.push(calendar.first_instant(day));
        match day.tomorrow() {
            Ok(next) => day = next,
            Err(_) => break,
        }
    }
    found
}

/// When the offset of local time changes.
fn turns(calendar: &Calendar, from: Millis, to: Millis) -> Vec<Millis> {
    let slack: Step = 48.hours();
    let Ok(from) = Timestamp::from_millisecond(from.0).and_then(|at| at.checked_sub(slack)) else {
        return Vec::new();
    };
    let turns = calendar.zone().following(from).map(|turn| Millis(turn.timestamp().as_millisecond()));
    turns.take_while(|turn| *turn <= to.plus(2 * Millis::DAY)).collect()
}

impl Policy {
    /// Of items with these copies, of which nothing is known but when they were recorded, every date follows from the
    /// local date of that.
    pub fn counts_days(&self, copies: &[Copy], retains: &dyn Fn(&str) -> bool) -> bool {
        let rules = ShapeRules::of(self, copies, retains);
        let mut open: Vec<&Period> = rules.rules().flat_map(periods_of).collect();
        let mut seen: BTreeSet<&str> = BTreeSet::new();
        while let Some(period) = open.pop() {
            if counts_exactly(period) {
                return false;
            }
            let mut starts = period.starts();
            while let Some(start) = starts.pop() {
                let Start::Event(event) = start else { continue };
                match self.events.get(event).and_then(|event| event.assume.as_ref()) {
                    Some(Assume::Period(period)) if seen.insert(event) => open.push(period),
                    Some(Assume::Start(start)) if seen.insert(event) => starts.push(start),
                    Some(_) | None => {}
                }
            }
        }
        true
    }

    /// Some date depends on the activity of all of a person's items.
    pub fn asks_of_persons(&self) -> bool {
        let mut shared = self.events.values().filter(|event| match event.level {
            Level::Subject | Level::Process => true,
            Level::Item => false,
        });
        shared.any(|event| event.assume.as_ref().is_some_and(|assume| assume.starts_at(&Start::LastActivity)))
    }

    /// Some period, or the assumption of some event, starts there.
    pub fn starts_at(&self, start: &Start) -> bool {
        let mut assumed = self.events.values().filter_map(|event| event.assume.as_ref());
        self.rules.iter().flat_map(periods_of).any(|period| period.starts_at(start))
            || assumed.any(|assume| assume.starts_at(start))
    }
}

impl Assume {
    fn starts_at(&self, start: &Start) -> bool {
        match self {
            Self::Start(known) => known == start,
            Self::Period(period) => period.starts_at(start),
        }
    }
}

fn periods_of(rule: &Rule) -> impl Iterator<Item = &Period> {
    let keep: Vec<&Period> = match &rule.keep {
        Some(Keep::For(period)) => vec![period],
        Some(Keep::Stages(stages)) => stages.iter().map(|stage| &stage.period).collect(),
        Some(Keep::Indefinitely { .. }) | None => Vec::new(),
    };
    keep.into_iter().chain(&rule.at_least)
}

fn counts_exactly(period: &Period) -> bool {
    match period {
        Period::Simple { span: Span::Days { .. } | Span::WorkingDays(_), .. } => false,
        Period::Simple { span: Span::Exact { .. }, .. } => true,
        Period::Earliest(periods) | Period::Latest(periods) => periods.iter().any(counts_exactly),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const FROM: Millis = Millis(1_000_000_000_000);

    #[test]
    fn starts_of_a_stretch_have_the_same_date_in_every_zone() {
        let zones = ["Europe/Berlin", "America/Sao_Paulo", "Asia/Kolkata", "Pacific/Apia", "UTC"];
        let calendars = zones.map(|zone| Calendar::in_zone(zone, None).unwrap());
        let calendars: Vec<&Calendar> = calendars.iter().collect();
        let to = FROM.plus(20 * 366 * Millis::DAY);
        let days = Days::of(&calendars, FROM, to);
        let mut known: Vec<Option<Vec<jiff::civil::Date>>> = vec![None; days.len()];
        let mut at = FROM.plus(Millis::DAY);
        while at < to.plus(-Millis::DAY) {
            if let Some(stretch) = days.stretch(at) {
                let dates: Vec<_> = calendars.iter().map(|calendar| calendar.local_date(at)).collect();
                assert_eq!(*known[stretch].get_or_insert_with(|| dates.clone()), dates, "{at}");
            }
            at = at.plus(17 * Millis::MINUTE);
        }
        assert!(known.iter().filter(|dates| dates.is_some()).count() > days.len() * 9 / 10);
    }

    #[test]
    fn a_start_lies_in_the_stretch_that_begins_last_before_it() {
        let zones = ["Europe/Berlin", "America/Sao_Paulo", "Pacific/Apia"];
        let calendars = zones.map(|zone| Calendar::in_zone(zone, None).unwrap());
        let days = Days::of(&calendars.iter().collect::<Vec<_>>(), FROM, FROM.plus(15 * 366 * Millis::DAY));
        let ends = days.begin.iter().skip(1);
        for (n, (begin, end)) in days.begin.iter().zip(ends).enumerate() {
            let expected = days.odd.binary_search(&n).is_err().then_some(n);
            for at in [*begin, begin.plus(1), end.plus(-1)] {
                assert_eq!(days.stretch(at), expected, "{at}");
            }
        }
    }

    #[test]
    fn what_lies_outside_is_like_nothing() {
        let calendar = Calendar::in_zone("UTC", None).unwrap();
        let days = Days::of(&[&calendar], FROM, FROM.plus(3 * Millis::DAY));
        assert_eq!(days.stretch(FROM.plus(-2 * Millis::DAY)), None);
        assert_eq!(days.stretch(FROM.plus(9 * Millis::DAY)), None);
        assert!(days.stretch(FROM.plus(Millis::DAY)).is_some());
    }
}
