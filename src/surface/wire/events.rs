//! `POST /v1/events`

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::intake::{Refused, remedy};

/// 202: what is accepted is fsynced in the ledger. 422 when everything was rejected.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct EventsAnswer {
    /// Duplicates included.
    pub accepted: u64,
    pub rejected: Vec<RejectedView>,
}

/// One event that was not taken. `detail` never repeats a value of it.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct RejectedView {
    /// Its place in the batch, from 0.
    pub index: u64,
    /// The event's own id, where it could be read.
    pub id: Option<String>,
    pub code: String,
    pub detail: String,
    /// How to mend it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fix: Option<String>,
}

impl RejectedView {
    pub fn of(index: u64, why: Refused) -> Self {
        let fix = remedy(why.code).map(str::to_owned);
        Self { index, id: why.id, code: why.code.to_owned(), detail: why.detail, fix }
    }
}
