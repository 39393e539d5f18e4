//! What the fuzzer has found and what it began with, read again by every decoder: `fuzz/corpus/TARGET/`.

#[path = "../../fuzz/src/decoders/mod.rs"]
mod decoders;

use std::collections::BTreeSet;
use std::fs;

use super::cli::root;

#[test]
fn every_decoder_reads_its_corpus() {
    for (target, decode) in decoders::TARGETS {
        let folder = root().join("fuzz/corpus").join(target);
        let mut files: Vec<_> = fs::read_dir(&folder)
            .unwrap_or_else(|e| panic!("{}: {e}", folder.display()))
            .map(|entry| entry.unwrap().path())
            .collect();
        files.sort();
        assert!(files.len() >= 3, "{}: {} files are no corpus", folder.display(), files.len());
        for file in files {
            // The test's output names the input that a decoder could not bear.
            eprintln!("{}", file.display());
            decode(&fs::read(&file).unwrap());
        }
    }
}

#[test]
fn every_target_is_built_and_has_a_corpus() {
    let known: BTreeSet<String> = decoders::TARGETS.iter().map(|(name, _)| (*name).to_owned()).collect();
    let named = |folder: &str| -> BTreeSet<String> {
        let names = fs::read_dir(root().join(folder)).unwrap().map(|entry| entry.unwrap().file_name());
        names.map(|name| name.to_string_lossy().trim_end_matches(".rs").to_owned()).collect()
    };
    assert_eq!(named("fuzz/targets"), known);
    assert_eq!(named("fuzz/corpus"), known);
    let manifest = fs::read_to_string(root().join("fuzz/Cargo.toml")).unwrap();
    for name in &known {
        assert!(
            manifest.contains(&format!("path = \"targets/{name}.rs\"")),
            "fuzz/Cargo.toml builds no {name}"
        );
    }
}
