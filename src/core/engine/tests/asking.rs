//! What a person asks for beside erasure: access, restriction, and nothing before it is known who asks.

use super::world::{SHOP, World};
use crate::obligation::Stand;
use crate::record::{AnswerKind, Record, RequestMoved, RequestReceived};
use crate::request::{Request, RequestAnswer, RequestState};

fn ask(w: &mut World, asked: RequestReceived) -> String {
    let id = asked.id.clone();
    w.step(Record::RequestReceived(asked));
    id
}

fn move_on(w: &mut World, id: &str, verb: &str) {
    let moved = RequestMoved {
        id: id.to_owned(),
        subject: w.state.requests[id].subject.0.to_vec(),
        verb: verb.to_owned(),
        purposes: Vec::new(),
        decision: Some("end".to_owned()),
        until: None,
        reason: None,
        by: None,
    };
    w.step(Record::RequestMoved(moved));
}

fn now(w: &World, id: &str) -> (Request, RequestState) {
    let request = w.state.requests[id].clone();
    let state = request.state(|id| w.state.duties.get(id));
    (request, state)
}

#[test]
fn access_lists_what_is_held_and_until_when_and_changes_nothing() {
    let mut w = World::new(&[SHOP.to_owned()]);
    w.recorded(1, 1);
    let asked = w.asked("access", 1);
    let id = ask(&mut w, asked);
    let (request, state) = now(&w, &id);
    assert_eq!((state, w.state.duties.all().count()), (RequestState::Fulfilled, 0));
    let [target] = <[_; 1]>::try_from(request.targets).unwrap();
    let RequestAnswer::Held { purposes, until } = target.answer else { panic!("{:?}", target.answer) };
    assert_eq!((purposes, &*target.place.system), (vec!["service".to_owned()], "shop-db"));
    assert!(until.is_some_and(|at| at > w.state.now));
    let nobody = w.asked("access", 9);
    let nobody = ask(&mut w, nobody);
    assert_eq!(now(&w, &nobody).1, RequestState::NothingHeld);
    let other = w.asked("access", 1);
    let other = ask(&mut w, RequestReceived { purposes: vec!["ads".into()], ..other });
    assert_eq!(now(&w, &other).1, RequestState::NothingHeld, "held for no such purpose");
}

#[test]
fn a_restriction_is_ordered_at_once_outlives_a_sweep_and_a_refusal_is_told() {
    let mut w = World::new(&[SHOP.to_owned()]);
    w.recorded(1, 1);
    let asked = w.asked("restrict", 1);
    let id = ask(&mut w, asked);
    w.sweep();
    assert_eq!((now(&w, &id).1, w.order().len()), (RequestState::InProgress, 1), "no rule takes it back");
    w.says("shop-db", AnswerKind::Refused);
    assert_eq!((now(&w, &id).1, w.stand("shop-db")), (RequestState::Refused, Some(Stand::Refused)));
    move_on(&mut w, &id, "lift");
    let (request, state) = now(&w, &id);
    assert_eq!((request.lifted, state), (Some(w.state.now), RequestState::Refused));
}

#[test]
fn what_waits_is_taken_back_when_a_restriction_is_lifted() {
    let mut w = World::new(&[SHOP.replace("mode: enforce", "mode: observe")]);
    w.recorded(1, 1);
    let asked = w.asked("restrict", 1);
    let id = ask(&mut w, asked);
    assert_eq!(w.stand("shop-db"), Some(Stand::Observed));
    move_on(&mut w, &id, "lift");
    assert_eq!(w.stand("shop-db"), Some(Stand::Withdrawn));
    let erasure = w.asked("erase", 1);
    let erasure = ask(&mut w, erasure);
    move_on(&mut w, &erasure, "lift");
    assert_eq!(now(&w, &erasure).0.lifted, None, "there is nothing to lift");
}

#[test]
fn nothing_is_restricted_that_is_erased_by_then() {
    let mut w = World::new(&[SHOP.to_owned()]);
    w.recorded(1, 40);
    w.sweep();
    w.order();
    w.erases("shop-db");
    let asked = w.asked("restrict", 1);
    let id = ask(&mut w, asked);
    assert_eq!((now(&w, &id).1, w.order().len()), (RequestState::NothingHeld, 0));
}

#[test]
fn nothing_is_done_before_it_is_known_who_asks() {
    let mut w = World::new(&[SHOP.to_owned()]);
    w.recorded(1, 1);
    let asked = w.asked("erase", 1);
    let grounds = Some("unlawful".to_owned());
    let id = ask(&mut w, RequestReceived { unverified: true, grounds, ..asked });
    assert_eq!((now(&w, &id).1, w.order().len()), (RequestState::IdentityUnverified, 0));
    move_on(&mut w, &id, "decide");
    assert_eq!(now(&w, &id).1, RequestState::IdentityUnverified, "deciding is not verifying");
    move_on(&mut w, &id, "verify-identity");
    assert_eq!((now(&w, &id).1, w.order().len()), (RequestState::InProgress, 1));
    w.erases("shop-db");
    assert_eq!(now(&w, &id).1, RequestState::Fulfilled);
    move_on(&mut w, &id, "verify-identity");
    assert_eq!(now(&w, &id).1, RequestState::Fulfilled, "once is enough");
}
