//! `/v1/explain`: every rule that applies, the winner, the date.

use axum::Json;
use axum::extract::{Path, State};
use axum::response::{IntoResponse, Response};
use quietus_core::identity::ItemId;
use quietus_core::time::Millis;
use serde::Deserialize;
use utoipa::IntoParams;

use super::extract::{self, Asked};
use super::items::{shown, unknown_item, wanted};
use super::page::Paging;
use super::problem::Refused;
use super::{App, Shared};
use crate::node::{Explained, Wanted};
use crate::surface::wire::{ExplainBody, ExplainView, Page, Problem};

#[derive(Clone, Debug, Default, Deserialize, IntoParams)]
#[serde(default)]
pub struct As {
    /// As of this time, RFC 3339: by what was known then, under the policy of then.
    pub at: Option<String>,
}

/// An item or a place is one object; a subject is a page of them.
#[utoipa::path(post, path = "/v1/explain", tag = "items", request_body = ExplainBody,
    responses((status = 200, body = ExplainView), (status = 404, body = Problem), (status = 409, body = Problem), (status = 422, body = Problem)))]
pub(super) async fn explain(
    State(app): State<Shared>,
    extract::Json(body): extract::Json<ExplainBody>,
) -> Result<Response, Refused> {
    let at = time(body.at.as_deref())?;
    let place = (body.system.as_deref(), body.dataset.as_deref(), body.locator.as_ref());
    let wanted = wanted(&app, body.item.as_deref(), body.subject.as_deref(), place)?;
    let found = app.node.find(&wanted);
    if let Wanted::Subject(_) = wanted {
        let page = Paging::default().cut(found, |id| format!("{id:?}"));
        let items = all(&app, page.items, at).await?;
        return Ok(Json(Page { items, next: page.next }).into_response());
    }
    first(&app, found, at).await.map(IntoResponse::into_response)
}

#[utoipa::path(get, path = "/v1/items/{id}/explain", tag = "items", params(("id" = String, Path), As),
    responses((status = 200, body = ExplainView), (status = 404, body = Problem), (status = 409, body = Problem)))]
pub(super) async fn item(
    State(app): State<Shared>,
    Path(id): Path<String>,
    Asked(as_of): Asked<As>,
) -> Result<Json<ExplainView>, Refused> {
    let at = time(as_of.at.as_deref())?;
    first(&app, app.node.find(&shown(&id)?), at).await
}

async fn first(app: &App, mut found: Vec<ItemId>, at: Option<Millis>) -> Result<Json<ExplainView>, Refused> {
    found.truncate(1);
    all(app, found, at).await?.pop().map(Json).ok_or_else(unknown_item)
}

async fn all(app: &App, ids: Vec<ItemId>, at: Option<Millis>) -> Result<Vec<ExplainView>, Refused> {
    let node = std::sync::Arc::clone(&app.node);
    let explained = super::blocking(move || node.explain_all(&ids, at)).await??;
    Ok(explained.iter().map(view).collect())
}

fn view(explained: &Explained) -> ExplainView {
    let mut view = ExplainView::of(explained.item.to_string(), &explained.verdict, &explained.places);
    view.state.clone_from(&explained.standing.state);
    for (copy, standing) in view.copies.iter_mut().zip(&explained.standing.copies) {
        copy.outcome.clone_from(&standing.outcome);
        copy.verified.clone_from(&standing.verified);
    }
    for (copy, holds) in view.copies.iter_mut().zip(&explained.holds) {
        for (part, holds) in copy.parts.iter_mut().zip(holds) {
            part.holds.clone_from(holds);
        }
    }
    view
}

fn time(text: Option<&str>) -> Result<Option<Millis>, Refused> {
    let Some(text) = text else { return Ok(None) };
    let wrong =
        || Refused::field("wrong-time", "/at", "this is no time", "write RFC 3339: 2026-12-01T00:00:00Z");
    Millis::parse(text).map(Some).ok_or_else(wrong)
}
