//! Corrections: set where the value lives, and never after it was erased.

use super::world::{POLICY, SHOP, World, copier, item};
use crate::obligation::{Block, Duty, Obligation, Stand};
use crate::record::{
    AnswerKind, Change, ChangeKind, Changes, FindingKind, HoldPlaced, Record, RequestReceived,
};
use crate::request::RequestState;
use crate::time::Millis;

const EMAIL: &str = "user.contact.email";

fn correct(w: &mut World, categories: &[&str], values: &[u8]) -> String {
    let asked = w.asked("correct", 1);
    let id = asked.id.clone();
    let categories = categories.iter().map(|c| (*c).to_owned()).collect();
    let record = RequestReceived { categories, corrections: Some(values.to_vec()), ..asked };
    w.step(Record::RequestReceived(record));
    id
}

fn state(w: &World, request: &str) -> RequestState {
    w.state.requests[request].state(|id| w.state.duties.get(id))
}

fn corrections(w: &World, system: &str) -> Vec<Obligation> {
    let mine = w.state.duties.all().filter(|d| d.duty == Duty::Correct && d.place.system == system);
    let mut mine: Vec<Obligation> = mine.cloned().collect();
    mine.sort_by_key(|d| d.round);
    mine
}

#[test]
fn every_copy_with_the_category_takes_the_value_after_its_origin_and_is_read_back() {
    let mut w = World::new(&[SHOP.to_owned(), copier("cache", "redis", "shop-db", "")]);
    w.recorded(1, 1);
    let request = correct(&mut w, &[EMAIL, "user.name"], b"sealed");
    assert_eq!(w.order(), ["shop-db"]);
    w.says("shop-db", AnswerKind::Changed);
    assert_eq!(w.stand("shop-db"), Some(Stand::Executed));
    assert_eq!(w.order(), ["cache"]);
    w.reads("shop-db", FindingKind::Gone);
    w.says("cache", AnswerKind::Removed);
    w.reads("cache", FindingKind::Gone);
    assert_eq!((state(&w, &request), w.state.tally.corrected), (RequestState::Fulfilled, 2));
    let duty = &corrections(&w, "shop-db")[0];
    assert_eq!((&duty.parts[..], duty.values.as_deref()), (&[EMAIL.to_owned()][..], Some(&b"sealed"[..])));
    assert!(w.lives[&item(1)].newest().unwrap().item.copies[0].is_live());
}

#[test]
fn a_value_that_did_not_take_is_tried_again() {
    let mut w = World::new(&[SHOP.to_owned()]);
    w.recorded(1, 1);
    correct(&mut w, &[EMAIL], b"v");
    w.order();
    w.says("shop-db", AnswerKind::Changed);
    w.reads("shop-db", FindingKind::Found);
    assert_eq!(w.stand("shop-db"), Some(Stand::Failed));
    w.later(60_000);
    assert_eq!(w.order(), ["shop-db"]);
}

#[test]
fn an_erasure_after_a_correction_wins() {
    let mut w = World::new(&[SHOP.to_owned()]);
    w.recorded(1, 1);
    let request = correct(&mut w, &[EMAIL], b"v");
    let early = corrections(&w, "shop-db")[0].clone();
    w.later(40 * Millis::DAY);
    w.sweep();
    w.order_one(&early);
    assert_eq!(corrections(&w, "shop-db")[0].stand, Stand::Blocked);
    assert_eq!(state(&w, &request), RequestState::InProgress);
    assert_eq!(w.order(), ["shop-db"]);
    assert_eq!(w.sent.last().unwrap().duty, Duty::Delete);
    w.erases("shop-db");
    assert_eq!(corrections(&w, "shop-db")[0].stand, Stand::Withdrawn);
    assert_eq!(state(&w, &request), RequestState::Refused);
}

#[test]
fn a_correction_that_fell_due_unnoticed_is_stopped_when_it_would_go_out() {
    let mut w = World::new(&[SHOP.to_owned()]);
    w.recorded(1, 1);
    correct(&mut w, &[EMAIL], b"v");
    w.later(40 * Millis::DAY);
    assert!(w.order().is_empty());
    assert_eq!(corrections(&w, "shop-db")[0].stand, Stand::Blocked);
}

