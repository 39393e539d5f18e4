//! `quietus.lifecycle.v1.*` as it is: one Avro record a message, its CloudEvents attributes as headers.

use std::borrow::Cow;

use quietus_contract::Secret;
use quietus_contract::{Locator, Scalar};
use quietus_core::source::Emit;
use quietus_core::time::Millis;

use super::tree::Tree;
use super::{Mapped, Record, avro, direct};
use crate::intake::cloudevent::{Payload, RawEvent};
use crate::intake::data::{At, CopyData, Data, Disclosure, Given, Place, Text, Time, Values, Words};
use crate::intake::identify;
use crate::intake::refuse::Refused;

const NAMESPACE: &str = "quietus.lifecycle.v1.";

pub fn map<'m>(record: &Record<'_, 'm>) -> Result<Mapped<'m>, Refused> {
    let message = record.message;
    let Some(value) = message.value else { return Ok(Mapped::default()) };
    let bare = message.headers.get("__value_schema_id").and_then(avro::header_id);
    let (id, body) = match (bare, avro::framed(value)) {
        (Some(id), _) => (id, value),
        (None, Some(framed)) => framed,
        (None, None) => {
            return Err(Refused::new(
                "not-framed",
                "the record is no framed Avro: it begins with neither a schema id nor a GUID, and has no __value_schema_id header",
            ));
        }
    };
    let schema = record.schemas.get(&id)?;
    let name = schema.full_name();
    let Some(emit) = name.strip_prefix(NAMESPACE).and_then(emit_of) else {
        return Err(Refused::new(
            "not-lifecycle",
            format!("schema {id} is the record `{name}`: give this source `rules`, or send {NAMESPACE}…"),
        ));
    };
    let kind = emit.kind();
    if message.headers.text("ce_type").is_some_and(|said| said != kind) {
        return Err(Refused::new(
            "type-disagrees",
            format!("the header ce_type is not {kind}, which the record is"),
        ));
    }
    let event = event(record, kind.into(), direct::data(&schema, body)?)?;
    let source_time = event.time;
    Ok(Mapped::of(Some(event), source_time))
}

fn emit_of(record: &str) -> Option<Emit> {
    Emit::ALL.iter().map(|(_, emit)| *emit).find(|emit| emit.record() == record)
}

/// The event with what its headers say; without an id only its position tells it from others.
pub fn event<'m>(
    record: &Record<'_, 'm>,
    kind: Cow<'m, str>,
    data: Data<'m>,
) -> Result<RawEvent<'m>, Refused> {
    let headers = &record.message.headers;
    let time = match headers.text("ce_time") {
        None => record.message.timestamp,
        Some(text) => Some(
            Millis::parse(text)
                .ok_or_else(|| Refused::new("bad-time", "the header ce_time must be an RFC 3339 time"))?,
        ),
    };
    let trace = headers.text("ce_traceparent").or_else(|| headers.text("traceparent"));
    Ok(RawEvent {
        id: headers.text("ce_id").unwrap_or_default().into(),
        source: headers.text("ce_source").unwrap_or_default().into(),
        time,
        trace: trace.filter(|t| crate::intake::cloudevent::is_traceparent(t)).map(Cow::Borrowed),
        payload: Payload::Read(Box::new(data)),
        ..RawEvent::of(kind)
    })
}

/// A tree with the fields of a lifecycle event.
pub fn data(tree: &Tree) -> Data<'static> {
    let at = |name: &str| tree.some(name);
    Data {
        item: text(at("item")),
        subject: text(at("subject")),
        category: words(at("category")),
        purposes: words(at("purposes")),
        jurisdiction: text(at("jurisdiction")),
        process: text(at("process")),
        controller: text(at("controller")),
        service: text(at("service")),
        recorded_at: time(at("recorded_at")),
        copies: copies(at("copies")),
        disclosure: disclosure(at("disclosure")),
        at: time(at("at")),
        system: text(at("system")),
        dataset: text(at("dataset")),
        values: values(at("values")),
        purpose: text(at("purpose")),
        policy_version: text(at("policy_version")),
        event: text(at("event")),
        also: words(at("also")),
    }
}

