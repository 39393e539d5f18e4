//! The SQLite connector.
//!
//! The way of a command: [`step`] finds its table and row without touching them, [`erase`] or [`correct`] says what
//! is to hold afterwards, [`batch`] runs many of them in short transactions with the gate's word right before each
//! commit, [`apply`] is the statements in between. [`verify`] shares none of that but the schema.
//!
//! Invariants: `Removed` and `Changed` are counted from the rows the database gave back; nothing is committed
//! without the gate or past the lease; rows of other mapped tables never go along.
//! Rejected: a session kept open between calls, which would hold the file against the application's own
//! maintenance, and `ON DELETE CASCADE`, which would take rows with dates and holds of their own.

#![forbid(unsafe_code)]

mod apply;
mod batch;
mod catalogue;
mod check;
mod config;
mod correct;
mod erase;
mod fault;
mod people;
mod scan;
mod schema;
mod spelling;
mod step;
mod value;
mod verify;

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::AtomicUsize;

use async_trait::async_trait;
use quietus_contract::{
    Capabilities, Catalogue, CheckReport, Connector, Failure, Finding, Gate, Outcome, Page, Permit, Problem,
    ReadBack, Reading, Target, TargetOutcome,
};
use quietus_core::system::Manifest;
use tokio::runtime::Handle;
use tokio::task::spawn_blocking;

use crate::batch::{Batch, Lease, answer};
use crate::config::Config;
use crate::schema::Schema;

/// One SQLite file with the datasets that lie in it.
#[derive(Clone)]
pub struct SqliteConnector {
    inner: Arc<Inner>,
}

struct Inner {
    manifest: Manifest,
    config: Config,
    /// Rows per transaction, as it has proved short enough.
    size: AtomicUsize,
}

/// The first transactions are small; they grow while they stay short.
const FIRST_SIZE: usize = 100;

impl fmt::Debug for SqliteConnector {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SqliteConnector").field("system", &self.inner.manifest.system).finish_non_exhaustive()
    }
}

impl SqliteConnector {
    /// `url` is `sqlite:///abs/path`, references resolved. The file is opened at each call, not here.
    pub fn open(system: &Manifest, url: &str) -> Result<Self, Failure> {
        let inner = Inner {
            config: Config::parse(url)?,
            manifest: system.clone(),
            size: AtomicUsize::new(FIRST_SIZE),
        };
        Ok(Self { inner: Arc::new(inner) })
    }

    async fn destroy(
        &self,
        kind: Kind,
        targets: &[Target],
        permit: &Permit,
        gate: Arc<dyn Gate>,
    ) -> Vec<TargetOutcome> {
        let lease = Lease::starting_now(permit.lease());
        let (inner, owned, runtime) = (Arc::clone(&self.inner), targets.to_vec(), Handle::current());
        let work = spawn_blocking(move || inner.destroy(kind, &owned, lease, gate, runtime));
        work.await.unwrap_or_else(|_| all_failed(targets, &broken_off()))
    }
}

#[derive(Clone, Copy)]
enum Kind {
    Erase,
    Correct,
}

impl Inner {
    fn destroy(
        &self,
        kind: Kind,
        targets: &[Target],
        lease: Lease,
        gate: Arc<dyn Gate>,
        runtime: Handle,
    ) -> Vec<TargetOutcome> {
        let opened = self.config.writer().and_then(|conn| {
            let schema = Schema::read(&conn, &self.manifest)?;
            Ok((conn, schema))
        });
        let (conn, schema) = match opened {
            Ok(opened) => opened,
            Err(failure) => return all_failed(targets, &failure),
        };
        let (mut steps, mut outcomes) = (Vec::new(), Vec::new());
        for target in targets {
            let planned = match kind {
                Kind::Erase => erase::plan(&schema, &self.manifest, target),
                Kind::Correct => correct::plan(&schema, &self.manifest, target),
            };
            match planned {
                Ok(step) => steps.push(step),
                Err(outcome) => outcomes.push(answer(target.command, outcome, None)),
            }
        }
        let limit = usize::try_from(self.manifest.limits.batch).unwrap_or(usize::MAX);
        let batch = Batch { conn: &conn, schema: &schema, lease, gate, runtime, size: &self.size, limit };
        outcomes.extend(batch.run(&steps));
        outcomes
    }
}

fn all_failed(targets: &[Target], failure: &Failure) -> Vec<TargetOutcome> {
    targets.iter().map(|t| answer(t.command, Outcome::Failed(failure.clone()), None)).collect()
}

fn broken_off() -> Failure {
    Failure::unknown("internal", "the call broke off; read back before trying again")
}

#[async_trait]
impl Connector for SqliteConnector {
    fn describe(&self) -> Capabilities {
        Capabilities {
            kind: "sqlite",
            erase: true,
            mask: true,
            correct: true,
            verify: true,
            gated: true,
            scan: true,
            catalogue: true,
            ..Capabilities::default()
        }
    }

    async fn check(&self) -> CheckReport {
        let inner = Arc::clone(&self.inner);
        let report = spawn_blocking(move || check::report(&inner.config, &inner.manifest)).await;
        report.unwrap_or_else(|_| {
            let failure = broken_off();
            CheckReport {
                problems: vec![Problem {
                    fatal: true,
                    code: failure.code,
                    place: self.inner.manifest.system.clone(),
                    detail: failure.detail,
                    fix: "try again".into(),
                }],
            }
        })
    }

    async fn erase(&self, targets: &[Target], permit: &Permit, gate: Arc<dyn Gate>) -> Vec<TargetOutcome> {
        self.destroy(Kind::Erase, targets, permit, gate).await
    }

    async fn correct(&self, targets: &[Target], permit: &Permit, gate: Arc<dyn Gate>) -> Vec<TargetOutcome> {
        self.destroy(Kind::Correct, targets, permit, gate).await
    }

    async fn verify(&self, targets: &[Target]) -> Vec<ReadBack> {
        let (inner, owned) = (Arc::clone(&self.inner), targets.to_vec());
        let work = spawn_blocking(move || verify::read_back(&inner.config, &inner.manifest, &owned));
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

    async fn now(&self) -> Result<Option<i64>, Failure> {
        let inner = Arc::clone(&self.inner);
        let read = spawn_blocking(move || {
            let conn = inner.config.reader()?;
            config::clock(&conn).map(Some).map_err(|e| fault::of(&e))
        });
        read.await.unwrap_or_else(|_| Err(Failure::retry("internal", "the call broke off")))
    }

    async fn scan(&self, reading: &Reading) -> Result<Page, Failure> {
        let (inner, owned) = (Arc::clone(&self.inner), reading.clone());
        let read = spawn_blocking(move || scan::page(&inner.config, &inner.manifest, &owned));
        read.await.unwrap_or_else(|_| Err(Failure::retry("internal", "the call broke off")))
    }

    async fn catalogue(&self) -> Result<Catalogue, Failure> {
        let inner = Arc::clone(&self.inner);
        let read = spawn_blocking(move || catalogue::read(&inner.config));
        read.await.unwrap_or_else(|_| Err(Failure::retry("internal", "the call broke off")))
    }
}
