//! A folder of generations over the days: what is residual, until when, and when it is seen to be gone.

#![expect(clippy::expect_used, reason = "a test stops where it cannot go on")]

use std::fs::{self, File, FileTimes};
use std::os::unix::fs::symlink;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use async_trait::async_trait;
use quietus_backup::BackupConnector;
use quietus_contract::{
    CommandId, Connector, Finding, Gate, Locator, Outcome, Permit, Target, Verdict, Work,
};
use quietus_core::system::Manifest;
use quietus_core::verdict::Action;

const DAY: u64 = 86_400;
const EXPIRES: i64 = 14 * 86_400_000;

struct Open;

#[async_trait]
impl Gate for Open {
    async fn may_commit(&self, commands: &[CommandId]) -> Vec<Verdict> {
        vec![Verdict::Go; commands.len()]
    }
}

fn backup(folder: &Path, expires: Option<i64>) -> BackupConnector {
    let manifest =
        Manifest { system: "nightly".into(), kind: "backup".into(), expires, ..Manifest::default() };
    BackupConnector::open(&manifest, &format!("file://{}", folder.display())).expect("a folder")
}

/// A moment so many days before the newest file of this test, by the clock that stamps files.
fn days_ago(folder: &Path, days: u64) -> SystemTime {
    let probe = folder.with_extension("probe");
    fs::write(&probe, "").expect("a file");
    let now = fs::metadata(&probe).and_then(|m| m.modified()).expect("its time");
    now - Duration::from_secs(days * DAY)
}

/// A generation whose last change was at that moment; a folder if its name ends so.
fn generation(folder: &Path, name: &str, at: SystemTime) {
    let path = folder.join(name.trim_end_matches('/'));
    if name.ends_with('/') {
        fs::create_dir(&path).expect("a folder");
        fs::write(path.join("base.tar"), "rows").expect("a file in it");
    } else {
        fs::write(&path, "rows").expect("a file");
    }
    let opened = File::open(&path).expect("the generation");
    opened.set_times(FileTimes::new().set_modified(at)).expect("its time set");
}

fn millis(at: SystemTime) -> i64 {
    i64::try_from(at.duration_since(UNIX_EPOCH).expect("after 1970").as_millis()).expect("in range")
}

fn target(answered_at: Option<i64>, work: Work) -> Target {
    Target {
        command: CommandId([1; 16]),
        attempt: 1,
        dataset: "shop.users".into(),
        locator: Locator::new(),
        identities: Vec::new(),
        answered_at,
        work,
    }
}

async fn erased(backup: &BackupConnector, target: &Target) -> Outcome {
    #[expect(clippy::disallowed_methods, reason = "a test of the connector issues its own permits")]
    let permit = Permit::issue(1, 1, [0; 32], Duration::from_secs(10));
    backup.erase(std::slice::from_ref(target), &permit, Arc::new(Open)).await.remove(0).outcome
}

async fn found(backup: &BackupConnector, target: &Target) -> Finding {
    backup.verify(std::slice::from_ref(target)).await.remove(0).finding
}

#[tokio::test]
async fn a_copy_is_residual_until_the_last_generation_that_may_hold_it_is_seen_to_be_gone() {
    let dir = tempfile::tempdir().expect("a folder");
    let folder = dir.path().join("nights");
    fs::create_dir(&folder).expect("a folder");
    let (old, newest) = (days_ago(&folder, 9), days_ago(&folder, 3));
    generation(&folder, "1.dump", old);
    generation(&folder, "2/", newest);
    symlink("2", folder.join("latest")).expect("a link");
    let backup = backup(&folder, Some(EXPIRES));
    let until = Some(millis(newest) + EXPIRES);
    let residual = Outcome::Residual { cause: "rotation".into(), until };
    let masked = Work::Change { action: Action::Mask, categories: vec!["user.name".into()] };
    assert_eq!(erased(&backup, &target(None, Work::Delete)).await, residual);
    assert_eq!(erased(&backup, &target(None, masked)).await, residual);

    // The answer was read a day later; the next night's backup is made after it.
    let answered = Some(millis(days_ago(&folder, 2)));
    let command = target(answered, Work::Delete);
    generation(&folder, "3.dump", days_ago(&folder, 1));
    assert_eq!(erased(&backup, &command).await, residual, "a later generation prolongs nothing");
    assert!(matches!(found(&backup, &command).await, Finding::Found { count: 2, .. }));
    fs::remove_file(folder.join("1.dump")).expect("rotated");
    let Finding::Found { count: 1, by } = found(&backup, &command).await else { panic!("still there") };
    assert!(by.contains("generation 2"), "{by}");
    fs::remove_dir_all(folder.join("2")).expect("rotated");
    assert_eq!(found(&backup, &command).await, Finding::Gone);
    assert_eq!(erased(&backup, &command).await, Outcome::Absent);
    // A command that was never answered knows nothing of when: whatever is there may hold it.
    assert!(matches!(found(&backup, &target(None, Work::Delete)).await, Finding::Found { count: 1, .. }));
}

#[tokio::test]
async fn a_generation_that_was_begun_before_and_finished_after_still_counts() {
    let dir = tempfile::tempdir().expect("a folder");
    let folder = dir.path().join("nights");
    fs::create_dir(&folder).expect("a folder");
    generation(&folder, "long.dump", days_ago(&folder, 0) + Duration::from_secs(DAY));
    let after_it_began = Some(millis(days_ago(&folder, 0)) + 1_000);
    let backup = backup(&folder, Some(EXPIRES));
    assert!(matches!(
        found(&backup, &target(after_it_began, Work::Delete)).await,
        Finding::Found { count: 1, .. }
    ));
}

#[tokio::test]
async fn the_check_lists_the_oldest_and_names_what_rotation_left() {
    let dir = tempfile::tempdir().expect("a folder");
    let folder = dir.path().join("nights");
    fs::create_dir(&folder).expect("a folder");
    generation(&folder, "forgotten.dump", days_ago(&folder, 40));
    generation(&folder, "fresh.dump", days_ago(&folder, 1));
    let problems = backup(&folder, Some(EXPIRES)).check().await.problems;
    assert!(problems.iter().all(|p| !p.fatal), "{problems:?}");
    assert!(
        problems
            .iter()
            .any(|p| p.code == "cannot_execute" && p.detail.contains("forgotten.dump, 40 days old"))
    );
    let overdue: Vec<_> = problems.iter().filter(|p| p.code == "rotation").collect();
    assert_eq!(overdue.len(), 1);
    assert!(
        overdue[0].detail.contains("forgotten.dump is 40 days old, and `expires` says 14"),
        "{overdue:?}"
    );

    let undated = backup(&folder, None);
    assert!(undated.check().await.problems.iter().any(|p| p.code == "rotation" && p.fix.contains("expires")));
    let outcome = erased(&undated, &target(None, Work::Delete)).await;
    assert_eq!(outcome, Outcome::Residual { cause: "rotation".into(), until: None });
}
