//! CloudEvents in Kafka's two modes: attributes in `ce_*` headers, or the whole event as the value.

use quietus_core::source::Rule;

use super::tree::{self, Tree};
use super::{Mapped, Record, avro, native, rules};
use crate::intake::cloudevent::{self, Payload, RawEvent};
use crate::intake::data::Given;
use crate::intake::refuse::Refused;

pub fn map<'m>(record: &Record<'_, 'm>) -> Result<Mapped<'m>, Refused> {
    let Some(event) = event(record)? else { return Ok(Mapped::default()) };
    let time = event.time.or(record.message.timestamp);
    Ok(Mapped::of(Some(RawEvent { time, ..event }), time))
}

/// The rules look into the data in binary mode, and into the whole event in structured mode.
pub fn map_by_rules<'m>(record: &Record<'_, 'm>, rules: &[Rule]) -> Result<Mapped<'m>, Refused> {
    let Some(attributes) = event(record)? else { return Ok(Mapped::default()) };
    let value = match (&attributes.payload, record.message.value) {
        (Payload::Bytes(bytes), _) if is_binary(record) => tree::json(bytes)?,
        _ if is_binary(record) => record.value()?.unwrap_or(Tree::Null),
        (_, Some(value)) => tree::json(value)?,
        (_, None) => Tree::Null,
    };
    let time = attributes.time.or(record.message.timestamp);
    let event = rules::apply(rules, record, &value, time)?;
    let event = event.map(|event| RawEvent {
        id: attributes.id,
        source: attributes.source,
        trace: attributes.trace.or(event.trace),
        ..event
    });
    Ok(Mapped::of(event, time))
}

fn is_binary(record: &Record<'_, '_>) -> bool {
    record.message.headers.get("ce_id").or(record.message.headers.get("ce_type")).is_some()
}

/// None = a tombstone.
fn event<'m>(record: &Record<'_, 'm>) -> Result<Option<RawEvent<'m>>, Refused> {
    let message = record.message;
    let headers = &message.headers;
    if !is_binary(record) {
        let Some(value) = message.value else { return Ok(None) };
        return cloudevent::single(value).map(Some);
    }
    let media = headers.text("content-type").unwrap_or_default();
    let is_avro = headers.get("__value_schema_id").is_some()
        || message.value.is_some_and(|v| avro::framed(v).is_some());
    let payload = match message.value {
        None => Payload::None,
        Some(_) if is_avro => {
            let tree = record.value()?.unwrap_or(Tree::Null);
            Payload::Read(Box::new(native::data(&tree)))
        }
        Some(value) if media.is_empty() || cloudevent::is_json(media) => Payload::Bytes(value.into()),
        Some(_) => {
            return Err(Refused::new(
                "not-json",
                "content-type is neither JSON nor framed Avro: send one of the two",
            ));
        }
    };
    let text = |name: &str| headers.text(name).map_or(Given::Absent, |v| Given::Is(v.into()));
    cloudevent::attributed(text, payload).map(Some)
}
