//! Debezium: every operation, with and without the schema around it.

use quietus_core::record::Origin;
use serde_json::json;

use super::*;

const USERS: &str = "source: users\nfrom: {kafka: {topic: shop.public.users}}\nformat: debezium\ndataset: {system: shop-db, name: shop.users, unit: us}";

fn users() -> Mapping {
    mapping(USERS)
}

fn envelope(op: &str, before: Json, after: Json) -> Json {
    json!({"before": before, "after": after, "op": op, "ts_ms": 9, "transaction": null,
        "source": {"version": "3.7.0.Final", "connector": "postgresql", "ts_ms": 1_700_000_000_000_i64, "schema": "public", "table": "users"}})
}

fn row(id: i64, email: &str) -> Json {
    json!({"id": id, "created": 1_600_000_000_000_000_i64, "seen": null, "country": "DE", "email": email, "note": "x"})
}

fn delivered(key: Json, value: Json) -> Arrived {
    Arrived { key: Some(key.to_string().into_bytes()), ..Arrived::value(value.to_string().as_bytes()) }
}

fn of(key: Json, value: Json) -> Result<Vec<(String, Json)>, Refused> {
    becomes(&users(), &delivered(key, value))
}

fn recorded(id: i64) -> (String, Json) {
    let data = json!({"subject": format!("customer_id:{id}"), "category": ["user.contact.email", "user.content"],
        "purposes": ["service"], "jurisdiction": "DE", "service": "web", "recorded_at": "2020-09-13T12:26:40Z",
        "copies": [{"system": "shop-db", "dataset": "shop.users", "locator": {"id": id}}]});
    ("quietus.item.recorded.v1".to_owned(), data)
}

fn gone(id: i64, subject: bool) -> (String, Json) {
    let mut data = json!({"copies": [{"system": "shop-db", "dataset": "shop.users", "locator": {"id": id}}],
        "at": "2023-11-14T22:13:20Z", "system": "shop-db", "dataset": "shop.users"});
    if subject {
        data["subject"] = json!(format!("customer_id:{id}"));
    }
    ("quietus.item.gone.v1".to_owned(), data)
}

#[test]
fn rows_that_come_change_or_are_read_are_recorded_with_their_origin() {
    for (op, origin) in [("c", Origin::Create), ("u", Origin::Update), ("r", Origin::Read)] {
        let record = delivered(json!({"id": 1}), envelope(op, Json::Null, row(1, "a@b")));
        assert_eq!(becomes(&users(), &record).unwrap(), [recorded(1)], "{op}");
        let message = record.message();
        let mapped = users().map(&message, &Schemas::default()).unwrap();
        assert_eq!(
            (mapped.events[0].origin, mapped.source_time.map(|t| t.0)),
            (origin, Some(1_700_000_000_000))
        );
    }
}

#[test]
fn rows_that_went_are_gone_whether_the_whole_row_or_its_key_is_told() {
    let whole = of(json!({"id": 2}), envelope("d", row(2, "a@b"), Json::Null)).unwrap();
    assert_eq!(whole, [gone(2, true)]);
    let key_only =
        json!({"id": 2, "created": null, "seen": null, "country": null, "email": null, "note": null});
    // The key is the subject here: it is told either way.
    assert_eq!(of(json!({"id": 2}), envelope("d", key_only, Json::Null)).unwrap(), [gone(2, true)]);
    assert_eq!(of(json!({"id": 2}), envelope("d", Json::Null, Json::Null)).unwrap(), [gone(2, true)]);
    let orders = mapping(&USERS.replace("shop.users, unit: us", "shop.orders"));
    let bare = delivered(json!({"no": "A7"}), envelope("d", Json::Null, Json::Null));
    let (kind, data) = becomes(&orders, &bare).unwrap().remove(0);
    assert_eq!(
        (kind.as_str(), &data["item"], data.get("subject")),
        ("quietus.item.gone.v1", &json!("A7"), None)
    );
    let nothing = Arrived::value(envelope("d", Json::Null, Json::Null).to_string().as_bytes());
    assert_eq!(becomes(&users(), &nothing).unwrap_err().code, "missing");
}

#[test]
fn a_changed_key_is_another_record() {
    let changed = of(json!({"id": 3}), envelope("u", row(1, "a@b"), row(3, "a@b"))).unwrap();
    assert_eq!(changed, [gone(1, true), recorded(3)]);
    let same = of(json!({"id": 1}), envelope("u", row(1, "a@b"), row(1, "c@d"))).unwrap();
    assert_eq!(same, [recorded(1)]);
}

