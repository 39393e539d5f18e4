//! One request → what its answer means: retry, and might it have happened?
//!
//! Invariant: nothing of an answer's body travels on but what the manifest points at.

use std::time::Duration;

use jiff::fmt::rfc2822::DateTimeParser;
use quietus_contract::{Failure, Outcome};
use reqwest::{RequestBuilder, Response, StatusCode};
use serde_json::Value;

use crate::HttpConnector;

/// A larger answer is no answer to these questions.
const LARGEST: usize = 1 << 20;
/// Nobody waits longer on a partner's word alone; then it is asked again.
const LONGEST_WAIT: Duration = Duration::from_secs(24 * 3600);

/// What came back instead of a 2xx.
pub(crate) enum No {
    Failed(Failure),
    /// The partner will not do this, whatever the retry.
    Refused(String),
    /// Nothing is there (404, 410).
    Unknown,
}

impl No {
    /// As the outcome of a request that was to change something.
    pub(crate) fn outcome(self) -> Outcome {
        match self {
            Self::Failed(failure) => Outcome::Failed(failure),
            Self::Refused(reason) => Outcome::Refused { reason },
            Self::Unknown => Outcome::Failed(Failure::fatal(
                "unreachable",
                "the partner knows no such path: see `path` in the manifest",
            )),
        }
    }

    /// As the failure of a question.
    pub(crate) fn failure(self) -> Failure {
        match self {
            Self::Failed(failure) => Failure { might_have_happened: false, ..failure },
            Self::Refused(reason) => Failure::fatal("denied", reason),
            Self::Unknown => Failure::fatal("unreachable", "the partner knows no such path"),
        }
    }
}

/// Sends it; a 2xx gives its JSON (null where there is none).
pub(crate) async fn send(connector: &HttpConnector, request: RequestBuilder) -> Result<Value, No> {
    if let Some(left) = connector.pace.rest() {
        return Err(No::Failed(asked_to_wait(left)));
    }
    let response = request.send().await.map_err(|error| {
        No::Failed(if error.is_connect() || error.is_builder() {
            Failure::retry("unreachable", "the partner could not be reached")
        } else if error.is_timeout() {
            Failure::unknown("timeout", "the partner did not answer in time")
        } else {
            Failure::unknown("unreachable", "the connection was lost before an answer came")
        })
    })?;
    match response.status() {
        status if status.is_success() => body(response).await,
        status => Err(not_success(connector, status, wanted(&response, (connector.now)()))),
    }
}

fn not_success(connector: &HttpConnector, status: StatusCode, wanted: Option<Duration>) -> No {
    let code = status.as_u16();
    if let Some(wait) = wanted.filter(|_| matches!(code, 429 | 503)) {
        connector.pace.wait(wait);
        return No::Failed(asked_to_wait(wait));
    }
    match code {
        429 | 503 => No::Failed(Failure::retry("conflict", format!("the partner is overloaded ({code})"))),
        409 | 425 => No::Failed(Failure::unknown(
            "conflict",
            format!("the partner is still at the same request ({code})"),
        )),
        401 | 403 | 407 => {
            No::Failed(Failure::fatal("denied", format!("the partner does not let us in ({code})")))
        }
        404 | 410 => No::Unknown,
        405 | 415 => {
            No::Refused(format!("the partner takes no such call ({code}): see `http` in the manifest"))
        }
        408 => No::Failed(Failure::unknown("timeout", "the partner gave up waiting (408)")),
        300..=399 => No::Failed(Failure::fatal(
            "unreachable",
            format!("the partner answers from another address ({code}): write that one into connection.url"),
        )),
        400..=499 => No::Refused(format!("the partner refused the request ({code})")),
        _ => No::Failed(Failure::unknown("internal", format!("the partner failed ({code})"))),
    }
}

fn asked_to_wait(wait: Duration) -> Failure {
    // The whole second that is over by then.
    let seconds = wait.as_millis().div_ceil(1000);
    Failure::retry("conflict", format!("the partner asks to be left alone for {seconds} s"))
}

/// Retry-After, in seconds or as a date.
fn wanted(response: &Response, now_ms: i64) -> Option<Duration> {
    let text = response.headers().get("retry-after")?.to_str().ok()?.trim();
    let wait = match text.parse::<u64>() {
        Ok(seconds) => Duration::from_secs(seconds),
        Err(_) => {
            let at = DateTimeParser::new().parse_timestamp(text).ok()?.as_millisecond();
            Duration::from_millis(u64::try_from(at.saturating_sub(now_ms)).unwrap_or_default())
        }
    };
    Some(wait.min(LONGEST_WAIT))
}

async fn body(mut response: Response) -> Result<Value, No> {
    let broken = || No::Failed(Failure::unknown("unreachable", "the partner's answer broke off"));
    let mut bytes = Vec::new();
    while let Some(chunk) = response.chunk().await.map_err(|_| broken())? {
        bytes.extend_from_slice(&chunk);
        if bytes.len() > LARGEST {
            return Err(No::Failed(Failure::unknown(
                "internal",
                "the partner's answer is larger than 1 MiB",
            )));
        }
    }
    Ok(serde_json::from_slice(&bytes).unwrap_or(Value::Null))
}

/// A value that a pointer leads to, as a text to compare or to keep.
pub(crate) fn text_at(body: &Value, pointer: &str) -> Option<String> {
    match body.pointer(pointer)? {
        Value::String(text) => Some(text.clone()),
        Value::Number(number) => Some(number.to_string()),
        Value::Bool(yes) => Some(yes.to_string()),
        Value::Null | Value::Array(_) | Value::Object(_) => None,
    }
}
