//! Reads durable frames from the files, in order: of one stream, or of all.
//!
//! A reader ends where the synced part ends and goes on from there when asked again. It checks each frame's
//! checksum (which binds it to its place); that frames follow each other was checked when the ledger was opened.

use std::collections::VecDeque;
use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use tokio::sync::watch;

use super::frame::{FrameHead, HEAD};
use super::kept;
use super::segment::{self, SegmentHead};
use super::{Durable, Shared};
use crate::ledger::{Damage, Frame, LedgerError, Position, Stream};

/// Read ahead by this much.
const CHUNK: usize = 128 << 10;

pub struct Reader {
    shared: Arc<Shared>,
    durable: watch::Receiver<Durable>,
    /// The next offset of interest, by slot; None = nothing of this stream.
    wanted: Vec<Option<u64>>,
    position: Position,
    open: Option<Open>,
    /// Entries of the control log that stand in no segment any more.
    kept: VecDeque<Frame>,
}

struct Open {
    path: PathBuf,
    file: File,
    head: SegmentHead,
    chunk: Vec<u8>,
    chunk_at: u64,
}

impl Reader {
    pub(super) fn of_stream(shared: Arc<Shared>, stream: Stream, from: u64) -> Result<Self, LedgerError> {
        let slot = shared.slot(stream)?;
        let mut wanted = vec![None; shared.ends.len()];
        if let Some(wanted) = wanted.get_mut(slot) {
            *wanted = Some(from);
        }
        Self::new(shared, wanted)
    }

    pub(super) fn of_all(shared: Arc<Shared>, from: &[u64]) -> Result<Self, LedgerError> {
        let index = shared.index();
        let wanted = (0..shared.ends.len())
            .map(|slot| Some(from.get(slot).copied().unwrap_or_else(|| index.first(slot))))
            .collect();
        drop(index);
        Self::new(shared, wanted)
    }

    fn new(shared: Arc<Shared>, mut wanted: Vec<Option<u64>>) -> Result<Self, LedgerError> {
        let durable = shared.durable.subscribe();
        // Held while the kept file is read: until then no truncation replaces it.
        let index = shared.index();
        let (control, entries) = (Stream::Control.slot(), index.in_segments(Stream::Control.slot()));
        let mut kept = VecDeque::new();
        if let Some(from) = wanted.get_mut(control).and_then(Option::as_mut).filter(|from| **from < entries) {
            kept = kept::frames(&shared.dir, &shared.ledger, entries, *from)?.into();
            *from = entries;
        }
        let mut position: Option<Position> = None;
        for (slot, offset) in
            wanted.iter().enumerate().filter_map(|(slot, from)| from.map(|from| (slot, from)))
        {
            let first = index.first(slot);
            if offset < first {
                let stream = Stream::from_number(u32::try_from(slot).unwrap_or(u32::MAX));
                return Err(LedgerError::Truncated { stream, offset, first });
            }
            let found = index.find(slot, offset);
            position = Some(position.map_or(found, |position| position.min(found)));
        }
        drop(index);
        Ok(Self { shared, durable, wanted, position: position.unwrap_or_default(), open: None, kept })
    }

    /// The next frame, waiting until there is one.
    pub async fn tail(&mut self) -> Result<Frame, LedgerError> {
        loop {
            let closed = self.durable.borrow_and_update().closed;
            if let Some(frame) = self.step()? {
                return Ok(frame);
            }
            if closed {
                return Err(LedgerError::Closed);
            }
            self.durable.changed().await.map_err(|_| LedgerError::Closed)?;
        }
    }

    /// The next frame; None where nothing more is durable yet.
    fn step(&mut self) -> Result<Option<Frame>, LedgerError> {
        if let Some(frame) = self.kept.pop_front() {
            return Ok(Some(frame));
        }
        loop {
            let durable = self.durable.borrow().end;
            if self.position >= durable {
                return Ok(None);
            }
            let mut open = match self.open.take() {
                Some(open) if open.head.number == self.position.segment => open,
                _ => self.open_segment()?,
            };
            let end = if self.position.segment < durable.segment { open.length()? } else { durable.at };
            if self.position.at >= end {
                self.next_segment()?;
                continue;
            }
            let (head, frame) = open.frame(self.position, end, &mut self.wanted)?;
            self.position.at += head.size();
            self.open = Some(open);
            if frame.is_some() {
                return Ok(frame);
            }
        }
    }

