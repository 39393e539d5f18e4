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
    /// As of this time, RFC 3339, by what is known now.
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
        let mut items = Vec::new();
        for id in page.items {
            items.extend(one(&app, id, at)?);
        }
        return Ok(Json(Page { items, next: page.next }).into_response());
    }
    first(&app, &found, at).map(IntoResponse::into_response)
}

#[utoipa::path(get, path = "/v1/items/{id}/explain", tag = "items", params(("id" = String, Path), As),
    responses((status = 200, body = ExplainView), (status = 404, body = Problem), (status = 409, body = Problem)))]
pub(super) async fn item(
    State(app): State<Shared>,
    Path(id): Path<String>,
    Asked(as_of): Asked<As>,
) -> Result<Json<ExplainView>, Refused> {
    let at = time(as_of.at.as_deref())?;
    first(&app, &app.node.find(&shown(&id)?), at)
}

fn first(app: &App, found: &[ItemId], at: Option<Millis>) -> Result<Json<ExplainView>, Refused> {
    let id = found.first().ok_or_else(unknown_item)?;
    one(app, *id, at)?.map(Json).ok_or_else(unknown_item)
}

fn one(app: &App, id: ItemId, at: Option<Millis>) -> Result<Option<ExplainView>, Refused> {
    Ok(app.node.explain(id, at)?.map(|explained| view(&explained)))
}

fn view(explained: &Explained) -> ExplainView {
    let mut view = ExplainView::of(explained.item.to_string(), &explained.verdict, &explained.places);
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
