//! A sweep waits for what it has not read: of the shapes that a source feeds, and of no others.

use rdkafka::producer::FutureProducer;

use super::*;

async fn lives(world: &World, id: usize) -> bool {
    let body = json!({"subject": format!("customer_id:{id}")});
    let (_, found) = world.post("/v1/items/lookup", &body).await;
    found["items"].as_array().unwrap().iter().any(|i| i["state"] == "live")
}

#[tokio::test(flavor = "multi_thread")]
async fn a_silent_database_holds_back_what_it_feeds_and_says_so_until_its_heart_beats() {
    let kafka = broker();
    let topics = Topics::at(&kafka.brokers());
    let (prefix, source) = (own("dbz"), own("users"));
    let (table, heartbeat) = (format!("{prefix}.public.users"), format!("__debezium-heartbeat.{prefix}"));
    topics.create(&table, 1).await;
    topics.create(&heartbeat, 1).await;
    let folder = tempfile::tempdir().unwrap();
    let shop = folder.path().join("shop.db");
    database(&shop, 5);
    let world = World::reading(folder.path(), Some(kafka.brokers())).await;
    world.set_up(&shop).await;
    let elsewhere = folder.path().join("other.db");
    database(&elsewhere, 5);
    let mut other = super::super::world::shop(&format!("sqlite://{}", elsewhere.display()));
    other["system"] = json!("other-db");
    assert_eq!(world.put("/v1/systems/other-db", &other).await.0, 201);
    let mut shop_manifest = super::super::world::shop(&format!("sqlite://{}", shop.display()));
    shop_manifest["datasets"][0]["collections"][0]["quietus"]["purposes"] = json!(["service"]);
    assert_eq!(world.put("/v1/systems/shop-db", &shop_manifest).await.0, 200);
    put(&world, &source, &format!("source: {source}\nfrom: {{kafka: {{topic: {table}}}}}\nformat: debezium\ndataset: {{system: shop-db, name: shop.users}}\nsettle: 3s\n")).await;

    let snapshot = json!({"before": null, "after": {"id": 1, "email": "x"}, "op": "r", "source": {"ts_ms": 1_577_836_800_000_i64}});
    topics.send(&table, "{\"id\":1}", snapshot.to_string().as_bytes(), &[]);
    topics.flush();
    let path = format!("/v1/sources/{source}");
    let state = until(&world, &path, |s| s["lag"] == 0 && s["watermark"] == "2020-01-01T00:00:00Z").await;
    assert_eq!((&state["state"], &state["error"]), (&json!("stalled"), &Value::Null), "{state}");
    // Both are long overdue; one of them lies where the silent source feeds.
    let mut event = super::super::world::recorded("2", 4000, &["service"], &json!(2));
    let event_elsewhere = super::super::world::recorded("3", 4000, &["service"], &json!(3))
        .to_string()
        .replace("shop-db", "other-db");
    event["data"]["recorded_at"] = json!("2019-01-01T00:00:00Z");
    let (_, taken) = world.events(&[event, serde_json::from_str(&event_elsewhere).unwrap()]).await;
    assert_eq!(taken["accepted"], 2, "{taken}");
    let sweep = world.sweep().await;
    assert_eq!(sweep["due"], 1, "{sweep}");
    assert!(lives(&world, 2).await, "what the stalled source feeds is not swept");

    let beats = async {
        loop {
            let now = quietus::core::time::Millis::parse(&now()).unwrap().0;
            topics.send(&heartbeat, "{}", json!({"ts_ms": now}).to_string().as_bytes(), &[]);
            topics.flush();
            tokio::time::sleep(Duration::from_millis(300)).await;
        }
    };
    let swept = async {
        until(&world, &path, |s| s["state"] == "running").await;
        // The watermark of a moment ago is enough for what is years overdue.
        world.sweep().await
    };
    let sweep = tokio::select! {
        () = beats => panic!("it beats for ever"),
        sweep = swept => sweep,
    };
    assert!(!lives(&world, 2).await, "{sweep}");
    world.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn marks_of_transactions_at_the_end_are_no_records_that_wait() {
    let kafka = broker();
    let topics = Topics::at(&kafka.brokers());
    let topic = own("transactions");
    topics.create(&topic, 1).await;
    let folder = tempfile::tempdir().unwrap();
    let shop = folder.path().join("shop.db");
    database(&shop, 5);
    let world = World::reading(folder.path(), Some(kafka.brokers())).await;
    world.set_up(&shop).await;
    put(&world, &topic, &orders(&topic, &topic, "")).await;
    let producer: FutureProducer = ClientConfig::new()
        .set("bootstrap.servers", kafka.brokers())
        .set("transactional.id", own("tx"))
        .create()
        .unwrap();
    producer.init_transactions(PATIENCE).unwrap();
    for (id, commits) in [(1, true), (2, false), (3, true)] {
        producer.begin_transaction().unwrap();
        let value = signed_up(id);
        let record = rdkafka::producer::FutureRecord::to(&topic).key("k").payload(&value);
        producer.send(record, PATIENCE).await.unwrap();
        if commits {
            producer.commit_transaction(PATIENCE).unwrap()
        } else {
            producer.abort_transaction(PATIENCE).unwrap()
        }
    }
    caught_up(&world, &topic).await;
    let sweep = world.sweep().await;
    assert_eq!((&sweep["verified"], left(&shop)), (&json!(2), 3), "{sweep}");
    world.stop().await;
}
