//! The frozen bytes of every schema: `schemas/avro/<Name>/v1.golden` holds a filled and a minimal datum in hex.
//!
//! A reader of any later version must read them. A new record's are written by
//! `cargo test -p quietus --lib -- --ignored bless`, which never changes those that are there.

use std::collections::BTreeMap;
use std::path::PathBuf;

use apache_avro::Schema;
use apache_avro::reader::datum::GenericDatumReader;
use apache_avro::types::Value;
use apache_avro::writer::datum::GenericDatumWriter;
use data_encoding::HEXLOWER;
use quietus_core::record::{Frame, SCHEMAS};

use super::{codec, examples, schemas, skim};

/// Records that others write and read: the lifecycle's, and those of connectors.
const OUTWARD: &[(&str, &str)] = &[
    (
        "ItemRecorded",
        r#"{"item": "u-1", "subject": "customer_id:4711", "category": ["user.name", "user.contact"], "purposes": ["registration"],
            "jurisdiction": "CN", "process": "o-1", "controller": "acme", "service": "web", "recorded_at": 1795000000123,
            "copies": [{"system": "shop-db", "dataset": "shop.users", "locator": {"id": "1"}, "purposes": ["registration"]}]}"#,
    ),
    (
        "ItemCopied",
        r#"{"item": "u-1", "subject": "customer_id:4711",
            "copies": [{"system": "crm", "dataset": "crm.contacts", "locator": {"id": "9"}, "purposes": null}],
            "disclosure": {"to": "court", "authority": "art. 6", "reference": "AZ 12"}, "at": 1795000000123}"#,
    ),
    ("ItemTouched", r#"{"item": "u-1", "subject": "customer_id:4711", "at": 1795000000123}"#),
    (
        "ItemGone",
        r#"{"item": "u-1", "subject": "customer_id:4711", "system": "crm", "dataset": "crm.contacts", "at": 1795000000123}"#,
    ),
    (
        "ItemCorrected",
        r#"{"item": "u-1", "subject": "customer_id:4711", "values": {"user.name": "Ann"}, "at": 1795000000123}"#,
    ),
    (
        "PurposeGranted",
        r#"{"subject": "customer_id:4711", "purpose": "advertising", "item": "u-1", "policy_version": "4", "at": 1795000000123}"#,
    ),
    (
        "PurposeWithdrawn",
        r#"{"subject": "customer_id:4711", "purpose": "advertising", "item": "u-1", "policy_version": "4", "at": 1795000000123}"#,
    ),
    (
        "SubjectEvent",
        r#"{"subject": "customer_id:4711", "event": "account_closed", "at": 1795000000123, "process": "o-1", "item": "u-1"}"#,
    ),
    (
        "SubjectLinked",
        r#"{"subject": "customer_id:4711", "also": ["email:ann@example.org"], "at": 1795000000123}"#,
    ),
    (
        "Command",
        r#"{"id": "cm_000102030405060708090a0b0c0d0e0f", "attempt": 2, "system": "crm", "action": "correct",
            "dataset": "crm.people", "locator": {"id": "4711"}, "identities": [{"type": "customer_id", "value": "4711"}],
            "categories": ["user.contact.email"], "values": {"user.name": "Ann"}, "not_after": 1795000010123,
            "issued_at": 1795000000123, "policy_version": 4, "control_k": 17, "plan_hash": "ab"}"#,
    ),
    (
        "Confirmation",
        r#"{"id": "cm_000102030405060708090a0b0c0d0e0f", "attempt": 2, "system": "crm", "outcome": "failed", "count": 1,
            "detail": "locked", "may_retry": true, "might_have_happened": true, "until": 1795000010123,
            "at": 1795000000123, "position": "0/16B3748"}"#,
    ),
];

fn folder() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("schemas/avro")
}

fn outward(name: &str) -> Schema {
    Schema::parse_str(&std::fs::read_to_string(folder().join(name).join("v1.avsc")).unwrap()).unwrap()
}

/// The datum of `fields`, what they leave out taken from the schema's defaults.
fn resolved(schema: &Schema, fields: &str) -> Vec<u8> {
    let json: serde_json::Value = serde_json::from_str(fields).unwrap();
    let value = avro(json).resolve(schema).unwrap();
    GenericDatumWriter::builder(schema).build().unwrap().write_value_to_vec(value).unwrap()
}

fn avro(json: serde_json::Value) -> Value {
    use serde_json::Value as Json;
    match json {
        Json::Null => Value::Null,
        Json::Bool(v) => Value::Boolean(v),
        Json::Number(v) => Value::Long(v.as_i64().unwrap()),
        Json::String(v) => Value::String(v),
        Json::Array(v) => Value::Array(v.into_iter().map(avro).collect()),
        Json::Object(v) => Value::Map(v.into_iter().map(|(k, v)| (k, avro(v))).collect()),
    }
}

