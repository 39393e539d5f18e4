//! A folder, a connector on it, and commands by identity.

use std::fs;
use std::io::{Read, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use flate2::{Compression, read::MultiGzDecoder, write::GzEncoder};
use quietus_contract::{
    CommandId, Connector, Gate, Identity, Locator, Outcome, Permit, Secret, Target, Verdict, Work,
};
use quietus_core::system::{FileFormat, FileSet, Manifest};
use quietus_files::FilesConnector;

pub struct Archive {
    pub root: PathBuf,
    pub files: FilesConnector,
    runtime: tokio::runtime::Runtime,
    _dir: Option<tempfile::TempDir>,
}

/// Stops these commands.
struct Door(Vec<CommandId>);

#[async_trait]
impl Gate for Door {
    async fn may_commit(&self, commands: &[CommandId]) -> Vec<Verdict> {
        commands.iter().map(|c| if self.0.contains(c) { Verdict::Stop } else { Verdict::Go }).collect()
    }
}

pub fn manifest() -> Manifest {
    let set = |path: &str, format| FileSet {
        path: path.into(),
        format,
        match_: [("user".to_owned(), "customer_id".to_owned()), ("mail".to_owned(), "email".to_owned())]
            .into(),
    };
    let files = vec![
        set("dt={date}/*.jsonl", FileFormat::Jsonl),
        set("dt={date}/*.jsonl.gz", FileFormat::Jsonl),
        set("*.csv", FileFormat::Csv),
        set("*.csv.gz", FileFormat::Csv),
    ];
    Manifest { system: "archive".into(), kind: "files".into(), files, ..Manifest::default() }
}

impl Archive {
    pub fn new() -> Self {
        let dir = tempfile::tempdir().expect("a folder");
        let archive = Self::at(dir.path());
        fs::create_dir(archive.root.join("dt=1")).expect("a folder in it");
        Self { _dir: Some(dir), ..archive }
    }

    pub fn at(root: &Path) -> Self {
        let url = format!("file://{}", root.display());
        let files = FilesConnector::open(&manifest(), &url).expect("a well-formed address");
        let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().worker_threads(1).build();
        Self { root: root.to_owned(), files, runtime: runtime.expect("a runtime"), _dir: None }
    }

    pub fn put(&self, path: &str, bytes: &[u8]) {
        fs::write(self.root.join(path), packed(path, bytes)).expect("a file");
    }

    pub fn get(&self, path: &str) -> Vec<u8> {
        unpacked(path, &fs::read(self.root.join(path)).expect("the file"))
    }

    pub fn erase(&self, targets: &[Target]) -> Vec<Outcome> {
        self.erase_but(targets, &[])
    }

    /// What was answered, in the order of the targets; the gate stops some.
    pub fn erase_but(&self, targets: &[Target], stopped: &[u8]) -> Vec<Outcome> {
        let door = Arc::new(Door(stopped.iter().map(|n| CommandId([*n; 16])).collect()));
        let answers = self.runtime.block_on(self.files.erase(targets, &permit(), door));
        let one = |t: &Target| answers.iter().find(|a| a.command == t.command).map(|a| a.outcome.clone());
        targets.iter().map(|t| one(t).expect("an answer")).collect()
    }

    pub fn verify(&self, target: &Target) -> quietus_contract::ReadBack {
        let mut backs = self.runtime.block_on(self.files.verify(std::slice::from_ref(target)));
        backs.pop().expect("a read-back")
    }

    pub fn check(&self) -> Vec<quietus_contract::Problem> {
        self.runtime.block_on(self.files.check()).problems
    }

    /// Names of what a rewrite left behind anywhere.
    pub fn leftovers(&self) -> Vec<String> {
        let mut found = Vec::new();
        for folder in [self.root.clone(), self.root.join("dt=1")] {
            let names = fs::read_dir(folder).into_iter().flatten().flatten().map(|e| e.file_name());
            found.extend(
                names.map(|n| n.to_string_lossy().into_owned()).filter(|n| n.starts_with(".quietus")),
            );
        }
        found
    }
}

pub fn packed(path: &str, bytes: &[u8]) -> Vec<u8> {
    if !path.ends_with(".gz") {
        return bytes.to_vec();
    }
    let mut out = GzEncoder::new(Vec::new(), Compression::fast());
    out.write_all(bytes).expect("memory");
    out.finish().expect("memory")
}

pub fn unpacked(path: &str, bytes: &[u8]) -> Vec<u8> {
    if !path.ends_with(".gz") {
        return bytes.to_vec();
    }
    let mut text = Vec::new();
    MultiGzDecoder::new(bytes).read_to_end(&mut text).expect("sound gzip");
    text
}

#[expect(clippy::disallowed_methods, reason = "a test of the connector issues its own permits")]
fn permit() -> Permit {
    Permit::issue(1, 1, [0; 32], Duration::from_secs(60))
}

pub fn target(n: u8, identity: &str) -> Target {
    let (kind, value) = identity.split_once(':').expect("type:value");
    Target {
        command: CommandId([n; 16]),
        attempt: 1,
        dataset: "any.thing".into(),
        locator: Locator::new(),
        identities: vec![Identity { kind: kind.into(), value: Secret::new(value) }],
        answered_at: None,
        work: Work::Delete,
    }
}
