//! The simulation: several partitions, crashes, faults and people's decisions, one seed after the other, held against
//! a naive reference model.
//!
//! `QUIETUS_SIM_SEEDS=300 cargo test --test sim`; a failing seed prints how to run it alone. Seed in, history out: a
//! seed gives the same history byte for byte, wherever it runs.
//!
//! | invariant | checked where |
//! |---|---|
//! | 1 | at every command let go, at every row that changes (`invariants`, `calls`) |
//! | 2 | at every command let go; no row changes but by a command, to the end (`calls`, `ending`) |
//! | 3 | at the end, copy by copy (`ending`) |
//! | 4 | at every frame that is read twice; at the end, event by event, item by item and correction by correction |
//! | 5 | at every row that changes: new lives, nothing set that was gone (`calls`); at every command let go: one at a time |
//! | 6, 7 | at every crash and at the end; the same seed twice by `twice` |
//! | 8 | at every frame that says verified, by a look of the harness's own |
//! | 9 | at the end, every byte of the ledger |
//! | 10 | at every sweep, and at every command let go by what its sources have yet to deliver |
#![expect(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test says what is wrong by panicking"
)]

mod able_to_fail;
mod acts;
mod amends;
mod calls;
mod comeback;
mod company;
mod decrees;
mod ending;
mod history;
mod invariants;
mod late_news;
mod ledger;
mod model;
mod news;
mod node;
mod plain;
mod reading;
mod rules;
mod stored;
mod trouble;
mod world;

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use node::Taking;
use stored::Stored;
use world::World;

/// Without `QUIETUS_SIM_SEEDS`.
const SEEDS: u64 = 60;

/// What a seed came to: the hash of its history, or what it broke.
fn run(seed: u64) -> Result<String, String> {
    run_on(seed, Stored::of(seed))
}

fn run_on(seed: u64, stored: Stored) -> Result<String, String> {
    let mut world = World::new(seed, stored);
    let steps = world.rng.usize(200..900);
    let lived = catch_unwind(AssertUnwindSafe(|| {
        if seed.is_multiple_of(8) {
            world.late_news()?;
        }
        if seed % 8 == 4 {
            world.comeback()?;
        }
        if seed % 8 == 2 {
            world.amends()?;
        }
        for _ in 0..steps {
            world.step()?;
        }
        world.end()
    }));
    let what = match lived {
        Ok(Ok(())) => return Ok(world.history.hash()),
        Ok(Err(broken)) => format!("breaks invariant {}: {}", broken.invariant, broken.what),
        Err(_) => "panics".to_owned(),
    };
    let tail = world.history.tail(40);
    Err(format!(
        "{tail}\nseed {seed} {what}\nalone: QUIETUS_SIM_SEED={seed} cargo test --test sim seeds -- --nocapture\n"
    ))
}

fn number(variable: &str) -> Option<u64> {
    let value = std::env::var(variable).ok()?;
    Some(value.parse().unwrap_or_else(|_| panic!("{variable} takes a number, not {value:?}")))
}

/// Runs seeds on two threads; the first that breaks a promise ends it.
fn run_all(seeds: std::ops::RangeInclusive<u64>) -> Result<(), String> {
    let (next, stop) = (AtomicU64::new(*seeds.start()), AtomicBool::new(false));
    let work = || {
        while !stop.load(Ordering::Relaxed) {
            let seed = next.fetch_add(1, Ordering::Relaxed);
            if !seeds.contains(&seed) {
                break;
            }
            if let Err(broken) = run(seed) {
                stop.store(true, Ordering::Relaxed);
                return Err(broken);
            }
        }
        Ok(())
    };
    std::thread::scope(|scope| {
        let other = scope.spawn(work);
        let mine = work();
        mine.and(other.join().unwrap())
    })
}

#[test]
fn seeds() {
    let seeds = match number("QUIETUS_SIM_SEED") {
        Some(seed) => seed..=seed,
        None => 1..=number("QUIETUS_SIM_SEEDS").unwrap_or(SEEDS),
    };
    if let Err(broken) = run_all(seeds) {
        panic!("{broken}");
    }
}

