//! One person's row among those that are joined: what they said of consent, and the shapes and starts of what they have.
//!
//! A body: consents · per consent: length · the change's body · per fact, by start: shape × 2 + dated 0|1 ·
//! [start − the fact's before]. Of each purpose the last that was said of each kind is there. The row's shape says that
//! it lies so ([`LAYOUT`]); one that lies otherwise is as if it were not there.

use std::ops::ControlFlow;

use quietus_core::identity::SubjectKey;
use quietus_core::time::Millis;

use super::blocks::StoreError;
use super::bytes::{Reader, Writer};
use super::keyed::{KeyMap, KeySet};
use super::row::Family;
use super::sift::Range;
use super::{DiskStore, change};
use crate::store::{Census, Said};

pub(super) const LAYOUT: u32 = 1;
/// What most persons have takes fewer bytes.
const FACTS: usize = 80;
/// What a row and its body take of memory, about: a person takes as much, beside their facts.
const ROW: usize = 160;

/// Shape and start of a fact.
pub(super) type Had = (u32, Option<Millis>);

/// Those that were joined, by subject.
#[derive(Debug, Default)]
pub(super) struct Persons {
    all: Vec<Person>,
    /// What they have, one after another.
    facts: Vec<u8>,
    /// Facts and consents from this number on are in none.
    pub upto: u64,
}

#[derive(Clone, Copy, Debug)]
struct Person {
    subject: SubjectKey,
    /// What the census calls them; None = nothing that they said was on the disk.
    number: Option<usize>,
    /// Where their facts begin and end.
    facts: (usize, usize),
}

impl Persons {
    pub fn len(&self) -> usize {
        self.all.len()
    }

    pub fn is_empty(&self) -> bool {
        self.all.is_empty()
    }

    pub fn holds(&self, subject: SubjectKey) -> bool {
        self.find(subject).is_some()
    }

    pub fn subjects(&self) -> impl Iterator<Item = &SubjectKey> {
        self.all.iter().map(|person| &person.subject)
    }

    /// What the census calls this one.
    pub fn number(&self, subject: SubjectKey) -> Option<usize> {
        self.all.get(self.find(subject)?)?.number
    }

    /// Where each is: for who asks about many.
    pub fn places(&self) -> KeyMap<SubjectKey, usize> {
        self.subjects().copied().zip(0..).collect()
    }

    /// What the census calls the one there, if it heard them.
    pub fn number_at(&mut self, place: usize) -> Option<&mut Option<usize>> {
        self.all.get_mut(place).map(|person| &mut person.number)
    }

    /// Everybody was heard: of those who said something and are not told more of, it is known what they have. The others
    /// who said something are `heard`.
    pub fn settle(&mut self, whole: &KeySet<SubjectKey>, heard: &mut KeyMap<SubjectKey, usize>) {
        self.all.retain(|person| match person.number {
            Some(number) if !whole.is_empty() && whole.contains(&person.subject) => {
                heard.insert(person.subject, number);
                false
            }
            number => number.is_some(),
        });
    }

    fn find(&self, subject: SubjectKey) -> Option<usize> {
        self.all.binary_search_by_key(&subject, |person| person.subject).ok()
    }

    /// By subject, as they were heard: what is known of one lies near the next one's.
    pub fn each(&self, visit: &mut dyn FnMut(usize, Had)) -> Result<(), StoreError> {
        for Person { number, facts: (from, to), .. } in &self.all {
            let facts = self.facts.get(*from..*to).unwrap_or_default();
            let Some(number) = *number else { continue };
            read_facts(Reader(facts), &mut |had| visit(number, had)).ok_or_else(damaged)?;
        }
        Ok(())
    }

    fn push(&mut self, subject: SubjectKey, number: Option<usize>, facts: &[u8]) {
        let from = self.facts.len();
        self.facts.extend_from_slice(facts);
        self.all.push(Person { subject, number, facts: (from, self.facts.len()) });
    }

