//! A bench that is interrupted.

use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use tempfile::TempDir;

fn is_empty(dir: &Path) -> bool {
    std::fs::read_dir(dir).unwrap().next().is_none()
}

#[test]
fn who_is_interrupted_leaves_no_folder_behind() {
    for signal in ["-INT", "-TERM"] {
        let folder = TempDir::new().unwrap();
        let mut bench = Command::new(env!("CARGO_BIN_EXE_quietus"));
        bench.args(["bench", "ingest", "--items", "5000000", "--alone"]).env("TMPDIR", folder.path());
        let mut child = bench.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        let begun = Instant::now();
        let ledger = || {
            let mut folders = std::fs::read_dir(folder.path()).unwrap();
            folders.next().is_some_and(|found| found.unwrap().path().join("data/store").exists())
        };
        while !ledger() {
            assert!(begun.elapsed() < Duration::from_secs(60) && child.try_wait().unwrap().is_none());
            std::thread::sleep(Duration::from_millis(20));
        }
        // In the middle of it.
        std::thread::sleep(Duration::from_millis(500));
        assert!(!is_empty(folder.path()));
        let sent = Command::new("kill").args([signal, &child.id().to_string()]).status().unwrap();
        assert!(sent.success());
        let ended = child.wait_with_output().unwrap();
        let said = String::from_utf8_lossy(&ended.stderr);
        assert_eq!(ended.status.code(), Some(3), "{signal}: {said}");
        assert!(ended.stdout.is_empty() && said.contains("interrupted: nothing was measured"), "{said}");
        assert!(is_empty(folder.path()), "{signal}: {:?}", std::fs::read_dir(folder.path()).unwrap().next());
    }
}
