//! Records of sources: framed Avro, lifecycle records, Debezium.

use std::sync::LazyLock;

use quietus::intake::arrived::Arrived;
use quietus::intake::feeding::Feeding;
use quietus::intake::mapping::{Fetch, Mapping, SchemaId, Schemas};
use quietus::intake::sample;
use quietus::ledger::codec::encode_frame;
use quietus_core::source::parse_sources;

use super::{chosen, events, files};

/// Every type and logical type that there is.
const RICH: &str = r#"{"type": "record", "name": "R", "namespace": "acme", "fields": [
    {"name": "id", "type": "long"}, {"name": "yes", "type": "boolean"}, {"name": "f", "type": "float"},
    {"name": "d", "type": "double"}, {"name": "b", "type": "bytes"}, {"name": "s", "type": ["null", "string"]},
    {"name": "fx", "type": {"type": "fixed", "name": "F", "size": 12}},
    {"name": "e", "type": {"type": "enum", "name": "E", "symbols": ["A", "B"]}},
    {"name": "l", "type": {"type": "array", "items": ["null", "R"]}},
    {"name": "m", "type": {"type": "map", "values": "double"}},
    {"name": "n", "type": {"type": "array", "items": "null"}},
    {"name": "dec", "type": {"type": "bytes", "logicalType": "decimal", "precision": 30, "scale": 6}},
    {"name": "day", "type": {"type": "int", "logicalType": "date"}},
    {"name": "us", "type": {"type": "long", "logicalType": "timestamp-micros"}},
    {"name": "at", "type": {"type": "long", "logicalType": "timestamp-millis"}},
    {"name": "t", "type": {"type": "long", "logicalType": "time-micros"}}]}"#;

const RULES: &str = r#"
source: fuzzed
from: {http: {}}
format: avro
rules:
  - emit: item.recorded
    with:
      subject: {type: customer_id, value: value:/s}
      category: user.contact.email
      item: value:/id
      recorded_at: value:/at
      copies: [{system: shop-db, dataset: shop.users, locator: {id: value:/dec, day: value:/day}}]
"#;

static LIFECYCLE: LazyLock<Mapping> =
    LazyLock::new(|| mapping("source: fuzzed\nfrom: {http: {}}\nformat: avro\n"));
static DEBEZIUM: LazyLock<Mapping> = LazyLock::new(|| {
    mapping(
        "source: fuzzed\nfrom: {http: {}}\nformat: debezium\ndataset: {system: shop-db, name: shop.users}\n",
    )
});
static BY_RULES: LazyLock<Mapping> = LazyLock::new(|| mapping(RULES));

/// First byte: even = a datum of [`RICH`]; odd = a schema as a registry gave it, a line feed, and a datum of it.
pub fn avro(bytes: &[u8]) {
    let (how, rest) = chosen(bytes);
    let end = rest.iter().position(|b| *b == b'\n');
    let (schema, datum) = match end {
        Some(end) if how % 2 == 1 => {
            (std::str::from_utf8(&rest[..end]).unwrap_or_default(), &rest[end + 1..])
        }
        _ => (RICH, rest),
    };
    let schemas = Schemas::default();
    schemas.learn(SchemaId::Number(7), Fetch::Schema(schema.to_owned()));
    fed(&BY_RULES, &schemas, &[&[0, 0, 0, 0, 7], datum].concat());
}

/// Behind the frame of the lifecycle record that the first byte names.
pub fn native(bytes: &[u8]) {
    let (id, datum) = chosen(bytes);
    fed(&LIFECYCLE, &Schemas::bundled(), &[&[0, 0, 0, 0, id % 10], datum].concat());
}

/// A line of a file: the value alone, or key, headers and value.
pub fn debezium(bytes: &[u8]) {
    for told in sample::tell(&DEBEZIUM, &events::context(), bytes) {
        assert!(told.line > 0);
        assert!(told.refused.is_none_or(|refused| !refused.detail.is_empty()));
    }
}

fn fed(mapping: &Mapping, schemas: &Schemas, value: &[u8]) {
    let record = Arrived::value(value);
    let (intake, context) = (&events::intake(), &events::context());
    let feeding = Feeding { intake, mapping, schemas, context, generation: 1, origin: None, taken: &[] };
    let fed = feeding.feed(&[record]);
    assert_eq!(fed.taken + fed.skipped + fed.refused.len(), 1, "a record ends in exactly one of them");
    for (_, frame) in &fed.frames {
        encode_frame(frame).expect("what was taken in can be kept");
    }
    assert!(fed.refused.iter().all(|(_, refused)| !refused.detail.is_empty()));
}

fn mapping(source: &str) -> Mapping {
    let (mut sources, found) = parse_sources("source.yaml", source.as_bytes());
    assert!(found.is_empty(), "{found:?}");
    let shop = files::shop();
    Mapping::new(sources.remove(0), &[(shop.system.clone(), shop)].into()).expect("it fits the shop")
}
