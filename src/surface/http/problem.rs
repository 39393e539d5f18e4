//! Refusals as problem+json. Never a value of the call in them.

use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use quietus_core::document::{Diagnostic, Severity};

use crate::node::{NodeError, Refusal};
use crate::surface::wire::{Finding, Problem, Retry};

/// A call that was not carried out.
#[derive(Clone, Debug)]
pub struct Refused {
    pub problem: Box<Problem>,
    /// Seconds, for `Retry-After`.
    pub after: Option<u32>,
}

impl Refused {
    pub fn new(status: u16, code: &str, title: &str, detail: impl Into<String>) -> Self {
        Self { problem: Box::new(Problem::new(status, code, title, detail)), after: None }
    }

    /// The same call may go through after so many seconds.
    pub fn after(mut self, seconds: u32) -> Self {
        self.problem.retry = Retry::After;
        self.after = Some(seconds);
        self
    }

    pub fn errors(mut self, errors: Vec<Finding>) -> Self {
        self.problem.errors = errors;
        self
    }

    pub fn not_found(what: impl Into<String>) -> Self {
        NodeError::NotFound { what: what.into() }.into()
    }

    /// A field of the body is wrong.
    pub fn field(code: &str, pointer: &str, detail: impl Into<String>, fix: impl Into<String>) -> Self {
        let detail = detail.into();
        Self::new(422, code, "The body cannot be used", detail.clone())
            .errors(vec![Finding::at(pointer, detail, fix)])
    }
}

impl IntoResponse for Refused {
    fn into_response(self) -> Response {
        let status = StatusCode::from_u16(self.problem.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        let body = serde_json::to_vec(&self.problem).unwrap_or_default();
        let mut response =
            (status, [(header::CONTENT_TYPE, "application/problem+json")], body).into_response();
        if let Some(seconds) = self.after {
            response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from(seconds));
        }
        response
    }
}

impl From<NodeError> for Refused {
    fn from(error: NodeError) -> Self {
        let title = match &error {
            NodeError::Ledger(_) => "The ledger did not take it",
            NodeError::Codec(_)
            | NodeError::Keys(_)
            | NodeError::Store(_)
            | NodeError::Unreadable { .. }
            | NodeError::Rewritten { .. } => "The node is at fault",
            NodeError::ClockWaits { .. } => "The clock waits for a person",
            NodeError::NotFound { .. } => "Not found",
            NodeError::Refused { .. } => "It cannot be used",
            NodeError::Conflict { .. } => "It collides with what stands",
            NodeError::Elsewhere { .. } => "Something outside does not answer",
        };
        let refused = Self::new(error.status(), error.code(), title, error.to_string());
        let refused = match &error {
            NodeError::Refused { what, fix, .. }
            | NodeError::Conflict { what, fix, .. }
            | NodeError::Elsewhere { what, fix, .. } => {
                let (detail, fix) = (what.clone(), Some(fix.clone()));
                refused.errors(vec![Finding { detail, fix, ..Finding::default() }])
            }
            NodeError::NotFound { what } => {
                refused.errors(vec![finding(what, "write the name or id as the list of its kind shows it")])
            }
            _ => refused,
        };
        if error.may_retry() { refused.after(5) } else { refused }
    }
}

impl From<Refusal> for Refused {
    fn from(refusal: Refusal) -> Self {
        match refusal {
            Refusal::Wrong(found) => wrong_document(&found),
            Refusal::Node(error) => error.into(),
        }
    }
}

/// A document with mistakes in it: where each is, and how to mend it.
fn wrong_document(found: &[Diagnostic]) -> Refused {
    let errors: Vec<Finding> =
        found.iter().filter(|d| d.severity == Severity::Error).map(Finding::from).collect();
    let detail = match errors.as_slice() {
        [one] => one.detail.clone(),
        [first, ..] => format!("{} errors, the first: {}", errors.len(), first.detail),
        [] => "it cannot be read".to_owned(),
    };
    Refused::new(422, "wrong-document", "The document has errors", detail).errors(errors)
}

/// One mistake that stands nowhere in particular.
pub(super) fn finding(detail: &str, fix: &str) -> Finding {
    Finding { detail: detail.to_owned(), fix: Some(fix.to_owned()), ..Finding::default() }
}

/// What is worth saying and stops nothing.
pub(super) fn warnings(found: &[Diagnostic]) -> Vec<Finding> {
    found.iter().filter(|d| d.severity == Severity::Warning).map(Finding::from).collect()
}

pub(super) async fn not_found() -> Refused {
    Refused::new(404, "no-such-call", "Not found", "there is no such call: see /openapi.json")
}

pub(super) async fn wrong_method() -> Refused {
    Refused::new(405, "wrong-method", "Wrong method", "this path takes another method: see /openapi.json")
}
