//! `quietus source …`

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use clap::{Args, Subcommand};
use quietus_core::document::{Diagnostic, Diagnostics, Severity};
use quietus_core::source::{Source as Parsed, parse_sources};
use quietus_core::system::{self, Manifest};
use serde::Serialize;

use super::findings::{checked, warn};
use super::node::NodeArgs;
use super::output::say;
use super::{Exit, Failure, Output, files};
use crate::clock::{Clock, SystemClock};
use crate::intake::Context;
use crate::intake::mapping::Mapping;
use crate::intake::sample::{self, Told};
use crate::surface::client::Client;
use crate::surface::documents;
use crate::surface::wire::SourceView;

#[derive(Debug, Args)]
pub struct Source {
    #[command(flatten)]
    node: NodeArgs,
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, Subcommand)]
enum Verb {
    /// Every registered source and where it stands.
    List,
    /// One source: its state, its watermark, what waits.
    Show { name: String },
    /// Take it off the books; applied again, it reads from its start.
    Retire { name: String },
    /// Check a source file, offline; with a sample, show what each record becomes.
    Check {
        /// The source file; `-` reads it from stdin.
        file: PathBuf,
        /// Records: JSON values, one a line or in an array; whole records as `{key, value, headers}`.
        #[arg(long, value_name = "FILE")]
        sample: Option<PathBuf>,
        /// Which of the file's sources, where it holds several.
        #[arg(long, value_name = "NAME")]
        source: Option<String>,
        /// The systems and datasets that it names; the source file's own folder unless given.
        #[arg(long, value_name = "DIR")]
        with: Option<PathBuf>,
    },
    /// Send a file's records through a source's mapping, one a line; goes on where it was interrupted.
    Import {
        file: PathBuf,
        /// The registered source.
        #[arg(long, value_name = "NAME")]
        source: String,
    },
}

impl Source {
    pub async fn run(self, out: &mut Output) -> Result<Exit, Failure> {
        match self.verb {
            Verb::Check { file, sample, source, with } => {
                check(&file, sample.as_deref(), source.as_deref(), with.as_deref(), out)
            }
            Verb::List => {
                let sources = self.node.client()?.sources().await?;
                out.answer(&sources, |out, sources| list(out, sources))?;
                Ok(Exit::Done)
            }
            Verb::Show { name } => {
                let source = self.node.client()?.source(&name).await?;
                out.answer(&source, show)?;
                Ok(Exit::Done)
            }
            Verb::Retire { name } => {
                self.node.client()?.retire_source(&name).await?;
                out.removed(&name)?;
                Ok(Exit::Done)
            }
            Verb::Import { file, source } => import(&self.node.client()?, &file, &source, out).await,
        }
    }
}

async fn import(client: &Client, file: &Path, source: &str, out: &mut Output) -> Result<Exit, Failure> {
    let done = super::import::run(client, file, source).await?;
    let letters = done.dead_letters;
    out.answer(&done, |out, done| {
        out.pairs(&[
            ("records", done.records.to_string()),
            ("known before", done.known.to_string()),
            ("taken", done.taken.to_string()),
            ("passed over", done.skipped.to_string()),
            ("dead letters", done.dead_letters.to_string()),
        ]);
    })?;
    Ok(if letters > 0 { Exit::No } else { Exit::Done })
}

#[derive(Serialize)]
struct Checked<'d> {
    ok: bool,
    errors: Vec<&'d Diagnostic>,
    warnings: Vec<&'d Diagnostic>,
    records: Vec<Line>,
}

#[derive(Serialize)]
struct Line {
    line: usize,
    becomes: Vec<Event>,
    #[serde(skip_serializing_if = "Option::is_none")]
    empties: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    refused: Option<Why>,
}

#[derive(Serialize)]
struct Event {
    #[serde(rename = "type")]
    kind: String,
    data: serde_json::Value,
}

#[derive(Serialize)]
struct Why {
    reason: &'static str,
    detail: String,
}

fn check(
    file: &Path,
    sample: Option<&Path>,
    name: Option<&str>,
    with: Option<&Path>,
    out: &mut Output,
) -> Result<Exit, Failure> {
    let bytes = files::read(file)?;
    let shown = file.display().to_string();
    let (sources, mut found) = parse_sources(&shown, &bytes);
    if found.iter().any(|d| d.severity == Severity::Error) {
        return checked(out, &found);
    }
    let systems = beside(file, with)?;
    let mut mappings = BTreeMap::new();
    for source in &sources {
        let of_dataset = source.dataset.is_some();
        match Mapping::new(source.clone(), &systems) {
            Ok(mapping) => {
                mappings.insert(source.source.clone(), mapping);
            }
            // Without the datasets at hand the file alone is checked; a sample needs them.
            Err(_) if of_dataset && systems.is_empty() && sample.is_none() => {}
            Err(unfit) => found.extend(at_dataset(&shown, &bytes, source, &unfit.detail, &unfit.fix)),
        }
    }
    let Some(sample) = sample.filter(|_| !found.iter().any(|d| d.severity == Severity::Error)) else {
        return checked(out, &found);
    };
    let mapping = picked(&sources, name)?;
    let Some(mapping) = mappings.get(&mapping.source) else { return checked(out, &found) };
    let mut context = Context::new("customer_id", SystemClock::new().now());
    for manifest in systems.values() {
        context = context.with_system(manifest);
    }
    let told = sample::tell(mapping, &context, &files::read(sample)?);
    tell(out, &sample.display().to_string(), &found, told)
}

