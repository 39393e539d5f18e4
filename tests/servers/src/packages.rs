//! Debian packages, installed when a server's program is not there and we may.

use std::path::PathBuf;
use std::process::Command;

use crate::Result;
use crate::account::{is_root, run};

/// Installs `package` without starting anything.
pub(crate) fn install(package: &str) -> Result<()> {
    if !is_root() {
        return Err(format!(
            "{package} is not installed: `apt-get install {package}` as root, then run the tests again"
        ));
    }
    apt(&["update"])?;
    apt(&["install", "-y", "--no-install-recommends", package])
}

fn apt(arguments: &[&str]) -> Result<()> {
    run(Command::new("apt-get")
        .args(["-o", "DPkg::Lock::Timeout=300"])
        .args(arguments)
        .env("RUNLEVEL", "1")
        .env("DEBIAN_FRONTEND", "noninteractive"))
}

/// A program in `PATH`.
pub(crate) fn program(name: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH")?;
    std::env::split_paths(&path).map(|folder| folder.join(name)).find(|p| p.is_file())
}
