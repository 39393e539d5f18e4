//! The beginning of the control log, kept in a file of its own when the segments that held it go.
//!
//! ```text
//! magic "quietusC" | format u32 | ledger 16 | entries u64 | (length u32 | body) … | BLAKE3 of all before 32
//! ```
//! Invariant: whatever is truncated, the control log can be read from its first entry: what is in force (policies,
//! systems, holds, the stop switch) may be as old as the ledger. It names persons by keyed hashes in holds alone, and
//! is small: a sweep adds a few hundred bytes. Rejected: the folded state, for what is not in force any more is asked
//! about as well (under which policy was it erased?), and a fold of another version could not be made again.

use std::fs::{self, File};
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use super::frame::take;
use crate::ledger::{Damage, Frame, LedgerError, Position, Stream};

const MAGIC: [u8; 8] = *b"quietusC";
const FORMAT: u32 = 1;
const PREFIX: &str = "control-";
const SUFFIX: &str = ".kept";

/// The file that holds so many entries.
pub fn path(dir: &Path, entries: u64) -> PathBuf {
    dir.join(format!("{PREFIX}{entries:012}{SUFFIX}"))
}

pub fn encode(ledger: &[u8; 16], bodies: &[Vec<u8>]) -> Vec<u8> {
    let mut out = MAGIC.to_vec();
    out.extend_from_slice(&FORMAT.to_le_bytes());
    out.extend_from_slice(ledger);
    out.extend_from_slice(&(bodies.len() as u64).to_le_bytes());
    for body in bodies {
        out.extend_from_slice(&u32::try_from(body.len()).unwrap_or(u32::MAX).to_le_bytes());
        out.extend_from_slice(body);
    }
    let sum = blake3::hash(&out);
    out.extend_from_slice(sum.as_bytes());
    out
}

/// The bodies of the first so many entries.
pub fn read(dir: &Path, ledger: &[u8; 16], entries: u64) -> Result<Vec<Vec<u8>>, LedgerError> {
    if entries == 0 {
        return Ok(Vec::new());
    }
    let path = path(dir, entries);
    let damage = |what: &str| LedgerError::from(Damage::new(&path, 0, what));
    let mut bytes = Vec::new();
    match File::open(&path) {
        Err(cause) if cause.kind() == io::ErrorKind::NotFound => {
            return Err(damage("the beginning of the control log is missing"));
        }
        opened => opened
            .and_then(|mut file| file.read_to_end(&mut bytes))
            .map_err(LedgerError::io(&path, "read"))?,
    };
    let bodies = decode(&bytes, ledger).ok_or_else(|| damage("its content does not match its checksum"))?;
    match bodies.len() as u64 == entries {
        true => Ok(bodies),
        false => Err(damage("it holds other entries than its name says")),
    }
}

/// The same from this offset on, as frames of the control log.
pub fn frames(dir: &Path, ledger: &[u8; 16], entries: u64, from: u64) -> Result<Vec<Frame>, LedgerError> {
    let bodies = (0..).zip(read(dir, ledger, entries)?);
    let frame =
        |(offset, body)| Frame { stream: Stream::Control, offset, body, position: Position::default() };
    Ok(bodies.map(frame).filter(|frame| frame.offset >= from).collect())
}

fn decode(bytes: &[u8], ledger: &[u8; 16]) -> Option<Vec<Vec<u8>>> {
    let (content, sum) = bytes.split_last_chunk::<32>()?;
    if blake3::hash(content).as_bytes() != sum {
        return None;
    }
    let rest = &mut &*content;
    if (take(rest)?, u32::from_le_bytes(take(rest)?), take(rest)?) != (MAGIC, FORMAT, *ledger) {
        return None;
    }
    let mut bodies = Vec::new();
    for _ in 0..u64::from_le_bytes(take(rest)?) {
        let length = usize::try_from(u32::from_le_bytes(take(rest)?)).ok()?;
        let (body, after) = rest.split_at_checked(length)?;
        bodies.push(body.to_vec());
        *rest = after;
    }
    rest.is_empty().then_some(bodies)
}

/// Takes away what the meta file does not name: left by a crash before or after it was replaced.
pub fn remove_others(dir: &Path, entries: u64) -> io::Result<()> {
    let named = path(dir, entries);
    for entry in fs::read_dir(dir)? {
        let path = entry?.path();
        let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
        if name.starts_with(PREFIX) && name.ends_with(SUFFIX) && path != named {
            crate::durable::remove(&path)?;
        }
    }
    Ok(())
}
