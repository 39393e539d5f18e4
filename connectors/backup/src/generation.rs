//! What lies in the backup folder: each entry is a generation, known by its name and its times.
//!
//! A backup was taken over a while. What counts is when it was *begun*, because it may hold whatever was there then;
//! the file system tells when an entry was made and when it was last changed, and the earlier of the two is the best
//! that can be known from outside. How long it stays is counted from its last change.

use std::fs;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::time::UNIX_EPOCH;

use quietus_contract::Failure;

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Generation {
    pub(crate) name: String,
    /// Milliseconds since the epoch: nothing that was gone before it is in it.
    pub(crate) begun: i64,
    /// Its last change, which its age is counted from.
    pub(crate) changed: i64,
}

/// Every generation, oldest first.
pub(crate) fn list(folder: &Path) -> Result<Vec<Generation>, Failure> {
    let real = fs::canonicalize(folder).map_err(|e| failed(&e))?;
    let mut all = Vec::new();
    for entry in fs::read_dir(&real).map_err(|e| failed(&e))? {
        let path = entry.map_err(|e| failed(&e))?.path();
        let name = path.file_name().map(|n| n.to_string_lossy().into_owned()).unwrap_or_default();
        match read(&real, &path) {
            Ok(Some((begun, changed))) => all.push(Generation { name, begun, changed }),
            Ok(None) => {}
            // Rotated away while the folder was read.
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => return Err(failed(&error)),
        }
    }
    all.sort_by(|a, b| (a.changed, &a.name).cmp(&(b.changed, &b.name)));
    Ok(all)
}

/// None for a link to another entry (`latest`), which is that one once more, or to nothing.
fn read(folder: &Path, path: &Path) -> io::Result<Option<(i64, i64)>> {
    let mut meta = fs::symlink_metadata(path)?;
    if meta.is_symlink() {
        match fs::canonicalize(path) {
            Ok(target) if target.starts_with(folder) => return Ok(None),
            Ok(target) => meta = fs::metadata(target)?,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            // Where it leads cannot be seen: it counts by its own times.
            Err(_) => {}
        }
    }
    let changed = meta.mtime().saturating_mul(1_000).saturating_add(meta.mtime_nsec() / 1_000_000);
    // Not every file system tells when an entry was made.
    let made = meta.created().ok().and_then(|at| at.duration_since(UNIX_EPOCH).ok());
    let made = made.and_then(|at| i64::try_from(at.as_millis()).ok());
    Ok(Some((made.map_or(changed, |made| made.min(changed)), changed)))
}

fn failed(error: &io::Error) -> Failure {
    match error.kind() {
        io::ErrorKind::NotFound => Failure::retry("unreachable", "the folder of connection.url is not there"),
        io::ErrorKind::PermissionDenied => {
            Failure::fatal("denied", "no right to list the folder of connection.url or one of its entries")
        }
        io::ErrorKind::NotADirectory => Failure::fatal("unreachable", "connection.url is no folder"),
        kind => Failure::retry("unreachable", format!("the backups cannot be listed: {kind}")),
    }
}

/// Those that may hold what was there when the command was first answered; all of them where it never was.
pub(crate) fn holding(all: &[Generation], answered_at: Option<i64>) -> Vec<&Generation> {
    all.iter().filter(|g| answered_at.is_none_or(|at| g.begun <= at)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_begun_after_the_answer_holds_nothing() {
        let of = |begun: i64| Generation { name: begun.to_string(), begun, changed: begun + 5 };
        let all = [of(10), of(20), of(30)];
        assert_eq!(holding(&all, None).len(), 3);
        // Changed after the answer, and begun before it.
        assert_eq!(holding(&all, Some(22)).len(), 2);
        assert_eq!(holding(&all, Some(9)).len(), 0);
    }
}
