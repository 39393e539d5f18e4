//! A node's own state.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// `GET /v1/partitions`
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct PartitionView {
    pub partition: u32,
    /// The offset of the next frame to be applied.
    pub applied: u64,
    /// The ledger's next offset.
    pub end: u64,
    pub lag: u64,
    /// The control log's position in force here.
    pub control: u64,
    /// The last tick, RFC 3339.
    pub now: String,
    pub items: u64,
    pub copies: u64,
}

/// `POST /v1/clock/accept`
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct ClockView {
    pub now: String,
}

/// `GET /healthz`, `GET /readyz`
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct HealthView {
    /// `ok`, `not_ready`
    pub state: String,
    /// What it waits for.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub because: Vec<String>,
}
