//! The memory connector: records in ordered maps, with the behaviour of a database and faults on demand.
//!
//! For simulation and tests: with a clock of its own ([`MemoryConnector::set_now`]) every answer is a function of
//! the calls, the faults and that clock. Clones share the records, so that a test reads what the connector wrote.
//!
//! Invariant: a lock is never held across an await; what the gate let through is tried anew on the rows as they
//! then are. Rejected: a copy of all rows per transaction, which a simulation of many would feel.

#![forbid(unsafe_code)]

mod erase;
mod faults;
mod rows;
mod scan;
mod verify;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use async_trait::async_trait;
use quietus_contract::{
    Capabilities, CheckReport, CommandId, Connector, Failure, Finding, Gate, Locator, Outcome, Page, Permit,
    Problem, ReadBack, Reading, Target, TargetOutcome, Verdict, key_columns,
};
use quietus_core::system::Manifest;

use erase::{Kind, execute, plan};
pub use faults::Faults;
use rows::Rows;
pub use rows::{Fields, Key};

/// A system that lives in this process.
#[derive(Clone)]
pub struct MemoryConnector {
    manifest: Arc<Manifest>,
    state: Arc<Mutex<State>>,
}

#[derive(Default)]
struct State {
    rows: Rows,
    faults: Faults,
    now: Option<i64>,
    /// Its log position: one more with every commit.
    commits: u64,
}

impl fmt::Debug for MemoryConnector {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MemoryConnector").field("system", &self.manifest.system).finish_non_exhaustive()
    }
}

impl MemoryConnector {
    pub fn new(manifest: Manifest) -> Self {
        Self { manifest: Arc::new(manifest), state: Arc::default() }
    }

    /// Puts a record there, as the application would: a new one, or in place of the one with this key.
    pub fn put(&self, dataset: &str, locator: &Locator, fields: Fields) {
        self.lock().rows.replace(dataset, &rows::key(locator), Some(fields));
    }

    /// Takes a record away, as the application would.
    pub fn remove(&self, dataset: &str, locator: &Locator) {
        self.lock().rows.replace(dataset, &rows::key(locator), None);
    }

    /// Every record by (dataset, key): what lies there, whatever was answered.
    pub fn rows(&self) -> BTreeMap<(String, Key), Fields> {
        self.lock().rows.all()
    }

    pub fn set_faults(&self, faults: Faults) {
        self.lock().faults = faults;
    }

    pub fn faults(&self) -> Faults {
        self.lock().faults.clone()
    }

    /// Its own clock, milliseconds since the epoch. None (the start): it has none, and leases are measured.
    pub fn set_now(&self, now: Option<i64>) {
        self.lock().now = now;
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn destroy(
        &self,
        kind: Kind,
        targets: &[Target],
        permit: &Permit,
        gate: Arc<dyn Gate>,
    ) -> Vec<TargetOutcome> {
        let lease = Lease { length: permit.lease(), from: Instant::now(), own: self.lock().now };
        if let Some(failure) = self.fails_before() {
            return self.answers(targets.iter().map(|t| (t.command, Outcome::Failed(failure.clone()))));
        }
        let (done, rest) =
            targets.split_at(self.faults().at_most.unwrap_or(targets.len()).min(targets.len()));
        let (steps, mut outcomes) = plan(&self.manifest, kind, done);
        let cut =
            |t: &Target| (t.command, Outcome::Failed(Failure::retry("unreachable", "the connection broke")));
        outcomes.extend(rest.iter().map(cut));
        let wanted = self.attempt(&steps);
        self.take_time().await;
        let verdicts = if wanted.is_empty() { Vec::new() } else { gate.may_commit(&wanted).await };
        let mut verdicts = verdicts.into_iter();
        let (go, stopped): (BTreeSet<_>, BTreeSet<_>) =
            wanted.into_iter().partition(|_| verdicts.next() == Some(Verdict::Go));
        let blocked = |c: &CommandId| (*c, Outcome::Blocked { cause: "hold".into(), until: None });
        outcomes.extend(stopped.iter().map(blocked));
        let steps: Vec<_> = steps.into_iter().filter(|s| !stopped.contains(&s.command)).collect();
        outcomes.extend(self.commit(&steps, &go, &lease));
        self.answers(outcomes)
    }

    fn fails_before(&self) -> Option<Failure> {
        let mut state = self.lock();
        let fails = state.faults.unavailable || Faults::take(&mut state.faults.fail_before);
        fails.then(unreachable)
    }

    /// What would change, tried and taken back.
    fn attempt(&self, steps: &[erase::Step]) -> Vec<CommandId> {
        let mut state = self.lock();
        let (outcomes, changes) = execute(&mut state.rows, &self.manifest, steps, None);
        state.rows.undo(changes);
        let effect = |o: &Outcome| matches!(o, Outcome::Removed(_) | Outcome::Changed(_));
        outcomes.into_iter().filter(|(_, o)| effect(o)).map(|(c, _)| c).collect()
    }

    fn commit(
        &self,
        steps: &[erase::Step],
        go: &BTreeSet<CommandId>,
        lease: &Lease,
    ) -> BTreeMap<CommandId, Outcome> {
        let mut guard = self.lock();
        let state = &mut *guard;
        let (outcomes, changes) = execute(&mut state.rows, &self.manifest, steps, Some(go));
        let all =
            |failure: Failure| steps.iter().map(|s| (s.command, Outcome::Failed(failure.clone()))).collect();
        if lease.is_over(state.now) && !changes.is_empty() {
            state.rows.undo(changes);
            return all(Failure::retry(
                "expired",
                "the permit ran out before the commit; nothing was changed",
            ));
        }
        if state.faults.lies {
            state.rows.undo(changes);
            return outcomes;
        }
        state.commits = state.commits.saturating_add(u64::from(!changes.is_empty()));
        if Faults::take(&mut state.faults.lose_answers) {
            return all(Failure::unknown("timeout", "no answer came"));
        }
        outcomes
    }

    async fn take_time(&self) {
        let Some(slow) = self.faults().slow else { return };
        let has_clock = self.lock().now.is_some();
        if !has_clock {
            return tokio::time::sleep(slow).await;
        }
        let mut state = self.lock();
        let ms = i64::try_from(slow.as_millis()).unwrap_or(i64::MAX);
        state.now = state.now.map(|now| now.saturating_add(ms));
    }

    fn answers(&self, outcomes: impl IntoIterator<Item = (CommandId, Outcome)>) -> Vec<TargetOutcome> {
        let (at, position): (Option<i64>, Arc<str>) = {
            let state = self.lock();
            (state.now, Arc::from(state.commits.to_string()))
        };
        let answer = |(command, outcome)| TargetOutcome {
            command,
            outcome,
            at,
            position: Some(Arc::clone(&position)),
        };
        outcomes.into_iter().map(answer).collect()
    }
}

/// By its own clock where it has one, else by the process's.
struct Lease {
    length: Duration,
    from: Instant,
    own: Option<i64>,
}

impl Lease {
    fn is_over(&self, now: Option<i64>) -> bool {
        let passed = match (self.own, now) {
            (Some(from), Some(now)) => {
                Duration::from_millis(u64::try_from(now.saturating_sub(from)).unwrap_or(0))
            }
            _ => self.from.elapsed(),
        };
        passed >= self.length && !is_sabotaged()
    }
}

/// The simulation runs once with this check taken out, and must notice.
fn is_sabotaged() -> bool {
    cfg!(debug_assertions) && std::env::var("QUIETUS_SABOTAGE").is_ok_and(|check| check == "not_after")
}

fn unreachable() -> Failure {
    Failure::retry("unreachable", "the system cannot be reached")
}

#[async_trait]
impl Connector for MemoryConnector {
    fn describe(&self) -> Capabilities {
        Capabilities {
            kind: "memory",
            erase: true,
            mask: true,
            correct: true,
            verify: true,
            gated: true,
            scan: true,
            ..Capabilities::default()
        }
    }

