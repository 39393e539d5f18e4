//! Hostile and broken input: `tests/bad_input/NAME/` holds `args` (an argument a line), its files, and `expect`.
//!
//! `expect` has lines `exit: N`, `says: TEXT` (anywhere in what was printed) and `fix: TEXT` (the remedy). A large
//! file is described instead of kept: `make: NAME COUNT TEXT` repeats TEXT, with `\n`, `\t` and `\0` read.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use super::cli::{quietus, root};

/// Nothing hostile may keep a person waiting; a loaded machine may.
const LIMIT: Duration = Duration::from_secs(20);

#[derive(Default)]
struct Expect {
    exit: Option<i32>,
    says: Vec<String>,
    fixes: Vec<String>,
    make: Vec<(String, usize, String)>,
}

impl Expect {
    fn read(case: &Path) -> Self {
        let mut out = Self::default();
        for line in fs::read_to_string(case.join("expect")).unwrap().lines().filter(|l| !l.is_empty()) {
            let (key, value) = line.split_once(": ").unwrap_or_else(|| panic!("{}: {line}", case.display()));
            match key {
                "exit" => out.exit = Some(value.parse().unwrap()),
                "says" => out.says.push(value.to_owned()),
                "fix" => out.fixes.push(value.to_owned()),
                "make" => {
                    let mut words = value.splitn(3, ' ');
                    let name = words.next().unwrap().to_owned();
                    let count = words.next().unwrap().parse().unwrap();
                    let text =
                        words.next().unwrap().replace("\\n", "\n").replace("\\t", "\t").replace("\\0", "\0");
                    out.make.push((name, count, text));
                }
                other => panic!("{}: `{other}` is no key of expect", case.display()),
            }
        }
        out
    }
}

#[test]
fn what_is_wrong_is_answered_with_its_place_and_its_remedy() {
    let folder = root().join("tests/bad_input");
    let mut cases: Vec<PathBuf> = fs::read_dir(&folder).unwrap().map(|e| e.unwrap().path()).collect();
    cases.sort();
    assert!(cases.len() >= 40, "{} cases in {}", cases.len(), folder.display());
    let wrong: Vec<String> = cases.iter().filter_map(|case| run(case).err()).collect();
    assert!(wrong.is_empty(), "{}", wrong.join("\n\n"));
}

fn run(case: &Path) -> Result<(), String> {
    let expect = Expect::read(case);
    let fail = |why: String| Err(format!("{}: {why}", case.display()));
    let Some(exit) = expect.exit else { return fail("expect has no `exit:`".into()) };
    if expect.says.is_empty() || expect.fixes.is_empty() {
        return fail("expect must have `says:` (the place) and `fix:` (the remedy)".into());
    }
    let work = tempfile::tempdir().unwrap();
    for file in fs::read_dir(case).unwrap().map(|e| e.unwrap().path()) {
        fs::copy(&file, work.path().join(file.file_name().unwrap())).unwrap();
    }
    for (name, count, text) in &expect.make {
        fs::write(work.path().join(name), text.repeat(*count)).unwrap();
    }
    let args: Vec<String> =
        fs::read_to_string(case.join("args")).unwrap().lines().map(str::to_owned).collect();
    let began = Instant::now();
    let output = quietus(work.path(), &args);
    let took = began.elapsed();
    let text = [output.stdout, output.stderr].concat();
    let said = String::from_utf8_lossy(&text);
    if output.status.code() != Some(exit) {
        return fail(format!("exit {:?} instead of {exit}\n{said}", output.status.code()));
    }
    if let Some(missing) =
        expect.says.iter().chain(&expect.fixes).find(|wanted| !said.contains(wanted.as_str()))
    {
        return fail(format!("it does not say `{missing}`\n{said}"));
    }
    if said.contains("panicked") {
        return fail(format!("it panicked\n{said}"));
    }
    if took > LIMIT {
        return fail(format!("it took {took:?}"));
    }
    Ok(())
}
