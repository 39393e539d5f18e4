//! Why something is kept, or due when: every rule that applies, the winner, the date.

use std::collections::BTreeMap;

use quietus_core::verdict::{RuleKind, Verdict};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// `POST /v1/explain`: an item, or a subject, or where a record lies.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields, default)]
pub struct ExplainBody {
    /// The company's id, or `it_…`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub item: Option<String>,
    /// `type:value`
    #[serde(skip_serializing_if = "Option::is_none")]
    pub subject: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub system: Option<String>,
    /// `dataset.collection`
    #[serde(skip_serializing_if = "Option::is_none")]
    pub dataset: Option<String>,
    /// Column → value.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<BTreeMap<String, String>>)]
    pub locator: Option<BTreeMap<String, serde_json::Value>>,
    /// As of this time, RFC 3339; left out = now.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub at: Option<String>,
}

/// One item, explained. Unknown and never are null.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct ExplainView {
    pub item: String,
    /// `live` or `gone`.
    #[serde(default)]
    pub state: String,
    /// The latest of its copies'.
    pub due: Option<String>,
    pub copies: Vec<CopyExplained>,
}

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct CopyExplained {
    pub system: String,
    pub dataset: String,
    /// Where it stands, in a look-up's words.
    #[serde(default)]
    pub outcome: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub verified: Option<String>,
    /// The latest of its parts'.
    pub due: Option<String>,
    pub parts: Vec<PartExplained>,
}

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct PartExplained {
    pub category: String,
    /// The later of its `keep` and a binding minimum.
    pub due: Option<String>,
    /// Exactly one wins where there is a date.
    pub rules: Vec<RuleExplained>,
    /// Why there is no date: `uncovered`, `undated`, `waiting`, `indefinite`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub open: Option<String>,
    /// Ids of the holds in force on it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub holds: Vec<String>,
}

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct RuleExplained {
    pub id: String,
    /// `keep` or `at_least`.
    pub kind: String,
    /// The purpose it spoke for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub purpose: Option<String>,
    pub start: Option<String>,
    pub due: Option<String>,
    pub wins: bool,
}

impl ExplainView {
    /// A verdict in words that travel; `places` names the copies in the verdict's order.
    pub fn of(item: String, verdict: &Verdict, places: &[(String, String)]) -> Self {
        let copies = verdict.copies.iter().zip(places);
        Self {
            item,
            due: verdict.due.map(|d| d.to_string()),
            copies: copies
                .map(|(copy, (system, dataset))| CopyExplained {
                    system: system.clone(),
                    dataset: dataset.clone(),
                    due: copy.due.map(|d| d.to_string()),
                    parts: copy.parts.iter().map(part).collect(),
                    ..CopyExplained::default()
                })
                .collect(),
            ..Self::default()
        }
    }
}

fn part(part: &quietus_core::verdict::PartVerdict) -> PartExplained {
    let rules = part.rules.iter().map(|rule| RuleExplained {
        id: rule.id.clone(),
        kind: match rule.kind {
            RuleKind::Keep => "keep",
            RuleKind::AtLeast => "at_least",
        }
        .to_owned(),
        purpose: rule.purpose.clone(),
        start: rule.start.map(|s| s.to_string()),
        due: rule.due.map(|d| d.to_string()),
        wins: rule.wins,
    });
    PartExplained {
        category: part.category.clone(),
        due: part.due.map(|d| d.to_string()),
        rules: rules.collect(),
        open: part.open.map(|open| open_word(open).to_owned()),
        holds: Vec::new(),
    }
}

/// The outward word for why a part has no date.
pub fn open_word(open: quietus_core::verdict::Open) -> &'static str {
    use quietus_core::verdict::Open;
    match open {
        Open::Uncovered => "uncovered",
        Open::Undated => "undated",
        Open::Waiting => "waiting",
        Open::Indefinite => "indefinite",
    }
}
