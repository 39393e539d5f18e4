//! Framed Avro, with apache-avro as the reference for what the bytes are.

use apache_avro::Schema;
use apache_avro::types::Value;
use apache_avro::writer::datum::GenericDatumWriter;
use proptest::prelude::*;
use serde_json::json;

use super::super::avro::{AvroSchema, framed, header_id, tree};
use super::super::schemas::{Fetch, SchemaId};
use super::*;

fn datum(schema: &str, value: Value) -> Vec<u8> {
    let schema = Schema::parse_str(schema).unwrap();
    let value = value.resolve(&schema).unwrap();
    GenericDatumWriter::builder(&schema).build().unwrap().write_value_to_vec(value).unwrap()
}

fn record(fields: &[(&str, Value)]) -> Value {
    Value::Record(fields.iter().map(|(n, v)| ((*n).to_owned(), v.clone())).collect())
}

fn text(value: &str) -> Value {
    Value::String(value.to_owned())
}

fn recorded() -> Vec<u8> {
    let locator = Value::Map([("id".to_owned(), text("4711"))].into());
    let copy = record(&[
        ("system", text("shop-db")),
        ("dataset", text("shop.users")),
        ("locator", locator),
        ("purposes", Value::Null),
    ]);
    datum(
        include_str!("../../../../schemas/avro/ItemRecorded/v1.avsc"),
        record(&[
            ("item", Value::Null),
            ("subject", text("customer_id:4711")),
            ("category", Value::Array(vec![text("user.contact.email")])),
            ("purposes", Value::Array(vec![text("service")])),
            ("recorded_at", Value::TimestampMillis(1_700_000_000_000)),
            ("copies", Value::Array(vec![copy])),
        ]),
    )
}

fn wanted() -> [(String, Json); 1] {
    [(
        "quietus.item.recorded.v1".to_owned(),
        json!({"subject": "customer_id:4711", "category": ["user.contact.email"], "purposes": ["service"],
            "recorded_at": "2023-11-14T22:13:20Z",
            "copies": [{"system": "shop-db", "dataset": "shop.users", "locator": {"id": 4711}}]}),
    )]
}

#[test]
fn every_framing_is_read_and_an_unknown_id_is_said() {
    let native = mapping("source: q\nfrom: {kafka: {topic: quietus.lifecycle}}\nformat: avro");
    let by_id = [&[0, 0, 0, 0, 1], recorded().as_slice()].concat();
    assert_eq!(becomes(&native, &Arrived::value(&by_id)).unwrap(), wanted());
    let in_header = Arrived {
        headers: vec![("__value_schema_id".into(), vec![0, 0, 0, 0, 1])],
        ..Arrived::value(&recorded())
    };
    assert_eq!(becomes(&native, &in_header).unwrap(), wanted());
    let guid = [7u8; 16];
    let schemas = Schemas::default();
    schemas.learn(
        SchemaId::Guid(guid),
        Fetch::Schema(include_str!("../../../../schemas/avro/ItemRecorded/v1.avsc").into()),
    );
    let by_guid = Arrived::value(&[&[1], guid.as_slice(), recorded().as_slice()].concat());
    assert_eq!(native.schemas_of(&by_guid.message()), [SchemaId::Guid(guid)]);
    let mapped = native.map(&by_guid.message(), &schemas).unwrap();
    assert_eq!(shown(&mapped.events[0]), wanted()[0].1);

    let code = |bytes: &[u8]| becomes(&native, &Arrived::value(bytes)).unwrap_err().code;
    assert_eq!(code(&[&[0, 0, 0, 0, 99], recorded().as_slice()].concat()), "unknown-schema");
    assert_eq!(code(&by_id[..by_id.len() - 1]), "incompatible-schema");
    assert_eq!(code(&[by_id.as_slice(), &[0]].concat()), "incompatible-schema");
    assert_eq!(code(b"{}"), "not-framed");
    let other = Arrived {
        headers: vec![("ce_type".into(), b"quietus.item.gone.v1".to_vec())],
        ..Arrived::value(&by_id)
    };
    assert_eq!(becomes(&native, &other).unwrap_err().code, "type-disagrees");
    assert_eq!(becomes(&native, &Arrived::default()).unwrap(), []);
}

#[test]
fn attributes_come_in_headers() {
    let native = mapping("source: q\nfrom: {kafka: {topic: quietus.lifecycle}}\nformat: avro");
    let record = Arrived {
        headers: [
            ("ce_id", "7"),
            ("ce_source", "/shop"),
            ("ce_type", "quietus.item.recorded.v1"),
            ("ce_time", "2026-01-01T00:00:00Z"),
        ]
        .map(|(n, v)| (n.to_owned(), v.as_bytes().to_vec()))
        .into(),
        ..Arrived::value(&[&[0, 0, 0, 0, 1], recorded().as_slice()].concat())
    };
    let message = record.message();
    let mapped = native.map(&message, &Schemas::bundled()).unwrap();
    let event = &mapped.events[0];
    assert_eq!((event.id.as_ref(), event.source.as_ref()), ("7", "/shop"));
    assert_eq!(event.time.map(|t| t.to_string()).as_deref(), Some("2026-01-01T00:00:00Z"));
}

