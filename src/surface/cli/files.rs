//! Reading the files that a person names on the command line.

use std::io::Read;
use std::path::{Path, PathBuf};

use super::Failure;
use super::findings::wrong;
use crate::surface::documents::{self, Unreadable};

/// Readers refuse what is beyond 16 MiB; one byte more is enough for them to see it.
const MAX: u64 = (16 << 20) + 1;

/// The file's bytes, or stdin's for `-`.
pub fn read(path: &Path) -> Result<Vec<u8>, Failure> {
    let bytes = if path.as_os_str() == "-" { stdin() } else { documents::read(path) };
    bytes.map_err(|cause| unreadable(path, &cause))
}

fn stdin() -> std::io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    std::io::stdin().lock().take(MAX).read_to_end(&mut bytes)?;
    Ok(bytes)
}

/// Every YAML and JSON file below a folder.
pub fn below(folder: &Path) -> Result<Vec<PathBuf>, Failure> {
    documents::below(folder).map_err(refused)
}

/// A file that could not be read is wrong usage, one that is wrong says where.
pub fn refused(error: Unreadable) -> Failure {
    match error {
        Unreadable::Io { path, cause } => unreadable(&path, &cause),
        Unreadable::Wrong(found) => wrong(&found),
    }
}

fn unreadable(path: &Path, cause: &std::io::Error) -> Failure {
    Failure::usage(format!("{}: cannot be read: {cause}; check the path and its rights", path.display()))
}
