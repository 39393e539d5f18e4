//! One test per event type, and what holds for all of them.

use quietus_contract::{Locator, Scalar};
use quietus_core::identity::{ItemId, SubjectKey};
use quietus_core::record::{ChangeKind, Mark, Origin, Record};
use quietus_core::time::Millis;

use super::*;
use crate::ledger::codec;

const ANN: &str = "email:Ann@Example.org";

fn ann() -> SubjectKey {
    keys().subject_key("email", "ann@example.org")
}

fn at(change: &Change) -> String {
    Millis(change.at).to_string()
}

#[test]
fn a_recorded_item_is_a_fact() {
    let accepted = accept(&[event(
        "1",
        "item.recorded",
        r#"{"item": "u-1", "subject": "email:Ann@Example.org ", "category": ["user.name", "user.contact", "user.name"],
            "purposes": ["service", "ads"], "jurisdiction": "CN", "process": "o-1", "controller": "acme", "service": "web",
            "recorded_at": "2026-11-01T08:00:00+08:00", "new_field": {"a": [1]},
            "copies": [{"system": "shop-db", "dataset": "shop.users", "locator": {"id": 7}},
                       {"system": "crm", "dataset": "crm.contacts", "locator": {"k": "x"}, "purposes": "ads"}]}"#,
    )]);
    assert_eq!((accepted.accepted, accepted.duplicates, accepted.unregistered), (1, 0, 1));
    let [(batch, fact)] = <[_; 1]>::try_from(facts(&accepted.frames)).unwrap();
    assert_eq!(fact.subject, ann());
    assert_eq!(fact.item, keys().item_key("u-1"));
    assert_eq!(fact.start, Millis::parse("2026-11-01T00:00:00Z"));
    assert_eq!(fact.source_time, Millis::parse("2026-11-20T11:00:00Z").unwrap());
    assert_eq!((fact.origin, fact.process), (Origin::Event, Some(keys().process_key(&ann(), "o-1"))));
    assert_eq!(accepted.frames[0].0, ann().partition(4));

    let shape = &batch.shapes[0];
    assert_eq!(shape.categories, ["user.contact", "user.name"]);
    assert_eq!(shape.purposes, ["ads", "service"]);
    assert_eq!(shape.copies[0].purposes, None);
    assert_eq!(shape.copies[1].purposes.as_deref(), Some(["ads".to_owned()].as_slice()));
    assert_eq!((shape.jurisdiction.as_deref(), shape.service.as_deref()), (Some("CN"), Some("web")));

    let locator =
        keys().open_locator(&fact.subject, &fact.item, "shop-db", "shop.users", &fact.cells[0]).unwrap();
    assert_eq!(locator, Locator::from([("id".to_owned(), Scalar::Integer(7))]));
    let (kind, value) = keys().open_identity(&fact.subject, fact.identity.as_deref().unwrap()).unwrap();
    assert_eq!((kind.as_str(), value.reveal()), ("email", "ann@example.org"));
}

#[test]
fn an_unknown_start_stays_unknown() {
    let data = r#"{"subject": "1", "category": "user.name", "copies": [{"system": "s", "dataset": "d.c", "locator": {"id": 1}}]}"#;
    let accepted = accept(&[event("1", "item.recorded", data)]);
    let [(batch, fact)] = <[_; 1]>::try_from(facts(&accepted.frames)).unwrap();
    assert_eq!((fact.start, batch.shapes[0].purposes.len()), (None, 0));
    assert_eq!(fact.subject, keys().subject_key("customer_id", "1"));
}

