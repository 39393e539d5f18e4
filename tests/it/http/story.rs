//! The circle over HTTP: event in → due → row gone → read back → shown.

use super::*;

#[tokio::test(flavor = "multi_thread")]
async fn what_is_due_is_erased_and_a_look_up_says_verified() {
    let w = World::shop().await;
    w.customers(&[(1, 40, &["service"]), (2, 10, &["service"]), (3, 40, &["service", "ads"])]).await;
    let plan = w.post("/v1/sweeps", json!({"plan": true})).await;
    assert_eq!(plan.status, 200, "{}", plan.text);
    let plan = plan.json();
    assert_eq!(
        (&plan["due"], &plan["by_rule"]),
        (&json!(1), &json!([{"rule": "contacts", "due": 1}])),
        "{plan}"
    );
    assert_eq!(w.rows(), 3);
    let report = w.sweep().await;
    assert_eq!(
        (&report["state"], &report["due"], &report["erased"], &report["verified"], &report["items"]),
        (&json!("finished"), &json!(1), &json!(1), &json!(1), &json!(2)),
        "{report}"
    );
    assert_eq!(w.rows(), 2);
    let gone = w.look_up(json!({"subject": "customer_id:1"})).await;
    let copy = &gone["items"][0]["copies"][0];
    assert_eq!((&copy["outcome"], copy["verified"].is_string()), (&json!("verified"), true), "{gone}");
    let by_place =
        w.look_up(json!({"system": "shop-db", "dataset": "shop.users", "locator": {"id": 2}})).await;
    assert_eq!(by_place["items"][0]["copies"][0]["outcome"], "live", "{by_place}");
    let id = by_place["items"][0]["id"].as_str().unwrap();
    assert_eq!(w.get(&format!("/v1/items/{id}")).await.json(), by_place["items"][0]);
    assert_eq!(w.look_up(json!({"item": id})).await, by_place);
    assert_eq!(w.look_up(json!({"subject": "customer_id:99"})).await, json!({"items": [], "next": null}));
    let person = w.post("/v1/subjects/lookup", json!({"subject": "1"})).await.json();
    assert_eq!((&person["known"], &person["items"], &person["gone"]), (&json!(true), &json!(0), &json!(1)));
}

#[tokio::test(flavor = "multi_thread")]
async fn explain_names_every_rule_and_the_one_that_wins() {
    let w = World::shop().await;
    w.customers(&[(3, 40, &["service", "ads"])]).await;
    let one = w
        .post("/v1/explain", json!({"system": "shop-db", "dataset": "shop.users", "locator": {"id": "3"}}))
        .await;
    assert_eq!(one.status, 200, "{}", one.text);
    let one = one.json();
    let email = &one["copies"][0]["parts"][0];
    assert_eq!(email["category"], "user.contact.email");
    let rules = email["rules"].as_array().unwrap();
    let wins: Vec<(&str, bool)> =
        rules.iter().map(|r| (r["id"].as_str().unwrap(), r["wins"] == true)).collect();
    assert_eq!(wins.iter().filter(|(_, wins)| *wins).collect::<Vec<_>>(), [&("ads", true)], "{one}");
    assert!(wins.contains(&("contacts", false)) && rules.iter().all(|r| r["kind"] == "keep"), "{one}");
    assert!(one["due"].is_string() && one["due"] == one["copies"][0]["due"] && one["due"] == email["due"]);
    let id = one["item"].as_str().unwrap();
    assert_eq!(w.get(&format!("/v1/items/{id}/explain")).await.json(), one);
    let person = w.post("/v1/explain", json!({"subject": "customer_id:3"})).await.json();
    assert_eq!(person, json!({"items": [one], "next": null}));
    w.post("/v1/explain", json!({"item": "nobody"})).await.is_problem(404, "not-found");
    w.post("/v1/explain", json!({})).await.is_problem(422, "wrong-look-up");
    w.get("/v1/items/it_x/explain?at=yesterday").await.is_problem(422, "wrong-time");
}

