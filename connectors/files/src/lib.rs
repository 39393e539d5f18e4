//! The connector for folders of JSONL and CSV files, plain and gzip.
//!
//! The way of a command: [`walk`] finds the files of a set from the folder down, [`rewrite`] reads each once for all
//! the people of a call and writes what stays beside it ([`record`] and [`csv`] split it into the bytes it is made
//! of, [`wanted`] knows whom a field names), [`erase`] asks the gate and looks at the lease, [`swap`] puts the
//! rewrite in the file's place and [`carry`] brings along what others added meanwhile. [`verify`] reads everything
//! by other means.
//!
//! Invariants: a line that names nobody asked for is the same bytes afterwards; no line that others write is lost,
//! whenever they write it and wherever a crash falls; a file that cannot be understood is left alone and its targets
//! fail with its line. Rejected: rewriting in place (a crash would leave half a file), a plain rename (it throws
//! away what was written since the last look), locks that the company's own programs would have to know.

#![forbid(unsafe_code)]

mod carry;
mod check;
mod clean;
mod clock;
mod config;
mod csv;
mod erase;
mod fault;
mod holders;
mod json;
mod leftover;
mod lock;
mod pattern;
mod record;
mod recover;
mod rewrite;
mod source;
mod swap;
mod verify;
mod walk;
mod wanted;

use std::fmt;
use std::sync::Arc;
use std::time::Instant;

use async_trait::async_trait;
use quietus_contract::{
    Capabilities, CheckReport, Connector, Failure, Gate, Outcome, Permit, Problem, ReadBack, Target,
    TargetOutcome,
};
use quietus_core::system::Manifest;
use tokio::runtime::Handle;
use tokio::task::spawn_blocking;

use crate::clean::Clean;
use crate::config::Config;
use crate::erase::{Call, answer};

/// One folder with the sets of files that lie in it.
#[derive(Clone)]
pub struct FilesConnector {
    inner: Arc<Inner>,
}

struct Inner {
    manifest: Manifest,
    config: Config,
    clean: Clean,
}

impl fmt::Debug for FilesConnector {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("FilesConnector").field("system", &self.inner.manifest.system).finish_non_exhaustive()
    }
}

impl FilesConnector {
    /// `url` is `file:///abs/path`, references resolved. The folder is opened at each call, not here.
    pub fn open(system: &Manifest, url: &str) -> Result<Self, Failure> {
        let config = Config::parse(url, system)?;
        let inner = Inner { config, manifest: system.clone(), clean: Clean::default() };
        Ok(Self { inner: Arc::new(inner) })
    }
}

fn broken_off() -> Failure {
    Failure::unknown("internal", "the call broke off; read back before trying again")
}

#[async_trait]
impl Connector for FilesConnector {
    fn describe(&self) -> Capabilities {
        Capabilities {
            kind: "files",
            erase: true,
            verify: true,
            gated: true,
            by_identity: true,
            ..Capabilities::default()
        }
    }

    async fn check(&self) -> CheckReport {
        let inner = Arc::clone(&self.inner);
        let report = spawn_blocking(move || check::report(&inner.config, &inner.manifest)).await;
        report.unwrap_or_else(|_| CheckReport {
            problems: vec![Problem {
                fatal: true,
                code: "internal",
                place: self.inner.manifest.system.clone(),
                detail: broken_off().detail,
                fix: "try again".into(),
            }],
        })
    }

    async fn erase(&self, targets: &[Target], permit: &Permit, gate: Arc<dyn Gate>) -> Vec<TargetOutcome> {
        let (inner, owned, permit) = (Arc::clone(&self.inner), targets.to_vec(), permit.clone());
        let (runtime, started) = (Handle::current(), Instant::now());
        let work = spawn_blocking(move || {
            let (config, clean) = (&inner.config, &inner.clean);
            let call = Call { config, clean, started, permit: &permit, gate, runtime };
            erase::erase(&call, &owned)
        });
        work.await.unwrap_or_else(|_| {
            targets.iter().map(|t| answer(t.command, Outcome::Failed(broken_off()), None)).collect()
        })
    }

    async fn correct(
        &self,
        targets: &[Target],
        _permit: &Permit,
        _gate: Arc<dyn Gate>,
    ) -> Vec<TargetOutcome> {
        let refused = || Outcome::Refused { reason: "this connector can only erase whole lines".into() };
        targets.iter().map(|t| answer(t.command, refused(), None)).collect()
    }

    async fn verify(&self, targets: &[Target]) -> Vec<ReadBack> {
        let (inner, owned) = (Arc::clone(&self.inner), targets.to_vec());
        let work = spawn_blocking(move || verify::read_back(&inner.config, &owned));
        work.await.unwrap_or_else(|_| targets.iter().map(|t| verify::unreadable(t, broken_off())).collect())
    }

    /// Nothing is ever `Accepted` here.
    async fn poll(&self, _accepted: &[(Target, String)]) -> Vec<TargetOutcome> {
        Vec::new()
    }

    async fn now(&self) -> Result<Option<i64>, Failure> {
        let inner = Arc::clone(&self.inner);
        let read = spawn_blocking(move || clock::now(&inner.config.root).map(Some));
        read.await.unwrap_or_else(|_| Err(Failure::retry("internal", "the call broke off")))
    }
}
