//! How a verb reaches a node, and what a node's answers mean for the exit code.

use std::path::Path;
use std::time::Duration;

use clap::Args;

use super::{Exit, Failure, files};
use crate::surface::client::{Client, ClientError};
use crate::surface::wire::{Finding, Problem};

#[derive(Clone, Debug, Args)]
pub struct NodeArgs {
    /// The node.
    #[arg(
        long,
        value_name = "URL",
        env = "QUIETUS_URL",
        default_value = "http://127.0.0.1:7070",
        global = true
    )]
    url: String,
    /// What lets you in; `@FILE` reads it from a file, and keeps it out of the process list.
    #[arg(long, value_name = "TOKEN", env = "QUIETUS_TOKEN", hide_env_values = true, global = true)]
    token: Option<String>,
    /// How long to wait: for an answer 30s, until a sweep has ended 120s, unless it is said.
    #[arg(long, value_name = "TIME", value_parser = time, global = true)]
    timeout: Option<Duration>,
}

const ANSWER: Duration = Duration::from_secs(30);
const PATIENCE: Duration = Duration::from_secs(120);

impl NodeArgs {
    pub fn client(&self) -> Result<Client, Failure> {
        let token = match self.token.as_deref().map(|t| (t, t.strip_prefix('@'))) {
            None | Some(("", _)) => None,
            Some((_, Some(file))) => Some(text(files::read(Path::new(file))?, "--token")?),
            Some((token, None)) => Some(token.to_owned()),
        };
        Ok(Client::new(&self.url, token.as_deref(), self.timeout.unwrap_or(ANSWER))?)
    }

    /// How long something that takes its time is waited for.
    pub fn patience(&self) -> Duration {
        self.timeout.unwrap_or(PATIENCE)
    }
}

/// An identity as it was given: `T:V`, `-` for stdin, `@FILE`.
pub fn identity(given: &str) -> Result<String, Failure> {
    secret(given, "the identity")
}

/// What may be kept out of the process list by `-` or `@FILE`.
pub fn secret(given: &str, what: &str) -> Result<String, Failure> {
    let file = if given == "-" { Some(given) } else { given.strip_prefix('@') };
    match file {
        None => Ok(given.to_owned()),
        Some(file) => text(files::read(Path::new(file))?, what),
    }
}

/// One line, without its end.
fn text(bytes: Vec<u8>, what: &str) -> Result<String, Failure> {
    let text = String::from_utf8(bytes)
        .map_err(|_| Failure::usage(format!("{what} is not valid UTF-8; save the file as UTF-8")))?;
    let line = text.trim();
    if line.is_empty() || line.lines().count() > 1 {
        return Err(Failure::usage(format!("{what} must be one line; write nothing else into it")));
    }
    Ok(line.to_owned())
}

/// `500ms`, `10s`, `5m`: what a person writes for a time to wait.
pub fn time(text: &str) -> Result<Duration, String> {
    let millis = quietus_core::document::duration(text)?;
    let millis = u64::try_from(millis).unwrap_or_default();
    if millis == 0 {
        Err("write more than nothing, such as 10s".to_owned())
    } else {
        Ok(Duration::from_millis(millis))
    }
}

impl From<ClientError> for Failure {
    fn from(error: ClientError) -> Self {
        match error {
            ClientError::Usage(what) => Self::usage(what),
            ClientError::Problem(problem) => Self { exit: exit_of(problem.status), what: worded(&problem) },
            ClientError::Unreachable { .. }
            | ClientError::Untrusted { .. }
            | ClientError::Timeout { .. }
            | ClientError::Strange { .. } => Self::unknown(error.to_string()),
        }
    }
}

/// A refusal is an answer; who was not let in, or came at a bad time, has none.
fn exit_of(status: u16) -> Exit {
    match status {
        400 | 405 | 415 => Exit::Usage,
        401 | 403 | 408 | 429 | 500.. => Exit::Unknown,
        _ => Exit::No,
    }
}

/// The title and the detail, then each finding with its place and its remedy.
pub fn worded(problem: &Problem) -> String {
    let mut lines = vec![format!("{}: {} ({})", problem.title, problem.detail, problem.code)];
    for finding in &problem.errors {
        let placed = finding.pointer.is_some() || finding.file.is_some();
        match (&finding.fix, !placed && problem.detail.contains(&finding.detail)) {
            // The detail said it; what is left is the remedy, unless that was said too.
            (Some(fix), true) if !problem.detail.contains(fix) => lines.push(format!("  {fix}")),
            (_, true) => {}
            (_, false) => lines.push(format!("  {}", place(finding))),
        }
    }
    lines.join("\n")
}

/// `FILE:LINE:COL: detail; fix`, or `/pointer: detail; fix`.
pub fn place(finding: &Finding) -> String {
    let at = match (&finding.file, finding.line, &finding.pointer) {
        (Some(file), Some(line), _) => format!("{file}:{line}:{}: ", finding.column.unwrap_or(1)),
        (_, _, Some(pointer)) if !pointer.is_empty() => format!("{pointer}: "),
        _ => String::new(),
    };
    let fix = finding.fix.as_ref().map(|fix| format!("; {fix}")).unwrap_or_default();
    format!("{at}{}{fix}", finding.detail)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_is_not_let_in_knows_nothing_and_who_is_refused_knows_it() {
        assert_eq!([401, 403, 429, 503, 507].map(exit_of), [Exit::Unknown; 5]);
        assert_eq!([404, 409, 413, 422].map(exit_of), [Exit::No; 4]);
        assert_eq!([400, 415].map(exit_of), [Exit::Usage; 2]);
    }

    #[test]
    fn a_problem_is_worded_with_its_places_and_remedies() {
        let found = Finding { line: Some(3), file: Some("p".into()), ..Finding::at("/x", "bad", "mend it") };
        let problem =
            Problem::new(422, "wrong", "No", "one error").errors(vec![found, Finding::at("/a", "b", "c")]);
        assert_eq!(worded(&problem), "No: one error (wrong)\n  p:3:1: bad; mend it\n  /a: b; c");
        let said = |detail: &str| {
            let found =
                Finding { detail: "no such thing".into(), fix: Some("look".into()), ..Finding::default() };
            worded(&Problem::new(404, "none", "No", detail).errors(vec![found]))
        };
        assert_eq!(said("no such thing"), "No: no such thing (none)\n  look");
        assert_eq!(said("no such thing; look"), "No: no such thing; look (none)");
    }
}
