//! Rules over a company's own JSON, CloudEvents, and the outbox.

use serde_json::json;

use super::*;

const ORDERS: &str = r#"
source: orders
from: {kafka: {topic: orders.v2}}
format: json
rules:
  - when: {value:/type: [order_placed]}
    emit: item.recorded
    with:
      item: value:/order/id
      subject: {type: customer_id, value: value:/customer/id}
      category: [user.behavior.purchase_history, value:/more]
      purposes: [service]
      recorded_at: {from: value:/at, unit: ms}
      service: meta:topic
      copies: [{system: shop-db, dataset: shop.orders, locator: {order_id: value:/order/id, line: key:/line}}]
  - when: {value:/type: [closed, gone], header:tenant: "7"}
    emit: subject.event
    with: {subject: value:/who, event: "literal:value:/x", at: meta:timestamp}
  - {when: {value:/type: [heartbeat]}, skip: true}
"#;

fn record(value: Json) -> Arrived {
    Arrived {
        key: Some(br#"{"line":2}"#.to_vec()),
        topic: "orders.v2".into(),
        ..Arrived::value(value.to_string().as_bytes())
    }
}

#[test]
fn the_first_rule_that_matches_says_what_a_record_becomes() {
    let orders = mapping(ORDERS);
    let placed = record(json!({"type": "order_placed", "order": {"id": 9}, "customer": {"id": "4711"},
        "more": ["user.contact", "user.name"], "at": 1_700_000_000_000_i64}));
    assert_eq!(
        becomes(&orders, &placed).unwrap(),
        [(
            "quietus.item.recorded.v1".to_owned(),
            json!({"item": "9", "subject": "customer_id:4711",
                "category": ["user.behavior.purchase_history", "user.contact", "user.name"], "purposes": ["service"],
                "service": "orders.v2", "recorded_at": "2023-11-14T22:13:20Z",
                "copies": [{"system": "shop-db", "dataset": "shop.orders", "locator": {"line": 2, "order_id": 9}}]})
        )]
    );
    let mut closed = record(json!({"type": "gone", "who": "email:a@b"}));
    assert_eq!(becomes(&orders, &closed).unwrap_err().code, "no-rule");
    closed.headers.push(("Tenant".into(), b"7".to_vec()));
    closed.timestamp = Some(quietus_core::time::Millis(5));
    assert_eq!(
        becomes(&orders, &closed).unwrap(),
        [(
            "quietus.subject.event.v1".to_owned(),
            json!({"subject": "email:a@b", "at": "1970-01-01T00:00:00.005Z", "event": "value:/x"})
        )]
    );
    assert_eq!(becomes(&orders, &record(json!({"type": "heartbeat"}))).unwrap(), []);
    assert_eq!(becomes(&orders, &Arrived::default()).unwrap(), [], "a tombstone");
}

#[test]
fn what_cannot_be_read_names_the_field_and_never_a_value() {
    let orders = mapping(ORDERS);
    let refused = |value: Json| becomes(&orders, &record(value)).unwrap_err();
    let no_locator = json!({"type": "order_placed", "order": {}, "customer": {"id": "secret"}});
    let told = refused(no_locator);
    assert_eq!(told.code, "missing");
    assert!(told.detail.contains("locator.order_id") && told.detail.contains("value:/order/id"), "{told:?}");
    assert_eq!(refused(json!({"type": "other"})).code, "no-rule");
    let told = becomes(&orders, &Arrived::value(br#"{"a": secret}"#)).unwrap_err();
    assert!(
        told.code == "malformed" && told.detail.contains("column") && !told.detail.contains("secret"),
        "{told:?}"
    );
    assert_eq!(becomes(&orders, &Arrived::value(br#"{"a":1,"a":2}"#)).unwrap_err().code, "malformed");
    let bare = json!({"type": "order_placed", "order": {"id": 1}, "customer": {"id": 1}, "at": "soon"});
    assert_eq!(refused(bare).code, "bad-time");
}

#[test]
fn cloudevents_come_in_both_modes() {
    let cloud = mapping("source: c\nfrom: {http: {}}\nformat: cloudevents");
    let data = json!({"subject": "1", "event": "active", "at": "2026-01-01T00:00:00Z"});
    let whole = json!({"specversion": "1.0", "id": "1", "source": "/s", "type": "quietus.subject.event.v1", "data": data});
    let structured = Arrived::value(whole.to_string().as_bytes());
    let binary = Arrived {
        headers: [
            ("ce_specversion", "1.0"),
            ("ce_id", "1"),
            ("ce_source", "/s"),
            ("ce_type", "quietus.subject.event.v1"),
            ("content-type", "application/json"),
        ]
        .map(|(n, v)| (n.to_owned(), v.as_bytes().to_vec()))
        .into(),
        ..Arrived::value(data.to_string().as_bytes())
    };
    let wanted = [("quietus.subject.event.v1".to_owned(), data)];
    assert_eq!(becomes(&cloud, &structured).unwrap(), wanted);
    assert_eq!(becomes(&cloud, &binary).unwrap(), wanted);
    assert_eq!(becomes(&cloud, &Arrived::default()).unwrap(), []);
    let odd = Arrived { headers: vec![("ce_id".into(), b"1".to_vec())], ..binary.clone() };
    assert_eq!(becomes(&cloud, &odd).unwrap_err().code, "missing");
    let picked = mapping(
        "source: c\nfrom: {http: {}}\nformat: cloudevents\nrules: [{when: {value:/type: x}, emit: item.touched, with: {subject: value:/data/who, item: value:/data/i}}]",
    );
    let own = json!({"specversion": "1.0", "id": "1", "source": "/s", "type": "x", "data": {"who": "1", "i": "i"}, "time": "2026-01-01T00:00:00Z"});
    let touched = becomes(&picked, &Arrived::value(own.to_string().as_bytes())).unwrap();
    assert_eq!(touched, [("quietus.item.touched.v1".to_owned(), json!({"item": "i", "subject": "1"}))]);
}

#[test]
fn the_outbox_is_read_routed_and_as_its_table() {
    let outbox = mapping("source: o\nfrom: {kafka: {topic: outbox.event.customer}}\nformat: outbox");
    let data = json!({"subject": "42", "event": "account_closed", "at": "2026-01-01T00:00:00Z"});
    let wanted = [("quietus.subject.event.v1".to_owned(), data.clone())];
    for value in [
        data.clone(),
        json!(data.to_string()),
        json!({"schema": {"type": "string"}, "payload": data.to_string()}),
    ] {
        let routed = Arrived {
            headers: vec![("id".into(), b"a277".to_vec()), ("eventType".into(), b"subject.event".to_vec())],
            ..Arrived::value(value.to_string().as_bytes())
        };
        assert_eq!(becomes(&outbox, &routed).unwrap(), wanted);
    }
    let row = json!({"id": "a277", "aggregatetype": "customer", "aggregateid": "42", "type": "quietus.subject.event.v1", "payload": data.to_string()});
    let change =
        |op: &str, after: Json| json!({"op": op, "before": null, "after": after, "source": {"ts_ms": 5}});
    let of = |value: Json| becomes(&outbox, &Arrived::value(value.to_string().as_bytes()));
    assert_eq!(of(change("c", row)).unwrap(), wanted);
    assert_eq!(of(change("d", Json::Null)).unwrap(), []);
    assert_eq!(of(json!({"a": 1})).unwrap_err().code, "unknown-type");
}
