//! The conventions that a compiler does not hold: who may import, ask, name and issue what.
//!
//! Each check reads the tree as text and names the file and line that breaks it. Where a rule has exceptions they
//! stand here, each with its reason.
#![expect(clippy::unwrap_used, clippy::panic, reason = "a check says what is wrong by panicking")]

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

/// Module → what it may import of the others. The flow goes intake → ledger → core → store → partition →
/// schedule → dispatch → confirm → ledger; `node` ties them together and the surfaces stand on it.
const FLOW: &[(&str, &[&str])] = &[
    ("clock", &[]),
    ("durable", &[]),
    ("faults", &[]),
    ("sabotage", &[]),
    // Of tests alone.
    ("small_disk", &[]),
    ("sealing", &["durable"]),
    ("telemetry", &[]),
    ("store", &["durable", "faults"]),
    ("ledger", &["durable", "faults"]),
    ("intake", &["ledger", "sealing"]),
    ("registering", &[]),
    ("audit", &[]),
    ("partition", &["audit", "durable", "sabotage", "store"]),
    ("confirm", &[]),
    // Loops and proposals of a running node: they read its partitions and append through it, never past it. The hold
    // barrier asks dispatch what is under way.
    ("schedule", &["clock", "dispatch", "node", "partition"]),
    ("dispatch", &["confirm", "faults", "node", "partition", "sabotage", "sealing", "telemetry"]),
    (
        "node",
        &[
            "audit",
            "clock",
            "dispatch",
            "durable",
            "faults",
            "intake",
            "ledger",
            "partition",
            "registering",
            "schedule",
            "sealing",
            "store",
            "telemetry",
        ],
    ),
    // The bench is a client of the served node, and of a connector with a permit of its own; it weighs the store.
    ("bench", &["clock", "dispatch", "node", "schedule", "sealing", "store", "surface"]),
    ("demo", &["clock", "node", "partition", "schedule", "sealing"]),
    (
        "surface",
        &[
            "audit",
            "bench",
            "clock",
            "demo",
            "durable",
            "intake",
            "ledger",
            "node",
            "partition",
            "registering",
            "schedule",
            "sealing",
            "telemetry",
        ],
    ),
];

/// What the core may stand on: nothing that asks a clock, does input or output, or waits.
const PURE: &[(&str, &str)] = &[
    ("blake3", "ids and digests"),
    ("cron", "the next time of a schedule, from a time that is given"),
    ("data-encoding", "ids as people read them"),
    ("jiff", "calendars with the bundled time zones"),
    ("saphyr-parser", "YAML with places"),
    ("serde", "records"),
    ("serde_bytes", "columns"),
    ("serde_json", "documents"),
    ("sha2", "Merkle trees"),
    ("strsim", "the nearest known key"),
    ("thiserror", "errors"),
    ("unicode-normalization", "identities in one spelling, by bundled tables"),
];

/// A stopwatch measures and paces; it never says what time it is. Who decides may not hold one.
const STOPWATCHES: &[&str] = &[
    "src/clock.rs",
    "src/bench/",
    "src/demo/",
    "src/dispatch/",
    "src/servers/",
    "src/surface/cli/",
    "connectors/",
    "tests/",
];

/// Files that a connector of some kind has no use for.
const NOT_NEEDED: &[(&str, &str)] = &[("connectors/memory/src/config.rs", "it has no connection")];

fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

/// Every file below the root that is not built, by its path from there.
fn files() -> Vec<String> {
    fn walk(dir: &Path, found: &mut Vec<PathBuf>) {
        for entry in std::fs::read_dir(dir).unwrap() {
            let path = entry.unwrap().path();
            let name = path.file_name().unwrap().to_string_lossy().into_owned();
            let is_made = ["target", "quietus-data", ".git", ".test", "__pycache__"].contains(&name.as_str());
            match path.is_dir() {
                _ if is_made => {}
                true => walk(&path, found),
                false => found.push(path),
            }
        }
    }
    let mut found = Vec::new();
    walk(&root(), &mut found);
    let mut names: Vec<String> =
        found.iter().map(|p| p.strip_prefix(root()).unwrap().to_string_lossy().into_owned()).collect();
    names.sort();
    assert!(names.len() > 300, "the tree was not found: {} files", names.len());
    names
}

