//! Counting a difference, store by store.

use std::sync::Arc;

use quietus_core::engine::control::Control;
use quietus_core::item::Subject;
use quietus_core::life::{Lives, What};
use quietus_core::policy::Days;
use quietus_core::record::Shape;
use quietus_core::time::Millis;

use super::consents::{Consents, Heard};
use super::kind::{Around, Kind};
use super::kinds::Kinds;
use super::replan::Replan;
use super::{Difference, RuleDifference};
use crate::store::{Census, Matters, Said, Store};

#[derive(Debug)]
pub(super) struct Counting<'a> {
    replan: Replan<'a>,
    days: &'a Days,
    /// Nothing is counted by the day.
    pub item_by_item: bool,
    kinds: Kinds,
    heard: Heard,
    difference: Difference,
}

/// One store's items.
struct Here<'c, 'a> {
    counting: &'c mut Counting<'a>,
    control: &'c Control,
    persons: Vec<Consents>,
}

impl<'a> Counting<'a> {
    pub fn new(replan: Replan<'a>, days: &'a Days) -> Self {
        let item_by_item = replan.asks_of_persons();
        let (kinds, heard) = (Kinds::default(), Heard::default());
        Self { replan, days, item_by_item, kinds, heard, difference: Difference::default() }
    }

    pub fn count(&mut self, store: &dyn Store, control: &Control) {
        let item_by_item = self.item_by_item;
        let mut here = Here { counting: self, control, persons: Vec::new() };
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
    /// A kind with what its counts need, and where those go that it cannot keep.
    fn kind(&mut self, kind: usize) -> Option<(&mut Kind, Around<'_>, &mut Difference, &[Consents])> {
        let Counting { replan, days, kinds, heard, difference, .. } = &mut *self.counting;
        let around = Around { replan, days, control: self.control, heard };
        kinds.get_mut(kind).map(|kind| (kind, around, difference, self.persons.as_slice()))
    }
}

impl Census for Here<'_, '_> {
    fn matters(&self, what: &What) -> Matters {
        self.counting.replan.matters(what)
    }

    fn minds_touches(&self) -> bool {
        self.counting.replan.at_activity
    }

    fn shape(&mut self, shape: &Arc<Shape>) -> Option<usize> {
        let Counting { replan, days, kinds, .. } = &mut *self.counting;
        kinds.of(replan, days, self.control, shape)
    }

    fn is_narrow(&mut self, kind: usize, starts: Option<(Millis, Millis)>) -> bool {
        let Some((first, last)) = starts.filter(|(first, last)| first != last) else { return true };
        self.kind(kind).is_some_and(|(kind, around, ..)| kind.is_narrow(around, first, last))
    }

    fn count(&mut self, kind: usize, starts: Option<(Millis, Millis)>, items: i64) {
        if let Some((kind, around, rest, _)) = self.kind(kind) {
            kind.count(around, starts.map(|(first, _)| first), items, rest);
        }
    }

    fn forget_persons(&mut self) {
        self.persons.clear();
    }

    fn hear(&mut self, person: Option<usize>, said: Said<'_>) -> usize {
        let person = person.unwrap_or(self.persons.len());
        if person == self.persons.len() {
            self.persons.push(Consents::default());
        }
        if let Some(known) = self.persons.get_mut(person) {
            known.hear(said, &mut self.counting.heard);
        }
        person
    }

    fn is_moved(&self, kind: usize) -> bool {
        let (kind, heard) = (self.counting.kinds.get(kind), self.counting.heard.all());
        kind.is_some_and(|kind| heard.iter().any(|purpose| kind.is_for(purpose)))
    }

    fn consented(&mut self, kind: usize, start: Option<Millis>, person: usize) {
        if let Some((kind, around, rest, persons)) = self.kind(kind)
            && let Some(said) = persons.get(person)
        {
            kind.consented(around, start, said, rest);
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
