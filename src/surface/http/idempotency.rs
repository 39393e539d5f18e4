//! `Idempotency-Key`: the same POST twice is carried out once, and answered the same twice.
//!
//! Answers are kept in memory for 24 hours and within bounds. What makes something new (a request, a hold, a sweep)
//! is bound to the key in the ledger itself, see [`Once`]: a restart, a crash before the answer or a memory that is
//! full gives the same id again. Every other call is harmless to repeat. A call goes on to its end although its
//! client hangs up, or its repeat would do it again. What failed for a reason that passes (429, 5xx) is not kept: the
//! repeat is a new try.

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use axum::body::{Body, Bytes, to_bytes};
use axum::extract::{Request, State};
use axum::http::{HeaderValue, Method, StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};

use tracing::Instrument;

use super::extract::{BODY_MAX, whole};
use super::problem::Refused;
use super::{Caller, Shared};
use crate::node::{Once, REMEMBERED};

const HEADER: &str = "idempotency-key";
const KEPT: Duration = Duration::from_millis(REMEMBERED.unsigned_abs());
const KEYS_MAX: usize = 100_000;
/// Of answers' bodies.
const BYTES_MAX: usize = 32 << 20;
const KEY_BYTES_MAX: usize = 255;

/// Calls that make something which a blind repeat would make twice.
const REQUIRED: [&str; 3] = ["/v1/requests", "/v1/holds", "/v1/sweeps"];

type Hash = [u8; 32];

#[derive(Debug, Default)]
pub(super) struct Answers {
    inner: Mutex<Inner>,
}

#[derive(Debug, Default)]
struct Inner {
    known: BTreeMap<Hash, Known>,
    /// Oldest first.
    order: VecDeque<(Duration, Hash)>,
    bytes: usize,
}

#[derive(Debug)]
struct Known {
    body: Hash,
    /// None = being carried out.
    answer: Option<Answer>,
}

#[derive(Clone, Debug)]
struct Answer {
    status: StatusCode,
    headers: Vec<(header::HeaderName, HeaderValue)>,
    body: Bytes,
}

enum Before {
    Never,
    Same(Answer),
    Running,
    Other,
}

pub(super) async fn once(State(app): State<Shared>, request: Request, next: Next) -> Response {
    if request.method() != Method::POST {
        return next.run(request).await;
    }
    let path = request.uri().path();
    let Some(key) = request.headers().get(HEADER) else {
        if REQUIRED.contains(&path) {
            let detail = "this call needs the header `Idempotency-Key`: any text of your own that is new for each new call and the same for its repeats";
            return Refused::new(400, "idempotency-key-missing", "A header is missing", detail)
                .into_response();
        }
        return next.run(request).await;
    };
    if key.is_empty() || key.len() > KEY_BYTES_MAX {
        let detail = "the header `Idempotency-Key` takes 1 to 255 characters";
        return Refused::new(400, "idempotency-key-wrong", "A header is wrong", detail).into_response();
    }
    let caller = request.extensions().get::<Caller>().and_then(|c| c.name.clone()).unwrap_or_default();
    let name = [caller.into_bytes(), path.as_bytes().to_vec(), key.as_bytes().to_vec()];
    let (mut parts, body) = request.into_parts();
    let body = match whole(body, BODY_MAX).await {
        Ok(body) => body,
        Err(refused) => return refused.into_response(),
    };
    let media = parts.headers.get(header::CONTENT_TYPE).map(HeaderValue::as_bytes).unwrap_or_default();
    let query = parts.uri.query().unwrap_or_default();
    let name: Vec<&[u8]> = name.iter().map(Vec::as_slice).collect();
    let once = Once::new(&app.node.keys, &name, &[media, query.as_bytes(), &body]);
    match app.answers.begin(once.key, once.asked, app.node.clock.monotonic()) {
        Before::Never => {}
        Before::Same(answer) => return answer.into_response(),
        Before::Running => {
            let detail = "the same call is being carried out: ask again in a moment";
            return Refused::new(409, "idempotency-key-running", "Being carried out", detail)
                .after(1)
                .into_response();
        }
        Before::Other => {
            let detail = "this `Idempotency-Key` was used with another body: use a new one for a new call";
            return Refused::new(422, "idempotency-key-reused", "The key was used before", detail)
                .into_response();
        }
    }
    parts.extensions.insert(once);
    let request = Request::from_parts(parts, Body::from(body));
    let running = Running { app: std::sync::Arc::clone(&app), key: once.key, done: false };
    // It goes on when the caller hangs up, in the caller's trace.
    let call = async move {
        let response = next.run(request).await;
        running.finish(response).await
    };
    let call = tokio::spawn(call.in_current_span());
    match call.await {
        Ok(response) => response,
        Err(_) => Refused::new(
            500,
            "internal",
            "The node is at fault",
            "the call ended without an answer; look before you repeat it",
        )
        .into_response(),
    }
}

