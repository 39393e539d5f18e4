//! The http connector: a partner who erases people on request, told and asked as the manifest declares (`http:`).
//!
//! The way of a command: [`people`] finds whom a target means, [`erase`] asks the gate and hands over a request that
//! [`sign`] makes recognisable ([`correct`] does the same with new values), [`reference`] is what is kept of it, [`poll`] asks how far it is, and [`verify`] asks
//! with another client whether anybody is still found. [`answer`] says what each HTTP status means.
//!
//! Invariants: the same commands about the same people carry the same Idempotency-Key, anything else another one; a
//! reference holds no identity; with a read-back, a partner's *done* alone is never success.
//! Rejected: calling a 2xx of the submission an erasure (it says that somebody listened), and following redirects (a
//! list of people goes to the address that was written down, or nowhere).

#![forbid(unsafe_code)]

mod answer;
mod check;
mod config;
mod correct;
mod ended;
mod erase;
mod pace;
mod people;
mod poll;
mod reference;
mod sign;
mod verify;

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use async_trait::async_trait;
use quietus_contract::{
    Capabilities, CheckReport, Connector, Failure, Gate, Outcome, Permit, ReadBack, Target, TargetOutcome,
};
use quietus_core::system::Manifest;

use crate::config::Config;
use crate::ended::Ended;
use crate::pace::Pace;

pub use crate::sign::Signer;

/// The node's clock, milliseconds since the epoch: deadlines of days are measured by it, and signatures dated.
pub type Now = Arc<dyn Fn() -> i64 + Send + Sync>;

/// One partner.
pub struct HttpConnector {
    config: Config,
    now: Now,
    pace: Pace,
    ended: Ended,
}

impl HttpConnector {
    /// `settings` are the manifest's `connection`, references resolved.
    pub fn new(system: &Manifest, settings: &BTreeMap<String, String>, now: Now) -> Result<Self, Failure> {
        Ok(Self {
            config: Config::new(system, settings)?,
            now,
            pace: Pace::default(),
            ended: Ended::default(),
        })
    }
}

impl fmt::Debug for HttpConnector {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("HttpConnector").field("system", &self.config.system).finish_non_exhaustive()
    }
}

/// What is said of a target; a partner's own clock is not known.
fn told(target: &Target, outcome: Outcome) -> TargetOutcome {
    TargetOutcome { command: target.command, outcome, at: None, position: None }
}

#[async_trait]
impl Connector for HttpConnector {
    fn describe(&self) -> Capabilities {
        Capabilities {
            kind: "http",
            erase: true,
            verify: self.config.calls.read_back.is_some(),
            correct: self.config.calls.correct.is_some(),
            poll: true,
            outside: true,
            by_identity: true,
            ..Capabilities::default()
        }
    }

    async fn check(&self) -> CheckReport {
        check::report(self).await
    }

    async fn erase(&self, targets: &[Target], permit: &Permit, gate: Arc<dyn Gate>) -> Vec<TargetOutcome> {
        erase::submit(self, targets, permit.lease(), gate).await
    }

    async fn correct(&self, targets: &[Target], permit: &Permit, gate: Arc<dyn Gate>) -> Vec<TargetOutcome> {
        correct::submit(self, targets, permit.lease(), gate).await
    }

    async fn verify(&self, targets: &[Target]) -> Vec<ReadBack> {
        verify::read_back(self, targets).await
    }

    async fn poll(&self, accepted: &[(Target, String)]) -> Vec<TargetOutcome> {
        poll::ask(self, accepted).await
    }

    fn is_signed(&self, headers: &BTreeMap<String, String>, body: &[u8]) -> bool {
        self.config.is_signed(headers, body, (self.now)())
    }

    /// A partner's clock decides nothing here.
    async fn now(&self) -> Result<Option<i64>, Failure> {
        Ok(None)
    }
}
