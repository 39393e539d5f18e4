//! `/v1/requests`

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// A data subject request.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct RequestBody {
    /// `erase`, `correct`, `restrict`, `object`, `withdraw`, `access`.
    #[serde(rename = "type")]
    pub kind: String,
    /// `type:value`
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub subject: Option<String>,
    /// Instead of `subject`: the first names the person, the others are linked to it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub identities: Vec<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub regime: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub grounds: Option<String>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub purposes: Vec<String>,
    /// Category → value; null clears.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub corrections: BTreeMap<String, Option<String>>,
    /// `type:value`
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub on_behalf_of: Option<String>,
    /// Nobody has verified yet that who asks is who they say: nothing is done before `/verify-identity`.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub unverified: bool,
}

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct RequestView {
    /// `rq_…`
    pub id: String,
    #[serde(rename = "type")]
    pub kind: String,
    /// `received`, `identity_unverified`, `requires_input`, `awaiting_decision`, `in_progress`, `fulfilled`,
    /// `partly_fulfilled`, `refused`, `nothing_held`, `cancelled`.
    pub state: String,
    pub received: String,
    pub due: String,
    /// Of a restriction: when it was lifted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lifted: Option<String>,
    pub targets: Vec<RequestTargetView>,
}

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct RequestTargetView {
    /// `it_…`
    pub item: String,
    pub system: String,
    pub dataset: String,
    pub categories: Vec<String>,
    /// Of a request for access: what it is held for there.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub purposes: Vec<String>,
    pub outcome: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub verified: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub until: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rule: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub law: Option<String>,
    /// Why it was refused, or what a person must decide.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub detail: Option<String>,
}

/// `/cancel`, `/decide`, `/extend`, `/verify-identity`, `/lift`: what a person says; each verb takes what concerns it.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields, default)]
pub struct MoveBody {
    /// Of `decide`: which purposes.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub purposes: Vec<String>,
    /// Of `decide`: `end` or `keep`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub decision: Option<String>,
    /// Of `extend`: RFC 3339.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub until: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
}