    async fn check(&self) -> CheckReport {
        let problem = |fatal, code, place: String, detail: &str, fix: &str| Problem {
            fatal,
            code,
            place,
            detail: detail.into(),
            fix: fix.into(),
        };
        let system = || self.manifest.system.clone();
        let mut problems = vec![problem(
            false,
            "cannot_execute",
            system(),
            "anonymise, pseudonymise and restrict cannot be executed here",
            "rules that reach this system: use erase or mask",
        )];
        if self.faults().unavailable {
            problems.push(problem(
                true,
                "unreachable",
                system(),
                "the system cannot be reached",
                "take the fault away",
            ));
        }
        for dataset in &self.manifest.datasets {
            for collection in dataset.collections.iter().filter(|c| key_columns(c).is_empty()) {
                let place = format!("{}.{}", dataset.fides_key, collection.name);
                let fix = "name its columns as `quietus: {key: […]}`";
                problems.push(problem(true, "missing_key", place, "the collection has no key", fix));
            }
        }
        CheckReport { problems }
    }

    async fn erase(&self, targets: &[Target], permit: &Permit, gate: Arc<dyn Gate>) -> Vec<TargetOutcome> {
        self.destroy(Kind::Erase, targets, permit, gate).await
    }

    async fn correct(&self, targets: &[Target], permit: &Permit, gate: Arc<dyn Gate>) -> Vec<TargetOutcome> {
        self.destroy(Kind::Correct, targets, permit, gate).await
    }

    async fn verify(&self, targets: &[Target]) -> Vec<ReadBack> {
        let state = self.lock();
        if state.faults.unavailable || state.faults.unreadable {
            let nothing = |t: &Target| ReadBack {
                command: t.command,
                finding: Finding::Unreadable(unreachable()),
                identity_rows: None,
                scope: Arc::default(),
                not_checked: Vec::new(),
                at: None,
            };
            return targets.iter().map(nothing).collect();
        }
        verify::read_back(&state.rows, &self.manifest, targets, state.now)
    }

    /// Nothing is ever `Accepted` here.
    async fn poll(&self, _accepted: &[(Target, String)]) -> Vec<TargetOutcome> {
        Vec::new()
    }

    async fn now(&self) -> Result<Option<i64>, Failure> {
        let state = self.lock();
        if state.faults.unavailable { Err(unreachable()) } else { Ok(state.now) }
    }

    async fn scan(&self, reading: &Reading) -> Result<Page, Failure> {
        let state = self.lock();
        if state.faults.unavailable || state.faults.unreadable {
            return Err(unreachable());
        }
        scan::page(&state.rows, &self.manifest, reading, state.now)
    }
}
