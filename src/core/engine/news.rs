//! What others should hear of: decisions, suppression notices, violations, breaches, escalations, dead letters.
//!
//! Invariant: news is numbered per partition by the ledger alone, and the state knows up to which number it has been
//! told; so whoever tells it may end at any point, tells some of it twice under the same number, and leaves none out.
//! What it says is the owner's to keep: the state holds it no longer than until it is [taken](News::take).
//! Nothing is kept while nobody is told: the switch stands in the control log.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::identity::{ItemId, SubjectKey};
use crate::life::FactRow;
use crate::obligation::{Block, Cause, Duty, Obligation, Stand};
use crate::request::{Request, RequestKind};
use crate::time::Millis;

use super::State;
use super::decision::{Decision, Noticed, Row};

/// News of a partition, by number.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct News {
    waiting: BTreeMap<u64, Item>,
    /// The last number given out.
    given: u64,
    /// Up to this number it was told.
    told: u64,
}

/// One piece of news.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Item {
    pub at: Millis,
    pub what: What,
    /// `traceparent` of what caused it.
    pub trace: Option<String>,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum What {
    /// A duty came to stand so.
    Decision(Box<Decided>),
    /// A person asked that something about them end, or (`lifted`) that it go on.
    Suppression {
        subject: SubjectKey,
        request: String,
        kind: RequestKind,
        purposes: Vec<String>,
        lifted: bool,
    },
    /// A copy is used for purposes that its system is not for, or is there again after it was erased.
    Violation { item: ItemId, system: String, dataset: String, why: Violated, purposes: Vec<String> },
    /// Somebody deleted what a hold covers.
    Breach { item: ItemId, system: String, dataset: String, holds: Vec<String> },
    /// Something is late: a request, or a partner.
    Escalation {
        subject: Option<SubjectKey>,
        item: Option<ItemId>,
        system: Option<String>,
        request: Option<String>,
    },
    /// A source's record could not be read; it stands among the dead letters.
    DeadLetter { id: String },
}

/// What a violation is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Violated {
    Resurrected,
    Purposes,
}

impl Violated {
    pub fn words(self) -> &'static str {
        match self {
            Self::Resurrected => "erased, and there again",
            Self::Purposes => "used for purposes that its system is not for",
        }
    }
}

/// A duty as others hear of it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Decided {
    pub item: ItemId,
    pub system: String,
    pub dataset: String,
    pub categories: Vec<String>,
    pub duty: Duty,
    pub outcome: Stand,
    /// Carried out by its system's own word alone.
    pub confirmed: bool,
    pub rule: Option<String>,
    /// The request or sweep that it follows from.
    pub cause: Option<String>,
    pub until: Option<Millis>,
}

impl News {
    /// Oldest first.
    pub fn waiting(&self) -> impl Iterator<Item = (u64, &Item)> {
        self.waiting.iter().map(|(number, item)| (*number, item))
    }

    /// Hands over what came since: to be kept until it was told.
    pub fn take(&mut self) -> BTreeMap<u64, Item> {
        std::mem::take(&mut self.waiting)
    }

    pub fn given(&self) -> u64 {
        self.given
    }

    pub fn told_up_to(&self) -> u64 {
        self.told
    }

    /// Nothing waits to be told.
    pub fn is_empty(&self) -> bool {
        self.told >= self.given
    }

    fn add(&mut self, item: Item) {
        self.given += 1;
        self.waiting.insert(self.given, item);
    }

    pub(super) fn told(&mut self, up_to: u64) {
        self.told = self.told.max(up_to.min(self.given));
        self.waiting = self.waiting.split_off(&up_to.saturating_add(1));
    }
}

/// Keeps what this decision is to others; called before it is evolved.
pub(super) fn note(state: &mut State, decision: &Decision, trace: Option<&str>) {
    if !state.control.tells_news {
        return;
    }
    let at = state.now;
    for what in news_of(state, decision) {
        state.news.add(Item { at, what, trace: trace.map(str::to_owned) });
    }
}

fn news_of(state: &State, decision: &Decision) -> Vec<What> {
    let one = match decision {
        Decision::Opened(duty) => decided(duty),
        Decision::Moved { duty, .. } => decided(duty),
        Decision::Requested(request) => return suppressed(state, request),
        Decision::Noticed(noticed) => noticed_of(state, noticed),
        Decision::DeadLettered(letter) => Some(What::DeadLetter { id: letter.id.clone() }),
        Decision::Wrote(Row::Fact(fact)) => return misused(state, fact),
        Decision::Wrote(Row::Change(_) | Row::Identity { .. }) => None,
        Decision::Began { .. } | Decision::Now(_) | Decision::Watermark { .. } | Decision::Mark { .. } => {
            None
        }
        Decision::DeadLetterClosed { .. } | Decision::Control { .. } | Decision::Noted(_) => None,
        Decision::Swept { .. } | Decision::Covered { .. } | Decision::Linked { .. } => None,
        Decision::Claimed { .. } | Decision::Contested { .. } | Decision::Doubted { .. } => None,
        Decision::PassedOn { .. } | Decision::Delivered { .. } | Decision::Received { .. } => None,
        Decision::Told { .. } | Decision::Ignored { .. } => None,
        Decision::RequestsForgotten { .. } | Decision::Forgot { .. } | Decision::Forgotten { .. } => None,
    };
    one.into_iter().collect()
}