fn rust() -> impl Iterator<Item = (String, String)> {
    let own = |name: &String| name.ends_with(".rs") && name != "tests/architecture.rs";
    files().into_iter().filter(own).map(|name| {
        let text = std::fs::read_to_string(root().join(&name)).unwrap();
        (name, text)
    })
}

fn read(name: &str) -> String {
    std::fs::read_to_string(root().join(name)).unwrap_or_else(|e| panic!("{name}: {e}"))
}

/// `FILE:LINE` of every line of code that names one of these.
fn naming(files: impl Iterator<Item = (String, String)>, words: &[&str]) -> Vec<String> {
    let names = |line: &str| !line.trim_start().starts_with("//") && words.iter().any(|w| line.contains(w));
    let of = |(name, text): (String, String)| -> Vec<String> {
        let lines = text.lines().enumerate().filter(|(_, line)| names(line));
        lines.map(|(n, line)| format!("{name}:{}: {}", n + 1, line.trim())).collect()
    };
    files.flat_map(of).collect()
}

fn assert_none(found: &[String], why: &str) {
    assert!(found.is_empty(), "{why}:\n{}", found.join("\n"));
}

#[test]
fn modules_import_along_the_flow() {
    let allowed: BTreeMap<&str, BTreeSet<&str>> =
        FLOW.iter().map(|(name, may)| (*name, may.iter().copied().collect())).collect();
    let mut wrong = Vec::new();
    let mut used: BTreeMap<&str, BTreeSet<String>> = BTreeMap::new();
    let other_crates = ["src/core/", "src/servers/"];
    let ours = |name: &str| name.starts_with("src/") && !other_crates.iter().any(|c| name.starts_with(c));
    for (name, text) in rust().filter(|(name, _)| ours(name)) {
        let module = name["src/".len()..].split(['/', '.']).next().unwrap();
        if ["lib", "main"].contains(&module) {
            continue;
        }
        let Some((module, may)) = allowed.get_key_value(module) else {
            panic!("{name}: a new module; say in the table of this test what it may import")
        };
        let is_test = name.contains("/tests/") || name.ends_with("/tests.rs");
        for (n, line) in text.lines().enumerate() {
            for import in line.split("crate::").skip(1) {
                let target: String =
                    import.chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect();
                assert!(
                    !import.starts_with('{'),
                    "{name}:{}: one `use` a module, so that this can be read",
                    n + 1
                );
                if !allowed.contains_key(target.as_str()) || target == **module {
                    continue;
                }
                if !is_test && !may.contains(target.as_str()) {
                    wrong.push(format!("{name}:{}: {module} must not use {target}", n + 1));
                }
                used.entry(module).or_default().insert(target);
            }
        }
    }
    assert_none(&wrong, "against the flow");
    for (module, may) in &allowed {
        let unused: Vec<&&str> =
            may.iter().filter(|m| !used.get(module).is_some_and(|u| u.contains(**m))).collect();
        assert!(unused.is_empty(), "{module} no longer uses {unused:?}: take it out of the table");
    }
}

#[test]
fn the_core_stands_on_what_is_pure() {
    let manifest = read("src/core/Cargo.toml");
    let dependencies = manifest.split("[dependencies]").nth(1).unwrap().split("\n[").next().unwrap();
    for line in dependencies.lines().filter(|l| l.contains('=')) {
        let name = line.split(['.', ' ', '=']).next().unwrap();
        assert!(PURE.iter().any(|(pure, _)| *pure == name), "src/core must not depend on {name}");
    }
    let shell = rust().filter(|(name, _)| name.starts_with("src/core/"));
    assert_none(
        &naming(
            shell,
            &[
                "quietus::",
                "std::env",
                "std::fs",
                "TcpStream",
                "TcpListener",
                "UdpSocket",
                "std::process",
                "std::thread",
            ],
        ),
        "the core acts",
    );
}

