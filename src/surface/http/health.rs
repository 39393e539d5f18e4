//! `/healthz`: the process answers. `/readyz`: it may be sent work.

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;

use super::Shared;
use crate::surface::wire::HealthView;

/// Frames a partition may be behind.
const LAG_MAX: u64 = 1_024;

#[utoipa::path(get, path = "/healthz", tag = "node", responses((status = 200, body = HealthView)))]
pub(super) async fn healthz() -> Json<HealthView> {
    Json(HealthView { state: "ok".to_owned(), because: Vec::new() })
}

#[utoipa::path(get, path = "/readyz", tag = "node", responses((status = 200, body = HealthView), (status = 503, body = HealthView)))]
pub(super) async fn readyz(State(app): State<Shared>) -> (StatusCode, Json<HealthView>) {
    let mut because = Vec::new();
    if !app.node.is_running() {
        because.push(
            "the node does not run yet: it starts, or its clock waits for `quietus clock accept`".to_owned(),
        );
    }
    if let Some(error) = app.node.trouble() {
        because.push(error);
    }
    for (partition, lag) in app.node.lags().into_iter().enumerate() {
        if lag > LAG_MAX {
            because.push(format!("partition {partition} is {lag} frames behind"));
        }
    }
    let (status, state) = if because.is_empty() {
        (StatusCode::OK, "ok")
    } else {
        (StatusCode::SERVICE_UNAVAILABLE, "not_ready")
    };
    (status, Json(HealthView { state: state.to_owned(), because }))
}
