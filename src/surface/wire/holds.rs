//! `/v1/holds`

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// A legal hold to be placed.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct HoldBody {
    pub matter: String,
    pub authority: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reference: Option<String>,
    pub owner: String,
    pub reason: String,
    pub scope: ScopeBody,
    /// When somebody must look at it again: RFC 3339, a date or a time.
    pub review: String,
    #[serde(default)]
    pub confidential: bool,
    /// Corrections it lets through.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub allow: Vec<String>,
}

/// What it covers: AND across fields, OR within one, later items too. Empty is refused; `all` must be typed.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields, default)]
pub struct ScopeBody {
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub all: bool,
    /// `type:value`
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub subjects: Vec<String>,
    /// The company's ids, or `it_…`.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub items: Vec<String>,
    /// The company's ids of processes of `subjects`.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub processes: Vec<String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub categories: Vec<String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub purposes: Vec<String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub systems: Vec<String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub jurisdictions: Vec<String>,
    /// RFC 3339.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub recorded_from: Option<String>,
    /// RFC 3339, inclusive.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub recorded_to: Option<String>,
}

/// 201 with `effective`, 202 with `placing`.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct HoldView {
    pub id: String,
    /// `placing`, `effective`, `released`.
    pub state: String,
    pub effective_at: Option<String>,
    pub covered: Covered,
    /// Commands that partners have accepted already, or that are out.
    pub in_flight: Vec<InFlight>,
    /// Systems with covered copies that expire data by themselves.
    pub not_preserved: Vec<String>,
    /// Partitions that have not read it yet: what is covered there is not counted. They may commit nothing all the same.
    pub waiting_for: Vec<u32>,
    pub placed_at: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub released_at: Option<String>,
    /// Null where it is confidential and the caller may not know.
    pub matter: Option<String>,
    pub authority: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reference: Option<String>,
    pub owner: Option<String>,
    pub reason: Option<String>,
    pub review: String,
    pub confidential: bool,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Covered {
    pub items: u64,
    pub copies: u64,
}

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct InFlight {
    /// `cm_…`
    pub command: String,
    pub system: String,
    /// `ordered` or `accepted`.
    pub outcome: String,
}

/// `?plan=true`: what it would cover. Nothing was changed.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct HoldPlan {
    pub covered: Covered,
    /// System → copies.
    pub by_system: BTreeMap<String, u64>,
}

/// `POST /v1/holds/{id}/release`; the body may be left out.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields, default)]
pub struct ReleaseBody {
    pub reason: Option<String>,
}
