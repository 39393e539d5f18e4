//! Rows as runs keep them: a key that they are sorted and found by, and the rest as bytes.
//!
//! Invariant: [`Stored::of`] and [`Stored::row`] undo each other, so that what is folded from a run is what the
//! engine wrote. Every row carries its sequence number in the partition, since what rows add up to depends on their
//! order and runs lie in another one.

use std::cmp::Ordering;
use std::sync::Arc;

use quietus_core::engine::Row;
use quietus_core::identity::{ItemId, ItemKey, ProcessKey, SubjectKey};
use quietus_core::life::{ChangeRow, FactRow};
use quietus_core::time::Millis;

use super::bytes::{Reader, Writer};
use super::change;
use super::page::{Body, PageRow};
use super::shapes::Shapes;
use crate::store::{DutyRow, Lies};

/// Of a fact: as many bytes come before its process and cells as a rule. They lie in memory by the ten thousand.
const HEAD: usize = 2;
/// Shorter than any duty, and no row has an empty body.
const NO_DUTY: [u8; 1] = [0];

/// What lies together in a run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Family {
    /// Each item's first, by (shape, start, subject, item): what a sweep reads stands together.
    Facts,
    /// What came later, facts included, by (subject, item).
    Changes,
    /// The newest sealed identity per subject.
    Identities,
    /// Of duties under way the newest row, by (subject, id): its id stands where others have their item. Of one that came
    /// to rest since, [`NO_DUTY`].
    Duties,
    /// Of duties at rest the newest row, by (subject, id); of one that is under way again, the row of before.
    Rests,
    /// Of who said something of consent, what they said and the shapes and starts of what they have: see
    /// [`super::joined`].
    Resolved,
}

impl Family {
    pub const ALL: [Self; 6] =
        [Self::Facts, Self::Changes, Self::Identities, Self::Duties, Self::Rests, Self::Resolved];
    /// What is known about items and subjects.
    pub const ROWS: [Self; 3] = [Self::Facts, Self::Changes, Self::Identities];

    pub fn byte(self) -> u8 {
        match self {
            Self::Facts => 1,
            Self::Changes => 2,
            Self::Identities => 3,
            Self::Duties => 4,
            Self::Rests => 5,
            Self::Resolved => 6,
        }
    }

    pub fn of_byte(byte: u8) -> Option<Self> {
        Self::ALL.into_iter().find(|family| family.byte() == byte)
    }
}

/// One row of a run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stored {
    /// Position among all rows of the partition.
    pub seq: u64,
    pub subject: SubjectKey,
    /// None = about the subject.
    pub item: Option<ItemKey>,
    /// Of a fact: number of its interned shape; of what was joined: its layout; else 0.
    pub shape: u32,
    /// Of a fact: its start.
    pub start: Option<Millis>,
    pub body: Vec<u8>,
}

impl Stored {
    pub fn of(seq: u64, row: &Row, shapes: &mut Shapes) -> (Family, Self) {
        let mut body = Writer(Vec::with_capacity(match row {
            Row::Fact(fact) => {
                let process = fact.process.map_or(0, |ProcessKey(key)| key.len());
                HEAD + process
                    + fact.cells.iter().map(|cell| cell.len() + 1 + cell.len() / 128).sum::<usize>()
            }
            Row::Change(_) | Row::Identity { .. } => 0,
        }));
        match row {
            Row::Fact(fact) => {
                let (subject, item) = (fact.id.subject, Some(fact.id.item));
                let (shape, start) = (shapes.intern(&fact.shape), fact.start);
                if fact.again {
                    body.byte(change::FACT).number(u64::from(shape)).option(start, |out, start| {
                        out.signed(start.0);
                    });
                    write_fact(&mut body, fact);
                    let stored = Self { seq, subject, item, shape: 0, start: None, body: body.0 };
                    return (Family::Changes, stored);
                }
                write_fact(&mut body, fact);
                (Family::Facts, Self { seq, subject, item, shape, start, body: body.0 })
            }
            Row::Change(row) => {
                change::write(&mut body, &row.what);
                let item = row.what.item().map(|id| id.item);
                let stored = Self { seq, subject: row.subject, item, shape: 0, start: None, body: body.0 };
                (Family::Changes, stored)
            }
            Row::Identity { subject, cell } => {
                let stored =
                    Self { seq, subject: *subject, item: None, shape: 0, start: None, body: cell.clone() };
                (Family::Identities, stored)
            }
        }
    }

