//! The OpenAPI document: made of the handlers' and the wire types' own attributes, committed as
//! `schemas/openapi.json`.

use axum::http::header;
use axum::response::IntoResponse;
use utoipa::OpenApi;
use utoipa::openapi::security::{Http, HttpAuthScheme, SecurityScheme};

use super::{
    audit, certificates, clock, dead_letters, events, explain, exposures, health, holds, items, metrics,
    partitions, policies, reapplies, requests, sources, sweeps, systems,
};

#[derive(OpenApi)]
#[openapi(
    info(title = "quietus", description = "Retention and erasure: knows when personal data must be gone, has it erased everywhere, and proves it."),
    paths(
        events::take,
        policies::store, policies::publish, policies::approve, policies::plan, policies::show, policies::list, policies::uncovered,
        systems::put, systems::show, systems::list, systems::retire, systems::check, systems::coverage, systems::scan, systems::scanned, systems::enforce, systems::observe, systems::callback,
        sources::put, sources::show, sources::list, sources::retire, sources::take, sources::import,
        dead_letters::list, dead_letters::show, dead_letters::retry,
        requests::receive, requests::show, requests::list, requests::cancel, requests::decide, requests::extend, requests::verify_identity, requests::lift, certificates::of_request,
        holds::place, holds::show, holds::list, holds::release,
        sweeps::start, sweeps::show, sweeps::approve, sweeps::list, sweeps::stop, sweeps::resume, certificates::of_sweep,
        reapplies::start, reapplies::show, reapplies::restored,
        items::lookup, items::show, items::subject, explain::explain, explain::item, exposures::count,
        partitions::list, clock::accept,
        audit::entries, audit::proof, audit::checkpoint, audit::keys, audit::state_digest, audit::verify,
        health::healthz, health::readyz, metrics::scrape,
    ),
    security(("token" = [])),
    modifiers(&Tokens),
)]
struct Api;

struct Tokens;

impl utoipa::Modify for Tokens {
    fn modify(&self, openapi: &mut utoipa::openapi::OpenApi) {
        let components = openapi.components.get_or_insert_default();
        components.add_security_scheme("token", SecurityScheme::Http(Http::new(HttpAuthScheme::Bearer)));
    }
}

/// As it is served and committed: pretty JSON with a line end.
pub fn document() -> String {
    let mut text = Api::openapi().to_pretty_json().unwrap_or_default();
    text.push('\n');
    text
}

pub(super) async fn serve() -> impl IntoResponse {
    ([(header::CONTENT_TYPE, "application/json")], document())
}
