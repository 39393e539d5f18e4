//! One batch: cells opened, permit issued, connector called, answers back into the ledger.

use std::sync::Arc;
use std::time::Duration;

use quietus_contract::{
    CommandId, Connector, Failure, Identity, Locator, Outcome, Permit, Target, TargetOutcome, Work,
};
use quietus_core::engine::control::Control;
use quietus_core::obligation::{Duty, Obligation};
use quietus_core::record::Record;
use quietus_core::time::Millis;
use tracing::Instrument;

use super::gate::LedgerGate;
use super::plan::plan_hash;
use crate::confirm;
use crate::faults::{self, Point};
use crate::node::Node;
use crate::partition::Partition;
use crate::sealing::Keys;
use crate::store::Store;
use crate::telemetry::trace;

/// Sends the duties of one batch and appends what came back.
pub(super) async fn send(node: &Node, connector: Arc<dyn Connector>, system: &str, duties: Vec<Obligation>) {
    let span = trace::child("dispatch", duties.iter().find_map(|d| d.trace.as_deref()));
    tracing::Span::record(&span, "system", system);
    async {
        let (targets, unopened) = targets(&node.keys, &node.partitions, &duties);
        let mut outcomes = unopened;
        if !targets.is_empty() {
            let permit = node.with_control(|c| permit(c, system, &duties, node.now(), node.lease_ms()));
            let gate = Arc::new(LedgerGate::new(Arc::clone(&node.partitions), &duties));
            let started = node.clock.monotonic();
            outcomes.extend(connector.erase(&targets, &permit, gate).await);
            node.metrics.command(system, "erase", &outcomes, node.clock.monotonic().saturating_sub(started));
        }
        faults::pass(Point::AfterCommit);
        let confirmed = confirm::confirmed(system, &duties, &outcomes);
        answer(node, &duties, Record::Confirmed(confirmed)).await;
    }
    .instrument(span)
    .await;
}

/// Reads back duties that were executed, or that found nothing at the first look.
pub(super) async fn read_back(
    node: &Node,
    connector: Arc<dyn Connector>,
    system: &str,
    duties: Vec<Obligation>,
) {
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
    }
    .instrument(span)
    .await;
}

/// Asks where accepted duties stand; only what is news goes into the ledger.
pub(super) async fn poll(node: &Node, connector: Arc<dyn Connector>, system: &str, duties: Vec<Obligation>) {
    let span = trace::child("dispatch", duties.iter().find_map(|d| d.trace.as_deref()));
    tracing::Span::record(&span, "system", system);
    async {
        let (targets, _) = targets(&node.keys, &node.partitions, &duties);
        let reference = |t: &Target| duties.iter().find(|d| d.id.0 == t.command.0)?.reference.clone();
        let accepted: Vec<(Target, String)> =
            targets.into_iter().filter_map(|t| reference(&t).map(|r| (t, r))).collect();
        let started = node.clock.monotonic();
        let mut told = connector.poll(&accepted).await;
        node.metrics.command(system, "poll", &told, node.clock.monotonic().saturating_sub(started));
        told.retain(|t| is_news(&t.outcome));
        let duties: Vec<Obligation> =
            duties.into_iter().filter(|d| told.iter().any(|t| t.command.0 == d.id.0)).collect();
        if !duties.is_empty() {
            answer(node, &duties, Record::Confirmed(confirm::confirmed(system, &duties, &told))).await;
        }
    }
    .instrument(span)
    .await;
}

/// It still stands accepted, or could not be asked: neither changes anything.
fn is_news(outcome: &Outcome) -> bool {
    match outcome {
        Outcome::Accepted { .. } => false,
        Outcome::Failed(failure) => !matches!(failure.code, "unreachable" | "timeout"),
        Outcome::Removed(_) | Outcome::Changed(_) | Outcome::Absent | Outcome::Unchanged { .. } => true,
        Outcome::Blocked { .. } | Outcome::Residual { .. } | Outcome::Refused { .. } => true,
    }
}

/// Into the ledger of the one partition that these duties live in, and applied.
async fn answer(node: &Node, duties: &[Obligation], record: Record) {
    let Some(first) = duties.first() else { return };
    let partition = node.partition_of(first.item.subject).index();
    let trace = duties.iter().find_map(|d| d.trace.clone());
    match node.append(partition, vec![record], trace).await {
        Ok(offset) => node.has_applied(partition, offset).await,
        // The duties stay out until their `not_after`, and are then tried again.
        Err(error) => tracing::error!(%error, "an answer could not be kept"),
    }
}

