//! What is wrong with a file: the place, the matter, the remedy.

use std::fmt;

use serde::Serialize;
use serde::ser::SerializeStruct;

use super::{Key, Node};

/// One finding. Never holds a secret or a personal data value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Diagnostic {
    pub file: String,
    pub line: usize,
    pub column: usize,
    pub severity: Severity,
    pub detail: String,
    pub fix: Option<String>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Severity {
    Error,
    Warning,
}

impl fmt::Display for Diagnostic {
    /// `FILE:LINE:COL: detail; fix`
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let warning = match self.severity {
            Severity::Error => "",
            Severity::Warning => "warning: ",
        };
        write!(f, "{}:{}:{}: {warning}{}", self.file, self.line, self.column, self.detail)?;
        self.fix.as_ref().map_or(Ok(()), |fix| write!(f, "; {fix}"))
    }
}

impl Serialize for Diagnostic {
    /// As in problem+json `errors[]`; only errors stand there, so the severity does not.
    fn serialize<S: serde::Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        let mut out = s.serialize_struct("Diagnostic", 5)?;
        out.serialize_field("file", &self.file)?;
        out.serialize_field("line", &self.line)?;
        out.serialize_field("column", &self.column)?;
        out.serialize_field("detail", &self.detail)?;
        match &self.fix {
            Some(fix) => out.serialize_field("fix", fix)?,
            None => out.skip_field("fix")?,
        }
        out.end()
    }
}

/// A place in the file at hand.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct At {
    pub line: usize,
    pub column: usize,
}

impl From<&Node> for At {
    fn from(node: &Node) -> Self {
        Self { line: node.line, column: node.column }
    }
}

impl From<&Key> for At {
    fn from(key: &Key) -> Self {
        Self { line: key.line, column: key.column }
    }
}

impl From<(usize, usize)> for At {
    fn from((line, column): (usize, usize)) -> Self {
        Self { line, column }
    }
}

/// Collects what is wrong with one file. Bounded: a hostile file costs a screenful, not the memory.
#[derive(Clone, Debug, Default)]
pub struct Diagnostics {
    file: String,
    list: Vec<Diagnostic>,
    errors: usize,
}

impl Diagnostics {
    const MAX: usize = 200;

    pub fn new(file: &str) -> Self {
        Self { file: file.to_owned(), ..Self::default() }
    }

    pub fn file(&self) -> &str {
        &self.file
    }

    /// An empty `fix` is none: only where the detail says it all.
    pub fn error(&mut self, at: impl Into<At>, detail: impl Into<String>, fix: impl Into<String>) {
        self.errors += 1;
        self.push(Severity::Error, at.into(), detail.into(), fix.into());
    }

    pub fn warning(&mut self, at: impl Into<At>, detail: impl Into<String>, fix: impl Into<String>) {
        self.push(Severity::Warning, at.into(), detail.into(), fix.into());
    }

    /// Takes over what was found in another file (a dataset that a manifest names).
    pub fn extend(&mut self, others: impl IntoIterator<Item = Diagnostic>) {
        for other in others {
            self.errors += usize::from(other.severity == Severity::Error);
            self.list.push(other);
        }
    }

    pub fn has_errors(&self) -> bool {
        self.errors > 0
    }

    /// How many errors so far: compare before and after a step to know whether it was clean.
    pub fn error_count(&self) -> usize {
        self.errors
    }

    /// Further errors are only counted.
    pub fn is_full(&self) -> bool {
        self.errors > Self::MAX
    }

    /// In the order of the lines; other files' findings after this file's.
    pub fn into_vec(self) -> Vec<Diagnostic> {
        let Self { file, mut list, .. } = self;
        list.sort_by_key(|d| (d.file != file, d.line, d.column));
        list
    }

    fn push(&mut self, severity: Severity, at: At, detail: String, fix: String) {
        // An error always finds room, so that a flood of warnings cannot hide it.
        if self.list.len() >= Self::MAX && (severity == Severity::Warning || self.errors > Self::MAX) {
            return;
        }
        let fix = Some(fix).filter(|f| !f.is_empty());
        self.list.push(Diagnostic {
            file: self.file.clone(),
            line: at.line,
            column: at.column,
            severity,
            detail,
            fix,
        });
    }
}
