//! Rows that a scan found, as facts: what the dataset says of them stands for what an event would.
//!
//! Invariant: the same way as an event's, from the checks on; so a row and the event about it are one item. A row
//! that is known as it stands is no news and writes nothing, or every rescan would write the whole database anew.
//! What an event said of an item stays: a dataset says what its rows are for in general, an event knew this one.
//! Categories are never written: they are the dataset's, which completes every copy when it is judged.

use std::collections::BTreeMap;

use quietus_contract::{Locator, Scalar, ScannedRow, Secret};
use quietus_core::identity::ItemId;
use quietus_core::record::{Change, ChangeKind, Origin};
use quietus_core::system::{Collection, ColumnOr, Manifest};
use quietus_core::time::Millis;

use super::accept::{Accepted, EventId, Intake};
use super::context::Context;
use super::identify;
use super::lifecycle::{CopyAt, Recorded};
use super::refuse::Refused;
use super::route::Feed;
use super::turn::Turn;

/// What the rows of one collection have in common.
#[derive(Debug)]
pub struct Collected<'a> {
    pub system: &'a str,
    /// `dataset.collection`
    pub dataset: &'a str,
    pub collection: &'a Collection,
    /// Identity type of its subjects.
    kind: &'a str,
    pub purposes: Vec<&'a str>,
}

impl<'a> Collected<'a> {
    /// The error says why its rows cannot be recorded.
    pub fn of(
        manifest: &'a Manifest,
        dataset: &'a str,
        collection: &'a Collection,
    ) -> Result<Self, &'static str> {
        let subject = collection.subject.as_ref().ok_or("nothing says whom its rows are about")?;
        let fields = collection.leaves();
        if !fields.iter().any(|(_, f)| f.waived.is_none() && !f.categories.is_empty()) {
            return Err("none of its fields has a category");
        }
        // A row without purposes takes those of its system.
        let own = if collection.purposes.is_empty() { &manifest.purposes } else { &collection.purposes };
        let (system, purposes) = (manifest.system.as_str(), sorted(own.iter()));
        Ok(Self { system, dataset, collection, kind: &subject.kind, purposes })
    }
}

fn sorted<'a>(words: impl Iterator<Item = &'a String>) -> Vec<&'a str> {
    let mut words: Vec<&str> = words.map(String::as_str).collect();
    words.sort_unstable();
    words.dedup();
    words
}

/// What became of a page.
#[derive(Debug, Default)]
pub struct Scanned {
    pub accepted: Accepted,
    /// Every row that could be named, known or new.
    pub seen: Vec<ItemId>,
    pub known: u64,
    /// Rows that name nobody.
    pub nobody: u64,
    /// Code of a refusal → rows.
    pub refused: BTreeMap<&'static str, u64>,
    /// Rows that do not say when they began.
    pub undated: u64,
}

/// What is known of a row's item.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Known {
    /// Nothing, or nothing but what the dataset said: the dataset's words go.
    Little,
    /// It stands as it is told here.
    Same,
    /// An event said more than a dataset can; the row adds to it.
    More { categories: Vec<String>, purposes: Vec<String>, jurisdiction: Option<String> },
}

/// A row as it would be recorded.
#[derive(Debug)]
pub struct Told<'r> {
    pub start: Option<Millis>,
    pub last_activity: Option<Millis>,
    pub jurisdiction: Option<&'r str>,
}

