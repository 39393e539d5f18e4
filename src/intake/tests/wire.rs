//! Bodies: structured, binary, batch; limits; any bytes at all.

use proptest::prelude::*;

use super::super::cloudevent::{BATCH_BYTES_MAX, EVENT_MAX, Payload};
use super::super::{Unreadable, read};
use super::*;

const BATCH: &str = "application/cloudevents-batch+json; charset=UTF-8";
const ONE: &str = "application/cloudevents+json";

fn unreadable(media: &str, body: &str) -> Unreadable {
    read(media, |_| None, body.as_bytes()).unwrap_err()
}

#[test]
fn a_binary_event_is_its_headers_and_its_body() {
    let headers = |name: &str| {
        [
            ("ce-specversion", "1.0"),
            ("ce-id", "a%20b"),
            ("ce-source", "/shop"),
            ("ce-type", "quietus.item.touched.v1"),
            ("ce-time", "2026-11-20T11:00:00Z"),
            ("ce-traceparent", "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"),
        ]
        .into_iter()
        .find_map(|(n, v)| (n == name).then_some(v))
    };
    let body = br#"{"item": "u-1", "subject": "7"}"#;
    let batch = read("application/json", headers, body).unwrap();
    assert_eq!(batch.events[0].as_ref().unwrap().id, "a b");
    let accepted = intake().accept(&batch, &Feed::default(), &context());
    assert_eq!((accepted.accepted, changes(&accepted.frames).len()), (1, 1));
    assert!(accepted.frames[0].1.trace.as_deref().unwrap().contains("0af7651916cd43dd8448eb211c80319c"));

    let broken = read("application/json", headers, b"{\"item\": ").unwrap();
    let accepted = intake().accept(&broken, &Feed::default(), &context());
    assert_eq!(accepted.rejected[0].code, "malformed");
    assert_eq!(read("text/xml", headers, body).unwrap_err(), Unreadable::MediaType);
}

#[test]
fn base64_data_is_read_like_any_other() {
    let body = r#"{"specversion": "1.0", "id": "1", "source": "/s", "type": "quietus.item.touched.v1", "time": "2026-11-20T11:00:00Z",
        "data_base64": "eyJpdGVtIjogInUtMSIsICJzdWJqZWN0IjogIjcifQ=="}"#;
    assert_eq!(take(&intake(), body).accepted, 1);
}

