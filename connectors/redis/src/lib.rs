//! The redis connector: copies that follow from others (`copies_of`), found by a name made of the origin's key.
//!
//! The way of a command: [`template`] makes names of the manifest's templates, [`config`] says where a record's copies
//! lie, [`scan`] finds the keys behind a star, [`erase`] asks the gate and runs the [`script`] that takes them away.
//! [`verify`] shares only the templates with that.
//!
//! Invariants: a value is never a glob; `Removed` counts what the server says it took away; nothing is taken without
//! the gate's word, nor past the lease by the server's own clock.
//! Rejected: changing a cached value in place (nobody knows how it was made; its maker makes it anew), and clusters
//! (a walk would see a part of the keys and call the rest gone).

#![forbid(unsafe_code)]

mod check;
mod config;
mod erase;
mod failure;
mod scan;
mod script;
mod template;
mod verify;

use std::sync::Arc;

use async_trait::async_trait;
use quietus_contract::{
    Capabilities, CheckReport, Connector, Failure, Gate, Permit, ReadBack, Target, TargetOutcome,
};
use quietus_core::system::Manifest;

use crate::config::Config;

/// One server with the copies that lie in it.
#[derive(Clone, Debug)]
pub struct RedisConnector {
    system: String,
    config: Config,
}

impl RedisConnector {
    /// `url` is `redis://…` or `rediss://…`, references resolved. The server is reached at each call, not here.
    pub fn new(system: &Manifest, url: &str) -> Result<Self, Failure> {
        Ok(Self { system: system.system.clone(), config: Config::new(system, url)? })
    }
}

#[async_trait]
impl Connector for RedisConnector {
    fn describe(&self) -> Capabilities {
        Capabilities {
            kind: "redis",
            erase: true,
            correct: true,
            verify: true,
            gated: true,
            derived: true,
            ..Capabilities::default()
        }
    }

    async fn check(&self) -> CheckReport {
        check::report(&self.config, &self.system).await
    }

    async fn erase(&self, targets: &[Target], permit: &Permit, gate: Arc<dyn Gate>) -> Vec<TargetOutcome> {
        erase::take_away(&self.config, targets, permit.lease(), gate).await
    }

    /// Takes the stale copy away: its maker makes it anew from what was corrected.
    async fn correct(&self, targets: &[Target], permit: &Permit, gate: Arc<dyn Gate>) -> Vec<TargetOutcome> {
        erase::take_away(&self.config, targets, permit.lease(), gate).await
    }

    async fn verify(&self, targets: &[Target]) -> Vec<ReadBack> {
        verify::read_back(&self.config, targets).await
    }

    /// Nothing is ever `Accepted` here.
    async fn poll(&self, _accepted: &[(Target, String)]) -> Vec<TargetOutcome> {
        Vec::new()
    }

    async fn now(&self) -> Result<Option<i64>, Failure> {
        let mut session = self.config.session().await?;
        let micros = config::clock(&mut session).await.map_err(|e| failure::reading(&e))?;
        Ok(Some(micros / 1000))
    }
}
