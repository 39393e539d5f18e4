//! `POST /v1/clock/accept`: a person looked at the clock after a gap.

use axum::Json;
use axum::extract::{Extension, State};

use super::problem::Refused;
use super::{Caller, Shared};
use crate::surface::wire::ClockView;

#[utoipa::path(post, path = "/v1/clock/accept", tag = "node", responses((status = 200, body = ClockView)))]
pub(super) async fn accept(
    State(app): State<Shared>,
    Extension(caller): Extension<Caller>,
) -> Result<Json<ClockView>, Refused> {
    let now = crate::schedule::clock::accept(&app.node, caller.name).await?;
    Ok(Json(ClockView { now: now.to_string() }))
}
