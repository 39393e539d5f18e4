//! What is known about one item and its subject at one moment: the view that rules are judged on.
//!
//! The store keeps facts and changes as they came; it folds them into these views when asked. A view says what
//! *is*, never what is due: due is computed by [`crate::policy`], so that a rule change rewrites no item.

use std::collections::BTreeMap;
use std::ops::Deref;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::identity::{ItemId, ProcessKey, SubjectKey};
use crate::time::Millis;
use crate::word::Word;

/// One life of an item. A customer who comes back begins the next generation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Item {
    pub id: ItemId,
    pub generation: u32,
    /// Other identities of the same person; filled in when the item is looked at.
    pub linked: Vec<SubjectKey>,
    /// The starting point `recorded`: the earliest that was told. None = unknown, and so never due by it.
    pub recorded: Option<Millis>,
    /// Latest `item.touched` and the dataset's own activity column.
    pub touched: Option<Millis>,
    pub process: Option<ProcessKey>,
    pub copies: Vec<Copy>,
    /// Declared events of this item: event name → last time.
    pub events: BTreeMap<String, Millis>,
    /// Consent given or taken back for this item alone.
    pub consent: Consent,
}

/// Where an item lies. Reads like its [`CopyKind`], which the copies of a million items share.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Copy {
    pub kind: Arc<CopyKind>,
    /// The sealed locator; equal locators of one item give equal bytes, so this is the copy's identity too.
    pub cell: Vec<u8>,
    pub state: CopyState,
}

impl Deref for Copy {
    type Target = CopyKind;

    fn deref(&self) -> &CopyKind {
        &self.kind
    }
}

/// What a copy has in common with others: where it lies but for its locator, with its own purposes and parts.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct CopyKind {
    pub system: Word,
    /// `dataset.collection`.
    pub dataset: Word,
    /// Every category of this copy: the event's and those its dataset maps there. Sorted.
    pub categories: Vec<String>,
    /// Purposes of this copy: those it names, else the item's. Sorted. Empty = never had one.
    pub purposes: Vec<String>,
    pub jurisdiction: Option<String>,
    pub service: Option<String>,
    pub controller: Option<String>,
    /// Follows from a manifest's `copies_of`: named by nobody, gone by the rules of the copy it was made of.
    pub derived: bool,
}

/// Where a copy stands. Only an executed or verified erasure, or news that it is gone, takes it away.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum CopyState {
    #[default]
    Live,
    /// Erased by us; `verified` once an independent read-back saw it gone.
    Erased { at: Millis, verified: Option<Millis> },
    /// Reported gone by its source (`item.gone`, a CDC delete that was not ours).
    Gone { at: Millis },
}

/// Grants and withdrawals of consent, and other ends of a purpose, per purpose: last time of each.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Consent {
    pub granted: BTreeMap<String, Millis>,
    pub withdrawn: BTreeMap<String, Millis>,
    /// Ended by an objection or an erasure request that the purpose's basis lets through: purpose → when.
    pub ended: BTreeMap<String, Millis>,
}

/// What is known about a subject beyond its items; identities linked to it are folded in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Subject {
    pub key: SubjectKey,
    pub consent: Consent,
    /// Declared events of the subject: event name → last time.
    pub events: BTreeMap<String, Millis>,
    /// Declared events of a process of this subject: (process, event) → last time.
    pub process_events: BTreeMap<(ProcessKey, String), Millis>,
    /// Last time the subject event `active` was seen.
    pub active: Option<Millis>,
    /// Latest activity *or recording* of any item of the linked person; what `assume: … after last_activity` of a subject event uses.
    pub latest_activity: Option<Millis>,
    /// The same among this subject's items of one process.
    pub process_activity: BTreeMap<ProcessKey, Millis>,
}

impl Subject {
    /// A subject nothing is known about.
    pub fn unknown(key: SubjectKey) -> Self {
        Self {
            key,
            consent: Consent::default(),
            events: BTreeMap::new(),
            process_events: BTreeMap::new(),
            active: None,
            latest_activity: None,
            process_activity: BTreeMap::new(),
        }
    }
}
