//! The laws on the SQLite connector, and the proof that they can see.

#![expect(clippy::expect_used, reason = "a test stops where it cannot go on")]

mod harness;

use std::sync::Arc;

use harness::{Sqlite, connector};
use quietus_conformance::{broken_laws, prove, run};

#[tokio::test]
async fn the_sqlite_connector_passes_every_law() {
    let results = run(&Sqlite::new().expect("a folder")).await;
    assert_eq!(broken_laws(&results), Vec::<String>::new());
    let readme = include_str!("../README.md");
    for table in [quietus_conformance::table(&results), quietus_conformance::abilities(&describe())] {
        assert!(readme.contains(&table), "README.md is to hold:\n{table}");
    }
}

#[tokio::test]
async fn each_broken_connector_fails_exactly_its_law() {
    assert_eq!(prove(Arc::new(Sqlite::new().expect("a folder"))).await, Vec::<String>::new());
}

fn describe() -> quietus_contract::Capabilities {
    connector("/nobody/none.db").expect("a well-formed address").describe()
}
