mod datasets;
mod properties;
mod schemas;
mod systems;
mod wrong_manifests;

use super::*;
use crate::document::{Diagnostic, Severity};

fn known(key: &str) -> bool {
    let list =
        ["user", "user.name", "user.contact", "user.contact.email", "user.content", "system.operations"];
    list.contains(&key)
}

const USERS: &str = "\
dataset:
  - fides_key: shop
    name: Shop
    description: All of it
    organization_fides_key: default_organization
    meta: {anything: [1, 2]}
    fides_meta: {namespace: {schema: public, database_name: x}, after: [other]}
    collections:
      - name: users
        fides_meta: {skip_processing: false, after: [shop.orders]}
        quietus:
          subject: {column: id, type: customer_id}
          recorded_at: created
          jurisdiction: {column: country}
        fields:
          - {name: id, data_categories: [system.operations], fides_meta: {primary_key: true, data_type: integer}}
          - {name: created}
          - {name: country}
          - name: email
            data_categories: [user.contact.email]
            fides_meta: {identity: email, data_type: string, length: 40}
            quietus: {mask: gone@example.org}
          - name: address
            fields:
              - {name: street, data_categories: [user.contact]}
      - name: orders
        quietus: {purposes: [service], on_due: columns, jurisdiction: CN, subject: {column: user_id, type: customer_id}}
        fields:
          - {name: id, fides_meta: {primary_key: true}}
          - name: user_id
            fides_meta: {references: [{dataset: shop, field: users.id, direction: from}]}
          - {name: note, data_categories: [user.content]}
";

fn load(path: &str) -> Result<Vec<u8>, String> {
    match path {
        "users.yaml" => Ok(USERS.as_bytes().to_vec()),
        _ => Err("no such file".to_owned()),
    }
}

fn manifest(text: &str) -> (Option<Manifest>, Vec<Diagnostic>) {
    parse_manifest("dir/s.yaml", text.as_bytes(), &load, &known)
}

fn errors(found: &[Diagnostic]) -> Vec<String> {
    found.iter().filter(|d| d.severity == Severity::Error).map(ToString::to_string).collect()
}

fn good(text: &str) -> Manifest {
    let (manifest, found) = manifest(text);
    assert_eq!(errors(&found), Vec::<String>::new(), "{text}");
    manifest.unwrap()
}