#[tokio::test(flavor = "multi_thread")]
async fn stopped_sweeps_do_not_start_until_resumed() {
    let w = World::shop().await;
    assert_eq!(w.post("/v1/sweeps/stop", json!({})).await.json(), json!({"stopped": true}));
    w.post("/v1/sweeps", json!({})).await.is_problem(409, "sweeps-stopped");
    assert_eq!(w.post("/v1/sweeps/resume", json!({})).await.json(), json!({"stopped": false}));
    assert_eq!(w.sweep().await["state"], "finished");
    assert_eq!(w.get("/v1/sweeps").await.json()["items"].as_array().unwrap().len(), 1);
    w.get("/v1/sweeps/sw_none").await.is_problem(404, "not-found");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_digest_and_the_audit_survive_a_restart() {
    let mut w = World::shop().await;
    w.customers(&[(1, 40, &["service"]), (2, 10, &["service"])]).await;
    w.sweep().await;
    // What the sweep's end brings with it may still come in.
    let mut told = (Value::Null, Value::Null);
    for _ in 0..100 {
        let verified = w.post("/v1/audit/verify", json!({})).await.json();
        assert!(verified["ok"] == true && verified["entries"].as_u64().unwrap() > 0, "{verified}");
        let entries = w.get("/v1/audit/entries?limit=1000").await.json()["items"].as_array().unwrap().len();
        told = (json!(entries), verified["entries"].clone());
        if told.0 == told.1 {
            break;
        }
        tokio::time::sleep(std::time::Duration::from_millis(50)).await;
    }
    assert_eq!(told.0, told.1);
    let digest = w.get("/v1/audit/state-digest").await.json();
    assert_eq!(digest["digest"].as_str().unwrap().len(), 64);
    w.running.take().unwrap().stop().await.unwrap();
    let (node, _running) = open_again(&mut w).await;
    assert_eq!(w.get("/v1/audit/state-digest").await.json(), digest);
    // Events from before the restart are known again.
    w.events(&[recorded(2, 10, &["service"], &node)]).await;
    let counted = w.get("/metrics").await.text;
    assert!(counted.contains("quietus_events_total{source=\"http\",outcome=\"duplicate\"} 1"), "{counted}");
}

/// Another node on the same folder.
async fn open_again(w: &mut World) -> (Arc<Node>, Running) {
    let elsewhere = tempfile::tempdir().unwrap();
    let (other, other_running) = open(elsewhere.path()).await;
    // The old node lets go of its folder before the new one takes it.
    w.node = Arc::clone(&other);
    w.router = Router::new();
    other_running.stop().await.unwrap();
    for _ in 0..200 {
        let (keys, _) = Keys::load_or_create(&w.dir.path().join("tenant.key")).unwrap();
        let options = NodeOptions { settle_ms: 0, ..NodeOptions::at(w.dir.path().join("data")) };
        if let Ok(node) = Node::open(options, keys, Arc::new(SystemClock::new())).await {
            let running = node.start().await.unwrap();
            w.node = Arc::clone(&node);
            w.router = router(App::new(Arc::clone(&node), vec![]));
            return (node, running);
        }
        tokio::time::sleep(Duration::from_millis(25)).await;
    }
    panic!("the folder stays locked");
}

#[tokio::test(flavor = "multi_thread")]
async fn monitors_are_told_what_there_is() {
    let w = World::shop().await;
    w.customers(&[(1, 40, &["service"]), (2, 10, &["service"]), (3, 10, &[])]).await;
    assert_eq!(w.get("/healthz").await.json(), json!({"state": "ok"}));
    assert_eq!(w.get("/readyz").await.status, 200);
    let metrics = w.get("/metrics").await.text;
    for line in [
        "quietus_items 3",
        "quietus_due_items 1",
        "quietus_uncovered_items 1",
        "quietus_undated_items 0",
        "quietus_events_total{source=\"http\",outcome=\"accepted\"} 3",
        "quietus_system_up{system=\"shop-db\"} 1",
        "quietus_holds{state=\"effective\"} 0",
    ] {
        assert!(metrics.lines().any(|l| l == line), "{line} is not in\n{metrics}");
    }
    assert!(!metrics.contains("example.org") && !metrics.contains("customer_id"));
    let partitions = w.get("/v1/partitions").await.json();
    let items: u64 =
        partitions["items"].as_array().unwrap().iter().map(|p| p["items"].as_u64().unwrap()).sum();
    assert_eq!((partitions["items"].as_array().unwrap().len(), items), (4, 3));
    let uncovered = w.get("/v1/policies/shop/uncovered").await.json();
    assert_eq!(uncovered["items"].as_array().unwrap().len(), 2, "{uncovered}");
    assert_eq!(uncovered["items"][0]["open"], "uncovered");
}

/// Every family with a sample, and what promtool says of them.
#[tokio::test(flavor = "multi_thread")]
async fn promtool_has_nothing_against_the_metrics() {
    let w = World::shop().await;
    w.customers(&[(1, 40, &["service"]), (2, 10, &["service"]), (3, 10, &[])]).await;
    let hold = json!({"matter": "m", "authority": "court", "owner": "legal", "reason": "suit", "review": "2030-01-01",
                      "scope": {"subjects": ["customer_id:2"]}});
    assert_eq!(w.post("/v1/holds?wait=10s", hold).await.status, 201);
    assert_eq!(
        w.post("/v1/requests", json!({"type": "erase", "subject": "customer_id:2"})).await.status,
        202
    );
    w.sweep().await;
    assert_eq!(w.post("/v1/audit/verify", json!({})).await.status, 200);
    let metrics = w.get("/metrics").await.text;
    for family in [
        "quietus_commands_total",
        "quietus_command_duration_seconds_sum",
        "quietus_audit_verified_timestamp_seconds",
    ] {
        assert!(metrics.lines().any(|l| l.starts_with(family)), "{family} has no sample:\n{metrics}");
    }
    let found = tokio::task::spawn_blocking(move || {
        quietus_test_servers::Promtool::find().and_then(|promtool| promtool.check_metrics(&metrics))
    });
    assert_eq!(found.await.unwrap(), Ok(String::new()));
}
