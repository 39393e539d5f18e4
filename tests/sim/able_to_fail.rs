//! Each check, handed what breaks it: none of them says yes to everything.

use std::collections::BTreeSet;

use quietus::audit::Chain;
use quietus::ledger::Stream;
use quietus_core::engine::{Decision, Slice};
use quietus_core::obligation::ObligationId;
use quietus_core::record::{Frame, Record, Tick};

use crate::invariants::{self, Checked};
use crate::ledger::Plain;
use crate::world::World;

fn breaks(invariant: u8, checked: Checked) {
    assert_eq!(checked.unwrap_err().invariant, invariant);
}

#[test]
fn one_finds_what_goes_under_a_hold_or_too_late() {
    invariants::one_under_hold(&[], "sent").unwrap();
    breaks(1, invariants::one_under_hold(&["hd_1".to_owned()], "sent"));
    invariants::one_in_time(Some(10), 10).unwrap();
    breaks(1, invariants::one_in_time(Some(10), 11));
    breaks(1, invariants::one_in_time(None, 11));
}

#[test]
fn two_finds_what_a_purpose_or_a_law_still_keeps() {
    invariants::two_not_early(5, 5, 5).unwrap();
    breaks(2, invariants::two_not_early(6, 0, 5));
    breaks(2, invariants::two_not_early(0, 6, 5));
}

#[test]
fn three_finds_what_is_over_and_lies_there() {
    invariants::three_gone_in_the_end(true, true, true).unwrap();
    invariants::three_gone_in_the_end(false, false, true).unwrap();
    breaks(3, invariants::three_gone_in_the_end(true, false, true));
}

#[test]
fn four_finds_a_lost_event_and_a_repeat_that_does_something() {
    let acknowledged = BTreeSet::from([1, 2]);
    invariants::four_nothing_lost(&acknowledged, &|_| true).unwrap();
    breaks(4, invariants::four_nothing_lost(&acknowledged, &|id| id == 1));
    breaks(4, invariants::four_repeats_change_nothing(&[0; 32], &[1; 32], "Confirmed"));
}

#[test]
fn five_finds_a_new_life_erased_for_the_old_one() {
    invariants::five_new_life_left_alone(2, 2).unwrap();
    breaks(5, invariants::five_new_life_left_alone(1, 2));
}

#[test]
fn corrections_that_bring_back_overtake_or_are_lost_are_found() {
    invariants::five_nothing_comes_back(false, "a row").unwrap();
    breaks(5, invariants::five_nothing_comes_back(true, "a row"));
    invariants::five_fenced(true, 0, "sent").unwrap();
    breaks(5, invariants::five_fenced(false, 0, "sent"));
    breaks(5, invariants::five_fenced(true, 1, "sent"));
    invariants::four_corrected_in_the_end("new", "new").unwrap();
    breaks(4, invariants::four_corrected_in_the_end("new", "old"));
}

#[test]
fn six_finds_a_replay_that_differs() {
    breaks(6, invariants::six_same_again(&[0; 32], &[1; 32], "state"));
}

#[test]
fn seven_finds_a_chain_that_does_not_verify() {
    let mut chain = Chain::new(0, b"salt");
    for due in 0..5 {
        let slice = Slice { due, ..Slice::default() };
        chain.add(due, b"frame", &[Decision::Swept { sweep: "sw_1".to_owned(), slice }]);
    }
    let good = chain.entries().to_vec();
    (0..5).for_each(|at| invariants::seven_chain_tells(&good, chain.head(), at).unwrap());
    let mut changed = good.clone();
    changed[2].root[0] ^= 1;
    breaks(7, invariants::seven_chain_tells(&changed, chain.head(), 0));
    breaks(7, invariants::seven_chain_tells(&good[..4], chain.head(), 0));
}

#[test]
fn eight_finds_what_nobody_saw() {
    breaks(8, invariants::eight_seen_gone(ObligationId([7; 16]), false));
}

#[test]
fn nine_finds_an_identity_in_clear() {
    let sealed: &[u8] = b"nothing of anybody";
    invariants::nine_no_plaintext(&["anna.1.secret"], std::iter::once(sealed)).unwrap();
    let open: &[u8] = b"xx anna.1.secret xx";
    breaks(9, invariants::nine_no_plaintext(&["anna.1.secret"], [sealed, open].into_iter()));
}

#[test]
fn ten_finds_what_a_lagging_source_would_have_kept() {
    breaks(10, invariants::ten_not_early_by_the_truth(false));
}

/// A world that has lived for a while.
fn lived() -> World {
    let mut world = World::new(3, crate::stored::Stored::Memory);
    for _ in 0..400 {
        world.step().unwrap();
    }
    world
}

#[test]
fn a_row_that_vanishes_by_no_command_is_noticed() {
    let mut world = lived();
    let (system, item) = *world.company.rows.keys().next().unwrap();
    let record = &world.company.items[&item];
    let locator = crate::company::locator(&record.key);
    world.sites[&system].connector.remove(&record.kind.dataset(system), &locator);
    breaks(2, world.end());
}

#[test]
fn a_ledger_that_loses_what_was_synced_is_noticed() {
    let mut world = lived();
    while world.company.acknowledged.is_empty() || !world.company.outbox.is_empty() {
        world.post();
        world.sync();
        world.pass(1_000);
        world.tick_all();
    }
    world.read_all().unwrap();
    world.ledger.lose_everything_of(Stream::Partition(0));
    let lost = world.crash().and_then(|()| world.end());
    breaks(4, lost);
}

#[test]
fn an_identity_that_gets_into_the_ledger_is_noticed() {
    let mut world = lived();
    let trace = Some(world.company.people[0].clone());
    let frame = Frame::of(vec![Record::Tick(Tick { now: 0 })]).traced(trace);
    world.ledger.append(Stream::Partition(0), &frame, Plain::Nothing);
    breaks(9, world.end());
}
