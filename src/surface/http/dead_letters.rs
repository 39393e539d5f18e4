//! `/v1/dead-letters`: what could not be read.

use std::collections::BTreeMap;

use axum::Json;
use axum::extract::{Extension, Path, State};
use axum::http::StatusCode;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use quietus_core::record::DeadLettered;
use quietus_core::time::Millis;

use super::extract::Asked;
use super::page::Paging;
use super::problem::Refused;
use super::{Caller, Shared};
use crate::intake::arrived::Arrived;
use crate::surface::wire::{DeadLetterView, Page, Problem, RecordView};

#[utoipa::path(get, path = "/v1/dead-letters", tag = "dead letters", params(Paging),
    responses((status = 200, body = Page<DeadLetterView>)))]
pub(super) async fn list(
    State(app): State<Shared>,
    Asked(paging): Asked<Paging>,
) -> Json<Page<DeadLetterView>> {
    let page = paging.cut(app.node.dead_letters(), |letter| letter.id.clone());
    Json(Page { items: page.items.iter().map(view).collect(), next: page.next })
}

#[utoipa::path(get, path = "/v1/dead-letters/{id}", tag = "dead letters", params(("id" = String, Path)),
    responses((status = 200, body = DeadLetterView), (status = 404, body = Problem)))]
pub(super) async fn show(
    State(app): State<Shared>,
    Path(id): Path<String>,
) -> Result<Json<DeadLetterView>, Refused> {
    let letter = app.node.dead_letter(&id)?;
    let record = match &letter.payload {
        None => None,
        Some(_) => Some(record(app.node.open_dead_letter(&letter)?)),
    };
    Ok(Json(DeadLetterView { record, ..view(&letter) }))
}

#[utoipa::path(post, path = "/v1/dead-letters/{id}/retry", tag = "dead letters", params(("id" = String, Path)),
    responses((status = 204), (status = 404, body = Problem), (status = 409, body = Problem), (status = 422, body = Problem)))]
pub(super) async fn retry(
    State(app): State<Shared>,
    Extension(caller): Extension<Caller>,
    Path(id): Path<String>,
) -> Result<StatusCode, Refused> {
    app.node.retry_dead_letter(&id, caller.name).await?;
    Ok(StatusCode::NO_CONTENT)
}

fn view(letter: &DeadLettered) -> DeadLetterView {
    DeadLetterView {
        id: letter.id.clone(),
        source: letter.source.clone(),
        topic: letter.topic.clone(),
        partition: letter.partition,
        offset: letter.offset,
        reason: letter.reason.clone(),
        detail: letter.detail.clone(),
        at: Millis(letter.at).to_string(),
        expires: Millis(letter.expires).to_string(),
        record: None,
    }
}

fn record(delivered: Arrived) -> RecordView {
    let shown = |bytes: Vec<u8>| match std::str::from_utf8(&bytes) {
        Ok(text) if !text.contains('\0') => text.to_owned(),
        _ => format!("base64:{}", STANDARD.encode(&bytes)),
    };
    let headers: BTreeMap<String, String> =
        delivered.headers.into_iter().map(|(name, value)| (name, shown(value))).collect();
    RecordView {
        key: delivered.key.map(shown),
        value: delivered.value.map(shown),
        headers,
        timestamp: delivered.timestamp.map(|at| at.to_string()),
    }
}