impl Intake {
    /// `at` is when the rows were read, by their own system's clock; `known` looks an item up.
    pub fn scan(
        &self,
        rows: &[ScannedRow],
        of: &Collected<'_>,
        at: Millis,
        known: &dyn Fn(ItemId, &Told<'_>) -> Known,
        feed: &Feed,
        context: &Context,
    ) -> Scanned {
        let mut turn = Turn::new(self, feed, context);
        turn.origin = Origin::Scan;
        let mut scanned = Scanned::default();
        for row in rows {
            match self.row(row, of, at, known, &mut turn, context, &mut scanned) {
                Ok(()) => {}
                Err(refused) => *scanned.refused.entry(refused.code).or_default() += 1,
            }
        }
        scanned.accepted = turn.finish();
        scanned
    }

    fn row(
        &self,
        row: &ScannedRow,
        of: &Collected<'_>,
        at: Millis,
        known: &dyn Fn(ItemId, &Told<'_>) -> Known,
        turn: &mut Turn<'_>,
        context: &Context,
        scanned: &mut Scanned,
    ) -> Result<(), Refused> {
        let Some(subject) = row.subject.as_ref().map(Secret::reveal).filter(|s| !s.trim().is_empty()) else {
            scanned.nobody += 1;
            return Ok(());
        };
        let subject = format!("{}:{subject}", of.kind);
        let locator: Locator = row.locator.iter().map(|(c, v)| (c.clone(), as_an_event_says(v))).collect();
        let item = row.item.as_ref().map(Secret::reveal);
        let who = identify::subject(&self.keys, &subject, &context.default_type, "the subject's column")?;
        let naming = context.naming(of.system, of.dataset);
        let first = CopyAt { system: of.system, dataset: of.dataset, locator: &locator, purposes: None };
        let key = identify::recorded(&self.keys, item, &first, naming)?;
        let id = ItemId { subject: who.key, item: key };
        scanned.seen.push(id);
        let told = Told {
            start: row.recorded_at.map(Millis),
            last_activity: row.last_activity.map(Millis),
            jurisdiction: match &of.collection.jurisdiction {
                Some(ColumnOr::Literal(literal)) => Some(literal),
                Some(ColumnOr::Column(_)) => row.jurisdiction.as_deref(),
                None => None,
            },
        };
        scanned.undated += u64::from(told.start.is_none());
        let (categories, purposes, jurisdiction);
        match known(id, &told) {
            Known::Same => {
                scanned.known += 1;
                return Ok(());
            }
            Known::Little => {
                (categories, purposes) = (Vec::new(), of.purposes.iter().map(|p| (*p).to_owned()).collect());
                jurisdiction = told.jurisdiction.map(str::to_owned);
            }
            Known::More { categories: c, purposes: p, jurisdiction: j } => {
                (categories, purposes, jurisdiction) = (c, p, j)
            }
        }
        turn.recorded(
            Recorded {
                item,
                subject: &subject,
                categories: categories.iter().map(String::as_str).collect(),
                purposes: purposes.iter().map(String::as_str).collect(),
                jurisdiction: jurisdiction.as_deref(),
                process: row.process.as_ref().map(Secret::reveal),
                controller: of.collection.controller.as_deref(),
                service: of.collection.service.as_deref(),
                recorded_at: told.start,
                source_time: Some(at),
                copies: vec![first],
            },
            EventId::NONE,
        )?;
        turn.told.accepted += 1;
        match told.last_activity {
            None => Ok(()),
            Some(seen) => {
                let touched = Change { item: Some(key.0.into()), ..Change::new(ChangeKind::Touched, seen.0) };
                turn.change(&who, touched, EventId::NONE)
            }
        }
    }
}

/// An event's number has as many digits as a double keeps, and no needless zeros; its text is a number where it is
/// written like one.
fn as_an_event_says(value: &Scalar) -> Scalar {
    match value {
        Scalar::Integer(n) => Scalar::Integer(*n),
        Scalar::Text(text) => identify::scalar(text.reveal()),
        Scalar::Number(text) => {
            let trimmed = match text.reveal().split_once('.') {
                Some((whole, fraction)) => match fraction.trim_end_matches('0') {
                    "" => whole.to_owned(),
                    fraction => format!("{whole}.{fraction}"),
                },
                None => text.reveal().to_owned(),
            };
            trimmed.parse().map_or_else(|_| Scalar::Number(Secret::new(trimmed)), Scalar::Integer)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_spelt_as_an_event_spells_it() {
        let text = |t: &str| Scalar::Text(Secret::new(t));
        let number = |t: &str| Scalar::Number(Secret::new(t));
        assert_eq!(as_an_event_says(&text("7")), Scalar::Integer(7));
        assert_eq!(as_an_event_says(&text("07")), text("07"));
        assert_eq!(as_an_event_says(&number("1.50")), number("1.5"));
        assert_eq!(as_an_event_says(&number("2.00")), Scalar::Integer(2));
    }
}
