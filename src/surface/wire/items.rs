//! Looking up items and subjects. Identities stand in bodies only.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::ItemView;

/// `POST /v1/items/lookup`: by subject, by item, or by where a record lies.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields, default)]
pub struct LookupBody {
    /// `type:value`
    #[serde(skip_serializing_if = "Option::is_none")]
    pub subject: Option<String>,
    /// The company's id, or `it_…`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub item: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub system: Option<String>,
    /// `dataset.collection`
    #[serde(skip_serializing_if = "Option::is_none")]
    pub dataset: Option<String>,
    /// Column → value.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<BTreeMap<String, String>>)]
    pub locator: Option<BTreeMap<String, serde_json::Value>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub limit: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cursor: Option<String>,
}

/// What is unknown is an empty list.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct LookupAnswer {
    pub items: Vec<ItemView>,
    pub next: Option<String>,
}

/// `POST /v1/subjects/lookup`
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct SubjectBody {
    /// `type:value`
    pub subject: String,
}

/// What is known of a person, without saying who it is.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct SubjectView {
    pub known: bool,
    /// Items that live.
    pub items: u64,
    /// Items of which nothing is left.
    pub gone: u64,
    /// Other identities of the same person.
    pub linked: u64,
    /// Ids of this identity's requests.
    pub requests: Vec<String>,
}