    /// As a page would hold it that has room.
    pub fn as_in_page(&self) -> PageRow<'_> {
        let Self { seq, subject, item, shape, start, body } = self;
        let (seq, subject, item, shape, start) = (*seq, *subject, *item, *shape, *start);
        PageRow { seq, subject, item, shape, start, body: Body::Here(body) }
    }

    pub fn of_duty(seq: u64, duty: DutyRow) -> Self {
        let DutyRow { id, subject, lies: _, bytes } = duty;
        Self { seq, subject, item: Some(ItemKey(id)), shape: 0, start: None, body: bytes }
    }

    /// Stands where duties under way lie, once one of them came to rest.
    pub fn of_no_duty(seq: u64, duty: &DutyRow) -> Self {
        let (subject, item) = (duty.subject, Some(ItemKey(duty.id)));
        Self { seq, subject, item, shape: 0, start: None, body: NO_DUTY.to_vec() }
    }

    /// Neither a duty nor [`Stored::of_no_duty`], also where another row counts.
    pub fn is_torn_duty(&self) -> bool {
        self.body.len() <= NO_DUTY.len() && self.body != NO_DUTY
    }

    /// None = [`Stored::of_no_duty`].
    pub fn duty(self, family: Family) -> Option<DutyRow> {
        let lies = if family == Family::Rests { Lies::AtRest } else { Lies::UnderWay };
        let id = self.item.filter(|_| self.body != NO_DUTY)?.0;
        Some(DutyRow { id, subject: self.subject, lies, bytes: self.body })
    }

    /// What was told before of its item, or of its subject, counts no longer.
    pub fn is_forgotten(&self, family: Family) -> bool {
        family == Family::Changes && self.body == [change::FORGOTTEN]
    }

    /// [`Stored::of_no_duty`].
    pub fn is_no_duty(&self, family: Family) -> bool {
        matches!(family, Family::Duties | Family::Rests) && self.body == NO_DUTY
    }

    /// Of two rows in this order the second alone counts.
    pub fn is_superseded_by(&self, next: &Self, family: Family) -> bool {
        match family {
            Family::Facts | Family::Changes => false,
            Family::Identities | Family::Duties | Family::Rests | Family::Resolved => {
                (self.subject, self.item) == (next.subject, next.item)
            }
        }
    }

    /// None = bytes that are no row.
    pub fn row(&self, family: Family, shapes: &Shapes) -> Option<Row> {
        match family {
            Family::Facts => {
                let place = (self.shape, self.start);
                self.fact(Reader(&self.body), place, false, shapes).map(Row::Fact)
            }
            Family::Changes if self.body.first() == Some(&change::FACT) => {
                let mut reader = Reader(self.body.get(1..)?);
                let shape = reader.small()?;
                let start = reader.option(|r| r.signed().map(Millis))?;
                self.fact(reader, (shape, start), true, shapes).map(Row::Fact)
            }
            Family::Changes => {
                let what = change::read(&mut Reader(&self.body), self.subject, self.item)?;
                Some(Row::Change(ChangeRow { subject: self.subject, what }))
            }
            Family::Identities => Some(Row::Identity { subject: self.subject, cell: self.body.clone() }),
            Family::Duties | Family::Rests | Family::Resolved => None,
        }
    }

    fn fact(
        &self,
        mut reader: Reader<'_>,
        (shape, start): (u32, Option<Millis>),
        again: bool,
        shapes: &Shapes,
    ) -> Option<FactRow> {
        let head = reader.number()?;
        let process = match head & 1 {
            0 => None,
            _ => Some(ProcessKey(reader.array()?)),
        };
        let mut cells = Vec::new();
        while !reader.is_empty() {
            cells.push(reader.bytes()?.to_vec());
        }
        Some(FactRow {
            id: ItemId { subject: self.subject, item: self.item? },
            generation: u32::try_from(head >> 1).ok()?,
            again,
            start,
            shape: Arc::clone(shapes.get(shape)?),
            process,
            cells,
        })
    }

    pub fn order(&self, other: &Self) -> Ordering {
        (self.shape, self.start, self.subject, self.item, self.seq).cmp(&(
            other.shape,
            other.start,
            other.subject,
            other.item,
            other.seq,
        ))
    }
}

fn write_fact(body: &mut Writer, fact: &FactRow) {
    body.number(u64::from(fact.generation) << 1 | u64::from(fact.process.is_some()));
    if let Some(process) = fact.process {
        body.raw(&process.0);
    }
    fact.cells.iter().for_each(|cell| {
        body.bytes(cell);
    });
}
