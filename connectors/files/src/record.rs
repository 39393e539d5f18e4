//! The records of a file, one after the other, as the bytes they are: what is kept is written back unread.
//!
//! Invariant: the raw bytes of all records, put together, are the file. A record that cannot be understood ends the
//! reading with its line, because what cannot be understood might be about anybody.

use std::io::{self, BufRead};

use quietus_core::system::FileFormat;

use crate::config::Set;
use crate::csv::Rows;
use crate::json;
use crate::wanted::{Wanted, Whom};

/// A longer record is nobody's: it would have to be held in memory whole.
pub(crate) const LONGEST: usize = 16 << 20;

/// Why a file could not be read on; never holds any of its text.
#[derive(Debug)]
pub(crate) struct Broken {
    /// None = about the file as a whole.
    pub(crate) line: Option<u64>,
    pub(crate) why: String,
    /// A writer may be at it just now.
    pub(crate) may_pass: bool,
}

impl Broken {
    pub(crate) fn at(line: u64, why: impl Into<String>) -> Self {
        Self { line: Some(line), why: why.into(), may_pass: false }
    }

    pub(crate) fn reading(line: u64, error: &io::Error) -> Self {
        let why = match error.kind() {
            io::ErrorKind::UnexpectedEof => "the compressed data end in the middle".to_owned(),
            io::ErrorKind::InvalidInput | io::ErrorKind::InvalidData => {
                "this is no sound gzip data".to_owned()
            }
            kind => format!("reading failed: {kind}"),
        };
        Self { line: Some(line), why, may_pass: true }
    }
}

/// One record: its bytes with its line ending, and whom its fields name.
pub(crate) struct Record<'a> {
    pub(crate) raw: &'a [u8],
    pub(crate) whom: Whom,
}

pub(crate) struct Records<'s, R> {
    set: &'s Set,
    wanted: &'s Wanted,
    source: Source<R>,
}

enum Source<R> {
    Lines(Lines<R>),
    Rows(Box<Rows<R>>),
}

impl<'s, R: BufRead> Records<'s, R> {
    pub(crate) fn new(input: R, set: &'s Set, wanted: &'s Wanted) -> Self {
        let source = match set.format {
            FileFormat::Jsonl => Source::Lines(Lines { input, raw: Vec::new(), line: 0, marked: false }),
            FileFormat::Csv => Source::Rows(Box::new(Rows::new(input, set))),
        };
        Self { set, wanted, source }
    }

    pub(crate) fn next(&mut self) -> Result<Option<Record<'_>>, Broken> {
        match &mut self.source {
            Source::Lines(lines) => lines.next(self.set, self.wanted),
            Source::Rows(rows) => rows.next(self.set, self.wanted),
        }
    }
}

struct Lines<R> {
    input: R,
    raw: Vec<u8>,
    line: u64,
    /// The byte order mark was given out just now: it is the file's, not its first line's.
    marked: bool,
}

const MARK: [u8; 3] = *b"\xef\xbb\xbf";

impl<R: BufRead> Lines<R> {
    fn at_mark(&mut self) -> io::Result<bool> {
        Ok(self.input.fill_buf()?.starts_with(&MARK))
    }

    fn next(&mut self, set: &Set, wanted: &Wanted) -> Result<Option<Record<'_>>, Broken> {
        self.raw.clear();
        if self.line == 0 && self.at_mark().map_err(|e| Broken::reading(1, &e))? {
            self.raw.extend(MARK);
            self.input.consume(MARK.len());
            (self.line, self.marked) = (1, true);
            return Ok(Some(Record { raw: &self.raw, whom: Whom::new() }));
        }
        self.line += u64::from(!std::mem::take(&mut self.marked));
        let most = u64::try_from(LONGEST).unwrap_or(u64::MAX) + 1;
        let mut capped = io::Read::take(&mut self.input, most);
        capped.read_until(b'\n', &mut self.raw).map_err(|e| Broken::reading(self.line, &e))?;
        if self.raw.is_empty() {
            return Ok(None);
        }
        if self.raw.len() > LONGEST {
            return Err(Broken::at(self.line, "the line is longer than 16 MiB"));
        }
        let whom = json::whom(&self.raw, set, wanted).map_err(|why| Broken {
            // A line without its end may be half written.
            may_pass: !self.raw.ends_with(b"\n"),
            ..Broken::at(self.line, why)
        })?;
        Ok(Some(Record { raw: &self.raw, whom }))
    }
}
