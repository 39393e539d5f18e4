//! `/v1/sweeps`

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// `plan: true` answers 200 with the plan and changes nothing.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields, default)]
pub struct SweepBody {
    pub plan: bool,
    /// Of a plan: every row of it too.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub rows: bool,
}

/// 202
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct SweepStarted {
    /// `sw_…`
    pub id: String,
    /// `running`, `awaiting_approval`, `finished`, `stopped`, `failed`.
    pub state: String,
}

/// `/v1/sweeps/stop`, `/v1/sweeps/resume`
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct SwitchView {
    pub stopped: bool,
}
