//! End to end: facts from topics, in JSON, Avro and CloudEvents, until rows are gone from real databases.

use apache_avro::types::Value as Avro;
use apache_avro::writer::datum::GenericDatumWriter;
use quietus_test_servers::Postgres;
use serde_json::json;

use super::*;

/// A framed `ItemRecorded` under the bundled schemas' id.
fn recorded(system: &str, id: usize) -> Vec<u8> {
    let schema =
        apache_avro::Schema::parse_str(include_str!("../../../schemas/avro/ItemRecorded/v1.avsc")).unwrap();
    let text = |t: &str| Avro::String(t.to_owned());
    let record = |fields: Vec<(&str, Avro)>| {
        Avro::Record(fields.into_iter().map(|(n, v)| (n.to_owned(), v)).collect())
    };
    let locator = Avro::Map([("id".to_owned(), text(&id.to_string()))].into());
    let copy = record(vec![("system", text(system)), ("dataset", text("shop.users")), ("locator", locator)]);
    let value = record(vec![
        ("subject", text(&format!("customer_id:{id}"))),
        ("category", Avro::Array(vec![text("user.contact.email")])),
        ("purposes", Avro::Array(vec![text("service")])),
        ("recorded_at", Avro::TimestampMillis(1_577_836_800_000)),
        ("copies", Avro::Array(vec![copy])),
    ]);
    let value = value.resolve(&schema).unwrap();
    let datum = GenericDatumWriter::builder(&schema).build().unwrap().write_value_to_vec(value).unwrap();
    [&[0, 0, 0, 0, 1], datum.as_slice()].concat()
}

#[tokio::test(flavor = "multi_thread")]
async fn what_topics_tell_is_erased_from_sqlite_and_postgresql_and_verified() {
    let (kafka, postgres) = (broker(), Postgres::shared().unwrap_or_else(|why| panic!("{why}")));
    let topics = Topics::at(&kafka.brokers());
    let folder = tempfile::tempdir().unwrap();
    let shop = folder.path().join("shop.db");
    database(&shop, 30);
    let url = postgres.database().unwrap();
    let (client, connection) = tokio_postgres::connect(&url, tokio_postgres::NoTls).await.unwrap();
    tokio::spawn(connection);
    client.batch_execute("CREATE TABLE users (id bigint PRIMARY KEY, email text); INSERT INTO users SELECT n, 'x' FROM generate_series(1, 30) n").await.unwrap();

    let (own_json, lifecycle, cloud) = (own("orders"), own("lifecycle"), own("cloud"));
    for topic in [&own_json, &lifecycle, &cloud] {
        topics.create(topic, 3).await;
    }
    let world = World::reading(folder.path(), Some(kafka.brokers())).await;
    world.set_up(&shop).await;
    let mut other = super::super::world::shop(&url);
    (other["system"], other["kind"]) = (json!("shop-pg"), json!("postgres"));
    let (status, answer) = world.put("/v1/systems/shop-pg", &other).await;
    assert_eq!(status, 201, "{answer}");

    put(&world, &own_json, &orders(&own_json, &own_json, "")).await;
    for (name, format) in [(&lifecycle, "avro"), (&cloud, "cloudevents")] {
        let text =
            format!("source: {name}\nfrom: {{kafka: {{topic: {name}}}}}\nformat: {format}\nsettle: 0s\n");
        put(&world, name, &text).await;
    }
    for id in 1..=10 {
        topics.send(&own_json, &id.to_string(), signed_up(id).as_bytes(), &[]);
    }
    for id in 11..=20 {
        let attributes = [
            ("ce_id", id.to_string()),
            ("ce_source", "/java".to_owned()),
            ("ce_type", "quietus.item.recorded.v1".to_owned()),
        ];
        let attributes: Vec<(&str, &str)> = attributes.iter().map(|(n, v)| (*n, v.as_str())).collect();
        topics.send(&lifecycle, &id.to_string(), &recorded("shop-db", id), &attributes);
        topics.send(&lifecycle, &id.to_string(), &recorded("shop-pg", id), &[]);
    }
    for id in 21..=30 {
        let event = super::super::world::recorded(&id.to_string(), 4000, &["service"], &json!(id));
        let data = event["data"].to_string();
        let binary = [
            ("ce_specversion", "1.0"),
            ("ce_id", "x"),
            ("ce_source", "/s"),
            ("ce_type", "quietus.item.recorded.v1"),
            ("content-type", "application/json"),
        ];
        match id % 2 {
            0 => topics.send(
                &cloud,
                "k",
                event.to_string().as_bytes(),
                &[("content-type", "application/cloudevents+json")],
            ),
            _ => {
                let mut headers = binary;
                let own_id = id.to_string();
                headers[1].1 = &own_id;
                topics.send(&cloud, "k", data.as_bytes(), &headers);
            }
        }
    }
    topics.flush();
    for source in [&own_json, &lifecycle, &cloud] {
        caught_up(&world, source).await;
    }
    assert_eq!(world.get("/v1/dead-letters").await.1["items"], json!([]));
    let sweep = world.sweep().await;
    assert_eq!(
        (&sweep["erased"], &sweep["verified"], &sweep["failed"]),
        (&json!(40), &json!(40), &json!(0)),
        "{sweep}"
    );
    assert_eq!(left(&shop), 0);
    let there: i64 = client.query_one("SELECT count(*) FROM users", &[]).await.unwrap().get(0);
    assert_eq!(there, 20);
    world.stop().await;
}
