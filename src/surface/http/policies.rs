//! `/v1/policies`: stored, planned, published.

use std::collections::BTreeSet;

use axum::Json;
use axum::extract::{Extension, Path, State};
use axum::http::HeaderMap;
use axum::response::{IntoResponse, Response};

use serde::Deserialize;
use utoipa::IntoParams;

use super::extract::{Asked, Document};
use super::page::Paging;
use super::problem::{Refused, warnings};
use super::{App, Caller, Shared};
use crate::node::{Moved, NodeError, Put, RuleDifference, check_policy, rule_change};
use crate::surface::wire::{
    Page, PolicyAnswer, PolicyPlan, PolicyView, Problem, RuleDiff, UncoveredView, open_word,
};

/// Rows of uncovered parts that are looked for; more say nothing more.
const UNCOVERED_MAX: usize = 100_000;

#[utoipa::path(put, path = "/v1/policies/{name}", tag = "policies", params(("name" = String, Path)),
    request_body(content = String, content_type = "application/yaml", description = "YAML or JSON"),
    responses((status = 200, body = PolicyAnswer), (status = 201, body = PolicyAnswer), (status = 412, body = Problem), (status = 422, body = Problem)))]
pub(super) async fn store(
    State(app): State<Shared>,
    Extension(caller): Extension<Caller>,
    Path(name): Path<String>,
    headers: HeaderMap,
    Document(bytes): Document,
) -> Result<Response, Refused> {
    let known = app.node.with_control(|c| c.stored.get(&name).cloned());
    super::etag::check(&headers, known.as_deref())?;
    let checked = check_policy(&name, &bytes);
    if let Some(policy) = checked.policy.as_ref().filter(|p| p.name != name) {
        let detail = format!("the document's policy is called {}", policy.name);
        return Err(Refused::field("other-name", "/policy", detail, "put it under that name, or rename it"));
    }
    let (_, found) = app.node.store_policy(&name, &bytes, caller.name).await?;
    let document = String::from_utf8_lossy(&bytes);
    let (status, result) = super::put_told(match &known {
        None => Put::Created,
        Some(known) if *known == document => Put::Unchanged,
        Some(_) => Put::Changed,
    });
    let version = app.node.with_control(|c| {
        c.policy.as_ref().filter(|a| a.policy.name == name && a.document == document).map(|a| a.version)
    });
    let answer = PolicyAnswer { name, result: result.to_owned(), version, warnings: warnings(&found) };
    Ok((status, super::etag::header(&document), Json(answer)).into_response())
}

#[utoipa::path(post, path = "/v1/policies/{name}/publish", tag = "policies", params(("name" = String, Path)),
    responses((status = 200, body = PolicyAnswer), (status = 404, body = Problem), (status = 409, body = Problem)))]
pub(super) async fn publish(
    State(app): State<Shared>,
    Extension(caller): Extension<Caller>,
    Path(name): Path<String>,
) -> Result<Json<PolicyAnswer>, Refused> {
    let before = app.node.with_control(|c| c.policy.as_ref().map(|a| a.version));
    let version = app.node.publish_policy(&name, caller.name).await?;
    let result = if before == Some(version) { "unchanged" } else { "published" };
    answer(&app, name, result, version)
}

fn answer(app: &App, name: String, result: &str, version: u64) -> Result<Json<PolicyAnswer>, Refused> {
    let (_, found) = app.node.stored_policy(&name)?;
    let (result, version) = (result.to_owned(), Some(version));
    Ok(Json(PolicyAnswer { name, result, version, warnings: warnings(&found) }))
}

/// A policy that shortens locked rules, approved by a second person; `If-Match` binds it to the document that was read.
#[utoipa::path(post, path = "/v1/policies/{name}/approve", tag = "policies", params(("name" = String, Path)),
    responses((status = 200, body = PolicyAnswer), (status = 404, body = Problem), (status = 409, body = Problem), (status = 412, body = Problem)))]
pub(super) async fn approve(
    State(app): State<Shared>,
    Extension(caller): Extension<Caller>,
    Path(name): Path<String>,
    headers: HeaderMap,
) -> Result<Json<PolicyAnswer>, Refused> {
    let known = app.node.with_control(|c| c.stored.get(&name).cloned());
    super::etag::check(&headers, known.as_deref())?;
    let version = app.node.approve_policy(&name, caller.name).await?;
    answer(&app, name, "approved", version)
}

#[utoipa::path(post, path = "/v1/policies/{name}/plan", tag = "policies", params(("name" = String, Path)),
    responses((status = 200, body = PolicyPlan), (status = 404, body = Problem)))]
