//! Counting a difference, store by store.

use std::sync::Arc;

use quietus_core::engine::control::Control;
use quietus_core::item::Subject;
use quietus_core::life::{Lives, What};
use quietus_core::policy::{Days, NAMELESS};
use quietus_core::record::Shape;
use quietus_core::time::Millis;

use super::kinds::Kinds;
use super::replan::Replan;
use super::{Difference, RuleDifference};
use crate::store::{Census, Matters, Store};

#[derive(Debug)]
pub(super) struct Counting<'a> {
    replan: Replan<'a>,
    /// Nothing is counted by the day.
    pub item_by_item: bool,
    days: Days,
    kinds: Kinds,
    difference: Difference,
}

/// One store's items.
struct Here<'c, 'a> {
    counting: &'c mut Counting<'a>,
    control: &'c Control,
}

impl<'a> Counting<'a> {
    pub fn new(replan: Replan<'a>) -> Self {
        let item_by_item = replan.asks_of_persons();
        let days = if item_by_item { Days::default() } else { replan.days() };
        Self { replan, item_by_item, days, kinds: Kinds::default(), difference: Difference::default() }
    }

    pub fn count(&mut self, store: &dyn Store, control: &Control) {
        let item_by_item = self.item_by_item;
        let mut here = Here { counting: self, control };
        match item_by_item {
            true => store.each(&mut |lives, subject| here.whole(lives, subject)),
            false => store.census(&mut here),
        }
    }

    pub fn finish(mut self) -> Difference {
        self.kinds.total(&mut self.difference);
        self.difference.by_rule.retain(|_, rule| *rule != RuleDifference::default());
        self.difference
    }
}

impl Here<'_, '_> {
    fn place(&mut self, kind: usize, start: Option<Millis>) -> Option<u16> {
        let Counting { replan, days, kinds, .. } = &mut *self.counting;
        kinds.place(replan, days, self.control, kind, start)
    }
}

impl Census for Here<'_, '_> {
    fn matters(&self, what: &What) -> Matters {
        self.counting.replan.matters(what)
    }

    fn is_for(&self, shape: &Shape, purpose: &str) -> bool {
        let mut lists = shape.copies.iter().map(|copy| copy.purposes.as_ref().unwrap_or(&shape.purposes));
        lists.any(|list| match purpose {
            NAMELESS => list.is_empty(),
            purpose => list.iter().any(|own| own == purpose),
        })
    }

    fn shape(&mut self, shape: &Arc<Shape>) -> Option<usize> {
        let Counting { replan, days, kinds, .. } = &mut *self.counting;
        kinds.of(replan, days, self.control, shape)
    }

    fn is_narrow(&mut self, kind: usize, starts: Option<(Millis, Millis)>) -> bool {
        let Some((first, last)) = starts.filter(|(first, last)| first != last) else { return true };
        let days = &self.counting.days;
        let (Some(from), Some(to)) = (days.stretch(first), days.stretch(last)) else { return false };
        if !days.are_alike(from, to) {
            return false;
        }
        let place = self.place(kind, Some(first));
        let mut later = from + 1..=to;
        place.is_some()
            && later.all(|stretch| {
                let begin = self.counting.days.begin(stretch);
                begin.is_some_and(|begin| self.place(kind, Some(begin)) == place)
            })
    }

    fn count(&mut self, kind: usize, starts: Option<(Millis, Millis)>, items: i64) {
        let start = starts.map(|(first, _)| first);
        if let Some(place) = self.place(kind, start) {
            self.counting.kinds.add(kind, place, items);
        } else {
            // A day on which the clocks change at midnight, or one that is far away.
            let Counting { replan, kinds, difference, .. } = &mut *self.counting;
            difference.add(&replan.alone(self.control, kinds.copies(kind), start), items);
        }
    }

    fn whole(&mut self, lives: &Lives, subject: &Subject) {
        let Some(life) = lives.newest().filter(|l| !l.is_ended()) else { return };
        let mut life = life.clone();
        self.control.complete(&mut life);
        let Counting { replan, difference, .. } = &mut *self.counting;
        replan.one(self.control, &life, subject, difference);
    }
}
