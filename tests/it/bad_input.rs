//! Hostile and broken input: `tests/bad_input/NAME/` holds `args` (an argument a line) with its files, or `post` (path
//! and content type, a line each) with a `body`, and `expect`.
//!
//! `expect` has lines `exit: N` or `status: N`, `says: TEXT` (anywhere in what was answered: the place) and `fix: TEXT`
//! (the remedy; of a call, it stands in a field `fix`). A large file is described instead of kept: `make: NAME COUNT TEXT`
//! appends TEXT so often, with `\n`, `\t` and `\0` read.

use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use serde_json::Value;

use super::cli::{quietus, root};
use super::world::World;

/// Nothing hostile may keep a person waiting; a loaded machine may.
const LIMIT: Duration = Duration::from_secs(20);

#[derive(Default)]
struct Expect {
    exit: Option<i32>,
    status: Option<u16>,
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
                "status" => out.status = Some(value.parse().unwrap()),
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

fn cases(file: &str) -> Vec<PathBuf> {
    let folder = root().join("tests/bad_input");
    let mut cases: Vec<PathBuf> = fs::read_dir(&folder).unwrap().map(|e| e.unwrap().path()).collect();
    assert!(
        cases.iter().all(|case| case.join("args").exists() != case.join("post").exists()),
        "each case has either `args` or `post`"
    );
    cases.retain(|case| case.join(file).exists());
    cases.sort();
    cases
}

#[test]
fn what_is_wrong_is_answered_with_its_place_and_its_remedy() {
    let cases = cases("args");
    assert!(cases.len() >= 60, "{} cases", cases.len());
    let wrong: Vec<String> = cases.iter().filter_map(|case| run(case).err()).collect();
    assert!(wrong.is_empty(), "{}", wrong.join("\n\n"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wrong_call_is_answered_with_its_place_and_its_remedy_and_takes_nothing_in() {
    let cases = cases("post");
    assert!(cases.len() >= 16, "{} cases", cases.len());
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("shop.db");
    rusqlite::Connection::open(&file)
        .unwrap()
        .execute_batch("CREATE TABLE users (id INTEGER PRIMARY KEY, email TEXT)")
        .unwrap();
    let world = World::start(folder.path()).await;
    world.set_up(&file).await;
    let mut wrong = Vec::new();
    for case in &cases {
        wrong.extend(call(case, &world).await.err());
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n\n"));
    let (_, plan) = world.post("/v1/sweeps", &serde_json::json!({"plan": true})).await;
    assert_eq!((&plan["items"], &plan["subjects"]), (&0.into(), &0.into()), "{plan}");
    world.stop().await;
}

/// The case's files with those that are only described, in a folder of their own.
fn laid_out(case: &Path, expect: &Expect) -> tempfile::TempDir {
    let work = tempfile::tempdir().unwrap();
    for file in fs::read_dir(case).unwrap().map(|e| e.unwrap().path()) {
        fs::copy(&file, work.path().join(file.file_name().unwrap())).unwrap();
    }
    for (name, count, text) in &expect.make {
        let path = work.path().join(name);
        let mut file = fs::OpenOptions::new().create(true).append(true).open(path).unwrap();
        file.write_all(text.repeat(*count).as_bytes()).unwrap();
    }
    work
}

async fn call(case: &Path, world: &World) -> Result<(), String> {
    let expect = Expect::read(case);
    let fail = |why: String| Err(format!("{}: {why}", case.display()));
    let Some(status) = expect.status else { return fail("expect has no `status:`".into()) };
    if expect.says.is_empty() || expect.fixes.is_empty() {
        return fail("expect must have `says:` (the place) and `fix:` (the remedy)".into());
    }
    let work = laid_out(case, &expect);
    let post = fs::read_to_string(case.join("post")).unwrap();
    let (path, media) = post.trim_end().split_once('\n').unwrap();
    let began = Instant::now();
    let request = reqwest::Client::new()
        .post(format!("{}{path}", world.url))
        .header("content-type", media)
        .header("idempotency-key", quietus::node::fresh_id("ik"))
        .body(fs::read(work.path().join("body")).unwrap());
    let answer = request.send().await.unwrap();
    let (took, found) = (began.elapsed(), answer.status().as_u16());
    let body: Value = answer.json().await.unwrap_or_default();
    if found != status {
        return fail(format!("status {found} instead of {status}\n{body}"));
    }
    let said = body.to_string();
    if let Some(missing) = expect.says.iter().find(|wanted| !said.contains(wanted.as_str())) {
        return fail(format!("it does not say `{missing}`\n{body}"));
    }
    let fixes: Vec<&str> = ["errors", "rejected"]
        .iter()
        .filter_map(|list| body[*list].as_array())
        .flatten()
        .filter_map(|one| one["fix"].as_str())
        .collect();
    if let Some(missing) =
        expect.fixes.iter().find(|wanted| !fixes.iter().any(|f| f.contains(wanted.as_str())))
    {
        return fail(format!("no remedy says `{missing}`\n{body}"));
    }
    if took > LIMIT {
        return fail(format!("it took {took:?}"));
    }
    Ok(())
}

fn run(case: &Path) -> Result<(), String> {
    let expect = Expect::read(case);
    let fail = |why: String| Err(format!("{}: {why}", case.display()));
    let Some(exit) = expect.exit else { return fail("expect has no `exit:`".into()) };
    if expect.says.is_empty() || expect.fixes.is_empty() {
        return fail("expect must have `says:` (the place) and `fix:` (the remedy)".into());
    }
    let work = laid_out(case, &expect);
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
