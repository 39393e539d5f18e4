//! `/v1/requests`: what people ask for, and what became of it per target.

use axum::Json;
use axum::extract::{Extension, Path, State};
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use quietus_core::engine::restrict::in_force;
use quietus_core::identity::SubjectKey;
use quietus_core::policy::Taxonomy;
use quietus_core::policy::taxonomy::REGIMES;
use quietus_core::record::RequestMoved;
use quietus_core::request::{Request, RequestAnswer, RequestKind, RequestState, RequestTarget};
use quietus_core::time::Millis;

use super::extract::{self, Asked, Optional};
use super::page::Paging;
use super::problem::Refused;
use super::{App, Caller, Shared};
use crate::node::{Once, RequestOrder};
use crate::partition::{Why, outcome_name};
use crate::surface::wire::{MoveBody, Page, Problem, RequestBody, RequestTargetView, RequestView};

const VALUES_MAX: usize = 64 << 10;
const GROUNDS: [&str; 6] =
    ["no_longer_necessary", "consent_withdrawn", "objected", "unlawful", "legal_obligation", "child"];

#[utoipa::path(post, path = "/v1/requests", tag = "requests", request_body = RequestBody,
    params(("Idempotency-Key" = String, Header)),
    responses((status = 202, body = RequestView), (status = 400, body = Problem), (status = 409, body = Problem), (status = 422, body = Problem)))]
pub(super) async fn receive(
    State(app): State<Shared>,
    Extension(caller): Extension<Caller>,
    Extension(once): Extension<Once>,
    extract::Json(body): extract::Json<RequestBody>,
) -> Result<Response, Refused> {
    let order = RequestOrder { once: Some(once), ..order(&app, body, caller)? };
    let (request, state) = app.node.receive_request(order).await?;
    let at = format!("/v1/requests/{}", request.id);
    Ok((StatusCode::ACCEPTED, [(header::LOCATION, at)], Json(view(&app, &request, state))).into_response())
}

fn order(app: &App, body: RequestBody, caller: Caller) -> Result<RequestOrder, Refused> {
    let kind = RequestKind::parse(&body.kind).ok_or_else(|| {
        let fix = "write one of erase, correct, restrict, object, withdraw, access";
        Refused::field("unknown-type", "/type", "there is no such type of request", fix)
    })?;
    corrections(app, kind, &body)?;
    if let Some(grounds) = body.grounds.as_deref().filter(|g| !GROUNDS.contains(g)) {
        let near = quietus_core::document::nearest(grounds, GROUNDS);
        let fix = near
            .map_or_else(|| format!("write one of {}", GROUNDS.join(", ")), |n| format!("did you mean {n}?"));
        return Err(Refused::field("unknown-grounds", "/grounds", "there are no such grounds", fix));
    }
    if let Some(regime) = body.regime.as_deref().filter(|r| !REGIMES.contains(r)) {
        let near = quietus_core::document::nearest(regime, REGIMES.iter().copied());
        let fix = near
            .map_or_else(|| format!("write one of {}", REGIMES.join(", ")), |n| format!("did you mean {n}?"));
        return Err(Refused::field("unknown-regime", "/regime", "there is no such regime", fix));
    }
    if kind == RequestKind::Withdraw && body.purposes.is_empty() {
        let fix = "name the purposes whose consent is withdrawn";
        return Err(Refused::field("purposes-missing", "/purposes", "a withdrawal says of what", fix));
    }
    let unknown = |p: &&String| {
        !app.node.with_control(|c| c.policy.as_ref().is_some_and(|a| a.policy.purposes.contains_key(*p)))
    };
    if let Some(purpose) = body.purposes.iter().find(unknown) {
        let detail = format!("the active policy has no purpose {purpose}");
        return Err(Refused::field("unknown-purpose", "/purposes", detail, "write a purpose of the policy"));
    }
    let (text, pointer, others) = match (&body.subject, body.identities.as_slice()) {
        (Some(subject), []) => (subject, "subject", [].as_slice()),
        (None, [one, others @ ..]) => (one, "identities[0]", others),
        (Some(_), [_, ..]) | (None, []) => {
            let detail = "either `subject` or `identities` says whom it is about";
            return Err(Refused::field("subject-missing", "/subject", detail, "write it as type:value"));
        }
    };
    if body.unverified && !others.is_empty() {
        let detail = "what somebody unverified says of other identities joins nobody";
        let fix = "name one identity, or verify first";
        return Err(Refused::field("unverified-link", "/identities", detail, fix));
    }
    let who = app.node.subject_of(text, pointer)?;
    let also = others.iter().map(|text| Ok(app.node.subject_of(text, "identities")?.key));
    let also: Vec<SubjectKey> = also.collect::<Result<_, Refused>>()?;
    let on_behalf_of = match &body.on_behalf_of {
        Some(text) => Some(app.node.subject_of(text, "on_behalf_of")?.key),
        None => None,
    };
    let sealed = app.node.keys.seal_identity(&who.key, &who.identity.kind, who.identity.value.reveal());
    let at_fault =
        |e: crate::sealing::SealError| Refused::new(500, "sealing", "The node is at fault", e.to_string());
    let sealed = sealed.map_err(at_fault)?;
    let corrections = match body.corrections.is_empty() {
        true => None,
        false => {
            let cell = app.node.keys.seal_corrections(&who.key, None, &body.corrections);
            Some(cell.map_err(at_fault)?)
        }
    };
    Ok(RequestOrder {
        kind,
        subject: who.key,
        identity: Some(sealed),
        also: also.into_iter().filter(|key| *key != who.key).collect(),
        grounds: body.grounds,
        purposes: body.purposes,
        categories: body.corrections.into_keys().collect(),
        corrections,
        regime: body.regime,
        on_behalf_of,
        unverified: body.unverified,
        by: caller.name,
        once: None,
    })
}

