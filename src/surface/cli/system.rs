//! `quietus system …`

use std::path::{Path, PathBuf};

use clap::{Args, Subcommand};
use quietus_core::document::{Diagnostic, Severity};
use quietus_core::policy::{Policy, Taxonomy};
use quietus_core::system::{self, Manifest};

use super::findings::{checked, warn};
use super::node::NodeArgs;
use super::output::say;
use super::{Exit, Failure, Output, files};
use crate::node::check_policy;
use crate::surface::client::Client;
use crate::surface::documents;
use crate::surface::wire::{CheckView, CoverageView, RestoredBody, SystemAnswer, SystemView};

#[derive(Debug, Args)]
pub struct System {
    #[command(flatten)]
    node: NodeArgs,
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, Subcommand)]
enum Verb {
    /// Register a system, or replace the one of that name; without `mode` it keeps its present one.
    Add {
        /// The manifest; datasets are read beside it.
        file: PathBuf,
    },
    /// Every registered system.
    List,
    /// One system and its manifest.
    Show { name: String },
    /// Reach, rights, schema, missing indexes.
    Check { name: String },
    /// Columns that look like personal data and are neither mapped nor waived; exit 1 if there are any.
    Coverage { name: String },
    /// Record what lies there; returns when it is finished, at most after `--timeout`.
    Scan {
        name: String,
        /// Return when it is finished, as without any option.
        #[arg(long, conflicts_with = "detach")]
        wait: bool,
        /// Return at once; `--wait` later joins the scan that is running.
        #[arg(long)]
        detach: bool,
    },
    /// From now on it deletes.
    Enforce { name: String },
    /// From now on it only counts.
    Observe { name: String },
    /// It was restored from a backup: what was erased since is erased again, and verified before it may be opened.
    ///
    /// Exit 1 as long as it is not verified. Without `--as-of` it asks how far the last restore is.
    Restored {
        name: String,
        /// The state it was set back to, RFC 3339.
        #[arg(long, value_name = "TIME")]
        as_of: Option<String>,
        /// Return when everything was read back, at most after `--timeout`.
        #[arg(long)]
        wait: bool,
    },
    /// Take it off the books; refused while something is open there.
    Retire { name: String },
}

impl System {
    pub async fn run(self, out: &mut Output) -> Result<Exit, Failure> {
        let client = self.node.client()?;
        match self.verb {
            Verb::Add { file } => add(&client, &file, out).await,
            Verb::List => {
                let systems = client.systems().await?;
                out.answer(&systems, |out, systems| list(out, systems))?;
                Ok(Exit::Done)
            }
            Verb::Show { name } => {
                let system = client.system(&name).await?;
                out.answer(&system, show)?;
                Ok(Exit::Done)
            }
            Verb::Check { name } => {
                let check = client.check_system(&name).await?;
                out.answer(&check, |out, check| problems(out, &name, check))?;
                Ok(if check.ok { Exit::Done } else { Exit::No })
            }
            Verb::Coverage { name } => {
                let coverage = client.coverage(&name).await?;
                out.answer(&coverage, uncovered)?;
                Ok(if coverage.ok { Exit::Done } else { Exit::No })
            }
            Verb::Scan { name, wait: _, detach } => {
                super::scan::run(&client, &name, detach, self.node.patience(), out).await
            }
            Verb::Enforce { name } => changed(&client.set_mode(&name, "enforce").await?, out),
            Verb::Observe { name } => changed(&client.set_mode(&name, "observe").await?, out),
            Verb::Restored { name, as_of, wait } => {
                let started = match as_of {
                    Some(as_of) => Some(client.restored(&name, &RestoredBody { as_of }).await?),
                    None => client.system(&name).await?.restored,
                };
                match started {
                    Some(started) => {
                        super::reapply::reopened(&client, started, wait, self.node.patience(), out).await
                    }
                    None => {
                        say(&format!("{name} was never restored"));
                        Ok(Exit::Done)
                    }
                }
            }
            Verb::Retire { name } => {
                client.retire_system(&name).await?;
                out.removed(&name)?;
                Ok(Exit::Done)
            }
        }
    }
}

async fn add(client: &Client, file: &Path, out: &mut Output) -> Result<Exit, Failure> {
    let bytes = files::read(file)?;
    let declared = active_policy(client).await?;
    let read = Inlined::read(file, &bytes, declared.as_ref());
    let inlined = match read {
        Ok(inlined) => inlined,
        Err(found) => return checked(out, &found),
    };
    let answer = client.put_system(&inlined.manifest.system, inlined.body).await?;
    changed(&answer, out)
}

/// The policy that says which categories are the company's own.
pub async fn active_policy(client: &Client) -> Result<Option<Policy>, Failure> {
    let active = client.policies().await?.into_iter().find(|p| p.active);
    Ok(active.and_then(|p| check_policy(&p.name, p.document.as_bytes()).policy))
}

/// A manifest with its datasets inside, as it travels.
#[derive(Debug)]
pub struct Inlined {
    pub manifest: Manifest,
    /// The file says a mode itself.
    pub says_mode: bool,
    pub body: Vec<u8>,
}

