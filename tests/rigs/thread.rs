//! Event in → due → row gone → read back, with the process killed between any two steps.
//!
//! One run per kill point, in a world of its own; after each kill the node starts again without faults and the rig
//! carries on where it was. The series ends with the first point that a whole run does not reach.

use quietus_test_servers::Postgres;

use crate::database::Database;
use crate::process::{NoAnswer, Process, now, recorded};

/// Runs beside each other: they mostly wait.
const SIDE_BY_SIDE: u64 = 6;
/// A run that never gets past its points is a fault of the rig.
const POINTS_MAX: u64 = 600;

#[derive(Clone, Copy, PartialEq)]
enum Step {
    SetUp,
    Event,
    Sweep,
    Look,
}

/// True = the kill point was reached.
async fn run(database: Database, point: u64) -> bool {
    let folder = tempfile::tempdir().unwrap();
    database.insert(&[1, 2, 3]).await;
    let recorded_at = now() - 60_000;
    let events = [recorded(1, recorded_at, &["service"]), recorded(2, recorded_at, &["service", "ads"])];
    // Roots are replaced within a run, so that it is cut there too.
    let mut node = Process::at(folder.path()).set("QUIETUS_FLUSH_ROWS", "3");
    let mut alive = node.start(Some(&point.to_string()));
    let mut killed = !alive;
    let mut step = Step::SetUp;
    for _ in 0..200 {
        if !alive {
            assert!(node.start(None));
        }
        let caller = node.caller();
        let done: Result<bool, NoAnswer> = match step {
            Step::SetUp => caller.set_up(&database.manifest()).await.map(|()| true),
            Step::Event => caller.events(&events).await.map(|(status, answer)| {
                assert_eq!((status, answer["accepted"].as_u64()), (202, Some(2)), "{answer}");
                true
            }),
            Step::Sweep => caller.sweep().await.map(|sweep| {
                assert_eq!(sweep["state"], "finished", "point {point}: {sweep}");
                true
            }),
            Step::Look => match caller.outcome(1).await {
                Ok(outcome) if outcome == "verified" => break,
                Ok(_) => caller.sweep().await.map(|_| false),
                Err(error) => Err(error),
            },
        };
        step = match (&done, step) {
            (Ok(true), Step::SetUp) => Step::Event,
            (Ok(true), Step::Event) => Step::Sweep,
            (Ok(true), Step::Sweep) => Step::Look,
            (_, same) => same,
        };
        alive = match done {
            Ok(_) => node.is_alive(),
            Err(NoAnswer) => {
                assert!(node.dies().await, "point {point}: no answer from a node that lives");
                false
            }
        };
        killed |= !alive;
    }
    killed |= !node.is_alive();
    // Looked at in a node that nobody kills any more: the point may still lie ahead of this one.
    assert!(node.start(None));
    let caller = node.caller();
    assert_eq!(caller.outcome(1).await.unwrap(), "verified", "point {point}");
    assert_eq!(caller.outcome(2).await.unwrap(), "live", "point {point}");
    assert_eq!(caller.outcome(3).await.unwrap(), "unknown", "point {point}");
    assert_eq!(database.rows().await, [2, 3], "point {point}: other rows were touched");
    let effects = database.effects().await;
    assert!(matches!(effects.as_slice(), [e] if e.id == 1 && e.deleted), "point {point}: {effects:?}");
    // A repeat of the event after a restart is the same event.
    let (status, answer) = caller.events(&events).await.unwrap();
    assert_eq!((status, answer["accepted"].as_u64()), (202, Some(2)), "{answer}");
    assert_eq!(caller.outcome(1).await.unwrap(), "verified", "point {point}: its event again");
    killed
}

async fn series<F: Future<Output = Database>>(database: impl Fn(u64) -> F) -> u64 {
    let mut next = 1;
    loop {
        let mut runs = tokio::task::JoinSet::new();
        for point in next..next + SIDE_BY_SIDE {
            let database = database(point).await;
            let local = tokio::task::spawn_blocking(move || {
                let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
                runtime.block_on(run(database, point))
            });
            runs.spawn(async move { (point, local.await.unwrap()) });
        }
        let mut unreached = false;
        while let Some(ended) = runs.join_next().await {
            let (_, killed) = ended.unwrap();
            unreached |= !killed;
        }
        next += SIDE_BY_SIDE;
        if unreached {
            return next - 1;
        }
        assert!(next < POINTS_MAX, "a run has no end");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn thread_on_sqlite() {
    let folder = tempfile::tempdir().unwrap();
    let points = series(async |point| Database::sqlite(&folder.path().join(format!("{point}.db")))).await;
    println!("{{\"rig\":\"thread\",\"database\":\"sqlite\",\"points\":{points}}}");
    assert!(points > 20, "{points} points: the switch does not work");
}

#[tokio::test(flavor = "multi_thread")]
async fn thread_on_postgres() {
    let server = Postgres::start().unwrap();
    let points = series(async |_| Database::postgres(&server.database().unwrap()).await).await;
    println!("{{\"rig\":\"thread\",\"database\":\"postgres\",\"points\":{points}}}");
    assert!(points > 20, "{points} points: the switch does not work");
}
