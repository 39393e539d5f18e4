//! The power goes while a node is under load: it is killed, and what was not synced leaves its disk, or some of it does.
//!
//! What the rig believes and counts is the kill rig's. Here the node's files lie under a layer that writes down what it
//! asks of them (`layer.c`), and `disk.rs` knows what of that is durable. After a cut, of which there are several kinds,
//!
//! - the node starts, and nothing acknowledged is lost, nothing done twice, early or under a hold;
//! - ledger, audit chain and signed checkpoints verify, and no store holds what the ledger does not say;
//! - a world ends with a cut: then the node, started again, says the same digest as a replay of its ledger.
//!
//! Some lives end in an ordinary `kill -9` or in order, after which the kernel still has what is not on the disk: the
//! next cut loses that too. Some end at a point of a start, of a store that is written anew, of a snapshot or of a
//! truncation. Of cuts of every kind half are on a disk that makes names durable by a sync of their folder alone.
//!
//! `QUIETUS_CUTS` says how many; `QUIETUS_CUT_SEED` repeats a run's choices.

mod content;
mod disk;
mod journal;
mod layer;

use std::path::Path;
use std::time::{Duration, Instant};

use quietus::node::{Evidence, Held, NodeError, Signed, replay_dir};
use quietus::store::StoreError;
use quietus_test_servers::Postgres;
use reqwest::Method;
use serde_json::{Value, json};

use self::disk::{Cut, Disk, Names, Undone};
use self::layer::Layer;
use crate::chance::{Chance, number, seed};
use crate::database::Database;
use crate::kill::POINTS;
use crate::kill::books::Books;
use crate::kill::load::Load;
use crate::kill::settle::{PATIENCE, settle};
use crate::kill::verdict::Verdict;
use crate::process::{Process, now};

/// Then a node begins with an empty folder again.
const CUTS_A_WORLD: u64 = 10;
/// A life that is to end at a point may last as long, milliseconds.
const POINT_WITHIN: u64 = 3_000;
/// Half of the kills wait as long for a sync that somebody waits for.
const AIMS_FOR: Duration = Duration::from_millis(300);
/// Points that a start passes, and a few more.
const FIRST_POINTS: u64 = 60;
/// A port that no broker listens on.
const NOBODY: &str = "127.0.0.1:1";
/// Something was acknowledged by then.
const SOON: Duration = Duration::from_secs(3);

#[derive(Debug, Default)]
struct Tally {
    kills: u64,
    undone: Undone,
    /// Cuts that undid anything.
    biting: u64,
    /// Starts that found the store damaged: made anew of copies, back at a snapshot, built from the ledger.
    copies: usize,
    snapshots: usize,
    anew: usize,
}

struct World<'a> {
    layer: &'a Layer,
    database: &'a Database,
    folder: &'a Path,
    chance: &'a mut Chance,
    books: &'a mut Books,
    /// Whom news is for is away, so that it waits on the disk.
    news: bool,
}