impl Inlined {
    /// Checked here, where lines and files can still be named.
    pub fn read(path: &Path, bytes: &[u8], policy: Option<&Policy>) -> Result<Self, Vec<Diagnostic>> {
        let file = path.display().to_string();
        let own = |key: &str| policy.is_some_and(|p| p.categories.contains_key(key));
        let is_category = |key: &str| Taxonomy::bundled().is_category(key) || own(key);
        let load = documents::beside(path);
        let (manifest, found) = system::parse_manifest(&file, bytes, &load, &is_category);
        let Some(manifest) = manifest.filter(|_| !found.iter().any(|d| d.severity == Severity::Error)) else {
            return Err(found);
        };
        warn(&found);
        let nodes = quietus_core::document::read(&file, bytes)?;
        let mut body = nodes.first().map(quietus_core::document::to_json).unwrap_or_default();
        let says_mode = body.get("mode").is_some();
        if let Some(datasets) = body.get_mut("datasets").and_then(|d| d.as_array_mut()) {
            *datasets = inline(std::mem::take(datasets), &load, &file)?;
        }
        Ok(Self { manifest, says_mode, body: body.to_string().into_bytes() })
    }
}

/// Each entry that names a file becomes the documents in it.
fn inline(
    entries: Vec<serde_json::Value>,
    load: &dyn Fn(&str) -> Result<Vec<u8>, String>,
    file: &str,
) -> Result<Vec<serde_json::Value>, Vec<Diagnostic>> {
    let mut out = Vec::new();
    for entry in entries {
        // That it can be read, the check of the manifest found already.
        let Some(bytes) = entry.as_str().and_then(|path| load(path).ok()) else {
            out.push(entry);
            continue;
        };
        let nodes = quietus_core::document::read(file, &bytes)?;
        out.extend(nodes.iter().map(quietus_core::document::to_json));
    }
    Ok(out)
}

fn changed(answer: &SystemAnswer, out: &mut Output) -> Result<Exit, Failure> {
    out.answer(answer, |out, a| {
        out.line(&format!("{}  {}  {}", a.name, a.result, a.mode));
        a.warnings.iter().for_each(super::findings::warn_of);
    })?;
    Ok(Exit::Done)
}

fn list(out: &mut Output, systems: &[SystemView]) {
    let row = |s: &SystemView| {
        let connected = if s.connected { "yes" } else { "no" };
        let owner = s.owner.clone().unwrap_or_default();
        vec![s.name.clone(), s.kind.clone(), s.mode.clone(), connected.to_owned(), s.open.to_string(), owner]
    };
    let rows: Vec<_> = systems.iter().map(row).collect();
    out.table(&["system", "kind", "mode", "connected", "open", "owner"], &rows);
}

fn show(out: &mut Output, system: &SystemView) {
    let none = || "none".to_owned();
    out.pairs(&[
        ("system", system.name.clone()),
        ("kind", system.kind.clone()),
        ("mode", system.mode.clone()),
        ("owner", system.owner.clone().unwrap_or_else(none)),
        ("region", system.region.clone().unwrap_or_else(none)),
        ("connected", if system.connected { "yes" } else { "no" }.to_owned()),
        ("open", system.open.to_string()),
        (
            "restored",
            system.restored.as_ref().map_or_else(
                || "no".to_owned(),
                |r| {
                    let closed = if system.closed { ", to be kept closed" } else { "" };
                    format!("to {}: {}{closed}", r.since, r.state)
                },
            ),
        ),
    ]);
    let datasets = system.manifest.get("datasets").and_then(|d| d.as_array()).into_iter().flatten();
    for dataset in datasets {
        let key = dataset.get("fides_key").and_then(|k| k.as_str()).unwrap_or_default();
        let collections = dataset.get("collections").and_then(|c| c.as_array()).into_iter().flatten();
        for name in collections.filter_map(|c| c.get("name").and_then(|n| n.as_str())) {
            out.pairs(&[("dataset", format!("{key}.{name}"))]);
        }
    }
}

fn uncovered(out: &mut Output, coverage: &CoverageView) {
    for one in &coverage.uncovered {
        let category = one.category.as_deref().map(|c| format!("{c}, ")).unwrap_or_default();
        out.line(&format!("{}: {category}{}; {}", one.column, one.why, one.fix));
    }
    if coverage.ok {
        let CoverageView { system, columns, mapped, waived, .. } = coverage;
        out.line(&format!("{system}  ok  {columns} columns, {mapped} mapped, {waived} waived"));
    }
}

/// What stops `enforce` is data, the rest is talk.
fn problems(out: &mut Output, name: &str, check: &CheckView) {
    for problem in &check.problems {
        let line = format!("{name}: {}: {}; {}", problem.place, problem.detail, problem.fix);
        if problem.fatal {
            out.line(&line);
        } else {
            super::output::say(&format!("warning: {line}"));
        }
    }
    if check.ok {
        out.line(&format!("{name}  ok"));
    }
}