#[test]
fn one_place_asks_the_clock() {
    let elsewhere = rust().filter(|(name, _)| name != "src/clock.rs");
    let clocks = ["SystemTime::now", "Timestamp::now", "Zoned::now", "Utc::now", "Local::now"];
    assert_none(&naming(elsewhere, &clocks), "time is an argument; only src/clock.rs asks");
    let deciding = rust().filter(|(name, _)| {
        let is_test = name.contains("/tests") || name.contains("/examples/");
        !is_test && !STOPWATCHES.iter().any(|may| name.starts_with(may))
    });
    // Inline tests measure too.
    let code = deciding.map(|(name, text)| {
        let code = text.split("#[cfg(test)]\nmod tests {").next().unwrap().to_owned();
        (name, code)
    });
    assert_none(&naming(code, &["Instant::now"]), "a stopwatch where something is decided");
}

#[test]
fn permits_come_from_dispatch_alone() {
    let elsewhere = rust().filter(|(name, _)| {
        let proves = name.starts_with("connectors/conformance/src/")
            || name.starts_with("connectors/") && (name.contains("/tests/") || name.contains("/examples/"));
        !name.starts_with("src/dispatch/") && !proves
    });
    assert_none(
        &naming(elsewhere, &["Permit::issue"]),
        "a permit to destroy is issued by src/dispatch alone",
    );
}

#[test]
fn the_store_alone_names_its_engine_and_the_node_its_connectors() {
    let elsewhere = rust().filter(|(name, _)| !name.starts_with("src/store/"));
    assert_none(&naming(elsewhere, &["sled::"]), "only src/store names sled");
    // Telemetry leaves a driver's own log out, by its name.
    let shell = rust().filter(|(name, _)| {
        name.starts_with("src/") && !name.starts_with("src/node/") && name != "src/telemetry/log.rs"
    });
    let kinds: Vec<String> = connectors().iter().map(|kind| format!("quietus_{kind}")).collect();
    let kinds: Vec<&str> = kinds.iter().map(String::as_str).collect();
    assert_none(&naming(shell, &kinds), "a connector is reached through the contract; src/node makes it");
}

/// The folders of connectors: not the contract, not the suite, not the examples for other languages.
fn connectors() -> BTreeSet<String> {
    let folder = |name: &String| Some(name.strip_prefix("connectors/")?.split('/').next()?.to_owned());
    let all = files().iter().filter_map(folder).collect::<BTreeSet<_>>();
    let kinds =
        all.into_iter().filter(|name| !["contract", "conformance", "examples"].contains(&name.as_str()));
    let kinds: BTreeSet<String> = kinds.collect();
    assert!(kinds.len() >= 3, "{kinds:?}");
    kinds
}

#[test]
fn connectors_have_the_same_files() {
    for kind in connectors() {
        for file in [
            "README.md",
            "src/lib.rs",
            "src/config.rs",
            "src/erase.rs",
            "src/verify.rs",
            "tests/conformance.rs",
        ] {
            let path = format!("connectors/{kind}/{file}");
            let spared = NOT_NEEDED.iter().any(|(name, _)| *name == path);
            assert_eq!(
                root().join(&path).is_file(),
                !spared,
                "{path}: the same noun in the same file everywhere"
            );
        }
    }
}

#[test]
fn files_stay_short() {
    let length = |(name, text): (String, String)| (text.lines().count(), name);
    let mut long: Vec<(usize, String)> = rust().map(length).filter(|(lines, _)| *lines > 400).collect();
    long.sort();
    long.iter().for_each(|(lines, name)| eprintln!("{name}: {lines} lines; past 400 it should be split"));
    let too_long: Vec<String> =
        long.iter().filter(|(l, _)| *l > 500).map(|(l, n)| format!("{n}: {l}")).collect();
    assert_none(&too_long, "past 500 lines a file has a second noun: split it");
}

