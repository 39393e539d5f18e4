//! Deletes and masks: targets become steps, steps become short transactions, children before parents.
//!
//! Invariant: every target gets exactly one outcome, and a success only from rows that the database returned.

use std::collections::btree_map::Entry;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use quietus_contract::{Failure, Gate, Outcome, Permit, Target, TargetOutcome, Work};
use quietus_core::system::Collection;
use quietus_core::verdict::Action;

use crate::PostgresConnector;
use crate::failure::{Concerns, Fault};
use crate::lane::Lane;
use crate::step::{Assignment, Step, clearing, covers};
use crate::transaction::{Batch, Stamp};
use crate::types::Table;

pub(crate) async fn erase(
    connector: &PostgresConnector,
    targets: &[Target],
    permit: &Permit,
    gate: Arc<dyn Gate>,
) -> Vec<TargetOutcome> {
    let is_ours = |target: &Target| !matches!(target.work, Work::Correct(_));
    carry_out(connector, targets, permit, gate, is_ours).await
}

const SCHEMA_MAY_HAVE_CHANGED: [&str; 4] = ["missing_table", "missing_column", "conflict", "internal"];

/// The outcomes so far, by the target's place in the call.
pub(crate) type Outcomes = BTreeMap<usize, (Outcome, Option<Stamp>)>;

pub(crate) async fn carry_out(
    connector: &PostgresConnector,
    targets: &[Target],
    permit: &Permit,
    gate: Arc<dyn Gate>,
    is_ours: impl Fn(&Target) -> bool,
) -> Vec<TargetOutcome> {
    let deadline = Deadline { start: Instant::now(), lease: permit.lease() };
    let mut outcomes = Outcomes::new();
    let mut wanted = Vec::new();
    for (index, target) in targets.iter().enumerate() {
        if is_ours(target) {
            wanted.push((index, target));
        } else {
            let reason = "a correction goes through `correct`, everything else through `erase`".to_owned();
            outcomes.insert(index, (Outcome::Refused { reason }, None));
        }
    }
    let (mut steps, tables) = plan(connector, &wanted, &mut outcomes).await;
    rank(connector, &mut steps, &tables);
    steps.sort_by(Step::order);
    let batch = Batch { connector, tables: &tables, gate: &*gate, deadline };
    run(&batch, steps, &mut outcomes).await;
    if outcomes
        .values()
        .any(|(o, _)| matches!(o, Outcome::Failed(f) if SCHEMA_MAY_HAVE_CHANGED.contains(&f.code)))
    {
        connector.catalogue.forget();
    }
    let answer = |(index, target): (usize, &Target)| {
        let (outcome, stamp) = outcomes.remove(&index).unwrap_or_else(|| {
            (Outcome::Failed(Failure::retry("internal", "the call ended before this target's turn")), None)
        });
        let (at, position) = stamp.map_or((None, None), |s| (Some(s.at), s.position));
        TargetOutcome { command: target.command, outcome, at, position }
    };
    targets.iter().enumerate().map(answer).collect()
}

/// The permit's time, counted from the call.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Deadline {
    start: Instant,
    lease: Duration,
}

impl Deadline {
    pub(crate) fn left(&self) -> Option<Duration> {
        self.lease.checked_sub(self.start.elapsed()).filter(|left| left.as_millis() > 0)
    }
}

/// The columns that carry only the categories that are over, and what each gets.
pub(crate) fn replacements(
    table: &Table,
    collection: &Collection,
    action: Action,
    categories: &[String],
) -> Result<Vec<Assignment>, String> {
    match action {
        Action::Erase | Action::Mask => {}
        Action::Anonymise | Action::Pseudonymise | Action::Restrict => {
            return Err(format!(
                "{}: the postgres connector cannot {}",
                table.shown,
                crate::check::verb(action)
            ));
        }
    }
    let is_over = |category: &String| categories.iter().any(|selector| covers(selector, category));
    let mut carried: BTreeSet<&str> = BTreeSet::new();
    let mut wanted = Vec::new();
    for field in collection.fields.iter().filter(|f| f.waived.is_none()) {
        if !field.fields.is_empty() {
            let inner = field.fields.iter().flat_map(|f| &f.categories).any(is_over);
            if inner || field.categories.iter().any(is_over) {
                return Err(format!(
                    "{}.{}: fields inside a column cannot be masked",
                    table.shown, field.name
                ));
            }
        }
        if !field.categories.iter().any(is_over) {
            continue;
        }
        if let Some(live) = field.categories.iter().find(|c| !is_over(c)) {
            return Err(format!("{}.{} also carries {live}, which is not over", table.shown, field.name));
        }
        let over = categories.iter().filter(|s| field.categories.iter().any(|c| covers(s, c)));
        carried.extend(over.map(String::as_str));
        wanted.push(clearing(table, collection, &field.name)?);
    }
    if let Some(missing) = categories.iter().find(|c| !carried.contains(c.as_str())) {
        return Err(format!("{}: no field carries {missing}", table.shown));
    }
    if wanted.is_empty() {
        return Err(format!("{}: a change without categories", table.shown));
    }
    wanted.sort_by(|a, b| a.column.cmp(&b.column));
    Ok(wanted)
}

