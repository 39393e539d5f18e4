//! Files and folders that outlive a power cut.
//!
//! Invariant: what a function here has made, replaced or taken away stays so, whatever happens next. A file's bytes are
//! durable by a sync of the file, its name by one of its folder: POSIX promises no more, so that a folder that was just
//! made needs a sync of the one above it.

use std::fs::{self, File};
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

const DRAFT: &str = ".new";

/// Replaces the file whole, or makes it.
pub fn put(path: &Path, bytes: &[u8]) -> io::Result<()> {
    draft(path, bytes)?;
    publish(path)
}

/// Writes the file's next content beside it, durable; nothing has changed yet.
pub fn draft(path: &Path, bytes: &[u8]) -> io::Result<()> {
    draft_by(path, |file| file.write_all(bytes))
}

/// The same, of what is not in memory as a whole.
pub fn draft_by(path: &Path, write: impl FnOnce(&mut File) -> io::Result<()>) -> io::Result<()> {
    let draft = draft_path(path);
    let written = File::create(&draft).and_then(|mut file| {
        write(&mut file)?;
        file.sync_all()
    });
    if written.is_err() {
        // It takes room on a disk that may be full; should this fail too, [`discard_all`] at a start or the next draft
        // of the same file sees to it.
        let _ = fs::remove_file(&draft);
    }
    written
}

/// Puts the draft in the file's place.
pub fn publish(path: &Path) -> io::Result<()> {
    fs::rename(draft_path(path), path)?;
    sync_above(path)
}

/// Takes a draft away that will not be published.
pub fn discard(path: &Path) -> io::Result<()> {
    fs::remove_file(draft_path(path))
}

/// Takes away what a crash left unpublished; a folder that is not there is no error.
pub fn discard_all(dir: &Path) -> io::Result<()> {
    let entries = match fs::read_dir(dir) {
        Err(cause) if cause.kind() == io::ErrorKind::NotFound => return Ok(()),
        entries => entries?,
    };
    for entry in entries {
        let path = entry?.path();
        if path.to_str().is_some_and(|name| name.ends_with(DRAFT)) {
            fs::remove_file(path)?;
        }
    }
    Ok(())
}

/// Takes a file away; one that is not there is no error.
pub fn remove(path: &Path) -> io::Result<()> {
    match fs::remove_file(path) {
        // Whoever took it away may have been killed before its sync: then the name could come back.
        Err(cause) if cause.kind() == io::ErrorKind::NotFound => match sync_found(path) {
            Err(cause) if cause.kind() == io::ErrorKind::NotFound => Ok(()),
            synced => synced,
        },
        Err(cause) => Err(cause),
        Ok(()) => sync_above(path),
    }
}

/// Makes the folder, and those above it that are not there.
pub fn make_folder(dir: &Path) -> io::Result<()> {
    let folders = || dir.ancestors().filter(|dir| !dir.as_os_str().is_empty());
    let missing = folders().take_while(|dir| !dir.is_dir()).count();
    fs::create_dir_all(dir)?;
    folders().take(missing).try_for_each(sync_above)?;
    folders().nth(missing).map_or(Ok(()), sync_found)
}

/// A name that was there already, or was gone: who saw to that may have been killed before its sync. Or it is a
/// stranger's, in a folder that is not for us to open, on a file system that takes no writes, or on one whose folders
/// know no sync: a start is not refused for any of these. Names that this process itself changes are synced without such
/// forgiveness.
pub fn sync_found(path: &Path) -> io::Result<()> {
    use io::ErrorKind::{InvalidInput, PermissionDenied, ReadOnlyFilesystem, Unsupported};
    match sync_above(path) {
        Err(cause)
            if matches!(cause.kind(), PermissionDenied | ReadOnlyFilesystem | InvalidInput | Unsupported) =>
        {
            Ok(())
        }
        synced => synced,
    }
}

/// The names in the folder that holds this path.
pub fn sync_above(path: &Path) -> io::Result<()> {
    match path.parent() {
        Some(folder) if folder.as_os_str().is_empty() => sync_folder(Path::new(".")),
        Some(folder) => sync_folder(folder),
        None => Ok(()),
    }
}

/// The names in this folder.
pub fn sync_folder(dir: &Path) -> io::Result<()> {
    File::open(dir)?.sync_all()
}

/// Every file below it, then the folder itself.
pub fn sync_below(dir: &Path) -> io::Result<()> {
    for entry in fs::read_dir(dir)? {
        let entry = entry?;
        match entry.file_type()?.is_dir() {
            true => sync_below(&entry.path())?,
            // One that went meanwhile needs no sync.
            false => match File::open(entry.path()) {
                Err(cause) if cause.kind() == io::ErrorKind::NotFound => {}
                opened => opened?.sync_all()?,
            },
        }
    }
    sync_folder(dir)
}

fn draft_path(path: &Path) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(DRAFT);
    PathBuf::from(name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_replaced_whole_and_folders_are_made_where_they_are_not() {
        let dir = tempfile::tempdir().unwrap();
        let deep = dir.path().join("a/b/c");
        make_folder(&deep).unwrap();
        make_folder(&deep).unwrap();
        let file = deep.join("file");
        for bytes in [&b"first"[..], b"2nd"] {
            put(&file, bytes).unwrap();
            assert_eq!(fs::read(&file).unwrap(), bytes);
        }
        draft(&file, b"never").unwrap();
        discard_all(&deep).unwrap();
        assert_eq!(fs::read_dir(&deep).unwrap().count(), 1);
        remove(&file).unwrap();
        remove(&file).unwrap();
        let nowhere = dir.path().join("no/folder");
        discard_all(&nowhere).unwrap();
        remove(&nowhere.join("file")).unwrap();
        sync_found(Path::new("/proc/version")).unwrap();
        assert!(sync_above(Path::new("/proc/version")).is_err(), "a folder without fsync");
        assert!(make_folder(&dir.path().join("a/b")).is_ok() && make_folder(Path::new("src")).is_ok());
        fs::write(dir.path().join("taken"), "").unwrap();
        assert!(make_folder(&dir.path().join("taken/under")).is_err());
    }
}
