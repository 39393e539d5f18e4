//! What came of it all, counted: the books against the database's own log.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::books::{Books, Kind};
use crate::database::{Database, Effect};

/// Times are cut to milliseconds.
const CUT_MS: i64 = 2;

#[derive(Debug, Default)]
pub struct Verdict {
    pub lost: Vec<String>,
    pub twice: Vec<String>,
    pub early: Vec<Effect>,
    pub under_hold: Vec<Effect>,
    rows: usize,
    deleted: usize,
    masked: usize,
    requests: usize,
    holds: usize,
    /// Rows touched while a hold was in effect that were due: what a hold kept from going.
    pub preserved: usize,
    /// Rows that came back and were deleted once more: a re-audit found them, and the node counted it; else it is a
    /// command that went out twice.
    found_again: u64,
}

impl Verdict {
    pub async fn of(database: &Database, books: &Books) -> Self {
        let mut verdict = Self {
            lost: books.lost.clone(),
            twice: books.twice.clone(),
            rows: books.rows.len(),
            requests: books.requests.len(),
            holds: books.held.len(),
            ..Self::default()
        };
        let mut seen: BTreeMap<(i64, bool), usize> = BTreeMap::new();
        for effect in database.effects().await {
            let known = &books.rows[&effect.id];
            let times = seen.entry((effect.id, effect.deleted)).or_default();
            *times += 1;
            let other_kind = effect.deleted == (known.kind == Kind::Masked);
            if *times == 2 && known.back && !other_kind {
                verdict.found_again += 1;
            } else if *times > 1 || other_kind {
                verdict.twice.push(format!("{effect:?}"));
            }
            if effect.at + CUT_MS < known.due() {
                verdict.early.push(effect.clone());
            }
            let during = |(row, from, to): &(i64, i64, i64)| {
                *row == effect.id && *from < effect.committed && effect.committed < *to
            };
            if books.held.iter().any(during) {
                verdict.under_hold.push(effect);
            }
        }
        for _ in 0..verdict.found_again.abs_diff(books.found_again) {
            let (again, known) = (verdict.found_again, books.found_again);
            verdict.twice.push(format!("one of {again} that came back, of which the node knows {known}"));
        }
        verdict.deleted = seen.keys().filter(|(_, deleted)| *deleted).count();
        verdict.masked = seen.len() - verdict.deleted;
        let over = |(row, from, to): &&(i64, i64, i64)| {
            let known = &books.rows[row];
            known.kind != Kind::Long && known.due().max(*from) + 100 < *to
        };
        verdict.preserved = books.held.iter().filter(over).count();
        verdict
    }

    /// Of another world.
    pub fn add(&mut self, other: Self) {
        self.lost.extend(other.lost);
        self.twice.extend(other.twice);
        self.early.extend(other.early);
        self.under_hold.extend(other.under_hold);
        self.rows += other.rows;
        self.deleted += other.deleted;
        self.masked += other.masked;
        self.requests += other.requests;
        self.holds += other.holds;
        self.preserved += other.preserved;
        self.found_again += other.found_again;
    }

    /// Its figures, in the line that a rig prints.
    pub fn tell(&self, line: &mut Value) {
        let figures = json!({"acked_lost": self.lost.len(), "effects_twice": self.twice.len(),
            "early": self.early.len(), "under_hold": self.under_hold.len(), "rows": self.rows,
            "deleted": self.deleted, "masked": self.masked, "requests": self.requests, "holds": self.holds,
            "preserved": self.preserved, "found_again": self.found_again});
        line.as_object_mut().unwrap().extend(figures.as_object().unwrap().clone());
    }

    /// Fails where a promise was not kept.
    pub fn hold(&self, seed: u64) {
        assert!(self.lost.is_empty(), "seed {seed}: lost {:?}", self.lost);
        assert!(self.twice.is_empty(), "seed {seed}: twice {:?}", self.twice);
        assert!(self.early.is_empty(), "seed {seed}: early {:?}", self.early);
        assert!(self.under_hold.is_empty(), "seed {seed}: under hold {:?}", self.under_hold);
        assert!(self.deleted > 0 && self.masked > 0, "nothing was done, so nothing was shown");
    }
}
