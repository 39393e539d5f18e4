//! `/v1/sweeps`: planned, run, shown, stopped.

use axum::Json;
use axum::extract::{Extension, Path, State};
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};

use super::extract::{Asked, Optional};
use super::page::Paging;
use super::problem::Refused;
use super::{Caller, Shared};
use crate::node::Once;
use crate::schedule::{plan, sweeps};
use crate::surface::wire::{Page, Plan, Problem, SweepBody, SweepStarted, SweepView, SwitchView};

#[utoipa::path(post, path = "/v1/sweeps", tag = "sweeps", request_body = SweepBody,
    params(("Idempotency-Key" = String, Header)),
    responses((status = 200, body = Plan), (status = 202, body = SweepStarted), (status = 400, body = Problem), (status = 409, body = Problem)))]
pub(super) async fn start(
    State(app): State<Shared>,
    Extension(caller): Extension<Caller>,
    Extension(once): Extension<Once>,
    Optional(body): Optional<SweepBody>,
) -> Result<Response, Refused> {
    if body.plan {
        if app.node.with_control(|c| c.policy.is_none()) {
            let detail = "no policy is active, so nothing is due: publish one";
            return Err(Refused::new(409, "no-policy", "Nothing to plan by", detail));
        }
        let node = std::sync::Arc::clone(&app.node);
        let planned = if body.rows { plan::plan_with_rows } else { plan::plan };
        let plan = super::blocking(move || planned(&node, sweeps::watermark(&node))).await?;
        return Ok(Json(plan).into_response());
    }
    let by = caller.name.or_else(|| Some("http".to_owned()));
    let id = sweeps::start(&app.node, by, Some(once)).await?;
    let at = format!("/v1/sweeps/{id}");
    let state = sweeps::view(&app.node, &id).map_or_else(|| "running".to_owned(), |v| v.state);
    let started = SweepStarted { id, state };
    Ok((StatusCode::ACCEPTED, [(header::LOCATION, at)], Json(started)).into_response())
}

#[utoipa::path(post, path = "/v1/sweeps/{id}/approve", tag = "sweeps", params(("id" = String, Path)),
    responses((status = 202, body = SweepStarted), (status = 404, body = Problem), (status = 409, body = Problem)))]
pub(super) async fn approve(
    State(app): State<Shared>,
    Path(id): Path<String>,
    Extension(caller): Extension<Caller>,
) -> Result<Response, Refused> {
    let by = caller.name.or_else(|| Some("approver".to_owned()));
    let id = sweeps::approve(&app.node, &id, by).await?;
    let started = SweepStarted { id, state: "running".to_owned() };
    Ok((StatusCode::ACCEPTED, Json(started)).into_response())
}

#[utoipa::path(get, path = "/v1/sweeps/{id}", tag = "sweeps", params(("id" = String, Path)),
    responses((status = 200, body = SweepView), (status = 404, body = Problem)))]
pub(super) async fn show(
    State(app): State<Shared>,
    Path(id): Path<String>,
) -> Result<Json<SweepView>, Refused> {
    let view = sweeps::view(&app.node, &id);
    view.map(Json).ok_or_else(|| Refused::not_found(format!("there is no sweep {id}")))
}

#[utoipa::path(get, path = "/v1/sweeps", tag = "sweeps", params(Paging), responses((status = 200, body = Page<SweepView>)))]
pub(super) async fn list(State(app): State<Shared>, Asked(paging): Asked<Paging>) -> Json<Page<SweepView>> {
    let mut known: Vec<(u64, String)> =
        app.node.with_control(|c| c.sweeps.values().map(|s| (s.k, s.id.clone())).collect());
    known.sort_unstable();
    let page = paging.cut(known, |(k, id)| format!("{k:020}.{id}"));
    let items = page.items.iter().filter_map(|(_, id)| sweeps::view(&app.node, id)).collect();
    Json(Page { items, next: page.next })
}

#[utoipa::path(post, path = "/v1/sweeps/stop", tag = "sweeps", responses((status = 200, body = SwitchView)))]
pub(super) async fn stop(
    State(app): State<Shared>,
    Extension(caller): Extension<Caller>,
) -> Result<Json<SwitchView>, Refused> {
    switch(&app, true, caller).await
}

#[utoipa::path(post, path = "/v1/sweeps/resume", tag = "sweeps", responses((status = 200, body = SwitchView)))]
pub(super) async fn resume(
    State(app): State<Shared>,
    Extension(caller): Extension<Caller>,
) -> Result<Json<SwitchView>, Refused> {
    switch(&app, false, caller).await
}

async fn switch(app: &Shared, stopped: bool, caller: Caller) -> Result<Json<SwitchView>, Refused> {
    sweeps::switch(&app.node, stopped, caller.name).await?;
    Ok(Json(SwitchView { stopped }))
}
