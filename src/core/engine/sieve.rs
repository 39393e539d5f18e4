//! Which items a sweep must look at, as questions that a store asks of shapes, starts and changes.
//!
//! Invariant: conservative. What passes through no question owes nothing and has no duty that a sweep would touch:
//! judging it decides nothing. So every store may show more than it must, and all come to the same decisions.
//! Rejected: dates in an index, which every rule change would rewrite.

use std::sync::Arc;

use crate::identity::{ItemId, ItemKey, SubjectKey};
use crate::item::{Consent, Copy, CopyKind, CopyState, Item};
use crate::life::{CopyNote, Life, What};
use crate::obligation::{Event, Stand};
use crate::policy::model::{EndsOn, Level};
use crate::policy::{self, Bound};
use crate::record::Shape;
use crate::time::Millis;

use super::State;

/// What a pass over the items wants to see.
#[derive(Clone, Copy, Debug)]
pub enum Sieve<'a> {
    Everything,
    Due(Due<'a>),
}

/// What could be due as of a time, and what has duties that may move.
#[derive(Clone, Copy, Debug)]
pub struct Due<'a> {
    state: &'a State,
    as_of: Millis,
}

impl<'a> Sieve<'a> {
    pub fn due(state: &'a State, as_of: Millis) -> Self {
        Self::Due(Due { state, as_of })
    }
}

impl<'a> Due<'a> {
    /// Of items that this shape alone describes; what came later is asked of [`Self::reopens`] and [`Self::ends`].
    pub fn bound(&self, shape: &Shape) -> Bound {
        let control = &self.state.control;
        let Some(active) = &control.policy else { return Bound::None };
        let copy = |kind: &Arc<CopyKind>| Copy {
            kind: Arc::clone(kind),
            cell: Vec::new(),
            state: CopyState::default(),
        };
        let copies: Vec<Copy> = shape.kinds().iter().map(copy).collect();
        let notes = vec![CopyNote::default(); copies.len()];
        let item = Item {
            id: ItemId { subject: SubjectKey::default(), item: ItemKey::default() },
            generation: 1,
            linked: Vec::new(),
            recorded: None,
            touched: None,
            process: None,
            copies,
            events: Default::default(),
            consent: Consent::default(),
        };
        let mut life = Life { item, notes, derived: Default::default() };
        control.complete(&mut life);
        policy::bound(&active.policy, &active.calendar, &life.item.copies, self.as_of)
    }

    /// After this change of an item its shape's bound says nothing of it any more.
    pub fn reopens(&self, what: &What) -> bool {
        match what {
            What::ItemEnded { .. } | What::Copied { .. } | What::Revived { .. } | What::Late { .. } => true,
            What::ItemWithdrawn { purpose, .. } => self.listens(purpose),
            // They come later than a start or take a copy away; a rule that starts at one has no bound.
            What::Touched { .. }
            | What::ItemEvent { .. }
            | What::ItemGranted { .. }
            | What::Gone { .. }
            | What::Outcome { .. }
            | What::Returned { .. }
            | What::Derived { .. }
            | What::StillThere { .. }
            | What::Forgotten { .. } => false,
            What::Granted { .. }
            | What::Withdrawn { .. }
            | What::Ended { .. }
            | What::SubjectEvent { .. }
            | What::ProcessEvent { .. }
            | What::Active { .. }
            | What::Linked { .. }
            | What::Seen { .. }
            | What::SubjectForgotten => false,
        }
    }

    /// The purpose that this change ends for every item of its subject that is kept for it.
    pub fn ends<'w>(&self, what: &'w What) -> Option<&'w str> {
        match what {
            What::Ended { purpose, .. } => Some(purpose),
            What::Withdrawn { purpose, .. } => self.listens(purpose).then_some(purpose.as_str()),
            What::Granted { .. }
            | What::SubjectEvent { .. }
            | What::ProcessEvent { .. }
            | What::Active { .. }
            | What::Linked { .. }
            | What::Seen { .. }
            | What::SubjectForgotten => None,
            What::Touched { .. }
            | What::ItemEvent { .. }
            | What::ItemGranted { .. }
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
            | What::Forgotten { .. } => None,
        }
    }

    /// Items of this shape are kept for this purpose; "" = for none.
    pub fn is_for(&self, shape: &Shape, purpose: &str) -> bool {
        let mut lists = shape.copies.iter().map(|copy| copy.purposes.as_ref().unwrap_or(&shape.purposes));
        lists.any(|list| match purpose {
            policy::NAMELESS => list.is_empty(),
            purpose => list.iter().any(|own| own == purpose),
        })
    }

    /// Some date depends on what is known of all of a person's items.
    pub fn needs_persons(&self) -> bool {
        let Some(active) = &self.state.control.policy else { return false };
        active.policy.events.values().any(|event| {
            event.assume.is_some()
                && match event.level {
                    Level::Subject | Level::Process => true,
                    Level::Item => false,
                }
        })
    }

    /// Items with a duty in memory that a sweep may take back, whatever is due; of those in the store: [`may_move`]. Some come twice.
    pub fn standing(&self) -> impl Iterator<Item = ItemId> + 'a {
        let duties = &self.state.duties;
        Stand::ALL
            .into_iter()
            .filter(|stand| may_move(*stand))
            .flat_map(|stand| duties.standing(stand))
            .map(|duty| duty.item)
    }

    fn listens(&self, purpose: &str) -> bool {
        let known = self.state.control.policy.as_ref().and_then(|a| a.policy.purposes.get(purpose));
        known.is_some_and(|purpose| purpose.ends_on.contains(&EndsOn::Withdraw))
    }
}

/// A sweep may take such a duty back.
pub fn may_move(stand: Stand) -> bool {
    stand.after(Event::Withdraw).is_some()
}
