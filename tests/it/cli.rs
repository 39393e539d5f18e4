//! Golden transcripts: `tests/cli/NAME.args` (an argument a line) with what it prints and its exit code beside it.
//!
//! `QUIETUS_UPDATE=1` writes them anew.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use quietus::surface::cli::reference;

/// The binary under test, at the project's root, with nothing of ours in its environment.
pub fn quietus(folder: &Path, args: &[String]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_quietus"));
    for (name, _) in std::env::vars_os() {
        if name.to_string_lossy().starts_with("QUIETUS_") {
            command.env_remove(name);
        }
    }
    command.args(args).current_dir(folder).env_remove("RUST_LOG").output().expect("the binary runs")
}

pub fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

fn updates() -> bool {
    std::env::var_os("QUIETUS_UPDATE").is_some()
}

/// What stands in the file, which is written anew when that is asked for.
fn same(path: &Path, now: &str, wrong: &mut Vec<String>) {
    if updates() {
        fs::write(path, now).unwrap();
        return;
    }
    let golden = fs::read_to_string(path).unwrap_or_default();
    if golden != now {
        wrong.push(format!("{}:\n--- golden\n{golden}\n--- now\n{now}", path.display()));
    }
}

#[test]
fn transcripts_are_as_they_were() {
    let folder = root().join("tests/cli");
    let mut cases: Vec<PathBuf> = fs::read_dir(&folder).unwrap().map(|e| e.unwrap().path()).collect();
    cases.retain(|path| path.extension().is_some_and(|e| e == "args"));
    cases.sort();
    assert!(cases.len() >= 12, "{} transcripts in {}", cases.len(), folder.display());
    let mut wrong = Vec::new();
    for case in cases {
        let args: Vec<String> = fs::read_to_string(&case).unwrap().lines().map(str::to_owned).collect();
        let output = quietus(&root(), &args);
        same(&case.with_extension("stdout"), &String::from_utf8_lossy(&output.stdout), &mut wrong);
        same(&case.with_extension("stderr"), &String::from_utf8_lossy(&output.stderr), &mut wrong);
        let code = output.status.code().expect("it ended by itself");
        same(&case.with_extension("code"), &format!("{code}\n"), &mut wrong);
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n\n"));
}

#[test]
fn the_reference_is_what_clap_knows() {
    let mut wrong = Vec::new();
    same(&root().join("docs/cli.md"), &reference(), &mut wrong);
    assert!(wrong.is_empty(), "QUIETUS_UPDATE=1 writes docs/cli.md anew\n{}", wrong.join("\n"));
}