/// Name → (filled, minimal) as this program writes them.
fn written() -> BTreeMap<&'static str, (Vec<u8>, Vec<u8>)> {
    let mut all = BTreeMap::new();
    for record in examples::all() {
        let minimal = resolved(schemas::datum(record.schema()).unwrap().schema, "{}");
        all.insert(record.name(), (codec::encode_record(&record).unwrap().1, minimal));
    }
    let frame =
        Frame { semantics: 1, epoch: Some(5), trace: Some("00-a-b-01".into()), records: examples::all() };
    let minimal = codec::encode_frame(&Frame::default()).unwrap();
    all.insert("Frame", (codec::encode_frame(&frame).unwrap(), minimal));
    for (name, fields) in OUTWARD {
        let schema = outward(name);
        all.insert(name, (resolved(&schema, fields), resolved(&schema, "{}")));
    }
    all
}

fn golden(name: &str) -> (Vec<u8>, Vec<u8>) {
    let text = std::fs::read_to_string(folder().join(name).join("v1.golden")).unwrap();
    let part = |label: &str| {
        let hex: String = text
            .lines()
            .skip_while(|l| *l != format!("{label}:"))
            .skip(1)
            .take_while(|l| !l.ends_with(':'))
            .collect();
        HEXLOWER.decode(hex.as_bytes()).unwrap()
    };
    (part("filled"), part("minimal"))
}

#[test]
fn what_is_written_is_golden() {
    for (name, (filled, minimal)) in written() {
        let (golden_filled, golden_minimal) = golden(name);
        assert_eq!(HEXLOWER.encode(&filled), HEXLOWER.encode(&golden_filled), "{name}");
        assert_eq!(HEXLOWER.encode(&minimal), HEXLOWER.encode(&golden_minimal), "{name}");
    }
}

#[test]
fn what_is_golden_is_read() {
    for record in examples::all() {
        let (filled, minimal) = golden(record.name());
        let id = i32::from(record.schema());
        assert_eq!(codec::decode_record(id, &filled).unwrap(), record);
        let least = codec::decode_record(id, &minimal).unwrap();
        assert_eq!(codec::encode_record(&least).unwrap(), (id, minimal), "{}", record.name());
    }
}

#[test]
fn a_generic_reader_reads_the_same() {
    for record in examples::all() {
        let schema = schemas::datum(record.schema()).unwrap().schema;
        for bytes in <[Vec<u8>; 2]>::from(golden(record.name())) {
            let value = GenericDatumReader::builder(schema)
                .build()
                .unwrap()
                .read_value(&mut bytes.as_slice())
                .unwrap();
            assert!(value.validate(schema), "{}", record.name());
            let again =
                GenericDatumWriter::builder(schema).build().unwrap().write_value_to_vec(value).unwrap();
            assert_eq!(again, bytes, "{}", record.name());
        }
    }
}

#[test]
fn every_schema_id_has_its_folder_and_every_folder_its_schema() {
    let known: BTreeMap<&str, u16> = SCHEMAS.iter().map(|(id, name)| (*name, *id)).collect();
    for (name, id) in &known {
        assert_eq!(schemas::datum(*id).map(|d| d.name), Some(*name));
    }
    assert_eq!(known.len(), examples::all().len());
    for entry in std::fs::read_dir(folder()).unwrap() {
        let name = entry.unwrap().file_name().into_string().unwrap();
        let others = OUTWARD.iter().any(|(n, _)| *n == name);
        assert!(
            known.contains_key(name.as_str()) || others || ["Frame", "ids.json"].contains(&name.as_str()),
            "{name}"
        );
    }
}

#[test]
fn outward_records_have_ids_and_fit_their_schemas() {
    let ids: BTreeMap<String, u32> =
        serde_json::from_str(&std::fs::read_to_string(folder().join("ids.json")).unwrap()).unwrap();
    assert_eq!(ids.len(), OUTWARD.len());
    let numbers: std::collections::BTreeSet<u32> = ids.values().copied().collect();
    assert_eq!(numbers.len(), ids.len(), "an id stands for one record");
    for (name, _) in OUTWARD {
        assert!(ids.contains_key(*name), "{name}");
        let (filled, minimal) = golden(name);
        assert!(skim::whole(&outward(name), &filled), "{name}");
        assert!(skim::whole(&outward(name), &minimal), "{name}");
    }
}

#[test]
#[ignore = "writes the golden bytes of new records"]
fn bless() {
    for (name, (filled, minimal)) in written() {
        let path = folder().join(name).join("v1.golden");
        if !path.exists() {
            let lines = |bytes: &[u8]| {
                bytes.chunks(64).map(|c| format!("{}\n", HEXLOWER.encode(c))).collect::<String>()
            };
            let text = format!("filled:\n{}minimal:\n{}", lines(&filled), lines(&minimal));
            std::fs::write(path, text).unwrap();
        }
    }
}
