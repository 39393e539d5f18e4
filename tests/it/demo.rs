//! The demo's numbers against the shop's own databases, by exactly the commands that `docs/demo.md` prints.

use std::process::Command;

use quietus::demo::{DemoOptions, run};

const PAGE: &str = include_str!("../../docs/demo.md");

/// The command-line client, installed when it is missing and we may.
fn sqlite3_is_there() {
    if Command::new("sqlite3").arg("--version").output().is_ok_and(|o| o.status.success()) {
        return;
    }
    let install = "apt-get update -q && apt-get install -y -q --no-install-recommends sqlite3";
    let done = Command::new("sh").args(["-c", install]).env("DEBIAN_FRONTEND", "noninteractive").status();
    assert!(done.is_ok_and(|s| s.success()), "sqlite3 is needed: apt-get install sqlite3");
}

#[tokio::test(flavor = "multi_thread")]
async fn every_number_stands_in_the_databases() {
    sqlite3_is_there();
    let folder = tempfile::tempdir().unwrap();
    let dir = folder.path().join("demo");
    let options = DemoOptions { subjects: 60, dir: Some(dir), ..DemoOptions::default() };
    let mut told = Vec::new();
    let demo = run(&options, &mut |line| told.push(line.to_owned())).await.unwrap();
    assert!(demo.report.adds_up(), "{:?}", demo.report);
    let report = serde_json::to_value(&demo.report).unwrap();
    let mut checked = 0;
    for line in PAGE.lines().filter(|l| l.starts_with("sqlite3 ")) {
        let (command, number) = line.split_once("   # ").expect("a line says which number it shows");
        let output = Command::new("sh").args(["-c", command]).current_dir(&demo.dir).output().unwrap();
        assert!(output.status.success(), "{command}: {}", String::from_utf8_lossy(&output.stderr));
        let shown: u64 = String::from_utf8_lossy(&output.stdout).trim().parse().unwrap();
        assert_eq!(report[number].as_u64(), Some(shown), "{number}: {command}\n{}", told.join("\n"));
        checked += 1;
    }
    assert_eq!(checked, 8);
    for some in ["erased", "masked", "held", "deferred"] {
        assert!(report[some].as_u64() > Some(0), "the story has no {some}");
    }
    assert!(
        told.iter().any(|l| l.starts_with("that night: ") && !l.contains(": 0 could")),
        "{}",
        told.join("\n")
    );
    demo.running.stop().await.unwrap();
}
