//! Whom a server runs as: servers refuse root, so root hands over to the account `nobody`.

use std::path::Path;
use std::process::Command;

use crate::Result;

const ACCOUNT: &str = "nobody";

/// Whether this process is root.
pub fn is_root() -> bool {
    Command::new("id").arg("-u").output().is_ok_and(|o| o.stdout.trim_ascii() == b"0")
}

/// A command for `program` under an ordinary account: this one, or `nobody` when this one is root. `setpriv`
/// replaces itself by the program, so that the child's process id is the server's.
pub fn ordinary(program: &Path) -> Command {
    if !is_root() {
        return Command::new(program);
    }
    let mut command = Command::new("setpriv");
    command.args(["--reuid", ACCOUNT, "--regid", "nogroup", "--clear-groups", "--"]).arg(program);
    command.env("HOME", "/tmp");
    command
}

/// Gives a folder to the account that [`ordinary`] uses.
pub fn hand_over(folder: &Path) -> Result<()> {
    if !is_root() {
        return Ok(());
    }
    run(Command::new("chown").arg("-R").arg(format!("{ACCOUNT}:nogroup")).arg(folder))
}

/// Runs to the end; an error carries what the program said.
pub fn run(command: &mut Command) -> Result<()> {
    let shown = format!("{command:?}");
    let output = command.output().map_err(|e| format!("{shown}: {e}"))?;
    if output.status.success() {
        return Ok(());
    }
    Err(format!("{shown}: {}\n{}", output.status, String::from_utf8_lossy(&output.stderr)))
}
