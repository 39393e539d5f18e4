//! `/v1/sources`: registered, looked at, retired; and records of a company's own, through their mapping.

use std::sync::Arc;

use axum::Json;
use axum::extract::{Extension, Path, Request, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde::Deserialize;

use super::extract::{Asked, Document, whole};
use super::page::Paging;
use super::problem::{Refused, warnings};
use super::{Caller, Shared, events};
use crate::intake::arrived::Arrived;
use crate::intake::cloudevent::BATCH_BYTES_MAX;
use crate::intake::parcel;
use crate::node::{Node, NodeError};
use crate::surface::wire::{
    EventsAnswer, ImportAnswer, Page, Problem, RejectedView, SourceAnswer, SourceView,
};

#[utoipa::path(put, path = "/v1/sources/{name}", tag = "sources", params(("name" = String, Path)),
    request_body(content = String, content_type = "application/yaml", description = "The source as YAML or JSON"),
    responses((status = 200, body = SourceAnswer), (status = 201, body = SourceAnswer), (status = 412, body = Problem), (status = 422, body = Problem)))]
pub(super) async fn put(
    State(app): State<Shared>,
    Extension(caller): Extension<Caller>,
    Path(name): Path<String>,
    headers: HeaderMap,
    Document(bytes): Document,
) -> Result<Response, Refused> {
    let document = || app.node.source(&name).ok().and_then(|s| s.document);
    super::etag::check(&headers, document().as_deref())?;
    let (_, put, found) = app.node.put_source(&name, &bytes, Some(&name), caller.name).await?;
    let (status, result) = super::put_told(put);
    let generation = app.node.source(&name)?.generation;
    let tag = super::etag::header(&document().unwrap_or_default());
    let answer = SourceAnswer { name, result: result.to_owned(), generation, warnings: warnings(&found) };
    Ok((status, tag, Json(answer)).into_response())
}

#[utoipa::path(get, path = "/v1/sources/{name}", tag = "sources", params(("name" = String, Path)),
    responses((status = 200, body = SourceView), (status = 404, body = Problem)))]
pub(super) async fn show(State(app): State<Shared>, Path(name): Path<String>) -> Result<Response, Refused> {
    let document = app.node.source(&name)?.document.unwrap_or_default();
    Ok((super::etag::header(&document), Json(view(&app.node, &name)?)).into_response())
}

#[utoipa::path(get, path = "/v1/sources", tag = "sources", params(Paging),
    responses((status = 200, body = Page<SourceView>)))]
pub(super) async fn list(
    State(app): State<Shared>,
    Asked(paging): Asked<Paging>,
) -> Result<Json<Page<SourceView>>, Refused> {
    let names: Vec<String> = app.node.with_control(|c| {
        c.sources.iter().filter(|(_, s)| s.document.is_some()).map(|(name, _)| name.clone()).collect()
    });
    let page = paging.cut(names, String::clone);
    let items = page.items.iter().map(|name| view(&app.node, name)).collect::<Result<_, _>>()?;
    Ok(Json(Page { items, next: page.next }))
}

#[utoipa::path(delete, path = "/v1/sources/{name}", tag = "sources", params(("name" = String, Path)),
    responses((status = 204), (status = 404, body = Problem)))]
pub(super) async fn retire(
    State(app): State<Shared>,
    Extension(caller): Extension<Caller>,
    Path(name): Path<String>,
) -> Result<StatusCode, Refused> {
    app.node.retire_source(&name, caller.name).await?;
    Ok(StatusCode::NO_CONTENT)
}

#[utoipa::path(post, path = "/v1/sources/{name}", tag = "sources", params(("name" = String, Path)),
    request_body(content = String, content_type = "application/json", description = "One record, a JSON array of them, or one a line (application/x-ndjson)"),
    responses((status = 202, body = EventsAnswer), (status = 404, body = Problem), (status = 413, body = Problem), (status = 422, body = EventsAnswer), (status = 429, body = Problem)))]
