//! Two policies over the same items: what one item comes to under the one and the other.

use std::collections::BTreeMap;

use quietus_core::engine::control::{ActivePolicy, Control};
use quietus_core::engine::{judge, judge_under, rules_of};
use quietus_core::identity::{ItemId, ItemKey, SubjectKey};
use quietus_core::item::{Consent, Copy, Item, Subject};
use quietus_core::life::{CopyNote, Life, What};
use quietus_core::policy::{Days, Policy, ShapeRules, Start, Starts};
use quietus_core::time::Millis;
use quietus_core::verdict::Verdict;

use super::Difference;
use super::pattern::Dates;
use crate::store::Matters;

/// Starts are counted by the day from so long before now…
const BEFORE: i64 = 40 * 366 * Millis::DAY;
/// …to so long after it.
const AFTER: i64 = 2 * 366 * Millis::DAY;

#[derive(Clone, Copy, Debug)]
pub(super) struct Replan<'a> {
    old: Option<&'a ActivePolicy>,
    new: &'a ActivePolicy,
    now: Millis,
    /// Some period starts at the last activity.
    pub at_activity: bool,
    /// Some rule's clock starts when consent is given or taken back.
    pub at_consent: bool,
}

impl<'a> Replan<'a> {
    pub fn new(old: Option<&'a ActivePolicy>, new: &'a ActivePolicy, now: Millis) -> Self {
        let mut replan = Self { old, new, now, at_activity: false, at_consent: false };
        let starts_at = |start: &Start| replan.any(|policy| policy.starts_at(start));
        let at_consent = starts_at(&Start::Granted) || starts_at(&Start::Withdrawn);
        let at_activity = starts_at(&Start::LastActivity);
        (replan.at_activity, replan.at_consent) = (at_activity, at_consent);
        replan
    }

    fn both(&self) -> impl Iterator<Item = &'a ActivePolicy> {
        self.old.into_iter().chain([self.new])
    }

    fn any(&self, is: impl Fn(&Policy) -> bool) -> bool {
        self.both().any(|active| is(&active.policy))
    }

    pub fn days(&self) -> Days {
        let calendars: Vec<_> = self.both().map(|active| &active.calendar).collect();
        Days::of(&calendars, self.now.plus(-BEFORE), self.now.plus(AFTER))
    }

    /// Some date depends on all of a person's items.
    pub fn asks_of_persons(&self) -> bool {
        self.any(Policy::asks_of_persons)
    }

    /// Under both policies such copies come to the same when they were recorded on the same day.
    pub fn counts_days(&self, control: &Control, copies: &[Copy]) -> bool {
        !self.any(|policy| !policy.counts_days(copies, &|system| control.retains(system)))
    }

    /// Adds what an item comes to.
    pub fn one(&self, control: &Control, life: &Life, subject: &Subject, difference: &mut Difference) {
        let judged = |active: &ActivePolicy| judge(active, control, life, subject, self.now);
        let (old, new) = (self.old.map(judged), judged(self.new));
        self.compare(life, old.as_ref(), &new, difference);
    }

    fn compare(&self, life: &Life, old: Option<&Verdict>, new: &Verdict, difference: &mut Difference) {
        for (at, _) in life.item.copies.iter().enumerate().filter(|(_, c)| c.is_live()) {
            let old = old.and_then(|v| v.copies.get(at));
            difference.copy(old, new.copies.get(at), self.now);
        }
    }

    /// For judging many items with these copies of which little else is known.
    pub fn judging<'c>(&'c self, control: &'c Control, copies: &'c [Copy]) -> Judging<'c> {
        let life = plain(copies.to_vec(), None);
        Judging {
            replan: self,
            control,
            old: self.old.map(|active| (active, rules_of(active, control, copies))),
            new: rules_of(self.new, control, copies),
            subject: Subject::unknown(life.item.id.subject),
            life,
        }
    }

    /// Of which items a change may change what they come to.
    pub fn matters(&self, what: &What) -> Matters {
        let names = |event: &str| {
            self.any(|policy| {
                let undone = || policy.events.values().any(|e| e.undone_by.as_deref() == Some(event));
                policy.events.contains_key(event) || undone()
            })
        };
        let of_item = |is: bool| if is { Matters::Item } else { Matters::Nothing };
        let of_person = |is: bool| if is { Matters::Person } else { Matters::Nothing };
        match what {
            What::Touched { .. } => of_item(self.at_activity),
            What::ItemEvent { event, .. } => of_item(names(event)),
            What::ItemGranted { .. }
            | What::ItemWithdrawn { .. }
            | What::ItemEnded { .. }
            | What::Copied { .. }
            | What::Gone { .. }
            | What::Outcome { .. }
            | What::Revived { .. }
            | What::Returned { .. }
            | What::Late { .. }
            | What::Derived { .. }
            | What::StillThere { .. }
            | What::Forgotten { .. } => Matters::Item,
            What::Granted { .. } | What::Withdrawn { .. } | What::Ended { .. } => Matters::Nothing,
            What::SubjectEvent { event, .. } | What::ProcessEvent { event, .. } => of_person(names(event)),
            What::Active { .. } | What::Seen { .. } => of_person(self.at_activity),
            What::SubjectForgotten => Matters::Person,
            What::Linked { .. } => Matters::Nothing,
        }
    }
}

