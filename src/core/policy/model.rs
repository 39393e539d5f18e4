//! A policy, as the rest of the program sees it: parsed, complete with defaults, every name resolved.

use std::collections::BTreeMap;

use crate::time::Millis;
use crate::verdict::Action;

/// One company's policy. One is active per ledger.
#[derive(Clone, Debug, PartialEq)]
pub struct Policy {
    pub name: String,
    /// IANA name; whole days are counted in this zone.
    pub timezone: String,
    pub effective: Option<Millis>,
    pub regimes: Vec<String>,
    /// How long requests, certificates and evidence are kept. Default 3 years.
    pub evidence: Span,
    /// Month and day on which the fiscal year begins.
    pub fiscal_year: Option<(i8, i8)>,
    /// Jurisdiction → where its data may lie.
    pub residency: BTreeMap<String, Residency>,
    /// Group → members.
    pub jurisdictions: BTreeMap<String, Vec<String>>,
    /// The company's own category keys → title.
    pub categories: BTreeMap<String, Option<String>>,
    pub events: BTreeMap<String, EventDecl>,
    pub purposes: BTreeMap<String, Purpose>,
    pub rules: Vec<Rule>,
    pub sweep: SweepPlan,
    /// What a released hold re-queues waits this long, in milliseconds. Default 24 h.
    pub cool_down: i64,
    /// Shortened clocks: regime → request type → span text as written.
    pub clocks: BTreeMap<String, BTreeMap<String, Span>>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Residency {
    pub store_in: Vec<String>,
    pub except: Vec<String>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EventDecl {
    pub level: Level,
    /// The start when the event has not come.
    pub assume: Option<Assume>,
    pub open_ended: bool,
    /// The event that takes it back.
    pub undone_by: Option<String>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Level {
    Subject,
    Process,
    Item,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Assume {
    Start(Start),
    Period(Period),
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Purpose {
    /// Fideslang data use.
    pub data_use: String,
    pub basis: Basis,
    /// A contract's relationship has ended: only opens what an erasure request may end.
    pub ended_by: Option<String>,
    /// Subset of withdraw, object, erase; the default follows from the basis.
    pub ends_on: Vec<EndsOn>,
    /// `ends_on` was written, so it stands as written; otherwise the basis decides case by case.
    pub overrides: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Basis {
    Consent,
    Contract,
    LegalObligation,
    VitalInterests,
    PublicInterest,
    LegitimateInterests,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EndsOn {
    Withdraw,
    Object,
    Erase,
}

#[derive(Clone, Debug, PartialEq)]
pub struct Rule {
    pub id: String,
    pub selectors: Selectors,
    pub keep: Option<Keep>,
    pub at_least: Option<Period>,
    /// What happens at the end of `keep` (of a staged rule: its last stage). Default erase.
    pub then: Action,
    pub name: Option<String>,
    pub law: Option<String>,
    pub clause: Option<String>,
    pub note: Option<String>,
    pub locked: bool,
    /// 1-based place in the file, for messages.
    pub line: usize,
    pub column: usize,
}

/// Which (category, purpose, jurisdiction, system, service, controller) a rule speaks for; an empty list = all.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Selectors {
    pub category: Vec<String>,
    pub purpose: Vec<String>,
    pub jurisdiction: Vec<String>,
    pub system: Vec<String>,
    pub service: Vec<String>,
    pub controller: Vec<String>,
}

#[derive(Clone, Debug, PartialEq)]
pub enum Keep {
    For(Period),
    Indefinitely {
        why: String,
    },
    /// In order; the last is the maximum.
    Stages(Vec<Stage>),
}

#[derive(Clone, Debug, PartialEq)]
pub struct Stage {
    pub action: Action,
    pub period: Period,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Period {
    Simple {
        span: Span,
        start: Start,
        edge: Option<Edge>,
    },
    /// Ignores what has not come.
    Earliest(Vec<Period>),
    /// Waits for it.
    Latest(Vec<Period>),
}

/// A length: whole months and days counted locally, or an exact length in milliseconds; never both.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Span {
    Days {
        months: i32,
        days: i32,
    },
    Exact {
        millis: i64,
    },
    /// Only in `clocks:`.
    WorkingDays(i32),
}

#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Start {
    Recorded,
    LastActivity,
    Granted,
    Withdrawn,
    Event(String),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Edge {
    Day,
    Month,
    Quarter,
    Year,
    FiscalYear,
}

#[derive(Clone, Debug, PartialEq)]
pub struct SweepPlan {
    /// Five or six cron fields, in the policy's zone. Default 02:00 daily.
    pub schedule: String,
    /// At most this many obligations a sweep.
    pub limit: Option<u64>,
    pub brake: Option<Brake>,
}

#[derive(Clone, Debug, PartialEq)]
pub struct Brake {
    pub times_forecast: u32,
    pub at_least_items: u64,
}