const FULL: &str = "\
format: 1
system: shop-db
kind: postgres
mode: enforce
connection: {url: \"${env:SHOP_DB_URL}\"}
owner: shop-team
region: NO
purposes: [registration]
retains: true
expires: 24h
limits: {batch: 100, concurrency: 2, per_second: 2000, replica_lag_max: 10s}
windows: [{days: [sat-mon, wed], from: 22:00, to: \"05:30\"}]
erase_after: [search]
scan: {every: 1d, by: updated_at}
verify_with: shop-replica
datasets: [users.yaml]
copies_of:
  - {system: other-db, dataset: other.users, key: \"user:{id}\", fields: [email]}
";

#[test]
fn a_full_manifest_is_read() {
    let m = good(FULL);
    assert_eq!((m.system.as_str(), m.kind.as_str(), m.mode), ("shop-db", "postgres", Mode::Enforce));
    assert_eq!(m.region.as_deref(), Some("NO"));
    assert_eq!(m.expires, Some(86_400_000));
    assert_eq!(
        m.limits,
        Limits { batch: 100, concurrency: 2, per_second: Some(2000), replica_lag_max: Some(10_000) }
    );
    assert_eq!(m.windows, [Window { days: vec![1, 3, 6, 7], from: 1320, to: 330 }]);
    assert_eq!(m.scan, Some(Scan { every: 86_400_000, by: Some("updated_at".into()) }));
    assert_eq!(m.copies_of[0].fields, ["email"]);
    assert!(m.states_mode());
    let (dataset, users) = m.collection("shop.users").unwrap();
    assert_eq!(dataset.schema.as_deref(), Some("public"));
    assert_eq!(users.key, ["id"]);
    assert_eq!(users.subject, Some(SubjectColumn { column: "id".into(), kind: "customer_id".into() }));
    assert_eq!(users.jurisdiction, Some(ColumnOr::Column("country".into())));
    assert_eq!(users.field("address.street").unwrap().categories, ["user.contact"]);
    assert_eq!(users.field("email").unwrap().mask.as_deref(), Some("gone@example.org"));
    let (_, orders) = m.collection("shop.orders").unwrap();
    let to_users =
        Reference { columns: vec!["user_id".into()], collection: "users".into(), to: vec!["id".into()] };
    assert_eq!(orders.references, [to_users]);
    assert_eq!((orders.on_due, orders.purposes.as_slice()), (OnDue::Columns, &["service".to_owned()][..]));
    let order: Vec<_> = children_first(dataset).unwrap().iter().map(|c| c.name.as_str()).collect();
    assert_eq!(order, ["orders", "users"]);
}

#[test]
fn keys_of_another_kind_are_a_warning() {
    let (m, found) = manifest("system: a\nkind: memory\nfiles: [{path: x, match: {id: customer_id}}]\n");
    let said: Vec<_> = found.iter().map(ToString::to_string).collect();
    let wanted = "dir/s.yaml:3:8: warning: `files` means nothing to a `memory` system; \
                  remove it, or write `kind: files`";
    assert_eq!((said, m.unwrap().files.len()), (vec![wanted.to_owned()], 1));
}

#[test]
fn what_is_left_out_takes_its_default() {
    let m = good("system: a\nkind: memory\n");
    assert_eq!(m, Manifest { system: "a".into(), kind: "memory".into(), ..Manifest::default() });
    assert_eq!((m.mode, m.states_mode(), m.limits.batch), (Mode::Observe, false, 500));
}

#[test]
fn connections_without_literal_secrets_pass() {
    for (kind, connection) in [
        ("sqlite", "{url: \"sqlite:///var/lib/shop.db\"}"),
        ("postgres", "{url: \"postgres://shop@127.0.0.1:5432/shop\"}"),
        ("postgres", "{url: \"postgres://shop:${env:PW}@db/shop?sslmode=require\"}"),
        ("postgres", "{url: \"postgres://db/shop\", user: shop, password: \"${file:/run/secrets/pw}\"}"),
        ("mysql", "{url: \"mysql://u:${file:/a:b/c@d}@h/x\"}"),
        ("redis", "{url: \"redis://127.0.0.1:6379/0\"}"),
        ("redis", "{url: \"${env:REDIS_URL}\"}"),
        ("backup", "{url: \"file:///var/backups\"}"),
        ("kafka", "{brokers: [\"a:9092\", \"b:9092\"], secret: \"${env:S}\"}"),
    ] {
        let m = good(&format!("system: a\nkind: {kind}\nconnection: {connection}\n"));
        assert!(!m.connection.is_empty());
    }
}

#[test]
fn an_error_in_a_dataset_names_the_dataset() {
    let load = |_: &str| Ok(b"dataset: [{fides_key: 1 2, collections: []}]\n".to_vec());
    let text = b"system: a\nkind: memory\ndatasets: [sub/d.yaml]\n";
    let (_, found) = parse_manifest("dir/s.yaml", text, &load, &known);
    assert!(errors(&found)[0].starts_with("dir/sub/d.yaml:1:23: `1 2` cannot be"), "{found:?}");
}

#[test]
fn datasets_may_stand_in_place() {
    let m = good(
        "{\"system\": \"a\", \"kind\": \"memory\", \"datasets\": [{\"fides_key\": \"d\", \"collections\": []}]}",
    );
    assert_eq!(m.datasets[0].fides_key, "d");
}

#[test]
fn a_partner_s_calls_are_read() {
    let m = good(
        "system: p\nkind: http\nconnection: {url: \"https://p.example\", secret: \"${env:P}\"}\nhttp: {identity: email, submit: {method: POST, path: /erase, body: {people: \"{values}\"}, ref: /job}, poll: {path: \"/x/{ref}\", every: 1s, done: {/state: [done]}}, read_back: {path: /find, body: {q: \"{values}\"}, absent: {/found: []}}, deadline: 30d}\n",
    );
    let http = m.http.unwrap();
    assert_eq!(http.submit.reference.as_deref(), Some("/job"));
    let poll = http.poll.unwrap();
    assert_eq!((poll.every, poll.done["/state"].as_slice()), (1000, &["done".to_owned()][..]));
    assert_eq!(http.read_back.unwrap().absent["/found"], serde_json::json!([]));
    assert_eq!(http.deadline, Some(30 * 86_400_000));
}

#[test]
fn a_manifest_travels_as_canonical_json() {
    let m = good(FULL);
    let text = m.canonical_json();
    let back = Manifest::from_canonical(&text).unwrap();
    assert_eq!(back, m);
    assert_eq!(back.canonical_json(), text);
    assert!(!text.contains("places") && text.contains("${env:SHOP_DB_URL}"));
    assert_eq!(
        Manifest::from_canonical("{\"system\":\"a\",\"kind\":\"memory\"}").unwrap().limits,
        Limits::default()
    );
}
