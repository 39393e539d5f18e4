//! The offline check, read only: what `quietus audit verify --dir` says about the ledger's files.

use std::fs::File;
use std::path::Path;

use super::examine::{Tail, examine};
use crate::ledger::{LedgerError, Position};

/// Every byte of the ledger is as it was written, but for a tail.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Verified {
    pub ledger: [u8; 16],
    pub generation: u32,
    pub partitions: u32,
    pub simulated: bool,
    pub frames: u64,
    pub bytes: u64,
    /// The next offset of every stream, by slot. What the store's root has seen must lie below.
    pub ends: Vec<u64>,
    /// The oldest offset of every stream that is still there, by slot.
    pub starts: Vec<u64>,
    pub position: Position,
    /// The hash over everything up to `position`, lower-case hexadecimal.
    pub chain: String,
    /// A clean shutdown vouches for the end as well.
    pub clean: bool,
    /// Not checked: what a crash left at the end, or a running node is writing.
    pub tail: Option<Tail>,
}

/// Damage is [`LedgerError::Damaged`]; everything else means that it could not be found out.
pub fn verify(dir: &Path) -> Result<Verified, LedgerError> {
    // Held shared so that no truncation runs meanwhile; a running node has it for itself and is verified as it is.
    let lock = File::open(dir.join("lock")).ok();
    let alone = lock.as_ref().is_some_and(|lock| lock.try_lock_shared().is_ok());
    let first = examine(dir);
    // Beside a running node a segment may be truncated, or begun, between the reading of two files: look again.
    let seen = match first {
        Err(LedgerError::Damaged(_) | LedgerError::Io { .. }) if !alone => examine(dir),
        seen => seen,
    };
    let seen = seen?.ok_or_else(|| LedgerError::Missing { dir: dir.to_owned() })?;
    Ok(Verified {
        ledger: seen.head.ledger,
        generation: seen.head.generation,
        partitions: seen.head.partitions,
        simulated: seen.head.simulated,
        frames: seen.frames,
        bytes: seen.bytes,
        starts: (0..seen.ends.len()).map(|slot| seen.index.first(slot)).collect(),
        ends: seen.ends,
        position: seen.position,
        chain: data_encoding::HEXLOWER.encode(&seen.chain),
        clean: seen.clean,
        tail: seen.tail,
    })
}
