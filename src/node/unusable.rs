//! A system whose connector could not be made: every command fails with the reason, and the next one tries again.
//!
//! So its duties stand as *failed*, where people look, instead of waiting in silence for a secret that was not set.

use std::sync::Arc;

use async_trait::async_trait;
use quietus_contract::{
    Capabilities, CheckReport, Connector, Failure, Finding, Gate, Outcome, Permit, Problem, ReadBack, Target,
    TargetOutcome,
};
use quietus_core::system::Manifest;

use super::registry::{Resolver, connect};
use crate::clock::Clock;

#[derive(Debug)]
pub(super) struct Unusable {
    manifest: Manifest,
    resolver: Resolver,
    clock: Arc<dyn Clock>,
}

impl Unusable {
    pub fn connector(manifest: &Manifest, resolver: &Resolver, clock: &Arc<dyn Clock>) -> Arc<dyn Connector> {
        Arc::new(Self { manifest: manifest.clone(), resolver: resolver.clone(), clock: Arc::clone(clock) })
    }

    fn connect(&self) -> Result<Arc<dyn Connector>, Failure> {
        connect(&self.manifest, &self.resolver, &self.clock)
    }
}

/// None of these was done.
pub(super) fn failed(targets: &[Target], failure: &Failure) -> Vec<TargetOutcome> {
    let one = |t: &Target| TargetOutcome {
        command: t.command,
        outcome: Outcome::Failed(failure.clone()),
        at: None,
        position: None,
    };
    targets.iter().map(one).collect()
}

#[async_trait]
impl Connector for Unusable {
    fn describe(&self) -> Capabilities {
        // It reads back once it can be made.
        self.connect().map_or(Capabilities { verify: true, ..Capabilities::default() }, |c| c.describe())
    }

    async fn check(&self) -> CheckReport {
        match self.connect() {
            Ok(connector) => connector.check().await,
            Err(failure) => CheckReport {
                problems: vec![Problem {
                    fatal: true,
                    code: "unreachable",
                    place: self.manifest.system.clone(),
                    detail: failure.detail,
                    fix: "mend `connection` in its manifest, or set what it refers to".to_owned(),
                }],
            },
        }
    }

    async fn erase(&self, targets: &[Target], permit: &Permit, gate: Arc<dyn Gate>) -> Vec<TargetOutcome> {
        match self.connect() {
            Ok(connector) => connector.erase(targets, permit, gate).await,
            Err(failure) => failed(targets, &failure),
        }
    }

    async fn correct(&self, targets: &[Target], permit: &Permit, gate: Arc<dyn Gate>) -> Vec<TargetOutcome> {
        match self.connect() {
            Ok(connector) => connector.correct(targets, permit, gate).await,
            Err(failure) => failed(targets, &failure),
        }
    }

    async fn verify(&self, targets: &[Target]) -> Vec<ReadBack> {
        match self.connect() {
            Ok(connector) => connector.verify(targets).await,
            Err(failure) => {
                let unread = |t: &Target| ReadBack {
                    command: t.command,
                    finding: Finding::Unreadable(failure.clone()),
                    identity_rows: None,
                    scope: Arc::default(),
                    not_checked: Vec::new(),
                    at: None,
                };
                targets.iter().map(unread).collect()
            }
        }
    }

    async fn poll(&self, accepted: &[(Target, String)]) -> Vec<TargetOutcome> {
        match self.connect() {
            Ok(connector) => connector.poll(accepted).await,
            Err(_) => Vec::new(),
        }
    }

    async fn now(&self) -> Result<Option<i64>, Failure> {
        match self.connect() {
            Ok(connector) => connector.now().await,
            Err(failure) => Err(failure),
        }
    }

    async fn position(&self) -> Result<String, Failure> {
        self.connect()?.position().await
    }

    async fn has_reached(&self, position: &str) -> Result<bool, Failure> {
        self.connect()?.has_reached(position).await
    }

    async fn replica_lag(&self) -> Result<Option<i64>, Failure> {
        self.connect()?.replica_lag().await
    }
}
