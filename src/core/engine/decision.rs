//! What the engine decided, as values that can be printed, counted, audited and carried out.

use std::collections::BTreeSet;

use crate::identity::{ItemId, SubjectKey};
use crate::life::{ChangeRow, FactRow};
use crate::obligation::{Event, Obligation, Place};
use crate::record::{DeadLettered, Record};
use crate::request::Request;
use crate::time::Millis;

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
    Opened(Box<Obligation>),
    /// A duty moved; it stands as given.
    Moved {
        event: Event,
        duty: Box<Obligation>,
    },
    /// A duty stands where it stood; something about it became known.
    Noted(Box<Obligation>),
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
    /// Taken in from another partition.
    Received {
        from: i32,
        number: i64,
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
}

/// The label of a leaf names its layout; a layout is never changed.
impl Decision {
    /// What the audit chain keeps of this decision: keyed hashes and names, never an identity. None for what is no
    /// decision about anyone (facts, ticks, marks).
    pub fn leaf(&self) -> Option<Vec<u8>> {
        let mut leaf = Leaf::default();
        let built = match self {
            Self::Opened(duty) => leaf.text("opened/1").duty(duty),
            Self::Moved { event, duty } => leaf.text("moved/1").text(&format!("{event:?}")).duty(duty),
            Self::Control { k, entry } => leaf.text("control/1").number(*k).text(entry.name()),
            Self::Requested(request) => {
                leaf.text("request/1").text(&request.id).text(request.kind.name()).bytes(&request.subject.0)
            }
            Self::Swept { sweep, slice } => {
                leaf.text("swept/1").text(sweep).number(slice.candidates).number(slice.due).bytes(&slice.root)
            }
            Self::Contested { subject, contested } => {
                leaf.text("contested/1").bytes(&subject.0).number(u64::from(*contested))
            }
            Self::Covered { hold, covered } => {
                leaf.text("covered/1").text(hold).number(covered.items).number(covered.copies())
            }
            Self::Noticed(Noticed::Resurrected { item, place }) => {
                leaf.text("resurrected/1").item(*item).place(place)
            }
            Self::Noticed(Noticed::Reborn { item, generation }) => {
                leaf.text("reborn/1").item(*item).number(u64::from(*generation))
            }
            Self::Noticed(Noticed::Breach { item, place, holds }) => {
                leaf.text("breach/1").item(*item).place(place).text(&holds.join(","))
            }
            Self::Noticed(Noticed::Late { item, place }) => leaf.text("late/1").item(*item).place(place),
            Self::Noticed(Noticed::Overdue { request }) => leaf.text("overdue/1").text(request),
            Self::Noticed(Noticed::PastDeadline { item, place }) => {
                leaf.text("past-deadline/1").item(*item).place(place)
            }
            Self::Noticed(Noticed::Echo { .. } | Noticed::Undeclared { .. }) => return None,
            Self::Began { .. }
            | Self::Now(_)
            | Self::Watermark { .. }
            | Self::Mark { .. }
            | Self::DeadLettered(_)
            | Self::DeadLetterClosed { .. }
            | Self::Wrote(_)
            | Self::Noted(_)
            | Self::Linked { .. }
            | Self::Claimed { .. }
            | Self::Doubted { .. }
            | Self::PassedOn { .. }
            | Self::Delivered { .. }
            | Self::Received { .. }
            | Self::Ignored { .. } => return None,
        };
        Some(std::mem::take(&mut built.0))
    }
}

/// Length-prefixed fields, so that no two decisions have the same bytes.
#[derive(Default)]
struct Leaf(Vec<u8>);

impl Leaf {
    fn bytes(&mut self, bytes: &[u8]) -> &mut Self {
        self.0.extend_from_slice(&(bytes.len() as u64).to_le_bytes());
        self.0.extend_from_slice(bytes);
        self
    }

    fn text(&mut self, text: &str) -> &mut Self {
        self.bytes(text.as_bytes())
    }

    fn number(&mut self, number: u64) -> &mut Self {
        self.bytes(&number.to_le_bytes())
    }

    fn item(&mut self, item: ItemId) -> &mut Self {
        self.bytes(&item.subject.0).bytes(&item.item.0)
    }

    fn place(&mut self, place: &Place) -> &mut Self {
        self.text(&place.system).text(&place.dataset).bytes(&place.cell)
    }

    fn duty(&mut self, duty: &Obligation) -> &mut Self {
        self.bytes(&duty.id.0)
            .item(duty.item)
            .number(u64::from(duty.generation))
            .place(&duty.place)
            .text(&duty.parts.join(","))
            .text(&format!("{:?}", duty.duty))
            .number(u64::from(duty.round))
            .text(&format!("{:?}", duty.stand))
            .number(u64::from(duty.attempt))
            .text(duty.rule.as_deref().unwrap_or_default())
    }
}
