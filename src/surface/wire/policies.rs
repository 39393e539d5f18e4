//! `/v1/policies`

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::Finding;

/// A policy was stored or published.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct PolicyAnswer {
    pub name: String,
    /// `created`, `changed`, `unchanged`, `published`.
    pub result: String,
    /// The active version, when this document is the active one.
    pub version: Option<u64>,
    pub warnings: Vec<Finding>,
}

/// `GET /v1/policies[/{name}]`
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct PolicyView {
    pub name: String,
    pub active: bool,
    /// Of the active document of this name.
    pub version: Option<u64>,
    pub published_at: Option<String>,
    /// As its author wrote it.
    pub document: String,
}

/// `POST /v1/policies/{name}/plan`: what publishing the stored document would change, counted now.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct PolicyPlan {
    pub name: String,
    /// Copies due now under the active policy.
    pub due_now: u64,
    /// Copies due now under this one.
    pub due_then: u64,
    /// Copies whose date comes earlier or later; no date is later than any.
    pub earlier: u64,
    pub later: u64,
    /// Copies due then, and not now.
    pub newly: u64,
    /// Copies due now, and not then.
    pub no_longer: u64,
    pub uncovered_now: u64,
    pub uncovered_then: u64,
    pub by_rule: Vec<RuleDiff>,
    pub warnings: Vec<Finding>,
}

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct RuleDiff {
    pub rule: String,
    /// `added`, `removed`, `changed`, `same`.
    pub change: String,
    /// Copies of which this rule decides a part that is due now.
    pub due_now: u64,
    pub due_then: u64,
    /// Of those copies: whose date by this rule comes earlier or later, is due newly, is due no longer.
    pub earlier: u64,
    pub later: u64,
    pub newly: u64,
    pub no_longer: u64,
}

/// `GET /v1/policies/{name}/uncovered`: a part that no date can be given.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct UncoveredView {
    /// `it_…`
    pub item: String,
    pub system: String,
    pub dataset: String,
    pub category: String,
    pub purposes: Vec<String>,
    /// `uncovered`: no rule; `undated`: no starting point.
    pub open: String,
}
