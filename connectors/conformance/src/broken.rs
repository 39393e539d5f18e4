//! Connectors that break one law each, made by wrapping a sound one.
//!
//! Everything but the one thing is left to the sound connector, so that a law that fails for another's breakage
//! shows itself. What a breakage must know or do beyond the contract it takes from the harness.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, PoisonError};

use async_trait::async_trait;
use quietus_contract::{
    Capabilities, Catalogue, CheckReport, CommandId, Connector, Failure, Finding, Gate, Outcome, Page,
    Permit, ReadBack, Reading, Scalar, Target, TargetOutcome, Verdict, Work,
};
use quietus_core::verdict::Action;

use crate::breakage::Breakage;
use crate::fixture::{LETTERS, PEOPLE, Row, key};
use crate::gate::Watch;
use crate::harness::Harness;

/// A harness whose connectors are broken; its eyes are sound.
pub struct BrokenHarness {
    sound: Arc<dyn Harness>,
    breakage: Breakage,
}

impl std::fmt::Debug for BrokenHarness {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("BrokenHarness").field("breakage", &self.breakage).finish_non_exhaustive()
    }
}

impl BrokenHarness {
    pub fn new(sound: Arc<dyn Harness>, breakage: Breakage) -> Self {
        Self { sound, breakage }
    }

    fn wrap(&self, inner: Arc<dyn Connector>) -> Arc<dyn Connector> {
        let (harness, breakage) = (Arc::clone(&self.sound), self.breakage);
        Arc::new(Broken { inner, harness, breakage, done: Mutex::default() })
    }
}

#[async_trait]
impl Harness for BrokenHarness {
    async fn prepare(&self, rows: &[Row]) -> Result<Arc<dyn Connector>, String> {
        self.sound.prepare(rows).await.map(|c| self.wrap(c))
    }

    async fn put(&self, row: &Row) -> Result<(), String> {
        self.sound.put(row).await
    }

    async fn rows(&self) -> Result<Vec<Row>, String> {
        self.sound.rows().await
    }

    async fn unreachable(&self) -> Option<Arc<dyn Connector>> {
        self.sound.unreachable().await.map(|c| self.wrap(c))
    }

    fn aim(&self, target: Target) -> Target {
        self.sound.aim(target)
    }

    fn enforces_references(&self) -> bool {
        self.sound.enforces_references()
    }
}

struct Broken {
    inner: Arc<dyn Connector>,
    harness: Arc<dyn Harness>,
    breakage: Breakage,
    /// Commands that were answered with a success.
    done: Mutex<BTreeSet<CommandId>>,
}

impl std::fmt::Debug for Broken {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Broken")
            .field("inner", &self.inner)
            .field("breakage", &self.breakage)
            .finish_non_exhaustive()
    }
}

impl Broken {
    async fn pass(&self, targets: &[Target], permit: &Permit, gate: Arc<dyn Gate>) -> Vec<TargetOutcome> {
        let corrects = targets.iter().any(|t| matches!(t.work, Work::Correct(_)));
        match (targets.is_empty(), corrects) {
            (true, _) => Vec::new(),
            (_, true) => self.inner.correct(targets, permit, gate).await,
            (_, false) => self.inner.erase(targets, permit, gate).await,
        }
    }

