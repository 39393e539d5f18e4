//! `/v1/holds`: placed, effective, released. What a confidential one is about is for its own people.

use std::time::Duration;

use axum::Json;
use axum::extract::{Extension, Path, State};
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use quietus_core::hold::{Hold, Scope};
use quietus_core::policy::Taxonomy;
use quietus_core::time::Millis;
use serde::Deserialize;
use utoipa::IntoParams;

use super::extract::{self, Asked, Optional};
use super::page::Paging;
use super::problem::Refused;
use super::{App, Caller, Role, Shared};
use crate::node::{HoldOrder, Once};
use crate::schedule::barrier::Standing;
use crate::surface::wire::{
    Covered, HoldBody, HoldPlan, HoldView, InFlight, Page, Problem, ReleaseBody, ScopeBody,
};

const WAIT: Duration = Duration::from_secs(5);
const WAIT_MAX: Duration = Duration::from_secs(60);

#[derive(Clone, Debug, Default, Deserialize, IntoParams)]
#[serde(default)]
pub struct Placing {
    /// How long to wait until it is effective: `5s`, `500ms`. 5 seconds, at most 60.
    pub wait: Option<String>,
    /// Only say what it would cover.
    pub plan: Option<bool>,
}

#[utoipa::path(post, path = "/v1/holds", tag = "holds", request_body = HoldBody,
    params(Placing, ("Idempotency-Key" = String, Header)),
    responses((status = 200, body = HoldPlan), (status = 201, body = HoldView), (status = 202, body = HoldView),
        (status = 400, body = Problem), (status = 422, body = Problem)))]
pub(super) async fn place(
    State(app): State<Shared>,
    Extension(caller): Extension<Caller>,
    Extension(once): Extension<Once>,
    Asked(placing): Asked<Placing>,
    extract::Json(body): extract::Json<HoldBody>,
) -> Result<Response, Refused> {
    let wait = match placing.wait.as_deref() {
        Some(text) => wait(text)?.min(WAIT_MAX),
        None => WAIT,
    };
    let scope = scope(&app, &body.scope)?;
    if placing.plan == Some(true) {
        let (items, by_system) = app.node.plan_hold(&scope)?;
        let covered = Covered { items, copies: by_system.values().sum() };
        return Ok(Json(HoldPlan { covered, by_system }).into_response());
    }
    for (field, value) in [
        ("matter", &body.matter),
        ("authority", &body.authority),
        ("owner", &body.owner),
        ("reason", &body.reason),
    ] {
        if value.trim().is_empty() {
            let detail = format!("a hold names its {field}");
            return Err(Refused::field("empty-field", &format!("/{field}"), detail, "write it"));
        }
    }
    if Millis::parse(&body.review).is_none() && body.review.parse::<jiff::civil::Date>().is_err() {
        let detail = "review is neither a date nor a time";
        return Err(Refused::field("wrong-time", "/review", detail, "write 2027-01-31 or an RFC 3339 time"));
    }
    let order = HoldOrder {
        matter: body.matter,
        authority: body.authority,
        reference: body.reference,
        owner: body.owner,
        reason: body.reason,
        scope,
        review: body.review,
        confidential: body.confidential,
        allow: body.allow,
        by: caller.name.clone(),
        once: Some(once),
    };
    let (hold, standing) = app.node.place_hold(order, wait).await?;
    let status = if hold.effective.is_some() { StatusCode::CREATED } else { StatusCode::ACCEPTED };
    let at = format!("/v1/holds/{}", hold.id);
    Ok((status, [(header::LOCATION, at)], Json(view(&hold, &standing, true))).into_response())
}

#[utoipa::path(get, path = "/v1/holds/{id}", tag = "holds", params(("id" = String, Path)),
    responses((status = 200, body = HoldView), (status = 404, body = Problem)))]
pub(super) async fn show(
    State(app): State<Shared>,
    Extension(caller): Extension<Caller>,
    Path(id): Path<String>,
) -> Result<Json<HoldView>, Refused> {
    let (hold, standing) = app.node.hold(&id)?;
    Ok(Json(view(&hold, &standing, may_know(&caller))))
}

#[utoipa::path(get, path = "/v1/holds", tag = "holds", params(Paging), responses((status = 200, body = Page<HoldView>)))]
pub(super) async fn list(
    State(app): State<Shared>,
    Extension(caller): Extension<Caller>,
    Asked(paging): Asked<Paging>,
) -> Json<Page<HoldView>> {
    let mut holds: Vec<Hold> = app.node.with_control(|c| c.holds.values().cloned().collect());
    holds.sort_by_key(|h| h.k);
    let page = paging.cut(holds, |h| format!("{:020}", h.k));
    let one =
        |hold: &Hold| view(hold, &crate::schedule::barrier::standing(&app.node, hold), may_know(&caller));
    Json(Page { items: page.items.iter().map(one).collect(), next: page.next })
}

#[utoipa::path(post, path = "/v1/holds/{id}/release", tag = "holds", params(("id" = String, Path)), request_body = ReleaseBody,
    responses((status = 200, body = HoldView), (status = 404, body = Problem)))]
pub(super) async fn release(
    State(app): State<Shared>,
    Extension(caller): Extension<Caller>,
    Path(id): Path<String>,
    Optional(body): Optional<ReleaseBody>,
) -> Result<Json<HoldView>, Refused> {
    app.node.release_hold(&id, caller.name.clone(), body.reason).await?;
    let (hold, standing) = app.node.hold(&id)?;
    Ok(Json(view(&hold, &standing, may_know(&caller))))
}

