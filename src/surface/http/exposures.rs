//! `/v1/exposures`: what lay in a system during some time.

use axum::Json;
use axum::extract::State;
use quietus_core::time::Millis;

use super::Shared;
use super::extract;
use super::problem::Refused;
use crate::surface::wire::{ExposureBody, ExposureView, Problem};

#[utoipa::path(post, path = "/v1/exposures", tag = "systems", request_body = ExposureBody,
    responses((status = 200, body = ExposureView), (status = 404, body = Problem), (status = 422, body = Problem)))]
pub(super) async fn count(
    State(app): State<Shared>,
    extract::Json(body): extract::Json<ExposureBody>,
) -> Result<Json<ExposureView>, Refused> {
    let time = |text: &str, pointer: &str| {
        let wrong = || Refused::field("wrong-time", pointer, "this is no time", "write it as RFC 3339");
        Millis::parse(text).ok_or_else(wrong)
    };
    let (from, to) = (time(&body.from, "/from")?, time(&body.to, "/to")?);
    let (node, system) = (std::sync::Arc::clone(&app.node), body.system.clone());
    let exposure = super::blocking(move || node.exposure(&system, from, to)).await??;
    Ok(Json(ExposureView::of(body, exposure)))
}
