//! Debian packages, installed when a server's program is not there and we may.

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
