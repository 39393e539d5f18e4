//! A connector whose system has replicas: nothing is sent there while they are too far behind, and what is read back is read
//! back on the one that `verify_with` names too.
//!
//! Invariant: a replica has its say only once it has replayed what the primary had committed when the read-back began;
//! until then nothing is found, neither gone nor there: the look is repeated. Rejected: to leave a slow replica out of the
//! read-back, which would verify what readers still see.

use std::sync::{Arc, Weak};
use std::time::Duration;

use async_trait::async_trait;
use quietus_contract::{
    Capabilities, CheckReport, Connector, Failure, Finding, Gate, Page, Permit, Problem, ReadBack, Reading,
    Target, TargetOutcome,
};
use quietus_core::system::Manifest;

use super::Node;
use super::unusable::failed;

/// So long a read-back waits for the replica; a retry waits again.
const PATIENCE: Duration = Duration::from_secs(5);
const LOOK: Duration = Duration::from_millis(50);

#[derive(Debug)]
pub(super) struct Replicated {
    inner: Arc<dyn Connector>,
    manifest: Manifest,
    node: Weak<Node>,
}

impl Replicated {
    /// The connector as it is, where the manifest says nothing of replicas.
    pub fn wrap(inner: Arc<dyn Connector>, manifest: &Manifest, node: &Arc<Node>) -> Arc<dyn Connector> {
        if manifest.verify_with.is_none() && manifest.limits.replica_lag_max.is_none() {
            return inner;
        }
        Arc::new(Self { inner, manifest: manifest.clone(), node: Arc::downgrade(node) })
    }

    /// Why nothing may be sent now.
    async fn braked(&self) -> Option<Failure> {
        let longest = self.manifest.limits.replica_lag_max?;
        match self.inner.replica_lag().await {
            Ok(lag) if lag.is_none_or(|lag| lag <= longest) => None,
            Ok(lag) => {
                let detail = format!(
                    "a replica is {} ms behind, and replica_lag_max is {longest} ms",
                    lag.unwrap_or_default()
                );
                Some(Failure::retry("replica", detail))
            }
            Err(failure) => Some(Failure { might_have_happened: false, ..failure }),
        }
    }

    fn replica(&self) -> Option<Result<Arc<dyn Connector>, Failure>> {
        let name = self.manifest.verify_with.as_ref()?;
        let missing = || {
            let detail = format!(
                "`verify_with` names `{name}`, which is not registered: register it, or leave the key out"
            );
            Failure::fatal("replica", detail)
        };
        let known = self.node.upgrade().and_then(|node| node.registry().connector(name));
        Some(known.unwrap_or_else(|| Err(missing())))
    }

    /// What the replica shows of these, once it has replayed all that was committed by now.
    async fn on_replica(&self, targets: &[Target]) -> Option<Result<Vec<ReadBack>, Failure>> {
        let replica = match self.replica()? {
            Ok(replica) => replica,
            Err(failure) => return Some(Err(failure)),
        };
        let reached = match self.inner.position().await {
            Ok(position) => reaches(&*replica, &position).await,
            Err(failure) => Err(failure),
        };
        Some(match reached {
            Ok(()) => Ok(replica.verify(targets).await),
            Err(failure) => Err(failure),
        })
    }

    fn named(&self) -> &str {
        self.manifest.verify_with.as_deref().unwrap_or_default()
    }

    /// Both have to have seen it gone.
    fn both(&self, own: ReadBack, replica: Result<&ReadBack, &Failure>) -> ReadBack {
        let name = self.named();
        let unread = |failure: &Failure, own: ReadBack| {
            let finding = match own.finding {
                Finding::Gone => Finding::Unreadable(failure.clone()),
                seen => seen,
            };
            let not_checked = own.not_checked.into_iter().chain([format!("replica {name}")]).collect();
            ReadBack { finding, not_checked, ..own }
        };
        let seen = match replica {
            Err(failure) => return unread(failure, own),
            Ok(seen) => seen,
        };
        let finding = match (own.finding.clone(), &seen.finding) {
            (_, Finding::Unreadable(failure)) => return unread(failure, own),
            (Finding::Gone, Finding::Found { count, by }) => {
                Finding::Found { count: *count, by: format!("{by}, on the replica {name}") }
            }
            (finding, Finding::Gone | Finding::Found { .. }) => finding,
        };
        let of_replica =
            |words: &[String]| words.iter().map(|w| format!("{w}, replica {name}")).collect::<Vec<_>>();
        let scope = own.scope.iter().cloned().chain(of_replica(&seen.scope)).collect();
        let not_checked = own.not_checked.iter().cloned().chain(of_replica(&seen.not_checked)).collect();
        ReadBack { finding, scope, not_checked, ..own }
    }
}

