//! Identities of one person: what concerns one concerns all, wherever they live.

use super::world::{SHOP, World, item};
use crate::hold::Scope;
use crate::obligation::Stand;
use crate::record::{
    Change, ChangeKind, Changes, Delivered, Forwarded, Record, RequestMoved, RequestReceived,
};
use crate::request::RequestState;

/// Delivers every letter of either world to the one that the receiver lives in: odd identities in the first.
fn post(worlds: &mut [World; 2], repeat: bool) {
    for _ in 0..50 {
        let mut carried = false;
        for from in 0..2 {
            for (number, letter) in worlds[from].state.outbox.clone() {
                let to = usize::from(letter.to.0[0] % 2 == 0);
                let record = Forwarded {
                    from_partition: i32::try_from(from).unwrap(),
                    from_offset: i64::try_from(number).unwrap(),
                    subject: letter.to.0.to_vec(),
                    schema: 0,
                    body: Vec::new(),
                };
                for _ in 0..=usize::from(repeat) {
                    worlds[to].take(Record::Forwarded(record.clone()), Some(letter.record.clone()));
                }
                let up_to = record.from_offset;
                worlds[from].step(Record::Delivered(Delivered { up_to }));
                carried = true;
            }
        }
        if !carried {
            return;
        }
    }
    panic!("the letters never end");
}

fn worlds() -> [World; 2] {
    [World::new(&[SHOP.to_owned()]), World::new(&[SHOP.to_owned()])]
}

fn link(world: &mut World, subject: u8, also: &[u8]) {
    let linked = also.iter().flat_map(|n| item(*n).subject.0).collect();
    change(world, subject, Change { linked: Some(linked), ..Change::new(ChangeKind::Linked, 0) });
}

fn change(world: &mut World, subject: u8, change: Change) {
    let rows = vec![Change { subject: Some(item(subject).subject.0.to_vec()), ..change }];
    world.step(Record::Changes(Changes { source: "http".into(), rows, ..Changes::default() }));
}

fn erase(world: &mut World, n: u8) -> String {
    let asked = world.asked("erase", n);
    let id = asked.id.clone();
    world.step(Record::RequestReceived(RequestReceived { grounds: Some("unlawful".into()), ..asked }));
    id
}

fn members(world: &World, n: u8) -> Vec<u8> {
    let links = world.state.control.links.get(&item(n).subject);
    links.into_iter().flatten().map(|key| key.0[0]).collect()
}

#[test]
fn every_partition_learns_the_whole_set_and_repeats_change_nothing() {
    let mut w = worlds();
    link(&mut w[0], 1, &[2]);
    link(&mut w[0], 1, &[4]);
    link(&mut w[0], 3, &[5]);
    post(&mut w, true);
    link(&mut w[0], 1, &[3]);
    post(&mut w, true);
    // Two sets, each with a claim of its own, meet in one that says both are one person's.
    assert_eq!(members(&w[1], 2), [1, 3, 4, 5]);
    assert_eq!(members(&w[0], 5), [1, 2, 3, 4]);
    assert!(w.iter().all(|w| w.state.outbox.is_empty()));
}

#[test]
fn a_hold_on_one_identity_may_concern_what_lies_under_the_others_and_nobody_else() {
    let mut w = worlds();
    link(&mut w[0], 1, &[2]);
    post(&mut w, false);
    let scope = Scope { subjects: [item(1).subject.0].into(), ..Scope::default() };
    let may = |scope: &Scope, n: u8| w[1].state.control.may_concern(scope, &item(n).subject);
    assert_eq!([1, 2, 4].map(|n| may(&scope, n)), [true, true, false]);
    let anybody = Scope { systems: ["shop-db".to_owned()].into(), ..Scope::default() };
    assert!(may(&anybody, 4));
}

