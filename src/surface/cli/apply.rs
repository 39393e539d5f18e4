//! `quietus apply`: a node is brought to what files say.
//!
//! What would change is found first, by comparing with what the node has; a dry run ends there. So it is idempotent,
//! and an apply that was interrupted is mended by another.

use std::collections::BTreeMap;
use std::path::PathBuf;

use clap::Args;
use quietus_core::policy::Policy;
use quietus_core::source::{Source, parse_sources};
use serde::Serialize;

use super::findings::{checked, warn};
use super::node::NodeArgs;
use super::system::{Inlined, active_policy};
use super::{Exit, Failure, Output, files};
use crate::node::check_policy;
use crate::surface::client::Client;
use crate::surface::documents::{self, Document, Kind, Unreadable};
use crate::surface::wire::{PolicyView, SourceView, SystemView};

#[derive(Debug, Args)]
pub struct Apply {
    /// Files and folders with policies, systems and their datasets, sources.
    #[arg(required = true, value_name = "PATH")]
    paths: Vec<PathBuf>,
    /// Only say what would change; exit 1 if something would.
    #[arg(long)]
    dry_run: bool,
    /// Retire systems and sources that no file names.
    #[arg(long)]
    prune: bool,
    #[command(flatten)]
    node: NodeArgs,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
enum Change {
    Created,
    Changed,
    Unchanged,
    Removed,
}

#[derive(Debug, Serialize)]
struct Line {
    kind: &'static str,
    name: String,
    result: Change,
}

#[derive(Debug, Serialize)]
struct Applied {
    dry_run: bool,
    results: Vec<Line>,
}

/// What is to be done about one name, and with which bytes.
struct Step {
    line: Line,
    body: Vec<u8>,
}

impl Apply {
    pub async fn run(self, out: &mut Output) -> Result<Exit, Failure> {
        let documents = match documents::gather(&self.paths) {
            Ok(documents) => documents,
            Err(Unreadable::Wrong(found)) => return checked(out, &found),
            Err(error) => return Err(files::refused(error)),
        };
        let client = self.node.client()?;
        let Some(mut steps) = plan(&client, &documents, out).await? else { return Ok(Exit::No) };
        if self.prune {
            steps.extend(prune(&client, &documents).await?);
        }
        let changes = steps.iter().any(|step| step.line.result != Change::Unchanged);
        if !self.dry_run {
            for step in &mut steps {
                carry_out(&client, step).await?;
            }
        }
        let results = steps.into_iter().map(|step| step.line).collect();
        out.answer(&Applied { dry_run: self.dry_run, results }, |out, applied| {
            let word = |change| match change {
                Change::Created => "created",
                Change::Changed => "changed",
                Change::Unchanged => "unchanged",
                Change::Removed => "removed",
            };
            for line in &applied.results {
                out.line(&format!("{:9}  {}  {}", word(line.result), line.kind, line.name));
            }
        })?;
        Ok(if self.dry_run && changes { Exit::No } else { Exit::Done })
    }
}

/// None = something is wrong with a file, and it was said.
async fn plan(
    client: &Client,
    documents: &[Document],
    out: &mut Output,
) -> Result<Option<Vec<Step>>, Failure> {
    let policies: BTreeMap<String, PolicyView> = by_name(client.policies().await?, |p| p.name.clone());
    let systems: BTreeMap<String, SystemView> = by_name(client.systems().await?, |s| s.name.clone());
    let sources: BTreeMap<String, SourceView> = by_name(client.sources().await?, |s| s.name.clone());
    let (mut steps, mut wrong) = (Vec::new(), Vec::new());
    let mut declared = active_policy(client).await?;
    for document in documents {
        let step = match document.kind {
            Kind::Policy => policy(document, &policies).map(|(step, read)| {
                declared = Some(read);
                step
            }),
            Kind::System => system(document, declared.as_ref(), &systems),
            Kind::Source => source(document, &sources),
        };
        match step {
            Ok(step) => steps.push(step),
            Err(found) => wrong.extend(found),
        }
    }
    if wrong.is_empty() {
        return Ok(Some(steps));
    }
    checked(out, &wrong)?;
    Ok(None)
}

type Found = Vec<quietus_core::document::Diagnostic>;

fn policy(document: &Document, known: &BTreeMap<String, PolicyView>) -> Result<(Step, Policy), Found> {
    let checked = check_policy(&document.file(), &document.bytes);
    if checked.is_refused() {
        return Err(checked.diagnostics);
    }
    let Some(policy) = checked.policy else { return Err(checked.diagnostics) };
    warn(&checked.diagnostics);
    let text = String::from_utf8_lossy(&document.bytes);
    let result = match known.get(&policy.name) {
        None => Change::Created,
        Some(known) if known.active && known.document == text => Change::Unchanged,
        Some(_) => Change::Changed,
    };
    let line = Line { kind: "policy", name: policy.name.clone(), result };
    Ok((Step { line, body: document.bytes.clone() }, policy))
}

fn system(
    document: &Document,
    policy: Option<&Policy>,
    known: &BTreeMap<String, SystemView>,
) -> Result<Step, Found> {
    let Inlined { mut manifest, says_mode, body } = Inlined::read(&document.path, &document.bytes, policy)?;
    let before = known.get(&manifest.system);
    let before = before.and_then(|view| {
        serde_json::from_value::<quietus_core::system::Manifest>(view.manifest.clone()).ok()
    });
    if let Some(before) = before.as_ref().filter(|_| !says_mode) {
        manifest.mode = before.mode;
    }
    // Where it stood in its file is no part of what it says.
    manifest.places = quietus_core::system::Places::default();
    let result = match (known.contains_key(&manifest.system), before) {
        (false, _) => Change::Created,
        (true, Some(before)) if before == manifest => Change::Unchanged,
        (true, _) => Change::Changed,
    };
    let line = Line { kind: "system", name: manifest.system, result };
    Ok(Step { line, body })
}

fn source(document: &Document, known: &BTreeMap<String, SourceView>) -> Result<Step, Found> {
    let (sources, found) = parse_sources(&document.file(), &document.bytes);
    let wrong = found.iter().any(|d| d.severity == quietus_core::document::Severity::Error);
    let Some(source) = sources.into_iter().find(|s| s.source == document.name).filter(|_| !wrong) else {
        return Err(found);
    };
    let result = match known.get(&source.source) {
        None => Change::Created,
        Some(known) if serde_json::from_value(known.source.clone()).is_ok_and(|s: Source| s == source) => {
            Change::Unchanged
        }
        Some(_) => Change::Changed,
    };
    let nodes = quietus_core::document::read(&document.file(), &document.bytes)?;
    let named =
        |n: &&quietus_core::document::Node| n.get("source").and_then(|s| s.text()) == Some(&document.name);
    let body = nodes.iter().find(named).map(quietus_core::document::to_json).unwrap_or_default();
    let line = Line { kind: "source", name: source.source, result };
    Ok(Step { line, body: body.to_string().into_bytes() })
}

async fn prune(client: &Client, documents: &[Document]) -> Result<Vec<Step>, Failure> {
    let named = |kind, name: &str| documents.iter().any(|d| d.kind == kind && d.name == name);
    let step = |kind, name| Step { line: Line { kind, name, result: Change::Removed }, body: Vec::new() };
    let sources = client.sources().await?.into_iter().filter(|s| !named(Kind::Source, &s.name));
    // Sources first: one whose system is gone cannot be read.
    let mut gone: Vec<Step> = sources.map(|s| step("source", s.name)).collect();
    let systems = client.systems().await?.into_iter().filter(|s| !named(Kind::System, &s.name));
    gone.extend(systems.map(|s| step("system", s.name)));
    Ok(gone)
}

async fn carry_out(client: &Client, step: &mut Step) -> Result<(), Failure> {
    let Line { kind, name, result } = &step.line;
    let body = std::mem::take(&mut step.body);
    match (*result, *kind) {
        (Change::Unchanged, _) => {}
        (Change::Removed, "source") => client.retire_source(name).await?,
        (Change::Removed, _) => client.retire_system(name).await?,
        (_, "policy") => {
            client.store_policy(name, body).await?;
            client.publish_policy(name).await?;
        }
        (_, "source") => {
            client.put_source(name, body).await?;
        }
        (_, _) => {
            client.put_system(name, body).await?;
        }
    }
    Ok(())
}

fn by_name<T>(all: Vec<T>, name: impl Fn(&T) -> String) -> BTreeMap<String, T> {
    all.into_iter().map(|one| (name(&one), one)).collect()
}
