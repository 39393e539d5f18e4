//! What a partition knows beside its items, as it is kept with them: so that a start goes on where it stood.
//!
//! Invariant: state = control log up to `k` + duties + [`Kept`]. A field that is new in [`State`] belongs here, or is
//! rebuilt from one of the other two.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use super::control::Control;
use super::dead_letters::DeadLetters;
use super::duty_book::Duties;
use super::news::News;
use super::state::{Alive, Covered, Letter, Slice, State, Tally};
use super::words::Words;
use crate::identity::SubjectKey;
use crate::obligation::Obligation;
use crate::record::{DeadLettered, Record};
use crate::request::Request;
use crate::time::Millis;

/// A partition's state without its duties and without what its control log says.
#[derive(Debug, Serialize, Deserialize)]
pub struct Kept {
    /// Entries of the control log that are in force.
    pub k: u64,
    now: Millis,
    epoch: Option<i64>,
    watermarks: BTreeMap<(String, i32), Millis>,
    positions: BTreeMap<(String, i32), String>,
    marks: BTreeMap<(String, i32, String, i32), i64>,
    dead_letters: Vec<DeadLettered>,
    requests: BTreeMap<String, Request>,
    slices: BTreeMap<String, Slice>,
    covered: BTreeMap<String, Covered>,
    links: BTreeMap<SubjectKey, BTreeSet<SubjectKey>>,
    claims: BTreeMap<SubjectKey, BTreeSet<SubjectKey>>,
    contested: BTreeSet<SubjectKey>,
    doubts: BTreeMap<SubjectKey, BTreeSet<SubjectKey>>,
    outbox: BTreeMap<u64, KeptLetter>,
    passed_on: u64,
    received: BTreeMap<i32, i64>,
    news: News,
    tally: Tally,
    alive: Alive,
    corrections: u32,
    resurrected: BTreeMap<String, u64>,
}

#[derive(Debug, Serialize, Deserialize)]
struct KeptLetter {
    from: SubjectKey,
    to: SubjectKey,
    schema: i32,
    body: Vec<u8>,
}

impl Kept {
    /// `encode`: a record as the ledger has it.
    pub fn of<E>(state: &State, encode: impl Fn(&Record) -> Result<(i32, Vec<u8>), E>) -> Result<Self, E> {
        // Spelled out, so that a new field is thought of here.
        let State {
            partition: _,
            partitions: _,
            heedless: _,
            duties: _,
            now,
            epoch,
            control,
            watermarks,
            positions,
            marks,
            dead_letters,
            requests,
            slices,
            covered,
            claims,
            contested,
            doubts,
            outbox,
            passed_on,
            received,
            news,
            tally,
            alive,
            corrections,
            resurrected,
        } = state;
        let letter = |(n, letter): (&u64, &Letter)| {
            let (schema, body) = encode(&letter.record)?;
            Ok((*n, KeptLetter { from: letter.from, to: letter.to, schema, body }))
        };
        Ok(Self {
            k: control.k,
            now: *now,
            epoch: *epoch,
            watermarks: watermarks.clone(),
            positions: positions.clone(),
            marks: marks.clone(),
            dead_letters: dead_letters.all().cloned().collect(),
            requests: requests.clone(),
            slices: slices.clone(),
            covered: covered.clone(),
            links: control.links.clone(),
            claims: claims.clone(),
            contested: contested.clone(),
            doubts: doubts.clone(),
            outbox: outbox.iter().map(letter).collect::<Result<_, E>>()?,
            passed_on: *passed_on,
            received: received.clone(),
            news: news.clone(),
            tally: *tally,
            alive: *alive,
            corrections: *corrections,
            resurrected: resurrected.clone(),
        })
    }

    /// To be told of every duty as it was kept.
    pub fn recalled(&self) -> Recalled {
        let mut recalled = Recalled::default();
        self.requests.values().for_each(|request| recalled.duties.name(request));
        recalled
    }

    /// `control` has taken in its first `k` entries. `fresh` = the state that a partition begins with.
    pub fn restore<E>(
        self,
        fresh: State,
        control: Control,
        duties: Duties,
        decode: impl Fn(i32, &[u8]) -> Result<Record, E>,
    ) -> Result<State, E> {
        let mut dead_letters = DeadLetters::default();
        self.dead_letters.into_iter().for_each(|letter| dead_letters.put(letter));
        let letter = |(n, letter): (u64, KeptLetter)| {
            let record = decode(letter.schema, &letter.body)?;
            Ok((n, Letter { from: letter.from, to: letter.to, record }))
        };
        Ok(State {
            now: self.now,
            epoch: self.epoch,
            control: Control { links: self.links, ..control },
            watermarks: self.watermarks,
            positions: self.positions,
            marks: self.marks,
            dead_letters,
            duties,
            requests: self.requests,
            slices: self.slices,
            covered: self.covered,
            claims: self.claims,
            contested: self.contested,
            doubts: self.doubts,
            outbox: self.outbox.into_iter().map(letter).collect::<Result<_, E>>()?,
            passed_on: self.passed_on,
            received: self.received,
            news: self.news,
            tally: self.tally,
            alive: self.alive,
            corrections: self.corrections,
            resurrected: self.resurrected,
            ..fresh
        })
    }
}

/// Duties that were kept, told one by one.
#[derive(Debug, Default)]
pub struct Recalled {
    duties: Duties,
    words: Words,
}

impl Recalled {
    /// `stays` = it is at rest where the store finds it by itself.
    pub fn put(&mut self, duty: Obligation, stays: bool) {
        let mut duty = duty;
        self.words.duty(&mut duty);
        self.duties.recall(duty, stays);
    }

    pub fn all(self) -> Duties {
        self.duties
    }
}
