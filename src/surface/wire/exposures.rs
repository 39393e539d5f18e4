//! `/v1/exposures`

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::node::Exposure;

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ExposureBody {
    pub system: String,
    /// RFC 3339.
    pub from: String,
    /// RFC 3339.
    pub to: String,
}

/// What lay in a system at any moment of that time.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct ExposureView {
    pub system: String,
    pub from: String,
    pub to: String,
    pub subjects: u64,
    pub items: u64,
    pub copies: u64,
    /// Copies whose start nobody knows: they count as there.
    pub undated: u64,
    pub by: Vec<ExposedView>,
}

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct ExposedView {
    pub category: String,
    /// Null = it never had one.
    pub purpose: Option<String>,
    pub subjects: u64,
    pub items: u64,
}

impl ExposureView {
    pub fn of(body: ExposureBody, exposure: Exposure) -> Self {
        let row = |((category, purpose), n): ((String, Option<String>), crate::node::Exposed)| ExposedView {
            category,
            purpose,
            subjects: n.subjects,
            items: n.items,
        };
        Self {
            system: body.system,
            from: body.from,
            to: body.to,
            subjects: exposure.subjects,
            items: exposure.items,
            copies: exposure.copies,
            undated: exposure.undated,
            by: exposure.by.into_iter().map(row).collect(),
        }
    }
}
