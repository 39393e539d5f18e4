//! What failed is tried again as long as trying may help.

use super::world::{SHOP, World};
use crate::obligation::Stand;
use crate::record::AnswerKind;
use crate::time::Millis;

const REFERRED_TO: &str = "constraint: shop.users: other rows still refer to this one";

fn refused(w: &mut World, why: &str) {
    w.says_more("shop-db", |a| {
        (a.kind, a.may_retry, a.detail) = (AnswerKind::Failed, true, Some(why.to_owned()));
    });
}

/// Tries until nothing goes out any more; how often that was.
fn tries(w: &mut World, why: &str) -> usize {
    for tried in 0..20 {
        if w.order().is_empty() {
            return tried;
        }
        refused(w, why);
        w.later(2 * Millis::MINUTE);
    }
    panic!("it is tried for ever");
}

#[test]
fn what_others_refer_to_is_given_up_soon_and_owed_again_at_the_next_sweep() {
    let mut w = World::new(&[SHOP.to_owned()]);
    w.recorded(1, 40);
    w.sweep();
    assert_eq!(tries(&mut w, REFERRED_TO), 3);
    let duty = w.duty("shop-db").unwrap();
    assert_eq!((duty.stand, duty.may_retry), (Stand::Failed, false));
    assert_eq!(duty.detail.as_deref(), Some(REFERRED_TO), "the cause is told");
    w.sweep();
    assert_eq!(w.order(), ["shop-db"]);
    w.erases("shop-db");
    assert_eq!(w.stand("shop-db"), Some(Stand::Verified));
}

#[test]
fn it_goes_on_while_others_of_its_system_are_on_their_way() {
    let mut w = World::new(&[SHOP.to_owned()]);
    w.recorded(1, 40);
    w.recorded(2, 40);
    w.sweep();
    // The first of two is never sent: it may be what the other waits for.
    let parent = w.state.duties.standing(Stand::Owed).last().unwrap().clone();
    for tried in 1..=6 {
        let duty = w.state.duties.get(parent.id).unwrap().clone();
        assert_eq!(duty.stand, Stand::Owed, "after {tried} tries");
        w.order_one(&duty);
        refused(&mut w, REFERRED_TO);
        w.later(2 * Millis::MINUTE);
    }
}

#[test]
fn what_time_may_mend_is_tried_eight_times() {
    let mut w = World::new(&[SHOP.to_owned()]);
    w.recorded(1, 40);
    w.sweep();
    assert_eq!(tries(&mut w, "timeout: another transaction holds the row"), 8);
}
