//! A node's audit: signed checkpoints, kept beside the ledger and given away, and the checks against them.
//!
//! `DIR/checkpoint` is written anew when a sweep has come to rest and when the node stops. It is what tells a ledger
//! that was cut or exchanged from one that a crash left; a copy kept elsewhere tells more, for whoever can write the
//! folder can write both.

use std::fs;
use std::io;
use std::path::Path;

use super::{Node, NodeError};
use crate::audit::{Chain, Checkpoint, Proof, Verifier, chain, notes, verifiers};
use crate::durable;
use crate::ledger::embedded;

/// The newest checkpoints of a node, one signed note a partition.
pub const FILE: &str = "checkpoint";
/// Signs them.
pub const KEY_FILE: &str = "audit.key";

/// What a check of everything found.
#[derive(Clone, Debug, Default)]
pub struct Audited {
    pub frames: u64,
    pub bytes: u64,
    pub entries: u64,
    pub decisions: u64,
    /// Entries that a signed checkpoint vouches for.
    pub signed: u64,
    pub findings: Vec<String>,
}

impl Node {
    /// Each partition's log as it is now, signed.
    pub fn checkpoints(&self) -> Vec<(Checkpoint, String)> {
        let of = |p: &std::sync::Arc<crate::partition::Partition>| {
            let checkpoint = Checkpoint::of(&self.ledger.id(), p.index(), &p.read().chain);
            let signed = checkpoint.sign(&self.audit_key)?;
            Some((checkpoint, signed))
        };
        self.partitions.iter().filter_map(of).collect()
    }

    /// The public key's line for each partition's log.
    pub fn audit_keys(&self) -> Vec<Verifier> {
        let partitions = u32::try_from(self.partitions.len()).unwrap_or(u32::MAX);
        verifiers(&self.ledger.id(), partitions, &self.audit_key)
    }

    /// The proof of one entry, for whoever has the public key alone.
    pub fn prove(&self, partition: u32, n: u64) -> Result<String, NodeError> {
        let known = usize::try_from(partition).ok().and_then(|p| self.partitions.get(p));
        let proof = known.and_then(|p| {
            let inner = p.read();
            let checkpoint = Checkpoint::of(&self.ledger.id(), partition, &inner.chain);
            let signed = checkpoint.sign(&self.audit_key)?;
            Proof::write(&inner.chain, n, &checkpoint, &signed)
        });
        proof.ok_or_else(|| NodeError::NotFound { what: format!("partition {partition} has no entry {n}") })
    }

    /// Keeps the newest checkpoint beside the ledger.
    pub(crate) fn keep_checkpoint(&self) {
        let text: String = self.checkpoints().into_iter().map(|(_, signed)| signed).collect();
        if let Err(error) = durable::put(&self.options.dir.join(FILE), text.as_bytes()) {
            tracing::warn!(%error, "the audit's checkpoint could not be kept beside the ledger");
        }
    }

    /// A ledger that does not go on from what this node signed is not run.
    pub(super) fn goes_on(&self) -> Result<(), NodeError> {
        let path = self.options.dir.join(FILE);
        let Some(text) = kept(&path)? else { return Ok(()) };
        let found = self.against(&text).err();
        found.map_or(Ok(()), |what| Err(NodeError::Rewritten { what, path }))
    }

    /// Entries that these notes vouch for, or what is wrong.
    fn against(&self, text: &str) -> Result<u64, String> {
        let inner: Vec<_> = self.partitions.iter().map(|p| p.read()).collect();
        let chains: Vec<&Chain> = inner.iter().map(|i| &i.chain).collect();
        compare(text, &self.audit_keys(), &chains)
    }

    /// Every byte of the ledger, every chain, and the checkpoint kept beside them.
    pub fn audit(&self) -> Audited {
        let mut audited = Audited::default();
        match embedded::verify(&self.options.dir.join("ledger")) {
            Ok(ledger) => (audited.frames, audited.bytes) = (ledger.frames, ledger.bytes),
            Err(error) => audited.findings.push(error.to_string()),
        }
        for partition in self.partitions.iter() {
            let inner = partition.read();
            audited.entries += inner.chain.entries().len() as u64;
            audited.decisions += inner.chain.decisions();
            audited.findings.extend(chain::follows(inner.chain.entries()).err());
        }
        match kept(&self.options.dir.join(FILE)).map(|text| text.map(|text| self.against(&text))) {
            Ok(Some(Ok(signed))) => audited.signed = signed,
            Ok(Some(Err(finding))) => audited.findings.push(finding),
            Ok(None) => {}
            Err(error) => audited.findings.push(error.to_string()),
        }
        audited
    }
}

/// Holds chains, by partition, against signed notes; answers how many entries are vouched for.
pub(super) fn compare(text: &str, keys: &[Verifier], chains: &[&Chain]) -> Result<u64, String> {
    let mut signed = 0;
    for note in notes(text) {
        let read = |(key, chain)| Some((Checkpoint::open(&note, key).ok()?, chain));
        match keys.iter().zip(chains).find_map(read) {
            Some((checkpoint, chain)) => {
                checkpoint.holds(chain).map_err(|mismatch| mismatch.to_string())?;
                signed += checkpoint.size;
            }
            None => {
                let name = note.lines().next().unwrap_or_default();
                return Err(format!("the checkpoint of {name:?} is not signed by this node's audit key"));
            }
        }
    }
    Ok(signed)
}

/// A checkpoint as it was kept; None = none was.
pub(super) fn kept(path: &Path) -> Result<Option<String>, NodeError> {
    match fs::read_to_string(path) {
        Ok(text) => Ok(Some(text)),
        Err(cause) if cause.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(cause) => {
            let what = format!("it cannot be read ({cause})");
            Err(NodeError::Rewritten { what, path: path.to_owned() })
        }
    }
}
