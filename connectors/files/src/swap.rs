//! A rewritten file takes the place of the old one, and nothing that others did meanwhile is lost.
//!
//! The two names are *exchanged*, in one step of the file system. So whatever lay there at that moment is in our
//! hands afterwards, and is looked at: the file that was read, and no more than that → it is removed; lines were
//! added → they are carried over; it is another file, or was changed inside → the exchange is undone and the pass
//! made again. A plain rename would have thrown away what came between the last look and itself.
//!
//! Between the two steps of a crash the old file lies under a marker's name ([`crate::leftover`]).

use std::fs::File;
use std::io;
use std::os::unix::fs::MetadataExt;

use quietus_contract::Failure;
use rustix::fs::{AtFlags, Mode, OFlags, RenameFlags, openat, renameat, renameat_with, statat, unlinkat};

use crate::carry::{Carried, Carry};
use crate::fault;
use crate::leftover::{Marker, name_hash, unfinished};
use crate::source::hash_of;
use crate::walk::Place;

/// A file's generation: whether it is the one that was read, as it was.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Generation {
    pub(crate) inode: u64,
    pub(crate) size: u64,
    modified: (i64, i64),
}

impl Generation {
    pub(crate) fn of(file: &File) -> io::Result<Self> {
        let meta = file.metadata()?;
        Ok(Self { inode: meta.ino(), size: meta.len(), modified: (meta.mtime(), meta.mtime_nsec()) })
    }
}

/// What was read of the old file.
#[derive(Clone, Copy)]
pub(crate) struct Read {
    pub(crate) generation: Generation,
    pub(crate) hash: u64,
    /// The last line was ended: what is added is a line of its own.
    pub(crate) ended: bool,
}

pub(crate) enum Swapped {
    /// The rewrite is in place; whether lines were carried over to it that nobody has looked at.
    Done { added: bool },
    /// The file is another one by now, untouched by us.
    Changed,
}

pub(crate) struct Swap<'a> {
    pub(crate) place: &'a Place<'a>,
    pub(crate) old: &'a File,
    pub(crate) read: Read,
    pub(crate) new: &'a mut File,
    pub(crate) gzip: bool,
}

impl Swap<'_> {
    pub(crate) fn make(self) -> Result<Swapped, Failure> {
        let place = &self.place.shown;
        let was = self.read.generation;
        let discard = || remove(self.place.folder, was.inode);
        let look = || -> io::Result<bool> {
            let (now, there) = (Generation::of(self.old)?, self.place.stat());
            let there = there.is_ok_and(|s| s.st_ino == was.inode);
            Ok(there && (now == was || (now.size > was.size && self.read.ended)))
        };
        match look() {
            Ok(true) => {}
            Ok(false) => {
                discard();
                return Ok(Swapped::Changed);
            }
            Err(error) => {
                discard();
                return Err(fault::of(&error, place));
            }
        }
        let fresh = self.new.metadata().map_err(|e| fault::of(&e, place))?;
        let marker = Marker {
            file: name_hash(self.place.name.to_bytes()),
            old: was.inode,
            size: was.size,
            hash: self.read.hash,
            new: fresh.ino(),
            length: fresh.len(),
            block: None,
        };
        let folder = self.place.folder;
        let carry = Carry { folder, marker, gzip: self.gzip };
        if let Err(error) = renameat(folder, unfinished(was.inode), folder, marker.name()) {
            discard();
            return Err(fault::of(&error.into(), place));
        }
        if let Err(error) = exchange(self.place, &marker) {
            let _ = unlinkat(folder, marker.name(), AtFlags::empty());
            return match error {
                rustix::io::Errno::NOENT => Ok(Swapped::Changed),
                rustix::io::Errno::INVAL | rustix::io::Errno::NOSYS | rustix::io::Errno::NOTSUP => {
                    let detail = format!("{place}: its file system cannot exchange two files in one step");
                    Err(Failure::fatal("cannot_execute", detail))
                }
                error => Err(fault::of(&error.into(), place)),
            };
        }
        // From here on something has happened.
        let done = self.settle(carry);
        done.map_err(|error| {
            let detail = format!("{place}: {}; the next attempt goes on from here", error.kind());
            Failure::unknown("conflict", detail)
        })?
    }

    fn settle(self, mut carry: Carry<'_>) -> io::Result<Result<Swapped, Failure>> {
        let folder = self.place.folder;
        let displaced = statat(folder, carry.marker.name(), AtFlags::SYMLINK_NOFOLLOW)?;
        if displaced.st_ino != self.read.generation.inode || !self.contains_all()? {
            return undo(self.place, carry, self.new);
        }
        folder.sync_all()?;
        let start = carry.marker.size;
        Ok(match carry.over(self.old, start, self.new)? {
            Carried::Whole { some } => Ok(Swapped::Done { added: some }),
            Carried::Held => Err(held(&self.place.shown)),
        })
    }

    /// The old file is what was read, with at most lines added to it.
    fn contains_all(&self) -> io::Result<bool> {
        let (was, now) = (self.read.generation, Generation::of(self.old)?);
        let added = now.size > was.size;
        Ok(now == was
            || (now.size >= was.size
                && (!added || self.read.ended)
                && hash_of(self.old, was.size)? == self.read.hash))
    }
}

/// Puts back what lay there; what was added to the rewrite in that moment goes with it.
pub(crate) fn undo(
    place: &Place<'_>,
    mut carry: Carry<'_>,
    new: &File,
) -> io::Result<Result<Swapped, Failure>> {
    exchange(place, &carry.marker)?;
    let displaced = statat(place.folder, carry.marker.name(), AtFlags::SYMLINK_NOFOLLOW)?;
    if displaced.st_ino != carry.marker.new {
        // Replaced once more, between the two exchanges: the newest keeps the name.
        exchange(place, &carry.marker)?;
        return Ok(Err(unclear(&place.shown)));
    }
    let flags = OFlags::RDWR | OFlags::APPEND | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let mut back = File::from(openat(place.folder, &place.name, flags, Mode::empty())?);
    let start = carry.marker.length;
    Ok(match carry.over(new, start, &mut back)? {
        Carried::Whole { .. } => Ok(Swapped::Changed),
        Carried::Held => Err(held(&place.shown)),
    })
}

pub(crate) fn exchange(place: &Place<'_>, marker: &Marker) -> rustix::io::Result<()> {
    let folder = place.folder;
    renameat_with(folder, marker.name(), folder, &place.name, RenameFlags::EXCHANGE)
}

/// Takes a rewrite away that was not swapped; what cannot be removed now is at the next call.
pub(crate) fn remove(folder: &File, inode: u64) {
    let _ = unlinkat(folder, unfinished(inode), AtFlags::empty());
}

pub(crate) fn held(shown: &str) -> Failure {
    let detail = format!(
        "{shown}: a process keeps the replaced file open for writing; what it adds is carried over at the next attempt, once it has opened the file anew"
    );
    Failure::unknown("conflict", detail)
}

pub(crate) fn unclear(shown: &str) -> Failure {
    let detail = format!(
        "{shown}: other programs replaced it again and again while it was swapped; one of the copies lies beside it as .quietus-swap-…: compare the two and remove it"
    );
    Failure::unknown("conflict", detail)
}
