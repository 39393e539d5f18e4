//! What is to be done to what: a command for one record in one system.

use std::fmt;

use quietus_core::verdict::Action;
use quietus_core::word::Word;

use crate::locator::Locator;

/// The obligation's id: the same for every attempt, so that a repeat is recognised.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct CommandId(pub [u8; 16]);

impl fmt::Debug for CommandId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "cm_")?;
        self.0.iter().try_for_each(|b| write!(f, "{b:02x}"))
    }
}

/// A text that never shows: an identity's value, a corrected value, a key.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Secret(String);

impl Secret {
    pub fn new(text: impl Into<String>) -> Self {
        Self(text.into())
    }

    /// The text itself: only for the call that needs it.
    pub fn reveal(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("•••")
    }
}

/// A locator's value: JSON string or number, compared as the column's type, never trimmed.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Scalar {
    Text(Secret),
    Integer(i64),
    /// A number that is no 64-bit integer, as written.
    Number(Secret),
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Identity {
    /// `customer_id`
    pub kind: String,
    pub value: Secret,
}

/// One record in one system, and what is to be done to it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Target {
    pub command: CommandId,
    /// 1 for the first.
    pub attempt: u32,
    /// `dataset.collection`; shared by the targets of a call.
    pub dataset: Word,
    pub locator: Locator,
    /// The subject's identities known here, for the read-back by identity fields.
    pub identities: Vec<Identity>,
    /// When this command was answered with a success (the last one) or a residue (the first one), by the target's own
    /// clock, or the node's where it has none; None = it never was.
    /// What a store made later (a backup's next generation) has nothing to do with this command.
    pub answered_at: Option<i64>,
    pub work: Work,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Work {
    /// The record as a whole.
    Delete,
    /// These categories' fields only, in place.
    Change { action: Action, categories: Vec<String> },
    /// New values by category; None clears.
    Correct(Vec<Change>),
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Change {
    pub category: String,
    pub value: Option<Secret>,
}