fn tell(out: &mut Output, sample: &str, found: &[Diagnostic], told: Vec<Told>) -> Result<Exit, Failure> {
    let line = |t: Told| Line {
        line: t.line,
        becomes: t.becomes.into_iter().map(|(kind, data)| Event { kind, data }).collect(),
        empties: t.empties,
        refused: t.refused.map(|r| Why { reason: r.code, detail: r.detail }),
    };
    let records: Vec<Line> = told.into_iter().map(line).collect();
    let ok = records.iter().all(|r| r.refused.is_none());
    let answer = Checked { ok, errors: Vec::new(), warnings: found.iter().collect(), records };
    if !out.is_json() {
        warn(found);
    }
    out.answer(&answer, |out, answer| {
        for record in &answer.records {
            let at = format!("{sample}:{}:1", record.line);
            match (&record.refused, &record.empties) {
                (Some(why), _) => out.line(&format!("{at}: refused ({}): {}", why.reason, why.detail)),
                (None, Some(place)) => out.line(&format!("{at}: everything of {place} is gone")),
                (None, None) if record.becomes.is_empty() => out.line(&format!("{at}: nothing")),
                (None, None) => {
                    record.becomes.iter().for_each(|e| out.line(&format!("{at}: {} {}", e.kind, e.data)));
                }
            }
        }
        let failed = answer.records.iter().filter(|r| r.refused.is_some()).count();
        say(&format!("{} records, {failed} refused", answer.records.len()));
    })?;
    Ok(if ok { Exit::Done } else { Exit::No })
}

fn picked<'s>(sources: &'s [Parsed], name: Option<&str>) -> Result<&'s Parsed, Failure> {
    let names = || sources.iter().map(|s| s.source.as_str()).collect::<Vec<_>>().join(", ");
    match (name, sources) {
        (None, [one]) => Ok(one),
        (None, _) => Err(Failure::usage(format!(
            "--sample: the file holds several sources: add --source, one of {}",
            names()
        ))),
        (Some(name), _) => sources
            .iter()
            .find(|s| s.source == name)
            .ok_or_else(|| Failure::usage(format!("--source {name}: the file holds {}", names()))),
    }
}

/// The manifests of a folder. Only what a person named must be whole: beside the file lies what lies there.
fn beside(file: &Path, with: Option<&Path>) -> Result<BTreeMap<String, Manifest>, Failure> {
    let own = file.parent().map(|p| if p.as_os_str().is_empty() { Path::new(".") } else { p });
    let folder = match (with, own) {
        (Some(with), _) => with,
        (None, Some(own)) if file.as_os_str() != "-" => own,
        (None, _) => return Ok(BTreeMap::new()),
    };
    let mut systems = BTreeMap::new();
    for path in files::below(folder)? {
        let Ok(bytes) = documents::read(&path) else { continue };
        let name = path.display().to_string();
        let nodes = quietus_core::document::read(&name, &bytes).unwrap_or_default();
        if !nodes.iter().any(|n| n.get("system").is_some() && n.get("kind").is_some()) {
            continue;
        }
        // The company's own categories are the policy's to check.
        let (manifest, found) = system::parse_manifest(&name, &bytes, &documents::beside(&path), &|_| true);
        let wrong = found.iter().any(|d| d.severity == Severity::Error);
        if wrong && with.is_some() {
            return Err(super::findings::wrong(&found));
        }
        systems.extend(manifest.filter(|_| !wrong).map(|m| (m.system.clone(), m)));
    }
    Ok(systems)
}

fn at_dataset(file: &str, bytes: &[u8], source: &Parsed, detail: &str, fix: &str) -> Vec<Diagnostic> {
    let nodes = quietus_core::document::read(file, bytes).unwrap_or_default();
    let named = |n: &&quietus_core::document::Node| {
        n.get("source").and_then(|s| s.text()) == Some(source.source.as_str())
    };
    let mut found = Diagnostics::new(file);
    let fix =
        if fix.contains("register it first") { "name the folder of its manifest: --with DIR" } else { fix };
    match nodes.iter().find(named).and_then(|n| n.get("dataset")) {
        Some(at) => found.error(at, detail, fix),
        None => found.error((1, 1), detail, fix),
    }
    found.into_vec()
}

fn list(out: &mut Output, sources: &[SourceView]) {
    let row = |s: &SourceView| {
        let unknown = || "unknown".to_owned();
        vec![
            s.name.clone(),
            s.format.clone(),
            s.error.as_ref().map_or_else(|| s.state.clone(), |e| format!("error: {e}")),
            s.watermark.clone().unwrap_or_else(unknown),
            s.lag.map_or_else(unknown, |n| n.to_string()),
            s.generation.to_string(),
        ]
    };
    let rows: Vec<_> = sources.iter().map(row).collect();
    out.table(&["source", "format", "state", "watermark", "lag", "generation"], &rows);
}

fn show(out: &mut Output, source: &SourceView) {
    let unknown = || "unknown".to_owned();
    out.pairs(&[
        ("source", source.name.clone()),
        ("format", source.format.clone()),
        ("state", source.state.clone()),
        ("watermark", source.watermark.clone().unwrap_or_else(unknown)),
        ("lag", source.lag.map_or_else(unknown, |n| n.to_string())),
        ("generation", source.generation.to_string()),
    ]);
    if let (Some(error), Some(detail)) = (&source.error, &source.detail) {
        out.line(&format!("{error}: {detail}"));
    }
}
