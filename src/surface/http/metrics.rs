//! `/metrics`: Prometheus text, worked out from the states when it is asked for.
//!
//! What needs every item looked at (due, uncovered, undated, overdue) is looked at no more often than it takes: a
//! scrape in between is told the last count. Labels are names of systems, sources and states, never identities.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::sync::atomic::Ordering;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use axum::extract::State;
use axum::http::header;
use axum::response::IntoResponse;
use quietus_core::engine::{judge, wishes};
use quietus_core::time::Millis;
use quietus_core::verdict::Open;

use super::problem::Refused;
use super::{App, Shared};
use crate::node::Node;
use crate::partition::outcome_name;

/// A scan is believed for this long, and for twenty times what it took.
const FRESH: Duration = Duration::from_secs(5);

#[derive(Debug, Default)]
pub(super) struct Scan {
    last: Mutex<Option<(Duration, Duration, Seen)>>,
}

/// What only a look at every item can tell.
#[derive(Clone, Debug, Default)]
struct Seen {
    due: u64,
    uncovered: u64,
    undated: u64,
    /// System → milliseconds since the oldest that should be gone fell due.
    overdue: BTreeMap<String, i64>,
}

#[utoipa::path(get, path = "/metrics", tag = "node", responses((status = 200, body = String, content_type = "text/plain")))]
pub(super) async fn scrape(State(app): State<Shared>) -> Result<impl IntoResponse, Refused> {
    let text = super::blocking(move || text(&app)).await?;
    Ok(([(header::CONTENT_TYPE, "text/plain; version=0.0.4; charset=utf-8")], text))
}

/// One family: its name, its kind, its help, its samples.
struct Page(String);

impl Page {
    fn family(&mut self, name: &str, kind: &str, help: &str) {
        let _ = writeln!(self.0, "# HELP {name} {help}\n# TYPE {name} {kind}");
    }

    fn sample(&mut self, name: &str, labels: &[(&str, &str)], value: f64) {
        self.0.push_str(name);
        for (n, (label, text)) in labels.iter().enumerate() {
            let text = text.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n");
            let _ = write!(self.0, "{}{label}=\"{text}\"", if n == 0 { '{' } else { ',' });
        }
        let _ = writeln!(self.0, "{} {value}", if labels.is_empty() { "" } else { "}" });
    }

    fn one(&mut self, name: &str, kind: &str, help: &str, value: f64) {
        self.family(name, kind, help);
        self.sample(name, &[], value);
    }
}

fn text(app: &App) -> String {
    let mut page = Page(String::with_capacity(8 << 10));
    page.family("quietus_build_info", "gauge", "The running version.");
    page.sample("quietus_build_info", &[("version", env!("CARGO_PKG_VERSION"))], 1.0);
    intake(&mut page, &app.node);
    items(&mut page, app);
    duties(&mut page, &app.node);
    systems(&mut page, &app.node);
    holds(&mut page, &app.node);
    requests(&mut page, &app.node);
    page.family("quietus_sweep_last_success_timestamp_seconds", "gauge", "When the last sweep finished.");
    if let Some(at) = last_success(&app.node) {
        page.sample("quietus_sweep_last_success_timestamp_seconds", &[], at);
    }
    page.family(
        "quietus_audit_verified_timestamp_seconds",
        "gauge",
        "When the audit chain was last verified whole.",
    );
    let audited = app.audited.load(Ordering::Relaxed);
    if audited != 0 {
        page.sample("quietus_audit_verified_timestamp_seconds", &[], audited as f64 / 1000.0);
    }
    page.0
}

