//! What is refused: by index, with a stable code and a detail that repeats no value.

use quietus_core::identity::ItemId;

use super::*;
use crate::intake::remedy;

const PLACE: &str = r#""copies": [{"system": "shop-db", "dataset": "shop.users", "locator": {"id": 1}}]"#;

/// The code that this event is refused with.
fn refused(body: &str) -> String {
    let accepted = take(&intake(), &format!("[{body}]"));
    let [rejected] = <[_; 1]>::try_from(accepted.rejected).unwrap_or_else(|r| panic!("{r:?} of {body}"));
    assert_eq!((accepted.accepted, rejected.index, accepted.frames.len()), (0, 0, 0));
    assert!(!rejected.detail.contains("SECRET"), "{}", rejected.detail);
    assert!(
        rejected.code.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-'),
        "{}",
        rejected.code
    );
    assert!(remedy(rejected.code).is_some(), "{}: refused without a remedy", rejected.code);
    rejected.code.to_owned()
}

#[test]
fn data_that_does_not_fit_its_type() {
    let r = "item.recorded";
    let cases = [
        (r, format!(r#"{{"category": "c", {PLACE}}}"#), "missing"),
        (r, format!(r#"{{"subject": 4711, "category": "c", {PLACE}}}"#), "wrong-type"),
        (r, format!(r#"{{"subject": "1", {PLACE}}}"#), "missing"),
        (r, format!(r#"{{"subject": "1", "category": [], {PLACE}}}"#), "missing"),
        (r, format!(r#"{{"subject": "1", "category": ["c", 5], {PLACE}}}"#), "wrong-type"),
        (r, format!(r#"{{"subject": "1", "category": "c", "purposes": {{"SECRET": 1}}, {PLACE}}}"#), "wrong-type"),
        (r, format!(r#"{{"subject": "1", "category": "c", "recorded_at": "SECRET", {PLACE}}}"#), "bad-time"),
        (r, format!(r#"{{"subject": "1", "category": "c", "recorded_at": 1795000000123, {PLACE}}}"#), "wrong-type"),
        (r, format!(r#"{{"subject": "1", "category": "c", "recorded_at": "2026-11-20T12:06:00Z", {PLACE}}}"#), "time-ahead"),
        (r, format!(r#"{{"subject": "Email:SECRET", "category": "c", {PLACE}}}"#), "identity-type"),
        (r, format!(r#"{{"subject": "customer_id: ", "category": "c", {PLACE}}}"#), "identity-empty"),
        (r, format!(r#"{{"subject": "phone_number:0170SECRET", "category": "c", {PLACE}}}"#), "identity-not-e164"),
        (r, format!(r#"{{"subject": "1\u0000", "category": "c", {PLACE}}}"#), "control-characters"),
        (r, format!(r#"{{"subject": "{}", "category": "c", {PLACE}}}"#, "x".repeat(2_000)), "too-long"),
        (r, format!(r#"{{"subject": "1", "subject": "2", "category": "c", {PLACE}}}"#), "malformed"),
        (r, r#"{"subject": "1", "category": "c"}"#.to_owned(), "missing"),
        (r, r#"{"subject": "1", "category": "c", "copies": []}"#.to_owned(), "missing"),
        (r, r#"{"subject": "1", "category": "c", "copies": {"system": "s"}}"#.to_owned(), "wrong-type"),
        (r, r#"{"subject": "1", "category": "c", "copies": [{"system": "s", "dataset": "d.c"}]}"#.to_owned(), "locator-missing"),
        (r, r#"{"subject": "1", "category": "c", "copies": [{"system": "s", "dataset": "d.c", "locator": {"a": true}}]}"#.to_owned(), "wrong-type"),
        (r, r#"{"subject": "1", "category": "c", "copies": [{"system": "s", "dataset": "d.c", "locator": {"a": 123456789012345678901234567890}}]}"#.to_owned(), "wrong-type"),
        (r, r#"{"subject": "1", "category": "c", "copies": [{"system": "s", "dataset": "d.c", "locator": {"a": 1, "a": 2}}]}"#.to_owned(), "wrong-type"),
        (r, r#"{"subject": "1", "category": "c", "copies": [{"dataset": "d.c", "locator": {"a": 1}}]}"#.to_owned(), "missing"),
        (r, r#"{"subject": "1", "category": "c", "copies": [{"system": "shop-db", "dataset": "shop.lines", "locator": {"line": 1}}]}"#.to_owned(), "locator-key-missing"),
        (r, r#"{"subject": "1", "category": "c", "copies": [{"system": "shop-db", "dataset": "shop.orders", "locator": {"id": 1}}]}"#.to_owned(), "item-missing"),
        (r, r#"{"item": "SECRET", "subject": "1", "category": "c", "copies": [{"system": "shop-db", "dataset": "shop.orders", "locator": {"id": 1, "number": "A-1"}}]}"#.to_owned(), "item-disagrees"),
        (r, r#"[1]"#.to_owned(), "wrong-type"),
        (r, r#"null"#.to_owned(), "missing"),
        ("item.copied", r#"{"item": "u", "subject": "1"}"#.to_owned(), "missing"),
        ("item.copied", format!(r#"{{"item": "u", "subject": "1", "disclosure": "court", {PLACE}}}"#), "wrong-type"),
        ("item.copied", format!(r#"{{"item": "u", "subject": "1", "disclosure": {{}}, {PLACE}}}"#), "missing"),
        ("item.touched", r#"{"subject": "1"}"#.to_owned(), "missing"),
        ("item.touched", r#"{"item": "", "subject": "1"}"#.to_owned(), "empty"),
        ("item.touched", r#"{"item": "u", "subject": "1", "at": "2026-11-21T00:00:00Z"}"#.to_owned(), "time-ahead"),
        ("item.gone", r#"{"item": "u", "dataset": "d.c"}"#.to_owned(), "system-missing"),
        ("item.gone", r#"{"item": "u", "at": "2027-01-01T00:00:00Z"}"#.to_owned(), "time-ahead"),
        ("item.corrected", r#"{"item": "u", "subject": "1", "values": {}}"#.to_owned(), "missing"),
        ("item.corrected", r#"{"item": "u", "subject": "1", "values": {"user.name": ["SECRET"]}}"#.to_owned(), "wrong-type"),
        ("purpose.granted", r#"{"subject": "1"}"#.to_owned(), "missing"),
        ("purpose.withdrawn", r#"{"subject": "1", "purpose": true}"#.to_owned(), "wrong-type"),
        ("subject.event", r#"{"subject": "1"}"#.to_owned(), "missing"),
        ("subject.event", r#"{"subject": "1", "event": "ticket_closed", "item": "u"}"#.to_owned(), "process-missing"),
        ("subject.event", r#"{"subject": "1", "event": "item_removed", "process": "t"}"#.to_owned(), "item-missing"),
        ("subject.linked", r#"{"subject": "1"}"#.to_owned(), "missing"),
        ("subject.linked", r#"{"subject": "1", "also": ["customer_id:1"]}"#.to_owned(), "linked-to-itself"),
        ("subject.linked", r#"{"subject": "1", "also": ["Bad:SECRET"]}"#.to_owned(), "identity-type"),
        ("subject.exploded", r#"{"subject": "1"}"#.to_owned(), "unknown-type"),
    ];
    for (kind, data, code) in cases {
        assert_eq!(refused(&event("e-1", kind, &data)), code, "{kind} {data}");
    }
}

#[test]
fn a_locator_of_many_columns_is_too_long_in_whatever_order_they_come() {
    let columns: Vec<String> = (0..60_000).rev().map(|n| format!(r#""c{n:05}": 1"#)).collect();
    let data = format!(
        r#"{{"subject": "1", "category": "c", "copies": [{{"system": "s", "dataset": "d.c", "locator": {{{}}}}}]}}"#,
        columns.join(", ")
    );
    assert_eq!(refused(&event("e-1", "item.recorded", &data)), "too-long");
}

#[test]
fn attributes_that_are_no_cloudevent() {
    let data = r#""data": {"item": "u", "subject": "1"}"#;
    let kind = r#""type": "quietus.item.touched.v1""#;
    let cases = [
        (format!(r#"{{"id": "1", "source": "/s", {kind}, {data}}}"#), "missing"),
        (format!(r#"{{"specversion": "0.3", "id": "1", "source": "/s", {kind}, {data}}}"#), "specversion"),
        (format!(r#"{{"specversion": "1.0", "source": "/s", {kind}, {data}}}"#), "missing"),
        (format!(r#"{{"specversion": "1.0", "id": "", "source": "/s", {kind}, {data}}}"#), "empty"),
        (format!(r#"{{"specversion": "1.0", "id": 5, "source": "/s", {kind}, {data}}}"#), "wrong-type"),
        (format!(r#"{{"specversion": "1.0", "id": "1", {kind}, {data}}}"#), "missing"),
        (format!(r#"{{"specversion": "1.0", "id": "1", "source": "/s", {data}}}"#), "missing"),
        (format!(r#"{{"specversion": "1.0", "id": "1", "source": "/s", {kind}}}"#), "missing"),
        (
            format!(
                r#"{{"specversion": "1.0", "id": "1", "source": "/s", "time": "SECRET", {kind}, {data}}}"#
            ),
            "bad-time",
        ),
        (
            format!(
                r#"{{"specversion": "1.0", "id": "1", "source": "/s", "datacontenttype": "text/xml", {kind}, {data}}}"#
            ),
            "not-json",
        ),
        (
            format!(r#"{{"specversion": "1.0", "id": "1", "source": "/s", {kind}, "data_base64": "%%%"}}"#),
            "not-base64",
        ),
        (
            format!(r#"{{"specversion": "1.0", "id": "1", "source": "/s", {kind}, "data_base64": "ew=="}}"#),
            "malformed",
        ),
        (
            format!(
                r#"{{"specversion": "1.0", "id": "1", "source": "/s", {kind}, {data}, "data_base64": "e30="}}"#
            ),
            "two-payloads",
        ),
    ];
    for (body, code) in cases {
        assert_eq!(refused(&body), code, "{body}");
    }
}

#[test]
fn an_item_shown_by_this_system_is_no_new_id_and_stays_with_its_subject() {
    let of = |value: &str| keys().subject_key("customer_id", value);
    let shown = ItemId { subject: of("1"), item: keys().item_key("u-1") }.to_string();
    let data = format!(r#"{{"item": "{shown}", "subject": "1", "category": "c", {PLACE}}}"#);
    assert_eq!(refused(&event("1", "item.recorded", &data)), "item-shown");
    let data = format!(r#"{{"item": "{shown}", "subject": "2"}}"#);
    assert_eq!(refused(&event("1", "item.touched", &data)), "item-of-another-subject");
    let own = change("item.touched", &format!(r#"{{"item": "{shown}", "subject": "1"}}"#));
    assert_eq!(own.item.as_deref(), Some(keys().item_key("u-1").0.as_slice()));
}

#[test]
fn one_bad_event_leaves_the_others_alone() {
    let bad = event("bad-id", "item.touched", r#"{"subject": "1"}"#);
    let accepted = accept(&[recorded("1", "7", 1), bad, recorded("3", "7", 3)]);
    assert_eq!((accepted.accepted, facts(&accepted.frames).len()), (2, 2));
    let [rejected] = <[_; 1]>::try_from(accepted.rejected).unwrap();
    assert_eq!((rejected.index, rejected.id.as_deref()), (1, Some("bad-id")));
    assert_eq!(rejected.detail, "data.item is missing");
}

#[test]
fn a_field_that_the_type_does_not_use_may_be_anything() {
    let data = r#"{"item": "u", "subject": "1", "purpose": 5, "copies": "x", "values": [1], "extra": {"deep": [[]]}}"#;
    assert_eq!(accept(&[event("1", "item.touched", data)]).rejected, []);
}
