//! Where the files are, which of them are meant, and which of their fields hold an identity.

use std::path::{Path, PathBuf};

use quietus_contract::Failure;
use quietus_core::system::{FileFormat, Manifest};

use crate::pattern::Pattern;

#[derive(Clone, Debug)]
pub(crate) struct Config {
    pub(crate) root: PathBuf,
    pub(crate) sets: Vec<Set>,
}

/// One entry of `files:`.
#[derive(Clone, Debug)]
pub(crate) struct Set {
    /// As the manifest writes it.
    pub(crate) path: String,
    pub(crate) pattern: Pattern,
    pub(crate) format: FileFormat,
    /// Field and the type of the identity in it.
    pub(crate) fields: Vec<(String, String)>,
}

impl Config {
    /// `file:///abs/path`, taken literally.
    pub(crate) fn parse(url: &str, manifest: &Manifest) -> Result<Self, Failure> {
        let root = match url.strip_prefix("file://") {
            Some(path) if path.starts_with('/') && path.len() > 1 => PathBuf::from(path),
            _ => {
                return Err(Failure::fatal(
                    "unreachable",
                    "connection.url is no folder: write file:// and an absolute path, as in file:///var/log/shop",
                ));
            }
        };
        let sets = manifest.files.iter().map(|set| {
            let pattern = Pattern::parse(&set.path)
                .map_err(|why| Failure::fatal("unreachable", format!("files: {}: {why}", set.path)))?;
            let fields = set.match_.iter().map(|(field, kind)| (field.clone(), kind.clone())).collect();
            Ok(Set { path: set.path.clone(), pattern, format: set.format, fields })
        });
        Ok(Self { root, sets: sets.collect::<Result<_, Failure>>()? })
    }
}

/// Only by its name: a file that says it is gzip and is not is unreadable, never taken for text.
pub(crate) fn is_gzip(name: &[u8]) -> bool {
    Path::new(&*String::from_utf8_lossy(name)).extension().is_some_and(|e| e.eq_ignore_ascii_case("gz"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_an_absolute_folder_is_taken() {
        let manifest = Manifest::default();
        assert!(Config::parse("file:///var/log/a b", &manifest).is_ok());
        for bad in ["file://relative", "file:///", "/var/log", "http://x/y", "file:/x"] {
            assert_eq!(Config::parse(bad, &manifest).expect_err(bad).code, "unreachable");
        }
    }

    #[test]
    fn gzip_is_told_by_the_name() {
        assert!(is_gzip(b"a.jsonl.gz") && is_gzip(b"A.GZ"));
        assert!(!is_gzip(b"a.jsonl") && !is_gzip(b"gz"));
    }
}
