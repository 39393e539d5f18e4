//! Systems that know people and not records are told when nothing of the person is to be kept there any more.

use super::world::{SHOP, World, item};
use crate::hold::Scope;
use crate::identity::{ItemId, ItemKey};
use crate::obligation::{Block, Stand};
use crate::record::{HoldPlaced, Origin, Record};
use crate::time::Millis;

const ARCHIVE: &str = "system: archive
kind: files
mode: enforce
connection: {url: \"file:///tmp\"}
copies_of: [{system: shop-db}]
files: [{path: \"*.jsonl\", format: jsonl, match: {customer: customer_id}}]
";

/// Another item of the first one's person.
fn second() -> ItemId {
    ItemId { item: ItemKey([2; 16]), ..item(1) }
}

/// One item is over, the other was recorded yesterday; the row of the first is gone.
fn one_of_two() -> World {
    let mut w = World::new(&[SHOP.to_owned(), ARCHIVE.to_owned()]);
    w.recorded(1, 40);
    let yesterday = w.state.now.plus(-Millis::DAY);
    w.put(second(), Origin::Event, Some(yesterday), yesterday);
    w.sweep();
    assert_eq!(w.order(), ["shop-db"]);
    w.erases("shop-db");
    w
}

#[test]
fn what_else_is_kept_keeps_the_person() {
    let mut w = one_of_two();
    assert_eq!(w.order(), [""; 0], "the archive would lose the second item's lines too");
    let Some(Block::Others { until: Some(until) }) = w.duty("archive").unwrap().block else {
        panic!("{:?}", w.duty("archive"))
    };
    let left = until.0 - w.state.now.0;
    assert!((28 * Millis::DAY..31 * Millis::DAY).contains(&left), "{until}");
    assert_eq!(w.stand("archive"), Some(Stand::Blocked));
}

#[test]
fn the_last_one_takes_the_person_along() {
    let mut w = one_of_two();
    w.order();
    w.later(31 * Millis::DAY);
    w.sweep();
    assert_eq!(w.order(), ["archive", "shop-db"], "nothing of the person is kept any more");
    w.erases("shop-db");
    assert_eq!(w.order(), ["archive"]);
}

#[test]
fn a_hold_on_another_item_keeps_the_person() {
    let mut w = World::new(&[SHOP.to_owned(), ARCHIVE.to_owned()]);
    w.recorded(1, 40);
    w.put(second(), Origin::Event, Some(w.state.now.plus(-40 * Millis::DAY)), w.state.now);
    let scope = Scope { items: [second().item.0].into(), ..Scope::default() };
    let placed = HoldPlaced {
        id: "hd_1".into(),
        matter: "m".into(),
        authority: "court".into(),
        reference: None,
        owner: "legal".into(),
        reason: "suit".into(),
        scope: serde_json::to_string(&scope).unwrap(),
        review: "2027-01-01".into(),
        confidential: false,
        allow: Vec::new(),
        by: None,
        at: w.state.now.0,
        asked: None,
    };
    w.control(Record::HoldPlaced(placed));
    w.sweep();
    assert_eq!(w.order(), ["shop-db"]);
    w.erases("shop-db");
    assert_eq!(w.order(), [""; 0]);
}
