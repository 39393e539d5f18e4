//! What lies beside a file while it is rewritten, and how its name says what to do with it after a crash.
//!
//! `.quietus-new-INODE` is a rewrite that is being written: of no use to anybody. A swap renames it to
//! `.quietus-swap-…`, whose fields (hexadecimal) tell the two files apart by inode, whichever of them lies under the
//! name by then, and up to where each is contained in the other:
//!
//! ```text
//! .quietus-swap-FILE-OLD-SIZE-HASH-NEW-LENGTH[-FROM-COUNT-AT]
//!   FILE    hash of the file's name          NEW, LENGTH  the rewrite's inode and length
//!   OLD     the replaced file's inode        FROM, COUNT  the block that is being carried over now,
//!   SIZE    how much of it was rewritten     AT           and how long the file was that it goes to
//!   HASH    of that much
//! ```

use std::ffi::CString;

const NEW: &str = ".quietus-new-";
const SWAP: &str = ".quietus-swap-";

/// Any file that a rewrite makes.
pub(crate) fn is_one(name: &[u8]) -> bool {
    name.starts_with(NEW.as_bytes()) || name.starts_with(SWAP.as_bytes())
}

/// A rewrite that was never swapped.
pub(crate) fn is_unfinished(name: &[u8]) -> bool {
    name.starts_with(NEW.as_bytes())
}

pub(crate) fn unfinished(inode: u64) -> CString {
    CString::new(format!("{NEW}{inode:x}")).unwrap_or_default()
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Marker {
    pub(crate) file: u64,
    pub(crate) old: u64,
    pub(crate) size: u64,
    pub(crate) hash: u64,
    pub(crate) new: u64,
    pub(crate) length: u64,
    pub(crate) block: Option<Block>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Block {
    pub(crate) from: u64,
    pub(crate) count: u64,
    pub(crate) at: u64,
}

impl Marker {
    pub(crate) fn name(&self) -> CString {
        let Self { file, old, size, hash, new, length, block } = self;
        let mut text = format!("{SWAP}{file:x}-{old:x}-{size:x}-{hash:x}-{new:x}-{length:x}");
        if let Some(Block { from, count, at }) = block {
            text.push_str(&format!("-{from:x}-{count:x}-{at:x}"));
        }
        CString::new(text).unwrap_or_default()
    }

    pub(crate) fn parse(name: &[u8]) -> Option<Self> {
        let fields = std::str::from_utf8(name).ok()?.strip_prefix(SWAP)?.split('-');
        let fields: Vec<u64> = fields.map(|f| u64::from_str_radix(f, 16).ok()).collect::<Option<_>>()?;
        let (head, block) = match *fields.as_slice() {
            [a, b, c, d, e, f] => ([a, b, c, d, e, f], None),
            [a, b, c, d, e, f, from, count, at] => ([a, b, c, d, e, f], Some(Block { from, count, at })),
            _ => return None,
        };
        let [file, old, size, hash, new, length] = head;
        Some(Self { file, old, size, hash, new, length, block })
    }
}

/// Stands for a file's name in a marker's, which could not hold it.
pub(crate) fn name_hash(name: &[u8]) -> u64 {
    blake3::hash(name).as_bytes().first_chunk::<8>().map_or(0, |first| u64::from_be_bytes(*first))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_marker_is_read_back_from_its_name() {
        let marker =
            Marker { file: u64::MAX, old: 1, size: 0, hash: u64::MAX, new: 2, length: 7, block: None };
        let carrying = Marker { block: Some(Block { from: 9, count: u64::MAX, at: 3 }), ..marker };
        for marker in [marker, carrying] {
            let name = marker.name();
            assert!(name.to_bytes().len() < 255 && is_one(name.to_bytes()));
            assert_eq!(Marker::parse(name.to_bytes()), Some(marker));
        }
        for bad in [".quietus-swap-", ".quietus-swap-1-2", ".quietus-new-1", "a.jsonl"] {
            assert_eq!(Marker::parse(bad.as_bytes()), None, "{bad}");
        }
    }
}
