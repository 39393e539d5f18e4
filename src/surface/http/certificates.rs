//! `…/certificate`: the evidence for one request or one sweep.

use axum::Json;
use axum::extract::{Path, State};

use super::Shared;
use super::problem::Refused;
use crate::audit::{Certificate, Subject};
use crate::schedule::sweeps;
use crate::surface::wire::Problem;

#[utoipa::path(get, path = "/v1/requests/{id}/certificate", tag = "requests", params(("id" = String, Path)),
    responses((status = 200, body = Certificate), (status = 404, body = Problem), (status = 409, body = Problem)))]
pub(super) async fn of_request(
    State(app): State<Shared>,
    Path(id): Path<String>,
) -> Result<Json<Certificate>, Refused> {
    app.node.request(&id)?;
    certify(&app, Subject::Request(id)).await
}

#[utoipa::path(get, path = "/v1/sweeps/{id}/certificate", tag = "sweeps", params(("id" = String, Path)),
    responses((status = 200, body = Certificate), (status = 404, body = Problem), (status = 409, body = Problem)))]
pub(super) async fn of_sweep(
    State(app): State<Shared>,
    Path(id): Path<String>,
) -> Result<Json<Certificate>, Refused> {
    if sweeps::view(&app.node, &id).is_none() {
        return Err(Refused::not_found(format!("there is no sweep {id}")));
    }
    certify(&app, Subject::Sweep(id)).await
}

async fn certify(app: &Shared, of: Subject) -> Result<Json<Certificate>, Refused> {
    let node = std::sync::Arc::clone(&app.node);
    Ok(Json(super::blocking(move || node.certificate(&of)).await??))
}
