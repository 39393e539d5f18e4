//! Schemas by id from a registry over real HTTP, looked up once each; and a broker that wants to know who is there.

use std::sync::Mutex;

use apache_avro::types::Value as Avro;
use apache_avro::writer::datum::GenericDatumWriter;
use axum::extract::{Path as Segment, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use quietus::clock::SystemClock;
use quietus::node::KafkaOptions;
use quietus_test_servers::{Authority, Pair};

use super::*;

/// The company's own record, in its own words.
const SIGNED_UP: &str = r#"{"type": "record", "name": "SignedUp", "fields": [
    {"name": "who", "type": "long"},
    {"name": "at", "type": {"type": "long", "logicalType": "timestamp-millis"}}]}"#;
const GUID: [u8; 16] = *b"\x0f\x1e\x2d\x3c\x4b\x5a\x69\x78\x87\x96\xa5\xb4\xc3\xd2\xe1\xf0";
const GUID_TEXT: &str = "0f1e2d3c-4b5a-6978-8796-a5b4c3d2e1f0";
const NUMBER: u32 = 70_017;

/// Paths that were asked for.
type Asked = Arc<Mutex<Vec<String>>>;

async fn schema(
    State(asked): State<Asked>,
    Segment((kind, id)): Segment<(String, String)>,
    headers: HeaderMap,
) -> Response {
    asked.lock().unwrap().push(format!("{kind}/{id}"));
    // `ann:s3cret`
    if headers.get("authorization").is_none_or(|a| a != "Basic YW5uOnMzY3JldA==") {
        return StatusCode::UNAUTHORIZED.into_response();
    }
    match (kind.as_str(), id.as_str()) {
        ("ids", "70017") | ("guids", GUID_TEXT) => axum::Json(json!({"schema": SIGNED_UP})).into_response(),
        _ => (StatusCode::NOT_FOUND, axum::Json(json!({"error_code": 40403}))).into_response(),
    }
}

async fn registry() -> (String, Asked) {
    let asked = Asked::default();
    let app = axum::Router::new().route("/schemas/{kind}/{id}", get(schema)).with_state(Arc::clone(&asked));
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://ann:s3cret@{}", listener.local_addr().unwrap());
    tokio::spawn(async move { axum::serve(listener, app).await });
    (url, asked)
}

fn datum(who: i64) -> Vec<u8> {
    let schema = apache_avro::Schema::parse_str(SIGNED_UP).unwrap();
    let fields = [("who", Avro::Long(who)), ("at", Avro::TimestampMillis(1_577_836_800_000))];
    let record = Avro::Record(fields.map(|(name, value)| (name.to_owned(), value)).into());
    GenericDatumWriter::builder(&schema).build().unwrap().write_value_to_vec(record).unwrap()
}

fn source(name: &str, topic: &str) -> String {
    format!(
        "source: {name}
from: {{kafka: {{topic: {topic}}}}}
format: avro
settle: 0s
rules:
  - emit: item.recorded
    with:
      subject: {{type: customer_id, value: value:/who}}
      category: user.contact.email
      purposes: [service]
      recorded_at: value:/at
      copies: [{{system: shop-db, dataset: shop.users, locator: {{id: value:/who}}}}]
"
    )
}

