//! A Python of the tests' own: what `requirements.txt` names is installed once, into `.test/` of the repository.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::account::run;
use crate::{Result, packages};

/// The interpreter of a virtual environment with these requirements. Test processes that come at the same moment wait
/// for each other.
pub fn python(root: &Path, requirements: &Path) -> Result<PathBuf> {
    let home = root.join(".test").join("python");
    let at = |e: std::io::Error| format!("{}: {e}", home.display());
    fs::create_dir_all(&home).map_err(at)?;
    let lock = fs::File::create(home.join("lock")).map_err(at)?;
    lock.lock().map_err(at)?;
    let wanted = fs::read_to_string(requirements).map_err(|e| format!("{}: {e}", requirements.display()))?;
    let (venv, stamp) = (home.join("venv"), home.join("installed"));
    let interpreter = venv.join("bin/python");
    if fs::read_to_string(&stamp).is_ok_and(|known| known == wanted) {
        return Ok(interpreter);
    }
    // What was installed in part is installed again.
    let _ = fs::remove_dir_all(&venv);
    let made = || run(Command::new("python3").args(["-m", "venv"]).arg(&venv));
    if made().is_err() {
        packages::install("python3-venv")?;
        made()?;
    }
    run(Command::new(&interpreter).args(["-m", "pip", "install", "--quiet", "-r"]).arg(requirements))?;
    fs::write(&stamp, wanted).map_err(at)?;
    Ok(interpreter)
}