    /// About so many rows would take as much memory.
    pub fn room(&self) -> u64 {
        (self.all.len() + self.facts.len() / ROW) as u64
    }
}

impl DiskStore {
    /// Those of a range, heard; None = there are more than so many rows take.
    pub(super) fn joined(
        &self,
        range: Range,
        room: u64,
        census: &mut dyn Census,
    ) -> Result<Option<Persons>, StoreError> {
        let mut persons = Persons::default();
        let rows = self.runs_of(&[Family::Resolved]).map(|(_, run)| run.rows).sum::<u64>();
        let about = usize::try_from((rows / range.of).min(room)).unwrap_or_default();
        persons.all.reserve(about + about / 16);
        persons.facts.reserve(about.saturating_mul(FACTS));
        self.each_met(&[Family::Resolved], range, &|_| true, &mut |_, row, body| {
            if row.shape != LAYOUT || persons.room() > room {
                return Ok(ControlFlow::Break(()));
            }
            let mut number = None;
            let facts = read_consents(body, &mut |said| number = Some(census.hear(number, said)));
            persons.push(row.subject, number, facts.ok_or_else(damaged)?.0);
            persons.upto = row.seq;
            Ok(ControlFlow::Continue(()))
        })?;
        Ok(Some(persons).filter(|persons| persons.room() <= room))
    }

    /// An error is what a plan would come upon some day.
    pub(super) fn read_joined(&self) -> Result<(), StoreError> {
        let everybody = Range { n: 0, of: 1 };
        self.each_met(&[Family::Resolved], everybody, &|_| true, &mut |_, row, body| {
            if row.shape == LAYOUT {
                read(body, &mut |_| (), &mut |_| ()).ok_or_else(damaged)?;
            }
            Ok(ControlFlow::Continue(()))
        })
    }
}

fn damaged() -> StoreError {
    StoreError::Damaged("what a person has cannot be read".to_owned())
}

/// A body; facts come by start.
pub(super) fn written<'a>(said: impl ExactSizeIterator<Item = Said<'a>>, facts: &[Had]) -> Vec<u8> {
    let mut body = Writer(Vec::with_capacity(1 + 16 * said.len() + 8 * facts.len()));
    body.number(said.len() as u64);
    for said in said {
        let mut change = Writer::default();
        change::write_said(&mut change, said);
        body.bytes(&change.0);
    }
    let mut before = 0i64;
    for (shape, start) in facts {
        body.number(u64::from(*shape) << 1 | u64::from(start.is_some()));
        if let Some(Millis(at)) = start {
            body.signed(at.wrapping_sub(before));
            before = *at;
        }
    }
    body.0
}

/// None = bytes that say no such thing.
pub(super) fn read<'a>(
    body: &'a [u8],
    hear: &mut dyn FnMut(Said<'a>),
    visit: &mut dyn FnMut(Had),
) -> Option<()> {
    read_facts(read_consents(body, hear)?, visit)
}

