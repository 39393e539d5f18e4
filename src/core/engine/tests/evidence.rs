//! The end of evidence: what is over is forgotten, and nothing that something may yet be done about.

use super::world::{SHOP, World, copier, item};
use crate::engine::{Decision, Gone, Step};
use crate::identity::ItemId;
use crate::obligation::Stand;
use crate::record::{AnswerKind, EvidenceEnded, FindingKind, HoldReleased, Origin, Record};
use crate::time::Millis;

/// One item erased and verified, one that lives.
fn erased() -> World {
    let mut w = World::new(&[SHOP.to_owned()]);
    w.recorded(1, 40);
    w.recorded(2, 1);
    w.sweep();
    w.order();
    w.erases("shop-db");
    assert_eq!(w.stand("shop-db"), Some(Stand::Verified));
    w
}

/// One item that its person asked to be erased.
fn asked() -> World {
    let mut w = World::new(&[SHOP.to_owned()]);
    let start = w.state.now.plus(-Millis::DAY);
    w.put_under(&["ads"], item(2), Origin::Event, Some(start), start);
    let asked = w.asked("erase", 2);
    w.step(Record::RequestReceived(asked));
    w
}

fn end(w: &mut World, before: Millis) -> Step {
    let record = EvidenceEnded { before: before.0, at: w.state.now.0 };
    w.control(Record::EvidenceEnded(record))
}

fn gone(step: &Step) -> Gone {
    let told = step.decisions.iter().find_map(|decision| match decision {
        Decision::Forgotten { gone, .. } => Some(*gone),
        _ => None,
    });
    told.expect("an end of evidence is told")
}

fn known(w: &World) -> Vec<ItemId> {
    w.lives.keys().copied().collect()
}

#[test]
fn what_was_gone_before_goes_with_its_duties_and_its_person() {
    let mut w = erased();
    let then = w.state.now;
    w.later(Millis::DAY);
    let none = end(&mut w, then);
    assert_eq!(gone(&none), Gone::default(), "it went at that time and not before");
    assert_eq!(known(&w), [item(1), item(2)]);
    let step = end(&mut w, then.plus(1));
    assert_eq!(gone(&step), Gone { items: 1, persons: 1, requests: 0 });
    assert_eq!(known(&w), [item(2)]);
    assert!(!w.subjects.contains_key(&item(1).subject));
    assert_eq!((w.state.duties.held(), w.state.duties.stored()), (0, 0));
    assert_eq!(w.state.duties.tallies().count(), 0);
    assert_eq!(w.state.alive.items, 1);
    // Who comes again is new.
    w.recorded(1, 40);
    w.sweep();
    assert_eq!(w.stand("shop-db"), Some(Stand::Owed));
    assert_eq!(w.duty("shop-db").unwrap().generation, 1);
}

#[test]
fn what_is_not_read_back_yet_is_not_forgotten() {
    let mut w = World::new(&[SHOP.to_owned(), copier("index", "memory", "shop-db", "")]);
    w.recorded(1, 40);
    w.sweep();
    w.order();
    w.says("shop-db", AnswerKind::Removed);
    w.later(Millis::DAY);
    let now = w.state.now;
    assert_eq!(gone(&end(&mut w, now)).items, 0, "its copy is there, and nobody looked");
    w.order();
    w.erases("index");
    w.later(Millis::DAY);
    let now = w.state.now;
    assert_eq!(gone(&end(&mut w, now)).items, 0, "nobody looked at the origin");
    w.reads("shop-db", FindingKind::Gone);
    w.later(Millis::DAY);
    let now = w.state.now;
    assert_eq!(gone(&end(&mut w, now)).items, 1);
}

#[test]
fn a_hold_keeps_evidence_until_it_is_released() {
    let mut w = erased();
    w.later(Millis::DAY);
    let record = super::derived::hold(r#"{"all": true}"#);
    w.control(Record::HoldPlaced(record));
    let now = w.state.now;
    assert_eq!(gone(&end(&mut w, now)).items, 0);
    let released = HoldReleased { id: "hd_1".into(), reason: None, by: None, at: now.0 };
    w.control(Record::HoldReleased(released));
    assert_eq!(gone(&end(&mut w, now)).items, 1);
}

#[test]
fn a_request_goes_with_what_it_had_erased_and_not_while_it_is_open() {
    let mut w = asked();
    w.order();
    let then = w.state.now;
    assert_eq!(gone(&end(&mut w, then.plus(1))), Gone::default(), "it is under way");
    w.erases("shop-db");
    w.later(Millis::DAY);
    let now = w.state.now;
    assert_eq!(gone(&end(&mut w, now)), Gone::default(), "its date has not passed");
    w.later(31 * Millis::DAY);
    assert_eq!(gone(&end(&mut w, then)), Gone::default(), "it was answered later");
    let now = w.state.now;
    assert_eq!(gone(&end(&mut w, now)), Gone { items: 1, persons: 1, requests: 1 });
    assert!(w.state.requests.is_empty());
    assert!(known(&w).is_empty());
}

#[test]
fn a_person_stays_known_by_what_was_heard_of_them() {
    let mut w = erased();
    // Another item of the same person, older than the one that went.
    let other = ItemId { item: item(9).item, ..item(1) };
    let start = w.state.now.plus(-45 * Millis::DAY);
    w.put_under(&["ads"], other, Origin::Event, Some(start), start);
    w.later(Millis::DAY);
    let heard = w.subjects.get(&item(1).subject).and_then(|subject| subject.latest_activity);
    let now = w.state.now;
    let step = end(&mut w, now);
    assert_eq!(gone(&step), Gone { items: 1, persons: 0, requests: 0 });
    assert_eq!(known(&w), [other, item(2)]);
    // Whoever writes these rows alone knows it as well.
    let mut anew = crate::item::Subject::unknown(item(1).subject);
    for row in step.rows() {
        if let crate::engine::Row::Change(change) = row {
            crate::life::change_subject(&mut anew, &change.what);
        }
    }
    assert_eq!(anew.latest_activity, heard);
}

#[test]
fn what_a_request_refers_to_is_what_a_start_would_find() {
    let mut w = asked();
    let mut request = w.state.requests.values().next().unwrap().clone();
    let duty = request.duties().next().unwrap();
    assert!(w.state.duties.is_named(duty));
    // Its work goes on in another duty.
    request.targets.clear();
    let moved = Decision::Requested(Box::new(request));
    crate::engine::evolve::evolve(&mut w.state, &mut crate::engine::Found::default(), &moved);
    assert!(!w.state.duties.is_named(duty));
}
