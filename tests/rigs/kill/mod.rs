//! A node under load, killed at random moments and started again; the rig keeps its own books.
//!
//! What the rig believes: an event, hold or request is the node's from the moment it was acknowledged. What it
//! checks, against the log that the database itself keeps of every row deleted or changed:
//!
//! - nothing acknowledged is lost, and it comes to its end;
//! - nothing is done twice: no row is changed or deleted a second time (some are put back after they were verified
//!   gone, so that a second command would hit them), and no call that is repeated after a crash makes anything more;
//! - no row is touched before its date or its request;
//! - nothing commits between the moment a hold was effective and its release.
//!
//! Some of its lives end at a point where merged runs take the others' place, a snapshot is named, the ledger's beginning
//! given up, or a store that was written anew put in the other's place, which a random moment hardly ever meets.
//!
//! `QUIETUS_KILLS` says how often; `QUIETUS_KILL_SEED` repeats a run's choices.

pub mod books;
pub mod load;
pub mod settle;
pub mod verdict;

use std::time::Duration;

use quietus_test_servers::Postgres;
use serde_json::json;

use self::books::Books;
use self::load::Load;
use self::settle::{PATIENCE, settle};
use self::verdict::Verdict;
use crate::chance::{Chance, number, seed};
use crate::database::Database;
use crate::process::Process;

/// Kinds of points that few moments fall on.
pub const POINTS: [&str; 9] = [
    "BeforeMerged",
    "AfterMerged",
    "BeforeSnapshot",
    "AfterSnapshot",
    "BeforeTruncate",
    "AfterTruncate",
    "BeforeExchange",
    "AmidExchange",
    "AfterExchange",
];
/// A life that is to end at a point may last as long, milliseconds: snapshots are a second apart.
const POINT_WITHIN: u64 = 6_000;

#[tokio::test(flavor = "multi_thread")]
async fn kill() {
    let kills = number("QUIETUS_KILLS", 10);
    let seed = seed("QUIETUS_KILL_SEED");
    let mut chance = Chance(seed);
    let server = Postgres::start().unwrap();
    let database = Database::postgres(&server.database().unwrap()).await;
    let folder = tempfile::tempdir().unwrap();
    let mut books = Books { next: 1, ..Books::default() };
    // So few that every life of the node writes roots, and its next one goes on from one of them.
    let mut node = Process::at(folder.path())
        .set("QUIETUS_FLUSH_ROWS", "40")
        .set("QUIETUS_REWRITE", "1")
        .set("QUIETUS_LEDGER__SNAPSHOT_EVERY", "1s")
        .set("QUIETUS_LEDGER__TRUNCATE", "true");
    for life in 0..kills {
        let point = (life % 3 == 2).then(|| POINTS[usize::try_from(life / 3).unwrap() % POINTS.len()]);
        if !node.start(point) {
            continue;
        }
        let caller = node.caller();
        if caller.set_up(&database.manifest()).await.is_err() {
            assert!(point.is_some() && node.dies().await, "a node that nobody killed does not answer");
            continue;
        }
        let random = 50 + chance.below(1_500);
        let moment = Duration::from_millis(if point.is_some() { POINT_WITHIN } else { random });
        let mut choices = Chance(chance.below(u64::MAX - 1) + 1);
        let killer = async {
            tokio::time::sleep(moment).await;
            node.kill();
        };
        let load = Load { caller: &caller, database: &database, books: &mut books, chance: &mut choices };
        tokio::join!(load.run(), killer);
    }
    settle(&mut node, &database, &mut books, PATIENCE).await;
    let at_points = POINTS.map(|kind| node.killed_at(kind));
    let verdict = Verdict::of(&database, &books).await;
    let mut line = json!({"kills": kills, "at_points": at_points});
    verdict.tell(&mut line);
    println!("{line}");
    verdict.hold(seed);
    // A given binary may be a release, which has no points.
    let has_points = std::env::var_os("QUIETUS_RIG_BINARY").is_none();
    assert!(
        kills < 80 || !has_points || at_points.iter().all(|met| *met > 0),
        "{POINTS:?} were met {at_points:?} times"
    );
    assert!(kills < 50 || verdict.preserved > 0, "no hold kept anything from going, so nothing was shown");
}
