//! Where an orderly stop left the store: `store/rest`, a line per partition and their checksum.
//!
//! sled takes a changed byte in its newest log for a torn write and goes back to what was there before it. That is a
//! store of before, and right; that it is not the newest is told by this file alone.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use crate::durable;

fn file(store: &Path) -> PathBuf {
    store.join("rest")
}

/// Frames that each partition's store has seen, in order.
pub(super) fn write(store: &Path, kept: &[u64]) -> io::Result<()> {
    durable::put(&file(store), text(kept).as_bytes())
}

/// The store may change from here on.
pub(super) fn remove(store: &Path) -> io::Result<()> {
    durable::remove(&file(store))
}

/// None = no orderly stop came last; an error = it is not as it was written.
pub(super) fn read(store: &Path) -> Result<Option<Vec<u64>>, &'static str> {
    let bytes = match fs::read(file(store)) {
        Ok(bytes) => bytes,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(_) => return Err("its mark of an orderly stop cannot be read"),
    };
    let changed = "its mark of an orderly stop was changed";
    let read = String::from_utf8(bytes).map_err(|_| changed)?;
    let lines = read.lines().filter_map(|line| line.parse::<u64>().ok());
    let mut kept: Vec<u64> = lines.collect();
    kept.pop();
    if text(&kept) == read { Ok(Some(kept)) } else { Err(changed) }
}

fn text(kept: &[u64]) -> String {
    let lines: String = kept.iter().map(|frames| format!("{frames}\n")).collect();
    let sum = crc32c::crc32c(lines.as_bytes());
    format!("{lines}{sum}\n")
}
