//! One batch: cells opened, permit issued, connector called, answers back into the ledger.

use std::sync::Arc;
use std::time::Duration;

use quietus_contract::{
    CommandId, Connector, Failure, Identity, Locator, Permit, Target, TargetOutcome, Work,
};
use quietus_core::obligation::{Duty, Obligation};
use quietus_core::record::Record;
use tracing::Instrument;

use super::gate::LedgerGate;
use super::plan::plan_hash;
use crate::confirm;
use crate::node::Node;
use crate::store::Store;
use crate::telemetry::trace;

/// Sends the duties of one batch and appends what came back.
pub(super) async fn send(node: &Node, connector: Arc<dyn Connector>, system: &str, duties: Vec<Obligation>) {
    let span = trace::child("dispatch", duties.iter().find_map(|d| d.trace.as_deref()));
    tracing::Span::record(&span, "system", system);
    async {
        let (targets, unopened) = targets(node, &duties);
        let mut outcomes = unopened;
        if !targets.is_empty() {
            let permit = permit(node, system, &duties);
            let gate = Arc::new(LedgerGate::new(Arc::clone(&node.partitions), &duties));
            let started = node.clock.monotonic();
            outcomes.extend(connector.erase(&targets, &permit, gate).await);
            node.metrics.command(system, "erase", &outcomes, node.clock.monotonic().saturating_sub(started));
        }
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
        let (targets, _) = targets(node, &duties);
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

#[expect(clippy::disallowed_methods, reason = "dispatch is where permits come from")]
fn permit(node: &Node, system: &str, duties: &[Obligation]) -> Permit {
    let (version, k) = node.with_control(|c| (c.policy.as_ref().map_or(0, |p| p.version), c.k));
    let hash = plan_hash(system, k, duties.iter().map(|d| (d.id, d.attempt)));
    Permit::issue(version, k, hash, lease(node, duties))
}

/// What is left of the commands' lease: from the partition's now, that they were ordered at, to their `not_after`.
fn lease(node: &Node, duties: &[Obligation]) -> Duration {
    let now = node.clock.now();
    let left = duties.iter().filter_map(|d| d.not_after).map(|at| at.0.saturating_sub(now.0)).min();
    Duration::from_millis(u64::try_from(left.unwrap_or_default()).unwrap_or_default())
}

/// Targets with their cells opened; what cannot be opened is answered as failed at once.
fn targets(node: &Node, duties: &[Obligation]) -> (Vec<Target>, Vec<TargetOutcome>) {
    let mut targets = Vec::with_capacity(duties.len());
    let mut unopened = Vec::new();
    for duty in duties {
        let (subject, item) = (&duty.item.subject, &duty.item.item);
        let place = &duty.place;
        match node.keys.open_locator(subject, item, &place.system, &place.dataset, &place.cell) {
            Ok(locator) => targets.push(target(node, duty, locator)),
            Err(_) => {
                let why = "the sealed locator does not open: was the tenant key changed?";
                let failure = Failure::fatal("sealed", why);
                let command = CommandId(duty.id.0);
                let outcome = quietus_contract::Outcome::Failed(failure);
                unopened.push(TargetOutcome { command, outcome, at: None, position: None });
            }
        }
    }
    (targets, unopened)
}

fn target(node: &Node, duty: &Obligation, locator: Locator) -> Target {
    let inner = node.partition_of(duty.item.subject).read();
    let linked = inner.state.links.get(&duty.item.subject).into_iter().flatten();
    let keys = std::iter::once(&duty.item.subject).chain(linked);
    let identities = keys
        .filter_map(|key| node.keys.open_identity(key, &inner.store.identity(*key)?).ok())
        .map(|(kind, value)| Identity { kind, value })
        .collect();
    let work = match duty.duty {
        Duty::Delete => Work::Delete,
        Duty::Change(action) => Work::Change { action, categories: duty.parts.clone() },
    };
    Target {
        command: CommandId(duty.id.0),
        attempt: duty.attempt,
        dataset: duty.place.dataset.clone(),
        locator,
        identities,
        work,
    }
}
