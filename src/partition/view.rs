//! An item as people are shown it: where each copy stands, and since when.

use std::sync::Arc;

use quietus_core::engine::{State, judge};
use quietus_core::item::{CopyState, Subject};
use quietus_core::life::Life;
use quietus_core::obligation::{Block, Duty, Obligation, Stand};
use quietus_core::time::Millis;
use serde::{Deserialize, Serialize};

/// `GET /v1/items/{id}` and the rows of a look-up.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct ItemView {
    /// `it_…`
    pub id: String,
    /// `live` or `gone`.
    pub state: String,
    pub generation: u32,
    /// RFC 3339; null = unknown or never.
    pub due: Option<String>,
    pub copies: Vec<CopyView>,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct CopyView {
    pub system: String,
    pub dataset: String,
    pub outcome: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub verified: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub until: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rule: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub law: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub detail: Option<String>,
}

impl ItemView {
    /// `duties`: of its item.
    pub fn of(state: &State, life: &Life, subject: &Subject, duties: &[Arc<Obligation>]) -> Self {
        let mut life = life.clone();
        state.control.complete(&mut life);
        let life = &life;
        let due = state
            .control
            .policy
            .as_ref()
            .and_then(|active| judge(active, &state.control, life, subject, state.now).due)
            .map(|d| d.to_string());
        let copies = life
            .item
            .copies
            .iter()
            .map(|copy| {
                let place = copy.place();
                let duties = duties.iter().map(|duty| &**duty);
                let mine = duties.filter(|d| d.generation == life.item.generation && d.place == place);
                copy_view(&copy.system, &copy.dataset, copy.state, mine.collect())
            })
            .collect();
        Self {
            id: life.item.id.to_string(),
            state: if life.is_ended() { "gone" } else { "live" }.to_owned(),
            generation: life.item.generation,
            due,
            copies,
        }
    }
}

fn copy_view(system: &str, dataset: &str, state: CopyState, mut duties: Vec<&Obligation>) -> CopyView {
    // What is open says more than what is over, and the newest round more than the one before.
    duties.retain(|d| d.stand != Stand::Withdrawn && d.duty != Duty::Correct);
    duties.sort_by_key(|d| (d.stand.is_gone(), std::cmp::Reverse((d.round, d.opened))));
    let open = duties.iter().find(|d| !d.stand.is_gone());
    let gone = duties.iter().find(|d| d.stand.is_gone());
    let duty = match state {
        CopyState::Live => open.or(gone),
        CopyState::Erased { .. } | CopyState::Gone { .. } => gone.or(open),
    };
    let Why { until, rule, law, detail } = duty.map(|duty| Why::of(duty)).unwrap_or_default();
    let outcome = match (state, duty) {
        (CopyState::Gone { .. }, None) => "executed",
        (CopyState::Erased { verified: Some(_), .. }, None) => "verified",
        (CopyState::Erased { verified: None, .. }, None) => "executed",
        (CopyState::Live, None) => "live",
        // A part is gone, the record lives.
        (CopyState::Live, Some(duty)) if duty.stand.is_gone() => "live",
        (_, Some(duty)) => outcome_name(duty.stand),
    };
    let verified = match state {
        CopyState::Erased { verified, .. } => verified.map(|v| v.to_string()),
        CopyState::Live | CopyState::Gone { .. } => None,
    };
    CopyView {
        system: system.to_owned(),
        dataset: dataset.to_owned(),
        outcome: outcome.to_owned(),
        verified,
        until,
        rule,
        law,
        detail,
    }
}

/// Why a duty stands where it stands, and until when.
#[derive(Debug, Default)]
pub struct Why {
    pub until: Option<String>,
    pub rule: Option<String>,
    pub law: Option<String>,
    pub detail: Option<String>,
}

impl Why {
    pub fn of(duty: &Obligation) -> Self {
        let detail = duty.detail.clone();
        let shown = |until: &Option<Millis>| until.map(|u| u.to_string());
        match (duty.stand, &duty.residue, &duty.block) {
            (Stand::Residual, Some(residue), _) => {
                let detail = detail.or_else(|| Some(residue.cause.clone()));
                Self { until: shown(&residue.until), detail, ..Self::default() }
            }
            (_, _, Some(Block::Minimum { until, rule, law })) => {
                Self { until: Some(until.to_string()), rule: Some(rule.clone()), law: law.clone(), detail }
            }
            (_, _, Some(Block::Lock { until } | Block::Others { until })) => {
                Self { until: shown(until), detail, ..Self::default() }
            }
            (_, _, Some(Block::Hold(_)) | None) => {
                Self { rule: duty.rule.as_deref().map(str::to_owned), detail, ..Self::default() }
            }
        }
    }
}

/// The outward word for where a duty stands.
pub fn outcome_name(stand: Stand) -> &'static str {
    match stand {
        Stand::Owed => "owed",
        Stand::Ordered => "ordered",
        Stand::Accepted => "accepted",
        Stand::Executed => "executed",
        Stand::Verified => "verified",
        Stand::Blocked => "blocked",
        Stand::Residual => "residual",
        Stand::Refused => "refused",
        Stand::OutOfReach => "out_of_reach",
        Stand::Failed => "failed",
        Stand::Observed => "observed",
        Stand::Withdrawn => "live",
    }
}
