//! What goes wrong with topics, and says so: made anew, missing, taken by another node, poisoned.

use super::*;

struct Given {
    folder: tempfile::TempDir,
    kafka: Arc<Kafka>,
    topics: Topics,
    topic: String,
    world: World,
    shop: PathBuf,
}

async fn given(name: &str, rows: usize) -> Given {
    let kafka = broker();
    let topics = Topics::at(&kafka.brokers());
    let topic = own(name);
    topics.create(&topic, 1).await;
    let folder = tempfile::tempdir().unwrap();
    let shop = folder.path().join("shop.db");
    database(&shop, rows);
    let world = World::reading(folder.path(), Some(kafka.brokers())).await;
    world.set_up(&shop).await;
    Given { folder, kafka, topics, topic, world, shop }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_poison_record_waits_and_the_rest_goes_on() {
    let Given { topics, topic, world, shop, folder: _folder, kafka: _kafka } = given("poison", 3).await;
    put(&world, &topic, &orders(&topic, &topic, "")).await;
    for value in
        [signed_up(1), "\u{0}poison".to_owned(), "{\"type\": \"odd\"}".to_owned(), signed_up(2), signed_up(3)]
    {
        topics.send(&topic, "k", value.as_bytes(), &[("trace", "x")]);
    }
    topics.flush();
    caught_up(&world, &topic).await;
    let (_, letters) = world.get("/v1/dead-letters").await;
    let letters = letters["items"].as_array().unwrap();
    let mut found: Vec<(i64, &str)> =
        letters.iter().map(|l| (l["offset"].as_i64().unwrap(), l["reason"].as_str().unwrap())).collect();
    found.sort_unstable();
    assert_eq!(found, [(1, "malformed"), (2, "no-rule")]);
    assert!(letters.iter().all(|l| l["topic"] == topic.as_str() && l["record"].is_null()));
    let id = letters.iter().find(|l| l["offset"] == 2).unwrap()["id"].as_str().unwrap();
    let (_, shown) = world.get(&format!("/v1/dead-letters/{id}")).await;
    assert_eq!(
        (&shown["record"]["value"], &shown["record"]["headers"]["trace"]),
        (&json!("{\"type\": \"odd\"}"), &json!("x"))
    );
    let sweep = world.sweep().await;
    assert_eq!((&sweep["verified"], left(&shop)), (&json!(3), 0), "{sweep}");
    world.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_topic_made_anew_is_an_error_until_somebody_has_looked() {
    let Given { topics, topic, world, shop, folder: _folder, kafka: _kafka } = given("anew", 20).await;
    let text = orders(&topic, &topic, "");
    put(&world, &topic, &text).await;
    for id in 1..=5 {
        topics.send(&topic, "k", signed_up(id).as_bytes(), &[]);
    }
    topics.flush();
    caught_up(&world, &topic).await;
    topics.remove(&topic).await;
    topics.create(&topic, 1).await;
    // As many records as before and more: its end alone would not tell.
    for id in 6..=15 {
        topics.send(&topic, "k", signed_up(id).as_bytes(), &[]);
    }
    topics.flush();
    let path = format!("/v1/sources/{topic}");
    let state = until(&world, &path, |s| s["error"] == "topic_recreated").await;
    assert_eq!(state["state"], "error");
    let detail = state["detail"].as_str().unwrap();
    assert!(detail.contains("quietus source retire") && detail.contains("made anew"), "{detail}");
    assert_eq!(world.call(reqwest::Method::DELETE, &path, &Value::Null).await.0, 204);
    put(&world, &topic, &text).await;
    caught_up(&world, &topic).await;
    assert_eq!(world.get(&path).await.1["generation"], 2);
    let sweep = world.sweep().await;
    assert_eq!((&sweep["verified"], left(&shop)), (&json!(15), 5), "{sweep}");
    world.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_topic_made_anew_while_the_node_was_down_is_found_too() {
    let Given { folder, kafka, topics, topic, world, shop: _ } = given("anew-down", 20).await;
    put(&world, &topic, &orders(&topic, &topic, "")).await;
    topics.send(&topic, "k", signed_up(1).as_bytes(), &[]);
    topics.flush();
    caught_up(&world, &topic).await;
    world.stop().await;
    topics.remove(&topic).await;
    topics.create(&topic, 1).await;
    for id in 6..=9 {
        topics.send(&topic, "k", signed_up(id).as_bytes(), &[]);
    }
    topics.flush();
    let world = World::reading(folder.path(), Some(kafka.brokers())).await;
    until(&world, &format!("/v1/sources/{topic}"), |s| s["error"] == "topic_recreated").await;
    world.stop().await;
    assert_eq!(in_the_ledger(&folder.path().join("data/ledger"), &topic).0, 1, "nothing of it was read");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_second_node_is_refused_and_takes_over_when_the_first_is_gone() {
    let Given { kafka, topics, topic, world, folder: _folder, shop: _ } = given("second", 1).await;
    put(&world, &topic, &orders(&topic, &topic, "")).await;
    topics.send(&topic, "k", signed_up(1).as_bytes(), &[]);
    topics.flush();
    caught_up(&world, &topic).await;
    let folder = tempfile::tempdir().unwrap();
    let second = World::reading(folder.path(), Some(kafka.brokers())).await;
    put(&second, &topic, &orders(&topic, &topic, "")).await;
    let path = format!("/v1/sources/{topic}");
    let state = until(&second, &path, |s| s["error"] == "group_taken").await;
    assert!(state["detail"].as_str().unwrap().contains("another node"), "{state}");
    assert_eq!(world.get(&path).await.1["state"], "running", "the first goes on");
    world.stop().await;
    caught_up(&second, &topic).await;
    second.stop().await;
    assert_eq!(in_the_ledger(&folder.path().join("data/ledger"), &topic).0, 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_topic_that_is_not_there_is_waited_for() {
    let Given { topics, world, kafka: _kafka, folder: _folder, .. } = given("there", 1).await;
    let topic = own("missing");
    put(&world, &topic, &orders(&topic, &topic, "")).await;
    let path = format!("/v1/sources/{topic}");
    let state = until(&world, &path, |s| s["error"] == "topic_missing").await;
    assert!(state["detail"].as_str().unwrap().contains("create it"), "{state}");
    topics.create(&topic, 1).await;
    topics.send(&topic, "k", signed_up(1).as_bytes(), &[]);
    topics.flush();
    caught_up(&world, &topic).await;
    world.stop().await;
}
