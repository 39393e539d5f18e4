//! `quietus dataset …`

use std::path::{Path, PathBuf};

use clap::Subcommand;
use quietus_core::policy::{self, Taxonomy};
use quietus_core::system;

use super::findings::checked;
use super::{Exit, Failure, Output, files};

#[derive(Debug, Subcommand)]
pub enum Dataset {
    /// Check a dataset file, offline.
    Check {
        /// The dataset; `-` reads it from stdin.
        file: PathBuf,
        /// The policy that declares the company's own categories.
        #[arg(long, value_name = "FILE")]
        policy: Option<PathBuf>,
    },
}

impl Dataset {
    pub fn run(self, out: &mut Output) -> Result<Exit, Failure> {
        match self {
            Self::Check { file, policy } => check(&file, policy.as_deref(), out),
        }
    }
}

fn check(file: &Path, policy: Option<&Path>, out: &mut Output) -> Result<Exit, Failure> {
    let bytes = files::read(file)?;
    let declared = match policy {
        None => None,
        Some(path) => {
            let name = path.display().to_string();
            let (read, found) = policy::parse(&name, &files::read(path)?, Taxonomy::bundled());
            let Some(read) = read else { return checked(out, &found) };
            Some(read)
        }
    };
    let own = |key: &str| declared.as_ref().is_some_and(|p| p.categories.contains_key(key));
    let is_category = |key: &str| Taxonomy::bundled().is_category(key) || own(key);
    let (_, found) = system::parse_dataset(&file.display().to_string(), &bytes, &is_category);
    checked(out, &found)
}
