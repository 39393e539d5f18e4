//! Where the backups lie, and how long each is kept.

use std::path::PathBuf;

use quietus_contract::Failure;
use quietus_core::system::Manifest;

#[derive(Clone, Debug)]
pub(crate) struct Config {
    pub(crate) system: String,
    pub(crate) folder: PathBuf,
    /// Milliseconds from a generation's last change until rotation takes it; None = nobody said.
    pub(crate) expires: Option<i64>,
}

impl Config {
    /// `file:///abs/path`, taken literally.
    pub(crate) fn parse(url: &str, manifest: &Manifest) -> Result<Self, Failure> {
        match url.strip_prefix("file://") {
            Some(path) if path.starts_with('/') && path.len() > 1 => Ok(Self {
                system: manifest.system.clone(),
                folder: PathBuf::from(path),
                expires: manifest.expires,
            }),
            _ => Err(Failure::fatal(
                "unreachable",
                "connection.url is no folder: write file:// and an absolute path, as in file:///var/backups/shop",
            )),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_an_absolute_folder_is_taken() {
        let manifest = Manifest { expires: Some(7), ..Manifest::default() };
        assert_eq!(Config::parse("file:///var/backups", &manifest).expect("a folder").expires, Some(7));
        for bad in ["file://relative", "file:///", "/var/backups", "s3://bucket/x"] {
            assert_eq!(Config::parse(bad, &manifest).expect_err(bad).code, "unreachable");
        }
    }
}
