//! The reference: for each person and record the plain things that were told about it, judged anew at every
//! question.
//!
//! Naive on purpose. It folds nothing but lists, knows no shapes, no duties and no rounds, and never asks
//! `policy::judge`. One model is what one partition has read; with what its sources have not delivered yet beside
//! it, it is the truth.

use std::collections::{BTreeMap, BTreeSet};

use quietus_core::time::Millis;

use crate::plain::{Item, NEVER, Part, Person, Purpose, Record, System, Told, Values, What};
use crate::rules::{From, Rules};

/// An entry of the control log.
#[derive(Clone, Debug)]
pub enum Decree {
    Policy(Rules),
    Placed(String, Scope),
    Released(String),
    Other,
}

/// What a hold covers: AND across fields; an empty list says nothing.
#[derive(Clone, Debug, Default)]
pub struct Scope {
    pub people: Vec<Person>,
    pub systems: Vec<System>,
    pub parts: Vec<Part>,
}

/// A person asks.
#[derive(Clone, Debug)]
pub struct Ask {
    pub id: String,
    pub person: Person,
    pub asks: Asked,
}

#[derive(Clone, Debug)]
pub enum Asked {
    Erase(Option<&'static str>),
    /// Consent.
    Withdraw,
    Correct(Values),
}

#[derive(Clone, Debug, Default)]
pub struct Model {
    pub now: i64,
    pub k: u64,
    pub rules: Option<Rules>,
    pub holds: BTreeMap<String, Scope>,
    /// What was told about a person as a whole.
    pub people: BTreeMap<Person, Vec<Told>>,
    /// Purposes that a request ended; None = the nameless one.
    pub ended: BTreeMap<Person, Vec<(Option<Purpose>, i64)>>,
    pub lives: BTreeMap<Item, Vec<Life>>,
    /// Told before its item was.
    early: BTreeMap<Item, Vec<Told>>,
    heard: BTreeSet<u64>,
    asked: BTreeSet<String>,
}

#[derive(Clone, Debug, Default)]
pub struct Life {
    pub start: Option<i64>,
    pub told: Vec<Told>,
    /// In the order they were named.
    pub copies: Vec<Copy>,
}

#[derive(Clone, Debug)]
pub struct Copy {
    pub system: System,
    pub purposes: Vec<Purpose>,
    /// The partition knows it to be gone.
    pub gone: Option<Gone>,
    /// It is over whatever its dates say: restored after it was erased, or found after its item's end.
    pub forced: bool,
    /// What its parts were to be corrected to, last.
    pub corrected: Values,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Gone {
    pub at: i64,
    /// By us; else its company took it away.
    pub erased: bool,
}

impl Life {
    /// When the last copy went.
    pub fn ended_at(&self) -> Option<i64> {
        let gone: Option<Vec<i64>> = self.copies.iter().map(|c| c.gone.map(|g| g.at)).collect();
        gone?.into_iter().max()
    }

    pub fn copy(&self, system: System) -> Option<&Copy> {
        self.copies.iter().find(|c| c.system == system)
    }

    fn copy_mut(&mut self, system: System) -> Option<&mut Copy> {
        self.copies.iter_mut().find(|c| c.system == system)
    }
}

impl Model {
    /// `begins`: a record that its company knows to be a new one.
    pub fn hear(&mut self, person: Person, told: &Told, begins: bool) {
        if !self.heard.insert(told.id) {
            return;
        }
        match (&told.what, told.what.item()) {
            (What::Recorded { item, start, purposes, systems }, _) => {
                self.recorded(*item, told.at, *start, begins, purposes, systems);
            }
            (What::Gone { item, system }, _) => {
                if let Some(copy) = self.newest_mut(*item).and_then(|l| l.copy_mut(*system)) {
                    copy.gone = copy.gone.or(Some(Gone { at: told.at, erased: false }));
                }
            }
            (What::Corrected { item, values }, _) => self.corrected(*item, values),
            (_, Some(item)) => match self.newest_mut(item) {
                Some(life) => life.told.push(told.clone()),
                None => self.early.entry(item).or_default().push(told.clone()),
            },
            (_, None) => self.people.entry(person).or_default().push(told.clone()),
        }
    }

    /// Only what lives is corrected; what is gone by the word of who erased it may live.
    fn corrected(&mut self, item: Item, values: &Values) {
        let copies = self.newest_mut(item).into_iter().flat_map(|life| &mut life.copies);
        for copy in copies.filter(|c| c.gone.is_none_or(|gone| gone.erased)) {
            copy.corrected.extend(values.iter().map(|(part, value)| (*part, value.clone())));
        }
    }

