//! A certificate: what was decided about one request or one sweep, for whoever has the public key and nothing else.
//!
//! Each decision rides along as it was hashed, with its salt, its way up to its entry's root, and the entry's proof
//! under a signed checkpoint. What it says in words is made of those decisions, and held against them when it is
//! checked. Rejected: a signed statement of ours, which would be worth what we say.

use std::collections::{BTreeMap, BTreeSet};

use data_encoding::BASE64;
use quietus_core::engine::{DutyTold, Told};
use quietus_core::identity::SubjectKey;
use quietus_core::merkle::{self, Hash};
use quietus_core::obligation::Stand;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::chain::salted_leaf;
use super::witness::{Kept, Witness};
use super::{Chain, Checkpoint, Proof, Subject, Unproven, Unsigned, Verifier};

pub const FORMAT: u32 = 1;

/// As `audit certificate` prints it.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Certificate {
    pub format: u32,
    /// `rq_…` or `sw_…`
    pub of: String,
    /// Of a request: what was asked.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub kind: Option<String>,
    /// RFC 3339: when it was made. What came later is not in it.
    pub made: String,
    /// Where each duty stood last.
    pub duties: Vec<Certified>,
    /// One a partition that decided something about it.
    pub logs: Vec<Log>,
    /// What no certificate of this kind says.
    pub not_checked: Vec<String>,
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Certified {
    /// `cm_…`
    pub duty: String,
    /// `it_…`
    pub item: String,
    pub system: String,
    pub dataset: String,
    pub categories: Vec<String>,
    pub outcome: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rule: Option<String>,
}

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Log {
    pub partition: u32,
    pub entries: Vec<Vouched>,
}

/// An entry of the log with the decisions that this is about.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Vouched {
    /// C2SP tlog-proof, its signed checkpoint in it.
    pub proof: String,
    pub decisions: Vec<Leaf>,
}

/// A decision; base64.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Leaf {
    /// Its place among the entry's decisions, counted from 0.
    pub index: u64,
    pub salt: String,
    pub leaf: String,
    pub path: Vec<String>,
}

/// What a certificate that was believed says.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Believed {
    pub decisions: u64,
    pub entries: u64,
    pub logs: u64,
    pub duties: Vec<Certified>,
}

#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Disbelieved {
    #[error("format {0} is not known; use a newer quietus")]
    Format(u32),
    #[error("log {log}, entry {entry}: {why}")]
    Entry { log: u32, entry: usize, why: Unproven },
    #[error("log {log}, entry {entry}: decision {index} does not stand in it")]
    Decision { log: u32, entry: usize, index: u64 },
    #[error("log {log}: its entries are not in order, or one stands in it twice")]
    Order { log: u32 },
    #[error("no decision in it is about {0}")]
    About(String),
    #[error("{0} is about somebody the request does not name")]
    Stranger(String),
    #[error("what it says of its duties is not what was decided")]
    Words,
}

const NOT_CHECKED: [&str; 5] = [
    "that these are all the decisions about it: one that was left out is not missed",
    "when things happened: the log keeps an order, no times",
    "whose the keyed hashes are: that takes the tenant key",
    "that a read-back saw what `verified` says: it is the node's own word, from a session of its own",
    "that nobody was shown another log under the same key",
];

/// What the checker says by itself, whatever the certificate claims.
pub fn not_checked() -> Vec<String> {
    NOT_CHECKED.map(str::to_owned).to_vec()
}

impl Certificate {
    /// Of chains that were read with a witness each; None = nothing was decided about it.
    pub fn write(of: &Subject, made: String, chains: &[(&Chain, Checkpoint, String)]) -> Option<Self> {
        let mut logs = Vec::new();
        let mut told = Vec::new();
        for (chain, checkpoint, signed) in chains {
            let kept = chain.witness().map(Witness::kept).unwrap_or_default();
            let entries: Vec<Vouched> =
                kept.iter().map(|kept| vouched(chain, checkpoint, signed, kept)).collect::<Option<_>>()?;
            told.extend(kept.iter().flat_map(|k| &k.seen).filter_map(|(seen, _)| Told::read(&seen.leaf)));
            if let Some(first) = chain.entries().first().filter(|_| !entries.is_empty()) {
                logs.push(Log { partition: first.partition, entries });
            }
        }
        let (Subject::Request(id) | Subject::Sweep(id)) = of;
        let asked = told.iter().find_map(|t| match t {
            Told::Request { kind, .. } => Some(kind.clone()),
            Told::Duty(_) | Told::Swept { .. } | Told::Other { .. } => None,
        });
        (!logs.is_empty()).then(|| Self {
            format: FORMAT,
            of: id.clone(),
            kind: asked,
            made,
            duties: last(&told),
            logs,
            not_checked: not_checked(),
        })
    }

