//! Opening: lock the folder, examine what is there, cut off what a crash left, and hand it all to the writer.

use std::fs::{File, TryLockError};
use std::path::Path;
use std::sync::{Arc, RwLock};

use tokio::sync::watch;

use super::examine::{Examined, examine};
use super::index::Index;
use super::kept;
use super::mark::{Clean, Meta};
use super::segment::{self, SegmentHead};
use super::writer::Writer;
use super::{Durable, MAX_PARTITIONS, Options, Recovered, Shared};
use crate::durable;
use crate::ledger::{LedgerError, Position};

const LOCK: &str = "lock";

pub fn open(dir: &Path, options: &Options) -> Result<(Writer, Recovered), LedgerError> {
    check(dir, options)?;
    durable::make_folder(dir).map_err(LedgerError::io(dir, "make the folder"))?;
    let lock = lock(dir)?;
    durable::discard_all(dir).map_err(LedgerError::io(dir, "clear"))?;
    let (created, seen) = match examine(dir)? {
        Some(seen) => (false, seen),
        None => (true, create(dir, options)?),
    };
    matches(dir, options, &seen.head)?;
    // From here on the ledger may change: the mark must not vouch for it any longer.
    durable::remove(&Clean::path(dir)).map_err(LedgerError::io(dir, "take the clean mark away"))?;
    settle(dir, &seen)?;

    let path = segment::path(dir, seen.head.number);
    let file = segment::open_for_append(&path).map_err(LedgerError::io(&path, "open"))?;
    if seen.tail.is_some() {
        file.set_len(seen.position.at).map_err(LedgerError::io(&path, "cut off the torn end"))?;
    }
    // Frames and names that a killed process left may be in the kernel alone: nobody is answered from them before.
    let synced = file.sync_all().and_then(|()| durable::sync_folder(dir));
    synced.map_err(LedgerError::io(&path, "sync"))?;
    let recovered = Recovered {
        created,
        clean: seen.clean,
        cut: seen.tail,
        ledger: seen.head.ledger,
        generation: seen.head.generation,
        ends: seen.ends.clone(),
        frames: seen.frames,
    };
    let shared = Shared {
        dir: dir.to_owned(),
        ledger: seen.head.ledger,
        generation: seen.head.generation,
        partitions: seen.head.partitions,
        simulated: seen.head.simulated,
        index: RwLock::new(seen.index),
        durable: watch::Sender::new(Durable { end: seen.position, closed: false }),
        ends: seen.ends.iter().map(|end| watch::Sender::new(*end)).collect(),
    };
    let writer = Writer {
        shared: Arc::new(shared),
        options: options.clone(),
        meta: seen.meta,
        head: seen.head,
        file,
        length: seen.position.at,
        chain: seen.chain,
        next: seen.ends,
        poisoned: None,
        buffer: Vec::new(),
        _lock: lock,
    };
    Ok((writer, recovered))
}

fn check(dir: &Path, options: &Options) -> Result<(), LedgerError> {
    let wrong = |reason: String| Err(LedgerError::Mismatch { dir: dir.to_owned(), reason });
    if !(1..=MAX_PARTITIONS).contains(&options.partitions) {
        return wrong(format!(
            "`ledger.partitions` must be 1 to {MAX_PARTITIONS}, not {}",
            options.partitions
        ));
    }
    if options.segment_bytes > 1 << 30 {
        return wrong(format!("a segment of {} bytes is too large: at most 1 GiB", options.segment_bytes));
    }
    Ok(())
}

fn matches(dir: &Path, options: &Options, head: &SegmentHead) -> Result<(), LedgerError> {
    let wrong = |reason: String| Err(LedgerError::Mismatch { dir: dir.to_owned(), reason });
    if head.partitions != options.partitions {
        return wrong(format!(
            "this ledger was made with {} partitions, and their number is fixed: set `ledger.partitions: {}`, or reshard into a new ledger",
            head.partitions, head.partitions
        ));
    }
    match (head.simulated, options.simulated) {
        (true, false) => wrong("this ledger was made under a simulated clock (by `quietus demo`): give the node a `dir` of its own".to_owned()),
        (false, true) => wrong("this ledger was made under the real clock: give the simulation a `dir` of its own".to_owned()),
        _ => Ok(()),
    }
}

fn lock(dir: &Path) -> Result<File, LedgerError> {
    let path = dir.join(LOCK);
    let opened = File::options().create(true).truncate(false).write(true).open(&path);
    let file = opened.map_err(LedgerError::io(&path, "open"))?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(TryLockError::WouldBlock) => Err(LedgerError::Locked { dir: dir.to_owned() }),
        Err(TryLockError::Error(cause)) => Err(LedgerError::io(&path, "lock")(cause)),
    }
}

/// A first segment without frames, then the meta that says it is there.
fn create(dir: &Path, options: &Options) -> Result<Examined, LedgerError> {
    let mut ledger = [0u8; 16];
    let random = aws_lc_rs::rand::fill(&mut ledger).map_err(|_| std::io::Error::other("no randomness"));
    random.map_err(LedgerError::io(dir, "name the ledger"))?;
    let streams = 1 + usize::try_from(options.partitions).unwrap_or(0);
    let head = SegmentHead {
        ledger,
        generation: options.generation,
        number: 1,
        partitions: options.partitions,
        simulated: options.simulated,
        previous: [0; 16],
        starts: vec![0; streams],
    };
    head.create(dir).map_err(LedgerError::io(dir, "make the first segment"))?;
    let meta = Meta { ledger, first: 1, last: 1, control: 0 };
    durable::put(&Meta::path(dir), meta.encode().as_bytes())
        .map_err(LedgerError::io(dir, "make the meta file"))?;
    let mut index = Index::new(streams);
    index.segment(&head);
    let position = Position { segment: 1, at: head.size() };
    Ok(Examined {
        meta,
        clean: false,
        position,
        chain: head.previous,
        ends: head.starts.clone(),
        frames: 0,
        bytes: head.size(),
        tail: None,
        index,
        head,
    })
}

/// Finishes what a crash left half done: a roll that was not yet in the meta, a truncation whose files are left.
fn settle(dir: &Path, seen: &Examined) -> Result<(), LedgerError> {
    if Meta::read(dir)?.as_ref() != Some(&seen.meta) {
        let put = durable::put(&Meta::path(dir), seen.meta.encode().as_bytes());
        put.map_err(LedgerError::io(&Meta::path(dir), "write"))?;
    }
    for number in segment::list(dir)?.into_iter().filter(|number| *number < seen.meta.first) {
        let path = segment::path(dir, number);
        durable::remove(&path).map_err(LedgerError::io(&path, "remove"))?;
    }
    kept::remove_others(dir, seen.meta.control).map_err(LedgerError::io(dir, "clear"))
}