/// Where a duty comes to rest for a while; what is on its way is nobody's news.
fn decided(duty: &Obligation) -> Option<What> {
    match duty.stand {
        Stand::Ordered | Stand::Withdrawn => return None,
        Stand::Owed if duty.attempt > 0 => return None,
        Stand::Owed | Stand::Accepted | Stand::Executed | Stand::Verified | Stand::Blocked => {}
        Stand::Residual | Stand::Refused | Stand::OutOfReach | Stand::Failed | Stand::Observed => {}
    }
    let until = match (&duty.block, &duty.residue) {
        (Some(Block::Minimum { until, .. }), _) => Some(*until),
        (Some(Block::Lock { until } | Block::Others { until }), _) => *until,
        (_, Some(residue)) => residue.until,
        (Some(Block::Hold(_)) | None, None) => None,
    };
    let cause = match &duty.cause {
        Cause::Sweep(id) | Cause::Request(id) | Cause::Reapply(id) => Some(id.to_string()),
        Cause::Resurrection | Cause::Correction | Cause::LateCopy => None,
    };
    Some(What::Decision(Box::new(Decided {
        item: duty.item,
        system: duty.place.system.to_string(),
        dataset: duty.place.dataset.to_string(),
        categories: duty.parts.to_vec(),
        duty: duty.duty,
        outcome: duty.stand,
        confirmed: duty.confirmed,
        rule: duty.rule.as_deref().map(str::to_owned),
        cause,
        until,
    })))
}

/// Of every identity: once, when it is clear who asks; and once more when a restriction is lifted.
fn suppressed(state: &State, request: &Request) -> Vec<What> {
    let ends = match request.kind {
        RequestKind::Erase | RequestKind::Object | RequestKind::Withdraw | RequestKind::Restrict => true,
        RequestKind::Correct | RequestKind::Access => false,
    };
    let before = state.requests.get(&request.id);
    let begins = request.waits.is_none() && before.is_none_or(|known| known.waits.is_some());
    let lifted = request.lifted.is_some() && before.is_some_and(|known| known.lifted.is_none());
    if !ends || request.cancelled || !(begins || lifted) {
        return Vec::new();
    }
    let people = request
        .members
        .iter()
        .chain((!request.members.contains(&request.subject)).then_some(&request.subject));
    let one = |subject: &SubjectKey| What::Suppression {
        subject: *subject,
        request: request.id.clone(),
        kind: request.kind,
        purposes: request.purposes.clone(),
        lifted,
    };
    people.map(one).collect()
}

fn noticed_of(state: &State, noticed: &Noticed) -> Option<What> {
    Some(match noticed {
        Noticed::Resurrected { item, place } => What::Violation {
            item: *item,
            system: place.system.to_string(),
            dataset: place.dataset.to_string(),
            why: Violated::Resurrected,
            purposes: Vec::new(),
        },
        Noticed::Breach { item, place, holds } => What::Breach {
            item: *item,
            system: place.system.to_string(),
            dataset: place.dataset.to_string(),
            holds: holds.clone(),
        },
        Noticed::Overdue { request } => What::Escalation {
            subject: state.requests.get(request).map(|r| r.subject),
            item: None,
            system: None,
            request: Some(request.clone()),
        },
        Noticed::PastDeadline { item, place } => What::Escalation {
            subject: Some(item.subject),
            item: Some(*item),
            system: Some(place.system.to_string()),
            request: None,
        },
        Noticed::Echo { .. } | Noticed::Reborn { .. } | Noticed::Late { .. } | Noticed::Undeclared { .. } => {
            return None;
        }
    })
}

/// Copies with purposes that their system's manifest does not name.
fn misused(state: &State, fact: &FactRow) -> Vec<What> {
    let copies = fact.shape.copies.iter();
    let misused = copies.filter_map(|copy| {
        let allowed = &state.control.systems.get(&copy.system)?.manifest.purposes;
        let other = |purpose: &&String| !allowed.is_empty() && !allowed.contains(purpose);
        let used = copy.purposes.as_ref().unwrap_or(&fact.shape.purposes);
        let purposes: Vec<String> = used.iter().filter(other).cloned().collect();
        (!purposes.is_empty()).then(|| What::Violation {
            item: fact.id,
            system: copy.system.clone(),
            dataset: copy.dataset.clone(),
            why: Violated::Purposes,
            purposes,
        })
    });
    misused.collect()
}
