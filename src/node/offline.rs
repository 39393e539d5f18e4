//! What a ledger's folder says without a node: read only, and beside a running one.

use std::path::{Path, PathBuf};

use quietus_core::digest::Digest;

use super::NodeError;
use super::audit::{FILE, KEY_FILE, compare, kept};
use super::reading::Reading;
use super::stored::Stored;
use crate::audit::{Chain, Verifier, verifiers};
use crate::ledger::LedgerError;
use crate::ledger::embedded::{Verified, replay, verify};
use crate::partition::Partition;
use crate::sealing::{AUDIT, KeyFileError, Keys, load};

/// What beside the folder itself is held against it.
#[derive(Clone, Debug, Default)]
pub struct Evidence {
    /// Checkpoints that were kept elsewhere.
    pub checkpoints: Option<String>,
    /// The public key's lines; without them the folder's own key is used.
    pub keys: Option<Vec<Verifier>>,
    /// The tenant key, when it does not lie in the folder: it salts what was signed.
    pub tenant_key: Option<PathBuf>,
}

/// The ledger of a node's folder, read again from its beginning, or from the store's older snapshot.
#[derive(Debug)]
pub struct Replayed {
    pub ledger: Verified,
    pub digest: [u8; 32],
    pub entries: u64,
    pub decisions: u64,
    /// Per partition: the first entry whose frames are still in the ledger. Those before it are held against the
    /// signed checkpoints, and against each other.
    pub from: Vec<u64>,
    pub signed: Signed,
    /// What the store's last root says.
    pub stored: Held,
}

/// What came of holding the store against the replay.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Held {
    /// It is what so many frames add up to.
    Frames(u64),
    Otherwise(Vec<String>),
    /// There is none, a node has it open, another version wrote it, or the tenant key is missing.
    Uncompared,
}

/// What the signed checkpoints say of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Signed {
    /// There is none.
    Nothing,
    /// The first entries, all partitions together, are those that were signed.
    Entries(u64),
    /// They are not.
    Otherwise(String),
    /// It cannot be told without this file.
    Missing(PathBuf),
}

/// Replays `dir`'s ledger into a state of its own. The digest is the one that a node on `dir` answers.
pub fn replay_dir(dir: &Path, evidence: &Evidence) -> Result<Replayed, NodeError> {
    let dir = node_in(dir);
    let ledger = dir.join("ledger");
    if !ledger.is_dir() {
        return Err(LedgerError::Missing { dir: ledger }.into());
    }
    // Before the ledger: what was signed by then is in what is read now, also beside a running node.
    let own = kept(&dir.join(FILE))?;
    let verified = verify(&ledger)?;
    let of = verified.partitions;
    let tenant = evidence.tenant_key.clone().unwrap_or_else(|| dir.join("tenant.key"));
    let keys = if tenant.exists() { Some(Keys::load(&tenant)?) } else { None };
    // Without it the salts of the leaves are unknown; neither digest nor counts depend on them.
    let salt = keys.as_ref().map_or([0; 32], Keys::audit_salt);
    let truncated = verified.starts.iter().skip(1).any(|first| *first > 0);
    let stored = if keys.is_some() { Stored::open(&dir, of, truncated)? } else { None };
    let mut reading = Reading::new(&verified, salt, stored)?;
    let verified = replay::<NodeError>(&ledger, |frame| reading.take_in(&frame))?;
    let (partitions, stored) = reading.end()?;
    let from = partitions.iter().map(Partition::entries_at_start).collect();
    let mut digest = Digest::default();
    for partition in &partitions {
        digest.bytes(&partition.digest());
    }
    let inner: Vec<_> = partitions.iter().map(Partition::read).collect();
    let chains: Vec<&Chain> = inner.iter().map(|i| &i.chain).collect();
    Ok(Replayed {
        digest: digest.finish(),
        entries: chains.iter().map(|c| c.entries().len() as u64).sum(),
        decisions: chains.iter().map(|c| c.decisions()).sum(),
        from,
        signed: signed(own, &dir, &verified, evidence, keys.is_some().then_some(&chains).ok_or(tenant))?,
        stored: held(stored),
        ledger: verified,
    })
}

fn held(stored: Option<Stored>) -> Held {
    let Some(mut stored) = stored else { return Held::Uncompared };
    stored.end();
    match stored.findings {
        findings if !findings.is_empty() => Held::Otherwise(findings),
        _ if stored.unknown => Held::Uncompared,
        _ => Held::Frames(stored.compared),
    }
}

/// Every checkpoint there is against the chains; `Err` names the key that is missing for it.
fn signed(
    own: Option<String>,
    dir: &Path,
    ledger: &Verified,
    evidence: &Evidence,
    chains: Result<&Vec<&Chain>, PathBuf>,
) -> Result<Signed, NodeError> {
    if own.is_none() && evidence.checkpoints.is_none() {
        return Ok(Signed::Nothing);
    }
    let chains = match chains {
        Ok(chains) => chains,
        Err(tenant) => return Ok(Signed::Missing(tenant)),
    };
    let keys = match &evidence.keys {
        Some(keys) => in_order(keys, ledger),
        None => match load(&dir.join(KEY_FILE), AUDIT) {
            Ok(seed) => verifiers(&ledger.ledger, ledger.partitions, &seed),
            Err(KeyFileError::Io { path, cause, .. }) if cause.kind() == std::io::ErrorKind::NotFound => {
                return Ok(Signed::Missing(path));
            }
            Err(error) => return Err(error.into()),
        },
    };
    let mut most = 0;
    for text in [own, evidence.checkpoints.clone()].into_iter().flatten() {
        match compare(&text, &keys, chains) {
            Ok(signed) => most = most.max(signed),
            Err(finding) => return Ok(Signed::Otherwise(finding)),
        }
    }
    Ok(Signed::Entries(most))
}

/// The keys that were given, each at its partition's place.
fn in_order(given: &[Verifier], ledger: &Verified) -> Vec<Verifier> {
    let named = |partition| {
        let name = crate::audit::origin(&ledger.ledger, partition);
        given.iter().find(|key| key.name() == name).cloned()
    };
    (0..ledger.partitions).map_while(named).collect()
}

/// A node's folder holds the ledger, a demo's the node's folder.
fn node_in(dir: &Path) -> PathBuf {
    let demo = dir.join("quietus-data");
    if !dir.join("ledger").exists() && demo.join("ledger").exists() { demo } else { dir.to_owned() }
}
