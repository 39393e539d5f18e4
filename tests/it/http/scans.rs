//! Scanning and coverage of a registered database.

use super::*;

impl World {
    /// A policy and a system that asks for purposes, and nothing recorded.
    async fn to_be_scanned(mode: &str) -> Self {
        let world = Self::empty(vec![]).await;
        assert_eq!(world.put("/v1/policies/shop", POLICY).await.status, 201);
        assert_eq!(world.post("/v1/policies/shop/publish", json!({})).await.status, 200);
        let manifest =
            world.manifest(mode).replace("\"recorded_at\"", "\"purposes\": [\"service\"], \"recorded_at\"");
        let put = world.put("/v1/systems/shop-db", &manifest).await;
        assert_eq!(put.status, 201, "{}", put.text);
        world
    }

    fn user(&self, id: i64, days_ago: i64) {
        use quietus_core::time::Millis;
        let created = self.node.clock.now().plus(-days_ago * Millis::DAY).to_string();
        let email = format!("u{id}@example.org");
        self.db.execute("INSERT INTO users VALUES (?1, ?2, ?3)", (id, email, created)).unwrap();
    }

    /// Scans to the end; the figures of the one collection.
    async fn scan(&self) -> Value {
        let started = self.post("/v1/systems/shop-db/scan", json!({})).await;
        assert_eq!(started.status, 202, "{}", started.text);
        for _ in 0..800 {
            let view = self.get("/v1/systems/shop-db/scan").await.json();
            if view["state"] != "running" {
                assert_eq!(view["state"], "finished", "{view}");
                return view["collections"][0].clone();
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        panic!("the scan does not end");
    }

    async fn copy_of(&self, id: i64) -> Value {
        let found = self.look_up(json!({"subject": format!("customer_id:{id}")})).await;
        found["items"][0]["copies"][0]["outcome"].clone()
    }
}

fn figures(told: &Value) -> [u64; 4] {
    ["rows", "recorded", "known", "gone"].map(|name| told[name].as_u64().unwrap())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_scan_records_what_is_there_once_and_a_plan_counts_it() {
    let w = World::to_be_scanned("observe").await;
    w.user(1, 40);
    w.user(2, 10);
    assert_eq!(w.get("/v1/systems/shop-db/scan").await.is_problem(404, "not-found")["retry"], "never");
    assert_eq!(figures(&w.scan().await), [2, 2, 0, 0]);
    assert_eq!(figures(&w.scan().await), [2, 0, 2, 0]);
    let plan = w.post("/v1/sweeps", json!({"plan": true})).await.json();
    assert_eq!(
        (&plan["items"], &plan["due"], &plan["observed"]),
        (&json!(2), &json!(1), &json!(1)),
        "{plan}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_row_and_the_event_about_it_are_one_item_and_the_events_word_stays() {
    let w = World::to_be_scanned("observe").await;
    w.customers(&[(1, 5, &["service", "ads"])]).await;
    let earlier = w.node.clock.now().plus(-40 * quietus_core::time::Millis::DAY).to_string();
    w.db.execute("UPDATE users SET created = ?1", [&earlier]).unwrap();
    assert_eq!(figures(&w.scan().await), [1, 1, 0, 0], "the row says an earlier start");
    let explained = w.post("/v1/explain", json!({"subject": "customer_id:1"})).await.json();
    let text = explained.to_string();
    assert!(text.contains("\"ads\""), "the purpose that the event named is kept: {text}");
    assert_eq!(w.look_up(json!({"subject": "customer_id:1"})).await["items"].as_array().unwrap().len(), 1);
    assert_eq!(figures(&w.scan().await), [1, 0, 1, 0]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_dataset_that_is_mended_mends_what_was_scanned_before() {
    let w = World::to_be_scanned("observe").await;
    w.user(1, 40);
    w.scan().await;
    let mended = w.manifest("observe").replace("\"recorded_at\"", "\"purposes\": [\"ads\"], \"recorded_at\"");
    assert_eq!(w.put("/v1/systems/shop-db", &mended).await.status, 200);
    assert_eq!(figures(&w.scan().await), [1, 1, 0, 0]);
    let plan = w.post("/v1/sweeps", json!({"plan": true})).await.json();
    assert_eq!((&plan["items"], &plan["due"]), (&json!(1), &json!(0)), "{plan}");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_vanished_is_gone_and_what_comes_back_is_erased_again() {
    let w = World::to_be_scanned("enforce").await;
    (1..=3).for_each(|id| w.user(id, 40));
    w.user(4, 10);
    assert_eq!(figures(&w.scan().await), [4, 4, 0, 0]);
    // Somebody else deletes one; we delete the rest of what is due.
    w.db.execute("DELETE FROM users WHERE id = 1", []).unwrap();
    assert_eq!(figures(&w.scan().await), [3, 0, 3, 1]);
    assert_eq!(w.copy_of(1).await, "executed");
    let swept = w.sweep().await;
    assert_eq!((&swept["erased"], &swept["verified"]), (&json!(2), &json!(2)), "{swept}");
    assert_eq!(figures(&w.scan().await), [1, 0, 1, 0], "our own erasure is no news");
    // A restore brings an erased row back.
    w.user(2, 40);
    assert_eq!(w.scan().await["recorded"], 1);
    let mut plan = json!(null);
    for _ in 0..800 {
        plan = w.post("/v1/sweeps", json!({"plan": true})).await.json();
        if w.rows() == 1 && plan["in_flight"] == 0 {
            break;
        }
        tokio::time::sleep(Duration::from_millis(25)).await;
    }
    assert_eq!(w.rows(), 1, "the row that came back is erased again");
    assert_eq!((&plan["resurrected"], &plan["items"]), (&json!(1), &json!(1)), "{plan}");
}

#[tokio::test(flavor = "multi_thread")]
async fn coverage_names_what_nobody_decided_about() {
    let w = World::to_be_scanned("observe").await;
    let covered = w.post("/v1/systems/shop-db/coverage", json!({})).await.json();
    assert_eq!((&covered["ok"], &covered["tables"]), (&json!(true), &json!(1)), "{covered}");
    w.db.execute_batch(
        "ALTER TABLE users ADD phone TEXT; CREATE TABLE letters (id INTEGER PRIMARY KEY, email TEXT)",
    )
    .unwrap();
    let covered = w.post("/v1/systems/shop-db/coverage", json!({})).await.json();
    let columns: Vec<_> =
        covered["uncovered"].as_array().unwrap().iter().map(|u| u["column"].clone()).collect();
    assert_eq!(columns, ["letters.email", "users.phone"], "{covered}");
    w.post("/v1/systems/none/coverage", json!({})).await.is_problem(404, "not-found");
}
