//! One kind of items: what those recorded on each day come to, alone and by what their persons said of consent.
//!
//! Consent moves no date but its own: what it leaves of a part's date is the earlier of the two. So an item comes to
//! the same for all times of a grant or a withdrawal between two of the dates that its day's items may have, and that
//! is judged once. Where a rule starts at consent there are as many dates as times, and each item is judged.

use quietus_core::engine::control::Control;
use quietus_core::item::{Consent, Copy};
use quietus_core::policy::{Days, NAMELESS};
use quietus_core::time::Millis;

use super::Difference;
use super::consents::{Consents, Heard, Places};
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
    /// Of each stretch of days, where consents were met: made when they are.
    consents: Vec<Option<Box<OfDay>>>,
    /// Items with consents that are not judged yet.
    met: Vec<Met>,
    /// Distinct ones, and how many items.
    comes_to: Vec<(Difference, i64)>,
}

/// Items recorded on one day by what their persons said.
#[derive(Debug, Default)]
struct OfDay {
    /// Every date that an item may have then under either policy, and now; sorted.
    dates: Vec<Millis>,
    /// How their persons' consents lie between the dates, and the place of what that comes to.
    known: Vec<(u64, u16)>,
}

/// An item recorded then, on this stretch of days, and whose it is.
#[derive(Clone, Copy, Debug, Default)]
struct Met {
    start: Millis,
    day: u32,
    person: u32,
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
            consents: Vec::new(),
            met: Vec::new(),
            comes_to: Vec::new(),
        }
    }

    pub fn total(&self, difference: &mut Difference) {
        self.comes_to.iter().for_each(|(one, items)| difference.add(one, *items));
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

    /// One of those that were counted, and who of these persons said something of it. True = it waits for [`Self::settle`].
    pub fn consented(
        &mut self,
        around: Around<'_>,
        start: Option<Millis>,
        person: usize,
        persons: &[Consents],
        rest: &mut Difference,
    ) -> bool {
        let Some(said) = persons.get(person) else { return false };
        let place = |heard: &String| self.purposes.iter().position(|own| own == heard);
        let new = around.heard.all().iter().skip(self.places.len());
        let new: Places =
            new.map(|heard| place(heard).map(|at| u8::try_from(at).unwrap_or(u8::MAX))).collect();
        self.places.extend(new);
        if !said.concern(&self.places) {
            return false;
        }
        let day = start.and_then(|start| around.days.stretch(start)).and_then(|day| u32::try_from(day).ok());
        if let (Some(start), Some(day), Ok(person)) = (start, day, u32::try_from(person)) {
            self.met.push(Met { start, day, person });
            return true;
        }
        self.count(around, start, -1, rest);
        rest.add(&self.alone(around, start, said), 1);
        false
    }

    /// Judges those that were met, day by day.
    pub fn settle(&mut self, around: Around<'_>, persons: &[Consents], rest: &mut Difference) {
        let met = by_day(std::mem::take(&mut self.met), self.of_days.len());
        for Met { start, day, person } in met {
            let (start, day) = (Some(start), Some(day as usize));
            let Some(said) = persons.get(person as usize) else { continue };
            match self.place(around, start, day) {
                Some(place) => self.add(place, -1),
                None => rest.add(&self.alone(around, start, &Consents::default()), -1),
            }
            match self.place_of(around, start, day, said) {
                Some(place) => self.add(place, 1),
                None => rest.add(&self.alone(around, start, said), 1),
            }
        }
    }

    fn add(&mut self, place: u16, items: i64) {
        let of = usize::from(place).checked_sub(1).and_then(|at| self.comes_to.get_mut(at));
        of.into_iter().for_each(|(_, known)| *known += items);
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
        if self.consents.is_empty() {
            self.consents.resize_with(self.of_days.len(), || None);
        }
        if self.consents.get(day)?.is_none() {
            let dates = around.replan.judging(around.control, &self.copies).dates(start);
            *self.consents.get_mut(day)? = Some(Box::new(OfDay { dates, known: Vec::new() }));
        }
        let of_day = self.consents.get(day)?.as_ref()?;
        let between = said.between(&of_day.dates, start, &self.places)?;
        if let Some((_, place)) = of_day.known.iter().find(|(known, _)| *known == between) {
            return Some(*place);
        }
        let found = self.alone(around, Some(start), said);
        let place = self.keep(found)?;
        self.consents.get_mut(day)?.as_mut()?.known.push((between, place));
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
        let same = self.comes_to.iter().position(|(known, _)| *known == found);
        let place = u16::try_from(same.unwrap_or(self.comes_to.len()) + 1).ok()?;
        if same.is_none() {
            self.comes_to.push((found, 0));
        }
        Some(place)
    }
}

/// Sorts by day, of so many.
fn by_day(met: Vec<Met>, days: usize) -> Vec<Met> {
    if met.is_empty() {
        return met;
    }
    let mut next = vec![0usize; days + 1];
    let place = |day: u32| (day as usize).min(days);
    met.iter().for_each(|one| next.get_mut(place(one.day)).into_iter().for_each(|count| *count += 1));
    let mut before = 0;
    next.iter_mut().for_each(|count| before += std::mem::replace(count, before));
    let mut sorted = vec![Met::default(); met.len()];
    for one in met {
        if let Some(next) = next.get_mut(place(one.day)) {
            sorted.get_mut(*next).into_iter().for_each(|to| *to = one);
            *next += 1;
        }
    }
    sorted
}
