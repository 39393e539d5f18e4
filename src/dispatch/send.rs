//! One call: cells opened, permit issued, connector called, answers back into the ledger.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use futures_util::future::join_all;
use quietus_contract::{CommandId, Connector, Finding, Outcome, Permit, Target, TargetOutcome, Work};
use quietus_core::engine::control::Control;
use quietus_core::obligation::{Obligation, ObligationId};
use quietus_core::record::Record;
use quietus_core::time::Millis;
use tracing::Instrument;

use super::gate::LedgerGate;
use super::plan::plan_hash;
use super::targets::targets;
use crate::confirm;
use crate::faults::{self, Point};
use crate::node::Node;
use crate::telemetry::trace;

/// Calls the connector with these commands.
pub(super) async fn call(
    node: &Node,
    connector: &dyn Connector,
    system: &str,
    duties: &[Obligation],
) -> Vec<TargetOutcome> {
    let (targets, unopened) = targets(&node.keys, &node.partitions, duties);
    let mut outcomes = unopened;
    if targets.is_empty() {
        return outcomes;
    }
    let permit = node.with_control(|c| permit(c, system, duties, node.now(), node.lease_ms()));
    let gate = Arc::new(LedgerGate::new(Arc::clone(&node.partitions), Arc::clone(&node.underway), duties));
    let started = node.clock.monotonic();
    let (corrections, erasures): (Vec<Target>, Vec<Target>) =
        targets.into_iter().partition(|t| matches!(t.work, Work::Correct(_)));
    if !erasures.is_empty() {
        let told = connector.erase(&erasures, &permit, Arc::<LedgerGate>::clone(&gate)).await;
        node.metrics.command(system, "erase", &told, node.clock.monotonic().saturating_sub(started));
        outcomes.extend(told);
    }
    if !corrections.is_empty() {
        let told = correct(connector, &corrections, &permit, gate).await;
        node.metrics.command(system, "correct", &told, node.clock.monotonic().saturating_sub(started));
        outcomes.extend(told);
    }
    faults::pass(Point::AfterCommit);
    // What a partner accepted stays listed until the ledger says so: whoever places a hold is told of it.
    let accepted: BTreeSet<CommandId> =
        outcomes.iter().filter(|o| is_accepted(o)).map(|o| o.command).collect();
    node.underway.over(commands(duties).filter(|(command, _)| !accepted.contains(command)));
    outcomes
}

/// What came of each batch, into the ledger of its partition, and applied there. `batches`: how many each has.
pub(super) async fn answered(
    node: &Node,
    system: &str,
    duties: &[Obligation],
    batches: &[usize],
    outcomes: &[TargetOutcome],
) {
    let told = confirm::told(outcomes);
    let mut rest = duties;
    let batches = batches.iter().map(|size| {
        let (batch, later) = rest.split_at(rest.len().min(*size));
        rest = later;
        batch
    });
    let answers = batches.map(|duties| {
        let confirmed = confirm::confirmed(system, duties, &told);
        answer(node, duties, Record::Confirmed(confirmed))
    });
    let _kept: Vec<bool> = join_all(answers).await;
    node.underway.over(commands(duties));
}

fn is_accepted(outcome: &TargetOutcome) -> bool {
    matches!(outcome.outcome, Outcome::Accepted { .. })
}

fn commands(duties: &[Obligation]) -> impl Iterator<Item = (CommandId, u32)> + '_ {
    duties.iter().map(|duty| (CommandId(duty.id.0), duty.attempt))
}

/// Some target answered, or there was none.
pub(super) fn reached(outcomes: &[TargetOutcome]) -> bool {
    outcomes.is_empty() || !outcomes.iter().all(|o| is_unreached(&o.outcome))
}

fn is_unreached(outcome: &Outcome) -> bool {
    matches!(outcome, Outcome::Failed(failure) if matches!(failure.code, "unreachable" | "timeout"))
}

fn is_unread(finding: &Finding) -> bool {
    matches!(finding, Finding::Unreadable(failure) if matches!(failure.code, "unreachable" | "timeout"))
}

/// What cannot set a value says so before it is asked.
async fn correct(
    connector: &dyn Connector,
    targets: &[Target],
    permit: &Permit,
    gate: Arc<LedgerGate>,
) -> Vec<TargetOutcome> {
    if connector.describe().correct {
        return connector.correct(targets, permit, gate).await;
    }
    let reason = "this kind of system sets no values";
    let refused = |t: &Target| TargetOutcome {
        command: t.command,
        outcome: Outcome::Refused { reason: reason.to_owned() },
        at: None,
        position: None,
    };
    targets.iter().map(refused).collect()
}

/// Reads back duties that were executed, or that found nothing at the first look. True unless nobody was there.
pub(super) async fn read_back(
    node: &Node,
    connector: Arc<dyn Connector>,
    system: &str,
    duties: Vec<Obligation>,
) -> bool {
    let span = trace::child("confirm", duties.iter().find_map(|d| d.trace.as_deref()));
    tracing::Span::record(&span, "system", system);
    async {
        let (targets, _) = targets(&node.keys, &node.partitions, &duties);
        let mut seen = Vec::new();
        if !targets.is_empty() {
            let started = node.clock.monotonic();
            seen = connector.verify(&targets).await;
            node.metrics.look(system, &seen, node.clock.monotonic().saturating_sub(started));
        }
        let record = confirm::read_back(system, &duties, &seen);
        answer(node, &duties, Record::ReadBack(record)).await;
        seen.is_empty() || !seen.iter().all(|s| is_unread(&s.finding))
    }
    .instrument(span)
    .await
}

