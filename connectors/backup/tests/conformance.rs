//! The laws on the backup connector, and the proof that they can see.
//!
//! Every change of the fixture makes a generation, as a nightly backup would; the newest is what lies there.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use quietus_backup::BackupConnector;
use quietus_conformance::{Harness, Row, broken_laws, fixture, prove, run};
use quietus_contract::Connector;

struct Nights {
    dir: tempfile::TempDir,
    /// Targets made, and generations in the last of them.
    made: Mutex<(u32, u32)>,
}

impl Nights {
    fn new() -> std::io::Result<Self> {
        Ok(Self { dir: tempfile::tempdir()?, made: Mutex::default() })
    }

    fn newest(&self) -> Result<PathBuf, String> {
        let (target, generation) = *self.made.lock().map_err(said)?;
        Ok(self.dir.path().join(target.to_string()).join(generation.to_string()))
    }

    /// A table's rows as lines: the dataset, then the columns.
    fn back_up(&self, rows: &[Row]) -> Result<(), String> {
        self.made.lock().map_err(said)?.1 += 1;
        let lines: Vec<(&String, &_)> = rows.iter().map(|r| (&r.dataset, &r.columns)).collect();
        fs::write(self.newest()?, serde_json::to_vec(&lines).map_err(said)?).map_err(said)
    }
}

fn said(error: impl std::fmt::Display) -> String {
    error.to_string()
}

fn connector(path: &Path) -> Result<Arc<dyn Connector>, String> {
    let opened = BackupConnector::open(&fixture::manifest("backup"), &format!("file://{}", path.display()));
    Ok(Arc::new(opened.map_err(said)?))
}

#[async_trait]
impl Harness for Nights {
    async fn prepare(&self, rows: &[Row]) -> Result<Arc<dyn Connector>, String> {
        let target = {
            let mut made = self.made.lock().map_err(said)?;
            *made = (made.0 + 1, 0);
            self.dir.path().join(made.0.to_string())
        };
        fs::create_dir(&target).map_err(said)?;
        self.back_up(rows)?;
        connector(&target)
    }

    async fn put(&self, row: &Row) -> Result<(), String> {
        let mut rows = self.rows().await?;
        rows.retain(|r| r.dataset != row.dataset || r.locator() != row.locator());
        rows.push(row.clone());
        self.back_up(&rows)
    }

    async fn rows(&self) -> Result<Vec<Row>, String> {
        let bytes = fs::read(self.newest()?).map_err(said)?;
        let lines: Vec<(String, _)> = serde_json::from_slice(&bytes).map_err(said)?;
        Ok(lines.into_iter().map(|(dataset, columns)| Row { dataset, columns }).collect())
    }

    async fn unreachable(&self) -> Option<Arc<dyn Connector>> {
        connector(&self.dir.path().join("nobody")).ok()
    }

    fn enforces_references(&self) -> bool {
        false
    }
}

#[tokio::test]
async fn the_backup_connector_passes_every_law() {
    let results = run(&Nights::new().expect("a folder")).await;
    assert_eq!(broken_laws(&results), Vec::<String>::new());
    let can = connector(Path::new("/nobody")).expect("a well-formed address").describe();
    let readme = include_str!("../README.md");
    for table in [quietus_conformance::table(&results), quietus_conformance::abilities(&can)] {
        assert!(readme.contains(&table), "README.md is to hold:\n{table}");
    }
}

#[tokio::test]
async fn each_broken_connector_fails_exactly_its_law() {
    assert_eq!(prove(Arc::new(Nights::new().expect("a folder"))).await, Vec::<String>::new());
}
