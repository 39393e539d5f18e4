//! `quietus audit …`

mod certificate;
mod proof;
mod verify;

use std::path::PathBuf;

use clap::Subcommand;

use super::node::NodeArgs;
use super::{Exit, Failure, Output};
use crate::node::{Evidence, replay_dir};
use crate::surface::client::Client;
use crate::surface::wire::DigestView;
use verify::{VerifyArgs, failure};

#[derive(Debug, Subcommand)]
pub enum Audit {
    /// Verify that nothing was changed, dropped or reordered.
    Verify(VerifyArgs),
    /// A digest over everything that is known, without ticks, offsets and owner records.
    StateDigest {
        /// A node's folder, replayed without a node; without it the node is asked.
        #[arg(long, value_name = "DIR")]
        dir: Option<PathBuf>,
        #[command(flatten)]
        node: NodeArgs,
    },
    /// Each partition's log, signed. Keep it elsewhere: `audit verify` holds a ledger against it.
    Checkpoint {
        #[command(flatten)]
        node: NodeArgs,
    },
    /// The public key of each partition's log, `NAME+ID+KEY`.
    Keys {
        #[command(flatten)]
        node: NodeArgs,
    },
    /// The proof that an entry stands in a log, for whoever has the public key alone.
    Proof {
        /// The entry's partition.
        partition: u32,
        /// The entry's number there, counted from 0.
        n: u64,
        #[command(flatten)]
        node: NodeArgs,
    },
    /// The evidence for one request or one sweep, for whoever has the public key alone; as JSON.
    Certificate {
        /// `rq_…` or `sw_…`
        id: String,
        #[command(flatten)]
        node: NodeArgs,
    },
    /// Check a certificate with the public key alone, without a node.
    CheckCertificate {
        /// What `audit certificate` printed; `-` is stdin.
        file: PathBuf,
        /// What `audit keys` printed.
        #[arg(long, value_name = "FILE")]
        key: PathBuf,
    },
    /// Check a proof with the public key alone, without a node.
    CheckProof {
        /// What `audit proof` printed; `-` is stdin.
        file: PathBuf,
        /// What `audit keys` printed.
        #[arg(long, value_name = "FILE")]
        key: PathBuf,
    },
}

impl Audit {
    pub async fn run(self, out: &mut Output) -> Result<Exit, Failure> {
        match self {
            Self::Verify(args) => return args.run(out).await,
            Self::StateDigest { dir, node } => {
                let digest = match dir {
                    Some(dir) => {
                        let replayed = replay_dir(&dir, &Evidence::default()).map_err(failure)?;
                        DigestView { digest: data_encoding::HEXLOWER.encode(&replayed.digest) }
                    }
                    None => node.client()?.state_digest().await?,
                };
                out.answer(&digest, |out, d| out.line(&d.digest))?;
            }
            Self::Checkpoint { node } => {
                let signed = node.client()?.checkpoints().await?;
                out.answer(&signed, |out, signed| signed.iter().for_each(|c| out.text(&c.note)))?;
            }
            Self::Keys { node } => {
                let keys = node.client()?.audit_keys().await?;
                out.answer(&keys, |out, keys| keys.iter().for_each(|k| out.line(&k.key)))?;
            }
            Self::Proof { partition, n, node } => {
                let proof = node.client()?.proof(partition, n).await?;
                out.answer(&proof, |out, p| out.text(&p.proof))?;
            }
            Self::Certificate { id, node } => print_certificate(&node.client()?, &id, out).await?,
            Self::CheckCertificate { file, key } => return certificate::check(&file, &key, out),
            Self::CheckProof { file, key } => return proof::check(&file, &key, out),
        }
        Ok(Exit::Done)
    }
}

/// A file to be given away: JSON, whoever reads it.
pub async fn print_certificate(client: &Client, id: &str, out: &mut Output) -> Result<(), Failure> {
    let of = match id.split('_').next() {
        Some("rq") => "requests",
        Some("sw") => "sweeps",
        _ => {
            let what = format!(
                "{id}: a certificate is of a request (rq_…) or a sweep (sw_…); see `quietus request list`"
            );
            return Err(Failure::usage(what));
        }
    };
    let certificate = client.certificate(of, id).await?;
    out.json(&certificate)
}