/// A correction says what takes which value, and nothing else does.
fn corrections(app: &App, kind: RequestKind, body: &RequestBody) -> Result<(), Refused> {
    let refused = |code, detail: String, fix: &str| Err(Refused::field(code, "/corrections", detail, fix));
    match (kind, body.corrections.is_empty()) {
        (RequestKind::Correct, true) => {
            let detail = "a correction says which values are others now".to_owned();
            return refused("corrections-missing", detail, "write {CATEGORY: VALUE}; null clears");
        }
        (RequestKind::Correct, false) => {}
        (_, false) => {
            let detail = format!("a request of type {} corrects nothing", kind.name());
            return refused("corrections-unexpected", detail, "make a request of type correct");
        }
        (_, true) => {}
    }
    let own = |key: &str| {
        app.node.with_control(|c| c.policy.as_ref().is_some_and(|a| a.policy.categories.contains_key(key)))
    };
    let unknown = |key: &&String| !Taxonomy::bundled().is_category(key) && !own(key);
    if let Some(key) = body.corrections.keys().find(unknown) {
        return refused(
            "unknown-category",
            format!("there is no category {key}"),
            "write a Fideslang key, or one of the policy",
        );
    }
    let length = |(key, value): (&String, &Option<String>)| key.len() + value.as_ref().map_or(0, String::len);
    if body.corrections.iter().map(length).sum::<usize>() > VALUES_MAX {
        let detail = "corrected values take at most 64 KiB".to_owned();
        return refused("too-long", detail, "correct less at a time");
    }
    Ok(())
}

#[utoipa::path(get, path = "/v1/requests/{id}", tag = "requests", params(("id" = String, Path)),
    responses((status = 200, body = RequestView), (status = 404, body = Problem)))]
pub(super) async fn show(
    State(app): State<Shared>,
    Path(id): Path<String>,
) -> Result<Json<RequestView>, Refused> {
    let (request, state) = app.node.request(&id)?;
    Ok(Json(view(&app, &request, state)))
}

#[utoipa::path(get, path = "/v1/requests", tag = "requests", params(Paging),
    responses((status = 200, body = Page<RequestView>)))]
pub(super) async fn list(State(app): State<Shared>, Asked(paging): Asked<Paging>) -> Json<Page<RequestView>> {
    let page = paging.cut(app.node.requests(), |(r, _)| format!("{:020}.{}", r.received.0, r.id));
    let items = page.items.iter().map(|(request, state)| view(&app, request, *state)).collect();
    Json(Page { items, next: page.next })
}

#[utoipa::path(post, path = "/v1/requests/{id}/cancel", tag = "requests", params(("id" = String, Path)), request_body = MoveBody,
    responses((status = 200, body = RequestView), (status = 404, body = Problem), (status = 409, body = Problem)))]