    fn open_segment(&mut self) -> Result<Open, LedgerError> {
        loop {
            let path = segment::path(&self.shared.dir, self.position.segment);
            let file = match File::open(&path) {
                Err(cause) if cause.kind() == io::ErrorKind::NotFound => {
                    self.position = self.after_gone(&path)?;
                    continue;
                }
                opened => opened.map_err(LedgerError::io(&path, "open"))?,
            };
            let head = SegmentHead::read(&path, &file)?;
            return Ok(Open { path, file, head, chunk: Vec::new(), chunk_at: 0 });
        }
    }

    fn next_segment(&mut self) -> Result<(), LedgerError> {
        self.position = Position { segment: self.position.segment + 1, at: 0 };
        let open = self.open_segment()?;
        self.position.at = open.head.size();
        self.open = Some(open);
        Ok(())
    }

    /// The segment was truncated away under the reader, or is lost. Where nothing that is wanted went with it, it goes
    /// on from the oldest that is there.
    fn after_gone(&self, path: &Path) -> Result<Position, LedgerError> {
        let index = self.shared.index();
        let beginning = index.beginning();
        if self.position.segment >= beginning.segment {
            return Err(Damage::new(path, 0, "the segment is missing").into());
        }
        for (slot, offset) in self.wanted.iter().enumerate().filter_map(|(slot, from)| Some((slot, (*from)?)))
        {
            let first = index.in_segments(slot);
            if offset < first {
                let stream = Stream::from_number(u32::try_from(slot).unwrap_or(u32::MAX));
                return Err(LedgerError::Truncated { stream, offset, first });
            }
        }
        Ok(beginning)
    }
}

impl Open {
    fn length(&self) -> Result<u64, LedgerError> {
        Ok(self.file.metadata().map_err(LedgerError::io(&self.path, "inspect"))?.len())
    }

    /// The frame at this place; without its body where nobody wants it.
    fn frame(
        &mut self,
        position: Position,
        end: u64,
        wanted: &mut [Option<u64>],
    ) -> Result<(FrameHead, Option<Frame>), LedgerError> {
        let damage = |open: &Self, what| LedgerError::from(Damage::new(&open.path, position.at, what));
        let bytes = self.bytes(position.at, HEAD, end)?;
        let head = bytes.first_chunk().and_then(FrameHead::decode);
        let head = head.ok_or_else(|| damage(self, "no frame begins here"))?;
        let wanted = wanted.get_mut(head.slot()).and_then(Option::as_mut);
        let Some(next) = wanted.filter(|from| head.offset >= **from) else {
            return Ok((head, None));
        };
        let body = self.bytes(position.at + HEAD as u64, head.body_length(), end)?.to_vec();
        if body.len() != head.body_length() || !head.intact(&self.head, position.at, &body) {
            return Err(damage(self, "a frame's checksum does not match"));
        }
        *next = head.offset + 1;
        let stream = Stream::from_number(head.stream);
        Ok((head, Some(Frame { stream, offset: head.offset, body, position })))
    }

    /// Up to `length` bytes from `at`, never beyond `end`, which is synced and so will not change.
    fn bytes(&mut self, at: u64, length: usize, end: u64) -> Result<&[u8], LedgerError> {
        let room = usize::try_from(end.saturating_sub(at)).unwrap_or(usize::MAX);
        let length = length.min(room);
        let held = |open: &Self| {
            let ahead = usize::try_from(at.checked_sub(open.chunk_at)?).ok()?;
            let until = ahead.checked_add(length)?;
            (until <= open.chunk.len()).then_some(ahead..until)
        };
        if held(self).is_none() {
            self.chunk.resize(length.max(CHUNK).min(room), 0);
            let got = segment::read_into(&self.file, at, &mut self.chunk);
            let got = got.map_err(LedgerError::io(&self.path, "read"))?;
            self.chunk.truncate(got);
            self.chunk_at = at;
        }
        Ok(held(self).and_then(|range| self.chunk.get(range)).unwrap_or_default())
    }
}

impl Iterator for Reader {
    type Item = Result<Frame, LedgerError>;

    /// None where nothing more is durable *yet*: ask again later, or wait with [`Reader::tail`].
    fn next(&mut self) -> Option<Self::Item> {
        self.step().transpose()
    }
}

impl std::fmt::Debug for Reader {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Reader").field("position", &self.position).field("wanted", &self.wanted).finish()
    }
}
