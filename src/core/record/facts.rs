//! Facts in columns: what was recorded, where it lies, under which purposes.

use std::cmp::Ordering;
use std::sync::{Arc, OnceLock};

use serde::{Deserialize, Serialize};

use crate::identity::{ItemId, ItemKey, ProcessKey, SubjectKey};
use crate::item::CopyKind;
use crate::time::Millis;

/// At most [`Facts::MAX`] facts of one partition, with the source positions they were read from.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Facts {
    pub source: String,
    pub source_generation: i32,
    /// Source offset ranges this batch stands for; a partition drops what is not above its mark.
    pub marks: Vec<Mark>,
    /// The shapes used below, by position.
    pub shapes: Vec<Shape>,
    /// 16 bytes a row.
    #[serde(with = "serde_bytes")]
    pub subjects: Vec<u8>,
    /// 16 bytes a row.
    #[serde(with = "serde_bytes")]
    pub items: Vec<u8>,
    /// 8 bytes a row, little endian milliseconds; `i64::MIN` = unknown.
    #[serde(with = "serde_bytes")]
    pub starts: Vec<u8>,
    /// 2 bytes a row, little endian position in `shapes`.
    #[serde(with = "serde_bytes")]
    pub shape: Vec<u8>,
    /// 1 byte a row, see [`Origin`].
    #[serde(with = "serde_bytes")]
    pub origins: Vec<u8>,
    /// 8 bytes a row, little endian milliseconds: when the source says it happened.
    #[serde(with = "serde_bytes")]
    pub source_times: Vec<u8>,
    /// 16 bytes a row, zeros = none; empty when no row has a process.
    #[serde(with = "serde_bytes")]
    pub processes: Vec<u8>,
    /// 8 bytes a row: hash of (event source, event id), for deduplication; zeros = none.
    #[serde(with = "serde_bytes")]
    pub event_ids: Vec<u8>,
    /// Per row, per copy of its shape: length (u16 little endian) and sealed locator.
    #[serde(with = "serde_bytes")]
    pub cells: Vec<u8>,
    /// Per row: length (u16 little endian) and sealed identity; 0 = sent lately.
    #[serde(with = "serde_bytes")]
    pub identities: Vec<u8>,
}

/// A range of source offsets, both ends included.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Mark {
    /// Topic id, file digest; empty for HTTP.
    pub topic: String,
    pub partition: i32,
    pub from: i64,
    pub to: i64,
}

/// The combination of categories, purposes, place and copies that many items share.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Shape {
    pub categories: Vec<String>,
    pub purposes: Vec<String>,
    pub jurisdiction: Option<String>,
    pub service: Option<String>,
    pub controller: Option<String>,
    pub copies: Vec<ShapeCopy>,
    #[serde(skip)]
    pub kinds: Kinds,
}

/// The kind of each of a shape's copies, made when it is first asked for: no part of the record, and equal to any other.
#[derive(Debug, Default)]
pub struct Kinds(OnceLock<Vec<Arc<CopyKind>>>);

impl Shape {
    /// In the order of the copies.
    pub fn kinds(&self) -> &[Arc<CopyKind>] {
        let kind = |named: &ShapeCopy| {
            let purposes = sorted(named.purposes.as_ref().unwrap_or(&self.purposes));
            Arc::new(CopyKind {
                system: named.system.as_str().into(),
                dataset: named.dataset.as_str().into(),
                categories: sorted(&self.categories),
                purposes,
                jurisdiction: self.jurisdiction.clone(),
                service: self.service.clone(),
                controller: self.controller.clone(),
                derived: false,
            })
        };
        self.kinds.0.get_or_init(|| self.copies.iter().map(kind).collect())
    }
}

fn sorted(list: &[String]) -> Vec<String> {
    let mut list = list.to_vec();
    list.sort();
    list.dedup();
    list
}

impl Clone for Kinds {
    /// Made anew: who clones a shape may give it other copies, and a copy under another one's kind is found nowhere.
    fn clone(&self) -> Self {
        Self::default()
    }
}

impl PartialEq for Kinds {
    fn eq(&self, _: &Self) -> bool {
        true
    }
}

impl Eq for Kinds {}