    /// Recorded again: the earliest start stays, and what is named takes the newer words. After its end, a start after
    /// that end, or none, is a new life.
    fn recorded(
        &mut self,
        item: Item,
        at: i64,
        start: Option<i64>,
        begins: bool,
        purposes: &[Purpose],
        systems: &[System],
    ) {
        let lives = self.lives.entry(item).or_default();
        let ended = lives.last().and_then(Life::ended_at);
        let reborn = ended.is_some_and(|ended| at > ended && start.is_none_or(|start| start > ended));
        for copy in lives.last_mut().into_iter().filter(|_| begins).flat_map(|life| &mut life.copies) {
            copy.gone = copy.gone.or(Some(Gone { at, erased: true }));
        }
        if lives.is_empty() || reborn || begins {
            lives.push(Life { told: self.early.remove(&item).unwrap_or_default(), ..Life::default() });
        }
        let life = lives.last_mut().unwrap();
        let over = !life.copies.is_empty() && life.ended_at().is_some();
        let back =
            |copy: &Copy| systems.contains(&copy.system) && copy.gone.is_some_and(|g| !g.erased && at > g.at);
        let lives_on = life.copies.iter().any(back);
        let mut news = !over;
        for system in systems {
            let words = purposes.to_vec();
            match life.copy_mut(*system) {
                Some(copy) => {
                    let back = copy.gone.filter(|gone| at > gone.at);
                    if let Some(gone) = back {
                        (copy.gone, copy.forced) = (None, copy.forced || gone.erased);
                        copy.corrected.clear();
                    }
                    if back.is_some() || !over {
                        copy.purposes = words;
                    }
                    news |= back.is_some();
                }
                None => {
                    news = true;
                    life.copies.push(Copy {
                        system: *system,
                        purposes: words,
                        gone: None,
                        forced: over && !lives_on,
                        corrected: Values::new(),
                    });
                }
            }
        }
        if news {
            life.start = [life.start, start].into_iter().flatten().min();
        }
    }

    /// What an answer or a read-back made known of a copy of the life with this generation.
    pub fn saw(&mut self, item: Item, generation: u32, system: System, gone: Option<Gone>) {
        let at = usize::try_from(generation).unwrap() - 1;
        let life = self.lives.get_mut(&item).and_then(|l| l.get_mut(at));
        if let Some(copy) = life.and_then(|l| l.copy_mut(system)) {
            copy.gone = gone;
        }
    }

    pub fn decreed(&mut self, k: u64, decree: &Decree) {
        if k != self.k + 1 {
            return;
        }
        self.k = k;
        match decree {
            Decree::Policy(rules) => self.rules = Some(rules.clone()),
            Decree::Placed(id, scope) => {
                self.holds.insert(id.clone(), scope.clone());
            }
            Decree::Released(id) => {
                self.holds.remove(id);
            }
            Decree::Other => {}
        }
    }

    pub fn asked(&mut self, ask: &Ask, items: &BTreeMap<Item, Record>) {
        if !self.asked.insert(ask.id.clone()) {
            return;
        }
        let mine = items.iter().filter(|(_, record)| record.person == ask.person).map(|(item, _)| *item);
        // Without a policy nobody can say what a request ends; the node takes none in.
        if self.rules.is_none() {
            return;
        }
        let now = self.now;
        let grounds = match &ask.asks {
            Asked::Erase(grounds) => grounds,
            Asked::Withdraw => {
                let what = What::Withdrawn { item: None, purpose: Purpose::Ads };
                return self.people.entry(ask.person).or_default().push(Told { id: 0, at: now, what });
            }
            Asked::Correct(values) => return mine.for_each(|item| self.corrected(item, values)),
        };
        let mut named: BTreeSet<Option<Purpose>> = BTreeSet::new();
        for (_, lives) in self.lives.iter().filter(|(i, _)| items[i].person == ask.person) {
            let copies = lives.last().into_iter().flat_map(|l| &l.copies).filter(|c| c.gone.is_none());
            copies.for_each(|c| match c.purposes.as_slice() {
                [] => drop(named.insert(None)),
                some => named.extend(some.iter().copied().map(Some)),
            });
        }
        // What was told has happened, by a clock that may be ahead of the node's.
        let over = self.closed(ask.person, now + Millis::SKEW, &[]).is_some();
        let lets_go = matches!(grounds, Some("unlawful" | "no_longer_necessary" | "legal_obligation"));
        let ends = |p: &Option<Purpose>| matches!(p, None | Some(Purpose::Ads)) || over || lets_go;
        self.ended.entry(ask.person).or_default().extend(named.into_iter().filter(ends).map(|p| (p, now)));
    }

    pub fn has_heard(&self, event: u64) -> bool {
        self.heard.contains(&event)
    }

    fn newest_mut(&mut self, item: Item) -> Option<&mut Life> {
        self.lives.get_mut(&item).and_then(|l| l.last_mut())
    }

    /// When the account was closed, as far as was told up to `upto`, and not opened again.
    fn closed(&self, person: Person, upto: i64, more: &[&Told]) -> Option<i64> {
        let of = |what: &What| {
            let told = self.people.get(&person).into_iter().flatten().chain(more.iter().copied());
            told.filter(|t| t.at <= upto && t.what == *what).map(|t| t.at).max()
        };
        let (closed, reopened) = (of(&What::Closed), of(&What::Reopened));
        closed.filter(|at| reopened < Some(*at))
    }