impl World<'_> {
    /// Small sizes, so that every kind of file is written and given up all the time.
    fn node(&mut self) -> Process {
        let rows = ["3", "40", "400"][usize::try_from(self.chance.below(3)).unwrap()];
        let truncate = ["true", "true", "false"][usize::try_from(self.chance.below(3)).unwrap()];
        let sync_us = ["1000", "5000", "20000"][usize::try_from(self.chance.below(3)).unwrap()];
        let mut node = self.layer.node(self.folder, sync_us).set("QUIETUS_FLUSH_ROWS", rows);
        if self.chance.below(2) == 0 {
            // Its start writes the store anew.
            node = node.set("QUIETUS_REWRITE", "1");
        }
        if self.news {
            node = node.set("QUIETUS_KAFKA__BROKERS", NOBODY).set("QUIETUS_KAFKA__EVENTS", "true");
        }
        node.set("QUIETUS_LEDGER__SNAPSHOT_EVERY", "1s").set("QUIETUS_LEDGER__TRUNCATE", truncate)
    }

    /// True = it was killed between two calls; false = at a point.
    async fn live(&mut self, node: &mut Process, disk: &mut Disk) -> bool {
        let point = match self.chance.below(6) {
            0 => Some((1 + self.chance.below(FIRST_POINTS)).to_string()),
            1 => Some(POINTS[usize::try_from(self.chance.below(POINTS.len() as u64)).unwrap()].to_owned()),
            _ => None,
        };
        if !node.start(point.as_deref()) {
            return false;
        }
        let caller = node.caller();
        if caller.set_up(&self.database.manifest()).await.is_err() {
            assert!(point.is_some() && node.dies().await, "a node that nobody killed does not answer");
            return false;
        }
        let random = 20 + self.chance.below(1_500);
        let moment = Duration::from_millis(if point.is_some() { POINT_WITHIN } else { random });
        let mut choices = Chance(self.chance.below(u64::MAX - 1) + 1);
        let (layer, in_order) = (self.layer, point.is_none() && self.chance.below(6) == 0);
        let is_aimed = self.chance.below(2) == 0;
        let killer = async {
            tokio::time::sleep(moment).await;
            if in_order {
                tokio::task::block_in_place(|| node.stop());
                return true;
            }
            let late = Instant::now() + AIMS_FOR;
            loop {
                let held = layer.hold();
                disk.follow();
                if !is_aimed || disk.is_syncing() || Instant::now() > late {
                    let between = node.is_alive();
                    node.kill();
                    return between;
                }
                drop(held);
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
        };
        let load = Load { caller: &caller, database: self.database, books: self.books, chance: &mut choices };
        tokio::join!(load.run(), killer).1
    }

    async fn run(&mut self, cuts: u64, tally: &mut Tally) {
        let mut disk = self.disk();
        let mut made = 0;
        while made < cuts {
            let mut node = self.node();
            let between = self.live(&mut node, &mut disk).await;
            disk.killed();
            if between {
                assert!(disk.missed().is_empty(), "the layer missed calls: {:?}", disk.missed());
                if self.chance.below(4) == 0 {
                    tally.kills += 1;
                    continue;
                }
            }
            let cut = match self.chance.below(8) {
                0 | 1 => Cut::Everything,
                2 => Cut::Names,
                3 => Cut::Bytes,
                4 | 5 => Cut::Torn(512),
                _ => Cut::Torn(4096),
            };
            let undone = disk.cut(cut, self.chance);
            eprintln!("cut {made}: {cut:?} {undone:?}");
            tally.biting += u64::from(!undone.writes.is_empty() || undone.names > 0);
            tally.undone.add(undone);
            made += 1;
            self.verify();
            disk = self.disk();
        }
    }

    fn disk(&mut self) -> Disk {
        let names = [Names::Strict, Names::Along][usize::try_from(self.chance.below(2)).unwrap()];
        Disk::of(self.folder, &self.layer.journal, names)
    }

    /// What the folder says without a node; None = nothing was acknowledged from it yet.
    fn verify(&self) -> Option<String> {
        if !self.books.rows.values().any(|known| known.acknowledged) {
            return None;
        }
        let replayed = match replay_dir(&self.folder.join("data"), &Evidence::default()) {
            // sled's, which a start makes anew.
            Err(NodeError::Store(StoreError::Damaged(why))) => {
                eprintln!("the store: {why}");
                return None;
            }
            replayed => replayed.unwrap(),
        };
        assert!(!matches!(replayed.signed, Signed::Otherwise(_)), "{:?}", replayed.signed);
        if let Held::Otherwise(findings) = replayed.stored {
            // A power cut explains neither.
            let untrue = ["it does not hold what the ledger says", "its last root is gone"];
            let worse = |what: &String| untrue.iter().any(|untrue| what.contains(untrue));
            assert!(!findings.iter().any(worse), "{findings:?}");
        }
        Some(data_encoding::HEXLOWER.encode(&replayed.digest))
    }

    /// The last cut, once everything has come to its end.
    async fn end(&mut self, tally: &mut Tally) {
        let mut node = self.node();
        let disk = self.disk();
        settle(&mut node, self.database, self.books, PATIENCE).await;
        let said = digest(&node).await;
        self.cut_everything(&mut node, disk);
        assert!(node.start(None));
        assert_eq!(digest(&node).await, said, "a start gives another state");
        node.stop();
        assert_eq!(self.verify(), Some(said), "the ledger gives another state than the store");
        tally.copies += node.said("copies of its snapshots are put in its place");
        tally.snapshots += node.said("goes back to a snapshot");
        tally.anew += node.said("built anew from the ledger");
    }

    fn cut_everything(&mut self, node: &mut Process, mut disk: Disk) {
        let held = self.layer.hold();
        node.kill();
        drop(held);
        disk.killed();
        disk.cut(Cut::Everything, self.chance);
    }
}

