//! HTTP: `/v1` in JSON, problems as RFC 9457, and what monitors ask for.
//!
//! One file per noun. Every call goes through the same three gates, in this order: who asks ([`auth`]), was it asked
//! before ([`idempotency`]), may the node take it now. An identity stands in bodies only: the request's span and the
//! metrics know the route's pattern, never the path with its values.

mod audit;
mod auth;
mod certificates;
mod clock;
mod dead_letters;
mod etag;
mod events;
mod explain;
mod exposures;
mod extract;
mod gate;
mod health;
mod holds;
mod idempotency;
mod items;
mod metrics;
mod openapi;
mod page;
mod partitions;
mod policies;
mod problem;
mod reapplies;
mod requests;
mod serve;
mod sources;
mod sweeps;
mod systems;
mod tls;

use std::sync::Arc;
use std::sync::atomic::AtomicI64;

use axum::Router;
use axum::http::StatusCode;
use axum::middleware::from_fn_with_state;
use axum::routing::{get, post, put};
use tokio::sync::Semaphore;

use crate::node::{Node, Put};

pub use auth::{Caller, Role, Token};
pub use etag::of_bytes as etag_of;
pub use openapi::document as openapi_document;
pub use problem::Refused;
pub use serve::{HttpConfig, ServeError, bind, serve, serve_on};
pub use tls::{Certificate, TlsError};

/// What every handler may use.
#[derive(Debug)]
pub struct App {
    pub node: Arc<Node>,
    pub tokens: Vec<Token>,
    answers: idempotency::Answers,
    /// KiB of event bodies that may be in memory.
    room: Arc<Semaphore>,
    scan: metrics::Scan,
    /// When the audit chain was last verified, milliseconds; 0 = never.
    audited: AtomicI64,
}

pub type Shared = Arc<App>;

impl App {
    pub fn new(node: Arc<Node>, tokens: Vec<Token>) -> Shared {
        Arc::new(Self {
            node,
            tokens,
            answers: idempotency::Answers::default(),
            room: Arc::new(Semaphore::new(events::ROOM_KIB)),
            scan: metrics::Scan::default(),
            audited: AtomicI64::new(0),
        })
    }
}

/// Runs what costs processor time beside the async workers.
async fn blocking<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> Result<T, Refused> {
    tokio::task::spawn_blocking(work).await.map_err(|_| {
        Refused::new(
            500,
            "internal",
            "The node is at fault",
            "it could not be worked out; try again, then see the log",
        )
    })
}

/// What became of a document that was put.
fn put_told(put: Put) -> (StatusCode, &'static str) {
    match put {
        Put::Created => (StatusCode::CREATED, "created"),
        Put::Changed => (StatusCode::OK, "changed"),
        Put::Unchanged => (StatusCode::OK, "unchanged"),
    }
}

/// Every call there is.
pub fn router(app: Shared) -> Router {
    let calls = Router::new()
        .route("/v1/events", post(events::take))
        .route("/v1/policies", get(policies::list))
        .route("/v1/policies/{name}", put(policies::store).get(policies::show))
        .route("/v1/policies/{name}/plan", post(policies::plan))
        .route("/v1/policies/{name}/publish", post(policies::publish))
        .route("/v1/policies/{name}/approve", post(policies::approve))
        .route("/v1/policies/{name}/uncovered", get(policies::uncovered))
        .route("/v1/systems", get(systems::list))
        .route("/v1/systems/{name}", put(systems::put).get(systems::show).delete(systems::retire))
        .route("/v1/systems/{name}/check", post(systems::check))
        .route("/v1/systems/{name}/coverage", post(systems::coverage))
        .route("/v1/systems/{name}/scan", post(systems::scan).get(systems::scanned))
        .route("/v1/systems/{name}/enforce", post(systems::enforce))
        .route("/v1/systems/{name}/observe", post(systems::observe))
        .route("/v1/systems/{name}/restored", post(reapplies::restored))
        .route("/v1/reapplies", post(reapplies::start))
        .route("/v1/reapplies/{id}", get(reapplies::show))
        .route("/v1/sources", get(sources::list))
        .route(
            "/v1/sources/{name}",
            put(sources::put).get(sources::show).delete(sources::retire).post(sources::take),
        )
        .route("/v1/sources/{name}/import", post(sources::import))
        .route("/v1/dead-letters", get(dead_letters::list))
        .route("/v1/dead-letters/{id}", get(dead_letters::show))
        .route("/v1/dead-letters/{id}/retry", post(dead_letters::retry))
        .route("/v1/requests", post(requests::receive).get(requests::list))
        .route("/v1/requests/{id}", get(requests::show))
        .route("/v1/requests/{id}/cancel", post(requests::cancel))
        .route("/v1/requests/{id}/decide", post(requests::decide))
        .route("/v1/requests/{id}/extend", post(requests::extend))
        .route("/v1/requests/{id}/verify-identity", post(requests::verify_identity))
        .route("/v1/requests/{id}/lift", post(requests::lift))
        .route("/v1/requests/{id}/certificate", get(certificates::of_request))
        .route("/v1/holds", post(holds::place).get(holds::list))
        .route("/v1/holds/{id}", get(holds::show))
        .route("/v1/holds/{id}/release", post(holds::release))
        .route("/v1/sweeps", post(sweeps::start).get(sweeps::list))
        .route("/v1/sweeps/stop", post(sweeps::stop))
        .route("/v1/sweeps/resume", post(sweeps::resume))
        .route("/v1/sweeps/{id}", get(sweeps::show))
        .route("/v1/sweeps/{id}/approve", post(sweeps::approve))
        .route("/v1/sweeps/{id}/certificate", get(certificates::of_sweep))
        .route("/v1/items/lookup", post(items::lookup))
        .route("/v1/items/{id}", get(items::show))
        .route("/v1/items/{id}/explain", get(explain::item))
        .route("/v1/explain", post(explain::explain))
        .route("/v1/subjects/lookup", post(items::subject))
        .route("/v1/exposures", post(exposures::count))
        .route("/v1/partitions", get(partitions::list))
        .route("/v1/clock/accept", post(clock::accept))
        .route("/v1/audit/entries", get(audit::entries))
        .route("/v1/audit/entries/{partition}/{n}/proof", get(audit::proof))
        .route("/v1/audit/checkpoint", get(audit::checkpoint))
        .route("/v1/audit/keys", get(audit::keys))
        .route("/v1/audit/state-digest", get(audit::state_digest))
        .route("/v1/audit/verify", post(audit::verify))
        .route("/metrics", get(metrics::scrape));
    let open = Router::new()
        .route("/openapi.json", get(openapi::serve))
        .route("/healthz", get(health::healthz))
        .route("/readyz", get(health::readyz))
        .route("/v1/systems/{name}/callback", post(systems::callback));
    // The last layer added is the first a call goes through.
    let gated = calls
        .layer(from_fn_with_state(Arc::clone(&app), gate::running))
        .layer(from_fn_with_state(Arc::clone(&app), idempotency::once))
        .layer(from_fn_with_state(Arc::clone(&app), auth::who));
    gated
        .merge(open)
        .fallback(problem::not_found)
        .method_not_allowed_fallback(problem::wrong_method)
        .layer(axum::middleware::from_fn(gate::traced))
        .with_state(app)
}