/// Looks at what was verified long ago; only what is there again goes into the ledger.
pub(super) async fn look_again(
    node: &Node,
    connector: Arc<dyn Connector>,
    system: &str,
    duties: Vec<Obligation>,
) {
    let (targets, _) = targets(&node.keys, &node.partitions, &duties);
    let mut seen = connector.verify(&targets).await;
    seen.retain(|s| matches!(s.finding, Finding::Found { .. }));
    let found: Vec<Obligation> =
        duties.into_iter().filter(|d| seen.iter().any(|s| s.command.0 == d.id.0)).collect();
    if !found.is_empty() {
        answer(node, &found, Record::ReadBack(confirm::read_back(system, &found, &seen))).await;
    }
}

/// Asks where accepted duties stand; only what is news goes into the ledger.
pub(super) async fn poll(node: &Node, connector: Arc<dyn Connector>, system: &str, duties: Vec<Obligation>) {
    let span = trace::child("dispatch", duties.iter().find_map(|d| d.trace.as_deref()));
    tracing::Span::record(&span, "system", system);
    async {
        let accepted = accepted(node, &duties);
        let started = node.clock.monotonic();
        let mut told = connector.poll(&accepted).await;
        node.metrics.command(system, "poll", &told, node.clock.monotonic().saturating_sub(started));
        told.retain(|t| is_news(&t.outcome));
        let duties: Vec<Obligation> =
            duties.into_iter().filter(|d| told.iter().any(|t| t.command.0 == d.id.0)).collect();
        if !duties.is_empty() {
            let told = confirm::told(&told);
            let record = Record::Confirmed(confirm::confirmed(system, &duties, &told));
            if answer(node, &duties, record).await {
                let settled: Vec<_> = commands(&duties).collect();
                connector.settled(&settled).await;
            }
        }
    }
    .instrument(span)
    .await;
}

/// Says of accepted duties that they are not to be carried out.
pub(super) async fn recall(node: &Node, connector: &dyn Connector, duties: &[Obligation]) {
    connector.recall(&accepted(node, duties)).await;
}

/// Accepted duties with what they are polled by.
fn accepted(node: &Node, duties: &[Obligation]) -> Vec<(Target, String)> {
    let (targets, _) = targets(&node.keys, &node.partitions, duties);
    let reference = |t: &Target| duties.iter().find(|d| d.id.0 == t.command.0)?.reference.clone();
    targets.into_iter().filter_map(|t| reference(&t).map(|r| (t, r))).collect()
}

/// It still stands accepted, or could not be asked: neither changes anything.
fn is_news(outcome: &Outcome) -> bool {
    match outcome {
        Outcome::Accepted { .. } => false,
        Outcome::Failed(_) => !is_unreached(outcome),
        Outcome::Removed(_) | Outcome::Changed(_) | Outcome::Absent | Outcome::Unchanged { .. } => true,
        Outcome::Blocked { .. } | Outcome::Residual { .. } | Outcome::Refused { .. } => true,
    }
}

/// Into the ledger of the one partition that these duties live in, and applied; false = it could not be kept.
async fn answer(node: &Node, duties: &[Obligation], record: Record) -> bool {
    let Some(first) = duties.first() else { return true };
    let record = if node.options().simulated { untimed(record) } else { record };
    let partition = node.partition_of(first.item.subject).index();
    let trace = duties.iter().find_map(|d| d.trace.as_deref().map(str::to_owned));
    match node.append(partition, vec![record], trace).await {
        Ok(offset) => {
            node.has_applied(partition, offset).await;
            true
        }
        // The duties stay out until their `not_after`, and are then tried again.
        Err(error) => {
            tracing::error!(%error, "an answer could not be kept");
            false
        }
    }
}

/// A target's own clock says nothing to a ledger whose clock is simulated.
fn untimed(mut record: Record) -> Record {
    match &mut record {
        Record::Confirmed(confirmed) => confirmed.answers.iter_mut().for_each(|a| a.at = None),
        Record::ReadBack(read) => read.seen.iter_mut().for_each(|s| s.at = None),
        _ => {}
    }
    record
}

/// The permit of one call: it lives for what is left of its commands' lease.
pub fn permit(control: &Control, system: &str, duties: &[Obligation], now: Millis, longest: i64) -> Permit {
    permit_for(control, system, duties.iter().map(|d| (d.id, d.attempt)), lease(duties, now, longest))
}

/// The permit of these commands, for so long.
#[expect(clippy::disallowed_methods, reason = "dispatch is where permits come from")]
pub fn permit_for(
    control: &Control,
    system: &str,
    commands: impl Iterator<Item = (ObligationId, u32)>,
    lease: Duration,
) -> Permit {
    let version = control.policy.as_ref().map_or(0, |p| p.version);
    Permit::issue(version, control.k, plan_hash(system, control.k, commands), lease)
}

/// From now to the commands' `not_after`; a clock that was set back makes it no longer than the longest.
fn lease(duties: &[Obligation], now: Millis, longest: i64) -> Duration {
    let left = duties.iter().filter_map(|d| d.not_after).map(|at| at.0.saturating_sub(now.0)).min();
    let left = left.unwrap_or_default().min(longest);
    Duration::from_millis(u64::try_from(left).unwrap_or_default())
}
