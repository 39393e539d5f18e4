//! `/v1/reapplies`

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// Erasures again after a restore.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ReapplyBody {
    /// RFC 3339: what was carried out then or later.
    pub since: String,
    /// Left out = every system.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub system: Option<String>,
}

/// `POST /v1/systems/{name}/restored`
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct RestoredBody {
    /// RFC 3339: the state that the system was set back to.
    pub as_of: String,
}

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct ReapplyView {
    /// `ra_…`
    pub id: String,
    /// RFC 3339.
    pub since: String,
    pub system: Option<String>,
    /// The system was restored to the state of `since`: it is not to be opened before `state` is `verified`.
    pub restored: bool,
    /// `running`, `verified` (everything was read back as gone), `stuck` (something waits for a person or a later time).
    pub state: String,
    /// Duties that were owed again.
    pub owed: u64,
    pub verified: u64,
    pub open: u64,
    pub stuck: u64,
}
