//! The two small files beside the segments: `ledger.meta` (which segments there must be, and how many entries of the
//! control log are kept beside them) and `clean` (where a node that was shut down in order left off).
//!
//! Both are lines of text that end in their own checksum, and are only ever replaced whole. A file is read by
//! writing it again: whatever does not come out byte for byte is damage.

use std::fmt::Write as _;
use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};

use data_encoding::HEXLOWER;

use super::frame::Chain;
use crate::ledger::{Damage, LedgerError, Position};

const META: &str = "ledger.meta";
const CLEAN: &str = "clean";
/// Both files are far smaller; a longer one is none of ours.
const MAX_BYTES: u64 = 4096;

/// Which segments belong to the ledger: without it a lost first or last one would go unnoticed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Meta {
    pub ledger: [u8; 16],
    pub first: u64,
    pub last: u64,
    /// Entries of the control log that lie in [`super::kept`]; nothing stands in the file where there are none.
    pub control: u64,
}

impl Meta {
    pub fn path(dir: &Path) -> PathBuf {
        dir.join(META)
    }

    pub fn read(dir: &Path) -> Result<Option<Self>, LedgerError> {
        read(
            &Self::path(dir),
            |field| {
                let ledger = HEXLOWER.decode(field("ledger")?.as_bytes()).ok()?.try_into().ok()?;
                Some(Self {
                    ledger,
                    first: field("first")?.parse().ok()?,
                    last: field("last")?.parse().ok()?,
                    control: field("control").map_or(Ok(0), |entries| entries.parse()).ok()?,
                })
            },
            Self::encode,
        )
    }

    pub fn encode(&self) -> String {
        let mut fields = vec![
            ("ledger", HEXLOWER.encode(&self.ledger)),
            ("first", self.first.to_string()),
            ("last", self.last.to_string()),
        ];
        if self.control > 0 {
            fields.push(("control", self.control.to_string()));
        }
        lines(&fields)
    }
}

/// Nothing was written after this. Taken away before the first append.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Clean {
    pub position: Position,
    pub chain: Chain,
}

impl Clean {
    pub fn path(dir: &Path) -> PathBuf {
        dir.join(CLEAN)
    }

    pub fn read(dir: &Path) -> Result<Option<Self>, LedgerError> {
        read(
            &Self::path(dir),
            |field| {
                let position =
                    Position { segment: field("segment")?.parse().ok()?, at: field("at")?.parse().ok()? };
                Some(Self {
                    position,
                    chain: HEXLOWER.decode(field("chain")?.as_bytes()).ok()?.try_into().ok()?,
                })
            },
            Self::encode,
        )
    }

    pub fn encode(&self) -> String {
        lines(&[
            ("segment", self.position.segment.to_string()),
            ("at", self.position.at.to_string()),
            ("chain", HEXLOWER.encode(&self.chain)),
        ])
    }
}

fn lines(fields: &[(&str, String)]) -> String {
    let mut text = String::from("quietus ledger 1\n");
    for (name, value) in fields {
        let _ = writeln!(text, "{name} {value}");
    }
    let crc = crc32c::crc32c(text.as_bytes());
    let _ = writeln!(text, "crc {crc:08x}");
    text
}

fn read<T>(
    path: &Path,
    parse: impl FnOnce(&dyn Fn(&str) -> Option<String>) -> Option<T>,
    encode: impl FnOnce(&T) -> String,
) -> Result<Option<T>, LedgerError> {
    let file = match File::open(path) {
        Err(cause) if cause.kind() == io::ErrorKind::NotFound => return Ok(None),
        opened => opened.map_err(LedgerError::io(path, "open"))?,
    };
    let mut bytes = Vec::new();
    io::Read::read_to_end(&mut io::Read::take(file, MAX_BYTES), &mut bytes)
        .map_err(LedgerError::io(path, "read"))?;
    let text = String::from_utf8_lossy(&bytes);
    let field = |name: &str| {
        text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' ').map(str::to_owned))
    };
    match parse(&field) {
        Some(value) if encode(&value).as_bytes() == bytes => Ok(Some(value)),
        _ => Err(Damage::new(path, 0, "its content does not match its checksum").into()),
    }
}
