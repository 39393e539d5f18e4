//! How the dates of one kind's items lie between each other, day by day.
//!
//! What an item comes to follows from how its dates, now, its recording and what its person said lie between each other,
//! and from nothing else: a verdict compares dates and adds nothing to them. So days whose items' dates lie alike share
//! what consents come to. Rejected: to judge each day's consents by themselves; to collect items and go through them by
//! day, which costs more than the misses that it saves once little is known of a day.

use std::collections::BTreeMap;

use quietus_core::time::Millis;

/// Every date that an item may have under either policy, and now; and how they lie.
#[derive(Debug)]
pub(super) struct Dates {
    /// Sorted; as many on every day, where some are one with a date beyond all at the end.
    pub all: Vec<Millis>,
    /// Of each rule, of now and of the recording, its place among them, or why there is none.
    pub order: Vec<u16>,
}

#[derive(Debug, Default)]
pub(super) struct Patterns {
    /// Of each stretch of days its place among those that were asked about, counted from 1; 0 = it was not.
    days: Vec<u32>,
    /// Their items' dates, each day's as many.
    dates: Vec<Millis>,
    width: usize,
    /// How these lie.
    lie: Vec<u16>,
    known: Vec<Pattern>,
}

#[derive(Debug)]
struct Pattern {
    /// What an item comes to of whose person nothing was said, and how its dates lie.
    of: (u16, Vec<u16>),
    /// By how consents lie between them.
    comes_to: BTreeMap<u64, u16>,
}

impl Patterns {
    /// The dates of the items of this stretch of days, of so many; `alone` = what they come to by themselves. None =
    /// they lie in too many ways.
    pub fn dates(
        &mut self,
        day: usize,
        of: usize,
        alone: u16,
        dates: impl FnOnce() -> Dates,
    ) -> Option<(&[Millis], Asked)> {
        let asked = match self.days.get(day).and_then(|place| place.checked_sub(1)) {
            Some(place) => Asked(usize::try_from(place).ok()?),
            None => self.learn(day, of, alone, dates())?,
        };
        let from = asked.0.checked_mul(self.width)?;
        Some((self.dates.get(from..from.checked_add(self.width)?)?, asked))
    }

    fn learn(&mut self, day: usize, of: usize, alone: u16, dates: Dates) -> Option<Asked> {
        if self.days.is_empty() {
            self.width = dates.all.len();
            self.days.resize(of, 0);
        }
        let Dates { all, order } = dates;
        let key = (alone, order);
        let known = self.known.iter().position(|pattern| pattern.of == key);
        let lie =
            u16::try_from(known.unwrap_or(self.known.len())).ok().filter(|_| all.len() == self.width)?;
        let asked = self.lie.len();
        *self.days.get_mut(day)? = u32::try_from(asked + 1).ok()?;
        self.dates.extend(all);
        self.lie.push(lie);
        if known.is_none() {
            self.known.push(Pattern { of: key, comes_to: BTreeMap::new() });
        }
        Some(Asked(asked))
    }

    /// What consents that lie so between that day's dates come to.
    pub fn find(&self, day: Asked, between: u64) -> Option<u16> {
        let lie = self.lie.get(day.0)?;
        self.known.get(usize::from(*lie))?.comes_to.get(&between).copied()
    }

    pub fn keep(&mut self, day: Asked, between: u64, comes_to: u16) {
        let lie = self.lie.get(day.0).copied().map(usize::from);
        if let Some(pattern) = lie.and_then(|lie| self.known.get_mut(lie)) {
            pattern.comes_to.insert(between, comes_to);
        }
    }
}

/// A day that was asked about.
#[derive(Clone, Copy, Debug)]
pub(super) struct Asked(usize);