pub(super) async fn cancel(
    State(app): State<Shared>,
    Extension(caller): Extension<Caller>,
    Path(id): Path<String>,
    Optional(body): Optional<MoveBody>,
) -> Result<Json<RequestView>, Refused> {
    let (request, state) = app.node.request(&id)?;
    let done = view(&app, &request, state).targets;
    let done: Vec<_> = done
        .iter()
        .filter(|t| matches!(t.outcome.as_str(), "ordered" | "accepted" | "executed" | "verified"))
        .collect();
    if !done.is_empty() {
        let detail = format!(
            "{} of {} targets are under way or gone already, and nothing brings them back",
            done.len(),
            request.targets.len()
        );
        let errors = done.iter().map(|t| crate::surface::wire::Finding {
            detail: format!("{} {}: {}", t.system, t.dataset, t.outcome),
            ..Default::default()
        });
        return Err(Refused::new(409, "already-done", "Too late to cancel", detail).errors(errors.collect()));
    }
    moved(&app, id, "cancel", body, None, caller).await
}

#[utoipa::path(post, path = "/v1/requests/{id}/decide", tag = "requests", params(("id" = String, Path)), request_body = MoveBody,
    responses((status = 200, body = RequestView), (status = 404, body = Problem), (status = 409, body = Problem), (status = 422, body = Problem)))]
pub(super) async fn decide(
    State(app): State<Shared>,
    Extension(caller): Extension<Caller>,
    Path(id): Path<String>,
    extract::Json(mut body): extract::Json<MoveBody>,
) -> Result<Json<RequestView>, Refused> {
    if !matches!(body.decision.as_deref(), Some("end" | "keep")) {
        return Err(Refused::field(
            "decision-missing",
            "/decision",
            "a decision is `end` or `keep`",
            "write one of them",
        ));
    }
    let (request, _) = app.node.request(&id)?;
    let mut open: Vec<String> = request.targets.iter().filter_map(to_decide).collect();
    open.sort();
    open.dedup();
    if request.is_unverified() || (open.is_empty() && request.waits.is_none()) {
        let detail = "this request waits for no decision";
        return Err(Refused::new(409, "nothing-to-decide", "Nothing to decide", detail));
    }
    if body.purposes.is_empty() {
        body.purposes = open;
    }
    moved(&app, id, "decide", body, None, caller).await
}

#[utoipa::path(post, path = "/v1/requests/{id}/extend", tag = "requests", params(("id" = String, Path)), request_body = MoveBody,
    responses((status = 200, body = RequestView), (status = 404, body = Problem), (status = 422, body = Problem)))]
pub(super) async fn extend(
    State(app): State<Shared>,
    Extension(caller): Extension<Caller>,
    Path(id): Path<String>,
    extract::Json(body): extract::Json<MoveBody>,
) -> Result<Json<RequestView>, Refused> {
    let (request, _) = app.node.request(&id)?;
    let until = body.until.as_deref().and_then(Millis::parse).ok_or_else(|| {
        Refused::field("until-missing", "/until", "an extension says until when", "write an RFC 3339 time")
    })?;
    if until <= request.due {
        let detail = format!("it is due at {} already", request.due);
        return Err(Refused::field("until-too-early", "/until", detail, "name a later time"));
    }
    if body.reason.is_none() {
        return Err(Refused::field("reason-missing", "/reason", "an extension has a reason", "say why"));
    }
    moved(&app, id, "extend", body, Some(until), caller).await
}

#[utoipa::path(post, path = "/v1/requests/{id}/verify-identity", tag = "requests", params(("id" = String, Path)), request_body = MoveBody,
    responses((status = 200, body = RequestView), (status = 404, body = Problem), (status = 409, body = Problem)))]
pub(super) async fn verify_identity(
    State(app): State<Shared>,
    Extension(caller): Extension<Caller>,
    Path(id): Path<String>,
    Optional(body): Optional<MoveBody>,
) -> Result<Json<RequestView>, Refused> {
    let (request, state) = app.node.request(&id)?;
    if state != RequestState::IdentityUnverified {
        let detail = "this request does not wait for an identity";
        return Err(Refused::new(409, "nothing-to-verify", "Nothing to verify", detail)
            .errors(vec![super::problem::finding(detail, "`quietus request show` says what it waits for")]));
    }
    moved(&app, request.id, "verify-identity", body, None, caller).await
}

#[utoipa::path(post, path = "/v1/requests/{id}/lift", tag = "requests", params(("id" = String, Path)), request_body = MoveBody,
    responses((status = 200, body = RequestView), (status = 404, body = Problem), (status = 409, body = Problem)))]
