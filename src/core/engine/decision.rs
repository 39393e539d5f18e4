//! What the engine decided, as values that can be printed, counted, audited and carried out.

use std::collections::BTreeSet;
use std::sync::Arc;

use crate::identity::{ItemId, SubjectKey};
use crate::life::{ChangeRow, FactRow};
use crate::obligation::{Event, Obligation, ObligationId, Place};
use crate::record::{DeadLettered, Record};
use crate::request::Request;
use crate::time::Millis;

use super::evidence::Gone;
use super::state::{Covered, Letter, Slice};

#[derive(Clone, Debug, PartialEq)]
pub enum Decision {
    /// An owner took over; what was sent under an older epoch is void.
    Began {
        epoch: u64,
    },
    Now(Millis),
    Watermark {
        source: String,
        generation: i32,
        position: String,
        time: Millis,
    },
    Mark {
        source: String,
        generation: i32,
        topic: String,
        partition: i32,
        to: i64,
    },
    /// A record that could not be read waits for a person.
    DeadLettered(Box<DeadLettered>),
    /// It was taken in after all, or its time is over.
    DeadLetterClosed {
        id: String,
    },
    /// Entry `k` of the control log is in force here.
    Control {
        k: u64,
        entry: Box<Record>,
    },
    Wrote(Row),
    Opened(Arc<Obligation>),
    /// A duty moved; it stands as given.
    Moved {
        event: Event,
        duty: Arc<Obligation>,
    },
    /// A duty stands where it stood; something about it became known.
    Noted(Arc<Obligation>),
    Requested(Box<Request>),
    Swept {
        sweep: String,
        slice: Slice,
    },
    /// A hold stands here: nothing of what it covers is sent from now on.
    Covered {
        hold: String,
        covered: Covered,
    },
    Linked {
        subject: SubjectKey,
        also: SubjectKey,
    },
    /// Somebody says that this identity is theirs.
    Claimed {
        subject: SubjectKey,
        by: SubjectKey,
    },
    /// Persons who are not known to be one claim this identity, or no longer do.
    Contested {
        subject: SubjectKey,
        contested: bool,
    },
    /// Identities in this one's set that others claim too.
    Doubted {
        subject: SubjectKey,
        about: BTreeSet<SubjectKey>,
    },
    /// To be delivered to another member's partition.
    PassedOn {
        number: u64,
        letter: Box<Letter>,
    },
    /// Everything passed on up to here was delivered.
    Delivered {
        up_to: u64,
    },
    /// Others were told of the news up to here.
    Told {
        up_to: u64,
    },
    /// Taken in from another partition.
    Received {
        from: i32,
        number: i64,
    },
    /// Answered requests are known no longer.
    RequestsForgotten {
        ids: Vec<String>,
    },
    /// An item and its duties are known no longer.
    Forgot {
        item: ItemId,
        duties: Vec<ObligationId>,
    },
    /// The end of evidence from before this time was applied: how much went.
    Forgotten {
        before: Millis,
        gone: Gone,
    },
    Noticed(Noticed),
    /// It could not happen where it stood, and changed nothing.
    Ignored {
        why: &'static str,
    },
}

/// A row for the store: written, never read first.
#[derive(Clone, Debug, PartialEq)]
pub enum Row {
    Fact(FactRow),
    Change(ChangeRow),
    /// The sealed identity of a subject.
    Identity {
        subject: SubjectKey,
        cell: Vec<u8>,
    },
}

impl Row {
    /// The item this row is about; None = a subject.
    pub fn item(&self) -> Option<ItemId> {
        match self {
            Self::Fact(fact) => Some(fact.id),
            Self::Change(change) => change.what.item(),
            Self::Identity { .. } => None,
        }
    }
}

/// Something people or other systems should hear of.
#[derive(Clone, Debug, PartialEq)]
pub enum Noticed {
    /// News of our own doing, or from before it.
    Echo { item: ItemId },
    /// An erased copy is there again: owed again.
    Resurrected { item: ItemId, place: Place },
    /// A new life of an item that had ended.
    Reborn { item: ItemId, generation: u32 },
    /// Somebody else deleted what a hold covers.
    Breach { item: ItemId, place: Place, holds: Vec<String> },
    /// A copy became known after its item's end.
    Late { item: ItemId, place: Place },
    /// An event no policy declares.
    Undeclared { event: String },
    /// A request was not answered before its date.
    Overdue { request: String },
    /// Its partner accepted a command and did not answer in time: it is tried again.
    PastDeadline { item: ItemId, place: Place },
}

impl Noticed {
    /// More than news: somebody must look.
    pub fn is_alarming(&self) -> bool {
        match self {
            Self::Resurrected { .. } | Self::Breach { .. } => true,
            Self::PastDeadline { .. } | Self::Overdue { .. } => true,
            Self::Echo { .. } | Self::Reborn { .. } | Self::Late { .. } | Self::Undeclared { .. } => false,
        }
    }
}

/// What the shell must do. Carried out at least once; a replay drops it, and what was lost is found again from
/// the state.
#[derive(Clone, Debug, PartialEq)]
pub enum Effect {
    /// The control log is in force here up to `k`.
    Applied { k: u64 },
    /// Send these commands: they stand as given.
    Send { system: String, duties: Vec<Obligation> },
    /// People should hear of it.
    Tell(Noticed),
    /// Nothing is known of this person any more: with the next fact comes who they are.
    Forgotten { subject: SubjectKey },
}
