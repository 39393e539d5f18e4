//! Lines that were added to a file after it had been put aside, carried over to the one that has its name.
//!
//! Invariant: a block is named in the marker before it is appended, so that after a crash it is known which bytes
//! may or may not have arrived, and only those are looked for. Nothing is put aside for good while a process that
//! may still add to it is in sight.

use std::ffi::CString;
use std::fs::File;
use std::io::{self, Read, Write};
use std::os::unix::fs::FileExt;
use std::time::{Duration, Instant};

use rustix::fs::{AtFlags, renameat, unlinkat};

use crate::holders::has_writer;
use crate::leftover::{Block, Marker};
use crate::source::Span;

/// How long a writer is waited for that keeps the old file open.
const PATIENCE: Duration = Duration::from_secs(5);
const PAUSE: Duration = Duration::from_millis(5);
/// Small, because a block that is being appended is looked for byte by byte after a crash.
const BLOCK: u64 = 64 << 10;
/// A write that a kill cuts short ends with a whole page.
const PAGE: u64 = 4096;

pub(crate) struct Carry<'d> {
    pub(crate) folder: &'d File,
    pub(crate) marker: Marker,
    /// Compressed data cannot be cut at a line's end: they are taken when nobody adds to them any more.
    pub(crate) gzip: bool,
}

pub(crate) enum Carried {
    /// Nothing is left behind; whether anything had to be carried.
    Whole { some: bool },
    /// A process still has it open for writing; the marker stays, and the next attempt goes on from there.
    Held,
}

impl Carry<'_> {
    /// Carries what `from` has past `start` over to `to`, and takes `from` away when nobody can add to it any more.
    pub(crate) fn over(&mut self, from: &File, start: u64, to: &mut File) -> io::Result<Carried> {
        let mut at = start;
        let deadline = Instant::now() + PATIENCE;
        loop {
            // In this order: what a writer added before it closed is in the length.
            let held = has_writer(from, from);
            let length = from.metadata()?.len();
            let end = match held {
                true if self.gzip => at,
                true => last_line_end(from, at, length)?,
                false => length,
            };
            while at < end {
                at = self.block(from, at, end, to)?;
            }
            if !held && from.metadata()?.len() == at {
                break;
            }
            if held && Instant::now() > deadline {
                return Ok(Carried::Held);
            }
            std::thread::sleep(PAUSE);
        }
        to.sync_all()?;
        unlinkat(self.folder, self.marker.name(), AtFlags::empty())?;
        // Opened before the swap by somebody who wrote only now: the last moment there is.
        let length = from.metadata()?.len();
        if length > at {
            let mut late = Vec::new();
            Span::new(from, at, length).read_to_end(&mut late)?;
            to.write_all(&late)?;
            to.sync_all()?;
        }
        self.folder.sync_all()?;
        Ok(Carried::Whole { some: length > start })
    }

    /// One block, announced before it is appended.
    fn block(&mut self, from: &File, at: u64, end: u64, to: &mut File) -> io::Result<u64> {
        let most = end.min(at + BLOCK);
        let cut = if most < end { last_line_end(from, at, most)? } else { most };
        let cut = if cut == at { most } else { cut };
        let mut bytes = Vec::new();
        Span::new(from, at, cut).read_to_end(&mut bytes)?;
        let block = Block { from: at, count: cut - at, at: to.metadata()?.len() };
        self.rename(Marker { block: Some(block), ..self.marker })?;
        to.write_all(&bytes)?;
        Ok(cut)
    }

    pub(crate) fn rename(&mut self, marker: Marker) -> io::Result<()> {
        let (now, then): (CString, CString) = (self.marker.name(), marker.name());
        renameat(self.folder, &now, self.folder, &then)?;
        self.marker = marker;
        Ok(())
    }
}

/// Where to go on in `from` after a crash: behind the announced block if it arrived, else at its first byte that
/// did not.
pub(crate) fn resume(from: &File, block: Block, to: &File) -> io::Result<u64> {
    let mut bytes = Vec::new();
    Span::new(from, block.from, block.from + block.count).read_to_end(&mut bytes)?;
    let length = to.metadata()?.len();
    let mut there = Vec::new();
    Span::new(to, block.at, length).read_to_end(&mut there)?;
    if bytes.is_empty() || there.windows(bytes.len()).any(|window| window == bytes) {
        return Ok(block.from + block.count);
    }
    let cut_short = length % PAGE == 0;
    let arrived = (1..bytes.len()).rev().find(|n| bytes.get(..*n).is_some_and(|head| there.ends_with(head)));
    let arrived = arrived.filter(|_| cut_short).and_then(|n| u64::try_from(n).ok());
    Ok(block.from + arrived.unwrap_or(0))
}

/// The end of the last whole line in `[from, to)`; `from` where there is none.
fn last_line_end(file: &File, from: u64, to: u64) -> io::Result<u64> {
    let mut end = to;
    let mut buffer = vec![0; 64 << 10];
    while end > from {
        let size = usize::try_from(end - from).unwrap_or(usize::MAX).min(buffer.len());
        let part = buffer.get_mut(..size).unwrap_or_default();
        let start = end - u64::try_from(size).unwrap_or_default();
        file.read_exact_at(part, start)?;
        if let Some(found) = part.iter().rposition(|b| *b == b'\n') {
            return Ok(start + u64::try_from(found).unwrap_or_default() + 1);
        }
        end = start;
    }
    Ok(from)
}