impl PartialOrd for Kinds {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Kinds {
    fn cmp(&self, _: &Self) -> Ordering {
        Ordering::Equal
    }
}

#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct ShapeCopy {
    pub system: String,
    pub dataset: String,
    /// None = the item's.
    pub purposes: Option<Vec<String>>,
    /// Recipient, authority or reference of a disclosure.
    pub disclosure: Option<String>,
}

/// What kind of news a fact is: decides between echo, resurrection and a new life.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[repr(u8)]
pub enum Origin {
    /// A lifecycle event told it.
    Event = 0,
    /// Change data capture: insert.
    Create = 1,
    Update = 2,
    /// A snapshot's read.
    Read = 3,
    Delete = 4,
    /// A scan or re-audit of ours.
    Scan = 5,
    /// A file that was imported.
    Import = 6,
}

impl Origin {
    pub fn from_byte(byte: u8) -> Option<Self> {
        Some(match byte {
            0 => Self::Event,
            1 => Self::Create,
            2 => Self::Update,
            3 => Self::Read,
            4 => Self::Delete,
            5 => Self::Scan,
            6 => Self::Import,
            _ => return None,
        })
    }
}

/// One row of [`Facts`], taken apart.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fact {
    pub subject: SubjectKey,
    pub item: ItemKey,
    pub start: Option<Millis>,
    /// Position in the batch's shapes.
    pub shape: u16,
    pub origin: Origin,
    pub source_time: Millis,
    pub process: Option<ProcessKey>,
    pub event_id: [u8; 8],
    /// One per copy of the shape.
    pub cells: Vec<Vec<u8>>,
    pub identity: Option<Vec<u8>>,
}

impl Facts {
    pub const MAX: usize = 512;

    pub fn len(&self) -> usize {
        self.items.len() / 16
    }

    pub fn is_empty(&self) -> bool {
        self.items.is_empty()
    }

    /// So many rows more do not make the columns move.
    pub fn reserve(&mut self, rows: usize) {
        for (column, width) in [
            (&mut self.subjects, 16),
            (&mut self.items, 16),
            (&mut self.starts, 8),
            (&mut self.shape, 2),
            (&mut self.origins, 1),
            (&mut self.source_times, 8),
            (&mut self.event_ids, 8),
            // A number, sealed.
            (&mut self.cells, 24),
            (&mut self.identities, 2),
        ] {
            column.reserve(rows * width);
        }
    }

    /// Adds a row. The caller keeps to [`Facts::MAX`] and to one cell per copy of the shape.
    pub fn push(&mut self, fact: &Fact) {
        let rows = self.len();
        self.subjects.extend_from_slice(&fact.subject.0);
        self.items.extend_from_slice(&fact.item.0);
        self.starts.extend_from_slice(&fact.start.map_or(i64::MIN, |m| m.0).to_le_bytes());
        self.shape.extend_from_slice(&fact.shape.to_le_bytes());
        self.origins.push(fact.origin as u8);
        self.source_times.extend_from_slice(&fact.source_time.0.to_le_bytes());
        if fact.process.is_some() && self.processes.is_empty() {
            self.processes.resize(rows * 16, 0);
        }
        if fact.process.is_some() || !self.processes.is_empty() {
            self.processes.extend_from_slice(&fact.process.unwrap_or_default().0);
        }
        self.event_ids.extend_from_slice(&fact.event_id);
        for cell in &fact.cells {
            push_short(&mut self.cells, cell);
        }
        push_short(&mut self.identities, fact.identity.as_deref().unwrap_or_default());
    }

    /// The items that the rows are about.
    pub fn ids(&self) -> impl Iterator<Item = ItemId> {
        let (subjects, _) = self.subjects.as_chunks();
        let (items, _) = self.items.as_chunks();
        let id = |(subject, item): (&[u8; 16], &[u8; 16])| ItemId {
            subject: SubjectKey(*subject),
            item: ItemKey(*item),
        };
        subjects.iter().zip(items).map(id)
    }

