//! What others hear of, each piece once under its number until it is known to have been told.

use super::world::{SHOP, World};
use crate::engine::news::What;
use crate::obligation::Stand;
use crate::record::{AnswerKind, FindingKind, NewsSwitch, NewsTold, Record, RequestReceived};

fn listened_to() -> World {
    let mut w = World::new(&[SHOP.to_owned()]);
    w.control(Record::NewsSwitch(NewsSwitch { on: true, at: 0 }));
    w
}

fn outcomes(w: &World) -> Vec<Stand> {
    let decided = |what: &What| match what {
        What::Decision(told) => Some(told.outcome),
        _ => None,
    };
    w.state.news.waiting().filter_map(|(_, item)| decided(&item.what)).collect()
}

fn erase(w: &mut World) {
    let asked = w.asked("erase", 1);
    w.step(Record::RequestReceived(RequestReceived { grounds: Some("unlawful".into()), ..asked }));
}

#[test]
fn nothing_is_kept_where_nobody_listens() {
    let mut w = World::new(&[SHOP.to_owned()]);
    w.recorded(1, 1);
    erase(&mut w);
    assert!(w.state.news.is_empty());
}

#[test]
fn a_request_is_heard_of_from_its_taking_in_to_what_was_verified() {
    let mut w = listened_to();
    w.recorded(1, 1);
    erase(&mut w);
    let suppressed = |w: &World| {
        let all = w.state.news.waiting().filter(|(_, i)| matches!(i.what, What::Suppression { .. }));
        all.count()
    };
    assert_eq!((suppressed(&w), outcomes(&w)), (1, vec![Stand::Owed]));
    w.order();
    w.says("shop-db", AnswerKind::Removed);
    w.reads("shop-db", FindingKind::Gone);
    assert_eq!(outcomes(&w), [Stand::Owed, Stand::Executed, Stand::Verified]);
    assert_eq!(suppressed(&w), 1);
}

#[test]
fn what_was_told_is_let_go_and_numbers_never_come_again() {
    let mut w = listened_to();
    w.recorded(1, 1);
    erase(&mut w);
    let numbers = |w: &World| w.state.news.waiting().map(|(n, _)| n).collect::<Vec<u64>>();
    assert_eq!(numbers(&w), [1, 2]);
    w.step(Record::NewsTold(NewsTold { up_to: 1 }));
    assert_eq!(numbers(&w), [2]);
    // Told twice, as after a crash.
    w.step(Record::NewsTold(NewsTold { up_to: 1 }));
    w.step(Record::NewsTold(NewsTold { up_to: 2 }));
    assert!(w.state.news.is_empty());
    w.order();
    w.says("shop-db", AnswerKind::Removed);
    assert_eq!(numbers(&w), [3]);
}