#[test]
fn a_correction_goes_on_when_the_erasure_it_waited_for_is_wanted_no_more() {
    let mut w = World::new(&[SHOP.to_owned()]);
    w.recorded(1, 1);
    let request = correct(&mut w, &[EMAIL], b"v");
    let early = corrections(&w, "shop-db")[0].clone();
    w.later(40 * Millis::DAY);
    w.sweep();
    w.order_one(&early);
    assert_eq!(corrections(&w, "shop-db")[0].stand, Stand::Blocked);
    w.publish(&POLICY.replace("30d after", "300d after"));
    assert!(w.order().is_empty(), "the erasure is taken back");
    w.later(Millis::HOUR);
    assert_eq!(w.order(), ["shop-db"]);
    w.says("shop-db", AnswerKind::Changed);
    w.reads("shop-db", FindingKind::Gone);
    assert_eq!(state(&w, &request), RequestState::Fulfilled);
}

#[test]
fn a_correction_outlives_an_erasure_that_was_a_lie() {
    let mut w = World::new(&[SHOP.to_owned()]);
    w.recorded(1, 40);
    w.sweep();
    w.order();
    correct(&mut w, &[EMAIL], b"early");
    w.says("shop-db", AnswerKind::Removed);
    let late = correct(&mut w, &[EMAIL], b"late");
    assert!(w.order().is_empty(), "nobody has looked yet");
    w.reads("shop-db", FindingKind::Found);
    w.publish(&POLICY.replace("30d after", "300d after"));
    w.later(Millis::HOUR);
    assert_eq!(w.order(), ["shop-db"]);
    assert_eq!(w.sent.last().unwrap().values.as_deref(), Some(&b"late"[..]));
    w.says("shop-db", AnswerKind::Changed);
    w.reads("shop-db", FindingKind::Gone);
    assert_eq!(state(&w, &late), RequestState::Fulfilled);
}

#[test]
fn a_correction_after_the_erasure_is_refused_and_sends_nothing() {
    let mut w = World::new(&[SHOP.to_owned()]);
    w.recorded(1, 40);
    w.sweep();
    w.order();
    w.erases("shop-db");
    let request = correct(&mut w, &[EMAIL], b"v");
    assert_eq!((state(&w, &request), w.order().len()), (RequestState::Refused, 0));
    let unknown = correct(&mut w, &["user.name"], b"v");
    assert_eq!(state(&w, &unknown), RequestState::NothingHeld);
}

#[test]
fn no_correction_goes_out_while_an_erasure_is_out() {
    let mut w = World::new(&[SHOP.to_owned()]);
    w.recorded(1, 40);
    w.sweep();
    w.order();
    correct(&mut w, &[EMAIL], b"v");
    assert!(w.order().is_empty(), "one command per item and system");
    w.erases("shop-db");
    assert!(w.order().is_empty());
    assert_eq!(corrections(&w, "shop-db")[0].stand, Stand::Withdrawn);
}

#[test]
fn the_last_value_wins_whatever_fails_before() {
    let mut w = World::new(&[SHOP.to_owned()]);
    w.recorded(1, 1);
    correct(&mut w, &[EMAIL, "user.unique_id"], b"old");
    w.order();
    correct(&mut w, &[EMAIL], b"new");
    assert!(w.order().is_empty(), "the first is out");
    w.says_more("shop-db", |a| {
        (a.kind, a.may_retry, a.might_have_happened) = (AnswerKind::Failed, true, true);
    });
    w.later(60_000);
    w.order();
    w.later(1_000);
    w.order();
    let sent: Vec<_> = w.sent.iter().map(|d| (d.values.clone().unwrap(), d.parts.to_vec())).collect();
    let words = |parts: &[&str]| parts.iter().map(|p| (*p).to_owned()).collect::<Vec<_>>();
    assert_eq!(sent[0], (b"old".to_vec(), words(&[EMAIL, "user.unique_id"])));
    assert!(
        sent[1..].iter().all(|(value, parts)| value == b"new" || parts == &words(&["user.unique_id"])),
        "{sent:?}"
    );
    w.says("shop-db", AnswerKind::Changed);
    w.order();
    w.says("shop-db", AnswerKind::Changed);
    assert!(w.sent.iter().any(|d| d.values.as_deref() == Some(b"new")));
}

