//! One kind of items: what those recorded on each day come to, alone and by what their persons said of consent.
//!
//! Consent moves no date but its own: what it leaves of a part's date is the earlier of the two. So an item comes to
//! the same for all times of a grant or a withdrawal between two of the dates that its day's items may have, and that
//! is judged once for all days whose dates lie alike. Where a rule starts at consent there are as many dates as times, and each item is judged.

use quietus_core::engine::control::Control;
use quietus_core::item::{Consent, Copy};
use quietus_core::policy::{Days, NAMELESS};
use quietus_core::time::Millis;

use super::Difference;
use super::consents::{Consents, Heard, Places};
use super::pattern::Patterns;
use super::replan::Replan;

/// Days that are judged at once: the rules are resolved once for all of them.
const BLOCK: usize = 64;

#[derive(Debug)]
pub(super) struct Kind {
    copies: Vec<Copy>,
    /// Of its copies, sorted; "" = one has none.
    purposes: Vec<String>,
    /// Of those that were heard of.
    places: Places,
    /// What an item recorded in each stretch of days comes to, as its place in `comes_to`, counted from 1; 0 = not
    /// judged yet.
    of_days: Vec<u16>,
    undated: u16,
    /// Of the days on which consents were met.
    patterns: Patterns,
    /// Distinct ones.
    comes_to: Vec<Difference>,
    /// How many items come to each.
    items: Vec<i64>,
}

/// What a count needs beside the kind itself.
#[derive(Clone, Copy)]
pub(super) struct Around<'c> {
    pub replan: &'c Replan<'c>,
    pub days: &'c Days,
    pub control: &'c Control,
    pub heard: &'c Heard,
}

impl Kind {
    pub fn new(days: &Days, copies: Vec<Copy>) -> Self {
        let mut purposes: Vec<String> =
            copies.iter().flat_map(|copy| copy.purposes.iter().cloned()).collect();
        if copies.iter().any(|copy| copy.purposes.is_empty()) {
            purposes.push(NAMELESS.to_owned());
        }
        purposes.sort_unstable();
        purposes.dedup();
        Self {
            copies,
            purposes,
            places: Places::new(),
            of_days: vec![0; days.len()],
            undated: 0,
            patterns: Patterns::default(),
            comes_to: Vec::new(),
            items: Vec::new(),
        }
    }

    pub fn total(&self, difference: &mut Difference) {
        self.comes_to.iter().zip(&self.items).for_each(|(one, items)| difference.add(one, *items));
    }

    pub fn is_for(&self, purpose: &str) -> bool {
        self.purposes.iter().any(|own| own == purpose)
    }

    /// All that were recorded from the first to the last of these come to the same.
    pub fn is_narrow(&mut self, around: Around<'_>, first: Millis, last: Millis) -> bool {
        let (Some(from), Some(to)) = (around.days.stretch(first), around.days.stretch(last)) else {
            return false;
        };
        if !around.days.are_alike(from, to) {
            return false;
        }
        let unknown = |of_days: &[u16]| {
            let days = of_days.get(from..=to).unwrap_or_default();
            days.iter().position(|place| *place == 0).map(|at| from + at)
        };
        while let Some(day) = unknown(&self.of_days) {
            self.judge_days(around, day);
            if self.of_days.get(day) == Some(&0) {
                return false;
            }
        }
        let places = self.of_days.get(from..=to).unwrap_or_default();
        places.windows(2).all(|pair| pair.first() == pair.last())
    }

    /// So many more items that were recorded then.
    pub fn count(&mut self, around: Around<'_>, start: Option<Millis>, items: i64, rest: &mut Difference) {
        let day = start.and_then(|start| around.days.stretch(start));
        match self.place(around, start, day) {
            Some(place) => self.add(place, items),
            // A day on which the clocks change at midnight, or one that is far away.
            None => rest.add(&self.alone(around, start, &Consents::default()), items),
        }
    }