fn intake(page: &mut Page, node: &Node) {
    let counters = node.metrics.snapshot();
    page.family("quietus_events_total", "counter", "Events by source and what became of them.");
    for ((source, outcome), count) in &counters.events {
        page.sample("quietus_events_total", &[("source", source), ("outcome", outcome)], *count as f64);
    }
    page.family("quietus_dead_letters", "gauge", "Records that could not be read and wait for a person.");
    let mut letters: BTreeMap<(String, String), u64> = BTreeMap::new();
    for partition in node.partitions.iter() {
        for letter in partition.read().state.dead_letters.all() {
            *letters.entry((letter.source.clone(), letter.reason.clone())).or_default() += 1;
        }
    }
    for ((source, reason), count) in &letters {
        page.sample("quietus_dead_letters", &[("source", source), ("reason", reason)], *count as f64);
    }
    page.family(
        "quietus_ledger_lag_records",
        "gauge",
        "Durable frames that the partition has not applied yet.",
    );
    for (partition, lag) in node.lags().into_iter().enumerate() {
        page.sample("quietus_ledger_lag_records", &[("partition", &partition.to_string())], lag as f64);
    }
    page.family(
        "quietus_oldest_forgettable_seconds",
        "gauge",
        "Age of the oldest frame that the ledger has; bounded where `ledger.truncate` is on.",
    );
    if let Some(age) = node.oldest_forgettable() {
        page.sample("quietus_oldest_forgettable_seconds", &[], age.0 as f64 / 1000.0);
    }
    page.family(
        "quietus_source_watermark_seconds",
        "gauge",
        "Unix time up to which the source has been read.",
    );
    let http = node.clock.now().plus(-node.options().settle_ms);
    page.sample("quietus_source_watermark_seconds", &[("source", "http")], http.0 as f64 / 1000.0);
    let names: Vec<String> = node.with_control(|c| {
        c.sources.iter().filter(|(_, s)| s.document.is_some()).map(|(name, _)| name.clone()).collect()
    });
    let states: Vec<_> =
        names.iter().filter_map(|name| Some((name, node.source_state(name).ok()?))).collect();
    for (source, state) in &states {
        if let Some(at) = state.watermark {
            page.sample("quietus_source_watermark_seconds", &[("source", source)], at.0 as f64 / 1000.0);
        }
    }
    page.family("quietus_source_lag_records", "gauge", "Records of the source that wait to be read.");
    for (source, state) in &states {
        if let Some(lag) = state.lag {
            page.sample("quietus_source_lag_records", &[("source", source)], lag as f64);
        }
    }
    page.family(
        "quietus_source_up",
        "gauge",
        "1 = running; a source that is not holds back the sweep of what it feeds.",
    );
    for (source, state) in &states {
        page.sample(
            "quietus_source_up",
            &[("source", source)],
            f64::from(u8::from(state.state == "running")),
        );
    }
}

fn items(page: &mut Page, app: &App) {
    let live: u64 = app.node.partitions.iter().map(|p| p.read().state.alive.items).sum();
    page.one("quietus_items", "gauge", "Items that live.", live as f64);
    let seen = app.scan.seen(&app.node);
    page.one("quietus_due_items", "gauge", "Live items with something due.", seen.due as f64);
    page.one(
        "quietus_uncovered_items",
        "gauge",
        "Live items with a part no rule covers.",
        seen.uncovered as f64,
    );
    page.one(
        "quietus_undated_items",
        "gauge",
        "Live items with a part of unknown start.",
        seen.undated as f64,
    );
    page.family("quietus_oldest_overdue_seconds", "gauge", "Since when the oldest part here should be gone.");
    for (system, ms) in &seen.overdue {
        page.sample("quietus_oldest_overdue_seconds", &[("system", system)], *ms as f64 / 1000.0);
    }
}

