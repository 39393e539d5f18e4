//! The connector for a folder of backup generations.
//!
//! [`generation`] lists them; [`erase`] answers `Residual` with the day on which the last of those that may hold the
//! record is to be gone; [`verify`] lists anew and says whether they are.
//!
//! Invariants: nothing in the folder is ever changed or opened; *gone* is said of what was seen, never of what the
//! manifest promises. Rejected: looking into generations (they are compressed, encrypted, in any format), and rewriting
//! them (a backup that somebody changes is none).

#![forbid(unsafe_code)]

mod check;
mod config;
mod erase;
mod generation;
mod verify;

use std::sync::Arc;

use async_trait::async_trait;
use quietus_contract::{
    Capabilities, CheckReport, Connector, Failure, Finding, Gate, Outcome, Permit, Problem, ReadBack, Target,
    TargetOutcome,
};
use quietus_core::system::Manifest;
use tokio::task::spawn_blocking;

use crate::config::Config;

/// One folder; its entries are the generations.
#[derive(Clone, Debug)]
pub struct BackupConnector {
    config: Config,
}

impl BackupConnector {
    /// `url` is `file:///abs/path`, references resolved. The folder is listed at each call, not here.
    pub fn open(system: &Manifest, url: &str) -> Result<Self, Failure> {
        Ok(Self { config: Config::parse(url, system)? })
    }

    async fn answer(&self, targets: &[Target]) -> Vec<TargetOutcome> {
        let (config, owned) = (self.config.clone(), targets.to_vec());
        let work = spawn_blocking(move || erase::erase(&config, &owned));
        work.await.unwrap_or_else(|_| {
            let failed = |t: &Target| TargetOutcome {
                command: t.command,
                outcome: Outcome::Failed(broken_off()),
                at: None,
                position: None,
            };
            targets.iter().map(failed).collect()
        })
    }
}

/// Nothing is ever changed here: a call that broke off may be made again.
fn broken_off() -> Failure {
    Failure::retry("internal", "the call broke off")
}

#[async_trait]
impl Connector for BackupConnector {
    fn describe(&self) -> Capabilities {
        Capabilities { kind: "backup", verify: true, residual: true, ..Capabilities::default() }
    }

    async fn check(&self) -> CheckReport {
        let config = self.config.clone();
        spawn_blocking(move || check::report(&config)).await.unwrap_or_else(|_| CheckReport {
            problems: vec![Problem {
                fatal: true,
                code: "internal",
                place: self.config.system.clone(),
                detail: broken_off().detail,
                fix: "try again".into(),
            }],
        })
    }

    /// The gate is not asked: nothing goes by this call.
    async fn erase(&self, targets: &[Target], _permit: &Permit, _gate: Arc<dyn Gate>) -> Vec<TargetOutcome> {
        self.answer(targets).await
    }

    async fn correct(
        &self,
        targets: &[Target],
        _permit: &Permit,
        _gate: Arc<dyn Gate>,
    ) -> Vec<TargetOutcome> {
        self.answer(targets).await
    }

    async fn verify(&self, targets: &[Target]) -> Vec<ReadBack> {
        let (config, owned) = (self.config.clone(), targets.to_vec());
        let work = spawn_blocking(move || verify::read_back(&config, &owned));
        work.await.unwrap_or_else(|_| {
            let nothing = |t: &Target| ReadBack {
                command: t.command,
                finding: Finding::Unreadable(broken_off()),
                identity_rows: None,
                scope: Arc::default(),
                not_checked: Vec::new(),
                at: None,
            };
            targets.iter().map(nothing).collect()
        })
    }

    /// Nothing is ever `Accepted` here.
    async fn poll(&self, _accepted: &[(Target, String)]) -> Vec<TargetOutcome> {
        Vec::new()
    }

    /// A folder has no clock.
    async fn now(&self) -> Result<Option<i64>, Failure> {
        Ok(None)
    }
}
