//! `/v1/items`, `/v1/subjects`: where things stand. Who it is about stands in bodies only.

use axum::Json;
use axum::extract::{Path, State};
use quietus_core::identity::ShownItem;

use super::extract;
use super::page::Paging;
use super::problem::Refused;
use super::{App, Shared};
use crate::node::Wanted;
use crate::surface::wire::{ItemView, LookupAnswer, LookupBody, Problem, SubjectBody, SubjectView};

#[utoipa::path(post, path = "/v1/items/lookup", tag = "items", request_body = LookupBody,
    responses((status = 200, body = LookupAnswer), (status = 422, body = Problem)))]
pub(super) async fn lookup(
    State(app): State<Shared>,
    extract::Json(body): extract::Json<LookupBody>,
) -> Result<Json<LookupAnswer>, Refused> {
    let paging = Paging { limit: body.limit, cursor: body.cursor.clone() };
    let place = (body.system.as_deref(), body.dataset.as_deref(), body.locator.as_ref());
    let wanted = wanted(&app, body.item.as_deref(), body.subject.as_deref(), place)?;
    let found = paging.cut(app.node.find(&wanted), |id| format!("{id:?}"));
    let items = found.items.iter().filter_map(|id| app.node.item_view(*id)).collect();
    Ok(Json(LookupAnswer { items, next: found.next }))
}

#[utoipa::path(get, path = "/v1/items/{id}", tag = "items", params(("id" = String, Path)),
    responses((status = 200, body = ItemView), (status = 404, body = Problem)))]
pub(super) async fn show(
    State(app): State<Shared>,
    Path(id): Path<String>,
) -> Result<Json<ItemView>, Refused> {
    let found = app.node.find(&shown(&id)?).first().and_then(|id| app.node.item_view(*id));
    found.map(Json).ok_or_else(unknown_item)
}

#[utoipa::path(post, path = "/v1/subjects/lookup", tag = "items", request_body = SubjectBody,
    responses((status = 200, body = SubjectView), (status = 422, body = Problem)))]
pub(super) async fn subject(
    State(app): State<Shared>,
    extract::Json(body): extract::Json<SubjectBody>,
) -> Result<Json<SubjectView>, Refused> {
    let key = app.node.subject_of(&body.subject, "subject")?.key;
    let inner = app.node.partition_of(key).read();
    let mut view = SubjectView { known: inner.store.subject(key).is_some(), ..SubjectView::default() };
    for id in inner.store.items_of(key) {
        match inner.store.lives(id).as_ref().and_then(|l| l.newest()).map(|l| l.is_ended()) {
            Some(false) => view.items += 1,
            Some(true) => view.gone += 1,
            None => {}
        }
    }
    view.known |= view.items + view.gone > 0;
    view.linked = inner.state.control.links.get(&key).map_or(0, |l| l.len() as u64);
    let mine = inner.state.requests.values().filter(|r| r.subject == key);
    view.requests = mine.map(|r| r.id.clone()).collect();
    Ok(Json(view))
}

/// Where a record lies, as it was given.
pub(super) type Place<'a> =
    (Option<&'a str>, Option<&'a str>, Option<&'a std::collections::BTreeMap<String, serde_json::Value>>);

/// What a body asks for: an item, a subject, both, or where a record lies.
pub(super) fn wanted(
    app: &App,
    item: Option<&str>,
    subject: Option<&str>,
    place: Place<'_>,
) -> Result<Wanted, Refused> {
    let subject = match subject {
        Some(text) => Some(app.node.subject_of(text, "subject")?.key),
        None => None,
    };
    match (item, subject, place) {
        (Some(item), subject, (None, None, None)) => Ok(app.node.item_of(item, subject)),
        (None, Some(subject), (None, None, None)) => Ok(Wanted::Subject(subject)),
        (None, None, (Some(system), Some(dataset), Some(locator))) => {
            Ok(app.node.item_at(system, dataset, locator)?)
        }
        _ => Err(Refused::field(
            "wrong-look-up",
            "",
            "it says neither an item, nor a subject, nor a place alone",
            "name `item`, or `subject`, or all of `system`, `dataset` and `locator`",
        )),
    }
}

pub(super) fn shown(id: &str) -> Result<Wanted, Refused> {
    let shown = ShownItem::parse(id).ok_or_else(|| {
        Refused::not_found("this is no id of an item: only it_… stands in a path, look others up")
    })?;
    Ok(Wanted::Shown(shown))
}

pub(super) fn unknown_item() -> Refused {
    Refused::not_found("nothing was recorded under this id, or it was forgotten")
}