fn may_know(caller: &Caller) -> bool {
    matches!(caller.role, Role::Admin | Role::Legal | Role::Auditor)
}

fn wait(text: &str) -> Result<Duration, Refused> {
    let wrong = || {
        let detail = "wait is a number of seconds or milliseconds: 5s, 500ms";
        Refused::new(400, "wrong-query", "The query cannot be used", detail)
    };
    let (number, unit) = text.split_at(text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len()));
    let number: u64 = number.parse().map_err(|_| wrong())?;
    match unit {
        "s" | "" => Ok(Duration::from_secs(number)),
        "ms" => Ok(Duration::from_millis(number)),
        _ => Err(wrong()),
    }
}

/// Names become keys: the control log holds no identity.
fn scope(app: &App, body: &ScopeBody) -> Result<Scope, Refused> {
    let mut scope = Scope {
        all: body.all,
        categories: body.categories.clone(),
        purposes: body.purposes.clone(),
        systems: body.systems.clone(),
        jurisdictions: body.jurisdictions.clone(),
        recorded_from: time(body.recorded_from.as_deref(), "/scope/recorded_from")?,
        recorded_to: time(body.recorded_to.as_deref(), "/scope/recorded_to")?,
        ..Scope::default()
    };
    refuse_unknown(app, body)?;
    let mut subjects = Vec::new();
    for (at, text) in body.subjects.iter().enumerate() {
        subjects.push(app.node.subject_of(text, &format!("scope.subjects[{at}]"))?.key);
    }
    scope.subjects = subjects.iter().map(|s| s.0).collect();
    for text in &body.items {
        let shown = quietus_core::identity::ShownItem::parse(text).map(|s| s.item);
        scope.items.insert(shown.unwrap_or_else(|| app.node.keys.item_key(text)).0);
    }
    if !body.processes.is_empty() && subjects.is_empty() {
        let detail = "a process is known by the person it is about";
        return Err(Refused::field("subjects-missing", "/scope/subjects", detail, "name the subjects too"));
    }
    for process in &body.processes {
        scope.processes.extend(subjects.iter().map(|s| app.node.keys.process_key(s, process).0));
    }
    Ok(scope)
}

/// A misspelt name would preserve nothing and look as if it did.
fn refuse_unknown(app: &App, body: &ScopeBody) -> Result<(), Refused> {
    app.node.with_control(|c| {
        let policy = c.policy.as_ref().map(|a| &a.policy);
        let category = |k: &String| {
            Taxonomy::bundled().is_category(k) || policy.is_some_and(|p| p.categories.contains_key(k))
        };
        let purpose = |k: &String| policy.is_none_or(|p| p.purposes.keys().any(|p| is_within(p, k)));
        let system = |k: &String| c.systems.contains_key(k);
        let unknown = [
            ("categories", body.categories.iter().find(|k| !category(k))),
            ("purposes", body.purposes.iter().find(|k| !purpose(k))),
            ("systems", body.systems.iter().find(|k| !system(k))),
        ];
        match unknown.into_iter().find_map(|(field, name)| Some((field, name?))) {
            Some((field, name)) => {
                let detail = format!("nothing of {field} is called {name}");
                let fix = "write it as the policy and the systems do";
                Err(Refused::field("unknown-name", &format!("/scope/{field}"), detail, fix))
            }
            None => Ok(()),
        }
    })
}

fn is_within(narrow: &str, wide: &str) -> bool {
    narrow.strip_prefix(wide).is_some_and(|rest| rest.is_empty() || rest.starts_with('.'))
}

fn time(text: Option<&str>, pointer: &str) -> Result<Option<Millis>, Refused> {
    let Some(text) = text else { return Ok(None) };
    let wrong =
        || Refused::field("wrong-time", pointer, "this is no time", "write RFC 3339: 2026-12-01T00:00:00Z");
    Millis::parse(text).map(Some).ok_or_else(wrong)
}

fn view(hold: &Hold, standing: &Standing, may_know: bool) -> HoldView {
    let told = |text: &str| (may_know || !hold.confidential).then(|| text.to_owned());
    let state = match (hold.released, hold.effective) {
        (Some(_), _) => "released",
        (None, Some(_)) => "effective",
        (None, None) => "placing",
    };
    let flight = |outcome: &'static str| {
        move |(command, system): &(quietus_core::obligation::ObligationId, String)| InFlight {
            command: command.to_string(),
            system: system.clone(),
            outcome: outcome.to_owned(),
        }
    };
    let in_flight =
        standing.out.iter().map(flight("ordered")).chain(standing.accepted.iter().map(flight("accepted")));
    HoldView {
        id: hold.id.clone(),
        state: state.to_owned(),
        effective_at: hold.effective.map(|e| e.to_string()),
        covered: Covered { items: standing.items, copies: standing.copies },
        in_flight: in_flight.collect(),
        not_preserved: standing.not_preserved.clone(),
        waiting_for: standing.waiting_for.clone(),
        placed_at: hold.placed.to_string(),
        released_at: hold.released.map(|r| r.to_string()),
        matter: told(&hold.matter),
        authority: told(&hold.authority),
        reference: hold.reference.as_deref().and_then(told),
        owner: told(&hold.owner),
        reason: told(&hold.reason),
        review: hold.review.clone(),
        confidential: hold.confidential,
    }
}
