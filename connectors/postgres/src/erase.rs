//! Deletes and masks: targets stand in line, a batch of them becomes steps and a short transaction, children before parents.
//!
//! Invariant: every target gets exactly one outcome, and a success only from rows that the database returned.

use std::collections::btree_map::Entry;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::{Duration, Instant};

use quietus_contract::{Failure, Gate, Outcome, Permit, Target, TargetOutcome, Work};
use quietus_core::system::Collection;
use quietus_core::verdict::Action;

use crate::PostgresConnector;
use crate::answers::Answers;
use crate::failure::{Concerns, Fault};
use crate::lane::Lane;
use crate::line::{Line, Waiting};
use crate::step::{Assignment, clearing, covers};
use crate::transaction::Batch;
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

/// Every collection that a call concerns, and what the catalogue says of it.
pub(crate) type Tables = BTreeMap<String, Result<Arc<Table>, Failure>>;

pub(crate) async fn carry_out(
    connector: &PostgresConnector,
    targets: &[Target],
    permit: &Permit,
    gate: Arc<dyn Gate>,
    is_ours: impl Fn(&Target) -> bool,
) -> Vec<TargetOutcome> {
    let deadline = Deadline { start: Instant::now(), lease: permit.lease() };
    let answers = Answers::new(targets);
    let mut waiting: Vec<Waiting<'_>> = Vec::with_capacity(targets.len());
    let (mut names, mut is_in_order) = (BTreeSet::new(), true);
    // One pass: a call has thousands, and each lies elsewhere in memory.
    for (index, target) in targets.iter().enumerate() {
        if !is_ours(target) {
            let reason = "a correction goes through `correct`, everything else through `erase`".to_owned();
            answers.put([(index, Outcome::Refused { reason })]);
            continue;
        }
        let next = Waiting { index, target, rank: 0 };
        let last = waiting.last();
        if last.is_none_or(|last| last.target.dataset != target.dataset) {
            names.insert(&*target.dataset);
        }
        is_in_order &= last.is_none_or(|last| last.order(&next).is_le());
        waiting.push(next);
    }
    let tables = tables(connector, names).await;
    if rank(connector, &mut waiting, &tables) || !is_in_order {
        waiting.sort_by(Waiting::order);
    }
    let batch = Batch { connector, tables: &tables, gate: &*gate, deadline, answers: &answers };
    run(&batch, waiting).await;
    if answers.have_failures()
        && answers.any(|o| matches!(o, Outcome::Failed(f) if SCHEMA_MAY_HAVE_CHANGED.contains(&f.code)))
    {
        connector.catalogue.forget();
    }
    answers.told()
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

/// The tables of these collections, and of what a delete would take along.
async fn tables(connector: &PostgresConnector, names: BTreeSet<&str>) -> Tables {
    let mut tables = Tables::new();
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
    tables
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

/// Gives every target its table's rank: above all its children's, by the catalogue and by the dataset. In a cycle the
/// rank ends at the number of tables, and what a foreign key then refuses is tried again at the end. False: all are alike.
fn rank(connector: &PostgresConnector, waiting: &mut [Waiting<'_>], tables: &Tables) -> bool {
    let known: Vec<(&String, &Arc<Table>)> =
        tables.iter().filter_map(|(name, table)| Some((name, table.as_ref().ok()?))).collect();
    let is_child = |child: &(&String, &Arc<Table>), parent: &(&String, &Arc<Table>)| {
        let declared = connector.manifest.collection(child.0).is_some_and(|(dataset, c)| {
            c.references.iter().any(|r| {
                r.collection == *parent.0 || format!("{}.{}", dataset.fides_key, r.collection) == *parent.0
            })
        });
        child.1.oid != parent.1.oid && (declared || child.1.parents.contains(&parent.1.oid))
    };
    let mut ranks: BTreeMap<&str, usize> = known.iter().map(|(name, _)| (name.as_str(), 0)).collect();
    for _ in 0..known.len() {
        for parent in &known {
            let above = known
                .iter()
                .filter(|child| is_child(child, parent))
                .filter_map(|child| ranks.get(child.0.as_str()).map(|r| r + 1))
                .max();
            let rank = above.unwrap_or(0).min(known.len());
            ranks.insert(parent.0, rank);
        }
    }
    if ranks.values().all(|rank| *rank == 0) {
        return false;
    }
    for waiting in waiting {
        waiting.rank = ranks.get(&*waiting.target.dataset).copied().unwrap_or(0);
    }
    true
}

/// All targets in batches, a rank after the other. What a foreign key refused is tried again as long as others go: rows of one table that
/// refer to each other across batches, or a cycle of tables.
async fn run(batch: &Batch<'_>, mut waiting: Vec<Waiting<'_>>) {
    for pass in 0.. {
        // What fits one transaction goes in one; else parents wait until their children's batches are over.
        let fits = pass > 0 || batch.connector.pace.take(&waiting) == waiting.len();
        for rank in waiting.chunk_by(|a, b| fits || a.rank == b.rank) {
            let line = Line::new(batch, rank, pass > 0);
            // While one batch waits for its commit, the other's statements run.
            if batch.connector.manifest.limits.concurrency > 1 {
                tokio::join!(Lane::new(batch).run(&line), Lane::new(batch).run(&line));
            } else {
                Lane::new(batch).run(&line).await;
            }
        }
        if !batch.answers.have_failures() {
            return;
        }
        let before = waiting.len();
        waiting.retain(|w| batch.answers.at(w.index, waits_for_children));
        if waiting.is_empty() || (pass > 0 && waiting.len() == before) {
            return;
        }
        if !batch.answers.any(|outcome| matches!(outcome, Outcome::Removed(_) | Outcome::Changed(_))) {
            return;
        }
    }
}

fn waits_for_children(outcome: &Outcome) -> bool {
    matches!(outcome, Outcome::Failed(f) if f.code == "constraint" && f.may_retry)
}
