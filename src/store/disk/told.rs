//! Of whom more matters to a census than the facts their items were recorded by.

use std::ops::ControlFlow;

use quietus_core::engine::Row;
use quietus_core::identity::{ItemId, ItemKey, SubjectKey};

use super::joined::Persons;
use super::keyed::{KeyMap, KeySet, tail};
use super::row::{Family, Stored};
use super::run::Run;
use super::sift::{OF_PERSON, Range};
use super::{DiskStore, StoreError, change};
use crate::store::census::{Census, Matters};

/// What so many say of consent of whom nothing is joined takes the room of a row.
const CONSENTS: u64 = 2;

#[derive(Debug, Default)]
pub(super) struct Told {
    pub items: KeySet<ItemId>,
    pub persons: KeySet<SubjectKey>,
    /// Those who said something of consent, and what they have.
    pub joined: Persons,
    /// What the census calls the others who did.
    pub consents: KeyMap<SubjectKey, usize>,
    /// Who all these may be.
    perhaps: Perhaps,
    /// What was told, but of consent.
    pub rows: Vec<(Family, Stored)>,
}

impl Told {
    /// About so many facts come with them.
    pub fn facts(&self) -> u64 {
        (self.items.len() + self.persons.len().saturating_mul(OF_PERSON)) as u64
    }

    /// What the census calls this person, if they said something of consent.
    pub fn person(&self, subject: SubjectKey) -> Option<usize> {
        if !self.perhaps.has(subject) {
            return None;
        }
        self.consents.get(&subject).copied().or_else(|| self.joined.number(subject))
    }

    /// Who said something of consent.
    pub fn heard(&self) -> impl Iterator<Item = &SubjectKey> {
        self.joined.subjects().chain(self.consents.keys())
    }

    /// An item is looked up by its person.
    pub fn subjects(&self) -> KeySet<SubjectKey> {
        let mut all = self.whole();
        all.extend(self.consents.keys());
        all
    }

    /// Those of whom, or of some item of whom, more is known than consent.
    pub fn whole(&self) -> KeySet<SubjectKey> {
        self.items.iter().map(|id| id.subject).chain(self.persons.iter().copied()).collect()
    }

    /// More is known of it than a person's consent.
    pub fn is_whole(&self, subject: SubjectKey, item: Option<ItemKey>) -> bool {
        let is_told = |item| self.items.contains(&ItemId { subject, item });
        !self.persons.is_empty() && self.persons.contains(&subject)
            || !self.items.is_empty() && item.is_some_and(is_told)
    }
}

impl DiskStore {
    /// None = there is more than so many rows take.
    pub(super) fn told(
        &self,
        range: Range,
        room: u64,
        census: &mut dyn Census,
    ) -> Result<Option<Told>, StoreError> {
        let Some(joined) = self.joined(range, room, census)? else { return Ok(None) };
        let (mut met, upto) = (joined.room().saturating_mul(CONSENTS), joined.upto);
        let mut told = Told { joined, ..Told::default() };
        let room = room.saturating_mul(CONSENTS);
        let mut places = None;
        let minds_touches = census.minds_touches();
        let is_new = |run: &Run| !run.tells_of_consent_alone(!minds_touches, upto);
        self.each_met(&[Family::Changes], range, &is_new, &mut |family, row, body| {
            if met > room {
                return Ok(ControlFlow::Break(()));
            }
            if let Some(said) = change::said(body)? {
                let place = places.get_or_insert_with(|| told.joined.places()).get(&row.subject);
                if let Some(number) = place.and_then(|place| told.joined.number_at(*place)) {
                    *number = Some(census.hear(*number, said));
                } else {
                    let known = told.consents.get(&row.subject).copied();
                    told.consents.insert(row.subject, census.hear(known, said));
                }
                met += 1;
                return Ok(ControlFlow::Continue(()));
            }
            if !minds_touches && body.first() == Some(&change::TOUCHED) {
                return Ok(ControlFlow::Continue(()));
            }
            let row = row.stored(body.to_vec());
            let matters = match row.row(family, &self.shapes).ok_or_else(change::unreadable)? {
                // A second one of its item.
                Row::Fact(_) => Matters::Item,
                Row::Change(change) => census.matters(&change.what),
                Row::Identity { .. } => Matters::Nothing,
            };
            match (matters, row.item) {
                (Matters::Nothing, _) => return Ok(ControlFlow::Continue(())),
                (Matters::Item, Some(item)) => {
                    told.items.insert(ItemId { subject: row.subject, item });
                }
                (Matters::Person, _) | (Matters::Item, None) => {
                    told.persons.insert(row.subject);
                }
            }
            met += CONSENTS;
            told.rows.push((family, row));
            Ok(ControlFlow::Continue(()))
        })?;
        let whole = told.whole();
        told.joined.settle(&whole, &mut told.consents);
        told.perhaps = Perhaps::of(told.joined.len() + told.consents.len(), told.heard());
        Ok(Some(told).filter(|_| met <= room))
    }
}

/// Says of most who are not among some that they are not, from a sixteenth of the memory that a look among them reads.
#[derive(Debug, Default)]
struct Perhaps(Vec<u64>);

impl Perhaps {
    fn of<'a>(count: usize, keys: impl Iterator<Item = &'a SubjectKey>) -> Self {
        // Sixteen bits for each.
        let mut all = Self(vec![0; (count / 4).next_power_of_two()]);
        for key in keys {
            let (word, bit) = all.place(*key);
            all.0.get_mut(word).into_iter().for_each(|word| *word |= bit);
        }
        all
    }

    fn has(&self, key: SubjectKey) -> bool {
        let (word, bit) = self.place(key);
        self.0.get(word).is_some_and(|word| word & bit != 0)
    }

    /// Keys are hashes already.
    fn place(&self, key: SubjectKey) -> (usize, u64) {
        let hash = tail(&key.0);
        let mask = self.0.len().saturating_sub(1);
        (usize::try_from(hash >> 6).unwrap_or_default() & mask, 1 << (hash & 63))
    }
}