#[test]
fn a_hold_stops_corrections_that_it_does_not_allow() {
    for (allow, stand) in [(vec![], Stand::Blocked), (vec!["user.contact".to_owned()], Stand::Owed)] {
        let mut w = World::new(&[SHOP.to_owned()]);
        w.recorded(1, 1);
        let hold = HoldPlaced {
            id: "hd_1".into(),
            matter: "m".into(),
            authority: "court".into(),
            reference: None,
            owner: "legal".into(),
            reason: "suit".into(),
            scope: "{\"all\":true}".into(),
            review: "2030-01-01".into(),
            confidential: false,
            allow,
            by: None,
            at: 0,
            asked: None,
        };
        correct(&mut w, &[EMAIL], b"early");
        w.control(Record::HoldPlaced(hold));
        assert_eq!(corrections(&w, "shop-db")[0].stand, stand);
        correct(&mut w, &[EMAIL], b"late");
        let late = &corrections(&w, "shop-db")[1];
        assert_eq!(late.stand, stand);
        assert_eq!(matches!(late.block, Some(Block::Hold(_))), stand == Stand::Blocked);
    }
}

#[test]
fn a_hold_on_one_part_stops_that_part_alone() {
    for early in [true, false] {
        let mut w = World::new(&[SHOP.to_owned()]);
        w.recorded(1, 1);
        let held = HoldPlaced {
            id: "hd_1".into(),
            matter: "m".into(),
            authority: "court".into(),
            reference: None,
            owner: "legal".into(),
            reason: "suit".into(),
            scope: "{\"categories\":[\"user.contact.email\"]}".into(),
            review: "2030-01-01".into(),
            confidential: false,
            allow: Vec::new(),
            by: None,
            at: 0,
            asked: None,
        };
        if early {
            w.control(Record::HoldPlaced(held.clone()));
        }
        let request = correct(&mut w, &[EMAIL, "user.unique_id"], b"v");
        if !early {
            w.control(Record::HoldPlaced(held));
        }
        assert_eq!(w.order(), ["shop-db"]);
        assert_eq!(*w.sent.last().unwrap().parts, ["user.unique_id"]);
        w.says("shop-db", AnswerKind::Changed);
        w.reads("shop-db", FindingKind::Gone);
        let stands: Vec<_> =
            corrections(&w, "shop-db").into_iter().map(|d| (d.parts.to_vec(), d.stand)).collect();
        assert!(stands.contains(&(vec![EMAIL.to_owned()], Stand::Blocked)), "{stands:?}");
        // The held part is what it waits for.
        assert_eq!(state(&w, &request), RequestState::InProgress);
        let targets = &w.state.requests[&request].targets;
        assert_eq!(targets.iter().map(|t| t.categories.len()).sum::<usize>(), 2);
    }
}

#[test]
fn an_event_corrects_every_copy_and_never_inserts() {
    let mut w = World::new(&[SHOP.to_owned()]);
    w.recorded(1, 1);
    let change = Change {
        subject: Some(item(1).subject.0.to_vec()),
        item: Some(item(1).item.0.to_vec()),
        categories: vec![EMAIL.to_owned()],
        values: Some(b"v".to_vec()),
        ..Change::new(ChangeKind::Corrected, w.state.now.0)
    };
    w.step(Record::Changes(Changes { source: "http".into(), rows: vec![change], ..Changes::default() }));
    assert_eq!(w.order(), ["shop-db"]);
    w.says("shop-db", AnswerKind::Absent);
    assert_eq!(w.stand("shop-db"), Some(Stand::Refused));
}
