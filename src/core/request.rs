//! Data subject requests: what was asked, and what became of it per target.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

use crate::identity::{ItemId, SubjectKey};
use crate::obligation::{Block, Obligation, ObligationId, Place, Stand};
use crate::record::RequestReceived;
use crate::time::Millis;

/// Why a request waits: who asks was not verified.
pub const UNVERIFIED: &str = "identity_unverified";

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Request {
    pub id: String,
    pub kind: RequestKind,
    pub subject: SubjectKey,
    pub grounds: Option<String>,
    pub purposes: Vec<String>,
    pub regime: Option<String>,
    pub received: Millis,
    pub due: Millis,
    pub by: Option<String>,
    pub cancelled: bool,
    /// A restriction that was lifted, and when.
    pub lifted: Option<Millis>,
    /// Past its date, and people were told.
    pub overdue: bool,
    /// Why it waits for a person before anything is done: whose identity this is, is not clear.
    pub waits: Option<String>,
    /// The identities of this partition that it is about.
    pub members: BTreeSet<SubjectKey>,
    /// Passed on from the partition of the identity that was named.
    pub passed_on: bool,
    /// Of a correction: what takes a new value, and the values, sealed for `subject`.
    pub categories: Vec<String>,
    pub corrections: Option<Vec<u8>>,
    pub targets: Vec<RequestTarget>,
    pub trace: Option<String>,
    /// Keyed hash of what was asked.
    pub asked: Option<Vec<u8>>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RequestKind {
    Erase,
    Correct,
    Restrict,
    Object,
    Withdraw,
    Access,
}

impl RequestKind {
    pub fn parse(text: &str) -> Option<Self> {
        Some(match text {
            "erase" => Self::Erase,
            "correct" => Self::Correct,
            "restrict" => Self::Restrict,
            "object" => Self::Object,
            "withdraw" => Self::Withdraw,
            "access" => Self::Access,
            _ => return None,
        })
    }

    pub fn name(self) -> &'static str {
        match self {
            Self::Erase => "erase",
            Self::Correct => "correct",
            Self::Restrict => "restrict",
            Self::Object => "object",
            Self::Withdraw => "withdraw",
            Self::Access => "access",
        }
    }
}

/// One copy the request reaches, and how it is answered there.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RequestTarget {
    pub item: ItemId,
    pub place: Place,
    pub categories: Vec<String>,
    pub answer: RequestAnswer,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum RequestAnswer {
    /// Carried out by this duty.
    Duty(ObligationId),
    /// The law, or a live purpose, keeps it.
    Refused { reason: String, rule: Option<String>, law: Option<String>, until: Option<Millis> },
    /// A person decides.
    Decide { purpose: String },
    /// Held there for these purposes, and by the rules until then: the answer to who asks for access.
    Held { purposes: Vec<String>, until: Option<Millis> },
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RequestState {
    Received,
    IdentityUnverified,
    RequiresInput,
    AwaitingDecision,
    InProgress,
    Fulfilled,
    PartlyFulfilled,
    Refused,
    NothingHeld,
    Cancelled,
}

impl RequestState {
    /// Somebody still waits for an answer.
    pub fn is_open(self) -> bool {
        match self {
            Self::Received | Self::IdentityUnverified | Self::RequiresInput => true,
            Self::AwaitingDecision | Self::InProgress => true,
            Self::Fulfilled | Self::PartlyFulfilled | Self::Refused => false,
            Self::NothingHeld | Self::Cancelled => false,
        }
    }
}

impl Request {
    /// Nobody has verified yet that who asks is who they say.
    pub fn is_unverified(&self) -> bool {
        self.waits.as_deref() == Some(UNVERIFIED)
    }

    /// The request as it is asked of another identity of the same person.
    pub fn asked_of(&self, member: SubjectKey) -> RequestReceived {
        RequestReceived {
            id: self.id.clone(),
            kind: self.kind.name().to_owned(),
            subject: member.0.to_vec(),
            grounds: self.grounds.clone(),
            purposes: self.purposes.clone(),
            regime: self.regime.clone(),
            received: self.received.0,
            due: self.due.0,
            categories: self.categories.clone(),
            corrections: self.corrections.clone(),
            on_behalf_of: None,
            by: self.by.clone(),
            identity: None,
            unverified: false,
            asked: self.asked.clone(),
        }
    }

    /// Those that carry it out.
    pub fn duties(&self) -> impl Iterator<Item = ObligationId> + '_ {
        self.targets.iter().filter_map(|target| match target.answer {
            RequestAnswer::Duty(id) => Some(id),
            RequestAnswer::Refused { .. } | RequestAnswer::Decide { .. } | RequestAnswer::Held { .. } => None,
        })
    }

    /// Where the request stands, from where its duties stand.
    pub fn state<'a>(&self, obligation: impl Fn(ObligationId) -> Option<&'a Obligation>) -> RequestState {
        if self.cancelled {
            return RequestState::Cancelled;
        }
        if self.is_unverified() {
            return RequestState::IdentityUnverified;
        }
        if self.waits.is_some() {
            return RequestState::RequiresInput;
        }
        if self.targets.is_empty() {
            return match self.kind {
                // Nothing had to go: the purpose ended, and that was all that was asked.
                RequestKind::Withdraw | RequestKind::Object => RequestState::Fulfilled,
                RequestKind::Erase | RequestKind::Correct => RequestState::NothingHeld,
                RequestKind::Restrict | RequestKind::Access => RequestState::NothingHeld,
            };
        }
        let (mut open, mut answered, mut kept, mut decide) = (0, 0, 0, 0);
        for target in &self.targets {
            match &target.answer {
                RequestAnswer::Refused { .. } => kept += 1,
                RequestAnswer::Decide { .. } => decide += 1,
                RequestAnswer::Held { .. } => answered += 1,
                RequestAnswer::Duty(id) => match obligation(*id) {
                    None => open += 1,
                    Some(duty) => match duty.stand {
                        // A target that can be read back is not answered before it was.
                        Stand::Verified => answered += 1,
                        Stand::Executed if duty.confirmed => answered += 1,
                        Stand::Executed | Stand::Owed | Stand::Ordered | Stand::Accepted => open += 1,
                        Stand::Failed | Stand::Observed => open += 1,
                        Stand::Blocked => match &duty.block {
                            Some(Block::Minimum { .. } | Block::Lock { .. } | Block::Others { .. }) => {
                                kept += 1
                            }
                            Some(Block::Hold(_)) | None => open += 1,
                        },
                        Stand::Residual | Stand::Refused | Stand::OutOfReach => kept += 1,
                        Stand::Withdrawn => kept += 1,
                    },
                },
            }
        }
        match (decide, open, answered, kept) {
            (1.., ..) => RequestState::AwaitingDecision,
            (_, 1.., ..) => RequestState::InProgress,
            (_, _, 0, _) => RequestState::Refused,
            (_, _, _, 0) => RequestState::Fulfilled,
            _ => RequestState::PartlyFulfilled,
        }
    }
}
