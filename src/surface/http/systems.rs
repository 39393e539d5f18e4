//! `/v1/systems`: registered, checked, switched between observe and enforce.

use axum::Json;
use axum::extract::{Extension, Path, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use quietus_core::engine::control::System;
use quietus_core::obligation::Stand;
use quietus_core::system::Mode;

use super::extract::{Asked, Document};
use super::page::Paging;
use super::problem::{Refused, warnings};
use super::{Caller, Shared};
use crate::node::NodeError;
use crate::surface::wire::{
    CheckView, CoverageView, Page, Problem, ProblemView, ScanView, SystemAnswer, SystemView,
};

#[utoipa::path(put, path = "/v1/systems/{name}", tag = "systems", params(("name" = String, Path)),
    request_body(content = String, content_type = "application/yaml", description = "The manifest as YAML or JSON, its datasets inline"),
    responses((status = 200, body = SystemAnswer), (status = 201, body = SystemAnswer), (status = 412, body = Problem), (status = 422, body = Problem)))]
pub(super) async fn put(
    State(app): State<Shared>,
    Extension(caller): Extension<Caller>,
    Path(name): Path<String>,
    headers: HeaderMap,
    Document(bytes): Document,
) -> Result<Response, Refused> {
    let known = app.node.with_control(|c| c.systems.get(&name).map(|s| s.document.clone()));
    super::etag::check(&headers, known.as_deref())?;
    if let Some(other) = says_other_name(&bytes, &name) {
        let detail = format!("the manifest's system is called {other}");
        return Err(Refused::field("other-name", "/system", detail, "put it under that name, or rename it"));
    }
    let load = |path: &str| {
        Err(format!("{path}: over HTTP `datasets` is an array of dataset objects, not of file names"))
    };
    let (manifest, put, found) = app.node.put_system(&name, &bytes, &load, caller.name).await?;
    let (status, result) = super::put_told(put);
    let document = app.node.with_control(|c| c.systems.get(&name).map(|s| s.document.clone()));
    let answer = SystemAnswer {
        name,
        result: result.to_owned(),
        mode: mode(manifest.mode).to_owned(),
        warnings: warnings(&found),
    };
    Ok((status, super::etag::header(&document.unwrap_or_default()), Json(answer)).into_response())
}

#[utoipa::path(get, path = "/v1/systems/{name}", tag = "systems", params(("name" = String, Path)),
    responses((status = 200, body = SystemView), (status = 404, body = Problem)))]
pub(super) async fn show(State(app): State<Shared>, Path(name): Path<String>) -> Result<Response, Refused> {
    let system = app.node.with_control(|c| c.systems.get(&name).cloned());
    let system = system.ok_or_else(|| NodeError::NotFound { what: format!("there is no system {name}") })?;
    Ok((super::etag::header(&system.document), Json(view(&app, &name, &system))).into_response())
}

#[utoipa::path(get, path = "/v1/systems", tag = "systems", params(Paging),
    responses((status = 200, body = Page<SystemView>)))]
pub(super) async fn list(State(app): State<Shared>, Asked(paging): Asked<Paging>) -> Json<Page<SystemView>> {
    let systems = app.node.with_control(|c| c.systems.clone());
    let page = paging.cut(systems, |(name, _)| name.clone());
    let items = page.items.iter().map(|(name, system)| view(&app, name, system)).collect();
    Json(Page { items, next: page.next })
}

#[utoipa::path(delete, path = "/v1/systems/{name}", tag = "systems", params(("name" = String, Path)),
    responses((status = 204), (status = 404, body = Problem), (status = 409, body = Problem)))]
pub(super) async fn retire(
    State(app): State<Shared>,
    Extension(caller): Extension<Caller>,
    Path(name): Path<String>,
) -> Result<StatusCode, Refused> {
    app.node.retire_system(&name, caller.name).await?;
    Ok(StatusCode::NO_CONTENT)
}

#[utoipa::path(post, path = "/v1/systems/{name}/check", tag = "systems", params(("name" = String, Path)),
    responses((status = 200, body = CheckView), (status = 404, body = Problem)))]
pub(super) async fn check(
    State(app): State<Shared>,
    Path(name): Path<String>,
) -> Result<Json<CheckView>, Refused> {
    let report = app.node.check_system(&name).await?;
    let ok = !report.problems.iter().any(|p| p.fatal);
    let problems = report.problems.into_iter().map(|p| ProblemView {
        fatal: p.fatal,
        code: p.code.to_owned(),
        place: p.place,
        detail: p.detail,
        fix: p.fix,
    });
    Ok(Json(CheckView { ok, problems: problems.collect() }))
}

#[utoipa::path(post, path = "/v1/systems/{name}/coverage", tag = "systems", params(("name" = String, Path)),
    responses((status = 200, body = CoverageView), (status = 404, body = Problem), (status = 409, body = Problem)))]
pub(super) async fn coverage(
    State(app): State<Shared>,
    Path(name): Path<String>,
) -> Result<Json<CoverageView>, Refused> {
    Ok(Json(app.node.coverage(&name).await?))
}

