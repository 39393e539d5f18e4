//! One file of the ledger: a head that ties it to the ledger and to the segment before, then frames.
//!
//! Invariant: a segment appears under its name only once its head is durable, so a broken head is always damage;
//! and the head names where every stream stood, so that what was truncated before it is known to be missing.

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};

use super::frame::{Chain, take};
use crate::ledger::{Damage, LedgerError};

const MAGIC: [u8; 8] = *b"quietusL";
const FORMAT: u32 = 1;
/// The head without the streams' offsets: magic, format, id, generation, number, partitions, simulated, chain.
const FIXED: usize = 8 + 4 + 16 + 4 + 8 + 4 + 1 + 16;
const SUFFIX: &str = ".segment";

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SegmentHead {
    pub ledger: [u8; 16],
    pub generation: u32,
    /// From 1.
    pub number: u64,
    pub partitions: u32,
    /// Made under a simulated clock.
    pub simulated: bool,
    /// The chain after the last frame of the segment before.
    pub previous: Chain,
    /// The next offset of every stream, by slot.
    pub starts: Vec<u64>,
}

impl SegmentHead {
    pub fn size(&self) -> u64 {
        (FIXED + 8 * self.starts.len() + 4) as u64
    }

    pub fn encode(&self) -> Vec<u8> {
        let mut out = Vec::with_capacity(FIXED + 8 * self.starts.len() + 4);
        out.extend_from_slice(&MAGIC);
        out.extend_from_slice(&FORMAT.to_le_bytes());
        out.extend_from_slice(&self.ledger);
        out.extend_from_slice(&self.generation.to_le_bytes());
        out.extend_from_slice(&self.number.to_le_bytes());
        out.extend_from_slice(&self.partitions.to_le_bytes());
        out.push(u8::from(self.simulated));
        out.extend_from_slice(&self.previous);
        self.starts.iter().for_each(|start| out.extend_from_slice(&start.to_le_bytes()));
        out.extend_from_slice(&crc32c::crc32c(&out).to_le_bytes());
        out
    }

    /// Reads the head of an open segment file.
    pub fn read(path: &Path, file: &File) -> Result<Self, LedgerError> {
        let damage = |what: &str| Damage::new(path, 0, what);
        let fixed = read_at(file, 0, FIXED).map_err(LedgerError::io(path, "read"))?;
        let rest = &mut fixed.as_slice();
        if take(rest) != Some(MAGIC) {
            return Err(damage("the segment's head is not one").into());
        }
        let mut head = Self::fixed(rest)
            .ok_or_else(|| damage("the segment's head is cut short, or of a newer format"))?;
        let whole = FIXED + 8 * (1 + usize::try_from(head.partitions).unwrap_or(0)) + 4;
        let bytes = read_at(file, 0, whole).map_err(LedgerError::io(path, "read"))?;
        let starts = bytes.get(FIXED..whole.saturating_sub(4)).unwrap_or_default();
        head.starts = starts.as_chunks::<8>().0.iter().map(|start| u64::from_le_bytes(*start)).collect();
        if head.encode() != bytes {
            return Err(damage("the checksum of the segment's head does not match").into());
        }
        Ok(head)
    }

    fn fixed(bytes: &mut &[u8]) -> Option<Self> {
        if u32::from_le_bytes(take(bytes)?) != FORMAT {
            return None;
        }
        let head = Self {
            ledger: take(bytes)?,
            generation: u32::from_le_bytes(take(bytes)?),
            number: u64::from_le_bytes(take(bytes)?),
            partitions: u32::from_le_bytes(take(bytes)?),
            simulated: take(bytes)? == [1],
            previous: take(bytes)?,
            starts: Vec::new(),
        };
        (head.partitions <= super::MAX_PARTITIONS).then_some(head)
    }

    /// Makes the segment's file, durable under its name before this returns.
    pub fn create(&self, dir: &Path) -> io::Result<File> {
        let path = path(dir, self.number);
        crate::durable::put(&path, &self.encode())?;
        open_for_append(&path)
    }
}

pub fn path(dir: &Path, number: u64) -> PathBuf {
    dir.join(format!("{number:012}{SUFFIX}"))
}

/// The numbers of all segments in the folder, ascending.
pub fn list(dir: &Path) -> Result<Vec<u64>, LedgerError> {
    let entries = fs::read_dir(dir).map_err(LedgerError::io(dir, "list"))?;
    let mut numbers = Vec::new();
    for entry in entries {
        let name = entry.map_err(LedgerError::io(dir, "list"))?.file_name();
        let number: Option<u64> =
            name.to_str().and_then(|name| name.strip_suffix(SUFFIX)).and_then(|n| n.parse().ok());
        numbers.extend(number);
    }
    numbers.sort_unstable();
    Ok(numbers)
}

pub fn open_for_append(path: &Path) -> io::Result<File> {
    File::options().read(true).write(true).open(path)
}

/// Up to `length` bytes from `at`; fewer where the file ends.
pub fn read_at(file: &File, at: u64, length: usize) -> io::Result<Vec<u8>> {
    let mut bytes = vec![0u8; length];
    let got = read_into(file, at, &mut bytes)?;
    bytes.truncate(got);
    Ok(bytes)
}

/// Fills `bytes` from `at`; says how many there were.
pub fn read_into(file: &File, at: u64, bytes: &mut [u8]) -> io::Result<usize> {
    use std::os::unix::fs::FileExt;
    let mut got = 0;
    while let Some(rest) = bytes.get_mut(got..).filter(|rest| !rest.is_empty()) {
        match file.read_at(rest, at + got as u64) {
            Ok(0) => break,
            Ok(n) => got += n,
            Err(cause) if cause.kind() == io::ErrorKind::Interrupted => {}
            Err(cause) => return Err(cause),
        }
    }
    Ok(got)
}
