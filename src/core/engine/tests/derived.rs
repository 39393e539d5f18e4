//! Derived copies: there because a manifest says so, and gone in the right order.

use super::world::{SHOP, World, copier, item};
use crate::engine::Noticed;
use crate::life::Life;
use crate::obligation::Stand;
use crate::record::{AnswerKind, FindingKind, HoldPlaced, Origin, Record};
use crate::time::Millis;

fn world(copiers: &[String]) -> World {
    let mut systems = vec![SHOP.to_owned()];
    systems.extend(copiers.iter().cloned());
    World::new(&systems)
}

fn life(world: &World, n: u8) -> Life {
    let mut life = world.lives[&item(n)].newest().unwrap().clone();
    world.state.control.complete(&mut life);
    life
}

fn copies(world: &World) -> Vec<String> {
    life(world, 1).item.copies.iter().map(|c| format!("{} {}", c.system, c.dataset)).collect()
}

#[test]
fn a_copy_of_a_copy_is_a_copy_and_each_system_holds_one() {
    let mut w = world(&[copier("index", "memory", "shop-db", ""), copier("replica", "memory", "index", "")]);
    w.recorded(1, 1);
    assert_eq!(copies(&w), ["shop-db shop.users", "index shop.users", "replica shop.users"]);
    let life = life(&w, 1);
    let [origin, index, replica] = &life.item.copies[..] else { panic!("{life:?}") };
    assert_eq!((&origin.categories, &origin.purposes), (&replica.categories, &replica.purposes));
    assert!(!origin.derived && index.derived && replica.derived);
    assert_eq!(origin.cell, replica.cell);
}

#[test]
fn what_was_copied_goes_after_its_origin() {
    let mut w = world(&[copier("index", "memory", "shop-db", "")]);
    w.recorded(1, 40);
    w.sweep();
    assert_eq!(w.order(), ["shop-db"]);
    // A dispatcher that does not keep the order is stopped.
    let early = w.duty("index").unwrap().clone();
    w.order_one(&early);
    assert_eq!(w.stand("index"), Some(Stand::Owed));
    w.says("shop-db", AnswerKind::Removed);
    assert_eq!(w.order(), ["index"]);
    assert!(!life(&w, 1).is_ended(), "its copy lives on");
    w.erases("index");
    assert_eq!(w.stand("index"), Some(Stand::Verified));
    assert!(life(&w, 1).is_ended());
}

#[test]
fn a_cache_that_is_away_keeps_its_origin_waiting_for_a_minute_only() {
    let mut w = world(&[copier("cache", "redis", "shop-db", "")]);
    w.recorded(1, 40);
    w.sweep();
    let origin = w.duty("shop-db").unwrap().clone();
    w.order_one(&origin);
    assert_eq!(w.stand("shop-db"), Some(Stand::Owed));
    w.later(61_000);
    w.order_one(&origin);
    assert_eq!(w.stand("shop-db"), Some(Stand::Ordered));
}

#[test]
fn a_cache_goes_before_and_once_more_after_its_origin() {
    let mut w = world(&[copier("cache", "redis", "shop-db", "")]);
    w.recorded(1, 40);
    w.sweep();
    assert_eq!(w.order(), ["cache"]);
    w.says("cache", AnswerKind::Removed);
    w.reads("cache", FindingKind::Gone);
    assert_eq!(w.stand("cache"), Some(Stand::Owed), "a reader may fill it again: nothing is verified yet");
    assert_eq!(w.order(), ["shop-db"]);
    w.says("shop-db", AnswerKind::Removed);
    assert_eq!(w.order(), ["cache"]);
    w.says("cache", AnswerKind::Absent);
    w.reads("cache", FindingKind::Gone);
    assert_eq!((w.stand("cache"), w.duty("cache").unwrap().attempt), (Some(Stand::Verified), 2));
}

#[test]
fn a_cache_that_is_down_does_not_keep_the_store_waiting() {
    let mut w = world(&[copier("cache", "redis", "shop-db", "")]);
    w.recorded(1, 40);
    w.sweep();
    w.order();
    w.says_more("cache", |a| (a.kind, a.may_retry) = (AnswerKind::Failed, true));
    assert_eq!(w.order(), ["shop-db"]);
    w.erases("shop-db");
    w.later(60_000);
    assert_eq!(w.order(), ["cache"]);
    w.erases("cache");
    assert_eq!((w.stand("cache"), w.duty("cache").unwrap().evicted), (Some(Stand::Verified), false));
}

