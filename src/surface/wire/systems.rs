//! `/v1/systems`

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::{Finding, ReapplyView};

/// A system was registered, or its mode was set.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct SystemAnswer {
    pub name: String,
    /// `created`, `changed`, `unchanged`.
    pub result: String,
    /// `observe` or `enforce`.
    pub mode: String,
    pub warnings: Vec<Finding>,
}

/// `GET /v1/systems[/{name}]`
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct SystemView {
    pub name: String,
    pub kind: String,
    pub mode: String,
    pub owner: Option<String>,
    pub region: Option<String>,
    /// A connector for it could be made.
    pub connected: bool,
    /// Duties that are neither carried out nor withdrawn.
    pub open: u64,
    /// The last restore that was told, and how far its erasures are verified again. Not to be opened before they are.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub restored: Option<ReapplyView>,
    /// It was restored, and not verified again: it is neither scanned, observed nor retired, and fails its check.
    pub closed: bool,
    /// In its canonical form; secrets are references.
    #[schema(value_type = Object)]
    pub manifest: serde_json::Value,
}

/// `POST /v1/systems/{name}/check`
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct CheckView {
    /// Nothing stands against `enforce`.
    pub ok: bool,
    pub problems: Vec<ProblemView>,
}

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct ProblemView {
    /// Stops `enforce`; else a warning.
    pub fatal: bool,
    pub code: String,
    /// `dataset.collection[.field]`, or the system.
    pub place: String,
    pub detail: String,
    pub fix: String,
}
