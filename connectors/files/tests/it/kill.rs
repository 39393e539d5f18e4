//! A process killed in the middle of rewrites, at many moments: no line is lost, and the next call clears up.

use std::process::{Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use quietus_contract::{Finding, Outcome};

use crate::archive::{Archive, target};

const FOLDER: &str = "QUIETUS_TEST_KILLED_IN";
const PEOPLE: usize = 40;
const LINES: usize = 4_000;
const KILLS: u64 = 25;

/// Not a test of its own: what the killed process runs. Without the folder there is nothing to do.
#[test]
fn child() {
    let Some(folder) = std::env::var_os(FOLDER) else { return };
    let archive = Archive::at(std::path::Path::new(&folder));
    for person in (0..PEOPLE).filter(|p| p % 2 == 0) {
        let n = u8::try_from(person + 1).expect("few people");
        archive.erase(&[target(n, &format!("customer_id:{person}"))]);
    }
}

fn base(file: usize) -> String {
    (0..LINES).map(|n| format!("{{\"user\":{},\"file\":{file},\"n\":{n}}}\n", n % PEOPLE)).collect()
}

#[test]
fn a_kill_at_any_moment_loses_no_line() {
    let archive = Archive::new();
    let paths = ["dt=1/a.jsonl", "dt=1/b.jsonl.gz"];
    let own = std::env::current_exe().expect("this test");
    let mut caught = 0;
    for kill in 0..KILLS {
        for (file, path) in paths.iter().enumerate() {
            archive.put(path, base(file).as_bytes());
        }
        let stop = Arc::new(AtomicBool::new(false));
        let writer = adding(archive.root.join(paths[0]), Arc::clone(&stop));
        let mut child = Command::new(&own)
            .args(["kill::child", "--exact", "--test-threads=1"])
            .env(FOLDER, &archive.root)
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("a process");
        std::thread::sleep(Duration::from_millis(20 + kill * 9));
        child.kill().expect("killed");
        child.wait().expect("gone");
        stop.store(true, Ordering::Relaxed);
        let added = writer.join().expect("the writer");
        caught += usize::from(!archive.leftovers().is_empty());
        let outcome = archive.erase(&[target(1, "customer_id:0")]).pop().expect("an answer");
        assert!(matches!(outcome, Outcome::Removed(_) | Outcome::Absent), "{outcome:?}");
        assert_eq!(archive.leftovers(), Vec::<String>::new());
        assert_eq!(archive.verify(&target(1, "customer_id:0")).finding, Finding::Gone);
        for (file, path) in paths.iter().enumerate() {
            check(&archive, path, file, if file == 0 { added } else { 0 });
        }
    }
    assert!(caught > 0, "no kill ever fell into a rewrite");
}

fn adding(path: std::path::PathBuf, stop: Arc<AtomicBool>) -> std::thread::JoinHandle<usize> {
    std::thread::spawn(move || {
        let mut count = 0;
        while !stop.load(Ordering::Relaxed) {
            let line = format!("{{\"user\":\"other\",\"added\":{count}}}\n");
            let file = std::fs::OpenOptions::new().append(true).open(&path);
            std::io::Write::write_all(&mut file.expect("the file"), line.as_bytes()).expect("written");
            count += 1;
            std::thread::sleep(Duration::from_micros(200));
        }
        count
    })
}

/// Each person's lines are there whole, or gone whole if the child was to erase them; nobody else's is touched.
fn check(archive: &Archive, path: &str, file: usize, added: usize) {
    let text = String::from_utf8(archive.get(path)).expect("text");
    let mut left: Vec<&str> = text.split_inclusive('\n').collect();
    left.sort_unstable();
    let total = left.len();
    left.dedup();
    assert_eq!(left.len(), total, "{path}: a line is there twice");
    let others: Vec<String> = (0..added).map(|n| format!("{{\"user\":\"other\",\"added\":{n}}}\n")).collect();
    let lost = others.iter().filter(|l| left.binary_search(&l.as_str()).is_err()).count();
    assert_eq!(lost, 0, "{path}: {lost} of {added} lines of the other writer are lost");
    let mut wanted = added;
    for person in 0..PEOPLE {
        let lines: Vec<String> = base(file)
            .split_inclusive('\n')
            .filter(|l| l.contains(&format!("\"user\":{person},")))
            .map(str::to_owned)
            .collect();
        let there = lines.iter().filter(|l| left.binary_search(&l.as_str()).is_ok()).count();
        let whole = there == lines.len() || (there == 0 && person % 2 == 0);
        assert!(whole, "{path}: person {person} has {there} of {} lines", lines.len());
        wanted += there;
    }
    assert_eq!(total, wanted, "{path}: lines that nobody wrote");
}
