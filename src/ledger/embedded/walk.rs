//! Reads one segment frame by frame and checks everything that can be checked.

use std::fs::File;
use std::io::{self, BufReader, Read};
use std::path::{Path, PathBuf};

use super::frame::{Chain, FrameHead, HEAD, MAGIC};
use super::segment::{self, SegmentHead};
use crate::ledger::LedgerError;

pub struct Walk {
    pub path: PathBuf,
    pub head: SegmentHead,
    /// Where the next frame begins.
    pub at: u64,
    pub length: u64,
    pub chain: Chain,
    /// The next offset of every stream, by slot.
    pub next: Vec<u64>,
    file: BufReader<File>,
}

pub enum Step {
    Frame { head: FrameHead, at: u64 },
    End,
    Broken { what: &'static str, torn: Torn },
}

/// May a crash in the middle of a write explain what is broken?
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Torn {
    Perhaps,
    /// The frame is whole and stands where it was written: what is wrong happened later, or before it.
    No,
}

impl Walk {
    pub fn open(dir: &Path, number: u64) -> Result<Self, LedgerError> {
        let path = segment::path(dir, number);
        let file = File::open(&path).map_err(LedgerError::io(&path, "open"))?;
        let length = file.metadata().map_err(LedgerError::io(&path, "inspect"))?.len();
        let head = SegmentHead::read(&path, &file)?;
        let mut file = BufReader::with_capacity(256 << 10, file);
        io::Seek::seek(&mut file, io::SeekFrom::Start(head.size()))
            .map_err(LedgerError::io(&path, "read"))?;
        Ok(Self {
            at: head.size(),
            chain: head.previous,
            next: head.starts.clone(),
            path,
            head,
            length,
            file,
        })
    }

    /// The next frame; its body is left in `body`.
    pub fn step(&mut self, body: &mut Vec<u8>) -> Result<Step, LedgerError> {
        let torn = |what| Ok(Step::Broken { what, torn: Torn::Perhaps });
        let room = self.length.saturating_sub(self.at);
        if room == 0 {
            return Ok(Step::End);
        }
        let mut bytes = [0u8; HEAD];
        if room < HEAD as u64 {
            return torn("a frame's head is cut short");
        }
        self.file.read_exact(&mut bytes).map_err(LedgerError::io(&self.path, "read"))?;
        let Some(head) = FrameHead::decode(&bytes) else {
            return torn("no frame begins here");
        };
        if head.size() > room {
            return torn("a frame's body is cut short");
        }
        body.resize(head.body_length(), 0);
        self.file.read_exact(body).map_err(LedgerError::io(&self.path, "read"))?;
        if !head.intact(&self.head, self.at, body) {
            return torn("a frame's checksum does not match");
        }
        let wrong = |what| Ok(Step::Broken { what, torn: Torn::No });
        let Some(next) = self.next.get_mut(head.slot()) else {
            return wrong("a frame belongs to a stream that this ledger does not have");
        };
        if *next != head.offset {
            return wrong("a frame's offset does not follow the one before: frames were dropped or swapped");
        }
        if !head.follows(&self.chain, body) {
            return wrong("a frame does not follow the one before: frames were changed, dropped or swapped");
        }
        let at = self.at;
        *next += 1;
        self.chain = head.chain;
        self.at += head.size();
        Ok(Step::Frame { head, at })
    }

    /// The first intact frame behind the broken place whose group began behind it too: when it was written all
    /// before its group was durable, so no crash explains the break.
    pub fn durable_behind(&self) -> Result<Option<u64>, LedgerError> {
        let room = usize::try_from(self.length.saturating_sub(self.at)).unwrap_or(usize::MAX);
        let rest = segment::read_at(self.file.get_ref(), self.at, room)
            .map_err(LedgerError::io(&self.path, "read"))?;
        let found =
            rest.windows(HEAD).enumerate().skip(1).filter(|(_, bytes)| bytes.starts_with(&MAGIC)).find_map(
                |(ahead, bytes)| {
                    let head = FrameHead::decode(bytes.first_chunk()?)?;
                    let body = rest.get(ahead + HEAD..)?.get(..head.body_length())?;
                    let at = self.at + ahead as u64;
                    let durable = at.saturating_sub(u64::from(head.back)) > self.at;
                    (durable && head.intact(&self.head, at, body)).then_some(at)
                },
            );
        Ok(found)
    }
}
