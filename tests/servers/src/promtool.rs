//! Prometheus' own linter of what an exporter says.

use std::io::Write;
use std::path::PathBuf;
use std::process::{Command, Stdio};

use crate::{Result, packages};

/// The program, found or installed.
#[derive(Debug)]
pub struct Promtool(PathBuf);

impl Promtool {
    pub fn find() -> Result<Self> {
        match packages::program("promtool") {
            Some(found) => Ok(Self(found)),
            None => {
                packages::install("prometheus")?;
                let found = packages::program("promtool");
                found
                    .map(Self)
                    .ok_or_else(|| "Prometheus was installed, but promtool is not in PATH".to_owned())
            }
        }
    }

    /// What `promtool check metrics` has against this text; empty = nothing.
    pub fn check_metrics(&self, text: &str) -> Result<String> {
        let failed = |e: std::io::Error| format!("{}: {e}", self.0.display());
        let mut running = Command::new(&self.0)
            .args(["check", "metrics"])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .map_err(failed)?;
        if let Some(mut stdin) = running.stdin.take() {
            stdin.write_all(text.as_bytes()).map_err(failed)?;
        }
        let output = running.wait_with_output().map_err(failed)?;
        let said = [output.stdout, output.stderr].concat();
        let said = String::from_utf8_lossy(&said).trim().to_owned();
        match output.status.success() {
            true => Ok(said),
            false => Ok(format!("it ended with {}: {said}", output.status)),
        }
    }
}
