//! The binary as a node: it serves, is brought to what files say, ends in order, and its folder proves it.

use std::fs;
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};

use super::cli::quietus;

struct Served {
    child: Child,
    url: String,
}

impl Drop for Served {
    fn drop(&mut self) {
        let _ = self.child.kill();
    }
}

fn serve(folder: &Path) -> Served {
    let mut child = Command::new(env!("CARGO_BIN_EXE_quietus"))
        .args(["serve", "--dir", "data", "--listen", "127.0.0.1:0"])
        .current_dir(folder)
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(child.stderr.take().unwrap()).lines().map(Result::unwrap);
    let url =
        lines.find_map(|line| line.strip_prefix("listening on ").map(str::to_owned)).expect("it listens");
    std::thread::spawn(move || lines.for_each(drop));
    Served { child, url }
}

#[test]
fn a_node_is_applied_to_ends_in_order_and_its_folder_proves_it() {
    let folder = tempfile::tempdir().unwrap();
    let files = folder.path().join("conf");
    fs::create_dir(&files).unwrap();
    fs::write(files.join("shop.yaml"), super::world::POLICY).unwrap();
    fs::write(files.join("cache.system.yaml"), "system: cache\nkind: memory\n").unwrap();
    let mut served = serve(folder.path());
    let run = |args: &[&str]| {
        let args: Vec<String> = args.iter().map(|a| (*a).to_owned()).collect();
        let output = quietus(folder.path(), &args);
        let text = |bytes| String::from_utf8_lossy(bytes).into_owned();
        (output.status.code(), text(&output.stdout), text(&output.stderr))
    };
    let url = served.url.clone();
    let created = "created    policy  shop\ncreated    system  cache\n";
    let unchanged = created.replace("created  ", "unchanged");
    let apply = |more: &[&str]| run(&[&["apply", "conf", "--url", &url], more].concat());
    assert_eq!(apply(&["--dry-run"]), (Some(1), created.to_owned(), String::new()));
    assert_eq!(apply(&[]), (Some(0), created.to_owned(), String::new()));
    assert_eq!(apply(&["--dry-run"]), (Some(0), unchanged, String::new()));
    fs::remove_file(files.join("cache.system.yaml")).unwrap();
    assert_eq!(apply(&["--prune"]).1, "unchanged  policy  shop\nremoved    system  cache\n");

    let (code, _, said) = run(&["serve", "--dir", "data", "--listen", "127.0.0.1:0"]);
    assert!(code == Some(2) && said.contains("another process holds this ledger"), "{said}");

    assert_eq!(run(&["sweep", "run", "--wait", "--url", &url]).0, Some(0));
    let online = run(&["audit", "state-digest", "--url", &url]).1;
    assert_eq!(online.trim().len(), 64);
    let id = served.child.id().to_string();
    assert!(Command::new("kill").args(["-TERM", &id]).status().unwrap().success());
    assert_eq!(served.child.wait().unwrap().code(), Some(0));
    assert_eq!(run(&["audit", "state-digest", "--dir", "data"]), (Some(0), online, String::new()));
    let (code, verified, _) = run(&["audit", "verify", "--dir", "data", "--json"]);
    assert!(code == Some(0) && verified.contains("\"clean\": true"), "{verified}");

    let segments = fs::read_dir(folder.path().join("data/ledger")).unwrap().map(|e| e.unwrap().path());
    let largest = segments.max_by_key(|path| fs::metadata(path).unwrap().len()).unwrap();
    let mut bytes = fs::read(&largest).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    fs::write(&largest, bytes).unwrap();
    let (code, said, _) = run(&["audit", "verify", "--dir", "data"]);
    assert!(code == Some(1) && said.contains("damaged at byte"), "{said}");
}