fn duties(page: &mut Page, node: &Node) {
    let mut stands: BTreeMap<(String, &'static str), u64> = BTreeMap::new();
    let mut back: BTreeMap<String, u64> = BTreeMap::new();
    for partition in node.partitions.iter() {
        let inner = partition.read();
        for (system, count) in &inner.state.resurrected {
            *back.entry(system.clone()).or_default() += count;
        }
        for (system, stand, count) in inner.state.duties.tallies() {
            let state = match stand {
                quietus_core::obligation::Stand::Withdrawn => "withdrawn",
                stand => outcome_name(stand),
            };
            *stands.entry((system.to_string(), state)).or_default() += count;
        }
    }
    page.family("quietus_obligations", "gauge", "Duties by system and where they stand.");
    for ((system, state), count) in &stands {
        page.sample("quietus_obligations", &[("system", system), ("state", state)], *count as f64);
    }
    page.family("quietus_resurrections_total", "counter", "Erased data that was found again.");
    for (system, count) in &back {
        page.sample("quietus_resurrections_total", &[("system", system)], *count as f64);
    }
}

fn systems(page: &mut Page, node: &Node) {
    let counters = node.metrics.snapshot();
    page.family("quietus_commands_total", "counter", "Targets of calls to connectors, by outcome.");
    for ((system, action, outcome), count) in &counters.commands {
        let labels = [("system", system.as_str()), ("action", action), ("outcome", outcome)];
        page.sample("quietus_commands_total", &labels, *count as f64);
    }
    page.family("quietus_command_duration_seconds", "summary", "How long calls to connectors took.");
    for ((system, action), (calls, seconds)) in &counters.durations {
        let labels = [("system", system.as_str()), ("action", action)];
        page.sample("quietus_command_duration_seconds_sum", &labels, *seconds);
        page.sample("quietus_command_duration_seconds_count", &labels, *calls as f64);
    }
    page.family("quietus_system_up", "gauge", "1 = connected, and it answered its last call.");
    let names: Vec<String> = node.with_control(|c| c.systems.keys().cloned().collect());
    for name in names {
        let up = matches!(node.registry().connector(&name), Some(Ok(_))) && !counters.down.contains(&name);
        page.sample("quietus_system_up", &[("system", &name)], f64::from(u8::from(up)));
    }
}

fn holds(page: &mut Page, node: &Node) {
    let mut states = BTreeMap::from([("placing", 0u64), ("effective", 0), ("released", 0)]);
    let (mut count, mut seconds) = (0u64, 0.0);
    node.with_control(|c| {
        for hold in c.holds.values() {
            let state = match (hold.released, hold.effective) {
                (Some(_), _) => "released",
                (None, Some(_)) => "effective",
                (None, None) => "placing",
            };
            *states.entry(state).or_default() += 1;
            if let Some(effective) = hold.effective {
                count += 1;
                seconds += (effective.0 - hold.placed.0) as f64 / 1000.0;
            }
        }
    });
    page.family("quietus_holds", "gauge", "Legal holds by state.");
    for (state, count) in &states {
        page.sample("quietus_holds", &[("state", state)], *count as f64);
    }
    page.family(
        "quietus_hold_barrier_duration_seconds",
        "summary",
        "From the placing of a hold until it was effective.",
    );
    page.sample("quietus_hold_barrier_duration_seconds_sum", &[], seconds);
    page.sample("quietus_hold_barrier_duration_seconds_count", &[], count as f64);
}

fn requests(page: &mut Page, node: &Node) {
    let mut states: BTreeMap<(&'static str, String), u64> = BTreeMap::new();
    let mut next: Option<Millis> = None;
    for (request, state) in node.requests() {
        let word = serde_json::to_value(state).ok().and_then(|w| w.as_str().map(str::to_owned));
        *states.entry((request.kind.name(), word.unwrap_or_default())).or_default() += 1;
        if state.is_open() {
            next = Some(next.map_or(request.due, |n| n.min(request.due)));
        }
    }
    page.family("quietus_requests", "gauge", "Requests by type and state.");
    for ((kind, state), count) in &states {
        page.sample("quietus_requests", &[("type", kind), ("state", state)], *count as f64);
    }
    page.family(
        "quietus_request_next_deadline_seconds",
        "gauge",
        "Until the next open request must be answered.",
    );
    if let Some(next) = next {
        let left = (next.0 - node.clock.now().0) as f64 / 1000.0;
        page.sample("quietus_request_next_deadline_seconds", &[], left);
    }
}

/// A sweep's end: its order, and the seconds that its report says it took.
fn last_success(node: &Node) -> Option<f64> {
    let ended = |s: &quietus_core::engine::control::SweepInfo| {
        let (_, report) = s.closed.as_ref().filter(|(state, _)| state == "finished")?;
        let report: crate::partition::Report = serde_json::from_str(report).ok()?;
        Some(s.ordered.0 as f64 / 1000.0 + report.seconds)
    };
    node.with_control(|c| c.sweeps.values().filter_map(ended).reduce(f64::max))
}

impl Scan {
    fn seen(&self, node: &Node) -> Seen {
        // Two scrapes at once wait for one scan.
        let mut last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
        let now = node.clock.monotonic();
        if let Some((at, took, seen)) = last.as_ref()
            && now.saturating_sub(*at) < FRESH.max(*took * 20)
        {
            return seen.clone();
        }
        let seen = look(node);
        let after = node.clock.monotonic();
        *last = Some((after, after.saturating_sub(now), seen.clone()));
        seen
    }
}

fn look(node: &Node) -> Seen {
    let mut seen = Seen::default();
    let now = node.clock.now();
    node.each_life(|inner, life, subject| {
        let control = &inner.state.control;
        let Some(active) = &control.policy else { return };
        let verdict = judge(active, control, life, subject, now);
        let live = life.item.copies.iter().zip(&verdict.copies).filter(|(c, _)| c.is_live());
        let open = |which: Open| live.clone().any(|(_, v)| v.parts.iter().any(|p| p.open == Some(which)));
        seen.uncovered += u64::from(open(Open::Uncovered));
        seen.undated += u64::from(open(Open::Undated));
        let wishes = wishes(control, life, subject, quietus_core::time::Moment::at(now));
        seen.due += u64::from(!wishes.is_empty());
        for wish in wishes.iter().filter(|w| w.stop.is_none()) {
            let known = seen.overdue.entry(wish.place.system.to_string()).or_default();
            *known = (*known).max(now.0 - wish.due.0);
        }
    });
    seen
}