/// Every target as a step, or its outcome already.
async fn plan(
    connector: &PostgresConnector,
    wanted: &[(usize, &Target)],
    outcomes: &mut Outcomes,
) -> (Vec<Step>, BTreeMap<String, Arc<Table>>) {
    let names: BTreeSet<&str> = wanted.iter().map(|(_, t)| t.dataset.as_str()).collect();
    let mut tables: BTreeMap<String, Result<Arc<Table>, Failure>> = BTreeMap::new();
    for name in names {
        tables.insert(name.to_owned(), table(connector, name).await);
    }
    // What a delete would take along is looked for in every collection of ours, not only in those of this call.
    if tables.values().flatten().any(|t| t.children.iter().any(|k| k.cascades)) {
        for dataset in &connector.manifest.datasets {
            for collection in &dataset.collections {
                let name = format!("{}.{}", dataset.fides_key, collection.name);
                if let Entry::Vacant(unread) = tables.entry(name) {
                    let read = table(connector, unread.key()).await;
                    unread.insert(read);
                }
            }
        }
    }
    let mut steps = Vec::new();
    for (index, target) in wanted {
        let step = match tables.get(&target.dataset) {
            Some(Ok(table)) => Step::new(&connector.manifest, table, *index, target),
            Some(Err(failure)) => Err(Outcome::Failed(failure.clone())),
            None => Err(Outcome::Failed(Failure::retry("internal", "a table was not read"))),
        };
        match step {
            Ok(step) => steps.push(step),
            Err(outcome) => drop(outcomes.insert(*index, (outcome, None))),
        }
    }
    let tables = tables.into_iter().filter_map(|(name, table)| Some((name, table.ok()?))).collect();
    (steps, tables)
}

/// The catalogue's answer; a connection that died while it was idle is replaced once.
pub(crate) async fn table(connector: &PostgresConnector, name: &str) -> Result<Arc<Table>, Failure> {
    if let Some(known) = connector.catalogue.known(name) {
        return Ok(known);
    }
    let mut last = Fault::lost(name);
    for _ in 0..2 {
        let mut lease = connector.write.lease().await?;
        let read = match lease.begin_read(name).await {
            Ok(_) => connector.catalogue.table(&mut lease, &connector.manifest, name).await,
            Err(fault) => Err(fault),
        };
        match read {
            Err(fault) if fault.concerns == Concerns::Connection => last = fault,
            read => {
                lease.roll_back().await;
                return read.map_err(|fault| fault.failure);
            }
        }
    }
    Err(last.failure)
}

/// Gives every step its table's rank: above all its children's, by the catalogue and by the dataset. In a cycle the
/// rank ends at the number of tables, and what a foreign key then refuses is tried again at the end.
fn rank(connector: &PostgresConnector, steps: &mut [Step], tables: &BTreeMap<String, Arc<Table>>) {
    let is_child = |child: &(&String, &Arc<Table>), parent: &(&String, &Arc<Table>)| {
        let declared = connector.manifest.collection(child.0).is_some_and(|(dataset, c)| {
            c.references.iter().any(|r| {
                r.collection == *parent.0 || format!("{}.{}", dataset.fides_key, r.collection) == *parent.0
            })
        });
        child.1.oid != parent.1.oid && (declared || child.1.parents.contains(&parent.1.oid))
    };
    let mut ranks: BTreeMap<&str, usize> = tables.keys().map(|name| (name.as_str(), 0)).collect();
    for _ in 0..tables.len() {
        for parent in tables {
            let above = tables
                .iter()
                .filter(|child| is_child(child, &parent))
                .filter_map(|child| ranks.get(child.0.as_str()).map(|r| r + 1))
                .max();
            let rank = above.unwrap_or(0).min(tables.len());
            ranks.insert(parent.0, rank);
        }
    }
    for step in steps {
        step.rank = ranks.get(step.table.shown.as_str()).copied().unwrap_or(0);
    }
}

/// All steps in batches, a rank after the other. What a foreign key refused is tried again as long as others go: rows of one table that
/// refer to each other across batches, or a cycle of tables.
async fn run(batch: &Batch<'_>, steps: Vec<Step>, outcomes: &mut Outcomes) {
    let mut waiting = steps;
    for pass in 0.. {
        // What fits one transaction goes in one; else parents wait until their children's batches are over.
        let fits = pass > 0 || batch.connector.pace.take(&waiting) == waiting.len();
        for rank in waiting.chunk_by(|a, b| fits || a.rank == b.rank) {
            let rest = Mutex::new(rank);
            let hand = || async {
                let mut lane = Lane::new(batch);
                while let Some(steps) = next(batch, &rest, pass > 0) {
                    lane.take_on(steps).await;
                }
                lane.end().await
            };
            // While one batch waits for its commit, the other's statements run.
            if batch.connector.manifest.limits.concurrency > 1 {
                let (one, other) = tokio::join!(hand(), hand());
                outcomes.extend(one);
                outcomes.extend(other);
            } else {
                outcomes.extend(hand().await);
            }
        }
        let before = waiting.len();
        waiting.retain(|s| outcomes.get(&s.index).is_some_and(|(outcome, _)| waits_for_children(outcome)));
        if waiting.is_empty() || (pass > 0 && waiting.len() == before) {
            return;
        }
        if !outcomes.values().any(|(outcome, _)| matches!(outcome, Outcome::Removed(_) | Outcome::Changed(_)))
        {
            return;
        }
    }
}

/// The next batch of what is left of one rank. Those that wait for each other have the best chance together.
fn next<'a>(batch: &Batch<'_>, rest: &Mutex<&'a [Step]>, together: bool) -> Option<&'a [Step]> {
    let pace = &batch.connector.pace;
    let mut rest = rest.lock().unwrap_or_else(PoisonError::into_inner);
    let size = if together { rest.len().min(pace.batch_max) } else { pace.take(&rest) };
    let (now, later) = rest.split_at(size);
    *rest = later;
    (!now.is_empty()).then_some(now)
}

fn waits_for_children(outcome: &Outcome) -> bool {
    matches!(outcome, Outcome::Failed(f) if f.code == "constraint" && f.may_retry)
}
