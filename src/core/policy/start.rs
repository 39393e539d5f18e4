//! Starting points: what is known about an item and its subject, turned into the instant a period runs from.
//!
//! Invariant: never seen is unknown. No starting point stands in for another unless the policy says so by
//! `assume`; `last_activity` that was never seen is not `recorded`.

use super::calendar::Calendar;
use super::model::{Assume, EventDecl, Level, Policy, Start};
use super::period::{Begun, Ends};
use crate::item::{Item, Subject};
use crate::time::Millis;

/// Chains of assumed events longer than this are circles.
const MAX_CHAIN: usize = 8;

/// Where starting points of one item are looked up.
#[derive(Clone, Copy, Debug)]
pub struct Starts<'a> {
    pub policy: &'a Policy,
    pub calendar: &'a Calendar,
    pub item: &'a Item,
    pub subject: &'a Subject,
}

/// Whose activity `last_activity` means.
#[derive(Clone, Copy, Debug)]
enum Activity {
    Item,
    Person,
    Process,
}

impl Starts<'_> {
    /// The starting point as it stands, for a part kept under `purposes`.
    pub fn begun(&self, start: &Start, purposes: &[&str]) -> Begun {
        self.resolve(start, purposes, Activity::Item, 0)
    }

    /// When a declared event came, unless it was taken back; assumptions do not count.
    pub fn happened(&self, event: &str) -> Option<Millis> {
        let declared = self.policy.events.get(event)?;
        let at = self.seen(declared.level, event)?;
        let undone = declared.undone_by.as_deref().and_then(|undone| self.seen(declared.level, undone));
        (undone < Some(at)).then_some(at)
    }

    /// When consent for any of these purposes was last given.
    pub fn granted(&self, purposes: &[&str]) -> Option<Millis> {
        let of = |purpose: &&str| {
            self.subject.consent.granted.get(*purpose).max(self.item.consent.granted.get(*purpose)).copied()
        };
        purposes.iter().filter_map(of).max()
    }

    /// When consent for any of these purposes was taken back and not given again.
    pub fn withdrawn(&self, purposes: &[&str]) -> Option<Millis> {
        purposes
            .iter()
            .filter_map(|purpose| super::purpose::withdrawn(self.item, self.subject, purpose))
            .max()
    }

    fn resolve(&self, start: &Start, purposes: &[&str], activity: Activity, depth: usize) -> Begun {
        let known = |at: Option<Millis>| at.map_or(Begun::Unknown, Begun::At);
        match start {
            Start::Recorded => known(self.item.recorded),
            Start::LastActivity => known(self.last_activity(activity)),
            Start::Granted => known(self.granted(purposes)),
            Start::Withdrawn => self.withdrawn(purposes).map_or(Begun::Waiting, Begun::At),
            Start::Event(name) => self.event(name, purposes, depth),
        }
    }

    fn event(&self, name: &str, purposes: &[&str], depth: usize) -> Begun {
        let Some(declared) = self.policy.events.get(name) else { return Begun::Unknown };
        match (self.happened(name), &declared.assume) {
            (Some(at), _) => Begun::At(at),
            (None, None) if declared.open_ended => Begun::Waiting,
            (None, None) => Begun::Unknown,
            (None, Some(_)) if depth >= MAX_CHAIN => Begun::Unknown,
            (None, Some(assume)) => self.assumed(declared, assume, purposes, depth.saturating_add(1)),
        }
    }

    fn assumed(&self, declared: &EventDecl, assume: &Assume, purposes: &[&str], depth: usize) -> Begun {
        let activity = match declared.level {
            Level::Subject => Activity::Person,
            Level::Process => Activity::Process,
            Level::Item => Activity::Item,
        };
        match assume {
            Assume::Start(start) => self.resolve(start, purposes, activity, depth),
            Assume::Period(period) => {
                match period.ends(self.calendar, &mut |start| self.resolve(start, purposes, activity, depth))
                {
                    Ends::At { due, .. } => Begun::At(due),
                    Ends::Waiting => Begun::Waiting,
                    Ends::Unknown => Begun::Unknown,
                }
            }
        }
    }

    fn seen(&self, level: Level, event: &str) -> Option<Millis> {
        match level {
            Level::Subject => self.subject.events.get(event).copied(),
            Level::Item => self.item.events.get(event).copied(),
            Level::Process => {
                let process = self.item.process?;
                self.subject.process_events.get(&(process, event.to_owned())).copied()
            }
        }
    }

    fn last_activity(&self, whose: Activity) -> Option<Millis> {
        let own = self.item.touched.max(self.item.recorded);
        match whose {
            Activity::Item => self.item.touched.max(self.subject.active),
            // The item is one of the person's: what is known of it counts, even before the figures were exchanged.
            Activity::Person => self.subject.latest_activity.max(self.subject.active).max(own),
            Activity::Process => {
                let shared = self
                    .item
                    .process
                    .and_then(|process| self.subject.process_activity.get(&process).copied());
                shared.max(own)
            }
        }
    }
}