#[test]
fn a_cache_erased_while_a_law_kept_its_origin_is_erased_again_with_it() {
    let mut w = world(&[copier("cache", "redis", "shop-db", "")]);
    w.recorded(1, 40);
    w.control(Record::HoldPlaced(hold("{\"systems\":[\"shop-db\"]}")));
    w.sweep();
    assert_eq!(w.stand("shop-db"), Some(Stand::Blocked));
    assert_eq!(w.order(), ["cache"]);
    w.erases("cache");
    assert_eq!(w.stand("cache"), Some(Stand::Verified));
    let released = crate::record::HoldReleased { id: "hd_1".into(), by: None, reason: None, at: 0 };
    w.control(Record::HoldReleased(released));
    w.sweep();
    assert_eq!(w.order(), ["shop-db"]);
    w.erases("shop-db");
    assert_eq!((w.stand("cache"), w.duty("cache").unwrap().round), (Some(Stand::Owed), 1));
    assert!(w.noticed.is_empty(), "nothing came back: {:?}", w.noticed);
}

pub fn hold(scope: &str) -> HoldPlaced {
    HoldPlaced {
        id: "hd_1".into(),
        matter: "m".into(),
        authority: "court".into(),
        reference: None,
        owner: "legal".into(),
        reason: "suit".into(),
        scope: scope.into(),
        review: "2030-01-01".into(),
        confidential: false,
        allow: Vec::new(),
        by: None,
        at: 0,
        asked: None,
    }
}

#[test]
fn a_hold_on_a_person_covers_what_was_copied() {
    let mut w = world(&[copier("index", "memory", "shop-db", "")]);
    w.recorded(1, 40);
    w.control(Record::HoldPlaced(hold("{\"all\":true}")));
    assert_eq!(w.state.covered["hd_1"].copies(), 2);
    w.sweep();
    assert_eq!((w.stand("shop-db"), w.stand("index")), (Some(Stand::Blocked), Some(Stand::Blocked)));
}

#[test]
fn observing_is_each_systems_own_choice() {
    let index = copier("index", "memory", "shop-db", "").replace("enforce", "observe");
    let mut w = world(&[index]);
    w.recorded(1, 40);
    w.sweep();
    assert_eq!(w.order(), ["shop-db"]);
    w.erases("shop-db");
    assert_eq!(w.stand("index"), Some(Stand::Observed));
    assert!(!life(&w, 1).is_ended());
}

#[test]
fn a_copy_that_was_never_made_is_none() {
    let mut w = world(&[copier("index", "memory", "shop-db", "")]);
    w.recorded(1, 40);
    w.sweep();
    w.order();
    w.erases("shop-db");
    w.order();
    w.says("index", AnswerKind::Absent);
    w.reads("index", FindingKind::Gone);
    assert_eq!(w.stand("index"), Some(Stand::Verified));
}

#[test]
fn a_customer_who_comes_back_before_a_partner_has_answered_keeps_the_new_life() {
    let mut w = world(&[copier("partner", "memory", "shop-db", "")]);
    w.recorded(1, 40);
    w.sweep();
    w.order();
    w.erases("shop-db");
    w.later(5_000);
    w.told(1, Origin::Create, Some(w.state.now), w.state.now);
    assert!(matches!(w.noticed[..], [Noticed::Reborn { generation: 2, .. }]), "{:?}", w.noticed);
    // What lies at the partner under the same key now is the new life's.
    assert!(w.order().is_empty());
    assert_eq!(w.stand("partner"), Some(Stand::Withdrawn));
}

#[test]
fn a_system_registered_later_brings_no_item_back_that_had_ended() {
    let mut w = world(&[]);
    w.recorded(1, 40);
    w.sweep();
    w.order();
    w.erases("shop-db");
    w.register(&copier("index", "memory", "shop-db", ""));
    assert!(life(&w, 1).is_ended());
    w.later(Millis::DAY);
    w.sweep();
    assert_eq!(w.stand("index"), None);
}

#[test]
fn a_row_that_comes_back_makes_its_copies_owed_too() {
    let mut w = world(&[copier("index", "memory", "shop-db", "")]);
    w.recorded(1, 40);
    let start = w.state.now.plus(-40 * Millis::DAY);
    w.sweep();
    w.order();
    w.erases("shop-db");
    w.order();
    w.erases("index");
    w.later(5_000);
    w.told(1, Origin::Scan, Some(start), w.state.now);
    assert_eq!(w.state.tally.resurrected, 1);
    assert_eq!(w.order(), ["shop-db"]);
    w.erases("shop-db");
    assert_eq!(w.order(), ["index"]);
}
