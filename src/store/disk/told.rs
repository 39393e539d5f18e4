//! Of whom more matters to a census than the facts their items were recorded by.

use std::ops::ControlFlow;

use quietus_core::engine::Row;
use quietus_core::identity::{ItemId, ItemKey, SubjectKey};

use super::keyed::{KeyMap, KeySet};
use super::row::{Family, Stored};
use super::sift::{OF_PERSON, Range};
use super::{DiskStore, StoreError, change};
use crate::store::census::{Census, Matters};

#[derive(Debug, Default)]
pub(super) struct Told {
    pub items: KeySet<ItemId>,
    pub persons: KeySet<SubjectKey>,
    /// What the census calls those who said something of consent.
    pub consents: KeyMap<SubjectKey, usize>,
    /// What was told, but of consent.
    pub rows: Vec<(Family, Stored)>,
}

impl Told {
    /// About so many facts come with them.
    pub fn facts(&self) -> u64 {
        (self.items.len() + self.persons.len().saturating_mul(OF_PERSON)) as u64
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
    /// None = there is more than this.
    pub(super) fn told(
        &self,
        range: Range,
        room: u64,
        census: &mut dyn Census,
    ) -> Result<Option<Told>, StoreError> {
        let (mut told, mut met) = (Told::default(), 0u64);
        let minds_touches = census.minds_touches();
        let wanted = |body: &[u8]| minds_touches || body.first() != Some(&change::TOUCHED);
        self.each_of(&[Family::Changes], range, &wanted, &mut |family, row| {
            if met > room {
                return Ok(ControlFlow::Break(()));
            }
            let read = row.row(family, &self.shapes);
            let matters =
                match read.ok_or_else(|| StoreError::Damaged("a change cannot be read".to_owned()))? {
                    // A second one of its item.
                    Row::Fact(_) => Matters::Item,
                    Row::Change(change) => {
                        let matters = census.matters(&change.what);
                        if matters == Matters::Consent {
                            let known = told.consents.get(&row.subject).copied();
                            told.consents.insert(row.subject, census.hear(known, &change.what));
                        }
                        matters
                    }
                    Row::Identity { .. } => Matters::Nothing,
                };
            match (matters, row.item) {
                (Matters::Nothing, _) => return Ok(ControlFlow::Continue(())),
                (Matters::Consent, _) => {
                    met += 1;
                    return Ok(ControlFlow::Continue(()));
                }
                (Matters::Item, Some(item)) => {
                    told.items.insert(ItemId { subject: row.subject, item });
                }
                (Matters::Person, _) | (Matters::Item, None) => {
                    told.persons.insert(row.subject);
                }
            }
            met += 1;
            told.rows.push((family, row));
            Ok(ControlFlow::Continue(()))
        })?;
        Ok(Some(told).filter(|_| met <= room))
    }
}