/// A text where a text belongs. Numbers count: an id is one, however it was written.
pub fn text(value: Option<&Tree>) -> Text<'static> {
    match value {
        None | Some(Tree::Null) => Given::Absent,
        Some(value) => value.text().map_or(Given::Wrong, |text| Given::Is(Cow::Owned(text.into_owned()))),
    }
}

pub fn time(value: Option<&Tree>) -> Time<'static> {
    match value {
        Some(Tree::Time(at)) => Given::Is(At::Known(*at)),
        value => match text(value) {
            Given::Is(text) => Given::Is(At::Written(text)),
            Given::Absent => Given::Absent,
            Given::Wrong => Given::Wrong,
        },
    }
}

pub fn words(value: Option<&Tree>) -> Given<Words<'static>> {
    let list = match value {
        None | Some(Tree::Null) => return Given::Absent,
        Some(Tree::List(list)) => list.iter().collect::<Vec<_>>(),
        Some(one) => vec![one],
    };
    let words: Option<Vec<_>> =
        list.into_iter().map(|w| w.text().map(|t| Cow::Owned(t.into_owned()))).collect();
    words.map_or(Given::Wrong, |words| Given::Is(Words(words)))
}

pub fn disclosure(value: Option<&Tree>) -> Given<Disclosure<'static>> {
    match value {
        None => Given::Absent,
        Some(said @ Tree::Map(_)) => Given::Is(Disclosure {
            to: text(said.some("to")),
            authority: text(said.some("authority")),
            reference: text(said.some("reference")),
        }),
        Some(_) => Given::Wrong,
    }
}

pub fn copies(value: Option<&Tree>) -> Given<Vec<CopyData<'static>>> {
    match value {
        None => Given::Absent,
        Some(Tree::List(list)) if list.iter().all(|c| matches!(c, Tree::Map(_))) => {
            Given::Is(list.iter().map(copy).collect())
        }
        Some(_) => Given::Wrong,
    }
}

pub fn locator(value: Option<&Tree>) -> Given<Place> {
    match value {
        None => Given::Absent,
        Some(Tree::Map(columns)) => {
            let read: Option<Locator> =
                columns.iter().map(|(column, value)| Some((column.clone(), scalar(value)?))).collect();
            read.map_or(Given::Wrong, |locator| Given::Is(Place(locator)))
        }
        Some(_) => Given::Wrong,
    }
}

pub fn copy(tree: &Tree) -> CopyData<'static> {
    CopyData {
        system: text(tree.some("system")),
        dataset: text(tree.some("dataset")),
        locator: locator(tree.some("locator")),
        purposes: words(tree.some("purposes")),
    }
}

/// A key column's value.
pub fn scalar(value: &Tree) -> Option<Scalar> {
    Some(match value {
        Tree::Int(n) => Scalar::Integer(*n),
        Tree::Number(text) => Scalar::Number(Secret::new(text)),
        Tree::Float(_) => Scalar::Number(Secret::new(value.text()?)),
        Tree::Text(_) | Tree::Bool(_) | Tree::Time(_) => identify::scalar(&value.text()?),
        Tree::Null | Tree::Bytes(_) | Tree::List(_) | Tree::Map(_) => return None,
    })
}

pub fn values(value: Option<&Tree>) -> Given<Values> {
    match value {
        None => Given::Absent,
        Some(Tree::Map(entries)) => {
            let read: Option<Vec<_>> = entries
                .iter()
                .map(|(category, value)| match value {
                    Tree::Null => Some((category.clone(), None)),
                    value => Some((category.clone(), Some(value.text()?.into_owned()))),
                })
                .collect();
            read.map_or(Given::Wrong, |values| Given::Is(Values(values)))
        }
        Some(_) => Given::Wrong,
    }
}
