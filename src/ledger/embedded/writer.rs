//! The one thread that writes: a group of appends, one write, one sync, then the answers.

use std::collections::VecDeque;
use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::sync::Arc;
use std::sync::mpsc::Receiver;

use tokio::sync::{OwnedSemaphorePermit, oneshot};

use super::frame::{Chain, FrameHead};
use super::kept;
use super::mark::{Clean, Meta};
use super::segment::{self, SegmentHead};
use super::{Options, Shared};
use crate::durable;
use crate::faults::{self, Point};
use crate::ledger::{LedgerError, Position, Stream};

/// A group takes no more appends beyond this.
const GROUP_BYTES: usize = 8 << 20;
/// The group's buffer is kept up to this size.
const KEEP_BUFFER: usize = 1 << 20;

pub type Answer<T> = oneshot::Sender<Result<T, LedgerError>>;

pub enum Message {
    Append(Job),
    /// `control`: all of it that stands before the segment `first`.
    Truncate {
        first: u64,
        control: Vec<Vec<u8>>,
        answer: Answer<u64>,
    },
    Begin {
        answer: Answer<()>,
    },
    Close(Option<Answer<()>>),
}

/// Frames that become durable together.
pub struct Job {
    pub frames: Vec<(Stream, Vec<u8>)>,
    /// Of the frames with their heads.
    pub bytes: usize,
    pub answer: Answer<Vec<u64>>,
    pub _room: OwnedSemaphorePermit,
}

pub struct Writer {
    pub shared: Arc<Shared>,
    pub options: Options,
    pub meta: Meta,
    pub head: SegmentHead,
    pub file: File,
    /// The end of what is synced in the segment.
    pub length: u64,
    pub chain: Chain,
    /// The next offset of every stream, by slot.
    pub next: Vec<u64>,
    /// Why nothing more is taken.
    pub poisoned: Option<String>,
    pub buffer: Vec<u8>,
    /// Held as long as this thread lives.
    pub _lock: File,
}

impl Writer {
    pub fn run(mut self, messages: Receiver<Message>) {
        let mut waiting = VecDeque::new();
        loop {
            let Some(message) = waiting.pop_front().or_else(|| messages.recv().ok()) else {
                break;
            };
            match message {
                Message::Append(first) => {
                    let (group, other) = gather(first, &messages);
                    self.append(group);
                    waiting.extend(other);
                }
                Message::Truncate { first, control, answer } => {
                    drop(answer.send(self.truncate(first, &control)));
                }
                Message::Begin { answer } => {
                    let is_begun = self.length == self.head.size();
                    drop(answer.send(if is_begun { self.usable() } else { self.roll() }));
                }
                Message::Close(answer) => {
                    let closed = self.close();
                    self.shared.durable.send_modify(|durable| durable.closed = true);
                    // Whoever is told that the ledger is closed may open it again at once.
                    drop(self);
                    match (answer, closed) {
                        (Some(answer), closed) => drop(answer.send(closed)),
                        (None, Err(error)) => {
                            tracing::error!(%error, "the ledger was not marked as cleanly shut down")
                        }
                        (None, Ok(())) => {}
                    }
                    return;
                }
            }
        }
    }

    fn append(&mut self, jobs: Vec<Job>) {
        let mut group = Vec::new();
        let mut bytes = 0u64;
        for job in jobs {
            let size = job.bytes as u64;
            if self.length + bytes + size > self.options.segment_bytes {
                self.write(std::mem::take(&mut group));
                bytes = 0;
                // An append larger than a segment has one of its own.
                if self.length + size > self.options.segment_bytes
                    && self.length > self.head.size()
                    && let Err(error) = self.roll()
                {
                    drop(job.answer.send(Err(error)));
                    continue;
                }
            }
            bytes += size;
            group.push(job);
        }
        self.write(group);
    }

    /// Writes and syncs the group at the end of the segment, and answers it.
    fn write(&mut self, group: Vec<Job>) {
        if group.is_empty() {
            return;
        }
        let mut buffer = std::mem::take(&mut self.buffer);
        buffer.clear();
        let (mut chain, mut next) = (self.chain, self.next.clone());
        let mut entries = Vec::new();
        let mut answers = Vec::with_capacity(group.len());
        for job in group {
            let mut offsets = Vec::with_capacity(job.frames.len());
            for (stream, body) in job.frames {
                let Some(offset) = next.get_mut(stream.slot()) else { continue };
                let at = self.length + buffer.len() as u64;
                let back = u32::try_from(buffer.len()).unwrap_or(u32::MAX);
                let head = FrameHead::seal(&self.head, at, &chain, stream.number(), back, *offset, &body);
                chain = head.chain;
                buffer.extend_from_slice(&head.encode());
                buffer.extend_from_slice(&body);
                entries.push((stream.slot(), *offset, Position { segment: self.head.number, at }));
                offsets.push(*offset);
                *offset += 1;
            }
            answers.push((job.answer, offsets, job._room));
        }
        faults::pass(Point::BeforeAppend);
        let stored = self.store(&buffer);
        faults::pass(Point::AfterAppend);
        if stored.is_ok() {
            self.length += buffer.len() as u64;
            self.chain = chain;
            self.next = next;
            self.tell(&entries);
        }
        for (answer, offsets, _room) in answers {
            // Nobody waits any more: the frame is durable all the same.
            drop(answer.send(stored.clone().map(|()| offsets)));
        }
        if buffer.capacity() <= KEEP_BUFFER {
            self.buffer = buffer;
        }
    }

