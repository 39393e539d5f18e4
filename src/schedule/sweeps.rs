//! Sweeps: ordered by cron or by people, limited, braked, and reported when they have come to rest.

use std::sync::Arc;
use std::time::Duration;

use quietus_core::engine::control::SweepInfo;
use quietus_core::engine::{MAX_TRIES, awaits_read_back, waits};
use quietus_core::obligation::{Cause, Obligation, Stand};
use quietus_core::policy::{Brake, Cron};
use quietus_core::record::{Record, SweepAwaiting, SweepClosed, SweepOrdered, SweepSwitch};
use quietus_core::system::Mode;
use quietus_core::time::Millis;
use serde::{Deserialize, Serialize};

use super::{brake, evidence, plan, ticks};
use crate::node::{Node, NodeError, Once, WantedId};
use crate::partition::{Inner, Partition, Report, Subjects};

/// Read-backs that could not read, before a sweep goes on without them.
const MAX_UNREAD: u32 = 5;

/// `GET /v1/sweeps/{id}`
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct SweepView {
    pub id: String,
    /// `running`, `awaiting_approval`, `finished`, `stopped`, `failed`.
    pub state: String,
    /// `cron` or who asked.
    pub mode: String,
    pub as_of: String,
    #[serde(flatten)]
    pub report: Report,
}

/// Orders a sweep; its id is answered once every partition has applied it.
pub async fn start(node: &Node, by: Option<String>, once: Option<Once>) -> Result<String, NodeError> {
    let known = |id: &str| node.with_control(|c| c.sweeps.get(id).map(|s| (s.ordered, s.asked.clone())));
    let id = match once.map(|once| once.wanted(&node.keys, "sw", node.now(), known)).transpose()? {
        Some(WantedId::Made(id)) => return Ok(id),
        Some(WantedId::New(id)) => id,
        None => crate::node::fresh_id("sw"),
    };
    let asked = once.map(|once| once.asked.to_vec());
    let (active, stopped) = node.with_control(|c| (c.policy.clone(), c.stopped));
    let Some(active) = active else {
        return Err(NodeError::Conflict {
            code: "no-policy",
            what: "no policy is active, so nothing is due".to_owned(),
            fix: "publish one: `quietus policy publish FILE`".to_owned(),
        });
    };
    if stopped {
        return Err(NodeError::Conflict {
            code: "sweeps-stopped",
            what: "sweeps are stopped".to_owned(),
            fix: "resume them: `quietus sweep resume`".to_owned(),
        });
    }
    ticks::tick_all(node).await?;
    let as_of = watermark(node);
    let quota = active.policy.sweep.limit.map(|limit| share(limit, &plan::rows(&node.partitions, as_of)));
    let quota = quota.unwrap_or_default();
    if let Some((plan, forecast)) = braked(node, active.policy.sweep.brake.as_ref(), as_of) {
        tracing::warn!(sweep = id, due = plan.report.in_flight, forecast, "waits for approval");
        let record = SweepAwaiting {
            id: id.clone(),
            as_of: as_of.0,
            forecast: i64::try_from(forecast).unwrap_or(i64::MAX),
            root: plan.root.into_bytes(),
            report: serde_json::to_string(&plan.report).unwrap_or_default(),
            by,
            at: node.now().0,
            asked,
        };
        node.decree(Record::SweepAwaiting(record)).await?;
        return Ok(id);
    }
    order(node, Ordered { id, as_of, quota, root: None, by, asked }).await
}

/// Orders a sweep that waited, for exactly what was approved.
pub async fn approve(node: &Node, id: &str, by: Option<String>) -> Result<String, NodeError> {
    let waiting = node.with_control(|c| c.sweeps.get(id).filter(|s| s.is_waiting()).cloned());
    let Some(SweepInfo { as_of, by: asked_by, waits: Some(waits), .. }) = waiting else {
        return Err(NodeError::NotFound { what: format!("no sweep {id} waits for approval") });
    };
    if by.is_some() && by == asked_by {
        return Err(NodeError::Conflict {
            code: "second-person",
            what: "a sweep is approved by somebody else than who asked for it".to_owned(),
            fix: "let a second person approve it".to_owned(),
        });
    }
    let now = plan::plan(node, as_of);
    if now.root.as_bytes() != waits.root {
        let closed = SweepClosed {
            id: id.to_owned(),
            state: "stopped".to_owned(),
            report: waits.report,
            at: node.now().0,
        };
        node.decree(Record::SweepClosed(closed)).await?;
        return Err(NodeError::Conflict {
            code: "plan-changed",
            what: "what is due has changed since the plan was made".to_owned(),
            fix: "run the sweep again and approve the new plan".to_owned(),
        });
    }
    let rows = plan::rows(&node.partitions, as_of);
    let quota = rows.iter().map(|r| i64::try_from(r.len()).unwrap_or(i64::MAX)).collect();
    let root = Some(waits.root);
    order(node, Ordered { id: id.to_owned(), as_of, quota, root, by, asked: None }).await
}

