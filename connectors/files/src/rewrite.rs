//! One pass over a file: whose rows are in it, and, where asked, everything but those written beside it.

use std::collections::BTreeMap;
use std::ffi::CString;
use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::os::unix::fs::MetadataExt;

use flate2::Compression;
use flate2::write::GzEncoder;
use rustix::fs::{Gid, Mode, OFlags, Uid, fchmod, fchown, fgetxattr, flistxattr, fsetxattr, openat};

use crate::config::Set;
use crate::leftover::unfinished;
use crate::record::{Broken, Records};
use crate::source::{Hashing, Span, short_hash, text};
use crate::swap::{Generation, Read};
use crate::wanted::{Wanted, Whom};

/// What a pass saw.
pub(crate) struct Pass {
    pub(crate) read: Read,
    /// Rows that go, by target; a row that names several counts for each.
    pub(crate) rows: BTreeMap<usize, u64>,
    /// Whose rows stay because they are also somebody's whom the gate stopped.
    pub(crate) stays: Whom,
}

pub(crate) enum Trouble {
    Broken(Broken),
    Writing(io::Error),
}

/// Reads a generation of a file from its first byte to its last. Rows that name anybody of `stopped` stay.
pub(crate) fn pass(
    file: &File,
    generation: Generation,
    set: &Set,
    wanted: &Wanted,
    gzip: bool,
    stopped: &Whom,
    mut kept: Option<&mut dyn Write>,
) -> Result<Pass, Trouble> {
    let mut bytes = Hashing::new(Span::new(file, 0, generation.size));
    let mut seen =
        Pass { read: Read { generation, hash: 0, ended: true }, rows: BTreeMap::new(), stays: Whom::new() };
    {
        let mut records = Records::new(text(&mut bytes, gzip), set, wanted);
        while let Some(record) = records.next().map_err(Trouble::Broken)? {
            seen.read.ended = record.raw.ends_with(b"\n");
            if !record.whom.is_empty() && record.whom.is_disjoint(stopped) {
                for target in &record.whom {
                    *seen.rows.entry(*target).or_default() += 1;
                }
                continue;
            }
            seen.stays.extend(&record.whom);
            if let Some(kept) = kept.as_mut() {
                kept.write_all(record.raw).map_err(Trouble::Writing)?;
            }
        }
    }
    seen.read.hash = short_hash(&bytes.hash);
    Ok(seen)
}

/// The rewrite beside the file, with its owner, rights and attributes; on disk when this returns.
pub(crate) fn write(
    folder: &File,
    file: &File,
    generation: Generation,
    set: &Set,
    wanted: &Wanted,
    gzip: bool,
    stopped: &Whom,
) -> Result<(Pass, File), Trouble> {
    let name = unfinished(generation.inode);
    let fresh = create(folder, &name).map_err(Trouble::Writing)?;
    alike(file, &fresh).map_err(Trouble::Writing)?;
    let mut out = BufWriter::with_capacity(256 << 10, &fresh);
    let seen = if gzip {
        let mut encoder = GzEncoder::new(&mut out, Compression::default());
        let seen = pass(file, generation, set, wanted, gzip, stopped, Some(&mut encoder))?;
        encoder.finish().map_err(Trouble::Writing)?;
        seen
    } else {
        pass(file, generation, set, wanted, gzip, stopped, Some(&mut out))?
    };
    out.flush().map_err(Trouble::Writing)?;
    drop(out);
    fresh.sync_all().map_err(Trouble::Writing)?;
    Ok((seen, fresh))
}

fn create(folder: &File, name: &CString) -> io::Result<File> {
    let flags =
        OFlags::RDWR | OFlags::APPEND | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    Ok(File::from(openat(folder, name, flags, Mode::RUSR | Mode::WUSR)?))
}

/// Who could read and write the old file can read and write the new one, and nobody else.
fn alike(old: &File, new: &File) -> io::Result<()> {
    let (was, is) = (old.metadata()?, new.metadata()?);
    if (was.uid(), was.gid()) != (is.uid(), is.gid()) {
        fchown(new, Some(Uid::from_raw(was.uid())), Some(Gid::from_raw(was.gid())))?;
    }
    let mut names = vec![0_u8; 64 << 10];
    let length = match flistxattr(old, &mut names[..]) {
        Ok(length) => length,
        Err(rustix::io::Errno::NOTSUP) => 0,
        Err(error) => return Err(error.into()),
    };
    for name in names.get(..length).unwrap_or_default().split(|b| *b == 0).filter(|n| !n.is_empty()) {
        let mut value = vec![0_u8; 64 << 10];
        let length = fgetxattr(old, name, &mut value[..])?;
        fsetxattr(new, name, value.get(..length).unwrap_or_default(), rustix::fs::XattrFlags::empty())?;
    }
    fchmod(new, Mode::from_raw_mode(was.mode() & 0o7777))?;
    Ok(())
}
