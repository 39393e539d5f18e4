//! Debezium's outbox: what its event router sends, or the table's own change events.
//!
//! Routed, the value is the payload, the header `id` tells events apart, and a header names the type. Unrouted, the
//! row holds all three; its delete, which ends every outbox row, is no news.

use std::borrow::Cow;

use quietus_core::source::{Emit, Source};
use quietus_core::time::Millis;

use super::tree::{self, Tree};
use super::{Mapped, Record, debezium, native, rules};
use crate::intake::cloudevent::RawEvent;
use crate::intake::refuse::Refused;

const TYPES: [&str; 4] = ["eventType", "type", "event_type", "ce_type"];

pub fn map<'m>(record: &Record<'_, 'm>, source: &Source) -> Result<Mapped<'m>, Refused> {
    let Some(value) = record.value()? else { return Ok(Mapped::default()) };
    let value = debezium::without_schema(value);
    let Some(sent) = Sent::of(record, value)? else { return Ok(Mapped::default()) };
    let event = if source.rules.is_empty() {
        let Some(kind) = sent.kind.as_deref().and_then(kind_of) else {
            return Err(Refused::new(
                "unknown-type",
                "no header eventType names a lifecycle event: place it (additional.placement=type:header:eventType), or give the source `rules`",
            ));
        };
        Some(native::event(record, Cow::Borrowed(kind), native::data(&sent.payload))?)
    } else {
        rules::apply(&source.rules, record, &sent.payload, sent.time)?
    };
    let event = event.map(|event| RawEvent {
        id: sent.id.map_or_else(|| event.id.clone(), Cow::Owned),
        source: format!("outbox:{}", source.source).into(),
        time: event.time.or(sent.time),
        ..event
    });
    Ok(Mapped::of(event, sent.time))
}

struct Sent {
    id: Option<String>,
    kind: Option<String>,
    payload: Tree,
    time: Option<Millis>,
}

impl Sent {
    /// None = a row that went.
    fn of(record: &Record<'_, '_>, value: Tree) -> Result<Option<Self>, Refused> {
        let text = |tree: &Tree, name: &str| tree.some(name).and_then(Tree::text).map(Cow::into_owned);
        if let (Some(op), Some(_)) = (value.some("op").and_then(Tree::as_text), value.get("source")) {
            let Some(row) = value.some("after").filter(|_| matches!(op, "c" | "r")) else { return Ok(None) };
            let payload = row.some("payload").cloned().unwrap_or(Tree::Null);
            let time = value.get("source").and_then(|s| s.some("ts_ms")?.as_int()).map(Millis);
            let sent =
                Self { id: text(row, "id"), kind: text(row, "type"), payload: expanded(payload)?, time };
            return Ok(Some(sent));
        }
        let header = |name: &str| record.header(name).map(Cow::into_owned);
        let kind = TYPES.iter().find_map(|name| header(name));
        let time = record.message.timestamp;
        Ok(Some(Self { id: header("id"), kind, payload: expanded(value)?, time }))
    }
}

/// JSON inside a text: the router leaves it so unless `table.expand.json.payload` is on.
fn expanded(payload: Tree) -> Result<Tree, Refused> {
    match &payload {
        Tree::Text(text) if text.trim_start().starts_with(['{', '[']) => tree::json(text.as_bytes()),
        _ => Ok(payload),
    }
}

/// By the full name, or as rules write it.
fn kind_of(said: &str) -> Option<&'static str> {
    Emit::ALL.iter().find(|(word, emit)| *word == said || emit.kind() == said).map(|(_, emit)| emit.kind())
}