    /// Believes nothing but the keys, one a log.
    pub fn check(&self, keys: &[Verifier]) -> Result<Believed, Disbelieved> {
        if self.format != FORMAT {
            return Err(Disbelieved::Format(self.format));
        }
        let mut told = Vec::new();
        let mut believed = Believed { logs: self.logs.len() as u64, ..Believed::default() };
        for log in &self.logs {
            let mut before = None;
            for (entry, vouched) in log.entries.iter().enumerate() {
                let proof = proof(&vouched.proof, keys).map_err(|why| Disbelieved::Entry {
                    log: log.partition,
                    entry,
                    why,
                })?;
                let at = (proof.entry.partition, proof.entry.n);
                if at.0 != log.partition || before.is_some_and(|before| before >= at.1) {
                    return Err(Disbelieved::Order { log: log.partition });
                }
                before = Some(at.1);
                for leaf in &vouched.decisions {
                    let read = leaf.stands_in(&proof.entry.root, u64::from(proof.entry.decisions));
                    let wrong = Disbelieved::Decision { log: log.partition, entry, index: leaf.index };
                    told.push(read.ok_or(wrong)?);
                    believed.decisions += 1;
                }
                believed.entries += 1;
            }
        }
        self.is_about(&told)?;
        believed.duties = last(&told);
        if believed.duties == self.duties { Ok(believed) } else { Err(Disbelieved::Words) }
    }

    /// Something in it names what it is of; of a request, every duty is of those who asked.
    fn is_about(&self, told: &[Told]) -> Result<(), Disbelieved> {
        let mut asked: BTreeSet<SubjectKey> = BTreeSet::new();
        let mut named = false;
        for one in told {
            match one {
                Told::Request { id, kind, subject } if *id == self.of => {
                    named |= self.kind.as_ref() == Some(kind);
                    asked.insert(*subject);
                }
                Told::Swept { sweep, .. } => named |= *sweep == self.of,
                Told::Request { .. } | Told::Duty(_) | Told::Other { .. } => {}
            }
        }
        if !named {
            return Err(Disbelieved::About(self.of.clone()));
        }
        let stranger = |t: &Told| match t {
            Told::Duty(duty) if !asked.contains(&duty.item.subject) => Some(shown_id(duty)),
            _ => None,
        };
        let of_request = self.of.starts_with("rq_");
        match told.iter().find_map(stranger).filter(|_| of_request) {
            Some(duty) => Err(Disbelieved::Stranger(duty)),
            None => Ok(()),
        }
    }
}

impl Leaf {
    fn stands_in(&self, root: &Hash, size: u64) -> Option<Told> {
        let salt: Hash = decoded(&self.salt)?.try_into().ok()?;
        let leaf = decoded(&self.leaf)?;
        let path =
            self.path.iter().map(|hash| decoded(hash)?.try_into().ok()).collect::<Option<Vec<Hash>>>()?;
        let found = merkle::root_by(salted_leaf(&salt, &leaf), self.index, size, &path)?;
        if found == *root { Told::read(&leaf) } else { None }
    }
}

fn decoded(text: &str) -> Option<Vec<u8>> {
    BASE64.decode(text.as_bytes()).ok()
}

/// By whichever key signed it.
fn proof(text: &str, keys: &[Verifier]) -> Result<Proof, Unproven> {
    let mut refused = Unproven::Unsigned(Unsigned::OtherKey);
    for key in keys {
        match Proof::check(text, key) {
            Ok(proof) => return Ok(proof),
            Err(Unproven::Unsigned(Unsigned::OtherKey)) => {}
            Err(why) => refused = why,
        }
    }
    Err(refused)
}

fn vouched(chain: &Chain, checkpoint: &Checkpoint, signed: &str, kept: &Kept) -> Option<Vouched> {
    let decisions = kept.seen.iter().map(|(seen, path)| Leaf {
        index: seen.index,
        salt: BASE64.encode(&seen.salt),
        leaf: BASE64.encode(&seen.leaf),
        path: path.iter().map(|hash| BASE64.encode(hash)).collect(),
    });
    let proof = Proof::write(chain, kept.entry, checkpoint, signed)?;
    Some(Vouched { proof, decisions: decisions.collect() })
}

/// Where each duty stood last, in the order of their ids.
fn last(told: &[Told]) -> Vec<Certified> {
    let mut duties: BTreeMap<[u8; 16], &DutyTold> = BTreeMap::new();
    for one in told {
        if let Told::Duty(duty) = one {
            duties.insert(duty.id, duty);
        }
    }
    duties.into_values().map(certified).collect()
}

fn shown_id(duty: &DutyTold) -> String {
    format!("cm_{}", data_encoding::HEXLOWER.encode(&duty.id))
}

fn certified(duty: &DutyTold) -> Certified {
    Certified {
        duty: shown_id(duty),
        item: duty.item.to_string(),
        system: duty.system.clone(),
        dataset: duty.dataset.clone(),
        categories: duty.parts.split(',').filter(|p| !p.is_empty()).map(str::to_owned).collect(),
        outcome: outcome(&duty.stand),
        rule: Some(duty.rule.clone()).filter(|rule| !rule.is_empty()),
    }
}

/// The outward word for a stand as a leaf spells it; one that this program does not know stays as it is.
fn outcome(stand: &str) -> String {
    let known = Stand::ALL.into_iter().find(|known| format!("{known:?}") == stand);
    let word = known.and_then(|known| serde_json::to_value(known).ok());
    word.and_then(|word| word.as_str().map(str::to_owned)).unwrap_or_else(|| stand.to_owned())
}