#[test]
fn escapes_are_undone_in_every_text() {
    let plain = change("item.touched", r#"{"item": "u-1", "subject": "email:ann@example.org"}"#);
    let escaped = change("item.touched", r#"{"item": "\u0075-1", "subject": "email:ann\u0040example.org"}"#);
    assert_eq!((plain.item, plain.subject), (escaped.item, escaped.subject));
}

#[test]
fn what_is_no_batch_is_refused_as_a_whole() {
    assert_eq!(unreadable("text/plain", "[]"), Unreadable::MediaType);
    assert_eq!(unreadable(BATCH, "{}"), Unreadable::NoBatch);
    assert_eq!(unreadable(BATCH, "[1]"), Unreadable::NoBatch);
    assert_eq!(unreadable(BATCH, "[{}] x"), Unreadable::Json { line: 1, column: 6 });
    assert_eq!(unreadable(BATCH, "[{},\n  {]"), Unreadable::Json { line: 2, column: 4 });
    assert!(matches!(unreadable(BATCH, "[{},]"), Unreadable::NoBatch));
    assert!(matches!(unreadable(BATCH, "[{}"), Unreadable::Json { .. }));
    assert_eq!(unreadable(ONE, "[]"), Unreadable::NoBatch);
    assert!(matches!(unreadable(ONE, "{\"id\": }"), Unreadable::Json { line: 1, .. }));
    assert_eq!(read(BATCH, |_| None, b" [ ] ").unwrap().events.len(), 0);
}

#[test]
fn limits_are_kept() {
    let many = format!("[{}]", vec!["{}"; 10_001].join(","));
    assert_eq!(unreadable(BATCH, &many), Unreadable::BatchTooLarge);
    assert_eq!(read(BATCH, |_| None, many.replacen("{},", "", 1).as_bytes()).unwrap().events.len(), 10_000);
    assert_eq!(unreadable(BATCH, &" ".repeat(BATCH_BYTES_MAX + 1)), Unreadable::BatchTooLarge);
    assert_eq!(unreadable(ONE, &" ".repeat(EVENT_MAX + 1)), Unreadable::EventTooLarge);
    let large = event("1", "item.touched", &format!(r#"{{"x": "{}"}}"#, "y".repeat(EVENT_MAX)));
    let accepted = take(&intake(), &batch(&[large, recorded("2", "7", 2)]));
    assert_eq!((accepted.accepted, accepted.rejected[0].code), (1, "too-large"));
}

#[test]
fn deep_nesting_is_no_stack() {
    let deep = format!("{}{}", "[".repeat(200_000), "]".repeat(200_000));
    let accepted =
        take(&intake(), &event("1", "item.touched", &format!(r#"{{"item": {deep}, "subject": "1"}}"#)));
    assert_eq!(accepted.rejected.len(), 1);
}

#[test]
fn a_trace_that_is_none_is_dropped() {
    for bad in
        ["x", "00-1-2-01", "ff-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01", "name@example.org"]
    {
        let body = recorded("1", "7", 1).replacen('{', &format!(r#"{{"traceparent": "{bad}","#), 1);
        assert_eq!(take(&intake(), &body).frames[0].1.trace, None, "{bad}");
    }
}

fn json() -> impl Strategy<Value = serde_json::Value> {
    let leaf = prop_oneof![
        Just(serde_json::Value::Null),
        any::<bool>().prop_map(Into::into),
        any::<i64>().prop_map(Into::into),
        any::<f64>().prop_map(|v| serde_json::json!(v)),
        ".{0,12}".prop_map(Into::into),
        Just("2026-11-20T11:00:00Z".into()),
    ];
    let name = prop_oneof![
        Just("item"),
        Just("subject"),
        Just("category"),
        Just("copies"),
        Just("locator"),
        Just("system"),
        Just("dataset"),
        Just("at"),
        Just("values"),
        Just("also"),
        Just("event"),
        Just("purpose"),
    ];
    leaf.prop_recursive(4, 32, 6, move |inner| {
        prop_oneof![
            proptest::collection::vec(inner.clone(), 0..4).prop_map(Into::into),
            proptest::collection::vec((name.clone(), inner), 0..8).prop_map(|fields| {
                serde_json::Value::Object(fields.into_iter().map(|(k, v)| (k.to_owned(), v)).collect())
            }),
        ]
    })
}

proptest! {
    #[test]
    fn any_data_is_taken_or_refused(data in json(), kind in 0usize..9) {
        let kinds = ["item.recorded", "item.copied", "item.touched", "item.gone", "item.corrected",
            "purpose.granted", "purpose.withdrawn", "subject.event", "subject.linked"];
        let accepted = accept(&[event("1", kinds[kind], &data.to_string())]);
        prop_assert_eq!(accepted.accepted + accepted.rejected.len(), 1);
        for (_, frame) in &accepted.frames {
            prop_assert!(crate::ledger::codec::encode_frame(frame).is_ok());
        }
    }

    #[test]
    fn any_bytes_are_read_or_refused(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
        for media in [BATCH, ONE] {
            if let Ok(batch) = read(media, |_| None, &bytes) {
                intake().accept(&batch, &Feed::default(), &context());
            }
        }
        let binary = |_: &str| Some("1.0");
        if let Ok(batch) = read("application/json", binary, &bytes) {
            let bytes_kept = batch.events.iter().flatten().all(|e| !matches!(e.payload, Payload::Read(_)));
            prop_assert!(bytes_kept);
            intake().accept(&batch, &Feed::default(), &context());
        }
    }

    #[test]
    fn a_damaged_batch_is_read_or_refused(at in 0usize..2_000, with in any::<u8>()) {
        let mut body = batch(&[recorded("1", "7", 1), event("2", "item.gone", r#"{"item": "u"}"#), recorded("3", "8", 2)]).into_bytes();
        let len = body.len();
        body[at % len] = with;
        if let Ok(batch) = read(BATCH, |_| None, &body) {
            let accepted = intake().accept(&batch, &Feed::default(), &context());
            prop_assert_eq!(accepted.accepted + accepted.rejected.len(), batch.events.len());
        }
    }
}
