//! What a rewrite left behind when the node was killed: taken up where it stopped, before anything else is done.

use std::ffi::CString;
use std::fs::File;
use std::io;
use std::os::unix::fs::MetadataExt;

use quietus_contract::Failure;
use rustix::fs::{AtFlags, Mode, OFlags, openat, statat, unlinkat};

use crate::carry::{Carried, Carry, resume};
use crate::config::is_gzip;
use crate::fault;
use crate::leftover::{Marker, is_unfinished, name_hash};
use crate::source::hash_of;
use crate::swap::{exchange, held, unclear};
use crate::walk::{Place, lossy, names};

/// Every leftover of one folder; the first that cannot be cleared is told.
pub(crate) fn recover(folder: &File, shown: &str, left: &[CString]) -> Result<(), Failure> {
    for name in left {
        let place = if shown.is_empty() {
            lossy(name.to_bytes())
        } else {
            format!("{shown}/{}", lossy(name.to_bytes()))
        };
        if is_unfinished(name.to_bytes()) {
            unlinkat(folder, name, AtFlags::empty()).map_err(|e| fault::of(&e.into(), &place))?;
            continue;
        }
        let Some(marker) = Marker::parse(name.to_bytes()) else {
            let detail = format!("{place}: a name of ours that says nothing; look at it and remove it");
            return Err(Failure::fatal("unreadable", detail));
        };
        one(folder, shown, marker).map_err(|e| fault::of(&e, &place))??;
    }
    Ok(())
}

fn one(folder: &File, shown: &str, marker: Marker) -> io::Result<Result<(), Failure>> {
    let Some(name) = owner(folder, &marker)? else {
        return orphan(folder, &marker);
    };
    let own = lossy(name.to_bytes());
    let gzip = is_gzip(name.to_bytes());
    let shown = if shown.is_empty() { own } else { format!("{shown}/{own}") };
    let place = Place { folder, name, shown };
    let mut aside = open(folder, &marker.name(), OFlags::RDONLY)?;
    let mut marker = marker;
    let here = place.stat()?.st_ino;
    let inode = aside.metadata()?.ino();
    let half_done = marker.block.is_some();
    let changed = inode == marker.old && !half_done && !is_prefix(&aside, &marker)?;
    let foreign = inode != marker.old && inode != marker.new;
    let mut start = if inode == marker.old { marker.size } else { marker.length };
    if changed || foreign {
        if here != marker.new {
            return Ok(Err(unclear(&place.shown)));
        }
        exchange(&place, &marker)?;
        aside = open(folder, &marker.name(), OFlags::RDONLY)?;
        start = marker.length;
        marker.block = None;
    }
    let mut to = open(folder, &place.name, OFlags::RDWR | OFlags::APPEND)?;
    if let Some(block) = marker.block {
        start = resume(&aside, block, &to)?;
    }
    let mut carry = Carry { folder, marker, gzip };
    Ok(match carry.over(&aside, start, &mut to)? {
        Carried::Whole { .. } => Ok(()),
        Carried::Held => Err(held(&place.shown)),
    })
}

fn open(folder: &File, name: &CString, access: OFlags) -> io::Result<File> {
    let flags = access | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    Ok(File::from(openat(folder, name, flags, Mode::empty())?))
}

fn is_prefix(aside: &File, marker: &Marker) -> io::Result<bool> {
    Ok(aside.metadata()?.len() >= marker.size && hash_of(aside, marker.size)? == marker.hash)
}

/// The file that a marker belongs to: by its name, else by the rewrite's inode where it was renamed since.
fn owner(folder: &File, marker: &Marker) -> io::Result<Option<CString>> {
    let names = names(folder)?;
    let by_name = names.iter().find(|n| name_hash(n.to_bytes()) == marker.file);
    let ours = marker.name();
    let by_inode = names.iter().filter(|n| **n != ours).find(|n| {
        statat(folder, *n, AtFlags::SYMLINK_NOFOLLOW)
            .is_ok_and(|s| s.st_ino == marker.new || s.st_ino == marker.old)
    });
    Ok(by_name.or(by_inode).cloned())
}

/// The file was removed since: only lines that were added to it afterwards are worth a word.
fn orphan(folder: &File, marker: &Marker) -> io::Result<Result<(), Failure>> {
    let aside = open(folder, &marker.name(), OFlags::RDONLY)?;
    let start = if aside.metadata()?.ino() == marker.old { marker.size } else { marker.length };
    if aside.metadata()?.len() > start {
        let name = lossy(marker.name().to_bytes());
        let detail = format!("{name}: lines were added to a file that is gone; look at it and remove it");
        return Ok(Err(Failure::fatal("unreadable", detail)));
    }
    unlinkat(folder, marker.name(), AtFlags::empty())?;
    Ok(Ok(()))
}