/// Forgets the key when the call ends without an answer.
struct Running {
    app: Shared,
    key: Hash,
    done: bool,
}

impl Running {
    async fn finish(mut self, response: Response) -> Response {
        self.done = true;
        let (parts, body) = response.into_parts();
        let passes = parts.status.is_server_error() || parts.status == StatusCode::TOO_MANY_REQUESTS;
        let Ok(body) = to_bytes(body, usize::MAX).await else {
            self.app.answers.forget(self.key);
            return Response::from_parts(parts, Body::empty());
        };
        if passes {
            self.app.answers.forget(self.key);
        } else {
            let kept = [header::CONTENT_TYPE, header::LOCATION, header::ETAG];
            let headers =
                kept.into_iter().filter_map(|name| Some((name.clone(), parts.headers.get(name)?.clone())));
            let answer = Answer { status: parts.status, headers: headers.collect(), body: body.clone() };
            self.app.answers.keep(self.key, answer);
        }
        Response::from_parts(parts, Body::from(body))
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        if !self.done {
            self.app.answers.forget(self.key);
        }
    }
}

impl Answers {
    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn begin(&self, key: Hash, body: Hash, now: Duration) -> Before {
        let mut inner = self.lock();
        inner.expire(now);
        match inner.known.get(&key) {
            Some(known) if known.body != body => Before::Other,
            Some(Known { answer: Some(answer), .. }) => Before::Same(answer.clone()),
            Some(Known { answer: None, .. }) => Before::Running,
            None => {
                inner.known.insert(key, Known { body, answer: None });
                inner.order.push_back((now, key));
                Before::Never
            }
        }
    }

    fn keep(&self, key: Hash, answer: Answer) {
        let mut inner = self.lock();
        let bytes = answer.body.len();
        if let Some(known) = inner.known.get_mut(&key) {
            known.answer = Some(answer);
            inner.bytes += bytes;
        }
    }

    fn forget(&self, key: Hash) {
        self.lock().remove(&key);
    }
}

impl Inner {
    fn expire(&mut self, now: Duration) {
        while let Some((at, key)) = self.order.front().copied() {
            let old = now.saturating_sub(at) >= KEPT;
            let full = self.known.len() > KEYS_MAX || self.bytes > BYTES_MAX;
            if !old && !full {
                return;
            }
            self.order.pop_front();
            // What still runs is not forgotten: it would be done twice.
            if self.known.get(&key).is_some_and(|k| k.answer.is_none()) {
                self.order.push_back((now, key));
                return;
            }
            self.remove(&key);
        }
    }

    fn remove(&mut self, key: &Hash) {
        if let Some(Known { answer: Some(answer), .. }) = self.known.remove(key) {
            self.bytes = self.bytes.saturating_sub(answer.body.len());
        }
    }
}

impl IntoResponse for Answer {
    fn into_response(self) -> Response {
        let mut response = (self.status, self.body).into_response();
        response.headers_mut().remove(header::CONTENT_TYPE);
        response.headers_mut().extend(self.headers);
        response
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answer(size: usize) -> Answer {
        Answer { status: StatusCode::OK, headers: vec![], body: vec![0; size].into() }
    }

    #[test]
    fn a_key_is_kept_for_a_day() {
        let answers = Answers::default();
        let (key, body) = ([1; 32], [2; 32]);
        assert!(matches!(answers.begin(key, body, Duration::ZERO), Before::Never));
        assert!(matches!(answers.begin(key, body, Duration::ZERO), Before::Running));
        assert!(matches!(answers.begin(key, [3; 32], Duration::ZERO), Before::Other));
        answers.keep(key, answer(1));
        assert!(matches!(answers.begin(key, body, KEPT - Duration::from_secs(1)), Before::Same(_)));
        assert!(matches!(answers.begin(key, body, KEPT), Before::Never));
    }

    #[test]
    fn memory_is_bounded_and_what_runs_is_not_forgotten() {
        let answers = Answers::default();
        answers.begin([9; 32], [0; 32], Duration::ZERO);
        for n in 0..100u8 {
            answers.begin([n, 1].repeat(16).try_into().unwrap(), [0; 32], Duration::ZERO);
            answers.keep([n, 1].repeat(16).try_into().unwrap(), answer(1 << 20));
        }
        assert!(answers.lock().bytes <= BYTES_MAX + (2 << 20));
        assert!(matches!(answers.begin([9; 32], [0; 32], Duration::ZERO), Before::Running));
    }
}
