//! Files as the conformance laws see them: plain and gzip, JSONL and CSV, read and written without the connector.
//!
//! The laws speak of keys. Here a record's key, hashed by nobody but spelled in hexadecimal, is the identity its line
//! carries in the field `who`; [`Harness::aim`] says a command so.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{Read, Write};
use std::path::PathBuf;
use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use flate2::{Compression, read::GzDecoder, write::GzEncoder};
use quietus_conformance::{Harness, Row, fixture};
use quietus_contract::{Connector, Identity, Locator, Scalar, Secret, Target};
use quietus_core::system::{FileFormat, FileSet, Manifest};
use quietus_files::FilesConnector;

const NULL: &str = "\\N";

pub struct Files {
    dir: tempfile::TempDir,
    made: Mutex<u32>,
}

struct Kind {
    dataset: &'static str,
    path: &'static str,
    pattern: &'static str,
    columns: &'static [&'static str],
}

fn kinds() -> Vec<Kind> {
    let places = [
        (fixture::PEOPLE, "dt=2026-01-01/people.jsonl", "dt={date}/*.jsonl"),
        (fixture::LETTERS, "letters.csv.gz", "letters.csv.gz"),
        (fixture::ORDERS, "orders.csv", "orders.csv"),
    ];
    let of = |(dataset, path, pattern)| {
        let columns = fixture::tables().into_iter().find(|(d, ..)| *d == dataset).map(|(.., c)| c);
        Kind { dataset, path, pattern, columns: columns.unwrap_or_default() }
    };
    places.into_iter().map(of).collect()
}

pub fn manifest() -> Manifest {
    let file = |kind: Kind| FileSet {
        path: kind.pattern.into(),
        format: if kind.path.contains("jsonl") { FileFormat::Jsonl } else { FileFormat::Csv },
        match_: [("who".to_owned(), "record_id".to_owned())].into(),
    };
    Manifest { files: kinds().into_iter().map(file).collect(), ..fixture::manifest("files") }
}

pub fn connector(path: &std::path::Path) -> Result<Arc<dyn Connector>, String> {
    let opened = FilesConnector::open(&manifest(), &format!("file://{}", path.display()));
    Ok(Arc::new(opened.map_err(|e| e.to_string())?))
}

impl Files {
    pub fn new() -> std::io::Result<Self> {
        Ok(Self { dir: tempfile::tempdir()?, made: Mutex::new(0) })
    }

    fn root(&self) -> Result<PathBuf, String> {
        let made = self.made.lock().map_err(|e| e.to_string())?;
        Ok(self.dir.path().join(made.to_string()))
    }

    fn read(&self, kind: &Kind) -> Result<Vec<Row>, String> {
        let mut bytes = Vec::new();
        let mut file = File::open(self.root()?.join(kind.path)).map_err(said)?;
        if kind.path.ends_with(".gz") {
            GzDecoder::new(file).read_to_end(&mut bytes).map_err(said)?;
        } else {
            file.read_to_end(&mut bytes).map_err(said)?;
        }
        let records: Vec<BTreeMap<String, Option<String>>> = if kind.path.contains("jsonl") {
            let values = serde_json::Deserializer::from_slice(&bytes).into_iter();
            values.collect::<Result<_, _>>().map_err(said)?
        } else {
            let mut reader = csv::Reader::from_reader(&*bytes);
            let rows = reader.deserialize::<BTreeMap<String, String>>();
            let opened = |row: BTreeMap<String, String>| {
                row.into_iter().map(|(c, v)| (c, (v != NULL).then_some(v))).collect()
            };
            rows.map(|r| r.map(opened)).collect::<Result<_, _>>().map_err(said)?
        };
        let row = |mut columns: BTreeMap<String, Option<String>>| {
            columns.remove("who");
            Row { dataset: kind.dataset.to_owned(), columns }
        };
        Ok(records.into_iter().map(row).collect())
    }

    fn write(&self, kind: &Kind, rows: &[Row]) -> Result<(), String> {
        let mut bytes = Vec::new();
        if kind.path.contains("jsonl") {
            for row in rows {
                let mut columns = row.columns.clone();
                columns.insert("who".into(), Some(who(&row.dataset, &row.locator())));
                bytes.extend(serde_json::to_vec(&columns).map_err(said)?);
                bytes.push(b'\n');
            }
        } else {
            let mut writer = csv::Writer::from_writer(&mut bytes);
            writer.write_record(kind.columns.iter().chain(&["who"])).map_err(said)?;
            for row in rows {
                let own = who(&row.dataset, &row.locator());
                let values = kind.columns.iter().map(|c| row.get(c).unwrap_or(NULL));
                writer.write_record(values.chain([&*own])).map_err(said)?;
            }
            writer.flush().map_err(said)?;
            drop(writer);
        }
        let path = self.root()?.join(kind.path);
        if kind.path.ends_with(".gz") {
            let mut out = GzEncoder::new(File::create(path).map_err(said)?, Compression::fast());
            out.write_all(&bytes).map_err(said)?;
            out.finish().map_err(said)?;
            return Ok(());
        }
        fs::write(path, bytes).map_err(said)
    }
}

fn said(error: impl std::fmt::Display) -> String {
    error.to_string()
}

/// The record's key in letters that no spelling rule touches.
fn who(dataset: &str, key: &Locator) -> String {
    let text = |scalar: &Scalar| match scalar {
        Scalar::Text(text) | Scalar::Number(text) => text.reveal().to_owned(),
        Scalar::Integer(number) => number.to_string(),
    };
    let key: Vec<String> = key.iter().map(|(column, value)| format!("{column}={}", text(value))).collect();
    format!("{dataset} {}", key.join(" ")).bytes().map(|b| format!("{b:02x}")).collect()
}

#[async_trait]
impl Harness for Files {
    async fn prepare(&self, rows: &[Row]) -> Result<Arc<dyn Connector>, String> {
        *self.made.lock().map_err(said)? += 1;
        let root = self.root()?;
        fs::create_dir_all(root.join("dt=2026-01-01")).map_err(said)?;
        for kind in kinds() {
            let own: Vec<Row> = rows.iter().filter(|r| r.dataset == kind.dataset).cloned().collect();
            self.write(&kind, &own)?;
        }
        connector(&root)
    }

    async fn put(&self, row: &Row) -> Result<(), String> {
        let kind = kinds().into_iter().find(|k| k.dataset == row.dataset);
        let kind = kind.ok_or_else(|| format!("no file for {}", row.dataset))?;
        let mut rows = self.read(&kind)?;
        rows.retain(|r| r.locator() != row.locator());
        rows.push(row.clone());
        self.write(&kind, &rows)
    }

    async fn rows(&self) -> Result<Vec<Row>, String> {
        let mut rows = Vec::new();
        for kind in kinds() {
            rows.extend(self.read(&kind)?);
        }
        Ok(rows)
    }

    fn aim(&self, mut target: Target) -> Target {
        let key = fixture::key(&target.dataset);
        // A locator that names nothing names nobody.
        if !key.is_empty() && key.iter().all(|column| target.locator.contains_key(column)) {
            let value = Secret::new(who(&target.dataset, &target.locator));
            target.identities.push(Identity { kind: "record_id".into(), value });
        }
        target
    }

    async fn unreachable(&self) -> Option<Arc<dyn Connector>> {
        connector(&self.dir.path().join("nobody")).ok()
    }

    fn enforces_references(&self) -> bool {
        false
    }
}