    /// The rows; None when the columns do not fit together.
    pub fn rows(&self) -> Option<Vec<Fact>> {
        let n = self.len();
        let whole = |column: &[u8], width: usize| column.len() == n * width;
        let fits = whole(&self.subjects, 16)
            && whole(&self.items, 16)
            && whole(&self.starts, 8)
            && whole(&self.shape, 2)
            && whole(&self.origins, 1)
            && whole(&self.source_times, 8)
            && whole(&self.event_ids, 8)
            && (self.processes.is_empty() || whole(&self.processes, 16));
        if !fits {
            return None;
        }
        let mut cells = self.cells.as_slice();
        let mut identities = self.identities.as_slice();
        let mut rows = Vec::with_capacity(n);
        for i in 0..n {
            let shape = u16::from_le_bytes(at(&self.shape, i)?);
            let start = i64::from_le_bytes(at(&self.starts, i)?);
            let copies = self.shapes.get(usize::from(shape))?.copies.len();
            let process =
                if self.processes.is_empty() { None } else { Some(ProcessKey(at(&self.processes, i)?)) };
            rows.push(Fact {
                subject: SubjectKey(at(&self.subjects, i)?),
                item: ItemKey(at(&self.items, i)?),
                start: (start != i64::MIN).then_some(Millis(start)),
                shape,
                origin: Origin::from_byte(*self.origins.get(i)?)?,
                source_time: Millis(i64::from_le_bytes(at(&self.source_times, i)?)),
                process: process.filter(|p| p.0 != [0; 16]),
                event_id: at(&self.event_ids, i)?,
                cells: (0..copies).map(|_| take_short(&mut cells)).collect::<Option<_>>()?,
                identity: Some(take_short(&mut identities)?).filter(|v| !v.is_empty()),
            });
        }
        (cells.is_empty() && identities.is_empty()).then_some(rows)
    }
}

fn at<const N: usize>(column: &[u8], row: usize) -> Option<[u8; N]> {
    column.get(row * N..(row + 1) * N)?.try_into().ok()
}

fn push_short(column: &mut Vec<u8>, value: &[u8]) {
    let len = u16::try_from(value.len()).unwrap_or(u16::MAX);
    column.extend_from_slice(&len.to_le_bytes());
    column.extend_from_slice(value.get(..usize::from(len)).unwrap_or_default());
}

fn take_short(column: &mut &[u8]) -> Option<Vec<u8>> {
    let (len, rest) = column.split_first_chunk::<2>()?;
    let (value, rest) = rest.split_at_checked(usize::from(u16::from_le_bytes(*len)))?;
    *column = rest;
    Some(value.to_vec())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fact(n: u8, process: bool) -> Fact {
        Fact {
            subject: SubjectKey([n; 16]),
            item: ItemKey([n + 1; 16]),
            start: n.is_multiple_of(2).then_some(Millis(i64::from(n))),
            shape: 0,
            origin: Origin::Create,
            source_time: Millis(5),
            process: process.then_some(ProcessKey([3; 16])),
            event_id: [n; 8],
            cells: vec![vec![n; 5]],
            identity: (!n.is_multiple_of(2)).then(|| vec![1, 2]),
        }
    }

    #[test]
    fn rows_come_back_as_they_were_pushed() {
        let rows: Vec<Fact> = (0..9).map(|n| fact(n, n > 4)).collect();
        let mut facts = Facts {
            shapes: vec![Shape { copies: vec![ShapeCopy::default()], ..Shape::default() }],
            ..Facts::default()
        };
        rows.iter().for_each(|r| facts.push(r));
        assert_eq!(facts.rows().unwrap(), rows);
    }

    #[test]
    fn a_shape_made_of_another_has_the_kinds_of_its_own_copies() {
        let copy = |system: &str| ShapeCopy { system: system.into(), ..ShapeCopy::default() };
        let both = Shape { copies: vec![copy("shop"), copy("mirror")], ..Shape::default() };
        assert_eq!(both.kinds().len(), 2);
        let second = Shape { copies: vec![copy("mirror")], ..both.clone() };
        let systems: Vec<&str> = second.kinds().iter().map(|kind| &*kind.system).collect();
        assert_eq!(systems, ["mirror"]);
    }

    #[test]
    fn columns_that_do_not_fit_together_are_no_rows() {
        let mut facts = Facts { shapes: vec![Shape::default()], ..Facts::default() };
        facts.push(&Fact { cells: vec![], ..fact(1, false) });
        facts.starts.pop();
        assert_eq!(facts.rows(), None);
    }
}