/// The plan and what was expected, when the brake stops it.
fn braked(node: &Node, brake: Option<&Brake>, as_of: Millis) -> Option<(plan::Plan, u64)> {
    let brake = brake?;
    let forecast = brake::forecast(&finished(node))?;
    let plan = plan::plan(node, as_of);
    let stops = brake::brakes(brake, plan.report.in_flight, forecast);
    stops.then_some((plan, forecast))
}

/// Reports of finished sweeps, oldest first.
fn finished(node: &Node) -> Vec<Report> {
    node.with_control(|c| {
        let mut closed: Vec<_> = c.sweeps.values().filter_map(|s| Some((s.k, s.closed.as_ref()?))).collect();
        closed.sort_by_key(|(k, _)| *k);
        let finished = closed.iter().filter(|(_, (state, _))| state == "finished");
        finished.filter_map(|(_, (_, report))| serde_json::from_str(report).ok()).collect()
    })
}

/// What a sweep is ordered with.
struct Ordered {
    id: String,
    as_of: Millis,
    quota: Vec<i64>,
    root: Option<Vec<u8>>,
    by: Option<String>,
    asked: Option<Vec<u8>>,
}

async fn order(node: &Node, order: Ordered) -> Result<String, NodeError> {
    let record = SweepOrdered {
        id: order.id.clone(),
        as_of: order.as_of.0,
        planned_k: i64::try_from(node.with_control(|c| c.k)).unwrap_or(i64::MAX),
        quota: order.quota,
        root: order.root,
        by: order.by,
        at: node.now().0,
        asked: order.asked,
    };
    let k = node.decree(Record::SweepOrdered(record)).await?;
    node.has_come_through(k).await;
    node.registry().nudge();
    Ok(order.id)
}

/// A sweep never outruns intake: how far HTTP counts as read, which keeps no position. How far each source has been
/// read, and which shapes wait for it, every partition knows by itself.
pub fn watermark(node: &Node) -> Millis {
    node.now().plus(-node.options().settle_ms)
}

/// The limit, shared among the partitions in the order of their rows.
pub fn share(limit: u64, rows: &[Vec<plan::PlanRow>]) -> Vec<i64> {
    let mut left = limit;
    rows.iter()
        .map(|rows| {
            let mine = left.min(rows.iter().filter(|row| row.new).count() as u64);
            left -= mine;
            i64::try_from(mine).unwrap_or(i64::MAX)
        })
        .collect()
}

/// Cron, and closing what has come to rest, for ever.
pub async fn run(node: Arc<Node>) {
    let mut last = node.now();
    loop {
        let _ = tokio::time::timeout(Duration::from_millis(100), node.moved.notified()).await;
        close_settled(&node).await;
        let now = node.now();
        if now.0 - last.0 < Millis::SECOND || node.options().simulated {
            continue;
        }
        let active = node.with_control(|c| c.policy.clone());
        let next =
            active.and_then(|a| Cron::parse(&a.policy.sweep.schedule).ok()?.next_after(&a.calendar, last));
        let due = next.is_some_and(|at| at <= now);
        last = now;
        if !due {
            continue;
        }
        if let Err(error) = start(&node, None, None).await {
            tracing::error!(%error, "the scheduled sweep could not start");
        }
        if let Err(error) = evidence::end(&node).await {
            tracing::error!(%error, "evidence that is over could not be forgotten: tried again after the next sweep");
        }
    }
}

/// Writes the report of every running sweep that has come to rest.
pub async fn close_settled(node: &Node) {
    let running: Vec<String> = node.with_control(|c| {
        c.sweeps.values().filter(|s| s.closed.is_none() && s.waits.is_none()).map(|s| s.id.clone()).collect()
    });
    for id in running {
        if is_settled(node, &id)
            && let Err(error) = close(node, &id).await
        {
            tracing::warn!(%error, sweep = id, "its report could not be written yet");
        }
    }
}