#[test]
fn what_is_no_change_of_a_row_becomes_nothing() {
    assert_eq!(
        becomes(&users(), &Arrived { value: None, ..delivered(json!({"id": 1}), json!(0)) }).unwrap(),
        []
    );
    for other in [
        json!({"source": {}, "ts_ms": 5, "databaseName": "d", "ddl": "ALTER TABLE x", "tableChanges": []}),
        json!({"status": "BEGIN", "id": "754:1", "event_count": null}),
        json!({"ts_ms": 5}),
        envelope("m", Json::Null, Json::Null),
    ] {
        assert_eq!(of(Json::Null, other.clone()).unwrap(), [], "{other}");
    }
    let emptied = Arrived::value(envelope("t", Json::Null, Json::Null).to_string().as_bytes());
    let mapped = users().map(&emptied.message(), &Schemas::default()).unwrap().emptied.unwrap();
    assert_eq!((mapped.system.as_str(), mapped.dataset.as_str()), ("shop-db", "shop.users"));
    assert_eq!(of(Json::Null, envelope("x", Json::Null, Json::Null)).unwrap_err().code, "unknown-op");
    assert_eq!(of(Json::Null, row(1, "a")).unwrap_err().code, "not-debezium");
    assert_eq!(of(Json::Null, envelope("c", Json::Null, Json::Null)).unwrap_err().code, "missing");
}

#[test]
fn the_schema_around_a_record_says_what_its_times_are() {
    let field =
        |name: &str, kind: &str| json!({"field": name, "type": "int64", "name": kind, "optional": true});
    let columns = json!([
        field("created", "io.debezium.time.Timestamp"),
        field("seen", "io.debezium.time.MicroTimestamp")
    ]);
    let schema = json!({"type": "struct", "fields": [
        {"field": "before", "type": "struct", "fields": columns}, {"field": "after", "type": "struct", "fields": columns}]});
    let after = json!({"id": 1, "created": 1_600_000_000_000_i64, "seen": 1_600_000_000_000_000_i64, "country": "DE", "email": "a", "note": "b"});
    let wrapped = json!({"schema": schema, "payload": envelope("c", Json::Null, after.clone())});
    let events = of(json!({"schema": {}, "payload": {"id": 1}}), wrapped).unwrap();
    assert_eq!(events[0], recorded(1));
    assert_eq!(
        (events[1].0.as_str(), &events[1].1["at"]),
        ("quietus.item.touched.v1", &json!("2020-09-13T12:26:40Z"))
    );
    let without = mapping(&USERS.replace(", unit: us", ""));
    let bare = becomes(&without, &delivered(json!({"id": 1}), envelope("c", Json::Null, after))).unwrap_err();
    assert!(bare.code == "bad-time" && bare.detail.contains("unit"), "{bare:?}");
}

#[test]
fn what_was_not_sent_again_is_taken_from_before_or_asked_for() {
    let gap = |id: Json| json!({"id": 1, "created": 1_600_000_000_000_000_i64, "seen": null, "country": id, "email": "a", "note": "__debezium_unavailable_value"});
    let unknown = "__debezium_unavailable_value";
    assert_eq!(
        of(Json::Null, envelope("u", Json::Null, gap(json!("DE")))).unwrap(),
        [recorded(1)],
        "not needed"
    );
    let refused = of(Json::Null, envelope("u", Json::Null, gap(json!(unknown)))).unwrap_err();
    assert!(refused.code == "unavailable" && refused.detail.contains("REPLICA IDENTITY FULL"), "{refused:?}");
    assert_eq!(of(Json::Null, envelope("u", row(1, "a"), gap(json!(unknown)))).unwrap(), [recorded(1)]);
}

#[test]
fn a_source_that_its_dataset_does_not_fit_says_which_and_how() {
    let unfit = |text: &str| Mapping::new(source(text), &systems()).unwrap_err();
    assert!(unfit(&USERS.replace("shop-db", "shop-bd")).fix.contains("did you mean `shop-db`"));
    assert!(unfit(&USERS.replace("shop.users", "shop.user")).fix.contains("did you mean `shop.users`"));
}

#[test]
fn rules_may_look_into_the_envelope() {
    let picked = mapping(
        "source: u\nfrom: {http: {}}\nformat: debezium\nrules: [{when: {value:/op: [c, r]}, emit: item.touched, with: {subject: {type: email, value: value:/after/email}, item: value:/after/id}}, {skip: true}]",
    );
    let of = |op: &str| {
        becomes(&picked, &delivered(json!({"id": 1}), envelope(op, Json::Null, row(1, "a@b")))).unwrap()
    };
    assert_eq!(
        of("c"),
        [("quietus.item.touched.v1".to_owned(), json!({"item": "1", "subject": "email:a@b"}))]
    );
    assert_eq!(of("u"), []);
}