    pub fn question<'a>(&'a self, record: &'a Record, life: &'a Life, more: &'a [&'a Told]) -> Question<'a> {
        Question { model: self, record, life, more }
    }
}

/// One life of one record, with what was told beside the model.
#[derive(Debug)]
pub struct Question<'a> {
    model: &'a Model,
    record: &'a Record,
    life: &'a Life,
    more: &'a [&'a Told],
}

impl Question<'_> {
    /// When no purpose keeps this part of this copy any more, by what was told up to `upto`.
    pub fn over(&self, copy: &Copy, part: Part, upto: i64) -> i64 {
        let Some(rules) = &self.model.rules else { return NEVER };
        if copy.purposes.is_empty() {
            return self.ended(None, upto).unwrap_or(NEVER);
        }
        let end = |purpose: &Purpose| {
            let rule = rules.keep(part, *purpose);
            let runs_out = rule
                .and_then(|keep| Some(rules.over(self.begun(keep.from, *purpose, upto)?, keep.span, false)));
            let ended = self.ended(Some(*purpose), upto);
            runs_out.unwrap_or(NEVER).min(ended.unwrap_or(NEVER))
        };
        copy.purposes.iter().map(end).max().unwrap_or(NEVER)
    }

    /// Until when the law keeps this part of this copy; 0 = not at all.
    pub fn kept_by_law(&self, copy: &Copy, part: Part, upto: i64, retaining: &BTreeSet<System>) -> i64 {
        let Some(rules) = &self.model.rules else { return 0 };
        let (Some(minimum), Part::Amount) = (&rules.minimum, part) else { return 0 };
        let mut live = self.life.copies.iter().filter(|c| c.gone.is_none());
        let keeper = match live.clone().find(|c| retaining.contains(&c.system)) {
            Some(keeper) => Some(keeper),
            None => live.next(),
        };
        if keeper.is_none_or(|k| k.system != copy.system) {
            return 0;
        }
        let start = self.begun(minimum.from, Purpose::Billing, upto);
        start.map_or(NEVER, |start| rules.over(start, minimum.span, minimum.to_end_of_month))
    }

    /// Ids of the holds that cover this part of this copy.
    pub fn held(&self, holds: &BTreeMap<String, Scope>, system: System, part: Part) -> Vec<String> {
        let within = |scope: &Scope| {
            (scope.people.is_empty() || scope.people.contains(&self.record.person))
                && (scope.systems.is_empty() || scope.systems.contains(&system))
                && (scope.parts.is_empty() || scope.parts.contains(&part))
        };
        holds.iter().filter(|(_, scope)| within(scope)).map(|(id, _)| id.clone()).collect()
    }

    /// It was over at some moment up to `now`, by everything that had happened by then.
    pub fn was_ever_over(&self, copy: &Copy, part: Part, now: i64) -> bool {
        let mut moments: Vec<i64> = self.told().map(|t| t.at - 1).filter(|at| *at < now).collect();
        moments.push(now);
        moments.into_iter().any(|moment| self.over(copy, part, moment) <= moment)
    }

    fn told(&self) -> impl Iterator<Item = &Told> {
        let person = self.model.people.get(&self.record.person).into_iter().flatten();
        person.chain(&self.life.told).chain(self.more.iter().copied())
    }

    fn latest(&self, upto: i64, is: impl Fn(&What) -> bool) -> Option<i64> {
        self.told().filter(|t| t.at <= upto && is(&t.what)).map(|t| t.at).max()
    }

    fn granted(&self, purpose: Purpose, upto: i64) -> Option<i64> {
        self.latest(upto, |w| matches!(w, What::Granted { purpose: p, .. } if *p == purpose))
    }

    fn begun(&self, from: From, purpose: Purpose, upto: i64) -> Option<i64> {
        match from {
            From::Recorded => self.life.start,
            From::LastActivity => self.latest(upto, |w| matches!(w, What::Touched { .. } | What::Active)),
            From::Granted => self.granted(purpose, upto),
            From::Closed => self.model.closed(self.record.person, upto, self.more),
        }
    }

    /// When a withdrawal or a request ended a purpose, and no grant opened it again.
    fn ended(&self, purpose: Option<Purpose>, upto: i64) -> Option<i64> {
        let reaches = |at: &i64| *at <= upto && self.life.start.is_none_or(|start| start <= *at);
        let asked = self.model.ended.get(&self.record.person).into_iter().flatten();
        let asked = asked.filter(|(p, _)| *p == purpose).map(|(_, at)| *at).filter(reaches).max();
        let Some(purpose) = purpose else { return asked };
        let is = |w: &What| matches!(w, What::Withdrawn { purpose: p, .. } if *p == purpose);
        let withdrawn = self.told().filter(|t| purpose == Purpose::Ads && is(&t.what)).map(|t| t.at);
        let withdrawn = withdrawn.filter(reaches).max();
        let granted = self.granted(purpose, upto);
        let stands = |at: &i64| granted <= Some(*at);
        [asked.filter(stands), withdrawn.filter(stands)].into_iter().flatten().min()
    }
}
