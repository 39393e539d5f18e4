//! What a sweep would do now: counted, by rule, and as a frozen set with its root. Changes nothing.

use std::collections::BTreeMap;
use std::sync::Arc;

use quietus_core::engine::{Reach, Sieve, Stop, Wish, is_new, wishes};
use quietus_core::identity::ItemId;
use quietus_core::life::Life;
use quietus_core::merkle::{self, Tree};
use quietus_core::obligation::{Block, Duty, Stand};
use quietus_core::time::{Millis, Moment};
use serde::{Deserialize, Serialize};

use crate::node::Node;
use crate::partition::{Inner, Partition, Report, Subjects, outcome_name};

/// `sweep plan --json`: the report, and what each rule makes due.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct Plan {
    #[serde(flatten)]
    pub report: Report,
    pub by_rule: Vec<ByRule>,
    /// RFC 3339: decided as of this time.
    pub as_of: String,
    /// Merkle root of the frozen set, hex.
    pub root: String,
    /// Every row of it, where that was asked for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rows: Option<Vec<PlanLine>>,
}

/// One duty of the plan, as people sort and count it.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct PlanLine {
    /// `it_…`
    pub item: String,
    pub system: String,
    pub dataset: String,
    pub categories: Vec<String>,
    pub rule: Option<String>,
    /// When it fell due, RFC 3339.
    pub due: String,
    /// Where it would stand: `owed`, `blocked`, `observed`.
    pub outcome: String,
}

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct ByRule {
    pub rule: String,
    pub due: u64,
}

/// One row of the plan, for `--csv` and for people.
#[derive(Clone, Debug, PartialEq)]
pub struct PlanRow {
    pub item: ItemId,
    pub generation: u32,
    pub wish: Wish,
    /// It counts against a sweep's limit.
    pub new: bool,
}

/// Every duty that a sweep as of `as_of` would want, partition by partition, in key order.
pub fn rows(partitions: &[Arc<Partition>], as_of: Millis) -> Vec<Vec<PlanRow>> {
    partitions.iter().map(|p| partition_rows(&p.read(), as_of)).collect()
}

fn partition_rows(inner: &Inner, as_of: Millis) -> Vec<PlanRow> {
    let mut rows = Vec::new();
    let reach = Reach::of(&inner.state);
    inner.store.sift(&Sieve::due(&inner.state, as_of), &mut |lives, subject| {
        let Some(mut life) = lives.newest().filter(|l| !l.is_ended()).cloned() else { return };
        inner.state.control.complete(&mut life);
        let Some(as_of) = reach.limit(&life, as_of) else { return };
        let due = wishes(&inner.state.control, &life, subject, Moment::at(as_of));
        rows.extend(due.into_iter().map(|wish| row(inner, &life, wish)));
    });
    rows
}

fn row(inner: &Inner, life: &Life, wish: Wish) -> PlanRow {
    // What is stopped is never new.
    let duty = || inner.duty(wish.id(life)).map(|duty| duty.stand);
    let new = wish.stop.is_none() && is_new(&wish, duty());
    PlanRow { item: life.item.id, generation: life.item.generation, wish, new }
}

/// The plan as counts.
pub fn plan(node: &Node, as_of: Millis) -> Plan {
    build(node, as_of, false)
}

/// The plan with every row of it.
pub fn plan_with_rows(node: &Node, as_of: Millis) -> Plan {
    build(node, as_of, true)
}

fn build(node: &Node, as_of: Millis, lines: bool) -> Plan {
    let rows = rows(&node.partitions, as_of);
    let mut report = node.report_without_duties(Subjects::Now);
    let mut by_rule: BTreeMap<String, u64> = BTreeMap::new();
    let mut tree = Tree::default();
    let mut copies: BTreeMap<_, Vec<&Wish>> = BTreeMap::new();
    for row in rows.iter().flatten() {
        *by_rule.entry(row.wish.rule.as_deref().unwrap_or_default().to_owned()).or_default() += 1;
        tree.push(merkle::leaf(&row.frozen()));
        copies.entry((row.item, row.generation, row.wish.place.clone())).or_default().push(&row.wish);
    }
    for wishes in copies.values() {
        column(&mut report, wishes);
    }
    Plan {
        report,
        by_rule: by_rule.into_iter().map(|(rule, due)| ByRule { rule, due }).collect(),
        as_of: as_of.to_string(),
        root: data_encoding::HEXLOWER.encode(&tree.root()),
        rows: lines.then(|| rows.iter().flatten().map(PlanRow::line).collect()),
    }
}

/// A copy stands under what keeps it longest; what would be ordered counts as in flight, for nothing has happened.
fn column(report: &mut Report, wishes: &[&Wish]) {
    use quietus_core::verdict::Action;
    let acting = wishes.iter().filter(|w| w.duty != Duty::Change(Action::Restrict));
    let stops: Vec<Option<&Stop>> = acting.map(|w| w.stop.as_ref()).collect();
    if stops.is_empty() {
        return;
    }
    report.due += 1;
    let has = |f: fn(&Option<&Stop>) -> bool| stops.iter().any(f);
    let cell = if has(|s| s.is_none()) {
        &mut report.in_flight
    } else if has(|s| matches!(s, Some(Stop::Blocked(Block::Hold(_))))) {
        &mut report.held
    } else if has(|s| matches!(s, Some(Stop::Blocked(_)))) {
        &mut report.deferred
    } else {
        &mut report.observed
    };
    *cell += 1;
}

impl PlanRow {
    fn line(&self) -> PlanLine {
        let stand = match self.wish.stop {
            None => Stand::Owed,
            Some(Stop::Blocked(_)) => Stand::Blocked,
            Some(Stop::Observed) => Stand::Observed,
        };
        PlanLine {
            item: self.item.to_string(),
            system: self.wish.place.system.to_string(),
            dataset: self.wish.place.dataset.to_string(),
            categories: self.wish.parts.to_vec(),
            rule: self.wish.rule.as_deref().map(str::to_owned),
            due: self.wish.due.to_string(),
            outcome: outcome_name(stand).to_owned(),
        }
    }

    /// The row's bytes in the frozen set.
    fn frozen(&self) -> Vec<u8> {
        let parts = self.wish.parts.join(",");
        let mut row = Vec::with_capacity(128);
        row.extend_from_slice(&self.item.subject.0);
        row.extend_from_slice(&self.item.item.0);
        row.extend_from_slice(&self.generation.to_le_bytes());
        for field in
            [self.wish.place.system.as_bytes(), self.wish.place.dataset.as_bytes(), &self.wish.place.cell]
        {
            row.extend_from_slice(&(field.len() as u64).to_le_bytes());
            row.extend_from_slice(field);
        }
        row.extend_from_slice(parts.as_bytes());
        row
    }
}