fn read_consents<'a>(body: &'a [u8], hear: &mut dyn FnMut(Said<'a>)) -> Option<Reader<'a>> {
    let mut reader = Reader(body);
    for _ in 0..reader.number()? {
        hear(change::said(reader.bytes()?).ok()??);
    }
    Some(reader)
}

fn read_facts(mut reader: Reader<'_>, visit: &mut dyn FnMut(Had)) -> Option<()> {
    let mut before = 0i64;
    while !reader.is_empty() {
        let head = reader.number()?;
        let start = match head & 1 {
            0 => None,
            _ => {
                before = before.wrapping_add(reader.signed()?);
                Some(Millis(before))
            }
        };
        visit((u32::try_from(head >> 1).ok()?, start));
    }
    Some(())
}

#[cfg(test)]
mod tests {
    use std::borrow::Cow;
    use std::sync::Arc;

    use proptest::prelude::*;
    use quietus_core::item::Subject;
    use quietus_core::life::{Lives, What};
    use quietus_core::record::Shape;

    use super::*;
    use crate::store::disk::group::Group;
    use crate::store::disk::row::Stored;
    use crate::store::disk::run::RunWriter;
    use crate::store::{Database, How, Matters, Sizes};

    /// Counts what it hears.
    struct Ears(usize);

    impl Census for Ears {
        fn matters(&self, _: &What) -> Matters {
            Matters::Nothing
        }
        fn minds_touches(&self) -> bool {
            false
        }
        fn shape(&mut self, _: &Arc<Shape>) -> Option<usize> {
            None
        }
        fn is_narrow(&mut self, _: usize, _: Option<(Millis, Millis)>) -> bool {
            false
        }
        fn count(&mut self, _: usize, _: Option<(Millis, Millis)>, _: i64) {}
        fn forget_persons(&mut self) {}
        fn hear(&mut self, person: Option<usize>, _: Said<'_>) -> usize {
            self.0 += 1;
            person.unwrap_or(self.0 - 1)
        }
        fn is_moved(&self, _: usize) -> bool {
            false
        }
        fn consented(&mut self, _: usize, _: Option<Millis>, _: usize) {}
        fn whole(&mut self, _: &Lives, _: &Subject) {}
    }

    #[test]
    fn rows_of_another_layout_are_as_if_they_were_not_there() {
        let dir = tempfile::tempdir().unwrap();
        let database = Database::open(dir.path()).unwrap();
        let mut disk = DiskStore::open(&database, 0, Sizes::default()).unwrap();
        let said = Said { how: How::Withdrawn, purpose: "ads", at: Millis(7) };
        let joined = |disk: &mut DiskStore, number, shape, body| {
            let mut writer = RunWriter::new(&disk.blocks, number, Family::Resolved);
            let row = Stored { seq: 9, subject: SubjectKey([1; 16]), item: None, shape, start: None, body };
            writer.push(Cow::Owned(row)).unwrap();
            let runs = vec![Arc::new(writer.finish(0).unwrap().unwrap())];
            disk.groups = vec![Group { family: Family::Resolved, level: 0, runs }];
            let mut ears = Ears(0);
            disk.read_joined().unwrap();
            let persons = disk.joined(Range { n: 0, of: 1 }, 1, &mut ears).unwrap();
            persons.map(|persons| (persons.len(), persons.upto, ears.0))
        };
        let body = |facts| written([said].into_iter(), &vec![(3, Some(Millis(5))); facts]);
        assert_eq!(joined(&mut disk, 1, 0, vec![0xff]), Some((0, 0, 0)));
        assert_eq!(joined(&mut disk, 2, LAYOUT, body(1)), Some((1, 9, 1)));
        assert_eq!(joined(&mut disk, 3, LAYOUT, body(1_000)), None, "more than there is room for");
    }

    proptest! {
        #[test]
        fn what_is_written_is_read(
            facts in prop::collection::vec((any::<u32>(), prop::option::of(any::<i64>())), 0..40),
            said in prop::collection::btree_map((0u8..3, "[a-z]{0,3}"), any::<i64>(), 0..6),
        ) {
            let hows = [How::Granted, How::Withdrawn, How::Ended];
            let facts: Vec<Had> = facts.into_iter().map(|(shape, at)| (shape, at.map(Millis))).collect();
            let said: Vec<Said<'_>> = said
                .iter()
                .map(|((how, purpose), at)| Said { how: hows[usize::from(*how)], purpose, at: Millis(*at) })
                .collect();
            let body = written(said.iter().copied(), &facts);
            let (mut heard, mut again) = (Vec::new(), Vec::new());
            prop_assert_eq!(read(&body, &mut |said| heard.push(said), &mut |had| again.push(had)), Some(()));
            prop_assert_eq!((heard, again), (said, facts));
        }

        #[test]
        fn any_bytes_are_read_or_refused(body: Vec<u8>) {
            let _ = read(&body, &mut |_| (), &mut |_| ());
        }
    }
}
