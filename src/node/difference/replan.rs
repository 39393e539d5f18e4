//! Two policies over the same items: what one item comes to under the one and the other.

use std::collections::BTreeMap;

use quietus_core::engine::control::{ActivePolicy, Control};
use quietus_core::engine::judge;
use quietus_core::identity::{ItemId, ItemKey, SubjectKey};
use quietus_core::item::{Consent, Copy, Item, Subject};
use quietus_core::life::{CopyNote, Life, What};
use quietus_core::policy::{Days, Policy, Start};
use quietus_core::time::Millis;

use super::Difference;
use crate::store::Matters;

/// Starts are counted by the day from so long before now…
const BEFORE: i64 = 60 * 366 * Millis::DAY;
/// …to so long after it.
const AFTER: i64 = 2 * 366 * Millis::DAY;

#[derive(Clone, Copy, Debug)]
pub(super) struct Replan<'a> {
    pub old: Option<&'a ActivePolicy>,
    pub new: &'a ActivePolicy,
    pub now: Millis,
}

impl<'a> Replan<'a> {
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
        for (at, _) in life.item.copies.iter().enumerate().filter(|(_, c)| c.is_live()) {
            let old = old.as_ref().and_then(|v| v.copies.get(at));
            difference.copy(old, new.copies.get(at), self.now);
        }
    }

    /// What an item with these copies comes to of which nothing else is known.
    pub fn alone(&self, control: &Control, copies: &[Copy], start: Option<Millis>) -> Difference {
        let mut difference = Difference::default();
        let life = plain(copies.to_vec(), start);
        let subject = Subject { latest_activity: start, ..Subject::unknown(life.item.id.subject) };
        self.one(control, &life, &subject, &mut difference);
        difference
    }

    /// Of which items a change may change what they come to.
    pub fn matters(&self, what: &What) -> Matters {
        let names = |event: &str| {
            self.any(|policy| {
                let undone = || policy.events.values().any(|e| e.undone_by.as_deref() == Some(event));
                policy.events.contains_key(event) || undone()
            })
        };
        let active = || self.any(|policy| policy.starts_at(&Start::LastActivity));
        let of_item = |is: bool| if is { Matters::Item } else { Matters::Nothing };
        let of_person = |is: bool| if is { Matters::Person(None) } else { Matters::Nothing };
        match what {
            What::Touched { .. } => of_item(active()),
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
            | What::StillThere { .. } => Matters::Item,
            What::Granted { purpose, .. } | What::Withdrawn { purpose, .. } | What::Ended { purpose, .. } => {
                Matters::Person(Some(purpose.clone()))
            }
            What::SubjectEvent { event, .. } | What::ProcessEvent { event, .. } => of_person(names(event)),
            What::Active { .. } => of_person(active()),
            What::Linked { .. } => Matters::Nothing,
        }
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
