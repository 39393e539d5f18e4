//! The audit from outside: checkpoints kept elsewhere, proofs with the public key alone, and a ledger that somebody
//! has been at.

use std::fs;
use std::path::{Path, PathBuf};

use quietus::ledger::embedded::replay;
use quietus::ledger::{LedgerError, Position};
use quietus::node::{Evidence, Held, NodeError, Signed, replay_dir};
use quietus::store::Database;
use serde_json::{Value, json};

use super::cli::quietus;
use super::world::{World, recorded};

/// A node's folder after some work and an orderly end, and what was given away before it.
struct Kept {
    folder: tempfile::TempDir,
    checkpoints: String,
    keys: String,
    proof: String,
}

/// A node over a shop with these users, of which every second one is due.
async fn shop(folder: &Path, users: std::ops::Range<i64>, purpose: &str) -> World {
    let file = folder.join("shop.db");
    let database = rusqlite::Connection::open(&file).unwrap();
    database.execute_batch("CREATE TABLE users (id INTEGER PRIMARY KEY, email TEXT)").unwrap();
    let world = World::start(folder).await;
    world.set_up(&file).await;
    let mut events = Vec::new();
    for id in users {
        database.execute("INSERT INTO users VALUES (?1, 'x')", [id]).unwrap();
        events.push(recorded(&id.to_string(), if id % 2 == 0 { 40 } else { 3 }, &[purpose], &json!(id)));
    }
    assert_eq!(world.events(&events).await.0, 202);
    world
}

async fn kept() -> Kept {
    let folder = tempfile::tempdir().unwrap();
    let world = shop(folder.path(), 1..30, "service").await;
    assert_eq!(world.sweep().await["verified"], 14);
    let items = |answer: Value| answer["items"].as_array().unwrap().clone();
    let text = |rows: Vec<Value>, field: &str, end: &str| -> String {
        rows.iter().map(|row| format!("{}{end}", row[field].as_str().unwrap())).collect()
    };
    let checkpoints = text(items(world.get("/v1/audit/checkpoint").await.1), "note", "");
    let keys = text(items(world.get("/v1/audit/keys").await.1), "key", "\n");
    let (status, answer) = world.get("/v1/audit/entries/2/0/proof").await;
    assert_eq!(status, 200, "{answer}");
    let proof = answer["proof"].as_str().unwrap().to_owned();
    // The checkpoint is kept right after the sweep's report.
    let mut verified = Value::Null;
    for _ in 0..200 {
        verified = world.post("/v1/audit/verify", &json!({})).await.1;
        if verified["signed"].as_u64() > Some(0) {
            break;
        }
        tokio::time::sleep(std::time::Duration::from_millis(25)).await;
    }
    assert!(verified["signed"].as_u64() > Some(0) && verified["frames"].as_u64() > Some(0), "{verified}");
    assert_eq!(verified["ok"], true, "{verified}");
    assert_eq!(world.get("/v1/audit/entries/2/999999/proof").await.0, 404);
    assert_eq!(world.sweep().await["state"], "finished");
    world.stop().await;
    Kept { folder, checkpoints, keys, proof }
}

impl Kept {
    fn evidence(&self) -> Evidence {
        Evidence { tenant_key: Some(self.folder.path().join("tenant.key")), ..Evidence::default() }
    }

    fn data(&self) -> PathBuf {
        self.folder.path().join("data")
    }

    /// A copy of the node's folder, to be tampered with.
    fn copy(&self) -> tempfile::TempDir {
        let copy = tempfile::tempdir().unwrap();
        for file in files(&self.data()) {
            let to = copy.path().join(file.strip_prefix(self.data()).unwrap());
            fs::create_dir_all(to.parent().unwrap()).unwrap();
            fs::copy(&file, to).unwrap();
        }
        copy
    }
}

fn files(dir: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() { found.extend(files(&path)) } else { found.push(path) }
    }
    found.sort();
    found
}

