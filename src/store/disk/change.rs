//! The bytes of a change; who and what it is about stand in the row's key.

use quietus_core::identity::{ItemId, ItemKey, ProcessKey, SubjectKey};
use quietus_core::life::{AddedCopy, Parts, What};
use quietus_core::obligation::Place;
use quietus_core::time::Millis;
use quietus_core::verdict::Action;

use super::blocks::StoreError;
use super::bytes::{Reader, Writer};
use crate::store::{How, Said};

/// Stands where a change says its kind: a fact of an item that was known.
pub const FACT: u8 = 0;
/// The same: an item was touched.
pub const TOUCHED: u8 = 1;
/// The same, of a person: consent was given, taken back, or what was agreed to has ended.
pub const GRANTED: u8 = 12;
pub const WITHDRAWN: u8 = 13;
pub const ENDED: u8 = 14;
/// The same: what was told before of the item, or of the subject where the row names no item, counts no longer.
pub const FORGOTTEN: u8 = 21;

/// False = such a change says nothing of where its item lies and whether it is still there.
pub fn concerns_copies(body: &[u8]) -> bool {
    !matches!(body.first(), Some(&(TOUCHED | 2..=5 | GRANTED..=ENDED | 15..=18 | 22)))
}

/// What a census tells persons apart by.
pub fn is_of_consent(body: &[u8]) -> bool {
    matches!(body.first(), Some(&(GRANTED | WITHDRAWN | ENDED)))
}

/// What a change says of its person's consent; None = it says no such thing.
pub fn said(body: &[u8]) -> Result<Option<Said<'_>>, StoreError> {
    let how = match body.first() {
        Some(&GRANTED) => How::Granted,
        Some(&WITHDRAWN) => How::Withdrawn,
        Some(&ENDED) => How::Ended,
        _ => return Ok(None),
    };
    let mut reader = Reader(body.get(1..).unwrap_or_default());
    let mut read = || {
        let purpose = std::str::from_utf8(reader.bytes()?).ok()?;
        Some(Said { how, purpose, at: time(&mut reader)? }).filter(|_| reader.is_empty())
    };
    read().map(Some).ok_or_else(unreadable)
}

pub fn unreadable() -> StoreError {
    StoreError::Damaged("a change cannot be read".to_owned())
}

/// The change that says it.
pub fn write_said(out: &mut Writer, said: Said<'_>) {
    let kind = match said.how {
        How::Granted => GRANTED,
        How::Withdrawn => WITHDRAWN,
        How::Ended => ENDED,
    };
    named(out, kind, said.purpose, said.at);
}

pub fn write(out: &mut Writer, what: &What) {
    match what {
        What::Touched { at, .. } => {
            out.byte(TOUCHED).signed(at.0);
        }
        What::ItemEvent { event, at, .. } => named(out, 2, event, *at),
        What::ItemGranted { purpose, at, .. } => named(out, 3, purpose, *at),
        What::ItemWithdrawn { purpose, at, .. } => named(out, 4, purpose, *at),
        What::ItemEnded { purpose, at, .. } => named(out, 5, purpose, *at),
        What::Copied { copy, .. } => {
            place(out.byte(6), &copy.place);
            out.option(copy.purposes.as_ref(), |out, list| texts(out, list));
            optional(out, copy.disclosure.as_deref());
        }
        What::Gone { system, dataset, at, .. } => {
            out.byte(7).signed(at.0);
            optional(out, system.as_deref());
            optional(out, dataset.as_deref());
        }
        What::Outcome { generation, place: at, parts: of, executed, verified, .. } => {
            place(out.byte(8).number(u64::from(*generation)), at);
            parts(out, of);
            out.signed(executed.0).option(*verified, |out, at| {
                out.signed(at.0);
            });
        }
        What::Revived { generation, place: at, .. } => {
            place(out.byte(9).number(u64::from(*generation)), at);
        }
        What::Returned { generation, place: at, .. } => {
            place(out.byte(19).number(u64::from(*generation)), at);
        }
        What::Derived { generation, place: at, .. } => {
            place(out.byte(20).number(u64::from(*generation)), at);
        }
        What::Late { generation, place: at, .. } => place(out.byte(10).number(u64::from(*generation)), at),
        What::StillThere { generation, place: at, parts: of, .. } => {
            place(out.byte(11).number(u64::from(*generation)), at);
            parts(out, of);
        }
        What::Granted { purpose, at } => write_said(out, Said { how: How::Granted, purpose, at: *at }),
        What::Withdrawn { purpose, at } => write_said(out, Said { how: How::Withdrawn, purpose, at: *at }),
        What::Ended { purpose, at } => write_said(out, Said { how: How::Ended, purpose, at: *at }),
        What::SubjectEvent { event, at } => named(out, 15, event, *at),
        What::ProcessEvent { process, event, at } => {
            named(out, 16, event, *at);
            out.raw(&process.0);
        }
        What::Active { at } => {
            out.byte(17).signed(at.0);
        }
        What::Linked { also } => {
            out.byte(18).raw(&also.0);
        }
        What::Forgotten { .. } | What::SubjectForgotten => {
            out.byte(FORGOTTEN);
        }
        What::Seen { process, at } => {
            out.byte(22).option(*process, |out, process| {
                out.raw(&process.0);
            });
            out.option(*at, |out, at| {
                out.signed(at.0);
            });
        }
    }
}