#[test]
fn an_item_without_an_id_is_named_by_its_key_columns() {
    let item = |locator: &str, dataset: &str| {
        let data = format!(
            r#"{{"subject": "1", "category": "c", "copies": [{{"system": "shop-db", "dataset": "{dataset}", "locator": {locator}}}]}}"#
        );
        let accepted = accept(&[event("1", "item.recorded", &data)]);
        let (_, fact) = facts(&accepted.frames).pop().unwrap();
        (fact.item, fact.cells)
    };
    let same = item(r#"{"order_id": 1, "line": 2}"#, "shop.lines");
    assert_eq!(item(r#"{"line": "2", "order_id": "1", "note": "x"}"#, "shop.lines"), same);
    assert_ne!(item(r#"{"order_id": 2, "line": 1}"#, "shop.lines"), same);
    let key =
        Locator::from([("line".to_owned(), Scalar::Integer(2)), ("order_id".to_owned(), Scalar::Integer(1))]);
    assert_eq!(same.0, keys().item_key_at("shop-db", "shop.lines", &key));
    // The dataset's item column names the item, whether the event repeats it or not.
    assert_eq!(item(r#"{"id": 1, "number": "A-1"}"#, "shop.orders").0, keys().item_key("A-1"));
}

#[test]
fn a_copy_is_a_change_with_its_disclosure() {
    let change = change(
        "item.copied",
        r#"{"item": "u-1", "subject": "email:ann@example.org", "at": "2026-11-19T00:00:00Z",
            "copies": [{"system": "crm", "dataset": "crm.c", "locator": {"k": "x"}, "purposes": ["ads"]}],
            "disclosure": {"to": "court", "reference": "AZ 12"}}"#,
    );
    assert_eq!((change.kind, at(&change).as_str()), (ChangeKind::Copied, "2026-11-19T00:00:00Z"));
    assert_eq!(change.subject.as_deref(), Some(ann().0.as_slice()));
    let copy = &change.copies[0];
    assert_eq!(copy.disclosure.as_deref(), Some(r#"{"to":"court","authority":null,"reference":"AZ 12"}"#));
    assert_eq!(copy.purposes.as_deref(), Some(["ads".to_owned()].as_slice()));
    assert!(keys().open_locator(&ann(), &keys().item_key("u-1"), "crm", "crm.c", &copy.cell).is_ok());
}

#[test]
fn a_touch_takes_the_events_own_time() {
    let change = change("item.touched", r#"{"item": "u-1", "subject": "1"}"#);
    assert_eq!((change.kind, at(&change).as_str()), (ChangeKind::Touched, "2026-11-20T11:00:00Z"));
    assert_eq!(change.item.as_deref(), Some(keys().item_key("u-1").0.as_slice()));
    assert_eq!((change.event_id.map(|id| id.len()), change.origin), (Some(8), 0));
}

#[test]
fn gone_with_a_subject_goes_to_its_partition() {
    let change =
        change("item.gone", r#"{"item": "u-1", "subject": "1", "system": "crm", "dataset": "crm.c"}"#);
    assert_eq!((change.kind, change.system.as_deref()), (ChangeKind::Gone, Some("crm")));
    assert_eq!(change.dataset.as_deref(), Some("crm.c"));
}

#[test]
fn gone_without_a_subject_is_offered_to_every_partition() {
    let accepted = accept(&[event("1", "item.gone", r#"{"item": "u-1"}"#)]);
    assert_eq!(accepted.frames.iter().map(|(p, _)| *p).collect::<Vec<_>>(), [0, 1, 2, 3]);
    assert!(changes(&accepted.frames).iter().all(|c| c.subject.is_none() && c.item.is_some()));
    let shown = ItemId { subject: ann(), item: keys().item_key("u-1") }.to_string();
    let accepted = accept(&[event("1", "item.gone", &format!(r#"{{"item": "{shown}"}}"#))]);
    assert_eq!(accepted.frames.iter().map(|(p, _)| *p).collect::<Vec<_>>(), [ann().partition(4)]);
    assert_eq!(changes(&accepted.frames)[0].item.as_deref(), Some(keys().item_key("u-1").0.as_slice()));
}

#[test]
fn corrected_values_are_sealed() {
    let change = change(
        "item.corrected",
        r#"{"item": "u-1", "subject": "email:ann@example.org", "values": {"user.name": "Anna", "user.contact": null}}"#,
    );
    assert_eq!(change.kind, ChangeKind::Corrected);
    assert_eq!(change.categories, ["user.contact", "user.name"]);
    let item = keys().item_key("u-1");
    let values = keys().open_corrections(&ann(), &item, &change.values.unwrap()).unwrap();
    assert_eq!(values["user.contact"], None);
    assert_eq!(values["user.name"].as_ref().unwrap().reveal(), "Anna");
}

#[test]
fn purposes_are_granted_and_withdrawn() {
    let granted = change(
        "purpose.granted",
        r#"{"subject": "1", "purpose": "ads", "item": "u-1", "policy_version": "4", "at": "2026-11-01T00:00:00Z"}"#,
    );
    assert_eq!((granted.kind, granted.name.as_deref()), (ChangeKind::Granted, Some("ads")));
    assert_eq!((granted.policy_version.as_deref(), granted.item.is_some()), (Some("4"), true));
    let withdrawn = change("purpose.withdrawn", r#"{"subject": "1", "purpose": "ads"}"#);
    assert_eq!((withdrawn.kind, withdrawn.item), (ChangeKind::Withdrawn, None));
}

#[test]
fn an_event_keeps_what_its_level_asks_for() {
    let all = |event: &str| {
        change(
            "subject.event",
            &format!(r#"{{"subject": "1", "event": "{event}", "process": "t-1", "item": "u-1"}}"#),
        )
    };
    let closed = all("account_closed");
    assert_eq!((closed.kind, closed.process, closed.item), (ChangeKind::Event, None, None));
    let ticket = all("ticket_closed");
    assert_eq!((ticket.process.is_some(), ticket.item), (true, None));
    let removed = all("item_removed");
    assert_eq!((removed.process, removed.item.is_some()), (None, true));
    let undeclared = all("never_heard_of");
    assert!(undeclared.process.is_some() && undeclared.item.is_some());
    assert_eq!(all("active").kind, ChangeKind::Active);
}

#[test]
fn an_undeclared_event_is_kept_and_counted() {
    let accepted = accept(&[event("1", "subject.event", r#"{"subject": "1", "event": "new_one"}"#)]);
    assert_eq!((accepted.accepted, accepted.undeclared, changes(&accepted.frames).len()), (1, 1, 1));
}

#[test]
fn linked_identities_are_keys() {
    let change =
        change("subject.linked", &format!(r#"{{"subject": "4711", "also": ["{ANN}", "4711", "{ANN}"]}}"#));
    assert_eq!((change.kind, change.linked.as_deref()), (ChangeKind::Linked, Some(ann().0.as_slice())));
    assert_eq!(change.subject.as_deref(), Some(keys().subject_key("customer_id", "4711").0.as_slice()));
}

#[test]
fn the_same_event_twice_is_one() {
    let (intake, body) =
        (intake(), batch(&[recorded("1", "7", 1), recorded("1", "7", 1), recorded("2", "7", 1)]));
    let first = take(&intake, &body);
    assert_eq!((first.accepted, first.duplicates, facts(&first.frames).len()), (3, 1, 2));
    // Not stored, not remembered: the append may have failed.
    assert_eq!(take(&intake, &body).duplicates, 1);
    intake.remember(&first.receipt);
    let again = take(&intake, &body);
    assert_eq!((again.accepted, again.duplicates, again.frames.len()), (3, 3, 0));
    // Another node, or this one after a restart, learns it from the ledger.
    let restarted = super::intake();
    first.frames.iter().for_each(|(partition, frame)| restarted.recall(*partition, frame.event_ids()));
    assert_eq!(take(&restarted, &body).duplicates, 3);
}

#[test]
fn a_refused_event_may_come_again_under_its_id() {
    let intake = intake();
    let refused = take(
        &intake,
        &event("1", "item.touched", r#"{"item": "u-1", "subject": "1", "at": "2026-11-20T13:00:00Z"}"#),
    );
    assert_eq!(refused.rejected.len(), 1);
    intake.remember(&refused.receipt);
    let mended = take(&intake, &event("1", "item.touched", r#"{"item": "u-1", "subject": "1"}"#));
    assert_eq!((mended.accepted, mended.duplicates), (1, 0));
}

#[test]
fn an_identity_is_sent_with_the_first_fact_only() {
    let intake = intake();
    let sealed =
        |accepted: &Accepted| facts(&accepted.frames).iter().filter(|(_, f)| f.identity.is_some()).count();
    let first = take(&intake, &batch(&[recorded("1", "7", 1), recorded("2", "7", 2), recorded("3", "8", 3)]));
    assert_eq!(sealed(&first), 2);
    intake.remember(&first.receipt);
    assert_eq!(sealed(&take(&intake, &recorded("4", "7", 4))), 0);
    intake.forget(&keys().subject_key("customer_id", "7"));
    assert_eq!(sealed(&take(&intake, &recorded("5", "7", 5))), 1);
    let later = Context { newest_tick: context().newest_tick.plus(Millis::HOUR), ..context() };
    for minutes in 0..11 {
        let batch = super::super::Batch::default();
        let now = Context { newest_tick: later.newest_tick.plus(minutes * Millis::MINUTE), ..later.clone() };
        intake.accept(&batch, &Feed::default(), &now);
    }
    assert_eq!(sealed(&take(&intake, &recorded("6", "8", 6))), 1);
}

#[test]
fn no_plaintext_leaves_intake() {
    let secrets =
        ["4711-SECRET", "ann.secret@example.org", "row-SECRET", "order-SECRET", "name-SECRET", "id-SECRET"];
    let events = [
        event(
            "1",
            "item.recorded",
            r#"{"item": "id-SECRET", "subject": "email:ann.secret@example.org", "category": "c", "process": "order-SECRET",
            "copies": [{"system": "s", "dataset": "d.c", "locator": {"k": "row-SECRET"}}]}"#,
        ),
        event(
            "2",
            "item.copied",
            r#"{"item": "id-SECRET", "subject": "4711-SECRET", "copies": [{"system": "s", "dataset": "d.c", "locator": {"k": "row-SECRET"}}]}"#,
        ),
        event(
            "3",
            "item.corrected",
            r#"{"item": "id-SECRET", "subject": "4711-SECRET", "values": {"user.name": "name-SECRET"}}"#,
        ),
        event("4", "subject.event", r#"{"subject": "4711-SECRET", "event": "e", "process": "order-SECRET"}"#),
        event(
            "5",
            "subject.linked",
            r#"{"subject": "4711-SECRET", "also": ["email:ann.secret@example.org"]}"#,
        ),
        event("6", "item.gone", r#"{"item": "id-SECRET"}"#),
        event("id-SECRET", "item.touched", r#"{"item": "id-SECRET", "subject": "4711-SECRET"}"#),
    ];
    let accepted = accept(&events);
    assert_eq!(accepted.accepted, events.len());
    for (_, frame) in &accepted.frames {
        let bytes = codec::encode_frame(frame).unwrap();
        let said = format!("{} {frame:?}", String::from_utf8_lossy(&bytes));
        assert!(secrets.iter().all(|s| !said.contains(s)), "{said}");
    }
    let body = batch(&events);
    let read = read("application/cloudevents-batch+json", |_| None, body.as_bytes()).unwrap();
    assert!(!format!("{read:?}").contains("SECRET"), "{read:?}");
    for raw in read.events.iter().flatten() {
        let super::super::cloudevent::Payload::Read(data) = &raw.payload else { panic!("structured") };
        let event = super::super::lifecycle::event(&raw.kind, raw.time, data).unwrap();
        assert!(!format!("{data:?} {event:?} {:?}", data.subject).contains("SECRET"));
    }
}

#[test]
fn a_batch_is_cut_into_frames_in_order() {
    let events: Vec<String> = (0..1_300).map(|n| recorded(&n.to_string(), "7", n)).collect();
    let accepted = accept(&events);
    let sizes: Vec<usize> = accepted.frames.iter().map(|(_, f)| facts(&[(0, f.clone())]).len()).collect();
    assert_eq!(sizes, [512, 512, 276]);
    assert!(
        accepted
            .frames
            .iter()
            .all(|(_, f)| matches!(&f.records[..], [Record::Facts(f)] if f.shapes.len() == 1))
    );
    let items: Vec<_> = facts(&accepted.frames).iter().map(|(_, f)| f.item).collect();
    let expected: Vec<_> = (0..1_300)
        .map(|n| {
            keys().item_key_at(
                "shop-db",
                "shop.users",
                &Locator::from([("id".to_owned(), Scalar::Integer(n))]),
            )
        })
        .collect();
    assert_eq!(items, expected);
}

#[test]
fn facts_and_changes_keep_their_order_in_one_frame() {
    let gone = event("2", "item.gone", r#"{"item": "u-1", "subject": "7"}"#);
    let accepted = accept(&[recorded("1", "7", 1), gone, recorded("3", "7", 1)]);
    let [(_, frame)] = <[_; 1]>::try_from(accepted.frames).unwrap();
    assert_eq!(frame.records.iter().map(Record::name).collect::<Vec<_>>(), ["Facts", "Changes", "Facts"]);
}

#[test]
fn large_events_keep_frames_far_below_the_limit() {
    let long = "x".repeat(60_000);
    let events: Vec<String> = (0..60)
        .map(|n| {
            event(
                &n.to_string(),
                "item.corrected",
                &format!(r#"{{"item": "u", "subject": "7", "values": {{"c": "{long}"}}}}"#),
            )
        })
        .collect();
    let accepted = accept(&events);
    assert_eq!(changes(&accepted.frames).len(), 60);
    let sizes: Vec<usize> =
        accepted.frames.iter().map(|(_, f)| codec::encode_frame(f).unwrap().len()).collect();
    assert!(sizes.iter().all(|s| *s < 2 << 20) && sizes.len() > 2, "{sizes:?}");
}

#[test]
fn marks_stand_on_the_last_record_of_a_partition() {
    let body = batch(&(0..600).map(|n| recorded(&n.to_string(), "7", n)).collect::<Vec<_>>());
    let batch = read("application/cloudevents-batch+json", |_| None, body.as_bytes()).unwrap();
    let mark = Mark { topic: "t".into(), partition: 0, from: 1, to: 600 };
    let feed = Feed { source: "orders".into(), generation: 2, marks: vec![mark.clone()], taken: Vec::new() };
    let accepted = intake().accept(&batch, &feed, &context());
    let marks: Vec<Vec<Mark>> = facts(&accepted.frames).iter().map(|(f, _)| f.marks.clone()).collect();
    assert_eq!((marks[0].len(), marks[599].as_slice()), (0, [mark].as_slice()));
}

#[test]
fn traces_stay_with_their_events_while_they_are_few() {
    let traced = |id: usize, trace: usize| {
        recorded(&id.to_string(), "7", 1).replacen(
            '{',
            &format!(r#"{{"traceparent": "00-{trace:032x}-{trace:016x}-01","#),
            1,
        )
    };
    let header = "00-ffffffffffffffffffffffffffffffff-ffffffffffffffff-01";
    let traces = |events: &[String]| {
        let body = batch(events);
        let header = |name: &str| (name == "traceparent").then_some(header);
        let batch = read("application/cloudevents-batch+json", header, body.as_bytes()).unwrap();
        let accepted = intake().accept(&batch, &Feed::default(), &context());
        accepted.frames.into_iter().map(|(_, f)| f.trace.unwrap()).collect::<Vec<_>>()
    };
    let few = traces(&[traced(1, 1), traced(2, 2), traced(3, 2), recorded("4", "7", 1)]);
    assert_eq!(
        few,
        [format!("00-{:032x}-{:016x}-01", 1, 1), format!("00-{:032x}-{:016x}-01", 2, 2), header.to_owned()]
    );
    let many: Vec<String> = (0..17).map(|n| traced(n, n + 1)).collect();
    assert_eq!(traces(&many), [header.to_owned()]);
}
