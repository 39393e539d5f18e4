//! What time alone does: windows, dates that pass.

use super::world::{POLICY, SHOP, World, item};
use crate::engine::{Noticed, wishes};
use crate::item::Subject;
use crate::obligation::Stand;
use crate::record::{Record, RequestReceived, SourcePut};
use crate::source::{From, Kafka, Source};
use crate::time::{Millis, Moment};

#[test]
fn outside_its_windows_nothing_is_sent_whoever_orders_it() {
    let windows = "windows: [{days: [mon-fri], from: \"01:00\", to: \"05:00\"}]\n";
    let mut w = World::new(&[format!("{SHOP}{windows}")]);
    w.recorded(1, 40);
    w.sweep();
    // Monday 02:00 in Berlin, as every World begins.
    let duty = w.duty("shop-db").unwrap().clone();
    w.later(4 * 3_600_000);
    w.order_one(&duty);
    assert_eq!(w.stand("shop-db"), Some(Stand::Owed));
    w.later(20 * 3_600_000);
    assert_eq!(w.order(), ["shop-db"]);
}

#[test]
fn a_request_past_its_date_is_told_once_and_again_when_an_extension_passed() {
    let mut w = World::new(&[SHOP.to_owned()]);
    w.recorded(1, 1);
    let asked = w.asked("erase", 1);
    let id = asked.id.clone();
    w.step(Record::RequestReceived(RequestReceived { grounds: Some("unlawful".into()), ..asked }));
    let told = |w: &World| w.noticed.iter().filter(|n| matches!(n, Noticed::Overdue { .. })).count();
    w.later(29 * Millis::DAY);
    assert_eq!(told(&w), 0);
    w.later(2 * Millis::DAY);
    w.later(Millis::DAY);
    assert_eq!(told(&w), 1);
    w.step(Record::RequestMoved(crate::record::RequestMoved {
        id,
        subject: Vec::new(),
        verb: "extend".into(),
        purposes: Vec::new(),
        decision: None,
        until: Some(w.state.now.plus(Millis::DAY).0),
        reason: Some("complex".into()),
        by: None,
    }));
    w.later(2 * Millis::DAY);
    assert_eq!(told(&w), 2);
}

/// The tick comes once a second: the account was closed within the second in which its person asks.
#[test]
fn who_closes_an_account_and_asks_for_erasure_at_once_is_not_told_that_the_contract_runs() {
    let mut w = World::new(&[SHOP.to_owned()]);
    let closing = "purposes:\n  service: {use: essential.service, basis: contract, ended_by: closed}";
    let document = POLICY.replacen(
        "purposes:\n  service: {use: essential.service, basis: contract}",
        &format!("events:\n  closed: {{of: subject, open_ended: true, undone_by: reopened}}\n{closing}"),
        1,
    );
    w.publish(&document);
    w.recorded(1, 1);
    w.happened(1, "closed", w.state.now.plus(-7 * Millis::DAY));
    w.happened(1, "closed", w.state.now.plus(900));
    w.step(Record::RequestReceived(w.asked("erase", 1)));
    assert_eq!(w.order(), ["shop-db"]);
}

#[test]
fn a_request_that_was_answered_is_never_late() {
    let mut w = World::new(&[SHOP.to_owned()]);
    w.recorded(1, 1);
    let asked = w.asked("erase", 1);
    w.step(Record::RequestReceived(RequestReceived { grounds: Some("unlawful".into()), ..asked }));
    w.order();
    w.erases("shop-db");
    w.later(60 * Millis::DAY);
    assert!(w.noticed.is_empty(), "{:?}", w.noticed);
}

/// A source that feeds everything, and of which nothing has been read.
fn silent() -> Record {
    let kafka = From::Kafka(Kafka { topic: "events".to_owned(), ..Kafka::default() });
    let source = Source { source: "feed".to_owned(), from: kafka, ..Source::default() };
    let (name, document) = ("feed".to_owned(), Some(source.canonical_json()));
    Record::SourcePut(SourcePut { name, document, generation: 1, by: None, at: 0 })
}

#[test]
fn a_request_takes_along_nothing_that_a_silent_source_might_still_keep() {
    let mut w = World::new(&[SHOP.to_owned()]);
    w.control(silent());
    w.recorded(1, 40);
    // Over by its rule, as far as anybody knows; its person's contract goes on.
    w.step(Record::RequestReceived(w.asked("erase", 1)));
    assert_eq!(w.order(), [""; 0]);
    let asked = RequestReceived { grounds: Some("unlawful".into()), ..w.asked("erase", 1) };
    w.step(Record::RequestReceived(asked));
    assert_eq!(w.order(), ["shop-db"]);
}

#[test]
fn the_last_judgement_looks_no_further_than_the_sweep_did() {
    let mut w = World::new(&[SHOP.to_owned()]);
    w.recorded(1, 40);
    w.sweep();
    let judged = w.duty("shop-db").unwrap().judged;
    assert_eq!(judged, Moment::at(w.state.now));
    w.later(Millis::DAY);
    assert_eq!(w.duty("shop-db").unwrap().judged, judged);
    let life = w.lives[&item(1)].newest().unwrap().clone();
    let subject = Subject::unknown(item(1).subject);
    let due = |moment: Moment| wishes(&w.state.control, &life, &subject, moment).len();
    let over = life.item.recorded.unwrap().plus(31 * Millis::DAY);
    // In Berlin its last day ends two hours before UTC's.
    assert_eq!(due(Moment { now: w.state.now, read: over.plus(-3 * Millis::HOUR) }), 0);
    assert_eq!(due(Moment { now: w.state.now, read: over }), 1);
}