    async fn destroy(&self, targets: &[Target], permit: &Permit, gate: Arc<dyn Gate>) -> Vec<TargetOutcome> {
        let is_delete = |t: &Target| t.work == Work::Delete;
        let is_correction = |t: &Target| matches!(t.work, Work::Correct(_));
        match self.breakage {
            Breakage::IgnoresTheGate => self.pass(targets, permit, Arc::new(Deaf(gate))).await,
            Breakage::IgnoresTheLease => self.pass(targets, &crate::gate::permit(), gate).await,
            Breakage::ClaimsRemoved => {
                self.claim(targets, permit, gate, is_delete, Outcome::Removed(1)).await
            }
            Breakage::ClaimsCorrected => {
                self.claim(targets, permit, gate, is_correction, Outcome::Changed(1)).await
            }
            Breakage::ParentsFirst => {
                let mut outcomes = Vec::new();
                for target in targets {
                    outcomes.extend(self.pass(std::slice::from_ref(target), permit, Arc::clone(&gate)).await);
                }
                outcomes
            }
            Breakage::FailsTheBatch => self.all_or_none(targets, permit, gate).await,
            Breakage::MasksHalf | Breakage::MasksTooMuch => {
                let edited: Vec<Target> = targets.iter().map(|t| self.edited(t)).collect();
                self.pass(&edited, permit, gate).await
            }
            Breakage::ComparesLoosely => self.loosely(targets, permit, gate).await,
            Breakage::DoesItTwice => self.again(targets, permit, gate).await,
            Breakage::CorrectInserts => self.insert(targets, permit, gate).await,
            _ => self.pass(targets, permit, gate).await,
        }
    }

    /// Says the success of what would have gone, and does nothing.
    async fn claim(
        &self,
        targets: &[Target],
        permit: &Permit,
        gate: Arc<dyn Gate>,
        wanted: impl Fn(&Target) -> bool,
        success: Outcome,
    ) -> Vec<TargetOutcome> {
        let (lied, honest): (Vec<Target>, Vec<Target>) = targets.iter().cloned().partition(|t| wanted(t));
        let mut outcomes = self.pass(&honest, permit, Arc::clone(&gate)).await;
        // Who hands over asks the gate before anybody is reached: only a target that is there is lied about.
        if !lied.is_empty() && self.inner.check().await.problems.iter().any(|p| p.fatal) {
            outcomes.extend(self.pass(&lied, permit, gate).await);
            return outcomes;
        }
        for mut answer in self.pass(&lied, permit, Watch::shut()).await {
            let would = matches!(answer.outcome, Outcome::Blocked { .. });
            if would && gate.may_commit(&[answer.command]).await == [Verdict::Go] {
                answer.outcome = success.clone();
            }
            outcomes.push(answer);
        }
        outcomes
    }

    async fn all_or_none(
        &self,
        targets: &[Target],
        permit: &Permit,
        gate: Arc<dyn Gate>,
    ) -> Vec<TargetOutcome> {
        let mut tried = self.pass(targets, permit, Watch::shut()).await;
        let bad = |o: &TargetOutcome| matches!(o.outcome, Outcome::Failed(_) | Outcome::Refused { .. });
        if !tried.iter().any(bad) {
            return self.pass(targets, permit, gate).await;
        }
        for answer in tried.iter_mut().filter(|o| !bad(o)) {
            answer.outcome = Outcome::Failed(Failure::retry("conflict", "the batch failed"));
        }
        tried
    }

    fn edited(&self, target: &Target) -> Target {
        let mut target = target.clone();
        if let Work::Change { categories, .. } = &mut target.work {
            match self.breakage {
                Breakage::MasksHalf => categories.truncate(1),
                _ if target.dataset == PEOPLE => categories.push("user.contact.phone_number".into()),
                _ => {}
            }
        }
        target
    }

    /// Takes the look-alikes of a deleted record along.
    async fn loosely(&self, targets: &[Target], permit: &Permit, gate: Arc<dyn Gate>) -> Vec<TargetOutcome> {
        let outcomes = self.pass(targets, permit, gate).await;
        let erases = |t: &&Target| !matches!(t.work, Work::Correct(_));
        for target in targets.iter().filter(erases).filter(|t| removed(&outcomes, t.command)) {
            for row in self.harness.rows().await.unwrap_or_default() {
                if *row.dataset == *target.dataset && loose(&row) == loose_target(target) {
                    self.delete(&row).await;
                }
            }
        }
        outcomes
    }

    /// A command that comes again takes another record.
    async fn again(&self, targets: &[Target], permit: &Permit, gate: Arc<dyn Gate>) -> Vec<TargetOutcome> {
        for target in targets.iter().filter(|t| self.has_done(t.command)) {
            let rows = self.harness.rows().await.unwrap_or_default();
            if let Some(row) = rows.iter().find(|r| *r.dataset == *target.dataset) {
                self.delete(row).await;
            }
        }
        self.pass(targets, permit, gate).await
    }