    fn store(&mut self, buffer: &[u8]) -> Result<(), LedgerError> {
        self.usable()?;
        if let Err(cause) = self.file.write_all_at(buffer, self.length) {
            // Half a group must not stay: the next one is written over its place.
            return match self.file.set_len(self.length) {
                Ok(()) if is_full(&cause) => Err(LedgerError::Full),
                Ok(()) => Err(self.poison(format!("writing: {cause}"))),
                Err(second) => Err(self.poison(format!("writing: {cause}; cutting it off again: {second}"))),
            };
        }
        self.file.sync_data().map_err(|cause| {
            let cause = format!("syncing: {cause}");
            self.poison(cause.clone());
            LedgerError::SyncFailed { cause }
        })
    }

    fn tell(&self, entries: &[(usize, u64, Position)]) {
        let mut index = self.shared.index_mut();
        entries.iter().for_each(|(slot, offset, position)| index.frame(*slot, *offset, *position));
        drop(index);
        let end = Position { segment: self.head.number, at: self.length };
        self.shared.durable.send_modify(|durable| durable.end = end);
        for (end, next) in self.shared.ends.iter().zip(&self.next) {
            end.send_if_modified(|end| std::mem::replace(end, *next) != *next);
        }
    }

    /// Begins the next segment. What needs room on the disk comes first: when there is none, nothing has changed.
    fn roll(&mut self) -> Result<(), LedgerError> {
        self.usable()?;
        let dir = self.shared.dir.clone();
        let head = SegmentHead {
            number: self.head.number + 1,
            previous: self.chain,
            starts: self.next.clone(),
            ..self.head.clone()
        };
        let meta = Meta { last: head.number, ..self.meta.clone() };
        let path = segment::path(&dir, head.number);
        durable::draft(&path, &head.encode()).map_err(|cause| full_or_io(&path, cause))?;
        durable::draft(&Meta::path(&dir), meta.encode().as_bytes()).map_err(|cause| {
            // It would be taken away at the next start, or written over by the next try.
            let _ = durable::discard(&path);
            full_or_io(&Meta::path(&dir), cause)
        })?;
        let file = durable::publish(&path)
            .and_then(|()| durable::publish(&Meta::path(&dir)))
            .and_then(|()| segment::open_for_append(&path))
            .map_err(|cause| self.poison(format!("beginning segment {}: {cause}", head.number)))?;
        self.shared.index_mut().segment(&head);
        self.length = head.size();
        (self.meta, self.head, self.file) = (meta, head, file);
        let end = Position { segment: self.head.number, at: self.length };
        self.shared.durable.send_modify(|durable| durable.end = end);
        Ok(())
    }

    /// The meta says first what is no longer there: a crash in between leaves files that the next start takes away.
    fn truncate(&mut self, first: u64, control: &[Vec<u8>]) -> Result<u64, LedgerError> {
        self.usable()?;
        let dir = self.shared.dir.clone();
        let gone = self.meta.first..first;
        // What came meanwhile may have changed it: the next try sees it as it is.
        let entries = self.shared.index().control_before(first);
        if gone.is_empty() || entries != control.len() as u64 {
            return Ok(0);
        }
        let meta = Meta { first, control: entries, ..self.meta.clone() };
        if meta.control > self.meta.control {
            let path = kept::path(&dir, entries);
            durable::put(&path, &kept::encode(&meta.ledger, control))
                .map_err(|cause| full_or_io(&path, cause))?;
        }
        let path = Meta::path(&dir);
        durable::draft(&path, meta.encode().as_bytes()).map_err(|cause| full_or_io(&path, cause))?;
        faults::pass(Point::BeforeTruncate);
        durable::publish(&path).map_err(|cause| self.poison(format!("truncating: {cause}")))?;
        faults::pass(Point::AfterTruncate);
        self.meta = meta;
        self.shared.index_mut().forget_before(first);
        let mut count = 0;
        for number in gone {
            let path = segment::path(&dir, number);
            durable::remove(&path).map_err(LedgerError::io(&path, "remove"))?;
            count += 1;
        }
        kept::remove_others(&dir, entries).map_err(LedgerError::io(&dir, "clear"))?;
        Ok(count)
    }

    fn close(&mut self) -> Result<(), LedgerError> {
        self.usable()?;
        let position = Position { segment: self.head.number, at: self.length };
        let path = Clean::path(&self.shared.dir);
        let mark = Clean { position, chain: self.chain };
        durable::put(&path, mark.encode().as_bytes()).map_err(|cause| full_or_io(&path, cause))
    }

    fn usable(&self) -> Result<(), LedgerError> {
        match &self.poisoned {
            Some(cause) => Err(LedgerError::Poisoned { cause: cause.clone() }),
            None => Ok(()),
        }
    }

    fn poison(&mut self, cause: String) -> LedgerError {
        tracing::error!(%cause, "the ledger takes nothing more until a restart");
        self.poisoned = Some(cause.clone());
        LedgerError::Poisoned { cause }
    }
}

/// What else waits, up to a group's size; and the first message that is no append.
fn gather(first: Job, messages: &Receiver<Message>) -> (Vec<Job>, Option<Message>) {
    let mut bytes = first.bytes;
    let mut group = vec![first];
    while bytes < GROUP_BYTES {
        match messages.try_recv() {
            Ok(Message::Append(job)) => {
                bytes += job.bytes;
                group.push(job);
            }
            Ok(other) => return (group, Some(other)),
            Err(_) => break,
        }
    }
    (group, None)
}

fn is_full(cause: &io::Error) -> bool {
    use io::ErrorKind::{FileTooLarge, QuotaExceeded, StorageFull};
    matches!(cause.kind(), StorageFull | QuotaExceeded | FileTooLarge)
}

fn full_or_io(path: &std::path::Path, cause: io::Error) -> LedgerError {
    if is_full(&cause) { LedgerError::Full } else { LedgerError::io(path, "write")(cause) }
}