async fn close(node: &Node, id: &str) -> Result<(), NodeError> {
    if !node.take_closing(id) {
        return Ok(());
    }
    let stopped = node.with_control(|c| c.stopped);
    let mut report = report(node, id);
    // A try that began meanwhile would stand in it as under way.
    if !is_settled(node, id) {
        node.put_back_closing(id);
        return Ok(());
    }
    let started = node.with_control(|c| c.sweeps.get(id).map(|s| s.ordered)).unwrap_or_default();
    report.seconds = (node.now().0 - started.0) as f64 / 1000.0;
    let record = SweepClosed {
        id: id.to_owned(),
        state: if stopped { "stopped" } else { "finished" }.to_owned(),
        report: serde_json::to_string(&report).unwrap_or_default(),
        at: node.clock.now().0,
    };
    if let Err(error) = node.decree(Record::SweepClosed(record)).await {
        node.put_back_closing(id);
        return Err(error);
    }
    node.keep_checkpoint();
    Ok(())
}

fn is_settled(node: &Node, id: &str) -> bool {
    let verifies = |system: &str| matches!(node.registry().connector(system), Some(Ok(connector)) if connector.describe().verify);
    let broken = |system: &str| node.registry().dispatcher(system).is_some_and(|d| d.is_broken());
    is_at_rest(&node.partitions, id, &verifies, &broken)
}

/// The same where every system can be reached.
pub fn has_settled(partitions: &[Arc<Partition>], id: &str, verifies: &dyn Fn(&str) -> bool) -> bool {
    is_at_rest(partitions, id, verifies, &|_| false)
}

/// Every partition has applied it, and nothing that could still move by itself does. `verifies` says of a system
/// whether what it says can be read back, `broken` that it cannot be reached.
fn is_at_rest(
    partitions: &[Arc<Partition>],
    id: &str,
    verifies: &dyn Fn(&str) -> bool,
    broken: &dyn Fn(&str) -> bool,
) -> bool {
    partitions.iter().all(|partition| {
        let inner = partition.read();
        inner.state.slices.contains_key(id)
            && [Stand::Owed, Stand::Ordered, Stand::Executed, Stand::Failed].iter().all(|stand| {
                inner.state.duties.standing(*stand).all(|duty| !is_moving(&inner, duty, verifies, broken))
            })
    })
}

fn is_moving(
    inner: &Inner,
    duty: &Obligation,
    verifies: &dyn Fn(&str) -> bool,
    broken: &dyn Fn(&str) -> bool,
) -> bool {
    let (state, control) = (&inner.state, &inner.state.control);
    let system = &*duty.place.system;
    let sendable =
        !control.stopped && control.mode(system) == Mode::Enforce && control.is_open(system, state.now);
    let ripe = || duty.not_before.is_none_or(|at| at <= state.now);
    match duty.stand {
        // What waits for another duty moves when that one does.
        Stand::Owed => sendable && ripe() && !broken(system) && !waits(state, duty),
        Stand::Ordered => true,
        Stand::Executed => awaits_read_back(duty) && duty.unread < MAX_UNREAD && verifies(&duty.place.system),
        Stand::Failed => sendable && duty.may_retry && duty.tries < MAX_TRIES,
        Stand::Accepted | Stand::Verified | Stand::Blocked | Stand::Residual | Stand::Refused => false,
        Stand::OutOfReach | Stand::Observed | Stand::Withdrawn => false,
    }
}

/// The copies owed at its end, those from earlier sweeps included.
pub fn report(node: &Node, id: &str) -> Report {
    report_of(node, id, Subjects::Now)
}

fn report_of(node: &Node, id: &str, subjects: Subjects) -> Report {
    node.report_of(subjects, |duty| {
        let mine = matches!(&duty.cause, Cause::Sweep(sweep) if **sweep == *id);
        mine || (!duty.stand.is_gone() && duty.stand != Stand::Withdrawn)
    })
}

/// A sweep as it stands, or as it was reported.
pub fn view(node: &Node, id: &str) -> Option<SweepView> {
    let info = node.with_control(|c| c.sweeps.get(id).cloned())?;
    let (state, report) = match (&info.closed, &info.waits) {
        (Some((state, json)), _) => (state.clone(), serde_json::from_str(json).unwrap_or_default()),
        (None, Some(waits)) => {
            ("awaiting_approval".to_owned(), serde_json::from_str(&waits.report).unwrap_or_default())
        }
        (None, None) => {
            let count = || report_of(node, id, Subjects::Lately);
            ("running".to_owned(), node.counted.report(id, || node.clock.monotonic(), count))
        }
    };
    let mode = info.by.clone().unwrap_or_else(|| "cron".to_owned());
    Some(SweepView { id: info.id, state, mode, as_of: info.as_of.to_string(), report })
}

/// The stop switch.
pub async fn switch(node: &Node, stopped: bool, by: Option<String>) -> Result<(), NodeError> {
    node.decree(Record::SweepSwitch(SweepSwitch { stopped, by, at: node.clock.now().0 })).await?;
    node.registry().nudge();
    Ok(())
}