pub(super) async fn take(
    State(app): State<Shared>,
    Path(name): Path<String>,
    request: Request,
) -> Result<Response, Refused> {
    let ready = app.node.ready(&name)?;
    let (parts, body) = request.into_parts();
    let _room = events::room(&app, &parts.headers)?;
    events::keeps_up(&app)?;
    let body = whole(body, BATCH_BYTES_MAX).await?;
    let media = parts.headers.get(header::CONTENT_TYPE).and_then(|v| v.to_str().ok()).unwrap_or_default();
    let headers = parts.headers.iter().filter_map(|(n, v)| Some((n.as_str(), v.to_str().ok()?)));
    let records = parcel::records(media, headers, &body)?;
    let fed = app.node.feed(&ready, &records, None, false).await?;
    let rejected: Vec<RejectedView> =
        fed.refused.into_iter().map(|(index, why)| RejectedView::of(index as u64, why)).collect();
    let answer = EventsAnswer { accepted: (fed.taken + fed.skipped) as u64, rejected };
    let none = answer.accepted == 0 && !answer.rejected.is_empty();
    let status = if none { StatusCode::UNPROCESSABLE_ENTITY } else { StatusCode::ACCEPTED };
    Ok((status, Json(answer)).into_response())
}

#[derive(Debug, Deserialize, utoipa::IntoParams)]
#[into_params(parameter_in = Query)]
pub(super) struct Import {
    /// BLAKE3 of the whole file, hex: what the file goes by.
    file: String,
    /// The number of the body's first record in the file, from 0.
    from: u64,
}

#[utoipa::path(post, path = "/v1/sources/{name}/import", tag = "sources", params(("name" = String, Path), Import),
    request_body(content = String, content_type = "application/x-ndjson", description = "Records of the file, one a line; none asks where to go on"),
    responses((status = 200, body = ImportAnswer), (status = 404, body = Problem), (status = 409, body = Problem), (status = 413, body = Problem)))]
pub(super) async fn import(
    State(app): State<Shared>,
    Path(name): Path<String>,
    Asked(import): Asked<Import>,
    Document(body): Document,
) -> Result<Json<ImportAnswer>, Refused> {
    if import.file.len() != 64 || !import.file.bytes().all(|b| b.is_ascii_hexdigit()) {
        let detail = "`file` is no BLAKE3 hash";
        return Err(Refused::field(
            "file",
            "/file",
            detail,
            "send the hash of the whole file, 64 hex digits",
        ));
    }
    let mark: Arc<str> = format!("file:{}", import.file.to_ascii_lowercase()).into();
    let lines = body.split(|b| *b == b'\n').map(<[u8]>::trim_ascii).filter(|line| !line.is_empty());
    let records: Vec<Arrived> = (import.from..)
        .zip(lines)
        .map(|(number, line)| {
            let record = Arrived::line(line).unwrap_or_else(|_| Arrived::value(line));
            let offset = i64::try_from(number).unwrap_or(i64::MAX);
            Arrived { mark: Some(Arc::clone(&mark)), partition: 0, offset, ..record }
        })
        .collect();
    let done = app.node.import(&name, &mark, import.from, &records).await?;
    Ok(Json(ImportAnswer {
        next: done.next,
        taken: done.fed.taken as u64,
        skipped: done.fed.skipped as u64,
        dead_letters: done.fed.refused.len() as u64,
    }))
}

fn view(node: &Arc<Node>, name: &str) -> Result<SourceView, NodeError> {
    let state = node.source_state(name)?;
    let source = state.source.as_deref().map(serde_json::to_value).and_then(Result::ok).unwrap_or_default();
    Ok(SourceView {
        name: name.to_owned(),
        state: state.state.to_owned(),
        error: state.error,
        detail: state.detail,
        watermark: state.watermark.map(|at| at.to_string()),
        lag: state.lag,
        generation: state.generation,
        format: source.get("format").and_then(|f| f.as_str()).unwrap_or_default().to_owned(),
        source,
    })
}
