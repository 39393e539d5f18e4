//! Keeps what a chain decided about one request or one sweep, while a ledger is read again.
//!
//! A node's own chains keep hashes alone: the decisions behind them are found by a replay, and only for who asks.

use std::collections::BTreeSet;

use quietus_core::engine::{Decision, Noticed};
use quietus_core::merkle::{self, Hash};
use quietus_core::obligation::{Cause, Obligation, ObligationId};
use quietus_core::request::{Request, RequestAnswer};

/// What a certificate is of.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Subject {
    Request(String),
    Sweep(String),
}

#[derive(Clone, Debug)]
pub struct Witness {
    of: Subject,
    /// Duties that belong to it, whoever moved them since.
    duties: BTreeSet<ObligationId>,
    kept: Vec<Kept>,
}

/// Decisions of one entry, each with its way up to the entry's root.
#[derive(Clone, Debug)]
pub struct Kept {
    pub entry: u64,
    pub seen: Vec<(Seen, Vec<Hash>)>,
}

#[derive(Clone, Debug)]
pub struct Seen {
    /// Its place among the entry's decisions.
    pub index: u64,
    pub salt: Hash,
    pub leaf: Vec<u8>,
}

impl Witness {
    pub fn of(of: Subject) -> Self {
        Self { of, duties: BTreeSet::new(), kept: Vec::new() }
    }

    pub fn kept(&self) -> &[Kept] {
        &self.kept
    }

    pub(super) fn is_asked(&mut self, decision: &Decision) -> bool {
        match decision {
            Decision::Requested(request) => self.is_request(request),
            Decision::Opened(duty) | Decision::Moved { duty, .. } => self.is_of(duty),
            Decision::Swept { sweep, .. } => matches!(&self.of, Subject::Sweep(id) if id == sweep),
            Decision::Noticed(Noticed::Overdue { request }) => {
                matches!(&self.of, Subject::Request(id) if id == request)
            }
            _ => false,
        }
    }

    fn is_request(&mut self, request: &Request) -> bool {
        if !matches!(&self.of, Subject::Request(id) if *id == request.id) {
            return false;
        }
        let duty = |answer: &RequestAnswer| match answer {
            RequestAnswer::Duty(id) => Some(*id),
            RequestAnswer::Refused { .. } | RequestAnswer::Decide { .. } | RequestAnswer::Held { .. } => None,
        };
        self.duties.extend(request.targets.iter().filter_map(|t| duty(&t.answer)));
        true
    }

    fn is_of(&mut self, duty: &Obligation) -> bool {
        let mine = match (&self.of, &duty.cause) {
            (Subject::Request(id), Cause::Request(by)) => **id == **by,
            (Subject::Sweep(id), Cause::Sweep(by)) => **id == **by,
            _ => false,
        };
        if mine {
            self.duties.insert(duty.id);
        }
        mine || self.duties.contains(&duty.id)
    }

    pub(super) fn keep(&mut self, entry: u64, leaves: &[Hash], seen: Vec<Seen>) {
        let way = |seen: Seen| {
            let index = usize::try_from(seen.index).ok()?;
            Some((seen, merkle::path(leaves, index)?))
        };
        let seen = seen.into_iter().filter_map(way).collect();
        self.kept.push(Kept { entry, seen });
    }
}
