//! Where a run's pages lie and what each holds, all of it in memory: a pass reads only the pages it must.
//!
//! Rejected: a list of groups for each page, which takes five times the room.

use quietus_core::time::Millis;

use super::bytes::{Reader, Writer};
use super::page::Group;

/// The pages of one run, in order.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Directory {
    pages: Vec<Page>,
    groups: Vec<Kept>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Page {
    block: u32,
    /// Its groups, and those of the pages before it.
    groups: u32,
}

/// A [`Group`] in three quarters of its room.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Kept {
    first: Millis,
    last: Millis,
    shape: u32,
    rows: u8,
    is_dated: bool,
}

impl Directory {
    pub fn push(&mut self, block: u32, groups: impl IntoIterator<Item = Group>) {
        self.groups.extend(groups.into_iter().map(Kept::of));
        self.pages.push(Page { block, groups: u32::try_from(self.groups.len()).unwrap_or(u32::MAX) });
    }

    /// It will not grow any more.
    pub fn close(mut self) -> Self {
        self.pages.shrink_to_fit();
        self.groups.shrink_to_fit();
        self
    }

    pub fn len(&self) -> usize {
        self.pages.len()
    }

    pub fn block(&self, page: usize) -> Option<u32> {
        self.pages.get(page).map(|page| page.block)
    }

    /// What the page's header says.
    pub fn groups_of(&self, page: usize) -> impl Iterator<Item = Group> + Clone {
        let end = |page: Option<&Page>| page.map_or(0, |page| page.groups as usize);
        let first = page.checked_sub(1).and_then(|before| self.pages.get(before));
        let kept = self.groups.get(end(first)..end(self.pages.get(page))).unwrap_or_default();
        kept.iter().map(|kept| kept.group())
    }

    pub fn groups(&self) -> impl Iterator<Item = Group> {
        self.groups.iter().map(|kept| kept.group())
    }

    pub fn encode(&self) -> Vec<u8> {
        let mut out = Writer::default();
        for (at, page) in self.pages.iter().enumerate() {
            out.number(u64::from(page.block)).number(self.groups_of(at).count() as u64);
            for group in self.groups_of(at) {
                out.number(u64::from(group.shape)).byte(group.rows);
                out.option(group.starts, |out, (first, last)| {
                    out.signed(first.0).number(last.0.abs_diff(first.0));
                });
            }
        }
        out.0
    }

    /// None = bytes that are no directory.
    pub fn decode(bytes: &[u8]) -> Option<Self> {
        let mut reader = Reader(bytes);
        let mut directory = Self::default();
        while !reader.is_empty() {
            let block = reader.small()?;
            let groups = reader.list(|r| {
                let (shape, rows) = (r.small()?, r.byte()?);
                let starts = r.option(|r| {
                    let first = r.signed()?;
                    Some((Millis(first), Millis(first.checked_add_unsigned(r.number()?)?)))
                })?;
                Some(Group { shape, rows, starts })
            })?;
            directory.push(block, groups);
        }
        Some(directory.close())
    }
}

impl Kept {
    fn of(Group { shape, rows, starts }: Group) -> Self {
        let (first, last) = starts.unwrap_or_default();
        Self { first, last, shape, rows, is_dated: starts.is_some() }
    }

    fn group(self) -> Group {
        let Self { first, last, shape, rows, is_dated } = self;
        Group { shape, rows, starts: is_dated.then_some((first, last)) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn group() -> impl Strategy<Value = Group> {
        let starts = prop::option::of((any::<i32>(), any::<u16>()));
        (any::<u32>(), 1u8..=64, starts).prop_map(|(shape, rows, starts)| {
            let starts = starts.map(|(first, span)| {
                let first = i64::from(first);
                (Millis(first), Millis(first + i64::from(span)))
            });
            Group { shape, rows, starts }
        })
    }

    proptest! {
        #[test]
        fn it_holds_what_was_pushed_and_reads_what_it_wrote(
            pages in prop::collection::vec((any::<u32>(), prop::collection::vec(group(), 0..5)), 0..40),
        ) {
            let mut directory = Directory::default();
            for (block, groups) in &pages {
                directory.push(*block, groups.iter().copied());
            }
            prop_assert_eq!(directory.len(), pages.len());
            for (at, (block, groups)) in pages.iter().enumerate() {
                prop_assert_eq!(directory.block(at), Some(*block));
                prop_assert_eq!(&directory.groups_of(at).collect::<Vec<_>>(), groups);
            }
            prop_assert_eq!(directory.block(pages.len()), None);
            prop_assert_eq!(directory.groups_of(pages.len()).count(), 0);
            let all: Vec<Group> = pages.iter().flat_map(|(_, groups)| groups.iter().copied()).collect();
            prop_assert_eq!(directory.groups().collect::<Vec<_>>(), all);
            prop_assert_eq!(Directory::decode(&directory.encode()), Some(directory));
        }
    }
}
