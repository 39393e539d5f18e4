//! RFC 9457 problems: what went wrong, where, how to mend it, and whether to try again.

use quietus_core::document::Diagnostic;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// `application/problem+json`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Problem {
    /// `urn:quietus:problem:<code>`
    #[serde(rename = "type")]
    pub kind: String,
    pub title: String,
    pub status: u16,
    pub detail: String,
    /// Kebab case, stable.
    pub code: String,
    pub retry: Retry,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub errors: Vec<Finding>,
}

/// May the same call be made again?
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Retry {
    /// Not before something else was changed.
    #[default]
    Never,
    /// At once: nothing of it happened, or it is harmless to repeat.
    Safe,
    /// After the time in `Retry-After`, or once its cause is over.
    After,
}

/// One mistake: in a body by its JSON pointer, in a file by line and column.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Finding {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pointer: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub file: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub line: Option<u64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub column: Option<u64>,
    pub detail: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fix: Option<String>,
}

impl Problem {
    pub fn new(status: u16, code: &str, title: &str, detail: impl Into<String>) -> Self {
        Self {
            kind: format!("urn:quietus:problem:{code}"),
            title: title.to_owned(),
            status,
            detail: detail.into(),
            code: code.to_owned(),
            retry: Retry::Never,
            errors: Vec::new(),
        }
    }

    pub fn retry(self, retry: Retry) -> Self {
        Self { retry, ..self }
    }

    pub fn errors(self, errors: Vec<Finding>) -> Self {
        Self { errors, ..self }
    }
}

impl Finding {
    pub fn at(pointer: &str, detail: impl Into<String>, fix: impl Into<String>) -> Self {
        let (pointer, fix) = (Some(pointer.to_owned()), Some(fix.into()));
        Self { pointer, detail: detail.into(), fix, ..Self::default() }
    }
}

impl From<&Diagnostic> for Finding {
    fn from(found: &Diagnostic) -> Self {
        Self {
            pointer: None,
            file: Some(found.file.clone()),
            line: Some(found.line as u64),
            column: Some(found.column as u64),
            detail: found.detail.clone(),
            fix: found.fix.clone(),
        }
    }
}
