//! What a ledger's folder says without a node: read only, and beside a running one.

use std::path::{Path, PathBuf};

use quietus_core::digest::Digest;

use super::NodeError;
use crate::ledger::codec::{Avro, decode_frame};
use crate::ledger::embedded::{Verified, replay, verify};
use crate::ledger::{LedgerError, Stream};
use crate::partition::Partition;

/// The ledger of a node's folder, read again from its beginning.
#[derive(Debug)]
pub struct Replayed {
    pub ledger: Verified,
    pub digest: [u8; 32],
    pub entries: u64,
    pub decisions: u64,
}

/// Replays `dir`'s ledger into a state of its own. The digest is the one that a node on `dir` answers.
pub fn replay_dir(dir: &Path) -> Result<Replayed, NodeError> {
    let ledger = ledger_in(dir);
    if !ledger.is_dir() {
        return Err(LedgerError::Missing { dir: ledger }.into());
    }
    let of = verify(&ledger)?.partitions;
    // The salts of the audit leaves derive from the tenant key; neither digest nor counts depend on them.
    let partitions: Vec<Partition> = (0..of).map(|p| Partition::new(p, of, &[0; 32])).collect();
    let verified = replay::<NodeError>(&ledger, |frame| {
        let batch = decode_frame(&frame.body).map_err(|cause| NodeError::Unreadable {
            partition: frame.stream.to_string(),
            offset: frame.offset,
            cause: cause.to_string(),
        })?;
        let Stream::Partition(index) = frame.stream else { return Ok(()) };
        let partition = usize::try_from(index).ok().and_then(|p| partitions.get(p));
        let partition = partition
            .ok_or(LedgerError::UnknownStream { stream: frame.stream, partitions: of })
            .map_err(NodeError::from)?;
        partition.apply(frame.offset, &frame.body, &batch, &Avro);
        Ok(())
    })?;
    let mut digest = Digest::default();
    let (mut entries, mut decisions) = (0, 0);
    for partition in &partitions {
        digest.bytes(&partition.digest());
        let inner = partition.read();
        entries += inner.chain.entries().len() as u64;
        decisions += inner.chain.decisions();
    }
    Ok(Replayed { ledger: verified, digest: digest.finish(), entries, decisions })
}

/// A node's folder holds the ledger, a demo's the node's folder.
fn ledger_in(dir: &Path) -> PathBuf {
    let own = dir.join("ledger");
    let demo = dir.join("quietus-data").join("ledger");
    if !own.exists() && demo.exists() { demo } else { own }
}
