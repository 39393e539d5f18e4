//! A node on a real SQLite database: event in → due → row gone → read back.

use std::sync::Arc;
use std::time::Duration;

use quietus_contract::{Locator, Scalar};
use quietus_core::record::{Fact, Facts, Origin, Record, Shape, ShapeCopy};
use quietus_core::request::{Request, RequestKind, RequestState};
use quietus_core::time::Millis;

mod evidence;
mod parts;
mod resume;
mod rewrite;
mod snapshots;

use super::*;
use crate::clock::SystemClock;
use crate::schedule::sweeps;

const POLICY: &str = "policy: shop
timezone: Europe/Berlin
events:
  account_closed: {of: subject, open_ended: true}
purposes:
  service: {use: essential.service, basis: contract, ended_by: account_closed}
  ads: {use: marketing.advertising, basis: consent}
rules:
  - {id: contacts, category: user.contact, purpose: service, keep: 30d after recorded}
  - {id: ads, category: user.contact, purpose: ads, keep: 900d after recorded}
holds: {cool_down: 0s}
";

fn manifest(url: &str) -> String {
    format!(
        "system: shop-db
kind: sqlite
mode: enforce
connection: {{url: \"{url}\"}}
datasets:
  - fides_key: shop
    name: shop
    collections:
      - name: users
        quietus: {{key: [id], subject: {{column: id, type: customer_id}}, recorded_at: created}}
        fields:
          - {{name: id, data_categories: [user.unique_id], fides_meta: {{primary_key: true}}}}
          - {{name: email, data_categories: [user.contact.email]}}
          - {{name: created}}
"
    )
}

struct World {
    node: Arc<Node>,
    running: Option<Running>,
    db: rusqlite::Connection,
    dir: tempfile::TempDir,
}

async fn world() -> World {
    world_of(crate::store::Sizes::default()).await
}

async fn world_of(store: crate::store::Sizes) -> World {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("shop.db");
    let db = rusqlite::Connection::open(&path).unwrap();
    db.execute_batch("CREATE TABLE users (id INTEGER PRIMARY KEY, email TEXT, created TEXT)").unwrap();
    let (node, running) = open(dir.path(), store).await;
    node.store_policy("shop.yaml", POLICY.as_bytes(), None).await.unwrap();
    node.publish_policy("shop", None).await.unwrap();
    let load = |path: &str| Err(format!("no file {path}"));
    let manifest = manifest(&format!("sqlite://{}", path.display()));
    node.put_system("shop.system.yaml", manifest.as_bytes(), &load, None).await.unwrap();
    World { node, running: Some(running), db, dir }
}

async fn open(dir: &std::path::Path, store: crate::store::Sizes) -> (Arc<Node>, Running) {
    let (keys, _) = Keys::load_or_create(&dir.join("tenant.key")).unwrap();
    let options = NodeOptions { settle_ms: 0, store, ..NodeOptions::at(dir.join("data")) };
    let node = Node::open(options, keys, Arc::new(SystemClock::new())).await.unwrap();
    let running = node.start().await.unwrap();
    (node, running)
}

impl World {
    /// The request once it is fulfilled with so many targets, or never will be.
    async fn answered(&self, order: RequestOrder, targets: usize) -> (Request, RequestState) {
        let (request, _) = self.node.receive_request(order).await.unwrap();
        for _ in 0..400 {
            let (request, state) = self.node.request(&request.id).unwrap();
            if state == RequestState::Fulfilled && request.targets.len() == targets {
                break;
            }
            tokio::time::sleep(Duration::from_millis(25)).await;
        }
        self.node.request(&request.id).unwrap()
    }

    async fn customer(&self, id: i64, days_ago: i64, purposes: &[&str]) -> quietus_core::identity::ItemId {
        let (kind, name) = ("customer_id", id.to_string());
        self.db
            .execute("INSERT INTO users VALUES (?1, ?2, 'x')", (id, format!("u{id}@example.org")))
            .unwrap();
        let keys = &self.node.keys;
        let subject = keys.subject_key(kind, &name);
        let item = keys.item_key(&format!("user-{id}"));
        let locator = Locator::from([("id".to_owned(), Scalar::Integer(id))]);
        let cell = keys.seal_locator(&subject, &item, "shop-db", "shop.users", &locator).unwrap();
        let now = self.node.clock.now();
        let mut facts = Facts {
            source: "http".into(),
            shapes: vec![Shape {
                categories: vec!["user.contact.email".into()],
                purposes: purposes.iter().map(|p| (*p).to_owned()).collect(),
                copies: vec![ShapeCopy {
                    system: "shop-db".into(),
                    dataset: "shop.users".into(),
                    ..ShapeCopy::default()
                }],
                ..Shape::default()
            }],
            ..Facts::default()
        };
        facts.push(&Fact {
            subject,
            item,
            start: Some(now.plus(-days_ago * Millis::DAY)),
            shape: 0,
            origin: Origin::Event,
            source_time: now,
            process: None,
            event_id: [0; 8],
            cells: vec![cell],
            identity: Some(keys.seal_identity(&subject, kind, &name).unwrap()),
        });
        let partition = self.node.partition_of(subject).index();
        let offset = self.node.append(partition, vec![Record::Facts(facts)], None).await.unwrap();
        self.node.has_applied(partition, offset).await;
        quietus_core::identity::ItemId { subject, item }
    }

    fn rows(&self) -> i64 {
        self.db.query_row("SELECT count(*) FROM users", [], |r| r.get(0)).unwrap()
    }

    async fn sweep(&self) -> sweeps::SweepView {
        let id = sweeps::start(&self.node, None, None).await.unwrap();
        for _ in 0..400 {
            let view = sweeps::view(&self.node, &id).unwrap();
            if view.state != "running" {
                assert!(view.report.adds_up(), "{view:?}");
                return view;
            }
            tokio::time::sleep(Duration::from_millis(25)).await;
        }
        panic!("the sweep does not come to rest: {:?}", sweeps::view(&self.node, &id));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_due_is_erased_and_verified_and_the_rest_stays() {
    let w = world().await;
    w.customer(1, 40, &["service"]).await;
    w.customer(2, 10, &["service"]).await;
    w.customer(3, 40, &["service", "ads"]).await;
    let view = w.sweep().await;
    assert_eq!((view.report.due, view.report.erased, view.report.verified), (1, 1, 1), "{view:?}");
    assert_eq!(w.rows(), 2);
}

fn court_order(scope: quietus_core::hold::Scope) -> HoldOrder {
    HoldOrder {
        matter: "m".into(),
        authority: "court".into(),
        reference: None,
        owner: "legal".into(),
        reason: "suit".into(),
        scope,
        review: "2030-01-01".into(),
        confidential: false,
        allow: vec![],
        by: None,
        once: None,
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_hold_keeps_it_and_its_release_lets_it_go() {
    let w = world().await;
    let item = w.customer(1, 40, &["service"]).await;
    let scope = quietus_core::hold::Scope { subjects: [item.subject.0].into(), ..Default::default() };
    let (hold, standing) = w.node.place_hold(court_order(scope), Duration::from_secs(5)).await.unwrap();
    assert!(hold.effective.is_some(), "{standing:?}");
    assert_eq!((standing.items, standing.copies), (1, 1));
    let view = w.sweep().await;
    assert_eq!((view.report.due, view.report.held, w.rows()), (1, 1, 1));
    w.node.release_hold(&hold.id, None, None).await.unwrap();
    let view = w.sweep().await;
    assert_eq!((view.report.erased, view.report.verified, w.rows()), (1, 1, 0), "{view:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_request_ends_consent_and_is_carried_out_at_once() {
    let w = world().await;
    let item = w.customer(1, 2, &["ads"]).await;
    let order = RequestOrder::of(RequestKind::Erase, item.subject);
    let (request, state) = w.answered(order, 1).await;
    assert_eq!((state, w.rows()), (RequestState::Fulfilled, 0), "{request:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_correction_is_set_in_every_copy_and_read_back() {
    let w = world().await;
    let item = w.customer(1, 2, &["service"]).await;
    w.customer(2, 2, &["service"]).await;
    let values = std::collections::BTreeMap::from([(
        "user.contact.email".to_owned(),
        Some("new@example.org".to_owned()),
    )]);
    let order = RequestOrder {
        categories: values.keys().cloned().collect(),
        corrections: Some(w.node.keys.seal_corrections(&item.subject, None, &values).unwrap()),
        ..RequestOrder::of(RequestKind::Correct, item.subject)
    };
    let (request, state) = w.answered(order, 1).await;
    assert_eq!(state, RequestState::Fulfilled, "{request:?}");
    let email = |id: i64| {
        w.db.query_row("SELECT email FROM users WHERE id = ?1", [id], |r| r.get::<_, String>(0)).unwrap()
    };
    assert_eq!((email(1), email(2)), ("new@example.org".to_owned(), "u2@example.org".to_owned()));
    assert_eq!(w.node.report(|_| true).corrected, 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_restart_changes_nothing() {
    let mut w = world().await;
    for id in 1..20 {
        w.customer(id, if id % 2 == 0 { 40 } else { 3 }, &["service"]).await;
    }
    w.sweep().await;
    let digest = w.node.state_digest();
    w.running.take().unwrap().stop().await.unwrap();
    drop(w.node);
    let (node, _running) = open(w.dir.path(), crate::store::Sizes::default()).await;
    assert_eq!(node.state_digest(), digest);
    assert_eq!(w.db.query_row("SELECT count(*) FROM users", [], |r| r.get::<_, i64>(0)).unwrap(), 10);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_restored_database_is_brought_back_to_nothing() {
    let w = world().await;
    let before = w.node.clock.now();
    w.customer(1, 40, &["service"]).await;
    w.customer(2, 10, &["service"]).await;
    w.sweep().await;
    assert_eq!(w.rows(), 1);
    // The backup still had the row.
    w.db.execute("INSERT INTO users VALUES (1, 'u1@example.org', 'x')", []).unwrap();
    let reapply = w.node.reapply(before, Some("shop-db".into()), true, None).await.unwrap();
    for _ in 0..400 {
        if w.node.reapplied(&reapply.id).unwrap().1.is_verified() {
            break;
        }
        tokio::time::sleep(Duration::from_millis(25)).await;
    }
    let (_, far) = w.node.restored("shop-db").unwrap();
    assert_eq!((far.owed, far.verified, w.rows()), (1, 1, 1), "{far:?}");
    assert_eq!(w.node.report(|_| true).resurrected, 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_row_that_somebody_brings_back_is_found_and_erased_again() {
    let mut w = world().await;
    w.customer(1, 40, &["service"]).await;
    w.sweep().await;
    assert_eq!(w.rows(), 0);
    w.db.execute("INSERT INTO users VALUES (1, 'u1@example.org', 'x')", []).unwrap();
    w.running.take().unwrap().stop().await.unwrap();
    drop(w.node);
    // Everything is in every sample.
    let (keys, _) = Keys::load_or_create(&w.dir.path().join("tenant.key")).unwrap();
    let options = NodeOptions {
        settle_ms: 0,
        reaudit_per_million: 24_000_000,
        ..NodeOptions::at(w.dir.path().join("data"))
    };
    let node = Node::open(options, keys, Arc::new(SystemClock::new())).await.unwrap();
    let _running = node.start().await.unwrap();
    let rows = || w.db.query_row("SELECT count(*) FROM users", [], |r| r.get::<_, i64>(0)).unwrap();
    for _ in 0..400 {
        if rows() == 0 && node.report(|_| true).verified == 1 {
            break;
        }
        tokio::time::sleep(Duration::from_millis(25)).await;
    }
    assert_eq!((rows(), node.report(|_| true).resurrected), (0, 1));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_system_whose_secret_is_missing_fails_where_people_look() {
    let w = world().await;
    w.customer(1, 40, &["service"]).await;
    let load = |path: &str| Err(format!("no file {path}"));
    let manifest = manifest("${env:QUIETUS_TEST_NOT_SET}");
    w.node.put_system("shop.system.yaml", manifest.as_bytes(), &load, None).await.unwrap();
    let report = w.node.check_system("shop-db").await.unwrap();
    assert!(
        report.problems.iter().any(|p| p.fatal && p.detail.contains("QUIETUS_TEST_NOT_SET")),
        "{report:?}"
    );
    let view = w.sweep().await;
    assert_eq!((view.report.due, view.report.failed, w.rows()), (1, 1, 1), "{view:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_replica_goes_after_its_origin_by_the_cell_of_its_origin() {
    let w = world().await;
    let path = w.dir.path().join("replica.db");
    let replica = rusqlite::Connection::open(&path).unwrap();
    replica.execute_batch("CREATE TABLE users (id INTEGER PRIMARY KEY, email TEXT, created TEXT)").unwrap();
    replica.execute("INSERT INTO users VALUES (1, 'u1@example.org', 'x'), (2, 'b', 'x')", []).unwrap();
    let manifest = manifest(&format!("sqlite://{}", path.display())).replace(
        "system: shop-db\n",
        "system: replica\ncopies_of: [{system: shop-db, dataset: shop.users}]\n",
    );
    let load = |path: &str| Err(format!("no file {path}"));
    w.node.put_system("replica.system.yaml", manifest.as_bytes(), &load, None).await.unwrap();
    let item = w.customer(1, 40, &["service"]).await;
    let view = w.sweep().await;
    assert_eq!((view.report.due, view.report.erased, view.report.verified), (2, 2, 2), "{view:?}");
    assert_eq!(w.rows(), 0);
    let left: i64 = replica.query_row("SELECT id FROM users", [], |r| r.get(0)).unwrap();
    assert_eq!(left, 2);
    let shown = w.node.item_view(item).unwrap();
    let systems: Vec<_> = shown.copies.iter().map(|c| (c.system.as_str(), c.outcome.as_str())).collect();
    assert_eq!(systems, [("shop-db", "verified"), ("replica", "verified")]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_request_on_one_identity_is_carried_to_the_others_and_answered_as_one() {
    use quietus_core::record::{Change, ChangeKind, Changes};
    let w = world().await;
    let mut people = Vec::new();
    for id in 1..=5 {
        people.push(w.customer(id, 2, &["ads"]).await);
    }
    let named = people[0].subject;
    let linked = people[1..].iter().flat_map(|p| p.subject.0).collect();
    let change = Change {
        subject: Some(named.0.to_vec()),
        linked: Some(linked),
        ..Change::new(ChangeKind::Linked, w.node.clock.now().0)
    };
    let changes = Changes { source: "http".into(), rows: vec![change], ..Changes::default() };
    let partition = w.node.partition_of(named).index();
    let offset = w.node.append(partition, vec![Record::Changes(changes)], None).await.unwrap();
    w.node.has_applied(partition, offset).await;
    let order = RequestOrder::of(RequestKind::Erase, named);
    let (request, state) = w.answered(order, 5).await;
    assert_eq!((state, request.targets.len(), w.rows()), (RequestState::Fulfilled, 5, 0), "{request:?}");
    assert_eq!(w.node.requests().len(), 1);
}