    async fn insert(&self, targets: &[Target], permit: &Permit, gate: Arc<dyn Gate>) -> Vec<TargetOutcome> {
        let mut outcomes = self.pass(targets, permit, gate).await;
        for target in targets.iter().filter(|t| matches!(t.work, Work::Correct(_))) {
            let Some(answer) = outcomes.iter_mut().find(|o| o.command == target.command) else { continue };
            // Who hands over hears later that nobody was there.
            let absent = match answer.outcome {
                Outcome::Absent => true,
                Outcome::Accepted { .. } => !self.is_there(target).await,
                _ => false,
            };
            if absent && target.dataset == PEOPLE {
                let Some(Scalar::Integer(id)) = target.locator.get("id") else { continue };
                if self.harness.put(&crate::fixture::person(*id)).await.is_ok() {
                    answer.outcome = Outcome::Changed(1);
                }
            }
        }
        outcomes
    }

    async fn is_there(&self, target: &Target) -> bool {
        let rows = self.harness.rows().await.unwrap_or_default();
        rows.iter().any(|row| *row.dataset == *target.dataset && row.locator() == target.locator)
    }

    async fn delete(&self, row: &Row) {
        let target = self.harness.aim(row.target(255, Work::Delete));
        crate::trial::send(&*self.inner, &[target], Watch::open()).await;
    }

    fn has_done(&self, command: CommandId) -> bool {
        self.done.lock().unwrap_or_else(PoisonError::into_inner).contains(&command)
    }

    /// What is said of a target, spoilt.
    fn say(&self, target: &Target, outcome: Outcome) -> Outcome {
        match (self.breakage, outcome) {
            (Breakage::AbsentAsRemoved, Outcome::Absent) if !matches!(target.work, Work::Correct(_)) => {
                Outcome::Removed(1)
            }
            (Breakage::UnchangedAsChanged, Outcome::Unchanged { .. }) => Outcome::Changed(1),
            (Breakage::PretendsToRestrict, Outcome::Refused { .. }) if restricts(target) => {
                Outcome::Changed(1)
            }
            (Breakage::SaysNoRetry, Outcome::Failed(failure)) => {
                Outcome::Failed(Failure { may_retry: false, ..failure })
            }
            (Breakage::LeaksSecrets, Outcome::Failed(failure)) => {
                let detail = format!("{}: {}", failure.detail, loose_target(target).join(", "));
                Outcome::Failed(Failure { detail, ..failure })
            }
            (Breakage::LeaksSecrets, Outcome::Refused { reason }) => {
                Outcome::Refused { reason: format!("{reason}: {}", loose_target(target).join(", ")) }
            }
            (_, outcome) => outcome,
        }
    }

    fn answer(&self, targets: &[Target], outcomes: Vec<TargetOutcome>) -> Vec<TargetOutcome> {
        let mut outcomes = self.spoil(targets, outcomes);
        if self.breakage == Breakage::OmitsTheLast && targets.len() > 2 {
            outcomes.pop();
        }
        outcomes
    }

    /// Answers, at once or when polled, as this connector says them; what it called a success it remembers.
    fn spoil(&self, targets: &[Target], mut outcomes: Vec<TargetOutcome>) -> Vec<TargetOutcome> {
        for answer in &mut outcomes {
            if let Some(target) = targets.iter().find(|t| t.command == answer.command) {
                answer.outcome = self.say(target, answer.outcome.clone());
            }
        }
        let success = |o: &&TargetOutcome| {
            matches!(o.outcome, Outcome::Removed(_) | Outcome::Changed(_) | Outcome::Residual { .. })
        };
        let mut done = self.done.lock().unwrap_or_else(PoisonError::into_inner);
        done.extend(outcomes.iter().filter(success).map(|o| o.command));
        outcomes
    }
}

