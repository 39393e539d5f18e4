//! The committed JSON Schemas and the readers know the same keys.

use std::collections::BTreeSet;

use serde_json::Value;

use super::{known, manifest};
use crate::config::Config;
use crate::document::Diagnostic;
use crate::system::parse_dataset;

const NONSENSE: &str = "qqqqqqqqqqqqqqqq";

/// What the reader says it knows, when asked for a key nobody has.
fn reader_knows(found: &[Diagnostic]) -> BTreeSet<String> {
    let hit = found.iter().find(|d| d.detail.starts_with(&format!("`{NONSENSE}` is no")));
    let fix = hit.and_then(|d| d.fix.as_deref()).unwrap_or_else(|| panic!("no answer among {found:?}"));
    fix.strip_prefix("known: ").unwrap().split(", ").map(str::to_owned).collect()
}

/// The properties at a pointer, which must close its object.
fn schema_knows(schema: &str, pointer: &str) -> BTreeSet<String> {
    let schema: Value = serde_json::from_str(schema).unwrap();
    let object = schema.pointer(pointer).unwrap_or_else(|| panic!("{pointer}"));
    assert_eq!(object["additionalProperties"], false, "{pointer}");
    object["properties"].as_object().unwrap().keys().cloned().collect()
}

#[test]
fn of_a_manifest() {
    let schema = include_str!("../../../../schemas/json/system.schema.json");
    let q = NONSENSE;
    for (pointer, text) in [
        ("", format!("{q}: 1")),
        ("/properties/connection", format!("connection: {{{q}: 1}}")),
        ("/properties/limits", format!("limits: {{{q}: 1}}")),
        ("/properties/windows/items", format!("windows: [{{{q}: 1}}]")),
        ("/properties/scan", format!("scan: {{{q}: 1}}")),
        ("/properties/copies_of/items", format!("copies_of: [{{{q}: 1}}]")),
        ("/properties/files/items", format!("files: [{{{q}: 1}}]")),
        ("/properties/http", format!("http: {{{q}: 1}}")),
        ("/properties/http/properties/submit", format!("http: {{submit: {{{q}: 1}}}}")),
        ("/properties/http/properties/poll", format!("http: {{poll: {{{q}: 1}}}}")),
        ("/properties/http/properties/read_back", format!("http: {{read_back: {{{q}: 1}}}}")),
    ] {
        let (_, found) = manifest(&format!("system: a\nkind: memory\n{text}\n"));
        let mut reader = reader_knows(&found);
        if pointer.is_empty() {
            reader.insert("system".into());
        }
        assert_eq!(schema_knows(schema, pointer), reader, "{pointer}");
    }
    let schema: Value = serde_json::from_str(schema).unwrap();
    let kinds: Vec<_> = schema["properties"]["kind"]["enum"].as_array().unwrap().iter().collect();
    assert_eq!(kinds, crate::system::KINDS);
}

#[test]
fn of_what_a_dataset_says_to_us() {
    let schema = include_str!("../../../../schemas/json/dataset.schema.json");
    let q = NONSENSE;
    let own = "/$defs/collection/properties/quietus";
    for (pointer, collection, field) in [
        (own.to_owned(), format!("{q}: 1"), String::new()),
        (format!("{own}/properties/subject"), format!("subject: {{{q}: 1}}"), String::new()),
        (
            format!("{own}/properties/jurisdiction/oneOf/1"),
            format!("jurisdiction: {{{q}: 1}}"),
            String::new(),
        ),
        (format!("{own}/properties/references/items"), format!("references: [{{{q}: 1}}]"), String::new()),
        ("/$defs/field/properties/quietus".to_owned(), String::new(), format!("{q}: 1")),
    ] {
        let text = format!(
            "fides_key: d\ncollections: [{{name: a, quietus: {{{collection}}}, fields: [{{name: x, quietus: {{{field}}}}}]}}]"
        );
        let (_, found) = parse_dataset("d", text.as_bytes(), &known);
        assert_eq!(schema_knows(schema, &pointer), reader_knows(&found), "{pointer}");
    }
}

#[test]
fn of_the_configuration() {
    let schema = include_str!("../../../../schemas/json/config.schema.json");
    let q = NONSENSE;
    for (pointer, text) in [
        ("", format!("{q}: 1")),
        ("/properties/http", format!("http: {{{q}: 1}}")),
        ("/properties/http/properties/tls", format!("http: {{tls: {{{q}: 1}}}}")),
        ("/properties/ledger", format!("ledger: {{{q}: 1}}")),
        ("/properties/kafka", format!("kafka: {{{q}: 1}}")),
        ("/$defs/security", format!("kafka: {{security: {{{q}: 1}}}}")),
        ("/properties/identities", format!("identities: {{{q}: 1}}")),
        ("/properties/tokens/items", format!("tokens: [{{{q}: 1}}]")),
        ("/properties/telemetry", format!("telemetry: {{{q}: 1}}")),
    ] {
        let found = Config::parse("q", text.as_bytes()).unwrap_err();
        assert_eq!(schema_knows(schema, pointer), reader_knows(&found), "{pointer}");
    }
}
