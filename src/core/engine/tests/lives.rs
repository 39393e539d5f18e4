//! Where an old life ends and a new one begins, while nobody knows yet what a command of ours has done.

use super::world::{SHOP, World, item};
use crate::engine::Noticed;
use crate::hold::Scope;
use crate::item::CopyState;
use crate::life::Lives;
use crate::obligation::Stand;
use crate::record::{
    AnswerKind, Change, ChangeKind, Fact, Facts, FindingKind, HoldPlaced, Origin, Record, Shape, ShapeCopy,
};
use crate::time::Millis;

/// Its erasure is out.
fn ordered() -> World {
    let mut w = World::new(&[SHOP.to_owned()]);
    w.recorded(1, 40);
    w.sweep();
    assert_eq!(w.order(), ["shop-db"]);
    w
}

/// Its erasure was sent, and nobody heard what came of it.
fn unanswered() -> World {
    let mut w = ordered();
    w.later(12_000);
    assert_eq!(w.stand("shop-db"), Some(Stand::Failed));
    w
}

fn gone(w: &mut World, at: Millis) {
    let (subject, key) = (Some(item(1).subject.0.to_vec()), Some(item(1).item.0.to_vec()));
    let system = Some("shop-db".to_owned());
    w.changes(Change { subject, item: key, system, ..Change::new(ChangeKind::Gone, at.0) });
}

fn hold(w: &mut World) {
    let placed = HoldPlaced {
        id: "hd_1".into(),
        matter: "m".into(),
        authority: "court".into(),
        reference: None,
        owner: "legal".into(),
        reason: "suit".into(),
        scope: serde_json::to_string(&Scope { all: true, ..Scope::default() }).unwrap(),
        review: "2027-01-01".into(),
        confidential: false,
        allow: Vec::new(),
        by: None,
        at: w.state.now.0,
        asked: None,
    };
    w.control(Record::HoldPlaced(placed));
}

/// The states of the item's copy, life by life.
fn lives(w: &World) -> Vec<CopyState> {
    w.lives[&item(1)].lives.iter().map(|l| l.item.copies[0].state).collect()
}

#[test]
fn what_one_record_says_twice_counts_once() {
    let mut w = World::new(&[SHOP.to_owned()]);
    let copy = ShapeCopy { system: "shop-db".into(), dataset: "shop.users".into(), ..ShapeCopy::default() };
    let shape = Shape { copies: vec![copy.clone(), copy], ..Shape::default() };
    let mut facts = Facts { source: "http".into(), shapes: vec![shape], ..Facts::default() };
    for (n, cells) in [(1, [1, 1]), (2, [2, 2]), (1, [1, 9])] {
        facts.push(&Fact {
            subject: item(n).subject,
            item: item(n).item,
            start: Some(w.state.now),
            shape: 0,
            origin: Origin::Event,
            source_time: w.state.now,
            process: None,
            event_id: [0; 8],
            cells: cells.map(|cell| vec![cell]).to_vec(),
            identity: None,
        });
    }
    w.step(Record::Facts(facts));
    assert_eq!((w.state.alive.items, w.state.alive.copies), (2, 3));
    assert_eq!(w.lives.values().map(Lives::live_copies).sum::<u64>(), 3);
}

#[test]
fn what_its_company_took_away_while_our_command_was_out_is_gone() {
    let mut w = ordered();
    let at = w.state.now;
    gone(&mut w, at);
    assert_eq!(lives(&w), [CopyState::Gone { at }]);
    w.says_more("shop-db", |a| (a.kind, a.may_retry) = (AnswerKind::Failed, true));
    w.later(5_000);
    assert_eq!(w.order(), [""; 0]);
    assert_eq!(w.stand("shop-db"), Some(Stand::Withdrawn));
}

