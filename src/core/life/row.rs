//! The rows the store keeps of items and subjects: what was recorded, and what happened since.
//!
//! Appended without reading; what they add up to is for the fold to say.

use crate::identity::{ItemId, ProcessKey, SubjectKey};
use crate::obligation::Place;
use crate::record::Shape;
use crate::time::Millis;
use crate::verdict::Action;

/// A row of the fact family: an item was recorded (again).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FactRow {
    pub id: ItemId,
    pub generation: u32,
    /// Its item was known: what it adds up to follows from more rows than this one.
    pub again: bool,
    pub start: Option<Millis>,
    pub shape: std::sync::Arc<Shape>,
    pub process: Option<ProcessKey>,
    /// One per copy of the shape.
    pub cells: Vec<Vec<u8>>,
}

impl FactRow {
    /// Copies that it names, each place once.
    pub fn copies(&self) -> u64 {
        let places = || {
            self.shape.copies.iter().zip(&self.cells).map(|(copy, cell)| (&copy.system, &copy.dataset, cell))
        };
        places().enumerate().filter(|(n, place)| !places().take(*n).any(|earlier| earlier == *place)).count()
            as u64
    }
}

/// A row of the change family.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ChangeRow {
    pub subject: SubjectKey,
    pub what: What,
}

/// What happened; the newest per item and kind is what counts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum What {
    Touched {
        id: ItemId,
        at: Millis,
    },
    ItemEvent {
        id: ItemId,
        event: String,
        at: Millis,
    },
    ItemGranted {
        id: ItemId,
        purpose: String,
        at: Millis,
    },
    ItemWithdrawn {
        id: ItemId,
        purpose: String,
        at: Millis,
    },
    ItemEnded {
        id: ItemId,
        purpose: String,
        at: Millis,
    },
    Copied {
        id: ItemId,
        copy: AddedCopy,
    },
    /// Someone else took these copies away; None = every system, every dataset.
    Gone {
        id: ItemId,
        system: Option<String>,
        dataset: Option<String>,
        at: Millis,
    },
    /// Our own work on a copy: these parts, or the record as a whole.
    Outcome {
        id: ItemId,
        generation: u32,
        place: Place,
        parts: Parts,
        executed: Millis,
        verified: Option<Millis>,
    },
    /// A copy that was erased is there again: over whatever its dates say.
    Revived {
        id: ItemId,
        generation: u32,
        place: Place,
    },
    /// A copy that its company had taken away is there again: it lives by its rules.
    Returned {
        id: ItemId,
        generation: u32,
        place: Place,
    },
    /// This copy became known after its item's end: owed at once.
    Late {
        id: ItemId,
        generation: u32,
        place: Place,
    },
    /// A derived copy outlives everything that was named: from here on it is kept by name too.
    Derived {
        id: ItemId,
        generation: u32,
        place: Place,
    },
    /// Its system said executed, and the read-back found it.
    StillThere {
        id: ItemId,
        generation: u32,
        place: Place,
        parts: Parts,
    },
    /// The end of its evidence: nothing that was told of it before counts.
    Forgotten {
        id: ItemId,
    },
    Granted {
        purpose: String,
        at: Millis,
    },
    Withdrawn {
        purpose: String,
        at: Millis,
    },
    Ended {
        purpose: String,
        at: Millis,
    },
    SubjectEvent {
        event: String,
        at: Millis,
    },
    ProcessEvent {
        process: ProcessKey,
        event: String,
        at: Millis,
    },
    Active {
        at: Millis,
    },
    Linked {
        also: SubjectKey,
    },
    /// When something was last heard of the subject's items, or of those of this process, by what is forgotten since.
    Seen {
        process: Option<ProcessKey>,
        at: Option<Millis>,
    },
    /// Nothing that was told of the subject before counts.
    SubjectForgotten,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Parts {
    Whole,
    Some { categories: Vec<String>, action: Action },
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AddedCopy {
    pub place: Place,
    pub purposes: Option<Vec<String>>,
    pub disclosure: Option<String>,
}

impl What {
    /// The item this is about; None = the subject.
    pub fn item(&self) -> Option<ItemId> {
        match self {
            Self::Touched { id, .. }
            | Self::ItemEvent { id, .. }
            | Self::ItemGranted { id, .. }
            | Self::ItemWithdrawn { id, .. }
            | Self::ItemEnded { id, .. }
            | Self::Copied { id, .. }
            | Self::Gone { id, .. }
            | Self::Outcome { id, .. }
            | Self::Revived { id, .. }
            | Self::Returned { id, .. }
            | Self::Late { id, .. }
            | Self::Derived { id, .. }
            | Self::StillThere { id, .. }
            | Self::Forgotten { id } => Some(*id),
            Self::Granted { .. }
            | Self::Withdrawn { .. }
            | Self::Ended { .. }
            | Self::SubjectEvent { .. }
            | Self::ProcessEvent { .. }
            | Self::Active { .. }
            | Self::Linked { .. }
            | Self::Seen { .. }
            | Self::SubjectForgotten => None,
        }
    }
}
