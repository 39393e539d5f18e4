//! The demo's numbers against what really lies there, by exactly the commands that `docs/demo.md` prints.

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
async fn every_number_stands_in_what_lies_there() {
    sqlite3_is_there();
    let folder = tempfile::tempdir().unwrap();
    let dir = folder.path().join("demo");
    let options = DemoOptions { subjects: 60, dir: Some(dir), ..DemoOptions::default() };
    let mut told = Vec::new();
    let demo = run(&options, &mut |line| told.push(line.to_owned())).await.unwrap();
    let story = told.join("\n");
    assert!(demo.report.adds_up(), "{:?}\n{story}", demo.report);
    let report = serde_json::to_value(&demo.report).unwrap();
    let mut wrong = Vec::new();
    let mut checked = Vec::new();
    for (command, number) in PAGE.lines().filter_map(|line| line.split_once("   # ")) {
        let output = Command::new("sh").args(["-c", command]).current_dir(&demo.dir).output().unwrap();
        assert!(output.stderr.is_empty(), "{command}: {}", String::from_utf8_lossy(&output.stderr));
        let shown: u64 = String::from_utf8_lossy(&output.stdout).trim().parse().unwrap();
        if report[number].as_u64() != Some(shown) {
            wrong.push(format!("{number}: reported {}, found {shown} by\n{command}", report[number]));
        }
        checked.push(number);
    }
    assert!(wrong.is_empty(), "{}\n{report}\n{story}", wrong.join("\n"));
    let some = [
        "copies",
        "items",
        "subjects",
        "erased",
        "masked",
        "residual",
        "deferred",
        "held",
        "corrected",
        "generations",
        "resurrected",
    ];
    assert_eq!(checked, some);
    for number in some {
        assert!(report[number].as_u64() > Some(0), "the story has no {number}\n{story}");
    }
    for none in ["refused", "out_of_reach", "failed", "in_flight", "observed"] {
        assert_eq!(report[none], 0, "{none}\n{report}\n{story}");
    }
    assert_eq!(demo.report.verified, demo.report.erased + demo.report.masked, "{report}\n{story}");
    assert!(told.iter().any(|l| l.starts_with("that night: ") && !l.contains(": 0 could")), "{story}");
    demo.running.stop().await.unwrap();
}
