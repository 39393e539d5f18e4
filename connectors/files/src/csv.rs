//! The records of a CSV file, with the bytes they are made of: quotes, embedded line breaks and endings included.

use std::io::BufRead;

use csv_core::{ReadRecordResult, Reader};

use crate::config::Set;
use crate::record::{Broken, LONGEST, Record};
use crate::wanted::{Wanted, Whom};

pub(crate) struct Rows<R> {
    input: R,
    core: Reader,
    raw: Vec<u8>,
    fields: Vec<u8>,
    ends: Vec<usize>,
    /// How many of `ends` this record uses.
    used: usize,
    /// Of the record's first byte.
    line: u64,
    /// For each of the set's fields the column it stands in; None = the header has not been read.
    columns: Option<Vec<usize>>,
    width: usize,
    matching: Vec<String>,
}

enum Step {
    Blank,
    Row,
    End,
}

impl<R: BufRead> Rows<R> {
    pub(crate) fn new(input: R, set: &Set) -> Self {
        Self {
            input,
            core: Reader::new(),
            raw: Vec::new(),
            fields: vec![0; 1024],
            ends: vec![0; 64],
            used: 0,
            line: 1,
            columns: None,
            width: 0,
            matching: set.fields.iter().map(|(field, _)| field.clone()).collect(),
        }
    }

    pub(crate) fn next(&mut self, set: &Set, wanted: &Wanted) -> Result<Option<Record<'_>>, Broken> {
        self.line += lines(&self.raw);
        self.raw.clear();
        let nobody = Whom::new();
        match self.step()? {
            Step::End => return Ok(None),
            Step::Blank => return Ok(Some(Record { raw: &self.raw, whom: nobody })),
            Step::Row => {}
        }
        let Some(columns) = &self.columns else {
            self.header()?;
            return Ok(Some(Record { raw: &self.raw, whom: nobody }));
        };
        if self.used != self.width {
            // Most often a quote that was never closed: then any row may hide in a field.
            let why = format!("the row has {} fields and the header {}", self.used, self.width);
            return Err(Broken { may_pass: !self.raw.ends_with(b"\n"), ..Broken::at(self.line, why) });
        }
        let mut whom = nobody;
        for ((_, kind), column) in set.fields.iter().zip(columns) {
            let text = std::str::from_utf8(self.field(*column))
                .map_err(|_| Broken::at(self.line, "a matching field is no UTF-8"))?;
            wanted.text(kind, text, &mut whom);
        }
        Ok(Some(Record { raw: &self.raw, whom }))
    }

    fn header(&mut self) -> Result<(), Broken> {
        let position = |field: &String| {
            let mut places = (0..self.used).filter(|n| self.field(*n) == field.as_bytes());
            match (places.next(), places.next()) {
                (Some(only), None) => Ok(only),
                (None, _) => Err(Broken::at(self.line, format!("the header has no column {field}"))),
                (Some(_), Some(_)) => Err(Broken::at(self.line, format!("the header names {field} twice"))),
            }
        };
        let columns = self.matching.iter().map(position).collect::<Result<_, _>>()?;
        (self.columns, self.width) = (Some(columns), self.used);
        Ok(())
    }

    fn field(&self, n: usize) -> &[u8] {
        let start = n.checked_sub(1).map_or(Some(0), |before| self.ends.get(before).copied());
        let end = self.ends.get(n).copied();
        start.zip(end).and_then(|(start, end)| self.fields.get(start..end)).unwrap_or_default()
    }

    /// Fills `raw` with the next line break that stands alone, or with the next row.
    fn step(&mut self) -> Result<Step, Broken> {
        let line = self.line;
        let failed = |e: std::io::Error| Broken::reading(line, &e);
        match self.input.fill_buf().map_err(failed)?.first() {
            None => return Ok(Step::End),
            Some(b'\n' | b'\r') => {
                self.line_break()?;
                return Ok(Step::Blank);
            }
            Some(_) => {}
        }
        let (mut filled, mut ended) = (0, 0);
        loop {
            let input = self.input.fill_buf().map_err(failed)?;
            // A last row without its line break: one is lent to it, and what goes on after that is an open quote.
            let at_end = input.is_empty();
            let input = if at_end { b"\n" } else { input };
            let (fields, ends) = (self.fields.get_mut(filled..), self.ends.get_mut(ended..));
            let (result, read, wrote, closed) =
                self.core.read_record(input, fields.unwrap_or_default(), ends.unwrap_or_default());
            if !at_end {
                self.raw.extend_from_slice(input.get(..read).unwrap_or_default());
                self.input.consume(read);
            }
            (filled, ended) = (filled + wrote, ended + closed);
            if self.raw.len() > LONGEST {
                return Err(Broken::at(line, "the row is longer than 16 MiB: is a quote left open?"));
            }
            match result {
                ReadRecordResult::Record => break,
                ReadRecordResult::OutputFull => self.fields.resize(self.fields.len() * 2, 0),
                ReadRecordResult::OutputEndsFull => self.ends.resize(self.ends.len() * 2, 0),
                ReadRecordResult::InputEmpty if !at_end => {}
                ReadRecordResult::InputEmpty | ReadRecordResult::End => {
                    return Err(Broken { may_pass: true, ..Broken::at(line, "a quote is never closed") });
                }
            }
        }
        self.used = ended;
        if self.raw.ends_with(b"\r") {
            self.take_if(b'\n')?;
        }
        Ok(Step::Row)
    }

    fn line_break(&mut self) -> Result<(), Broken> {
        // `\r\n` is one, and so is either alone.
        self.take_if(b'\r')?;
        self.take_if(b'\n')?;
        Ok(())
    }

    fn take_if(&mut self, wanted: u8) -> Result<bool, Broken> {
        let line = self.line;
        let found = self.input.fill_buf().map_err(|e| Broken::reading(line, &e))?.first() == Some(&wanted);
        if found {
            self.input.consume(1);
            self.raw.push(wanted);
        }
        Ok(found)
    }
}

/// Line breaks in these bytes, `\r\n` being one.
fn lines(raw: &[u8]) -> u64 {
    let feeds = raw.iter().filter(|b| **b == b'\n').count();
    let returns = raw.windows(2).filter(|w| w.first() == Some(&b'\r') && w.last() != Some(&b'\n')).count();
    let last = usize::from(raw.ends_with(b"\r"));
    u64::try_from(feeds + returns + last).unwrap_or(u64::MAX)
}