/// Found out, and said so.
fn is_refused(dir: &Path, evidence: &Evidence) -> bool {
    match replay_dir(dir, evidence) {
        Ok(replayed) => matches!(replayed.signed, Signed::Otherwise(_)),
        Err(
            NodeError::Ledger(LedgerError::Damaged(_))
            | NodeError::Unreadable { .. }
            | NodeError::Rewritten { .. },
        ) => true,
        Err(other) => panic!("{other}"),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_flipped_byte_and_a_cut_are_found() {
    let kept = kept().await;
    let evidence = kept.evidence();
    let whole = replay_dir(&kept.data(), &evidence).unwrap();
    // What was durable and not yet applied when the node stopped is not signed.
    assert!(matches!(whole.signed, Signed::Entries(n) if n + 8 > whole.entries), "{whole:?}");

    let mut chance = 0x9e37_79b9_7f4a_7c15u64;
    let mut below = |n: usize| {
        chance ^= chance << 13;
        chance ^= chance >> 7;
        chance ^= chance << 17;
        usize::try_from(chance % n as u64).unwrap()
    };
    let copy = kept.copy();
    let mut ledger = files(&copy.path().join("ledger"));
    ledger.retain(|file| fs::metadata(file).unwrap().len() > 0);
    ledger.push(copy.path().join("checkpoint"));
    for file in &ledger {
        let good = fs::read(file).unwrap();
        for _ in 0..120 {
            let (at, bit) = (below(good.len()), below(8));
            let mut bad = good.clone();
            bad[at] ^= 1 << bit;
            fs::write(file, &bad).unwrap();
            assert!(is_refused(copy.path(), &evidence), "{}: byte {at}, bit {bit}", file.display());
        }
        fs::write(file, &good).unwrap();
    }
    assert!(!is_refused(copy.path(), &evidence));

    // Cut between two frames: the mark of the clean shutdown finds it; without the mark, what was signed does.
    let mut ends: Vec<Position> = Vec::new();
    replay::<LedgerError>(&copy.path().join("ledger"), |frame| {
        ends.push(frame.position);
        Ok(())
    })
    .unwrap();
    let segment = ledger.iter().max_by_key(|file| fs::metadata(file).unwrap().len()).unwrap();
    let mark = ledger.iter().find(|file| file.ends_with("clean")).expect("the node ended in order");
    let (good, marked) = (fs::read(segment).unwrap(), fs::read(mark).unwrap());
    for end in &ends {
        let at = usize::try_from(end.at).unwrap();
        fs::write(segment, &good[..at]).unwrap();
        assert!(is_refused(copy.path(), &evidence), "cut at {at}");
    }
    fs::remove_file(mark).unwrap();
    for end in ends.iter().take(ends.len() / 2) {
        let at = usize::try_from(end.at).unwrap();
        fs::write(segment, &good[..at]).unwrap();
        assert!(is_refused(copy.path(), &evidence), "cut at {at}, the mark taken away");
    }
    fs::write(segment, &good).unwrap();
    fs::write(mark, marked).unwrap();
    assert!(!is_refused(copy.path(), &evidence));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_changed_value_of_the_store_is_found() {
    let kept = kept().await;
    let evidence = kept.evidence();
    let store = |dir: &Path| dir.join("store");
    let said = |dir: &Path| replay_dir(dir, &evidence).unwrap().stored;
    let Held::Frames(frames) = said(&kept.data()) else { panic!("it is not what the ledger says") };
    assert!(frames > 20, "{frames} frames were flushed");

    // Somebody who knows how it is written changes one byte of each run.
    let runs =
        |dir: &Path, partition| Database::open(&store(dir)).unwrap().partition(partition).runs().unwrap();
    let mut changed = 0;
    for partition in 0..4 {
        for run in runs(kept.copy().path(), partition) {
            let copy = kept.copy();
            let database = Database::open(&store(copy.path())).unwrap();
            let blocks = database.partition(partition);
            let Ok(bytes) = blocks.get(run, 0) else { continue };
            let mut bytes = bytes.to_vec();
            *bytes.last_mut().unwrap() ^= 4;
            blocks.put(run, 0, &bytes).unwrap();
            drop((blocks, database));
            assert!(matches!(said(copy.path()), Held::Otherwise(_)), "partition {partition}, run {run}");
            changed += 1;
        }
    }
    assert!(changed > 12, "{changed} runs were changed");

    // And whatever the disk does to its files: what lives is found, or nothing that lives was hit.
    let copy = kept.copy();
    let mut found = 0;
    for file in files(&store(copy.path())) {
        let good = fs::read(&file).unwrap();
        let written: Vec<usize> = (0..good.len()).filter(|at| good[*at] != 0).collect();
        for at in written.iter().step_by((written.len() / 40).max(1)) {
            let mut bad = good.clone();
            bad[*at] ^= 0x10;
            fs::write(&file, &bad).unwrap();
            match said(copy.path()) {
                Held::Otherwise(_) => found += 1,
                held => assert_eq!(held, Held::Frames(frames), "{}: byte {at}", file.display()),
            }
        }
        fs::write(&file, &good).unwrap();
    }
    assert!(found > 10, "{found} changes were found");
    assert_eq!(said(copy.path()), Held::Frames(frames));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_given_away_is_held_against_the_ledger_by_the_binary() {
    let kept = kept().await;
    let folder = kept.folder.path();
    fs::write(folder.join("elsewhere"), &kept.checkpoints).unwrap();
    fs::write(folder.join("keys"), &kept.keys).unwrap();
    fs::write(folder.join("proof"), &kept.proof).unwrap();
    let run = |args: &[&str]| {
        let args: Vec<String> = args.iter().map(|a| (*a).to_owned()).collect();
        let output = quietus(folder, &args);
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        (output.status.code().unwrap(), text + &String::from_utf8_lossy(&output.stderr))
    };
    let verify = |dir: &str| {
        run(&[
            "audit",
            "verify",
            "--dir",
            dir,
            "--checkpoint",
            "elsewhere",
            "--key",
            "keys",
            "--tenant-key",
            "tenant.key",
        ])
    };
    let (code, said) = verify("data");
    assert!(code == 0 && said.contains("signed"), "{said}");

    // Another node's ledger, and this one as it was before the checkpoint, are not it.
    let other = self::kept().await;
    let (code, said) = verify(other.data().to_str().unwrap());
    assert!(code == 1 && said.contains("not signed by this node's audit key"), "{said}");
    let (code, said) =
        run(&["audit", "verify", "--dir", "data", "--checkpoint", "elsewhere", "--key", "keys"]);
    assert!(code == 3 && said.contains("--tenant-key"), "{said}");

    let (code, said) = run(&["audit", "check-proof", "proof", "--key", "keys"]);
    assert!(code == 0 && said.contains("stands in the log that was signed"), "{said}");
    fs::write(folder.join("proof"), kept.proof.replacen("index 0", "index 1", 1)).unwrap();
    assert_eq!(run(&["audit", "check-proof", "proof", "--key", "keys"]).0, 1);
    fs::write(folder.join("keys"), &other.keys).unwrap();
    fs::write(folder.join("proof"), &kept.proof).unwrap();
    let (code, said) = run(&["audit", "check-proof", "proof", "--key", "keys"]);
    assert!(code == 1 && said.contains("no signature in it is by this key"), "{said}");
    fs::write(folder.join("keys"), "no key\n").unwrap();
    let (code, said) = run(&["audit", "check-proof", "proof", "--key", "keys"]);
    assert!(code == 2 && said.contains("keys:1:1:"), "{said}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_does_not_run_on_a_ledger_that_was_put_back() {
    let kept = kept().await;
    let data = kept.data();
    // The checkpoint is newer than the ledger: as if an older copy of it had been restored.
    let mut older = Vec::new();
    for file in files(&data.join("ledger")) {
        older.push((file.clone(), fs::read(&file).unwrap()));
    }
    let world = World::start(kept.folder.path()).await;
    assert_eq!(world.sweep().await["state"], "finished");
    world.stop().await;
    fs::remove_dir_all(data.join("ledger")).unwrap();
    fs::create_dir(data.join("ledger")).unwrap();
    older.iter().for_each(|(file, bytes)| fs::write(file, bytes).unwrap());
    let (keys, _) = quietus::sealing::Keys::load_or_create(&kept.folder.path().join("tenant.key")).unwrap();
    let options = quietus::node::NodeOptions::at(&data);
    let clock = std::sync::Arc::new(quietus::clock::SystemClock::new());
    let refused = quietus::node::Node::open(options.clone(), keys.clone(), clock.clone()).await.unwrap_err();
    assert!(
        matches!(&refused, NodeError::Rewritten { what, .. } if what.contains("fewer than")),
        "{refused}"
    );
    // On purpose, said by taking the checkpoint away.
    fs::remove_file(data.join("checkpoint")).unwrap();
    assert!(quietus::node::Node::open(options, keys, clock).await.is_ok());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_certificate_is_checked_with_the_public_keys_alone_and_nothing_in_it_can_be_changed() {
    let folder = tempfile::tempdir().unwrap();
    let world = shop(folder.path(), 1..10, "ads").await;
    let request = json!({"type": "erase", "subject": "customer_id:3", "grounds": "unlawful"});
    let (_, asked) = world.post("/v1/requests", &request).await;
    let id = asked["id"].as_str().unwrap();
    for _ in 0..400 {
        if world.get(&format!("/v1/requests/{id}")).await.1["state"] == "fulfilled" {
            break;
        }
        tokio::time::sleep(std::time::Duration::from_millis(25)).await;
    }
    let swept = world.sweep().await;
    let keys = world.get("/v1/audit/keys").await.1;
    let keys: String = keys["items"]
        .as_array()
        .unwrap()
        .iter()
        .map(|k| format!("{}\n", k["key"].as_str().unwrap()))
        .collect();
    fs::write(folder.path().join("keys"), &keys).unwrap();
    let (status, of_request) = world.get(&format!("/v1/requests/{id}/certificate")).await;
    assert_eq!(status, 200, "{of_request}");
    let sweep = swept["id"].as_str().unwrap();
    let (status, of_sweep) = world.get(&format!("/v1/sweeps/{sweep}/certificate")).await;
    assert_eq!(status, 200, "{of_sweep}");
    assert_eq!(world.get("/v1/requests/rq_none/certificate").await.0, 404);
    assert_eq!(world.get("/v1/sweeps/sw_none/certificate").await.0, 404);
    world.stop().await;

    let check = |certificate: &Value| {
        fs::write(folder.path().join("certificate"), certificate.to_string()).unwrap();
        let args =
            ["audit", "check-certificate", "certificate", "--key", "keys", "--json"].map(str::to_owned);
        let output = quietus(folder.path(), &args);
        (output.status.code().unwrap(), serde_json::from_slice::<Value>(&output.stdout).unwrap_or_default())
    };
    let (code, told) = check(&of_request);
    assert_eq!((code, &told["ok"], &told["kind"]), (0, &json!(true), &json!("erase")), "{told}");
    assert_eq!(told["duties"][0]["outcome"], "verified", "{told}");
    assert!(told["not_checked"].as_array().unwrap().len() >= 4, "{told}");
    assert_eq!(check(&of_sweep).0, 0);
    // Whatever is changed in it is found: its words, a decision, its salt, its place, its proof, the order.
    let spoil: [&dyn Fn(&mut Value); 8] = [
        &|c| c["of"] = json!("rq_other"),
        &|c| c["kind"] = json!("access"),
        &|c| c["duties"][0]["outcome"] = json!("executed"),
        &|c| c["duties"] = json!([]),
        &|c| c["logs"][0]["entries"][0]["decisions"][0]["salt"] = json!("AAAA"),
        &|c| c["logs"][0]["entries"][0]["decisions"][0]["index"] = json!(7),
        &|c| c["logs"][0]["entries"].as_array_mut().unwrap().reverse(),
        &|c| c["logs"][0]["partition"] = json!(9),
    ];
    for (n, spoil) in spoil.iter().enumerate() {
        let mut spoilt = of_request.clone();
        spoil(&mut spoilt);
        let (code, told) = check(&spoilt);
        assert!(code == 1 && told["finding"].is_string(), "{n}: {told}");
    }
    // Decisions of a sweep do not make another's certificate.
    let mut mixed = of_request.clone();
    mixed["logs"] = of_sweep["logs"].clone();
    assert_eq!(check(&mixed).0, 1);
    let other = self::kept().await;
    fs::write(folder.path().join("keys"), &other.keys).unwrap();
    let (code, told) = check(&of_request);
    assert!(code == 1 && told["finding"].as_str().unwrap().contains("by this key"), "{told}");
}