const ODD: &str = r#"{"type": "record", "name": "Odd", "namespace": "a.b", "fields": [
    {"name": "kind", "type": {"type": "enum", "name": "Kind", "symbols": ["x", "y"]}},
    {"name": "again", "type": "Kind"},
    {"name": "raw", "type": {"type": "fixed", "name": "Raw", "size": 2}},
    {"name": "price", "type": ["null", {"type": "bytes", "logicalType": "decimal", "precision": 9, "scale": 2}]},
    {"name": "day", "type": {"type": "int", "logicalType": "date"}},
    {"name": "micros", "type": {"type": "long", "connect.name": "io.debezium.time.MicroTimestamp"}},
    {"name": "rest", "type": {"type": "map", "values": ["null", "long", "double", "boolean"]}},
    {"name": "next", "type": ["null", "Odd"]}]}"#;

fn odd(next: Value) -> Value {
    record(&[
        ("kind", Value::Enum(1, "y".into())),
        ("again", Value::Enum(0, "x".into())),
        ("raw", Value::Fixed(2, vec![1, 2])),
        ("price", Value::Union(1, Box::new(Value::Decimal(apache_avro::Decimal::from(vec![4, 0xe2]))))),
        ("day", Value::Date(1)),
        ("micros", Value::Long(1_000_000)),
        ("rest", Value::Map([("a".to_owned(), Value::Union(1, Box::new(Value::Long(-3))))].into())),
        ("next", next),
    ])
}

#[test]
fn any_schema_is_read_as_the_reference_wrote_it() {
    let inner = odd(Value::Union(0, Box::new(Value::Null)));
    let schema = Schema::parse_str(ODD).unwrap();
    let write = |value: Value| {
        GenericDatumWriter::builder(&schema).build().unwrap().write_value_to_vec(value).unwrap()
    };
    let bytes = write(odd(Value::Union(1, Box::new(inner))));
    let read = tree(&AvroSchema::parse(ODD).unwrap(), &bytes).unwrap();
    let at = |path: &str| {
        read.at(&path.split('/').map(str::to_owned).collect::<Vec<_>>())
            .and_then(|t| t.text().map(|t| t.into_owned()))
    };
    assert_eq!(at("kind").as_deref(), Some("y"));
    assert_eq!(at("next/again").as_deref(), Some("x"));
    assert_eq!(at("next/price").as_deref(), Some("12.50"));
    assert_eq!(at("day").as_deref(), Some("1970-01-02T00:00:00Z"));
    assert_eq!(at("micros").as_deref(), Some("1970-01-01T00:00:01Z"));
    assert_eq!(at("rest/a").as_deref(), Some("-3"));
    assert_eq!(AvroSchema::parse(ODD).unwrap().full_name(), "a.b.Odd");
}

#[test]
fn a_count_that_the_bytes_do_not_pay_for_ends() {
    let nulls = AvroSchema::parse(r#"{"type": "array", "items": "null"}"#).unwrap();
    let claims = [0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 1, 0];
    assert_eq!(tree(&nulls, &claims).unwrap_err().code, "incompatible-schema");
    assert!(AvroSchema::parse(r#"{"type": "recrod"}"#).is_err());
}

#[test]
fn framing_is_taken_off() {
    assert_eq!(framed(&[0, 0, 0, 1, 2, 9]), Some((SchemaId::Number(258), [9].as_slice())));
    assert_eq!((framed(&[0, 0, 0, 1]), framed(b"{}"), framed(&[])), (None, None, None));
    assert_eq!(header_id(&[0, 0, 0, 0, 1, 2]), None, "an id with something behind it");
}

proptest! {
    #[test]
    fn any_bytes_are_a_tree_or_a_refusal(bytes in proptest::collection::vec(any::<u8>(), 0..400)) {
        let _ = tree(&AvroSchema::parse(ODD).unwrap(), &bytes);
        let _ = super::super::tree::json(&bytes);
        let _ = Arrived::line(&bytes);
    }
}

/// An avro datum of each bundled schema, in which everything is said.
fn said(name: &str) -> Option<(AvroSchema, Vec<u8>)> {
    let path = format!("{}/schemas/avro/{name}/v1.avsc", env!("CARGO_MANIFEST_DIR"));
    let schema = std::fs::read_to_string(path).ok()?;
    let parsed = AvroSchema::parse(&schema).ok()?;
    match name {
        "ItemRecorded" => Some((parsed, recorded())),
        _ => Some((parsed, Vec::new())),
    }
}

proptest! {
    #[test]
    fn read_straight_it_is_what_its_tree_says(
        at in any::<proptest::sample::Index>(), byte in any::<u8>(), noise in prop::collection::vec(any::<u8>(), 0..64),
    ) {
        for name in ["ItemRecorded", "ItemCopied", "ItemGone", "ItemCorrected", "PurposeGranted", "SubjectLinked"] {
            let (schema, datum) = said(name).unwrap();
            let mut bent = datum.clone();
            if !bent.is_empty() {
                let at = at.index(bent.len());
                bent[at] = byte;
            }
            for bytes in [datum, bent, noise.clone()] {
                let straight = super::super::direct::data(&schema, &bytes);
                let by_tree = tree(&schema, &bytes).map(|tree| super::super::native::data(&tree));
                prop_assert!(straight == by_tree, "{}: {:?}", name, bytes);
            }
        }
    }
}
