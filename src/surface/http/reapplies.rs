//! `/v1/reapplies`: erasures again after a restore.

use axum::Json;
use axum::extract::{Extension, Path, State};
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use quietus_core::engine::control::Reapply;
use quietus_core::time::Millis;

use super::extract;
use super::problem::Refused;
use super::{Caller, Shared};
use crate::node::Reapplied;
use crate::surface::wire::{Problem, ReapplyBody, ReapplyView, RestoredBody};

#[utoipa::path(post, path = "/v1/reapplies", tag = "reapplies", request_body = ReapplyBody,
    responses((status = 202, body = ReapplyView), (status = 404, body = Problem), (status = 422, body = Problem)))]
pub(super) async fn start(
    State(app): State<Shared>,
    Extension(caller): Extension<Caller>,
    extract::Json(body): extract::Json<ReapplyBody>,
) -> Result<Response, Refused> {
    let since = time(&body.since, "/since")?;
    let reapply = app.node.reapply(since, body.system, false, caller.name).await?;
    accepted(&app, &reapply.id)
}

#[utoipa::path(post, path = "/v1/systems/{name}/restored", tag = "systems", params(("name" = String, Path)), request_body = RestoredBody,
    responses((status = 202, body = ReapplyView), (status = 404, body = Problem), (status = 422, body = Problem)))]
pub(super) async fn restored(
    State(app): State<Shared>,
    Extension(caller): Extension<Caller>,
    Path(name): Path<String>,
    extract::Json(body): extract::Json<RestoredBody>,
) -> Result<Response, Refused> {
    let as_of = time(&body.as_of, "/as_of")?;
    let reapply = app.node.reapply(as_of, Some(name), true, caller.name).await?;
    accepted(&app, &reapply.id)
}

#[utoipa::path(get, path = "/v1/reapplies/{id}", tag = "reapplies", params(("id" = String, Path)),
    responses((status = 200, body = ReapplyView), (status = 404, body = Problem)))]
pub(super) async fn show(
    State(app): State<Shared>,
    Path(id): Path<String>,
) -> Result<Json<ReapplyView>, Refused> {
    let (reapply, far) = app.node.reapplied(&id)?;
    Ok(Json(view(&reapply, &far)))
}

fn accepted(app: &Shared, id: &str) -> Result<Response, Refused> {
    let (reapply, far) = app.node.reapplied(id)?;
    let at = format!("/v1/reapplies/{id}");
    Ok((StatusCode::ACCEPTED, [(header::LOCATION, at)], Json(view(&reapply, &far))).into_response())
}

fn time(text: &str, pointer: &'static str) -> Result<Millis, Refused> {
    Millis::parse(text).ok_or_else(|| {
        Refused::field("bad-time", pointer, "this is no RFC 3339 time", "write 2026-11-30T12:00:00Z")
    })
}

pub(super) fn view(reapply: &Reapply, far: &Reapplied) -> ReapplyView {
    let state = match (far.open, far.is_verified()) {
        (_, true) => "verified",
        (0, false) => "stuck",
        (_, false) => "running",
    };
    ReapplyView {
        id: reapply.id.clone(),
        since: reapply.since.to_string(),
        system: reapply.system.clone(),
        restored: reapply.restored,
        state: state.to_owned(),
        owed: far.owed,
        verified: far.verified,
        open: far.open,
        stuck: far.stuck,
    }
}
