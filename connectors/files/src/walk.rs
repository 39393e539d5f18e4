//! The files of a set, found from the folder down, one open folder per level.
//!
//! Invariant: every step is taken from an open folder and never through a symbolic link, so that nothing outside the
//! connection's folder is read or replaced, whoever renames folders meanwhile. A link in a place that the pattern
//! names is an error, not an absence: somebody's lines may lie behind it.

use std::ffi::{CString, OsStr};
use std::fs::File;
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::MetadataExt;

use quietus_contract::Failure;
use rustix::fs::{AtFlags, Dir, FileType, Mode, OFlags, Stat, openat, statat};

use crate::config::Set;
use crate::fault;
use crate::leftover;

/// A name in an open folder.
pub(crate) struct Place<'d> {
    pub(crate) folder: &'d File,
    pub(crate) name: CString,
    /// From the connection's folder, for messages.
    pub(crate) shown: String,
}

impl Place<'_> {
    pub(crate) fn stat(&self) -> io::Result<Stat> {
        Ok(statat(self.folder, &self.name, AtFlags::SYMLINK_NOFOLLOW)?)
    }

    /// For reading; None = it has gone meanwhile.
    pub(crate) fn open(&self) -> Result<Option<File>, Failure> {
        let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
        let file = match openat(self.folder, &self.name, flags, Mode::empty()) {
            Ok(file) => File::from(file),
            Err(rustix::io::Errno::NOENT) => return Ok(None),
            Err(rustix::io::Errno::LOOP) => return Err(link(&self.shown)),
            Err(error) => return Err(fault::of(&error.into(), &self.shown)),
        };
        let meta = file.metadata().map_err(|e| fault::of(&e, &self.shown))?;
        if !meta.is_file() {
            return Err(Failure::fatal("unreadable", format!("{}: it is no regular file", self.shown)));
        }
        if meta.nlink() > 1 {
            let detail = format!(
                "{}: it has {} names (hard links), and the others would keep what is erased here",
                self.shown,
                meta.nlink()
            );
            return Err(Failure::fatal("unreadable", detail));
        }
        Ok(Some(file))
    }
}

/// What is done with what is found. A failure ends nothing but its own file or folder.
pub(crate) trait Visitor {
    fn file(&mut self, place: &Place<'_>);
    fn failed(&mut self, failure: Failure);
    /// What a rewrite left in this folder when it broke off; false = its files must not be touched now.
    fn leftovers(&mut self, folder: &File, shown: &str, names: &[CString]) -> bool;
}

pub(crate) fn open_root(root: &std::path::Path) -> Result<File, Failure> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let opened = rustix::fs::open(root, flags, Mode::empty()).map(File::from);
    opened.map_err(|e| fault::of(&e.into(), "the folder of connection.url"))
}

pub(crate) fn walk(root: &File, set: &Set, visitor: &mut dyn Visitor) {
    folder(root, "", set, 0, visitor);
}

fn folder(dir: &File, shown: &str, set: &Set, depth: usize, visitor: &mut dyn Visitor) {
    let names = match names(dir) {
        Ok(names) => names,
        Err(error) => {
            let place = if shown.is_empty() { "the folder of connection.url" } else { shown };
            return visitor.failed(fault::of(&error, place));
        }
    };
    let last = depth + 1 == set.pattern.depth();
    if last {
        let left: Vec<CString> = names.iter().filter(|n| leftover::is_one(n.to_bytes())).cloned().collect();
        if !left.is_empty() && !visitor.leftovers(dir, shown, &left) {
            return;
        }
    }
    for name in names.into_iter().filter(|n| set.pattern.matches(depth, n.to_bytes())) {
        let own = String::from_utf8_lossy(name.to_bytes());
        let shown = if shown.is_empty() { own.into_owned() } else { format!("{shown}/{own}") };
        let place = Place { folder: dir, name, shown };
        match kind(&place) {
            Ok(None) => {}
            Ok(Some(FileType::Symlink)) => visitor.failed(link(&place.shown)),
            Ok(Some(FileType::Directory)) if last => {}
            Ok(Some(_)) if last => visitor.file(&place),
            Ok(Some(FileType::Directory)) => {
                let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
                match openat(dir, &place.name, flags, Mode::empty()) {
                    Ok(inner) => folder(&File::from(inner), &place.shown, set, depth + 1, visitor),
                    Err(error) => visitor.failed(fault::of(&error.into(), &place.shown)),
                }
            }
            Ok(Some(_)) => {}
            Err(error) => visitor.failed(fault::of(&error, &place.shown)),
        }
    }
}

fn kind(place: &Place<'_>) -> io::Result<Option<FileType>> {
    match place.stat() {
        Ok(stat) => Ok(Some(FileType::from_raw_mode(stat.st_mode))),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}

/// Sorted, so that two calls meet the files in the same order.
pub(crate) fn names(dir: &File) -> io::Result<Vec<CString>> {
    let mut names = Vec::new();
    for entry in Dir::read_from(dir)? {
        let name = entry?.file_name().to_owned();
        if !matches!(name.to_bytes(), b"." | b"..") {
            names.push(name);
        }
    }
    names.sort();
    Ok(names)
}

fn link(shown: &str) -> Failure {
    Failure::fatal("unreadable", format!("{shown}: it is a symbolic link, which is not followed"))
}

/// The name for messages.
pub(crate) fn lossy(name: &[u8]) -> String {
    OsStr::from_bytes(name).to_string_lossy().into_owned()
}