pub(super) async fn plan(
    State(app): State<Shared>,
    Path(name): Path<String>,
) -> Result<Json<PolicyPlan>, Refused> {
    let (new, found) = app.node.stored_policy(&name)?;
    let active = app.node.with_control(|c| c.policy.clone());
    let node = std::sync::Arc::clone(&app.node);
    let judged = std::sync::Arc::clone(&new);
    let difference = super::blocking(move || node.difference(&judged)).await?;
    let old = active.as_ref().map(|a| &a.policy);
    let rules = |p: &quietus_core::policy::Policy| p.rules.iter().map(|r| r.id.clone()).collect::<Vec<_>>();
    let ids: BTreeSet<String> =
        rules(&new.policy).into_iter().chain(old.map(rules).unwrap_or_default()).collect();
    let by_rule = ids.into_iter().map(|rule| {
        let RuleDifference { due_now, due_then, moved } =
            difference.by_rule.get(&rule).copied().unwrap_or_default();
        let Moved { earlier, later, newly, no_longer } = moved;
        let change = rule_change(old, &new.policy, &rule).to_owned();
        RuleDiff { rule, change, due_now, due_then, earlier, later, newly, no_longer }
    });
    Ok(Json(PolicyPlan {
        name,
        due_now: difference.due_now,
        due_then: difference.due_then,
        earlier: difference.moved.earlier,
        later: difference.moved.later,
        newly: difference.moved.newly,
        no_longer: difference.moved.no_longer,
        uncovered_now: difference.uncovered_now,
        uncovered_then: difference.uncovered_then,
        by_rule: by_rule.collect(),
        warnings: warnings(&found),
    }))
}

#[derive(Clone, Debug, Default, Deserialize, IntoParams)]
#[serde(default)]
pub struct Version {
    /// As it was published under this number; left out = as it stands now.
    pub version: Option<u64>,
}

/// A policy as it was published once.
fn published(app: &App, name: &str, version: u64) -> Option<PolicyView> {
    app.node.with_control(|c| {
        let then = c.versions.get(&version).filter(|then| then.policy.name == name)?;
        Some(PolicyView {
            name: name.to_owned(),
            active: c.policy.as_ref().is_some_and(|active| active.version == version),
            version: Some(version),
            published_at: Some(then.published.to_string()),
            document: then.document.clone(),
        })
    })
}

#[utoipa::path(get, path = "/v1/policies/{name}", tag = "policies", params(("name" = String, Path), Version),
    responses((status = 200, body = PolicyView), (status = 404, body = Problem)))]
pub(super) async fn show(
    State(app): State<Shared>,
    Path(name): Path<String>,
    Asked(asked): Asked<Version>,
) -> Result<Response, Refused> {
    let view = match asked.version {
        None => views(&app).into_iter().find(|v| v.name == name),
        Some(version) => published(&app, &name, version),
    };
    let view = view.ok_or_else(|| {
        let of = asked.version.map(|v| format!(" of version {v}")).unwrap_or_default();
        NodeError::NotFound { what: format!("there is no policy {name}{of}") }
    })?;
    Ok((super::etag::header(&view.document), Json(view)).into_response())
}

#[utoipa::path(get, path = "/v1/policies", tag = "policies", params(Paging),
    responses((status = 200, body = Page<PolicyView>)))]
pub(super) async fn list(State(app): State<Shared>, Asked(paging): Asked<Paging>) -> Json<Page<PolicyView>> {
    Json(paging.cut(views(&app), |v| v.name.clone()))
}

#[utoipa::path(get, path = "/v1/policies/{name}/uncovered", tag = "policies", params(("name" = String, Path), Paging),
    responses((status = 200, body = Page<UncoveredView>), (status = 404, body = Problem)))]
pub(super) async fn uncovered(
    State(app): State<Shared>,
    Path(name): Path<String>,
    Asked(paging): Asked<Paging>,
) -> Result<Json<Page<UncoveredView>>, Refused> {
    let active = app.node.with_control(|c| c.policy.clone()).filter(|a| a.policy.name == name);
    let policy = match active {
        Some(active) => active,
        None => app.node.stored_policy(&name)?.0,
    };
    let node = std::sync::Arc::clone(&app.node);
    let found = super::blocking(move || node.unsettled(&policy, UNCOVERED_MAX)).await?;
    let mut rows: Vec<UncoveredView> = found
        .into_iter()
        .map(|row| UncoveredView {
            item: row.item.to_string(),
            system: row.system,
            dataset: row.dataset,
            category: row.category,
            purposes: row.purposes,
            open: open_word(row.open).to_owned(),
        })
        .collect();
    let key = |row: &UncoveredView| {
        [&row.item, &row.system, &row.dataset, &row.category].map(String::as_str).join(" ")
    };
    rows.sort_by_cached_key(key);
    Ok(Json(paging.cut(rows, key)))
}

fn views(app: &Shared) -> Vec<PolicyView> {
    app.node.with_control(|c| {
        let active = c.policy.as_ref();
        let view = |(name, document): (&String, &String)| {
            let active = active.filter(|a| a.policy.name == *name);
            PolicyView {
                name: name.clone(),
                active: active.is_some(),
                version: active.map(|a| a.version),
                published_at: active.map(|a| a.published.to_string()),
                document: document.clone(),
            }
        };
        c.stored.iter().map(view).collect()
    })
}
