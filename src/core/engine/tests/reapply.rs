//! What a restore or a copy job brings back is erased again; a new life is left alone.

use super::world::{SHOP, World, copier};
use crate::obligation::{Cause, Duty, Obligation, Stand};
use crate::record::{AnswerKind, FindingKind, Origin, ReapplyOrdered, Record};
use crate::time::Millis;

fn erased(systems: &[String]) -> World {
    let mut w = World::new(systems);
    w.recorded(1, 40);
    w.recorded(2, 1);
    w.sweep();
    w.order();
    w.erases("shop-db");
    w
}

fn reapply(w: &mut World, since: Millis, system: Option<&str>) {
    let record = ReapplyOrdered {
        id: "ra_1".into(),
        since: since.0,
        system: system.map(str::to_owned),
        restored: system.is_some(),
        by: None,
        at: w.state.now.0,
    };
    w.control(Record::ReapplyOrdered(record));
}

fn verified(w: &World, system: &str) -> Vec<Obligation> {
    let mine = w.state.duties.standing(Stand::Verified).filter(|d| d.place.system == system);
    mine.cloned().collect()
}

#[test]
fn what_was_carried_out_since_is_owed_in_a_new_round_and_nothing_else() {
    let mut w = erased(&[SHOP.to_owned()]);
    let before = w.state.now;
    w.later(Millis::DAY);
    reapply(&mut w, before.plus(1), None);
    assert_eq!(w.stand("shop-db"), Some(Stand::Verified), "older than the restored state");
    reapply(&mut w, before, Some("other"));
    assert_eq!(w.stand("shop-db"), Some(Stand::Verified));
    reapply(&mut w, before, Some("shop-db"));
    let duty = w.duty("shop-db").unwrap();
    assert_eq!(duty.duty, Duty::Delete, "the key rides along");
    assert_eq!((duty.stand, duty.round, &duty.cause), (Stand::Owed, 1, &Cause::Reapply("ra_1".into())));
    assert_eq!(w.order(), ["shop-db"]);
    w.says("shop-db", AnswerKind::Removed);
    assert_eq!(w.state.resurrected["shop-db"], 1, "it was there");
    w.reads("shop-db", FindingKind::Gone);
    assert_eq!(w.stand("shop-db"), Some(Stand::Verified));
}

#[test]
fn a_reapply_that_finds_nothing_counts_no_resurrection() {
    let mut w = erased(&[SHOP.to_owned(), copier("index", "memory", "shop-db", "")]);
    w.order();
    w.erases("index");
    reapply(&mut w, Millis(0), None);
    assert_eq!(w.order(), ["shop-db"]);
    w.says_more("shop-db", |a| (a.kind, a.count) = (AnswerKind::Absent, 0));
    let waiting: Vec<Obligation> = w.state.duties.standing(Stand::Ordered).cloned().collect();
    w.sees("shop-db", &waiting, FindingKind::Gone);
    assert_eq!(w.state.tally.resurrected, 0);
}

#[test]
fn a_row_found_where_it_was_verified_gone_is_erased_again() {
    let mut w = erased(&[SHOP.to_owned()]);
    let gone = verified(&w, "shop-db");
    w.later(Millis::DAY);
    w.sees("shop-db", &gone, FindingKind::Gone);
    assert_eq!(w.stand("shop-db"), Some(Stand::Verified));
    w.sees("shop-db", &gone, FindingKind::Found);
    w.sees("shop-db", &gone, FindingKind::Found);
    assert_eq!((w.stand("shop-db"), w.state.tally.resurrected), (Some(Stand::Owed), 1));
    w.order();
    w.erases("shop-db");
    assert_eq!(w.duty("shop-db").unwrap().round, 1);
}

#[test]
fn a_new_life_at_the_same_place_is_no_resurrection() {
    let mut w = erased(&[SHOP.to_owned()]);
    let gone = verified(&w, "shop-db");
    w.later(Millis::DAY);
    w.told(1, Origin::Create, Some(w.state.now), w.state.now);
    w.sees("shop-db", &gone, FindingKind::Found);
    reapply(&mut w, Millis(0), None);
    assert_eq!(w.state.tally.resurrected, 0);
    assert!(w.order().is_empty(), "{:?}", w.sent.last());
}
