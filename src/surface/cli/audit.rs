//! `quietus audit …`

use std::path::{Path, PathBuf};

use clap::Subcommand;
use serde::Serialize;

use super::node::NodeArgs;
use super::output::say;
use super::{Exit, Failure, Output};

use crate::ledger::LedgerError;
use crate::node::{NodeError, Replayed, replay_dir};
use crate::surface::wire::{DigestView, VerifyView};

#[derive(Debug, Subcommand)]
pub enum Audit {
    /// Verify that nothing was changed, dropped or reordered.
    Verify {
        /// A node's folder, read without a node; without it the node is asked.
        #[arg(long, value_name = "DIR")]
        dir: Option<PathBuf>,
        #[command(flatten)]
        node: NodeArgs,
    },
    /// A digest over everything that is known, without ticks, offsets and owner records.
    StateDigest {
        /// A node's folder, replayed without a node; without it the node is asked.
        #[arg(long, value_name = "DIR")]
        dir: Option<PathBuf>,
        #[command(flatten)]
        node: NodeArgs,
    },
}

#[derive(Debug, Default, Serialize)]
struct VerifiedDir {
    ok: bool,
    /// The ledger's id, hex.
    ledger: Option<String>,
    generation: Option<u32>,
    partitions: Option<u32>,
    simulated: Option<bool>,
    frames: Option<u64>,
    bytes: Option<u64>,
    entries: Option<u64>,
    decisions: Option<u64>,
    /// Over every byte up to the end, hex.
    chain: Option<String>,
    /// A clean shutdown vouches for the end as well.
    clean: Option<bool>,
    /// Bytes at the end that no mark vouches for.
    unchecked: Option<u64>,
    findings: Vec<String>,
}

impl Audit {
    pub async fn run(self, out: &mut Output) -> Result<Exit, Failure> {
        match self {
            Self::Verify { dir: Some(dir), .. } => verify(&dir, out),
            Self::Verify { dir: None, node } => {
                let view = node.client()?.verify().await?;
                out.answer(&view, said)?;
                Ok(if view.ok { Exit::Done } else { Exit::No })
            }
            Self::StateDigest { dir, node } => {
                let digest = match dir {
                    Some(dir) => {
                        let replayed = replay_dir(&dir).map_err(failure)?;
                        DigestView { digest: data_encoding::HEXLOWER.encode(&replayed.digest) }
                    }
                    None => node.client()?.state_digest().await?,
                };
                out.answer(&digest, |out, d| out.line(&d.digest))?;
                Ok(Exit::Done)
            }
        }
    }
}

fn said(out: &mut Output, view: &VerifyView) {
    view.findings.iter().for_each(|finding| out.line(finding));
    if view.ok {
        out.pairs(&[
            ("verified", "every entry follows the one before it".to_owned()),
            ("entries", view.entries.to_string()),
            ("decisions", view.decisions.to_string()),
            ("root", view.root.clone()),
        ]);
    }
}

fn verify(dir: &Path, out: &mut Output) -> Result<Exit, Failure> {
    let verified = match replay_dir(dir) {
        Ok(replayed) => found_good(replayed),
        Err(error @ (NodeError::Ledger(LedgerError::Damaged(_)) | NodeError::Unreadable { .. })) => {
            VerifiedDir { findings: vec![error.to_string()], ..VerifiedDir::default() }
        }
        Err(error) => return Err(failure(error)),
    };
    out.answer(&verified, human)?;
    Ok(if verified.ok { Exit::Done } else { Exit::No })
}

fn found_good(replayed: Replayed) -> VerifiedDir {
    let ledger = replayed.ledger;
    VerifiedDir {
        ok: true,
        ledger: Some(data_encoding::HEXLOWER.encode(&ledger.ledger)),
        generation: Some(ledger.generation),
        partitions: Some(ledger.partitions),
        simulated: Some(ledger.simulated),
        frames: Some(ledger.frames),
        bytes: Some(ledger.bytes),
        entries: Some(replayed.entries),
        decisions: Some(replayed.decisions),
        chain: Some(ledger.chain),
        clean: Some(ledger.clean),
        unchecked: Some(ledger.tail.map_or(0, |tail| tail.bytes)),
        findings: Vec::new(),
    }
}

fn human(out: &mut Output, verified: &VerifiedDir) {
    verified.findings.iter().for_each(|finding| out.line(finding));
    if !verified.ok {
        return;
    }
    let number = |n: Option<u64>| n.map(|n| n.to_string()).unwrap_or_default();
    out.pairs(&[
        ("verified", "every byte is as it was written".to_owned()),
        ("frames", number(verified.frames)),
        ("bytes", number(verified.bytes)),
        ("entries", number(verified.entries)),
        ("decisions", number(verified.decisions)),
        ("chain", verified.chain.clone().unwrap_or_default()),
    ]);
    if let Some(bytes) = verified.unchecked.filter(|bytes| *bytes > 0) {
        say(&format!(
            "{bytes} bytes at the end were not checked: a crash left them, or a node is writing them"
        ));
    }
}

fn failure(error: NodeError) -> Failure {
    match error {
        NodeError::Ledger(LedgerError::Missing { dir }) => Failure::usage(format!(
            "--dir: there is no ledger at {}; name the folder that `dir` of the node's configuration names",
            dir.display()
        )),
        damaged @ (NodeError::Ledger(LedgerError::Damaged(_)) | NodeError::Unreadable { .. }) => {
            Failure::no(damaged.to_string())
        }
        other => Failure::unknown(other.to_string()),
    }
}
