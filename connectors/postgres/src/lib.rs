//! The PostgreSQL connector: set-wise deletes and masks in short transactions, and an independent read-back.
//!
//! A call goes [`erase`] or [`correct`] → [`step`] (targets in the database's terms, by the catalogue of [`types`]) →
//! [`pace`] (how many at once) → [`lane`] (batch after batch on one connection) → [`transaction`] (begin, gate, clock,
//! commit) → [`rows`] (the statements of [`statement`], halved where one fails). [`verify`] (by key) and [`person`] (by identity) share the catalogue's reader with them and nothing else.
//!
//! Rejected: an ORM, row-by-row deletes, and cursors that hold a transaction open.

#![forbid(unsafe_code)]

mod answers;
mod catalogue;
mod check;
mod config;
mod correct;
mod erase;
mod failure;
mod key;
mod lane;
mod line;
mod pace;
mod person;
mod pool;
mod replica;
mod rows;
mod scan;
mod scope;
mod session;
mod statement;
mod step;
mod transaction;
mod types;
mod verify;

use std::sync::Arc;

use async_trait::async_trait;
use quietus_contract::{
    Capabilities, CheckReport, Connector, Failure, Gate, Outcome, Page, Permit, ReadBack, Reading, Target,
    TargetOutcome,
};
use quietus_core::system::Manifest;

use crate::config::Connection;
use crate::failure::Fault;
use crate::pace::Pace;
use crate::pool::Pool;
use crate::types::Catalogue;

/// One PostgreSQL database.
#[derive(Debug)]
pub struct PostgresConnector {
    manifest: Manifest,
    write: Pool,
    /// The read-back's own sessions.
    read: Pool,
    catalogue: Catalogue,
    /// The read-back's own reading of the catalogue.
    seen: Catalogue,
    pace: Pace,
    replicas: replica::Seen,
}

impl PostgresConnector {
    /// For a manifest and its `connection.url`, references to secrets resolved. Connects when first used.
    pub fn new(system: &Manifest, url: &str) -> Result<Self, Failure> {
        let size = usize::try_from(system.limits.concurrency).unwrap_or(1);
        Ok(Self {
            manifest: system.clone(),
            write: Pool::new(Connection::parse(url, "quietus")?, size, true),
            read: Pool::new(Connection::parse(url, "quietus-verify")?, size, false),
            catalogue: Catalogue::default(),
            seen: Catalogue::default(),
            pace: Pace::new(system.limits.batch),
            replicas: replica::Seen::default(),
        })
    }
}

#[async_trait]
impl Connector for PostgresConnector {
    fn describe(&self) -> Capabilities {
        Capabilities {
            kind: "postgres",
            erase: true,
            mask: true,
            correct: true,
            verify: true,
            scan: true,
            catalogue: true,
            gated: true,
            replicates: true,
            ..Capabilities::default()
        }
    }

    async fn check(&self) -> CheckReport {
        check::check(self).await
    }

    async fn erase(&self, targets: &[Target], permit: &Permit, gate: Arc<dyn Gate>) -> Vec<TargetOutcome> {
        erase::erase(self, targets, permit, gate).await
    }

    async fn correct(&self, targets: &[Target], permit: &Permit, gate: Arc<dyn Gate>) -> Vec<TargetOutcome> {
        correct::correct(self, targets, permit, gate).await
    }

    async fn verify(&self, targets: &[Target]) -> Vec<ReadBack> {
        verify::verify(self, targets).await
    }

    /// Nothing is ever `Accepted` here.
    async fn poll(&self, accepted: &[(Target, String)]) -> Vec<TargetOutcome> {
        let reason = "the postgres connector answers at once: there is nothing to poll";
        accepted
            .iter()
            .map(|(target, _)| TargetOutcome {
                command: target.command,
                outcome: Outcome::Refused { reason: reason.to_owned() },
                at: None,
                position: None,
            })
            .collect()
    }

    async fn now(&self) -> Result<Option<i64>, Failure> {
        let mut last = Fault::lost("clock");
        for _ in 0..2 {
            let mut lease = self.read.lease().await?;
            match lease.script(&format!("SELECT {}", transaction::CLOCK)).await {
                Ok(row) => {
                    lease.give_back();
                    return Ok(row.first().and_then(|us| us.parse::<i64>().ok()).map(|us| us / 1000));
                }
                Err(error) => last = Fault::read(&error, "clock"),
            }
        }
        Err(last.failure)
    }

    async fn scan(&self, reading: &Reading) -> Result<Page, Failure> {
        scan::page(self, reading).await
    }

    async fn position(&self) -> Result<String, Failure> {
        replica::position(&self.read).await
    }

    async fn has_reached(&self, position: &str) -> Result<bool, Failure> {
        replica::has_reached(&self.read, position).await
    }

    async fn replica_lag(&self) -> Result<Option<i64>, Failure> {
        replica::lag(&self.read, &self.replicas).await
    }

    async fn catalogue(&self) -> Result<quietus_contract::Catalogue, Failure> {
        catalogue::read(&self.read).await
    }
}
