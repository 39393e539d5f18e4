//! What the rules say about one item at one moment: printable, comparable, and complete with the rules that lost.

use serde::{Deserialize, Serialize};

use crate::time::Millis;

/// The verdict on an item: its copies in the order of [`crate::item::Item::copies`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Verdict {
    /// The latest of the copies' dates; None = unknown or never.
    pub due: Option<Millis>,
    pub copies: Vec<CopyVerdict>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CopyVerdict {
    /// When all parts of this copy are over: the latest of its parts; None = unknown or never.
    pub due: Option<Millis>,
    /// One per category of the copy, in its order.
    pub parts: Vec<PartVerdict>,
}

/// What the rules say about one category of one copy.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PartVerdict {
    pub category: String,
    /// The later of the winning `keep` and a binding minimum; None = unknown or never.
    pub due: Option<Millis>,
    /// When the maximum alone is over, before any minimum. None = unknown or never.
    pub keep: Option<Millis>,
    /// When the last purpose runs out that nothing has ended by the time it is judged at; None = no purpose runs out.
    pub runs_out: Option<Millis>,
    /// What happens then (the strongest `then` of the purposes that ended).
    pub action: Action,
    /// An earlier stage already reached (restrict before erase), with its date.
    pub stage: Option<(Action, Millis)>,
    /// A statutory minimum that binds this copy: until when, by which rule and law.
    pub minimum: Option<Minimum>,
    /// A minimum binds whose start is not known: it has no end yet, so nothing is erased under it.
    pub undated_minimum: bool,
    /// Why there is no date.
    pub open: Option<Open>,
    /// Every rule that applies, the winner marked; exactly one wins where there is a date.
    pub rules: Vec<RuleVerdict>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Minimum {
    pub until: Millis,
    pub rule: String,
    pub law: Option<String>,
}

/// Why a part has no date. It is listed, counted and alarmed: neither dropped nor given a default.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Open {
    /// A live purpose that no rule covers.
    Uncovered,
    /// A rule covers it, its starting point is not known.
    Undated,
    /// The rule waits for an open-ended event or a withdrawal that has not come: nothing is wrong.
    Waiting,
    /// `keep: indefinitely`.
    Indefinite,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RuleVerdict {
    pub id: String,
    pub kind: RuleKind,
    /// The purpose this rule spoke for; None for a minimum, or a copy without purposes.
    pub purpose: Option<String>,
    pub start: Option<Millis>,
    pub due: Option<Millis>,
    pub wins: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RuleKind {
    Keep,
    AtLeast,
}

/// What is done to a part, strongest last: where several ended purposes differ, the strongest wins.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Action {
    Restrict,
    Mask,
    Pseudonymise,
    Anonymise,
    Erase,
}

impl Action {
    /// Only these end the duty; after the others the copy stays tracked.
    pub fn discharges(self) -> bool {
        match self {
            Self::Erase | Self::Anonymise => true,
            Self::Restrict | Self::Mask | Self::Pseudonymise => false,
        }
    }
}