/// Rules that were resolved for some copies, and an item that has them.
pub(super) struct Judging<'c> {
    replan: &'c Replan<'c>,
    control: &'c Control,
    old: Option<(&'c ActivePolicy, ShapeRules<'c>)>,
    new: ShapeRules<'c>,
    life: Life,
    subject: Subject,
}

impl Judging<'_> {
    /// Adds what such an item comes to that was recorded then, of whose person this is known.
    pub fn add(&mut self, start: Option<Millis>, consent: Consent, difference: &mut Difference) {
        let (old, new) = self.verdicts(start, consent);
        self.replan.compare(&self.life, old.as_ref(), &new, difference);
    }

    /// The dates of such an item that was recorded then and of whose person nothing is known.
    pub fn dates(&mut self, start: Millis) -> Dates {
        self.know(Some(start), Consent::default());
        let (mut run_out, now) = (Vec::new(), self.replan.now);
        let mut ask = |ActivePolicy { policy, calendar, .. }: &ActivePolicy, rules: &ShapeRules<'_>| {
            let starts = Starts { policy, calendar, item: &self.life.item, subject: &self.subject };
            rules.run_out(&starts, &mut run_out);
        };
        self.old.iter().for_each(|(active, rules)| ask(active, rules));
        ask(self.replan.new, &self.new);
        let mut all: Vec<Millis> = run_out.iter().filter_map(|date| date.ok()).chain([now]).collect();
        all.sort_unstable();
        all.dedup();
        all.resize(run_out.len() + 1, Millis(i64::MAX));
        let place = |date: Millis| all.partition_point(|known| *known < date);
        let places =
            run_out.iter().map(|date| date.map_or_else(|open| usize::from(u16::MAX) - open as usize, place));
        let order =
            places.chain([place(now), place(start)]).map(|place| u16::try_from(place).unwrap_or(u16::MAX));
        Dates { order: order.collect(), all }
    }

    fn know(&mut self, start: Option<Millis>, consent: Consent) {
        self.life.item.recorded = start;
        self.subject.latest_activity = start;
        self.subject.consent = consent;
    }

    fn verdicts(&mut self, start: Option<Millis>, consent: Consent) -> (Option<Verdict>, Verdict) {
        self.know(start, consent);
        let (control, now) = (self.control, self.replan.now);
        let judged = |active: &ActivePolicy, rules: &ShapeRules<'_>| {
            judge_under(rules, active, control, &self.life, &self.subject, now)
        };
        let old = self.old.as_ref().map(|(active, rules)| judged(active, rules));
        (old, judged(self.replan.new, &self.new))
    }
}

/// An item of which nothing is known but where it lies and when it was recorded.
pub(super) fn plain(copies: Vec<Copy>, recorded: Option<Millis>) -> Life {
    let notes = vec![CopyNote::default(); copies.len()];
    let item = Item {
        id: ItemId { subject: SubjectKey::default(), item: ItemKey::default() },
        generation: 1,
        linked: Vec::new(),
        recorded,
        touched: None,
        process: None,
        copies,
        events: BTreeMap::new(),
        consent: Consent::default(),
    };
    Life { item, notes, derived: BTreeMap::new() }
}
