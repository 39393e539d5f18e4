//! How far a run's rows go, and what there is among them: so that who asks about others need not read it.
//!
//! At the end of a run's header: greatest number · least subject 16 · greatest subject 16 · [sorts of changes]. A run
//! from before it was kept ends without all of it, or without its last byte, and is read whatever is asked.

use std::cmp::Ordering;

use quietus_core::identity::SubjectKey;

use super::bytes::{Reader, Writer};
use super::change;
use super::row::Stored;

#[derive(Clone, Copy, Debug)]
pub(super) struct Reach {
    last: u64,
    least: SubjectKey,
    greatest: SubjectKey,
    /// Of changes, as bits: [`change::TOUCHED`] 1, of consent 2, anything else 4.
    sorts: Option<u8>,
}

impl Reach {
    /// Of no row.
    pub const NONE: Self =
        Self { last: 0, least: SubjectKey([u8::MAX; 16]), greatest: SubjectKey([0; 16]), sorts: Some(0) };

    /// With one row more.
    pub fn and(self, row: &Stored) -> Self {
        let sort = match row.body.first() {
            Some(&change::TOUCHED) => 1,
            _ if change::is_of_consent(&row.body) => 2,
            _ => 4,
        };
        Self {
            last: self.last.max(row.seq),
            least: self.least.min(row.subject),
            greatest: self.greatest.max(row.subject),
            sorts: self.sorts.map(|sorts| sorts | sort),
        }
    }

    pub fn read(reader: &mut Reader<'_>) -> Option<Self> {
        let last = reader.number()?;
        let (least, greatest) = (SubjectKey(reader.array()?), SubjectKey(reader.array()?));
        Some(Self { last, least, greatest, sorts: reader.byte() })
    }

    pub fn write(&self, out: &mut Writer) {
        out.number(self.last).raw(&self.least.0).raw(&self.greatest.0);
        self.sorts.iter().for_each(|sorts| {
            out.byte(*sorts);
        });
    }

    /// Its last number is this at least.
    pub fn reaches(&self, seq: u64) -> bool {
        self.last >= seq
    }

    /// Some subject may be among those that are equal in this order of keys.
    pub fn may_meet(&self, order: &dyn Fn(SubjectKey) -> Ordering) -> bool {
        order(self.greatest).is_ge() && order(self.least).is_le()
    }

    /// Every change is of consent, or of a touch where `touches`.
    pub fn is_of_consent(&self, touches: bool) -> bool {
        let other = if touches { 4 } else { 5 };
        self.sorts.is_some_and(|sorts| sorts & other == 0)
    }
}