/// Records every row; where a scan is running already, that is it.
#[utoipa::path(post, path = "/v1/systems/{name}/scan", tag = "systems", params(("name" = String, Path)),
    responses((status = 202, body = ScanView), (status = 404, body = Problem), (status = 409, body = Problem)))]
pub(super) async fn scan(
    State(app): State<Shared>,
    Path(name): Path<String>,
) -> Result<(StatusCode, Json<ScanView>), Refused> {
    Ok((StatusCode::ACCEPTED, Json(app.node.start_scan(&name, true)?)))
}

/// The newest scan, as it stands.
#[utoipa::path(get, path = "/v1/systems/{name}/scan", tag = "systems", params(("name" = String, Path)),
    responses((status = 200, body = ScanView), (status = 404, body = Problem)))]
pub(super) async fn scanned(
    State(app): State<Shared>,
    Path(name): Path<String>,
) -> Result<Json<ScanView>, Refused> {
    app.node.system(&name)?;
    let view = app.node.scan_of(&name);
    let none = || NodeError::NotFound { what: format!("{name} was not scanned since this node started") };
    Ok(Json(view.ok_or_else(none)?))
}

#[utoipa::path(post, path = "/v1/systems/{name}/enforce", tag = "systems", params(("name" = String, Path)),
    responses((status = 200, body = SystemAnswer), (status = 404, body = Problem)))]
pub(super) async fn enforce(
    State(app): State<Shared>,
    Extension(caller): Extension<Caller>,
    Path(name): Path<String>,
) -> Result<Json<SystemAnswer>, Refused> {
    switch(&app, name, Mode::Enforce, caller).await
}

#[utoipa::path(post, path = "/v1/systems/{name}/observe", tag = "systems", params(("name" = String, Path)),
    responses((status = 200, body = SystemAnswer), (status = 404, body = Problem)))]
pub(super) async fn observe(
    State(app): State<Shared>,
    Extension(caller): Extension<Caller>,
    Path(name): Path<String>,
) -> Result<Json<SystemAnswer>, Refused> {
    switch(&app, name, Mode::Observe, caller).await
}

/// A partner's or connector's callback: signed with the system's own secret (Standard Webhooks), it needs no token. It is
/// believed in nothing but that there is news: what was accepted there is asked about at once.
#[utoipa::path(post, path = "/v1/systems/{name}/callback", tag = "systems", params(("name" = String, Path)),
    request_body(content = String, description = "Anything, signed", content_type = "application/json"), security(()),
    responses((status = 202), (status = 401, body = Problem)))]
pub(super) async fn callback(
    State(app): State<Shared>,
    Path(name): Path<String>,
    headers: HeaderMap,
    body: axum::body::Bytes,
) -> Result<StatusCode, Refused> {
    let text = |(name, value): (&axum::http::HeaderName, &axum::http::HeaderValue)| {
        Some((name.as_str().to_owned(), value.to_str().ok()?.to_owned()))
    };
    let headers = headers.iter().filter_map(text).collect();
    match app.node.called_back(&name, &headers, &body) {
        true => Ok(StatusCode::ACCEPTED),
        false => {
            let detail =
                "sign it with the system's secret, as Standard Webhooks says, not more than five minutes ago";
            Err(Refused::new(401, "unsigned", "Who are you?", detail))
        }
    }
}

async fn switch(app: &Shared, name: String, to: Mode, caller: Caller) -> Result<Json<SystemAnswer>, Refused> {
    let before = app.node.system(&name)?.mode;
    app.node.set_mode(&name, to, caller.name).await?;
    let result = if before == to { "unchanged" } else { "changed" };
    let answer =
        SystemAnswer { name, result: result.to_owned(), mode: mode(to).to_owned(), warnings: Vec::new() };
    Ok(Json(answer))
}

fn view(app: &Shared, name: &str, system: &System) -> SystemView {
    let manifest = &system.manifest;
    let closed = |s: Stand| s.is_gone() || s == Stand::Withdrawn;
    let open = app.node.partitions.iter().map(|p| {
        let inner = p.read();
        let mine = inner.state.duties.tallies().filter(|(at, stand, _)| ***at == *name && !closed(*stand));
        mine.map(|(_, _, count)| count).sum::<u64>()
    });
    SystemView {
        name: name.to_owned(),
        kind: manifest.kind.clone(),
        mode: mode(manifest.mode).to_owned(),
        owner: manifest.owner.clone(),
        region: manifest.region.clone(),
        connected: matches!(app.node.registry().connector(name), Some(Ok(_))),
        open: open.sum(),
        closed: app.node.closed(name).is_some(),
        restored: app.node.restored(name).map(|(reapply, far)| super::reapplies::view(&reapply, &far)),
        manifest: serde_json::to_value(manifest).unwrap_or_default(),
    }
}

fn mode(mode: Mode) -> &'static str {
    match mode {
        Mode::Observe => "observe",
        Mode::Enforce => "enforce",
    }
}

/// The name in the manifest, where it is another than in the path.
fn says_other_name(bytes: &[u8], name: &str) -> Option<String> {
    let documents = quietus_core::document::read(name, bytes).ok()?;
    let said = documents.first()?.get("system")?.text()?;
    (said != name).then(|| said.to_owned())
}