async fn reaches(replica: &dyn Connector, position: &str) -> Result<(), Failure> {
    let patience = tokio::time::sleep(PATIENCE);
    tokio::pin!(patience);
    loop {
        if replica.has_reached(position).await? {
            return Ok(());
        }
        tokio::select! {
            () = &mut patience => {
                return Err(Failure::retry("replica", "the replica has not replayed what was committed"));
            }
            () = tokio::time::sleep(LOOK) => {}
        }
    }
}

#[async_trait]
impl Connector for Replicated {
    fn describe(&self) -> Capabilities {
        self.inner.describe()
    }

    async fn check(&self) -> CheckReport {
        let mut report = self.inner.check().await;
        let problem = |failure: Failure, key: &str, fix: &str| Problem {
            fatal: true,
            code: "replica",
            place: format!("{}: {key}", self.manifest.system),
            detail: failure.detail,
            fix: fix.to_owned(),
        };
        if self.manifest.limits.replica_lag_max.is_some()
            && let Err(failure) = self.inner.replica_lag().await
        {
            let fix = "grant the role pg_monitor, or leave replica_lag_max out";
            report.problems.push(problem(failure, "limits.replica_lag_max", fix));
        }
        if let Some(looked) = self.on_replica(&[]).await
            && let Err(failure) = looked
        {
            let fix = "mend the replica, name another system, or leave verify_with out";
            report.problems.push(problem(failure, "verify_with", fix));
        }
        report
    }

    async fn erase(&self, targets: &[Target], permit: &Permit, gate: Arc<dyn Gate>) -> Vec<TargetOutcome> {
        match self.braked().await {
            Some(failure) => failed(targets, &failure),
            None => self.inner.erase(targets, permit, gate).await,
        }
    }

    async fn correct(&self, targets: &[Target], permit: &Permit, gate: Arc<dyn Gate>) -> Vec<TargetOutcome> {
        match self.braked().await {
            Some(failure) => failed(targets, &failure),
            None => self.inner.correct(targets, permit, gate).await,
        }
    }

    async fn verify(&self, targets: &[Target]) -> Vec<ReadBack> {
        let own = self.inner.verify(targets).await;
        let Some(replica) = self.on_replica(targets).await else { return own };
        let left_out = Failure::retry("replica", "the replica left this target out");
        let of = |command| match &replica {
            Ok(seen) => seen.iter().find(|s| s.command == command).ok_or(&left_out),
            Err(failure) => Err(failure),
        };
        own.into_iter()
            .map(|own| {
                let seen = of(own.command);
                self.both(own, seen)
            })
            .collect()
    }

    async fn poll(&self, accepted: &[(Target, String)]) -> Vec<TargetOutcome> {
        self.inner.poll(accepted).await
    }

    async fn now(&self) -> Result<Option<i64>, Failure> {
        self.inner.now().await
    }

    async fn scan(&self, reading: &Reading) -> Result<Page, Failure> {
        self.inner.scan(reading).await
    }

    async fn position(&self) -> Result<String, Failure> {
        self.inner.position().await
    }

    async fn has_reached(&self, position: &str) -> Result<bool, Failure> {
        self.inner.has_reached(position).await
    }

    async fn replica_lag(&self) -> Result<Option<i64>, Failure> {
        self.inner.replica_lag().await
    }

    async fn catalogue(&self) -> Result<quietus_contract::Catalogue, Failure> {
        self.inner.catalogue().await
    }
}