async fn digest(node: &Process) -> String {
    let answer = node.caller().call(Method::GET, "/v1/audit/state-digest", &Value::Null).await;
    answer.unwrap().1["digest"].as_str().unwrap().to_owned()
}

#[tokio::test(flavor = "multi_thread")]
async fn power() {
    let cuts = number("QUIETUS_CUTS", 4);
    let seed = seed("QUIETUS_CUT_SEED");
    let mut chance = Chance(seed);
    let (server, layer) = (Postgres::start().unwrap(), Layer::build());
    let (mut verdict, mut tally, mut made) = (Verdict::default(), Tally::default(), 0);
    while made < cuts {
        let database = Database::postgres(&server.database().unwrap()).await;
        let folder = tempfile::tempdir().unwrap();
        let real = folder.path().canonicalize().unwrap();
        let mut books = Books { next: 1, ..Books::default() };
        let mut world = World {
            layer: &layer,
            database: &database,
            folder: &real,
            chance: &mut chance,
            books: &mut books,
            news: made / CUTS_A_WORLD % 2 == 1,
        };
        let count = CUTS_A_WORLD.min(cuts - made);
        world.run(count, &mut tally).await;
        world.end(&mut tally).await;
        made += count;
        verdict.add(Verdict::of(&database, &books).await);
    }
    let mut line = json!({"cuts": cuts, "kills": tally.kills, "cuts_that_undid": tally.biting,
        "undone_writes": tally.undone.writes, "undone_names": tally.undone.names, "stores_from_copies": tally.copies,
        "stores_from_snapshots": tally.snapshots, "stores_from_the_ledger": tally.anew});
    verdict.tell(&mut line);
    println!("{line}");
    verdict.hold(seed);
    assert!(tally.biting > 0, "no cut undid anything, so nothing was shown");
    let parts = ["ledger", "store"].map(|part| tally.undone.writes.contains_key(part));
    assert!(cuts < 50 || parts == [true; 2], "not every kind of file was hit: {:?}", tally.undone);
}

/// The first life of a node, cut: what was acknowledged and is gone.
async fn lost_with_the_first_life(lies: Option<&'static str>, patience: Duration) -> usize {
    let mut chance = Chance(now().unsigned_abs().max(1));
    let (server, layer) = (Postgres::start().unwrap(), Layer::build());
    let database = Database::postgres(&server.database().unwrap()).await;
    let folder = tempfile::tempdir().unwrap();
    let real = folder.path().canonicalize().unwrap();
    let mut books = Books { next: 1, ..Books::default() };
    let mut disk = Disk::of(&real, &layer.journal, Names::Strict).lying_about(lies);
    let mut node = layer.node(&real, "3000");
    assert!(node.start(None));
    let caller = node.caller();
    caller.set_up(&database.manifest()).await.unwrap();
    let load = Load { caller: &caller, database: &database, books: &mut books, chance: &mut chance };
    let killer = async {
        tokio::time::sleep(SOON).await;
        let _held = layer.hold();
        node.kill();
    };
    tokio::join!(load.run(), killer);
    disk.killed();
    disk.cut(Cut::Everything, &mut chance);
    if lies.is_some() {
        // The node would refuse a ledger that is shorter than what it signed.
        let _ = std::fs::remove_file(real.join("data/checkpoint"));
    }
    assert!(node.start(None));
    node.caller().set_up(&database.manifest()).await.unwrap();
    settle(&mut node, &database, &mut books, patience).await;
    let lost = Verdict::of(&database, &books).await.lost.len();
    println!("{{\"lied_about\":{},\"acked_lost\":{lost}}}", json!(lies));
    lost
}

#[tokio::test(flavor = "multi_thread")]
async fn a_disk_that_lies_about_the_ledger_is_found_out() {
    assert!(
        lost_with_the_first_life(Some(".segment"), SOON).await > 0,
        "what was never on the disk is not missed"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn what_the_first_life_made_is_there_after_it() {
    assert_eq!(lost_with_the_first_life(None, 20 * SOON).await, 0);
}
