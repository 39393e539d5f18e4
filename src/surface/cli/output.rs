//! What a verb says: data for stdout, talk for stderr, and the exit code.
//!
//! Data is gathered and written at the end, so that a verb that fails half way prints either an answer or nothing.

use std::io::{self, ErrorKind, Write};
use std::process::ExitCode;

use serde::Serialize;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Exit {
    /// Yes, or done.
    Done,
    /// The answer is no, or it failed in part.
    No,
    /// Wrong usage or configuration.
    Usage,
    /// Could not find out: nothing is known, a retry is safe.
    Unknown,
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(match exit {
            Exit::Done => 0,
            Exit::No => 1,
            Exit::Usage => 2,
            Exit::Unknown => 3,
        })
    }
}

/// Why a verb has no answer; `what` names the place and the remedy.
#[derive(Clone, Debug)]
pub struct Failure {
    pub exit: Exit,
    pub what: String,
}

impl Failure {
    pub fn no(what: impl Into<String>) -> Self {
        Self { exit: Exit::No, what: what.into() }
    }

    pub fn usage(what: impl Into<String>) -> Self {
        Self { exit: Exit::Usage, what: what.into() }
    }

    pub fn unknown(what: impl Into<String>) -> Self {
        Self { exit: Exit::Unknown, what: what.into() }
    }
}

/// What goes to stdout.
#[derive(Debug)]
pub struct Output {
    json: bool,
    text: String,
}

impl Output {
    pub fn new(json: bool) -> Self {
        Self { json, text: String::new() }
    }

    /// The caller wants JSON.
    pub fn is_json(&self) -> bool {
        self.json
    }

    /// As JSON when that is wanted, else as `human` words it.
    pub fn answer<T: Serialize>(
        &mut self,
        data: &T,
        human: impl FnOnce(&mut Self, &T),
    ) -> Result<(), Failure> {
        if !self.json {
            human(self, data);
            return Ok(());
        }
        self.json(data)
    }

    /// As JSON, whatever was wanted: a file for other programs.
    pub fn json<T: Serialize>(&mut self, data: &T) -> Result<(), Failure> {
        let text = serde_json::to_string_pretty(data)
            .map_err(|cause| Failure::unknown(format!("the answer cannot be written as JSON: {cause}")))?;
        self.line(&text);
        Ok(())
    }

    /// It is off the books.
    pub fn removed(&mut self, name: &str) -> Result<(), Failure> {
        let gone = serde_json::json!({"name": name, "result": "removed"});
        self.answer(&gone, |out, _| out.line(&format!("{name}  removed")))
    }

    pub fn line(&mut self, line: &str) {
        self.text.push_str(line);
        self.text.push('\n');
    }

    /// As it is.
    pub fn text(&mut self, text: &str) {
        self.text.push_str(text);
    }

    /// Columns, two spaces apart, each as wide as its widest cell. The first row is the head; no other row prints
    /// nothing.
    pub fn table(&mut self, head: &[&str], rows: &[Vec<String>]) {
        if rows.is_empty() {
            return;
        }
        let head: Vec<String> = head.iter().map(|h| (*h).to_owned()).collect();
        let wide = |column: usize| {
            let cells = std::iter::once(&head).chain(rows).filter_map(|row| row.get(column));
            cells.map(|cell| cell.chars().count()).max().unwrap_or_default()
        };
        let widths: Vec<usize> = (0..head.len()).map(wide).collect();
        for row in std::iter::once(&head).chain(rows) {
            let cells = row.iter().zip(&widths).map(|(cell, width)| format!("{cell:width$}"));
            self.line(cells.collect::<Vec<_>>().join("  ").trim_end());
        }
    }

    /// `name  value` lines, aligned.
    pub fn pairs(&mut self, pairs: &[(&str, String)]) {
        let width = pairs.iter().map(|(name, _)| name.len()).max().unwrap_or_default();
        for (name, value) in pairs {
            self.line(format!("{name:width$}  {value}").trim_end());
        }
    }

    /// Writes it all. A reader that went away early got what it wanted.
    pub fn print(self) -> io::Result<()> {
        let mut stdout = io::stdout().lock();
        match stdout.write_all(self.text.as_bytes()).and_then(|()| stdout.flush()) {
            Err(cause) if cause.kind() == ErrorKind::BrokenPipe => Ok(()),
            written => written,
        }
    }
}

/// Talk. Nobody listening is no failure.
pub fn say(line: &str) {
    let _ = writeln!(io::stderr().lock(), "{line}");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_table_is_as_wide_as_its_cells_and_nothing_without_rows() {
        let mut out = Output::new(false);
        out.table(&["name", "mode"], &[]);
        assert_eq!(out.text, "");
        out.table(
            &["name", "mode"],
            &[vec!["shop-db".into(), "observe".into()], vec!["x".into(), String::new()]],
        );
        assert_eq!(out.text, "name     mode\nshop-db  observe\nx\n");
    }
}
