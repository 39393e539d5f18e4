//! Taking calls apart: bodies and queries, with problems where axum would answer in plain text.

use axum::body::{Body, Bytes, to_bytes};
use axum::extract::{FromRequest, FromRequestParts, Query, Request};
use axum::http::request::Parts;
use axum::http::{HeaderMap, header};
use serde::de::DeserializeOwned;

use super::problem::Refused;
use crate::surface::wire::Finding;

/// What any body but events may weigh.
pub const BODY_MAX: usize = 16 << 20;

/// A JSON body.
#[derive(Debug)]
pub struct Json<T>(pub T);

/// A JSON body that may be left out.
#[derive(Debug)]
pub struct Optional<T>(pub T);

/// A body as it is: YAML or JSON.
#[derive(Debug)]
pub struct Document(pub Bytes);

/// Query parameters.
#[derive(Debug)]
pub struct Asked<T>(pub T);

impl<T: DeserializeOwned, S: Send + Sync> FromRequest<S> for Json<T> {
    type Rejection = Refused;

    async fn from_request(request: Request, _: &S) -> Result<Self, Refused> {
        let (parts, body) = request.into_parts();
        let bytes = whole(body, BODY_MAX).await?;
        if !is_json(&parts.headers) {
            return Err(Refused::new(
                415,
                "media-type",
                "Unsupported media type",
                "the body must be sent as `Content-Type: application/json`",
            ));
        }
        read(&bytes).map(Json)
    }
}

impl<T: DeserializeOwned + Default, S: Send + Sync> FromRequest<S> for Optional<T> {
    type Rejection = Refused;

    async fn from_request(request: Request, _: &S) -> Result<Self, Refused> {
        let bytes = whole(request.into_body(), BODY_MAX).await?;
        if bytes.trim_ascii().is_empty() { Ok(Self(T::default())) } else { read(&bytes).map(Optional) }
    }
}

impl<S: Send + Sync> FromRequest<S> for Document {
    type Rejection = Refused;

    async fn from_request(request: Request, _: &S) -> Result<Self, Refused> {
        whole(request.into_body(), BODY_MAX).await.map(Document)
    }
}

impl<T: DeserializeOwned, S: Send + Sync> FromRequestParts<S> for Asked<T> {
    type Rejection = Refused;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Refused> {
        Query::try_from_uri(&parts.uri).map(|Query(asked)| Asked(asked)).map_err(|_| {
            Refused::new(
                400,
                "wrong-query",
                "The query cannot be used",
                "a query parameter has a wrong value",
            )
        })
    }
}

/// The whole body, or 413.
pub async fn whole(body: Body, limit: usize) -> Result<Bytes, Refused> {
    to_bytes(body, limit).await.map_err(|error| {
        use std::error::Error;
        // axum boxes the limit's error; anything else is a broken connection.
        let too_large = error.source().is_some_and(|e| e.to_string().contains("length limit"));
        if too_large {
            let detail = format!("a body takes at most {} MiB", limit >> 20);
            return Refused::new(413, "too-large", "Too large", detail);
        }
        Refused::new(400, "body-cut-short", "The body ended early", "the connection broke: send it again")
    })
}

fn is_json(headers: &HeaderMap) -> bool {
    let media = headers.get(header::CONTENT_TYPE).and_then(|v| v.to_str().ok()).unwrap_or_default();
    let media = media.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
    media == "application/json" || media.ends_with("+json")
}

fn read<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, Refused> {
    serde_json::from_slice(bytes).map_err(|error| {
        let finding = Finding {
            line: Some(error.line() as u64),
            column: Some(error.column() as u64),
            detail: without_values(&error),
            fix: Some("see the call's schema in /openapi.json".to_owned()),
            ..Finding::default()
        };
        let (status, title) =
            if error.is_data() { (422, "The body cannot be used") } else { (400, "The body is not JSON") };
        let code = if error.is_data() { "wrong-body" } else { "not-json" };
        Refused::new(status, code, title, finding.detail.clone()).errors(vec![finding])
    })
}

/// serde repeats the value it stumbles over; names of fields are all that is said of a body here.
fn without_values(error: &serde_json::Error) -> String {
    let said = error.to_string();
    let said = said.rsplit_once(" at line ").map_or(said.as_str(), |(what, _)| what);
    let of_fields = ["missing field", "unknown field", "duplicate field"];
    if of_fields.iter().any(|start| said.starts_with(start)) {
        return said.to_owned();
    }
    match said.rsplit_once(", expected ").filter(|_| error.is_data()) {
        Some((_, expected)) => format!("a field has the wrong type: expected {expected}"),
        None if error.is_data() => "a field has a wrong value".to_owned(),
        None => "the body is not JSON".to_owned(),
    }
}