/// The permit of one batch: it lives for what is left of its commands' lease.
#[expect(clippy::disallowed_methods, reason = "dispatch is where permits come from")]
pub fn permit(control: &Control, system: &str, duties: &[Obligation], now: Millis, longest: i64) -> Permit {
    let version = control.policy.as_ref().map_or(0, |p| p.version);
    let hash = plan_hash(system, control.k, duties.iter().map(|d| (d.id, d.attempt)));
    Permit::issue(version, control.k, hash, lease(duties, now, longest))
}

/// From now to the commands' `not_after`; a clock that was set back makes it no longer than the longest.
fn lease(duties: &[Obligation], now: Millis, longest: i64) -> Duration {
    let left = duties.iter().filter_map(|d| d.not_after).map(|at| at.0.saturating_sub(now.0)).min();
    let left = left.unwrap_or_default().min(longest);
    Duration::from_millis(u64::try_from(left).unwrap_or_default())
}

/// Targets with their cells opened; what cannot be opened is answered as failed at once.
pub fn targets(
    keys: &Keys,
    partitions: &[Arc<Partition>],
    duties: &[Obligation],
) -> (Vec<Target>, Vec<TargetOutcome>) {
    let mut targets = Vec::with_capacity(duties.len());
    let mut unopened = Vec::new();
    for duty in duties {
        let (subject, item) = (&duty.item.subject, &duty.item.item);
        let (place, sealed_for) = (&duty.place, sealed_for(partitions, duty));
        match keys.open_locator(subject, item, &sealed_for, &place.dataset, &place.cell) {
            Ok(locator) => targets.push(target(keys, partitions, duty, locator)),
            Err(_) => {
                let why = "the sealed locator does not open: was the tenant key changed?";
                let failure = Failure::fatal("sealed", why);
                let command = CommandId(duty.id.0);
                let outcome = Outcome::Failed(failure);
                unopened.push(TargetOutcome { command, outcome, at: None, position: None });
            }
        }
    }
    (targets, unopened)
}

/// A derived copy has the cell of the copy it is made of, which was sealed for the system that was named.
fn sealed_for(partitions: &[Arc<Partition>], duty: &Obligation) -> String {
    let named = || {
        let inner = home(partitions, duty)?.read();
        let derives = inner.state.control.systems.get(&duty.place.system)?.manifest.copies_of.is_empty();
        let lives = (!derives).then(|| inner.store.lives(duty.item)).flatten()?;
        let life = lives.lives.iter().find(|l| l.item.generation == duty.generation)?;
        // A copy that was named there itself has a cell of its own.
        let own = life.copy_at(&duty.place).and_then(|at| life.item.copies.get(at));
        own.or_else(|| life.named(&duty.place)).map(|copy| copy.system.clone())
    };
    named().unwrap_or_else(|| duty.place.system.clone())
}

fn home<'a>(partitions: &'a [Arc<Partition>], duty: &Obligation) -> Option<&'a Arc<Partition>> {
    let of = u32::try_from(partitions.len()).unwrap_or(u32::MAX);
    partitions.get(usize::try_from(duty.item.subject.partition(of)).unwrap_or(usize::MAX))
}

fn target(keys: &Keys, partitions: &[Arc<Partition>], duty: &Obligation, locator: Locator) -> Target {
    let identities = home(partitions, duty).map(|partition| {
        let inner = partition.read();
        let linked = inner.state.links.get(&duty.item.subject).into_iter().flatten();
        std::iter::once(&duty.item.subject)
            .chain(linked)
            .filter_map(|key| keys.open_identity(key, &inner.store.identity(*key)?).ok())
            .map(|(kind, value)| Identity { kind, value })
            .collect()
    });
    let work = match duty.duty {
        Duty::Delete => Work::Delete,
        Duty::Change(action) => Work::Change { action, categories: duty.parts.clone() },
    };
    Target {
        command: CommandId(duty.id.0),
        attempt: duty.attempt,
        dataset: duty.place.dataset.clone(),
        locator,
        identities: identities.unwrap_or_default(),
        answered_at: duty.target_at.map(|at| at.0),
        work,
    }
}
