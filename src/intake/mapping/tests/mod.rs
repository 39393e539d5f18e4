//! What records of every format become.

mod avro;
mod cdc;
mod company;

use std::collections::BTreeMap;

use quietus_core::source::{Source, parse_sources};
use quietus_core::system::{Manifest, parse_manifest};
use serde_json::Value as Json;

use super::{Mapping, Message, Schemas};
use crate::intake::arrived::Arrived;
use crate::intake::cloudevent::{Payload, RawEvent};
use crate::intake::refuse::Refused;

const MANIFEST: &str = r#"{
    "system": "shop-db", "kind": "memory", "purposes": ["service"],
    "datasets": [{"fides_key": "shop", "name": "shop", "collections": [
        {"name": "users",
         "quietus": {"key": ["id"], "subject": {"column": "id", "type": "customer_id"}, "recorded_at": "created",
                     "last_activity": "seen", "jurisdiction": {"column": "country"}, "service": "web"},
         "fields": [
            {"name": "id", "fides_meta": {"primary_key": true}}, {"name": "created"}, {"name": "seen"}, {"name": "country"},
            {"name": "email", "data_categories": ["user.contact.email"]},
            {"name": "note", "data_categories": ["user.content"]}]},
        {"name": "orders",
         "quietus": {"key": ["no"], "subject": {"column": "customer", "type": "customer_id"}, "item": "no", "process": "no"},
         "fields": [
            {"name": "no", "fides_meta": {"primary_key": true}}, {"name": "customer"},
            {"name": "address", "data_categories": ["user.contact.address"]}]}
    ]}]}"#;

fn systems() -> BTreeMap<String, Manifest> {
    let load = |_: &str| Err(String::new());
    let (manifest, found) = parse_manifest("m", MANIFEST.as_bytes(), &load, &|_| true);
    assert!(found.iter().all(|d| d.severity != quietus_core::document::Severity::Error), "{found:?}");
    [("shop-db".to_owned(), manifest.unwrap())].into()
}

fn source(text: &str) -> Source {
    let (mut sources, found) = parse_sources("s.yaml", text.as_bytes());
    assert!(found.is_empty(), "{found:?}");
    sources.remove(0)
}

fn mapping(text: &str) -> Mapping {
    Mapping::new(source(text), &systems()).unwrap()
}

/// Type and data of each event that the record becomes.
fn becomes(mapping: &Mapping, record: &Arrived) -> Result<Vec<(String, Json)>, Refused> {
    let message: Message<'_> = record.message();
    let mapped = mapping.map(&message, &Schemas::bundled())?;
    Ok(mapped.events.iter().map(|e| (e.kind.to_string(), shown(e))).collect())
}

fn shown(event: &RawEvent<'_>) -> Json {
    match &event.payload {
        Payload::None => Json::Null,
        Payload::Bytes(bytes) => serde_json::from_slice(bytes).unwrap(),
        Payload::Read(data) => data.to_json(),
    }
}
