//! How a `check` verb answers: each error `FILE:LINE:COL: …` on stdout, warnings on stderr.

use quietus_core::document::{Diagnostic, Severity};
use serde::Serialize;

use super::node::place;
use super::output::say;
use super::{Exit, Failure, Output};
use crate::surface::wire::Finding;

#[derive(Debug, Serialize)]
struct Checked<'d> {
    ok: bool,
    errors: Vec<&'d Diagnostic>,
    warnings: Vec<&'d Diagnostic>,
}

/// Exit 0 unless there is an error.
pub fn checked(out: &mut Output, found: &[Diagnostic]) -> Result<Exit, Failure> {
    let of = |severity| move |d: &&Diagnostic| d.severity == severity;
    let errors: Vec<_> = found.iter().filter(of(Severity::Error)).collect();
    let warnings: Vec<_> = found.iter().filter(of(Severity::Warning)).collect();
    let checked = Checked { ok: errors.is_empty(), errors, warnings };
    out.answer(&checked, |out, checked| {
        checked.errors.iter().for_each(|d| out.line(&d.to_string()));
        checked.warnings.iter().for_each(|d| say(&d.to_string()));
    })?;
    Ok(if checked.ok { Exit::Done } else { Exit::No })
}

/// What is wrong with the files that a node is to start with.
pub fn wrong(found: &[Diagnostic]) -> Failure {
    Failure::usage(found.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n"))
}

/// What is worth saying and stops nothing.
pub fn warn(found: &[Diagnostic]) {
    found.iter().filter(|d| d.severity == Severity::Warning).for_each(|d| say(&d.to_string()));
}

/// As [`warn`], of what a node answered.
pub fn warn_of(finding: &Finding) {
    say(&format!("warning: {}", place(finding)));
}
