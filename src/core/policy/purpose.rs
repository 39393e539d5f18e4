//! Which purposes of a copy are live, and when the others ended.
//!
//! Invariant: only what the policy's table names ends a purpose: its rule running out, a withdrawal where the
//! purpose listens to one, an objection or erasure request that was let through. An end at T reaches what was
//! recorded at or before T, whichever is read first; a grant after T opens the purpose again.

use super::model::{EndsOn, Policy};
use crate::item::{Item, Subject};
use crate::time::Millis;

/// The name under which the end of the nameless purpose is kept.
pub const NAMELESS: &str = "";

/// What ended a purpose before its rule ran out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ended {
    Withdrawn(Millis),
    /// An objection or an erasure request that was let through.
    Requested(Millis),
}

impl Ended {
    pub fn at(self) -> Millis {
        match self {
            Self::Withdrawn(at) | Self::Requested(at) => at,
        }
    }
}

/// What ended this purpose of an item, if anything did. `withdrawal_starts` = the rule that covers it starts at
/// `withdrawn`, so that a withdrawal starts its clock and ends nothing.
pub fn ended(
    policy: &Policy,
    item: &Item,
    subject: &Subject,
    purpose: &str,
    withdrawal_starts: bool,
) -> Option<Ended> {
    let listens = policy.purposes.get(purpose).is_some_and(|p| p.ends_on.contains(&EndsOn::Withdraw));
    let withdrawal = (listens && !withdrawal_starts).then(|| withdrawn(item, subject, purpose)).flatten();
    let request = reaching(item, [subject.consent.ended.get(purpose), item.consent.ended.get(purpose)])
        .filter(|at| granted(item, subject, purpose) <= Some(*at));
    match (withdrawal, request) {
        (Some(withdrawn), Some(requested)) if withdrawn <= requested => Some(Ended::Withdrawn(withdrawn)),
        (_, Some(requested)) => Some(Ended::Requested(requested)),
        (withdrawn, None) => withdrawn.map(Ended::Withdrawn),
    }
}

/// When consent for this purpose was taken back, as far as this item goes, and not given again since.
pub fn withdrawn(item: &Item, subject: &Subject, purpose: &str) -> Option<Millis> {
    reaching(item, [subject.consent.withdrawn.get(purpose), item.consent.withdrawn.get(purpose)])
        .filter(|at| granted(item, subject, purpose) <= Some(*at))
}

fn granted(item: &Item, subject: &Subject, purpose: &str) -> Option<Millis> {
    subject.consent.granted.get(purpose).max(item.consent.granted.get(purpose)).copied()
}

/// The latest of these instants that reaches the item: it was recorded by then. An item whose recording is
/// unknown is reached, because nothing shows that consent was given for it afterwards.
fn reaching(item: &Item, at: [Option<&Millis>; 2]) -> Option<Millis> {
    at.into_iter().flatten().copied().filter(|at| item.recorded.is_none_or(|recorded| recorded <= *at)).max()
}