/// None = bytes that are no change.
pub fn read(reader: &mut Reader<'_>, subject: SubjectKey, item: Option<ItemKey>) -> Option<What> {
    let id = || Some(ItemId { subject, item: item? });
    Some(match reader.byte()? {
        TOUCHED => What::Touched { id: id()?, at: time(reader)? },
        2 => What::ItemEvent { id: id()?, event: reader.text()?, at: time(reader)? },
        3 => What::ItemGranted { id: id()?, purpose: reader.text()?, at: time(reader)? },
        4 => What::ItemWithdrawn { id: id()?, purpose: reader.text()?, at: time(reader)? },
        5 => What::ItemEnded { id: id()?, purpose: reader.text()?, at: time(reader)? },
        6 => What::Copied {
            id: id()?,
            copy: AddedCopy {
                place: read_place(reader)?,
                purposes: reader.option(|r| r.list(Reader::text))?,
                disclosure: reader.option(Reader::text)?,
            },
        },
        7 => What::Gone {
            id: id()?,
            at: time(reader)?,
            system: reader.option(Reader::text)?,
            dataset: reader.option(Reader::text)?,
        },
        8 => What::Outcome {
            id: id()?,
            generation: reader.small()?,
            place: read_place(reader)?,
            parts: read_parts(reader)?,
            executed: time(reader)?,
            verified: reader.option(time)?,
        },
        9 => What::Revived { id: id()?, generation: reader.small()?, place: read_place(reader)? },
        10 => What::Late { id: id()?, generation: reader.small()?, place: read_place(reader)? },
        11 => What::StillThere {
            id: id()?,
            generation: reader.small()?,
            place: read_place(reader)?,
            parts: read_parts(reader)?,
        },
        12 => What::Granted { purpose: reader.text()?, at: time(reader)? },
        13 => What::Withdrawn { purpose: reader.text()?, at: time(reader)? },
        14 => What::Ended { purpose: reader.text()?, at: time(reader)? },
        15 => What::SubjectEvent { event: reader.text()?, at: time(reader)? },
        16 => {
            let (event, at) = (reader.text()?, time(reader)?);
            What::ProcessEvent { process: ProcessKey(reader.array()?), event, at }
        }
        17 => What::Active { at: time(reader)? },
        18 => What::Linked { also: SubjectKey(reader.array()?) },
        19 => What::Returned { id: id()?, generation: reader.small()?, place: read_place(reader)? },
        FORGOTTEN => match item {
            Some(_) => What::Forgotten { id: id()? },
            None => What::SubjectForgotten,
        },
        22 => What::Seen { process: reader.option(|r| r.array().map(ProcessKey))?, at: reader.option(time)? },
        20 => What::Derived { id: id()?, generation: reader.small()?, place: read_place(reader)? },
        _ => return None,
    })
}

fn named(out: &mut Writer, kind: u8, name: &str, at: Millis) {
    out.byte(kind).text(name).signed(at.0);
}

fn time(reader: &mut Reader<'_>) -> Option<Millis> {
    reader.signed().map(Millis)
}

fn place(out: &mut Writer, place: &Place) {
    out.text(&place.system).text(&place.dataset).bytes(&place.cell);
}

fn read_place(reader: &mut Reader<'_>) -> Option<Place> {
    Some(Place {
        system: reader.text()?.into(),
        dataset: reader.text()?.into(),
        cell: reader.bytes()?.to_vec(),
    })
}

fn parts(out: &mut Writer, parts: &Parts) {
    match parts {
        Parts::Whole => {
            out.byte(0);
        }
        Parts::Some { categories, action } => texts(out.byte(code(*action)), categories),
    }
}

fn read_parts(reader: &mut Reader<'_>) -> Option<Parts> {
    let byte = reader.byte()?;
    if byte == 0 {
        return Some(Parts::Whole);
    }
    let action = ACTIONS.into_iter().find(|action| code(*action) == byte)?;
    Some(Parts::Some { categories: reader.list(Reader::text)?, action })
}

const ACTIONS: [Action; 5] =
    [Action::Restrict, Action::Mask, Action::Pseudonymise, Action::Anonymise, Action::Erase];

fn code(action: Action) -> u8 {
    match action {
        Action::Restrict => 1,
        Action::Mask => 2,
        Action::Pseudonymise => 3,
        Action::Anonymise => 4,
        Action::Erase => 5,
    }
}

fn texts(out: &mut Writer, texts: &[String]) {
    out.number(texts.len() as u64);
    texts.iter().for_each(|text| {
        out.text(text);
    });
}

fn optional(out: &mut Writer, word: Option<&str>) {
    out.option(word, |out, word| {
        out.text(word);
    });
}
