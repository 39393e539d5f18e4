//! `quietus audit verify`

use std::path::{Path, PathBuf};

use clap::Args;
use serde::Serialize;

use super::proof::{text, verifiers};
use crate::ledger::LedgerError;
use crate::node::{Evidence, Held, NodeError, Replayed, Signed, replay_dir};
use crate::surface::cli::node::NodeArgs;
use crate::surface::cli::output::say;
use crate::surface::cli::{Exit, Failure, Output};
use crate::surface::wire::VerifyView;

#[derive(Debug, Args)]
pub struct VerifyArgs {
    /// A node's folder, read without a node; without it the node is asked.
    #[arg(long, value_name = "DIR")]
    dir: Option<PathBuf>,
    /// Checkpoints that were kept elsewhere: the ledger must go on from them.
    #[arg(long, value_name = "FILE", requires = "dir")]
    checkpoint: Option<PathBuf>,
    /// The public keys that signed them; without it the folder's own key.
    #[arg(long, value_name = "FILE", requires = "dir")]
    key: Option<PathBuf>,
    /// The tenant key, when it does not lie in the folder.
    #[arg(long, value_name = "FILE", requires = "dir")]
    tenant_key: Option<PathBuf>,
    #[command(flatten)]
    node: NodeArgs,
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
    /// Where the ledger's beginning was given up: per partition, the first entry whose frames were read again.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    from: Vec<u64>,
    /// Over every byte up to the end, hex.
    chain: Option<String>,
    /// A clean shutdown vouches for the end as well.
    clean: Option<bool>,
    /// Bytes at the end that no mark vouches for.
    unchecked: Option<u64>,
    /// Entries that a signed checkpoint vouches for; null = none was compared.
    signed: Option<u64>,
    /// Frames up to whose end the store was held against the ledger; null = it was not.
    stored: Option<u64>,
    findings: Vec<String>,
}

impl VerifyArgs {
    pub(super) async fn run(self, out: &mut Output) -> Result<Exit, Failure> {
        match &self.dir {
            Some(dir) => self.folder(dir, out),
            None => {
                let view = self.node.client()?.verify().await?;
                out.answer(&view, said)?;
                Ok(if view.ok { Exit::Done } else { Exit::No })
            }
        }
    }

    fn folder(&self, dir: &Path, out: &mut Output) -> Result<Exit, Failure> {
        let evidence = Evidence {
            checkpoints: self.checkpoint.as_deref().map(text).transpose()?,
            keys: self.key.as_deref().map(verifiers).transpose()?,
            tenant_key: self.tenant_key.clone(),
        };
        if let Some(path) = self
            .checkpoint
            .as_deref()
            .filter(|_| evidence.checkpoints.as_deref().is_some_and(|t| t.trim().is_empty()))
        {
            let what = format!(
                "{}: no checkpoint stands in it; save what `quietus audit checkpoint` prints",
                path.display()
            );
            return Err(Failure::usage(what));
        }
        let verified = match replay_dir(dir, &evidence) {
            Ok(replayed) => told(replayed, self.checkpoint.is_some())?,
            Err(error) if error.is_damage() => {
                VerifiedDir { findings: vec![error.to_string()], ..VerifiedDir::default() }
            }
            Err(error) => return Err(failure(error)),
        };
        out.answer(&verified, human)?;
        Ok(if verified.ok { Exit::Done } else { Exit::No })
    }
}

fn said(out: &mut Output, view: &VerifyView) {
    view.findings.iter().for_each(|finding| out.line(finding));
    if view.ok {
        out.pairs(&[
            ("verified", "every byte is as it was written, every entry follows the one before it".to_owned()),
            ("frames", view.frames.to_string()),
            ("bytes", view.bytes.to_string()),
            ("entries", view.entries.to_string()),
            ("decisions", view.decisions.to_string()),
            ("signed", view.signed.to_string()),
            ("root", view.root.clone()),
        ]);
    }
}

/// `asked`: checkpoints were given, so that not to compare them is no answer.
fn told(replayed: Replayed, asked: bool) -> Result<VerifiedDir, Failure> {
    let ledger = replayed.ledger;
    let mut findings = Vec::new();
    let signed = match replayed.signed {
        Signed::Entries(signed) => Some(signed),
        Signed::Otherwise(finding) => {
            findings.push(finding);
            None
        }
        Signed::Missing(path) if asked => {
            let what = format!(
                "{}: the checkpoint cannot be compared without it; name it with --key or --tenant-key",
                path.display()
            );
            return Err(Failure::unknown(what));
        }
        Signed::Missing(path) => {
            say(&format!("the signed checkpoint was not compared: {} is missing", path.display()));
            None
        }
        Signed::Nothing => None,
    };
    let stored = match replayed.stored {
        Held::Frames(frames) => Some(frames),
        Held::Otherwise(found) => {
            findings.extend(found);
            None
        }
        Held::Uncompared => {
            say(
                "the store was not compared: there is none, a node has it open, another version wrote it, or the tenant key is missing",
            );
            None
        }
    };
    Ok(VerifiedDir {
        ok: findings.is_empty(),
        ledger: Some(data_encoding::HEXLOWER.encode(&ledger.ledger)),
        generation: Some(ledger.generation),
        partitions: Some(ledger.partitions),
        simulated: Some(ledger.simulated),
        frames: Some(ledger.frames),
        bytes: Some(ledger.bytes),
        entries: Some(replayed.entries),
        decisions: Some(replayed.decisions),
        from: if ledger.starts.iter().all(|first| *first == 0) { Vec::new() } else { replayed.from },
        chain: Some(ledger.chain),
        clean: Some(ledger.clean),
        unchecked: Some(ledger.tail.map_or(0, |tail| tail.bytes)),
        signed,
        stored,
        findings,
    })
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
        ("from", from(&verified.from)),
        (
            "signed",
            verified.signed.map_or_else(|| "no checkpoint was compared".to_owned(), |n| n.to_string()),
        ),
        (
            "store",
            verified
                .stored
                .map_or_else(|| "not compared".to_owned(), |frames| format!("as {frames} frames left it")),
        ),
        ("chain", verified.chain.clone().unwrap_or_default()),
    ]);
    if let Some(bytes) = verified.unchecked.filter(|bytes| *bytes > 0) {
        say(&format!(
            "{bytes} bytes at the end were not checked: a crash left them, or a node is writing them"
        ));
    }
}

fn from(entries: &[u64]) -> String {
    if entries.is_empty() {
        return "the ledger's beginning".to_owned();
    }
    let each = entries.iter().enumerate().map(|(partition, n)| format!("partition {partition} entry {n}"));
    let each: Vec<String> = each.collect();
    format!(
        "{}; what lay before was given up, its entries are held against each other and the checkpoints",
        each.join(", ")
    )
}

pub(super) fn failure(error: NodeError) -> Failure {
    match error {
        NodeError::Ledger(LedgerError::Missing { dir }) => Failure::usage(format!(
            "--dir: there is no ledger at {}; name the folder that `dir` of the node's configuration names",
            dir.display()
        )),
        damaged if damaged.is_damage() => Failure::no(damaged.to_string()),
        other => Failure::unknown(other.to_string()),
    }
}
