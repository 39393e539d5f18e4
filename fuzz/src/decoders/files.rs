//! The files that people write: policies, system manifests, datasets, sources.

use std::sync::LazyLock;

use quietus_core::document::{Diagnostic, Severity};
use quietus_core::policy::{self, Taxonomy};
use quietus_core::source::parse_sources;
use quietus_core::system::{Manifest, parse_dataset, parse_manifest};

const SHOP: &str = r#"{
    "system": "shop-db", "kind": "memory", "purposes": ["service"],
    "datasets": [{"fides_key": "shop", "name": "shop", "collections": [
        {"name": "users",
         "quietus": {"key": ["id"], "subject": {"column": "id", "type": "customer_id"}, "recorded_at": "created",
                     "last_activity": "seen", "jurisdiction": {"column": "country"}, "service": "web"},
         "fields": [
            {"name": "id", "fides_meta": {"primary_key": true}}, {"name": "created"}, {"name": "seen"}, {"name": "country"},
            {"name": "email", "data_categories": ["user.contact.email"]},
            {"name": "note", "data_categories": ["user.content"]}]}]}]}"#;

static READ: LazyLock<Manifest> = LazyLock::new(|| {
    let nothing = |_: &str| Err(String::new());
    let (manifest, found) = parse_manifest("shop.json", SHOP.as_bytes(), &nothing, &|_| true);
    assert!(found.iter().all(|d| d.severity != Severity::Error), "{found:?}");
    manifest.expect("the shop's manifest")
});

pub fn shop() -> Manifest {
    READ.clone()
}

pub fn policy(bytes: &[u8]) {
    let (read, found) = policy::parse("f.yaml", bytes, Taxonomy::bundled());
    placed(&found, bytes);
    if let Some(policy) = read {
        placed(&policy::check::check("f.yaml", &policy, None), bytes);
    }
}

/// Its datasets stand in it, or are the shop's.
pub fn system(bytes: &[u8]) {
    let load = |_: &str| Ok(b"dataset: [{fides_key: shop, collections: []}]".to_vec());
    let (_, found) = parse_manifest("f.yaml", bytes, &load, &is_category);
    placed(&found, bytes);
}

pub fn dataset(bytes: &[u8]) {
    placed(&parse_dataset("f.yaml", bytes, &is_category).1, bytes);
}

pub fn source(bytes: &[u8]) {
    placed(&parse_sources("f.yaml", bytes).1, bytes);
}

fn is_category(key: &str) -> bool {
    Taxonomy::bundled().categories.contains(key)
}

/// Each finding names a place that is in the file, and says something.
fn placed(found: &[Diagnostic], bytes: &[u8]) {
    // YAML ends a line with any of the three.
    let lines = bytes.iter().filter(|b| matches!(b, b'\n' | b'\r')).count() + 2;
    for one in found.iter().filter(|one| one.file == "f.yaml") {
        assert!((1..=lines).contains(&one.line) && one.column > 0, "{one} of {lines} lines");
        assert!(!one.detail.is_empty() && one.fix.as_ref().is_none_or(|fix| !fix.is_empty()));
    }
}
