//! Connectors in any language: `kind: kafka` and `kind: webhook`.
//!
//! A command ([`command`]) and its confirmation ([`confirmation`]) are Avro records on a pair of topics ([`topic`]) or JSON over
//! HTTP ([`web`]); both sides sign with the system's secret. [`erase`] asks the gate, hands over and hears; [`conform`] tries
//! the laws on whatever listens.
//!
//! Invariants: an answer counts only when it is signed with its system's own secret and names the attempt that is out; no
//! command travels without its `not_after`; what a connector says of itself verifies nothing. Rejected: believing the
//! name of the producer (Kafka does not tell it to a reader), and an SDK per language (the page that an SDK needs is
//! the protocol).

#![forbid(unsafe_code)]

mod avro;
mod command;
mod config;
mod confirmation;
pub mod conform;
mod erase;
mod heard;
mod link;
mod security;
mod topic;
pub mod topics;
mod verify;
mod web;

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use async_trait::async_trait;
use quietus_contract::{
    Capabilities, CheckReport, CommandId, Connector, Failure, Gate, Permit, ReadBack, Target, TargetOutcome,
};
use quietus_core::system::Manifest;
use quietus_http::Signer;

pub use avro::{Framed, read, write};
pub use command::{Command, Identity};
pub use confirmation::Confirmation;
pub use security::Security;

use crate::config::{Config, Place};
use crate::link::Link;
use crate::topic::TopicLink;
use crate::web::WebLink;

/// The node's clock, milliseconds since the epoch.
pub type Now = Arc<dyn Fn() -> i64 + Send + Sync>;

/// One system behind a connector of somebody else's.
pub struct OutsideConnector {
    system: String,
    /// `dataset.collection` → the columns of its key, sorted; none = the manifest names no datasets.
    keys: BTreeMap<String, Vec<String>>,
    kind: &'static str,
    now: Now,
    signer: Arc<Signer>,
    link: Arc<dyn Link>,
}

impl OutsideConnector {
    /// `settings` are the manifest's `connection`, references resolved; `node` tells this node's position among the
    /// confirmations from another's; None = none is kept.
    pub fn new(
        system: &Manifest,
        settings: &BTreeMap<String, String>,
        node: Option<&str>,
        now: Now,
    ) -> Result<Self, Failure> {
        let kind = if settings.contains_key("brokers") { "kafka" } else { "webhook" };
        let config = Config::new(system, settings)?;
        let signer = Arc::clone(&config.signer);
        let link = open(config, &now, node, false)?;
        let collections = system.datasets.iter().flat_map(|d| d.collections.iter().map(move |c| (d, c)));
        let keys = collections.map(|(dataset, collection)| {
            let mut columns = collection.key.clone();
            columns.sort();
            (format!("{}.{}", dataset.fides_key, collection.name), columns)
        });
        Ok(Self { system: system.system.clone(), keys: keys.collect(), kind, now, signer, link })
    }

    /// What the manifest says of datasets, this target keeps to.
    fn names(&self, target: &Target) -> bool {
        self.keys.is_empty()
            || self.keys.get(&*target.dataset).is_some_and(|columns| target.locator.keys().eq(columns.iter()))
    }
}

fn open(config: Config, now: &Now, node: Option<&str>, counts: bool) -> Result<Arc<dyn Link>, Failure> {
    let (signer, now) = (config.signer, Arc::clone(now));
    Ok(match config.place {
        Place::Topics(topics) => {
            let reader = node.map(|node| format!("quietus-{node}.{}.confirmations", config.system));
            Arc::new(TopicLink::open(topics, signer, now, &config.system, reader)?)
        }
        Place::Url(url) => Arc::new(WebLink::open(url, signer, now, counts)?),
    })
}

impl fmt::Debug for OutsideConnector {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("OutsideConnector").field("system", &self.system).finish_non_exhaustive()
    }
}

#[async_trait]
impl Connector for OutsideConnector {
    /// What it cannot do, the connector itself refuses.
    fn describe(&self) -> Capabilities {
        Capabilities {
            kind: self.kind,
            erase: true,
            mask: true,
            anonymise: true,
            pseudonymise: true,
            restrict: true,
            correct: true,
            poll: true,
            recall: true,
            outside: true,
            ..Capabilities::default()
        }
    }

    async fn check(&self) -> CheckReport {
        CheckReport { problems: self.link.check().await }
    }

    async fn erase(&self, targets: &[Target], permit: &Permit, gate: Arc<dyn Gate>) -> Vec<TargetOutcome> {
        erase::hand_over(self, targets, permit, gate).await
    }

    async fn correct(&self, targets: &[Target], permit: &Permit, gate: Arc<dyn Gate>) -> Vec<TargetOutcome> {
        erase::hand_over(self, targets, permit, gate).await
    }

    async fn verify(&self, targets: &[Target]) -> Vec<ReadBack> {
        targets.iter().map(verify::unreadable).collect()
    }

    async fn poll(&self, accepted: &[(Target, String)]) -> Vec<TargetOutcome> {
        erase::ask(self, accepted).await
    }

    fn is_signed(&self, headers: &BTreeMap<String, String>, body: &[u8]) -> bool {
        let header = |name: &str| headers.get(name).map(String::as_str);
        self.signer.is_signed(header, body, Some((self.now)()))
    }

    async fn recall(&self, accepted: &[(Target, String)]) {
        erase::recall(self, accepted).await;
    }

    async fn settled(&self, answered: &[(CommandId, u32)]) {
        self.link.settle(answered);
    }

    /// The target's own clock ends the commands there, and each answer tells it.
    async fn now(&self) -> Result<Option<i64>, Failure> {
        Ok(None)
    }
}
