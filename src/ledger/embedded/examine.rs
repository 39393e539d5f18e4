//! Reads a whole ledger without changing it: what opening and `audit verify` share.
//!
//! A *tail* is what a crash in the middle of the last write leaves: it stands at the end of the last segment, and no
//! frame behind it proves that its place was durable once. All else that is not as written is damage. Where the
//! node was shut down in order there is no tail: the mark says what the last byte is.

use std::path::{Path, PathBuf};

use super::frame::Chain;
use super::index::Index;
use super::kept;
use super::mark::{Clean, Meta};
use super::segment::{self, SegmentHead};
use super::walk::{Step, Torn, Walk};
use crate::ledger::{Damage, LedgerError, Position};

/// Bytes at the end of the last segment that a crash left unfinished.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tail {
    pub file: PathBuf,
    pub at: u64,
    pub bytes: u64,
}

#[derive(Debug)]
pub struct Examined {
    pub meta: Meta,
    pub clean: bool,
    /// The head of the last segment.
    pub head: SegmentHead,
    /// The end of the last intact frame.
    pub position: Position,
    pub chain: Chain,
    /// The next offset of every stream, by slot.
    pub ends: Vec<u64>,
    pub frames: u64,
    pub bytes: u64,
    pub tail: Option<Tail>,
    pub index: Index,
}

/// None where there is no ledger yet.
pub fn examine(dir: &Path) -> Result<Option<Examined>, LedgerError> {
    let found = segment::list(dir)?;
    let Some(mut meta) = Meta::read(dir)? else {
        return no_meta(dir, &found);
    };
    let missing = (meta.first..=meta.last).find(|number| found.binary_search(number).is_err());
    if let Some(number) = missing {
        return Err(Damage::new(&segment::path(dir, number), 0, "the segment is missing").into());
    }
    // A crash between making a segment and saying so.
    if found.last() == Some(&(meta.last + 1)) {
        meta.last += 1;
    }
    if let Some(number) = found.last().filter(|number| **number > meta.last) {
        return Err(Damage::new(&segment::path(dir, *number), 0, "the segment is not of this ledger").into());
    }
    kept::read(dir, &meta.ledger, meta.control)?;
    let clean = Clean::read(dir)?;
    let mut seen: Option<Examined> = None;
    for number in meta.first..=meta.last {
        let before = seen.take();
        let walk = Walk::open(dir, number)?;
        connects(&walk, &meta, number, before.as_ref())?;
        seen = Some(walk_through(walk, &meta, before, clean.is_some() || number < meta.last)?);
    }
    let Some(mut seen) = seen else {
        return Err(Damage::new(&Meta::path(dir), 0, "it names no segment").into());
    };
    if let Some(clean) = clean {
        if (clean.position, clean.chain) != (seen.position, seen.chain) {
            let what = "the ledger does not end where the clean shutdown left it";
            return Err(
                Damage::new(&segment::path(dir, seen.position.segment), seen.position.at, what).into()
            );
        }
        seen.clean = true;
    }
    Ok(Some(seen))
}

/// A crash while the ledger was being made leaves a first segment without frames and no meta.
fn no_meta(dir: &Path, found: &[u64]) -> Result<Option<Examined>, LedgerError> {
    let missing = || Damage::new(&Meta::path(dir), 0, "the file is missing").into();
    match found {
        [] if Clean::read(dir)?.is_none() => Ok(None),
        [1] if Clean::read(dir)?.is_none() => {
            let walk = Walk::open(dir, 1)?;
            if walk.at == walk.length { Ok(None) } else { Err(missing()) }
        }
        _ => Err(missing()),
    }
}

fn connects(walk: &Walk, meta: &Meta, number: u64, before: Option<&Examined>) -> Result<(), LedgerError> {
    let head = &walk.head;
    let wrong = |what: &str| Err(Damage::new(&walk.path, 0, what).into());
    if head.ledger != meta.ledger || head.number != number {
        return wrong("the segment is of another ledger, or stands under another's name");
    }
    match before {
        None if number == 1 && (head.previous != [0; 16] || head.starts.iter().any(|start| *start != 0)) => {
            wrong("the first segment says that something came before it")
        }
        None if head.starts.first() != Some(&meta.control) => {
            wrong("the segment does not follow the beginning of the control log that is kept")
        }
        Some(before) if head.previous != before.chain || head.starts != before.ends => {
            wrong("the segment does not follow the one before it")
        }
        Some(before)
            if (head.partitions, head.generation) != (before.head.partitions, before.head.generation) =>
        {
            wrong("the segment has other partitions, or is of another generation, than the one before it")
        }
        Some(before) if head.simulated != before.head.simulated => {
            wrong("only some segments are of a simulated clock")
        }
        _ => Ok(()),
    }
}

/// `sealed`: no crash explains a break here.
fn walk_through(
    mut walk: Walk,
    meta: &Meta,
    before: Option<Examined>,
    sealed: bool,
) -> Result<Examined, LedgerError> {
    let (mut index, mut frames, mut bytes) = match before {
        Some(before) => (before.index, before.frames, before.bytes),
        None => (Index::new(walk.head.starts.len()), 0, 0),
    };
    index.segment(&walk.head);
    let mut body = Vec::new();
    let tail = loop {
        match walk.step(&mut body)? {
            Step::Frame { head, at } => {
                frames += 1;
                index.frame(head.slot(), head.offset, Position { segment: walk.head.number, at });
            }
            Step::End => break None,
            Step::Broken { what, torn } => {
                if sealed || torn == Torn::No {
                    return Err(Damage::new(&walk.path, walk.at, what).into());
                }
                if let Some(behind) = walk.durable_behind()? {
                    let what = format!("{what}, and intact frames stand behind it, from byte {behind}");
                    return Err(Damage::new(&walk.path, walk.at, what).into());
                }
                break Some(Tail { file: walk.path.clone(), at: walk.at, bytes: walk.length - walk.at });
            }
        }
    };
    bytes += walk.at;
    let position = Position { segment: walk.head.number, at: walk.at };
    let (chain, ends, head) = (walk.chain, walk.next, walk.head);
    Ok(Examined { meta: meta.clone(), clean: false, head, position, chain, ends, frames, bytes, tail, index })
}