#[tokio::test(flavor = "multi_thread")]
async fn schemas_are_looked_up_by_number_and_by_guid_and_once_each() {
    let kafka = broker();
    let topics = Topics::at(&kafka.brokers());
    let folder = tempfile::tempdir().unwrap();
    let shop = folder.path().join("shop.db");
    database(&shop, 30);
    let (url, asked) = registry().await;
    let options =
        KafkaOptions { brokers: vec![kafka.brokers()], registry: Some(url), ..KafkaOptions::default() };
    let world = World::with(folder.path(), Arc::new(SystemClock::new()), Some(options)).await;
    world.set_up(&shop).await;
    let topic = own("registered");
    topics.create(&topic, 3).await;
    put(&world, &topic, &source(&topic, &topic)).await;
    for who in 1..=30 {
        let body = datum(who);
        let key = who.to_string();
        match who % 3 {
            0 => topics.send(&topic, &key, &[&[0][..], &NUMBER.to_be_bytes(), &body].concat(), &[]),
            1 => topics.send(&topic, &key, &[&[1][..], &GUID, &body].concat(), &[]),
            // Kept out of the value: the header alone says which schema it is.
            _ => topics.send_with(&topic, &key, &body, "__value_schema_id", &[&[1][..], &GUID].concat()),
        }
    }
    topics.send(&topic, "x", &[&[0][..], &9_u32.to_be_bytes(), &datum(99)].concat(), &[]);
    topics.flush();
    caught_up(&world, &topic).await;
    let (_, letters) = world.get("/v1/dead-letters").await;
    let letters = letters["items"].as_array().unwrap().clone();
    assert_eq!((letters.len(), &letters[0]["reason"]), (1, &json!("unknown-schema")), "{letters:?}");
    let mut looked_up = asked.lock().unwrap().clone();
    looked_up.sort();
    assert_eq!(looked_up, [format!("guids/{GUID_TEXT}"), format!("ids/{NUMBER}"), "ids/9".to_owned()]);
    let sweep = world.sweep().await;
    assert_eq!((&sweep["erased"], &sweep["verified"]), (&json!(30), &json!(30)), "{sweep}");
    assert_eq!(left(&shop), 0);
    world.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_broker_that_asks_who_is_there_is_told_and_a_stranger_is_not_let_in() {
    let (kafka, lock) = Kafka::start_locked(&root()).unwrap_or_else(|why| panic!("{why}"));
    let stranger = Authority::new().unwrap();
    let topics = Topics::at(&kafka.brokers());
    let folder = tempfile::tempdir().unwrap();
    let shop = folder.path().join("shop.db");
    database(&shop, 3);
    let topic = own("locked");
    topics.create(&topic, 1).await;
    (1..=3).for_each(|id| topics.send(&topic, "k", signed_up(id).as_bytes(), &[]));
    topics.flush();
    let options = |password: &str, authority: &str, client: &Pair| {
        let security = [
            ("protocol", "sasl_ssl"),
            ("mechanism", "PLAIN"),
            ("username", "ann"),
            ("password", password),
            ("ca", authority),
            ("cert", &client.chain),
            ("key", &client.key),
        ];
        let security = security.map(|(name, value)| (name.to_owned(), value.to_owned())).into();
        Some(KafkaOptions { brokers: vec![lock.brokers.clone()], security, ..KafkaOptions::default() })
    };
    let ours = (lock.authority.as_str(), &lock.client);
    let strange = stranger.issue().unwrap();
    // A wrong password; a broker that nobody vouches for; a client that nobody vouches for.
    for (at, wrong) in [
        options("wrong", ours.0, ours.1),
        options("s3cret", &stranger.certificate, ours.1),
        options("s3cret", ours.0, &strange),
    ]
    .into_iter()
    .enumerate()
    {
        let world = World::with(folder.path(), Arc::new(SystemClock::new()), wrong).await;
        if at == 0 {
            world.set_up(&shop).await;
            put(&world, &topic, &orders(&topic, &topic, "")).await;
        }
        let stands = until(&world, &format!("/v1/sources/{topic}"), |s| s["state"] == "error").await;
        assert!(stands["lag"].is_null() && stands["watermark"].is_null(), "{at}: {stands}");
        // Where a certificate is not liked, either side hangs up without a word.
        if at == 0 {
            until(&world, &format!("/v1/sources/{topic}"), |s| s["error"] == "not_allowed").await;
        }
        world.stop().await;
    }
    let right = options("s3cret", ours.0, ours.1);
    let world = World::with(folder.path(), Arc::new(SystemClock::new()), right).await;
    caught_up(&world, &topic).await;
    assert_eq!(world.sweep().await["verified"], 3);
    assert_eq!(left(&shop), 0);
    world.stop().await;
}
