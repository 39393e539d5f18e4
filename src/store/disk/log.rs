//! Bytes that only grow, in a run of their own.
//!
//! Invariant: what lies below a length that a root has named never changes. The last block is replaced by a longer
//! one with the same beginning, so that a root of before a crash reads what it read before, whatever came behind it.

use super::blocks::{Blocks, StoreError};
use super::page::MAX_BYTES;

/// Puts bytes behind the first `len`; says how many there are then.
pub fn append(blocks: &Blocks, run: u32, len: u64, bytes: &[u8]) -> Result<u64, StoreError> {
    let (full, begun) = place(len)?;
    let mut tail = match begun {
        0 => Vec::new(),
        _ => blocks.get(run, full)?.get(..begun).ok_or_else(|| short(run))?.to_vec(),
    };
    tail.extend_from_slice(bytes);
    blocks.put_long(run, full, &tail)?;
    Ok(len + bytes.len() as u64)
}

/// The first `len` bytes.
pub fn read(blocks: &Blocks, run: u32, len: u64) -> Result<Vec<u8>, StoreError> {
    let (full, begun) = place(len)?;
    let mut bytes = blocks.get_long(run, 0, len - begun as u64)?;
    if begun > 0 {
        bytes.extend_from_slice(blocks.get(run, full)?.get(..begun).ok_or_else(|| short(run))?);
    }
    Ok(bytes)
}

/// Full blocks, and bytes in the one after them.
fn place(len: u64) -> Result<(u32, usize), StoreError> {
    let block = MAX_BYTES as u64;
    let full = u32::try_from(len / block);
    let full = full.map_err(|_| StoreError::Damaged(format!("a log of {len} bytes")))?;
    Ok((full, usize::try_from(len % block).unwrap_or_default()))
}

fn short(run: u32) -> StoreError {
    StoreError::Damaged(format!("the log in run {run} is shorter than it was"))
}
