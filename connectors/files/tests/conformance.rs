//! The laws on the files connector, and the proof that they can see.

mod harness;

use std::sync::Arc;

use harness::{Files, connector};
use quietus_conformance::{broken_laws, prove, run};

#[tokio::test]
async fn the_files_connector_passes_every_law() {
    let results = run(&Files::new().expect("a folder")).await;
    assert_eq!(broken_laws(&results), Vec::<String>::new());
    let can = connector(std::path::Path::new("/nobody")).expect("a well-formed address").describe();
    let readme = include_str!("../README.md");
    for table in [quietus_conformance::table(&results), quietus_conformance::abilities(&can)] {
        assert!(readme.contains(&table), "README.md is to hold:\n{table}");
    }
}

#[tokio::test]
async fn each_broken_connector_fails_exactly_its_law() {
    assert_eq!(prove(Arc::new(Files::new().expect("a folder"))).await, Vec::<String>::new());
}
