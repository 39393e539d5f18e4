//! The file layer (`layer.c`) and the nodes that run on it.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::process::Process;

#[derive(Debug)]
pub struct Layer {
    library: PathBuf,
    pub journal: PathBuf,
    _folder: tempfile::TempDir,
}

impl Layer {
    /// By the compiler that the build needs as well.
    pub fn build() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let (library, journal) = (folder.path().join("layer.so"), folder.path().join("journal"));
        let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/rigs/power/layer.c");
        let mut cc = Command::new(std::env::var("CC").unwrap_or_else(|_| "cc".to_owned()));
        cc.args(["-shared", "-fPIC", "-O1", "-Wall", "-Wextra", "-Werror", "-pthread", "-o"]);
        let made = cc.arg(&library).arg(source).output().expect("a C compiler: install `cc`");
        assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
        File::create(&journal).unwrap();
        Self { library, journal, _folder: folder }
    }

    /// A node in this folder, every file of which is looked at. The longer a sync takes, the more often a random moment
    /// falls into one.
    pub fn node(&self, folder: &Path, sync_us: &str) -> Process {
        Process::at(folder)
            .set("LD_PRELOAD", self.library.to_str().unwrap())
            .set("QUIETUS_POWER_ROOT", folder.to_str().unwrap())
            .set("QUIETUS_POWER_JOURNAL", self.journal.to_str().unwrap())
            .set("QUIETUS_POWER_SYNC_US", sync_us)
    }

    /// While this is held the node is between two of its calls, and the journal has every one that it made.
    pub fn hold(&self) -> File {
        let journal = File::open(&self.journal).unwrap();
        journal.lock().unwrap();
        journal
    }
}
