//! A page: at most 64 rows and 4,095 bytes, sorted, grouped by shape.
//!
//! ```text
//! version 1 · family · rows · least sequence number
//! per group: shape · rows · dated 0|1 · first start
//!   per row: subject 16 · item 0|1 [16] · seq − least · [start − the row's before] · body length · body
//!            (a body of its own blocks: length 0, then its length and its first block)
//! ```
//!
//! Invariant: no value in the tree is longer than [`MAX_BYTES`]: longer ones defeat its cache. A body that does not
//! fit lies in blocks of its own, and the page says where.

use std::borrow::Cow;

use quietus_core::identity::{ItemKey, SubjectKey};
use quietus_core::time::Millis;

use super::bytes::{Reader, Writer};
use super::row::{Family, Stored};

pub const MAX_ROWS: usize = 64;
pub const MAX_BYTES: usize = 4_095;
/// A longer body gets blocks of its own.
const MAX_BODY: usize = 1_024;
const VERSION: u8 = 1;
/// Head, and what a group or a row may need beside its body at the most.
const HEAD: usize = 16;
const GROUP: usize = 20;
const ROW: usize = 16 + 17 + 10 + 10 + 3;

/// What a page says of its rows of one shape, kept in memory: a sweep reads only the pages it must.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Group {
    pub shape: u32,
    pub rows: u8,
    /// Of the first and the last row; None = not dated.
    pub starts: Option<(Millis, Millis)>,
}

/// A body as a page holds it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Body<'a> {
    Here(&'a [u8]),
    /// In blocks of its own from this one on.
    Far {
        len: u64,
        block: u32,
    },
}

/// One row as a page holds it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PageRow<'a> {
    pub seq: u64,
    pub subject: SubjectKey,
    pub item: Option<ItemKey>,
    pub shape: u32,
    pub start: Option<Millis>,
    pub body: Body<'a>,
}

impl PageRow<'_> {
    /// By itself, with its body.
    pub fn stored(&self, body: Vec<u8>) -> Stored {
        let Self { seq, subject, item, shape, start, .. } = *self;
        Stored { seq, subject, item, shape, start, body }
    }
}

/// Collects sorted rows until a page is full.
#[derive(Debug)]
pub struct Builder<'a> {
    family: Family,
    rows: Vec<Placed<'a>>,
    size: usize,
}

/// A row, and where its body was put if that is elsewhere.
type Placed<'a> = (Cow<'a, Stored>, Option<(u64, u32)>);

impl<'a> Builder<'a> {
    pub fn new(family: Family) -> Self {
        Self { family, rows: Vec::with_capacity(MAX_ROWS), size: HEAD }
    }

    pub fn is_empty(&self) -> bool {
        self.rows.is_empty()
    }

    /// The body must be given blocks of its own first.
    pub fn is_far(row: &Stored) -> bool {
        row.body.len() > MAX_BODY
    }

    pub fn has_room(&self, row: &Stored) -> bool {
        self.rows.len() < MAX_ROWS && self.size + self.cost(row) <= MAX_BYTES
    }

    /// `far` = where the body was put, of a row that [`Self::is_far`].
    pub fn push(&mut self, row: Cow<'a, Stored>, far: Option<(u64, u32)>) {
        self.size += self.cost(&row);
        self.rows.push((row, far));
    }

    fn cost(&self, row: &Stored) -> usize {
        let group = self.rows.last().is_none_or(|(last, _)| !same_group(last, row));
        let body = if Self::is_far(row) { 16 } else { row.body.len() };
        ROW + body + if group { GROUP } else { 0 }
    }

    /// The page's bytes and what its groups say, and an empty builder again.
    pub fn finish(&mut self) -> (Vec<u8>, Vec<Group>) {
        let least = self.rows.iter().map(|(row, _)| row.seq).min().unwrap_or_default();
        let mut out = Writer(Vec::with_capacity(MAX_BYTES));
        out.byte(VERSION).byte(self.family.byte()).byte(u8::try_from(self.rows.len()).unwrap_or(u8::MAX));
        out.number(least);
        let mut groups = Vec::new();
        for group in self.rows.chunk_by(|(a, _), (b, _)| same_group(a, b)) {
            groups.push(write_group(&mut out, group, least));
        }
        self.rows.clear();
        self.size = HEAD;
        (out.0, groups)
    }
}

fn same_group(a: &Stored, b: &Stored) -> bool {
    a.shape == b.shape && a.start.is_some() == b.start.is_some()
}

fn write_group(out: &mut Writer, rows: &[Placed<'_>], least: u64) -> Group {
    let (first, last) = (rows.first().map(|r| &*r.0), rows.last().map(|r| &*r.0));
    let starts = first.and_then(|r| r.start).zip(last.and_then(|r| r.start));
    let shape = first.map_or(0, |r| r.shape);
    let count = u8::try_from(rows.len()).unwrap_or(u8::MAX);
    out.number(u64::from(shape)).byte(count).byte(u8::from(starts.is_some()));
    let mut before = starts.map_or(0, |(first, _)| first.0);
    if starts.is_some() {
        out.signed(before);
    }
    for (row, far) in rows {
        out.raw(&row.subject.0);
        out.option(row.item, |out, item| {
            out.raw(&item.0);
        });
        out.number(row.seq - least);
        if let Some(start) = row.start {
            out.number(start.0.abs_diff(before));
            before = start.0;
        }
        match far {
            // No row has an empty body: the length 0 says that it lies elsewhere.
            Some((len, block)) => out.number(0).number(*len).number(u64::from(*block)),
            None => out.bytes(&row.body),
        };
    }
    Group { shape, rows: count, starts }
}

/// The rows of a page that are `wanted`, in order; None = the bytes are no page of this family.
pub fn read<'a>(
    bytes: &'a [u8],
    family: Family,
    wanted: &mut dyn FnMut(&PageRow<'a>) -> bool,
) -> Option<Vec<PageRow<'a>>> {
    let mut reader = Reader(bytes);
    if reader.byte()? != VERSION || reader.byte()? != family.byte() {
        return None;
    }
    let count = usize::from(reader.byte()?);
    let least = reader.number()?;
    let (mut seen, mut rows) = (0, Vec::new());
    while seen < count {
        seen += read_group(&mut reader, least, &mut |row| {
            // Most look-ups want one row of a page.
            if wanted(&row) {
                rows.push(row);
            }
        })?;
    }
    (seen == count && reader.is_empty()).then_some(rows)
}

/// How many rows the group has.
fn read_group<'a>(reader: &mut Reader<'a>, least: u64, take: &mut dyn FnMut(PageRow<'a>)) -> Option<usize> {
    let shape = reader.small()?;
    let count = reader.byte()?;
    let dated = reader.byte()? == 1;
    let mut start = if dated { Some(reader.signed()?) } else { None };
    if count == 0 {
        return None;
    }
    for _ in 0..count {
        let subject = SubjectKey(reader.array()?);
        let item = reader.option(|r| r.array().map(ItemKey))?;
        let seq = least.checked_add(reader.number()?)?;
        if let Some(before) = &mut start {
            *before = before.checked_add_unsigned(reader.number()?)?;
        }
        let body = match reader.bytes()? {
            [] => Body::Far { len: reader.number()?, block: reader.small()? },
            here => Body::Here(here),
        };
        take(PageRow { seq, subject, item, shape, start: start.map(Millis), body });
    }
    Some(usize::from(count))
}