pub(super) async fn lift(
    State(app): State<Shared>,
    Extension(caller): Extension<Caller>,
    Path(id): Path<String>,
    Optional(body): Optional<MoveBody>,
) -> Result<Json<RequestView>, Refused> {
    let (request, _) = app.node.request(&id)?;
    if request.kind != RequestKind::Restrict || request.lifted.is_some() || request.cancelled {
        let detail = "no restriction of this request stands";
        return Err(Refused::new(409, "nothing-to-lift", "Nothing to lift", detail)
            .errors(vec![super::problem::finding(detail, "name an open request of type restrict")]));
    }
    let stays = restricted_at(&app, &request);
    if !stays.is_empty() {
        let detail =
            format!("it is in force at {}, and no connector takes a restriction back", stays.join(", "));
        let fix = "lift it there by hand, then cancel the request";
        return Err(Refused::new(409, "cannot-lift", "It stays restricted", detail.clone())
            .errors(vec![super::problem::finding(&detail, fix)]));
    }
    moved(&app, id, "lift", body, None, caller).await
}

/// Systems where the restriction is in force or on its way.
fn restricted_at(app: &App, request: &Request) -> Vec<String> {
    let stands = |t: &RequestTarget| match t.answer {
        RequestAnswer::Duty(id) => {
            let inner = app.node.partition_of(t.item.subject).read();
            inner.state.duties.get(id).is_some_and(|duty| in_force(duty.stand))
        }
        RequestAnswer::Refused { .. } | RequestAnswer::Decide { .. } | RequestAnswer::Held { .. } => false,
    };
    let systems = request.targets.iter().filter(|t| stands(t)).map(|t| t.place.system.to_string());
    systems.collect::<std::collections::BTreeSet<_>>().into_iter().collect()
}

async fn moved(
    app: &App,
    id: String,
    verb: &str,
    body: MoveBody,
    until: Option<Millis>,
    caller: Caller,
) -> Result<Json<RequestView>, Refused> {
    let moved = RequestMoved {
        id,
        // Filled in from the request itself.
        subject: Vec::new(),
        verb: verb.to_owned(),
        purposes: body.purposes,
        decision: body.decision,
        until: until.map(|u| u.0),
        reason: body.reason,
        by: caller.name,
    };
    let (request, state) = app.node.move_request(moved).await?;
    Ok(Json(view(app, &request, state)))
}

fn to_decide(target: &RequestTarget) -> Option<String> {
    match &target.answer {
        RequestAnswer::Decide { purpose } => Some(purpose.clone()),
        RequestAnswer::Duty(_) | RequestAnswer::Refused { .. } | RequestAnswer::Held { .. } => None,
    }
}

fn view(app: &App, request: &Request, state: RequestState) -> RequestView {
    let word = serde_json::to_value(state).ok();
    RequestView {
        id: request.id.clone(),
        kind: request.kind.name().to_owned(),
        state: word.and_then(|w| w.as_str().map(str::to_owned)).unwrap_or_default(),
        received: request.received.to_string(),
        due: request.due.to_string(),
        lifted: request.lifted.map(|at| at.to_string()),
        targets: request.targets.iter().map(|t| target_view(app, t)).collect(),
    }
}

fn target_view(app: &App, target: &RequestTarget) -> RequestTargetView {
    let inner = app.node.partition_of(target.item.subject).read();
    let mut view = RequestTargetView {
        item: target.item.to_string(),
        system: target.place.system.to_string(),
        dataset: target.place.dataset.to_string(),
        categories: target.categories.clone(),
        ..RequestTargetView::default()
    };
    match &target.answer {
        RequestAnswer::Refused { reason, rule, law, until } => {
            view.outcome = "refused".to_owned();
            view.detail = Some(reason.clone());
            (view.rule, view.law) = (rule.clone(), law.clone());
            view.until = until.map(|u| u.to_string());
        }
        RequestAnswer::Decide { purpose } => {
            view.outcome = "blocked".to_owned();
            view.detail = Some(format!("a person decides whether {purpose} ends"));
        }
        RequestAnswer::Held { purposes, until } => {
            view.outcome = "live".to_owned();
            view.purposes = purposes.clone();
            view.until = until.map(|u| u.to_string());
        }
        RequestAnswer::Duty(id) => match inner.state.duties.get(*id) {
            None => view.outcome = "owed".to_owned(),
            Some(duty) => {
                view.outcome = outcome_name(duty.stand).to_owned();
                view.verified = duty.verified.map(|v| v.to_string());
                let Why { until, rule, law, detail } = Why::of(duty);
                (view.until, view.rule, view.law, view.detail) = (until, rule, law, detail);
            }
        },
    }
    view
}