#[async_trait]
impl Connector for Broken {
    fn describe(&self) -> Capabilities {
        self.inner.describe()
    }

    async fn check(&self) -> CheckReport {
        let mut report = self.inner.check().await;
        match self.breakage {
            Breakage::CheckKeepsQuiet => report.problems.clear(),
            Breakage::CheckTidiesUp => {
                let rows = self.harness.rows().await.unwrap_or_default();
                if let Some(row) = rows.iter().find(|r| r.dataset == LETTERS) {
                    self.delete(row).await;
                }
            }
            _ => {}
        }
        report
    }

    async fn erase(&self, targets: &[Target], permit: &Permit, gate: Arc<dyn Gate>) -> Vec<TargetOutcome> {
        let outcomes = self.destroy(targets, permit, gate).await;
        self.answer(targets, outcomes)
    }

    async fn correct(&self, targets: &[Target], permit: &Permit, gate: Arc<dyn Gate>) -> Vec<TargetOutcome> {
        let outcomes = self.destroy(targets, permit, gate).await;
        self.answer(targets, outcomes)
    }

    async fn verify(&self, targets: &[Target]) -> Vec<ReadBack> {
        let mut asked = targets.to_vec();
        if self.breakage == Breakage::VerifyByKeyOnly {
            asked.iter_mut().for_each(|t| t.identities.clear());
        }
        let mut backs = self.inner.verify(&asked).await;
        if self.breakage == Breakage::VerifyRepeats {
            for back in backs.iter_mut().filter(|b| self.has_done(b.command)) {
                back.finding = Finding::Gone;
            }
        }
        backs
    }

    async fn poll(&self, accepted: &[(Target, String)]) -> Vec<TargetOutcome> {
        let targets: Vec<Target> = accepted.iter().map(|(target, _)| target.clone()).collect();
        self.spoil(&targets, self.inner.poll(accepted).await)
    }

    async fn now(&self) -> Result<Option<i64>, Failure> {
        self.inner.now().await
    }

    async fn scan(&self, reading: &Reading) -> Result<Page, Failure> {
        let mut page = self.inner.scan(reading).await?;
        if self.breakage == Breakage::ScanSkips && page.next.is_some() {
            page.rows.pop();
        }
        Ok(page)
    }

    async fn catalogue(&self) -> Result<Catalogue, Failure> {
        self.inner.catalogue().await
    }
}

/// Asks, and goes on whatever it hears.
struct Deaf(Arc<dyn Gate>);

#[async_trait]
impl Gate for Deaf {
    async fn may_commit(&self, commands: &[CommandId]) -> Vec<Verdict> {
        self.0.may_commit(commands).await;
        vec![Verdict::Go; commands.len()]
    }
}

/// Removed, or taken on to be.
fn removed(outcomes: &[TargetOutcome], command: CommandId) -> bool {
    let goes = |o: &Outcome| matches!(o, Outcome::Removed(_) | Outcome::Accepted { .. });
    outcomes.iter().any(|o| o.command == command && goes(&o.outcome))
}

fn restricts(target: &Target) -> bool {
    let cannot = [Action::Restrict, Action::Anonymise, Action::Pseudonymise];
    matches!(&target.work, Work::Change { action, .. } if cannot.contains(action))
}

fn loose(row: &Row) -> Vec<String> {
    key(&row.dataset).iter().map(|c| fold(row.get(c).unwrap_or_default())).collect()
}

fn loose_target(target: &Target) -> Vec<String> {
    let text = |scalar: &Scalar| match scalar {
        Scalar::Text(t) | Scalar::Number(t) => fold(t.reveal()),
        Scalar::Integer(i) => i.to_string(),
    };
    // In the key's order, not the locator's.
    let named: Vec<String> =
        key(&target.dataset).iter().filter_map(|c| target.locator.get(c)).map(text).collect();
    if named.is_empty() { target.locator.values().map(text).collect() } else { named }
}

fn fold(text: &str) -> String {
    text.trim().to_lowercase()
}
