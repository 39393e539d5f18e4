//! `POST /v1/events`: CloudEvents in; 202 once every frame of them is fsynced.
//!
//! The body is read, hashed, sealed and encoded in one pass on a blocking thread and borrowed from throughout.

use std::sync::Arc;

use axum::extract::{Request, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use tokio::sync::OwnedSemaphorePermit;

use super::problem::Refused;
use super::{App, Shared};
use crate::intake::Unreadable;
use crate::intake::cloudevent::BATCH_BYTES_MAX;
use crate::node::{Taken, Unprepared};
use crate::surface::wire::{EventsAnswer, Finding, RejectedView};
use crate::telemetry::trace;

/// Bodies in memory at once, KiB; whoever finds no room comes again.
pub(super) const ROOM_KIB: usize = 64 << 10;
/// Frames a partition may be behind before new events wait outside.
const LAG_MAX: u64 = 4_096;

#[utoipa::path(post, path = "/v1/events", tag = "events",
    request_body(content = String, content_type = "application/cloudevents-batch+json", description = "CloudEvents: structured, binary or a batch"),
    responses((status = 202, body = EventsAnswer), (status = 413, body = super::super::wire::Problem),
        (status = 422, body = EventsAnswer), (status = 429, body = super::super::wire::Problem),
        (status = 507, body = super::super::wire::Problem)))]
pub(super) async fn take(State(app): State<Shared>, request: Request) -> Result<Response, Refused> {
    let (parts, body) = request.into_parts();
    let _room = room(&app, &parts.headers)?;
    keeps_up(&app)?;
    let body = super::extract::whole(body, BATCH_BYTES_MAX).await?;
    let node = Arc::clone(&app.node);
    let trace = trace::current();
    let prepared = tokio::task::spawn_blocking(move || {
        let text = |name: &str| parts.headers.get(name).and_then(|v| v.to_str().ok());
        let media = text(header::CONTENT_TYPE.as_str()).unwrap_or_default();
        node.prepare_events(media, text, &body, trace)
    });
    let prepared = prepared.await.map_err(|_| {
        Refused::new(500, "internal", "The node is at fault", "the events could not be read; none was taken")
    })??;
    answer(app.node.append_events(prepared).await?)
}

/// Room for the body in memory; a body of unknown length counts as the largest.
pub(super) fn room(app: &App, headers: &HeaderMap) -> Result<OwnedSemaphorePermit, Refused> {
    let length = headers.get(header::CONTENT_LENGTH).and_then(|v| v.to_str().ok()?.parse::<usize>().ok());
    let length = length.unwrap_or(BATCH_BYTES_MAX);
    if length > BATCH_BYTES_MAX {
        return Err(Unreadable::BatchTooLarge.into());
    }
    let permits = u32::try_from(length.div_ceil(1024).max(1)).unwrap_or(u32::MAX);
    Arc::clone(&app.room).try_acquire_many_owned(permits).map_err(|_| overload())
}

/// Owners that lag behind are not buried further.
pub(super) fn keeps_up(app: &App) -> Result<(), Refused> {
    if app.node.lags().into_iter().any(|lag| lag > LAG_MAX) { Err(overload()) } else { Ok(()) }
}

fn overload() -> Refused {
    let detail =
        "the node takes events more slowly than they come: nothing of this call was taken, send it again";
    Refused::new(429, "overload", "Too much at once", detail).after(1)
}

fn answer(taken: Taken) -> Result<Response, Refused> {
    let rejected: Vec<RejectedView> =
        taken.rejected.into_iter().map(|r| RejectedView::of(r.index as u64, r.into())).collect();
    let answer = EventsAnswer { accepted: taken.accepted as u64, rejected };
    let none = answer.accepted == 0 && !answer.rejected.is_empty();
    let status = if none { StatusCode::UNPROCESSABLE_ENTITY } else { StatusCode::ACCEPTED };
    Ok((status, axum::Json(answer)).into_response())
}

impl From<Unprepared> for Refused {
    fn from(error: Unprepared) -> Self {
        match error {
            Unprepared::Unreadable(unreadable) => unreadable.into(),
            Unprepared::Node(error) => error.into(),
        }
    }
}

impl From<Unreadable> for Refused {
    fn from(error: Unreadable) -> Self {
        let (status, code, title) = match error {
            Unreadable::MediaType => (415, "media-type", "Unsupported media type"),
            Unreadable::Json { .. } => (400, "not-json", "The body is not JSON"),
            Unreadable::NoBatch => (400, "no-batch", "The body is no batch"),
            Unreadable::EventTooLarge | Unreadable::BatchTooLarge => (413, "too-large", "Too large"),
        };
        let (line, column) = match error {
            Unreadable::Json { line, column } => (Some(line as u64), Some(column as u64)),
            _ => (None, None),
        };
        let (detail, fix) = (error.to_string(), Some(error.remedy().to_owned()));
        let finding = Finding { line, column, detail: detail.clone(), fix, ..Finding::default() };
        Refused::new(status, code, title, detail).errors(vec![finding])
    }
}