/// With one check taken out of the program, the seeds must break a promise.
#[cfg(debug_assertions)]
#[test]
fn a_check_taken_out_is_found() {
    for check in ["watermark", "not_after", "hold", "ahead"] {
        let sabotaged = std::process::Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "seeds"])
            .env("QUIETUS_SABOTAGE", check)
            .env("QUIETUS_SIM_SEEDS", "300")
            .output()
            .unwrap();
        let told = String::from_utf8_lossy(&sabotaged.stdout);
        let broken = told.lines().find(|line| line.contains(" breaks invariant "));
        println!("without {check}: {}", broken.unwrap_or("nothing was noticed"));
        assert!(!sabotaged.status.success() && broken.is_some(), "without {check}: {told}");
    }
}

#[test]
fn both_stores_give_the_same_history() {
    for seed in 201..=206 {
        assert_eq!(run_on(seed, Stored::Memory), run_on(seed, Stored::disk()), "seed {seed}");
    }
}

#[test]
fn the_end_of_evidence_forgets_the_same_wherever_it_lies_and_after_any_crash() {
    let mut forgotten = 0;
    for seed in 301..=320 {
        let [in_memory, on_disk] = [Stored::Memory, Stored::disk()].map(|stored| {
            let mut world = World::new(seed, stored);
            (0..300).for_each(|_| world.step().unwrap());
            world.end().unwrap();
            world.pass(1_000);
            world.tick_all();
            world.copy_all().unwrap();
            let before = world.items_known();
            world.end_evidence();
            world.copy_all().unwrap();
            let after = world.items_known();
            // From the store, and what it lacks from the ledger; nothing is flushed between, or everything.
            world.crash().unwrap();
            assert_eq!(world.items_known(), after, "seed {seed}");
            (before - after, world.digests())
        });
        assert_eq!(in_memory, on_disk, "seed {seed}");
        forgotten += in_memory.0;
    }
    assert!(forgotten > 4, "{forgotten} items were forgotten");
}

#[test]
fn what_was_given_up_is_missed_by_nobody() {
    let mut world = World::new(9, Stored::disk());
    let lives = |world: &mut World| (0..300).for_each(|_| world.step().unwrap());
    for _ in 0..3 {
        lives(&mut world);
        world.read_all().unwrap();
        world.give_up();
    }
    lives(&mut world);
    let count = u32::try_from(world.node.partitions.len()).unwrap();
    let given_up = (0..count).map(|p| world.ledger.given_up(quietus::ledger::Stream::Partition(p)));
    assert!(given_up.sum::<u64>() > 0);
    let before: Vec<u64> = world.node.partitions.iter().map(|p| p.applied()).collect();
    world.node.partitions.iter().for_each(|p| world.node.stored.suspect(p));
    world.crash().unwrap();
    let back = world.node.partitions.iter().map(|p| p.snapshots().last().map_or(0, |s| s.applied));
    assert!(back.zip(before).any(|(back, before)| 0 < back && back < before), "nothing was read again");
    world.end().unwrap();
}

#[test]
fn a_crash_at_any_point_of_a_snapshot_is_missed_by_nobody() {
    let mut world = World::new(10, Stored::disk());
    let count = world.node.partitions.len();
    let is_there = |world: &World, points: usize| {
        world.node.snapshots.iter().all(|taking| match taking {
            Taking::Nothing => false,
            Taking::Begun(_) => points == 1,
            Taking::Named(_) => points == 2,
            Taking::Taken => points == 3,
        })
    };
    // Twice: the second time there are older ones, one of which goes.
    for points in [1, 2, 3, 1, 2, 3] {
        (0..200).for_each(|_| world.step().unwrap());
        world.read_all().unwrap();
        world.node.snapshots.iter_mut().for_each(|taking| *taking = Taking::Nothing);
        (0..count).for_each(|at| (0..points).for_each(|_| world.snapshot_goes_on(at)));
        assert!(is_there(&world, points), "{:?}", world.node.snapshots);
        world.crash().unwrap();
        world.give_up();
    }
    world.end().unwrap();
}

#[test]
fn twice() {
    let seed = number("QUIETUS_SIM_SEED").unwrap_or(7);
    let (one, two) = (run(seed), run(seed));
    println!("{one:?}\n{two:?}");
    assert_eq!(one, two, "invariant 6: the same seed gives the same history twice");
}