#[test]
fn a_request_on_one_identity_erases_what_lies_under_the_others() {
    let mut w = worlds();
    w[0].recorded(1, 1);
    w[1].recorded(2, 1);
    w[0].recorded(3, 1);
    link(&mut w[0], 1, &[2, 3]);
    post(&mut w, false);
    let id = erase(&mut w[0], 1);
    post(&mut w, true);
    assert_eq!(w[0].order().len(), 2, "two of them live in the same partition");
    assert_eq!(w[1].order(), ["shop-db"]);
    w[1].erases("shop-db");
    let part = &w[1].state.requests[&id];
    assert!(part.passed_on);
    assert_eq!(part.state(|id| w[1].state.duties.get(id)), RequestState::Fulfilled);
}

#[test]
fn an_identity_that_is_linked_later_is_included_while_the_request_is_open() {
    let mut w = worlds();
    w[0].recorded(1, 1);
    w[1].recorded(2, 1);
    let id = erase(&mut w[0], 1);
    post(&mut w, false);
    assert!(w[1].state.requests.is_empty());
    link(&mut w[0], 1, &[2]);
    post(&mut w, false);
    assert!(w[1].state.requests.contains_key(&id));
    assert_eq!(w[1].order(), ["shop-db"]);
}

#[test]
fn a_withdrawal_holds_for_all_and_also_for_who_is_linked_later() {
    let mut w = worlds();
    let withdrawn = |w: &World, n: u8| w.subjects[&item(n).subject].consent.withdrawn.contains_key("ads");
    link(&mut w[0], 1, &[2]);
    post(&mut w, false);
    let name = Some("ads".to_owned());
    change(&mut w[0], 1, Change { name, ..Change::new(ChangeKind::Withdrawn, 7) });
    post(&mut w, false);
    assert!(withdrawn(&w[1], 2));
    link(&mut w[0], 1, &[4]);
    post(&mut w, false);
    assert!(withdrawn(&w[1], 4));
}

#[test]
fn a_hold_on_a_person_holds_for_every_identity() {
    let mut w = worlds();
    w[1].recorded(2, 40);
    link(&mut w[0], 1, &[2]);
    post(&mut w, false);
    let key = data_encoding::HEXLOWER.encode(&item(1).subject.0);
    let hold = super::derived::hold(&format!("{{\"subjects\":[\"{key}\"]}}"));
    w[1].control(Record::HoldPlaced(hold));
    assert_eq!(w[1].state.covered["hd_1"].items, 1);
    w[1].sweep();
    assert_eq!(w[1].stand("shop-db"), Some(Stand::Blocked));
}

#[test]
fn an_identity_that_two_persons_claim_waits_for_a_person() {
    let mut w = worlds();
    w[0].recorded(1, 1);
    link(&mut w[0], 1, &[2]);
    post(&mut w, false);
    link(&mut w[0], 3, &[2]);
    post(&mut w, false);
    assert_eq!(members(&w[1], 2), [1], "the second claim joins nobody");
    let id = erase(&mut w[0], 1);
    let request = &w[0].state.requests[&id];
    assert_eq!(request.state(|_| None), RequestState::RequiresInput);
    assert!(w[0].order().is_empty());
    w[0].step(Record::RequestMoved(RequestMoved {
        id: id.clone(),
        subject: item(1).subject.0.to_vec(),
        verb: "decide".into(),
        purposes: Vec::new(),
        decision: Some("end".into()),
        until: None,
        reason: None,
        by: None,
    }));
    assert_eq!(w[0].order(), ["shop-db"]);
    // Later somebody says that both are one.
    link(&mut w[0], 1, &[3]);
    post(&mut w, false);
    assert_eq!((members(&w[1], 2), w[1].state.contested.len()), (vec![1, 3], 0));
    assert!(w[0].state.doubts.is_empty(), "{:?}", w[0].state.doubts);
}

#[test]
fn a_set_beyond_its_limit_waits_for_a_person() {
    let mut w = worlds();
    w[0].control(Record::LinkLimit(crate::record::LinkLimit { max: 2, at: 0 }));
    link(&mut w[0], 1, &[2, 4]);
    post(&mut w, false);
    let id = erase(&mut w[0], 1);
    assert_eq!(w[0].state.requests[&id].waits.as_deref(), Some("too_many_linked"));
}
