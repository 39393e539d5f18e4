//! Others write while lines are erased: nothing of theirs is lost, nothing comes twice.

use std::collections::BTreeMap;
use std::fs::{self, File, OpenOptions};
use std::io::Write;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{JoinHandle, sleep, spawn};
use std::time::Duration;

use quietus_contract::{Finding, Outcome};

use crate::archive::{Archive, target};

const BASE: usize = 3_000;

fn base() -> String {
    (0..BASE).map(|n| format!("{{\"user\":{},\"base\":{n}}}\n", n % 10)).collect()
}

/// Few enough to be read between two replacements.
fn some() -> String {
    base().split_inclusive('\n').take(300).collect()
}

/// Adds numbered lines until told to stop, and says how many.
fn appender(path: PathBuf, stop: Arc<AtomicBool>, keep_open: bool) -> JoinHandle<usize> {
    spawn(move || {
        let open = || OpenOptions::new().append(true).open(&path).expect("the file");
        let mut kept = keep_open.then(open);
        let mut count = 0;
        while !stop.load(Ordering::Relaxed) {
            let line = format!("{{\"user\":\"other\",\"added\":{count}}}\n");
            match &mut kept {
                Some(file) => file.write_all(line.as_bytes()).expect("written"),
                None => open().write_all(line.as_bytes()).expect("written"),
            }
            count += 1;
            if count % 20 == 0 {
                sleep(Duration::from_millis(1));
            }
        }
        count
    })
}

/// Every line once, whatever its order, but for the erased people's.
fn assert_whole(archive: &Archive, path: &str, added: usize, erased: &[usize]) {
    let text = String::from_utf8(archive.get(path)).expect("text");
    let mut lines: BTreeMap<&str, usize> = BTreeMap::new();
    for line in text.split_inclusive('\n') {
        *lines.entry(line).or_default() += 1;
    }
    let mut wanted: BTreeMap<String, usize> = BTreeMap::new();
    for line in base().split_inclusive('\n') {
        let person = |p: &usize| line.contains(&format!("\"user\":{p},"));
        if !erased.iter().any(person) {
            wanted.insert(line.to_owned(), 1);
        }
    }
    for n in 0..added {
        wanted.insert(format!("{{\"user\":\"other\",\"added\":{n}}}\n"), 1);
    }
    let lost = wanted.keys().filter(|l| !lines.contains_key(l.as_str())).count();
    let strange = lines.iter().filter(|(l, n)| wanted.get(**l) != Some(*n)).count();
    assert_eq!((lost, strange), (0, 0), "lost or more than there should be, of {}", wanted.len());
    assert_eq!(archive.leftovers(), Vec::<String>::new());
}

fn beside_an_appender(keep_open: bool) {
    let archive = Archive::new();
    archive.put("dt=1/a.jsonl", base().as_bytes());
    let stop = Arc::new(AtomicBool::new(false));
    let writer = appender(archive.root.join("dt=1/a.jsonl"), Arc::clone(&stop), keep_open);
    let mut outcomes = Vec::new();
    let people = if keep_open { 0..2_u8 } else { 0..4 };
    for person in people.clone() {
        if keep_open && person == 1 {
            stop.store(true, Ordering::Relaxed);
        }
        outcomes.extend(archive.erase(&[target(person + 1, &format!("customer_id:{person}"))]));
    }
    stop.store(true, Ordering::Relaxed);
    let added = writer.join().expect("the writer");
    assert!(added > 0);
    for (person, outcome) in people.clone().zip(outcomes) {
        let done = matches!(outcome, Outcome::Removed(300));
        // A file that is kept open for writing is not taken away under its writer: told, and gone on with.
        let told =
            keep_open && matches!(&outcome, Outcome::Failed(f) if f.may_retry && f.might_have_happened);
        assert!(done || told, "{outcome:?}");
        let again = archive.erase(&[target(person + 1, &format!("customer_id:{person}"))]);
        assert_eq!(again, [Outcome::Absent]);
        assert_eq!(archive.verify(&target(1, &format!("customer_id:{person}"))).finding, Finding::Gone);
    }
    assert_whole(&archive, "dt=1/a.jsonl", added, &people.map(usize::from).collect::<Vec<_>>());
}

#[test]
fn lines_that_are_added_meanwhile_are_all_there_once() {
    beside_an_appender(false);
}

#[test]
fn a_writer_that_keeps_the_file_open_loses_nothing() {
    beside_an_appender(true);
}

#[test]
fn a_file_that_is_replaced_meanwhile_is_the_replacement_less_the_erased() {
    let archive = Archive::new();
    let path = archive.root.join("dt=1/a.jsonl");
    archive.put("dt=1/a.jsonl", some().as_bytes());
    let stop = Arc::new(AtomicBool::new(false));
    let writer = {
        let (stop, path) = (Arc::clone(&stop), path.clone());
        spawn(move || {
            let mut version = 0_u64;
            while !stop.load(Ordering::Relaxed) {
                version += 1;
                let fresh = path.with_extension("fresh");
                let mut file = File::create(&fresh).expect("a file");
                file.write_all(some().as_bytes()).expect("written");
                file.write_all(format!("{{\"user\":\"other\",\"version\":{version}}}\n").as_bytes())
                    .expect("written");
                drop(file);
                fs::rename(&fresh, &path).expect("renamed");
                sleep(Duration::from_millis(version * 37 % 90));
            }
            version
        })
    };
    let mut done = 0;
    for round in 0..25 {
        let outcome = archive.erase(&[target(1, "customer_id:3")]).pop().expect("an answer");
        match outcome {
            Outcome::Removed(_) | Outcome::Absent => done += 1,
            Outcome::Failed(f) => assert!(f.may_retry, "{round}: {f}"),
            other => panic!("{other:?}"),
        }
    }
    stop.store(true, Ordering::Relaxed);
    let version: u64 = writer.join().expect("the writer");
    assert!(done > 0, "no pass ever came through");
    // The newest version is there, whoever was faster.
    let text = String::from_utf8(archive.get("dt=1/a.jsonl")).expect("text");
    assert!(text.ends_with(&format!("\"version\":{version}}}\n")), "the newest version was lost");
    archive.erase(&[target(1, "customer_id:3")]);
    let text = String::from_utf8(archive.get("dt=1/a.jsonl")).expect("text");
    assert_eq!(text.lines().count(), 270 + 1);
    assert_eq!(archive.leftovers(), Vec::<String>::new());
}
