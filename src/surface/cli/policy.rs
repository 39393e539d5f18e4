//! `quietus policy …`

use std::path::{Path, PathBuf};

use clap::Subcommand;
use quietus_core::policy;

use super::beside::Beside;
use super::findings::{checked, warn};
use super::node::NodeArgs;
use super::{Exit, Failure, Output, files};
use crate::node::{check_policy, check_policy_over};
use crate::surface::client::Client;
use crate::surface::wire::{PolicyAnswer, PolicyPlan, PolicyView, RuleDiff, UncoveredView};

#[derive(Debug, Subcommand)]
pub enum Policy {
    /// Check a policy file, offline.
    Check {
        /// The policy; `-` reads it from stdin.
        file: PathBuf,
        /// Check over the pairs that the datasets and systems in this folder use.
        #[arg(long, value_name = "DIR")]
        with: Option<PathBuf>,
    },
    /// What publishing it would change, counted by the node; it is stored there, and not published.
    Plan {
        /// The policy; `-` reads it from stdin.
        file: PathBuf,
        #[command(flatten)]
        node: NodeArgs,
    },
    /// Make it the active policy.
    Publish {
        /// The policy; `-` reads it from stdin.
        file: PathBuf,
        #[command(flatten)]
        node: NodeArgs,
    },
    /// As a second person: make a policy that shortens locked rules the active one, as it stands in this file.
    Approve {
        /// The policy as you read it; `-` reads it from stdin.
        file: PathBuf,
        #[command(flatten)]
        node: NodeArgs,
    },
    /// The active policy as its author wrote it, or one that was published before.
    Show {
        /// The number it was published under.
        #[arg(long, value_name = "N")]
        version: Option<u64>,
        #[command(flatten)]
        node: NodeArgs,
    },
    /// Parts of items that no date can be given; exit 1 if there are any.
    Uncovered {
        #[command(flatten)]
        node: NodeArgs,
    },
}

impl Policy {
    pub async fn run(self, out: &mut Output) -> Result<Exit, Failure> {
        match self {
            Self::Check { file, with } => check(&file, with.as_deref(), out),
            Self::Plan { file, node } => {
                let client = node.client()?;
                let Some(name) = store(&client, &file, out).await? else { return Ok(Exit::No) };
                let plan = client.plan_policy(&name).await?;
                out.answer(&plan, planned)?;
                Ok(Exit::Done)
            }
            Self::Publish { file, node } => {
                let client = node.client()?;
                let Some(name) = store(&client, &file, out).await? else { return Ok(Exit::No) };
                out.answer(&client.publish_policy(&name).await?, in_force)?;
                Ok(Exit::Done)
            }
            Self::Approve { file, node } => {
                let client = node.client()?;
                let Some((name, document)) = read(&file, out)? else { return Ok(Exit::No) };
                out.answer(&client.approve_policy(&name, &document).await?, in_force)?;
                Ok(Exit::Done)
            }
            Self::Show { version, node } => {
                let client = node.client()?;
                let active = active(&client).await?;
                let policy = match version {
                    None => active,
                    Some(version) => client.policy_version(&active.name, version).await?,
                };
                out.answer(&policy, |out, policy| {
                    out.text(&policy.document);
                    if !policy.document.ends_with('\n') {
                        out.line("");
                    }
                })?;
                Ok(Exit::Done)
            }
            Self::Uncovered { node } => {
                let client = node.client()?;
                let rows = client.uncovered(&active(&client).await?.name).await?;
                out.answer(&rows, |out, rows| uncovered(out, rows))?;
                Ok(if rows.is_empty() { Exit::Done } else { Exit::No })
            }
        }
    }
}

/// Checks it here, where lines and files can still be named, then stores it. None = it was refused, and said so.
async fn store(client: &Client, file: &Path, out: &mut Output) -> Result<Option<String>, Failure> {
    let Some((name, document)) = read(file, out)? else { return Ok(None) };
    Ok(Some(client.store_policy(&name, document).await?.name))
}

/// The policy's name and the document. None = it was refused, and said so.
fn read(file: &Path, out: &mut Output) -> Result<Option<(String, Vec<u8>)>, Failure> {
    let bytes = files::read(file)?;
    let checked = check_policy(&file.display().to_string(), &bytes);
    let Some(policy) = checked.policy.as_ref().filter(|_| !checked.is_refused()) else {
        super::findings::checked(out, &checked.diagnostics)?;
        return Ok(None);
    };
    warn(&checked.diagnostics);
    Ok(Some((policy.name.clone(), bytes)))
}

fn in_force(out: &mut Output, answer: &PolicyAnswer) {
    let version = answer.version.map(|v| format!("  version {v}")).unwrap_or_default();
    out.line(&format!("{}  {}{version}", answer.name, answer.result));
}

async fn active(client: &Client) -> Result<PolicyView, Failure> {
    let found = client.policies().await?.into_iter().find(|p| p.active);
    found.ok_or_else(|| Failure::no("no policy is active; publish one: `quietus policy publish FILE`"))
}

fn planned(out: &mut Output, plan: &PolicyPlan) {
    out.pairs(&[
        ("policy", plan.name.clone()),
        ("due", format!("{} now, {} then", plan.due_now, plan.due_then)),
        ("dates", format!("{} earlier, {} later", plan.earlier, plan.later)),
        ("", format!("{} newly due, {} no longer", plan.newly, plan.no_longer)),
        ("uncovered", format!("{} now, {} then", plan.uncovered_now, plan.uncovered_then)),
    ]);
    let row = |r: &RuleDiff| {
        let figures = [r.due_now, r.due_then, r.newly, r.no_longer, r.earlier, r.later];
        [r.rule.clone(), r.change.clone()]
            .into_iter()
            .chain(figures.map(|n| n.to_string()))
            .collect::<Vec<_>>()
    };
    let rows: Vec<_> = plan.by_rule.iter().map(row).collect();
    out.table(&["rule", "change", "due now", "due then", "newly", "no longer", "earlier", "later"], &rows);
}

fn uncovered(out: &mut Output, rows: &[UncoveredView]) {
    let row = |r: &UncoveredView| {
        let purposes = r.purposes.join(", ");
        vec![
            r.item.clone(),
            r.system.clone(),
            r.dataset.clone(),
            r.category.clone(),
            r.open.clone(),
            purposes,
        ]
    };
    let rows: Vec<_> = rows.iter().map(row).collect();
    out.table(&["item", "system", "dataset", "category", "why", "purposes"], &rows);
}

fn check(file: &Path, with: Option<&Path>, out: &mut Output) -> Result<Exit, Failure> {
    let bytes = files::read(file)?;
    let beside = with.map(Beside::read).transpose()?;
    let mut others = Vec::new();
    let over = |policy: &policy::Policy| {
        let beside = beside.as_ref()?;
        let (used, found) = beside.used(policy);
        others = found;
        Some(used)
    };
    let mut found = check_policy_over(&file.display().to_string(), &bytes, over).diagnostics;
    found.extend(others);
    checked(out, &found)
}