#[test]
fn our_own_answer_says_more_than_the_echo_of_what_we_did() {
    let mut w = ordered();
    let at = w.state.now;
    gone(&mut w, at);
    w.erases("shop-db");
    assert_eq!(w.stand("shop-db"), Some(Stand::Verified));
    assert!(matches!(lives(&w)[..], [CopyState::Erased { verified: Some(_), .. }]), "{:?}", lives(&w));
}

#[test]
fn a_row_that_is_seen_after_it_was_said_to_be_gone_is_there() {
    let mut w = ordered();
    let at = w.state.now.plus(-1);
    gone(&mut w, at);
    w.says("shop-db", AnswerKind::Absent);
    w.reads("shop-db", FindingKind::Found);
    assert_eq!(lives(&w), [CopyState::Live]);
}

#[test]
fn a_held_row_that_goes_is_a_breach_unless_our_command_was_out_for_it() {
    for (out, breaches) in [(true, 0), (false, 1)] {
        let mut w = if out { ordered() } else { unanswered() };
        hold(&mut w);
        let at = w.state.now;
        gone(&mut w, at);
        let found = w.noticed.iter().filter(|n| matches!(n, Noticed::Breach { .. })).count();
        assert_eq!(found, breaches, "out: {out}");
    }
}

#[test]
fn who_comes_back_before_the_answer_is_known_is_left_alone_by_the_next_attempt() {
    for out in [true, false] {
        let mut w = if out { ordered() } else { unanswered() };
        let sent = w.duty("shop-db").unwrap().sent.unwrap();
        w.later(500);
        w.told(1, Origin::Event, Some(w.state.now), w.state.now);
        assert_eq!(lives(&w), [CopyState::Gone { at: sent }, CopyState::Live]);
        w.later(60_000);
        w.later(60_000);
        assert_eq!(w.order(), [""; 0], "out: {out}");
        assert_eq!(w.stand("shop-db"), Some(Stand::Withdrawn));
    }
}

#[test]
fn a_row_put_there_anew_is_a_new_life_whatever_start_its_columns_say() {
    let mut w = unanswered();
    w.told(1, Origin::Create, None, w.state.now);
    assert_eq!(lives(&w).len(), 2);
}

#[test]
fn what_is_told_again_of_the_old_record_is_no_new_life() {
    let mut w = unanswered();
    let start = w.state.now.plus(-40 * Millis::DAY);
    w.told(1, Origin::Event, Some(start), w.state.now);
    assert_eq!(lives(&w), [CopyState::Live]);
    w.later(60_000);
    assert_eq!(w.order(), ["shop-db"]);
}

#[test]
fn a_command_that_surely_did_nothing_ends_no_life() {
    let mut w = ordered();
    w.says_more("shop-db", |a| (a.kind, a.may_retry) = (AnswerKind::Failed, true));
    w.later(500);
    w.told(1, Origin::Event, Some(w.state.now), w.state.now);
    assert_eq!(lives(&w), [CopyState::Live]);
}

#[test]
fn an_old_life_that_nobody_can_look_for_rests_on_what_its_system_said() {
    let mut w = ordered();
    w.says("shop-db", AnswerKind::Removed);
    let duty = w.duty("shop-db").unwrap().clone();
    w.later(500);
    w.told(1, Origin::Event, Some(w.state.now), w.state.now);
    w.reads("shop-db", FindingKind::Found);
    let old = w.state.duties.get(duty.id).unwrap();
    assert_eq!((old.stand, old.confirmed), (Stand::Executed, true));
    assert!(matches!(lives(&w)[..], [CopyState::Erased { .. }, CopyState::Live]), "{:?}", lives(&w));
}

#[test]
fn the_end_of_the_old_life_is_not_that_of_the_new_one() {
    let mut w = ordered();
    w.erases("shop-db");
    w.later(500);
    w.told(1, Origin::Event, Some(w.state.now), w.state.now);
    let earlier = w.state.now.plus(-1);
    gone(&mut w, earlier);
    assert!(matches!(lives(&w)[..], [CopyState::Erased { .. }, CopyState::Live]), "{:?}", lives(&w));
}