    /// One of those that were counted, and what its person said.
    pub fn consented(
        &mut self,
        around: Around<'_>,
        start: Option<Millis>,
        said: &Consents,
        rest: &mut Difference,
    ) {
        let heard = around.heard.all();
        if self.places.len() < heard.len() {
            let place = |heard: &String| self.purposes.iter().position(|own| own == heard);
            let new = heard.iter().skip(self.places.len());
            let new: Places =
                new.map(|heard| place(heard).map(|at| u8::try_from(at).unwrap_or(u8::MAX))).collect();
            self.places.extend(new);
        }
        if !said.concern(&self.places) {
            return;
        }
        let day = start.and_then(|start| around.days.stretch(start));
        match self.place(around, start, day) {
            Some(place) => self.add(place, -1),
            None => rest.add(&self.alone(around, start, &Consents::default()), -1),
        }
        match self.place_of(around, start, day, said) {
            Some(place) => self.add(place, 1),
            None => rest.add(&self.alone(around, start, said), 1),
        }
    }

    fn add(&mut self, place: u16, items: i64) {
        let of = usize::from(place).checked_sub(1).and_then(|at| self.items.get_mut(at));
        of.into_iter().for_each(|known| *known += items);
    }

    /// None = that day's do not all come to the same.
    fn place(&mut self, around: Around<'_>, start: Option<Millis>, day: Option<usize>) -> Option<u16> {
        if start.is_none() {
            if self.undated == 0 {
                let found = self.alone(around, None, &Consents::default());
                self.undated = self.keep(found)?;
            }
            return Some(self.undated);
        }
        let day = day?;
        if self.of_days.get(day) == Some(&0) {
            self.judge_days(around, day);
        }
        self.of_days.get(day).copied().filter(|place| *place != 0)
    }

    fn place_of(
        &mut self,
        around: Around<'_>,
        start: Option<Millis>,
        day: Option<usize>,
        said: &Consents,
    ) -> Option<u16> {
        let (start, day) = start.zip(day).filter(|_| !around.replan.at_consent)?;
        let (of, alone) = (self.of_days.len(), self.of_days.get(day).copied()?);
        let dates = || around.replan.judging(around.control, &self.copies).dates(start);
        let (dates, asked) = self.patterns.dates(day, of, alone, dates)?;
        let between = said.between(dates, start, &self.places)?;
        if let Some(place) = self.patterns.find(asked, between) {
            return Some(place);
        }
        let found = self.alone(around, Some(start), said);
        let place = self.keep(found)?;
        self.patterns.keep(asked, between, place);
        Some(place)
    }

    fn alone(&self, around: Around<'_>, start: Option<Millis>, said: &Consents) -> Difference {
        let mut found = Difference::default();
        around.replan.judging(around.control, &self.copies).add(
            start,
            said.consent(around.heard),
            &mut found,
        );
        found
    }

    /// Judges the days from this one on that are not judged yet, a block of them.
    fn judge_days(&mut self, around: Around<'_>, from: usize) {
        let block = from..from.saturating_add(BLOCK).min(self.of_days.len());
        let mut found: Vec<(usize, Difference)> = Vec::with_capacity(BLOCK);
        let mut judging = around.replan.judging(around.control, &self.copies);
        for day in block.filter(|day| self.of_days.get(*day) == Some(&0)) {
            if let Some(begin) = around.days.begin(day).filter(|_| around.days.are_alike(day, day)) {
                let mut one = Difference::default();
                judging.add(Some(begin), Consent::default(), &mut one);
                found.push((day, one));
            }
        }
        drop(judging);
        for (day, one) in found {
            if let (Some(place), Some(of_day)) = (self.keep(one), self.of_days.get_mut(day)) {
                *of_day = place;
            }
        }
    }

    /// The place of this; None = there are too many distinct ones.
    fn keep(&mut self, found: Difference) -> Option<u16> {
        let same = self.comes_to.iter().position(|known| *known == found);
        let place = u16::try_from(same.unwrap_or(self.comes_to.len()) + 1).ok()?;
        if same.is_none() {
            self.comes_to.push(found);
            self.items.push(0);
        }
        Some(place)
    }
}
