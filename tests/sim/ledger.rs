//! A ledger in memory: one order of frames over all streams, a durable prefix, and a tail that a crash may take.
//!
//! Beside each frame lies what it means in plain words, for the model alone.

use std::collections::BTreeMap;

use quietus::ledger::Stream;
use quietus::ledger::codec::{decode_frame, encode_frame};
use quietus_core::engine::control::Control;
use quietus_core::record::Frame;

use crate::model::{Ask, Decree};
use crate::plain::{Person, Told};

#[derive(Clone, Debug)]
pub enum Plain {
    Nothing,
    Told(Vec<(Person, Told)>),
    Tick(i64),
    /// Entry k of the control log, copied.
    Copied(u64),
    Decree(Decree),
    Asked(Ask),
}

#[derive(Clone, Debug)]
pub struct Entry {
    pub stream: Stream,
    pub bytes: Vec<u8>,
    pub plain: Plain,
    /// The same frame was written before.
    pub repeated: bool,
}

#[derive(Debug, Default)]
pub struct Ledger {
    entries: Vec<Entry>,
    durable: usize,
    streams: BTreeMap<Stream, Vec<usize>>,
    /// Frames below were given up: for the node they are gone.
    floors: BTreeMap<Stream, u64>,
}

impl Ledger {
    pub fn append(&mut self, stream: Stream, frame: &Frame, plain: Plain) -> usize {
        self.push(Entry { stream, bytes: encode_frame(frame).unwrap(), plain, repeated: false })
    }

    /// Writes a durable frame once more.
    pub fn repeat(&mut self, at: usize) {
        self.push(Entry { repeated: true, ..self.entries[at].clone() });
    }

    fn push(&mut self, entry: Entry) -> usize {
        self.streams.entry(entry.stream).or_default().push(self.entries.len());
        self.entries.push(entry);
        self.entries.len()
    }

    pub fn sync(&mut self) {
        self.durable = self.entries.len();
    }

    pub fn len(&self) -> usize {
        self.entries.len()
    }

    pub fn durable(&self) -> usize {
        self.durable
    }

    /// The durable frame of a stream at an offset, as a node reads it.
    pub fn frame(&self, stream: Stream, offset: u64) -> Option<&Entry> {
        let first = self.given_up(stream);
        assert!(offset >= first, "{stream}: {offset} is read, and gone: it begins at {first}");
        self.whole(stream, offset)
    }

    pub fn give_up(&mut self, stream: Stream, floor: u64) {
        self.floors.insert(stream, floor);
    }

    /// Frames of a stream that a node cannot read any more.
    pub fn given_up(&self, stream: Stream) -> u64 {
        self.floors.get(&stream).copied().unwrap_or(0)
    }

    /// The same, whatever was given up.
    pub fn whole(&self, stream: Stream, offset: u64) -> Option<&Entry> {
        let at = *self.streams.get(&stream)?.get(usize::try_from(offset).ok()?)?;
        (at < self.durable).then(|| &self.entries[at])
    }

    /// What the first `k` entries of the control log add up to.
    pub fn control(&self, k: u64) -> Option<Control> {
        let mut control = Control::default();
        for n in 0..k {
            let frame = decode_frame(&self.frame(Stream::Control, n)?.bytes).unwrap();
            control.apply(n + 1, &frame.records[0]);
        }
        Some(control)
    }

    pub fn entry(&self, at: usize) -> &Entry {
        &self.entries[at]
    }

    /// Frames of a stream, durable or not.
    pub fn written(&self, stream: Stream) -> u64 {
        self.streams.get(&stream).map_or(0, Vec::len) as u64
    }

    /// The power goes: what was synced stays, and perhaps some of what was written after it.
    pub fn crash(&mut self, survives: usize) {
        let keep = (self.durable + survives).min(self.entries.len());
        self.entries.truncate(keep);
        self.streams.values_mut().for_each(|s| s.retain(|at| *at < keep));
        self.durable = keep;
    }

    /// What must never happen: synced frames are gone.
    pub fn lose_everything_of(&mut self, stream: Stream) {
        self.streams.remove(&stream);
    }

    pub fn all(&self) -> impl Iterator<Item = &Entry> {
        self.entries.iter()
    }
}