#[test]
fn every_schema_has_its_golden_bytes() {
    let avro: Vec<String> = files().into_iter().filter(|n| n.starts_with("schemas/avro/")).collect();
    let schemas: Vec<&String> = avro.iter().filter(|n| n.ends_with(".avsc")).collect();
    assert!(schemas.len() > 30);
    for schema in schemas {
        let golden = schema.replace(".avsc", ".golden");
        assert!(
            avro.contains(&golden),
            "{golden} is missing: cargo test -p quietus --lib -- --ignored bless"
        );
    }
    let folders: BTreeSet<&str> = avro.iter().filter_map(|n| n.split('/').nth(2)).collect();
    let ids: BTreeMap<String, serde_json::Value> =
        serde_json::from_str(&read("schemas/avro/ids.json")).unwrap();
    ids.keys()
        .for_each(|name| assert!(folders.contains(name.as_str()), "ids.json names {name}: no such schema"));
}

#[test]
fn every_crate_takes_the_lints_of_the_workspace() {
    let workspace = read("Cargo.toml");
    for lint in [
        "unsafe_code = \"forbid\"",
        "todo = \"deny\"",
        "unimplemented = \"deny\"",
        "allow_attributes_without_reason = \"deny\"",
        "unwrap_used = \"deny\"",
        "disallowed_methods = \"deny\"",
    ] {
        assert!(workspace.contains(lint), "Cargo.toml no longer says `{lint}`");
    }
    for manifest in files().iter().filter(|n| n.ends_with("Cargo.toml") && *n != "fuzz/Cargo.toml") {
        assert!(read(manifest).contains("[lints]\nworkspace = true"), "{manifest} does not take the lints");
    }
    // The lint sees what is compiled; this sees every branch of cfg.
    assert_none(&naming(rust(), &[concat!("to", "do!("), concat!("unimple", "mented!(")]), "unfinished");
}

/// A switch that takes a check out is for the simulation: what is released must not have it.
#[test]
fn no_release_has_the_switch_that_takes_checks_out() {
    let switch = concat!("QUIETUS_", "SABOTAGE");
    let mut switched = BTreeSet::new();
    for (name, text) in rust().filter(|(name, _)| !name.starts_with("tests/")) {
        let lines: Vec<&str> = text.lines().collect();
        let code = |n: &usize| !lines[*n].trim_start().starts_with("//") && lines[*n].contains(switch);
        for n in (0..lines.len()).filter(code) {
            let guard = ["#[cfg(debug_assertions)]", "cfg!(debug_assertions) &&"];
            let near = lines[n.saturating_sub(3)..=n].iter().any(|l| guard.iter().any(|g| l.contains(g)));
            assert!(near, "{name}:{}: {switch} is read where debug assertions are not asked for", n + 1);
            switched.insert(name.clone());
        }
    }
    assert!(switched.contains("src/sabotage.rs"), "the switch was not found: {switched:?}");
    for manifest in files().iter().filter(|n| n.ends_with(".toml")) {
        assert!(!read(manifest).contains("debug-assertions"), "{manifest}: a release would take them along");
    }
}

/// Spelt in two halves, so that this file does not find itself.
#[test]
fn nothing_points_at_somebodys_machine() {
    let hosts = [
        concat!("/ho", "me/"),
        concat!("/Us", "ers/"),
        concat!("/ro", "ot/"),
        concat!("/wo", "rk/"),
        concat!("index.cra", "tes.io"),
        concat!("static.cra", "tes.io"),
        concat!("registry.npm", "js"),
        concat!("files.pythonho", "sted"),
        concat!("repo1.ma", "ven"),
        concat!("repo.maven.apa", "che"),
        concat!("proxy.go", "lang"),
        concat!("deb.deb", "ian.org"),
    ];
    let mut found = Vec::new();
    for name in files() {
        let Ok(text) = std::fs::read_to_string(root().join(&name)) else { continue };
        let lines = text.lines().enumerate().filter(|(_, line)| hosts.iter().any(|h| line.contains(h)));
        found.extend(lines.map(|(n, _)| format!("{name}:{}", n + 1)));
    }
    assert_none(&found, "a developer's path or a registry's host");
}
