//! A native record read straight into what its event says: texts are borrowed from the record, nothing is named twice.
//!
//! Invariant: the same as [`native::data`] of the record's tree, whatever the bytes; what is written in an uncommon way
//! goes through a tree still. A tree for all of them cost half of what a record costs before it is hashed.

use std::borrow::Cow;

use quietus_contract::Locator;

use super::avro::{AvroSchema, Reader, Type, whole};
use super::native;
use super::tree::Tree;
use crate::intake::data::{At, COLUMNS_MAX, CopyData, Data, Given, Place, Text, Time, Words};
use crate::intake::identify;
use crate::intake::refuse::Refused;

/// How deep a tree may still stand below what is read here.
const DEPTH: usize = 4;

pub fn data<'b>(schema: &AvroSchema, bytes: &'b [u8]) -> Result<Data<'b>, Refused> {
    whole(schema, bytes, |reader, root| {
        let Type::Record(record) = root else { return Some(native::data(&reader.read(root, 0)?)) };
        let mut data = Data::default();
        reader.fields(*record, |reader, name, of| {
            match name {
                "item" => data.item = text(reader, of)?,
                "subject" => data.subject = text(reader, of)?,
                "category" => data.category = words(reader, of)?,
                "purposes" => data.purposes = words(reader, of)?,
                "jurisdiction" => data.jurisdiction = text(reader, of)?,
                "process" => data.process = text(reader, of)?,
                "controller" => data.controller = text(reader, of)?,
                "service" => data.service = text(reader, of)?,
                "recorded_at" => data.recorded_at = time(reader, of)?,
                "copies" => data.copies = copies(reader, of)?,
                "disclosure" => data.disclosure = native::disclosure(tree(reader, of)?.as_ref()),
                "at" => data.at = time(reader, of)?,
                "system" => data.system = text(reader, of)?,
                "dataset" => data.dataset = text(reader, of)?,
                "values" => data.values = native::values(tree(reader, of)?.as_ref()),
                "purpose" => data.purpose = text(reader, of)?,
                "policy_version" => data.policy_version = text(reader, of)?,
                "event" => data.event = text(reader, of)?,
                "also" => data.also = words(reader, of)?,
                _ => {
                    tree(reader, of)?;
                }
            }
            Some(())
        })?;
        Some(data)
    })
}

/// Some(None) = null.
fn tree<'s>(reader: &mut Reader<'s, '_>, of: &'s Type) -> Option<Option<Tree>> {
    Some(Some(reader.read(of, DEPTH)?).filter(|tree| !tree.is_null()))
}

fn text<'s, 'b>(reader: &mut Reader<'s, 'b>, of: &'s Type) -> Option<Text<'b>> {
    Some(match reader.branch(of)? {
        Type::Null => Given::Absent,
        Type::Text => Given::Is(Cow::Borrowed(reader.text()?)),
        other => native::text(tree(reader, other)?.as_ref()),
    })
}

fn time<'s, 'b>(reader: &mut Reader<'s, 'b>, of: &'s Type) -> Option<Time<'b>> {
    Some(match reader.branch(of)? {
        Type::Null => Given::Absent,
        Type::Text => Given::Is(At::Written(Cow::Borrowed(reader.text()?))),
        other => native::time(tree(reader, other)?.as_ref()),
    })
}

fn words<'s, 'b>(reader: &mut Reader<'s, 'b>, of: &'s Type) -> Option<Given<Words<'b>>> {
    let of = match reader.branch(of)? {
        Type::Null => return Some(Given::Absent),
        Type::List(of) => of,
        other => return Some(native::words(tree(reader, other)?.as_ref())),
    };
    let (mut words, mut fits) = (Vec::new(), true);
    reader.blocks(|reader| {
        match text(reader, of)? {
            Given::Is(word) => words.push(word),
            Given::Absent | Given::Wrong => fits = false,
        }
        Some(())
    })?;
    Some(if fits { Given::Is(Words(words)) } else { Given::Wrong })
}

fn copies<'s, 'b>(reader: &mut Reader<'s, 'b>, of: &'s Type) -> Option<Given<Vec<CopyData<'b>>>> {
    let of = match reader.branch(of)? {
        Type::Null => return Some(Given::Absent),
        Type::List(of) => of,
        other => return Some(native::copies(tree(reader, other)?.as_ref())),
    };
    let (mut copies, mut fits) = (Vec::new(), true);
    reader.blocks(|reader| {
        match reader.branch(of)? {
            Type::Record(record) => copies.push(copy(reader, *record)?),
            other => match tree(reader, other)? {
                Some(tree @ Tree::Map(_)) => copies.push(native::copy(&tree)),
                _ => fits = false,
            },
        }
        Some(())
    })?;
    Some(if fits { Given::Is(copies) } else { Given::Wrong })
}

fn copy<'b>(reader: &mut Reader<'_, 'b>, record: usize) -> Option<CopyData<'b>> {
    let mut copy = CopyData::default();
    reader.fields(record, |reader, name, of| {
        match name {
            "system" => copy.system = text(reader, of)?,
            "dataset" => copy.dataset = text(reader, of)?,
            "locator" => copy.locator = locator(reader, of)?,
            "purposes" => copy.purposes = words(reader, of)?,
            _ => {
                tree(reader, of)?;
            }
        }
        Some(())
    })?;
    Some(copy)
}

fn locator<'s>(reader: &mut Reader<'s, '_>, of: &'s Type) -> Option<Given<Place>> {
    let of = match reader.branch(of)? {
        Type::Null => return Some(Given::Absent),
        Type::Map(of) => of,
        other => return Some(native::locator(tree(reader, other)?.as_ref())),
    };
    let (mut locator, mut fits) = (Locator::new(), true);
    reader.blocks(|reader| {
        let column = reader.text()?;
        let value = match reader.branch(of)? {
            Type::Text => Some(identify::scalar(reader.text()?)),
            other => tree(reader, other)?.and_then(|tree| native::scalar(&tree)),
        };
        match value {
            Some(_) if locator.len() > COLUMNS_MAX => {}
            Some(value) => drop(locator.insert(column.to_owned(), value)),
            None => fits = false,
        }
        Some(())
    })?;
    Some(if fits { Given::Is(Place(locator)) } else { Given::Wrong })
}
