//! What every call goes through: its span, and whether the node runs.

use axum::extract::{MatchedPath, Request, State};
use axum::http::Method;
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use tracing::Instrument;

use super::Shared;
use super::problem::Refused;
use crate::telemetry::trace;

/// The producer's trace goes on in the call's span. The span knows the route's pattern, never the path.
pub(super) async fn traced(request: Request, next: Next) -> Response {
    let parent = request.headers().get("traceparent").and_then(|v| v.to_str().ok());
    let span = trace::child("http", parent);
    let route = request.extensions().get::<MatchedPath>().map(|m| m.as_str().to_owned());
    let method = request.method().clone();
    async move {
        let response = next.run(request).await;
        let status = response.status().as_u16();
        tracing::debug!(%method, route = route.as_deref().unwrap_or("none"), status, "answered");
        response
    }
    .instrument(span)
    .await
}

/// While the clock waits for a person nothing is taken in; looking is allowed.
pub(super) async fn running(State(app): State<Shared>, request: Request, next: Next) -> Response {
    let changes = request.method() != Method::GET && request.uri().path() != "/v1/clock/accept";
    if changes && !app.node.is_running() {
        let detail =
            "the node does not run yet: look at /readyz; where the clock waits, run `quietus clock accept`";
        return Refused::new(503, "not-running", "Not running", detail).after(5).into_response();
    }
    next.run(request).await
}
