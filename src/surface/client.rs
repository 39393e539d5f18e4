//! The typed client of `/v1`: one method per call, in the types of [`super::wire`].
//!
//! Every call that changes something carries a key of its own, so that a repeat by the network does it once, and the
//! trace of whoever asks. An answer that is not understood is no answer: nothing is guessed from it.

use std::fmt::Write;
use std::time::Duration;

use reqwest::header::{AUTHORIZATION, CONTENT_TYPE, HeaderValue, IF_MATCH};
use reqwest::{Method, RequestBuilder, Response};
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::http::etag_of;
use super::wire::{
    CheckView, CheckpointView, ClockView, CoverageView, DeadLetterView, DigestView, ExplainBody, ExplainView,
    ExposureBody, ExposureView, HoldBody, HoldPlan, HoldView, ImportAnswer, ItemView, KeyView, LookupAnswer,
    LookupBody, MoveBody, Page, Plan, PolicyAnswer, PolicyPlan, PolicyView, Problem, ProofView, ReapplyBody,
    ReapplyView, ReleaseBody, RequestBody, RequestView, RestoredBody, ScanView, SourceAnswer, SourceView,
    SweepBody, SweepStarted, SweepView, SwitchView, SystemAnswer, SystemView, UncoveredView, VerifyView,
};
use crate::audit::Certificate;
use crate::telemetry::trace;

/// A host that does not answer the phone.
const CONNECT: Duration = Duration::from_secs(5);
/// Rows asked for at a time.
const PAGE: u32 = 1_000;

#[derive(Debug, thiserror::Error)]
pub enum ClientError {
    #[error("{0}")]
    Usage(String),
    #[error("{url} cannot be reached ({cause}); is the node running, and is --url right?")]
    Unreachable { url: String, cause: String },
    #[error(
        "{url} is not trusted ({cause}); name the file of the authority that vouches for it in SSL_CERT_FILE"
    )]
    Untrusted { url: String, cause: String },
    #[error("{url} did not answer in time; ask again, or give it more with --timeout")]
    Timeout { url: String },
    #[error("{url} answered what is not understood ({cause}); is it a node of this version?")]
    Strange { url: String, cause: String },
    #[error("{}: {}", .0.title, .0.detail)]
    Problem(Box<Problem>),
}

#[derive(Clone, Debug)]
pub struct Client {
    http: reqwest::Client,
    url: String,
    token: Option<HeaderValue>,
}

type Answer<T> = Result<T, ClientError>;

impl Client {
    /// `timeout` holds for each call.
    pub fn new(url: &str, token: Option<&str>, timeout: Duration) -> Answer<Self> {
        let url = url.trim_end_matches('/');
        if !(url.starts_with("http://") || url.starts_with("https://")) {
            return Err(ClientError::Usage(format!(
                "--url {url}: write http://HOST:PORT or https://HOST:PORT"
            )));
        }
        let token = token.map(bearer).transpose()?;
        // A proxy would see what is for the node alone; a redirect would take the token elsewhere.
        let http = reqwest::Client::builder()
            .no_proxy()
            .redirect(reqwest::redirect::Policy::none())
            .connect_timeout(CONNECT)
            .timeout(timeout)
            .build()
            .map_err(|cause| ClientError::Usage(format!("the client cannot start: {cause}")))?;
        Ok(Self { http, url: url.to_owned(), token })
    }

    // Policies.

    pub async fn store_policy(&self, name: &str, document: Vec<u8>) -> Answer<PolicyAnswer> {
        self.put(&format!("/v1/policies/{}", segment(name)), document).await
    }

    pub async fn plan_policy(&self, name: &str) -> Answer<PolicyPlan> {
        self.post(&format!("/v1/policies/{}/plan", segment(name)), &()).await
    }

    pub async fn publish_policy(&self, name: &str) -> Answer<PolicyAnswer> {
        self.post(&format!("/v1/policies/{}/publish", segment(name)), &()).await
    }

    /// As a second person, for exactly this document.
    pub async fn approve_policy(&self, name: &str, document: &[u8]) -> Answer<PolicyAnswer> {
        let path = format!("/v1/policies/{}/approve", segment(name));
        let request = self.request(Method::POST, &path).header("Idempotency-Key", key()?);
        self.read(request.header(IF_MATCH, etag_of(document))).await
    }

    pub async fn policies(&self) -> Answer<Vec<PolicyView>> {
        self.all("/v1/policies").await
    }

    /// A policy as it was published under this number.
    pub async fn policy_version(&self, name: &str, version: u64) -> Answer<PolicyView> {
        self.get(&format!("/v1/policies/{}?version={version}", segment(name))).await
    }

    pub async fn uncovered(&self, name: &str) -> Answer<Vec<UncoveredView>> {
        self.all(&format!("/v1/policies/{}/uncovered", segment(name))).await
    }

    // Systems.

    pub async fn put_system(&self, name: &str, manifest: Vec<u8>) -> Answer<SystemAnswer> {
        self.put(&format!("/v1/systems/{}", segment(name)), manifest).await
    }

    pub async fn systems(&self) -> Answer<Vec<SystemView>> {
        self.all("/v1/systems").await
    }

    pub async fn system(&self, name: &str) -> Answer<SystemView> {
        self.get(&format!("/v1/systems/{}", segment(name))).await
    }

    pub async fn check_system(&self, name: &str) -> Answer<CheckView> {
        self.post(&format!("/v1/systems/{}/check", segment(name)), &()).await
    }

    pub async fn coverage(&self, name: &str) -> Answer<CoverageView> {
        self.post(&format!("/v1/systems/{}/coverage", segment(name)), &()).await
    }

    pub async fn start_scan(&self, name: &str) -> Answer<ScanView> {
        self.post(&format!("/v1/systems/{}/scan", segment(name)), &()).await
    }

    /// The newest scan of a system.
    pub async fn scan(&self, name: &str) -> Answer<ScanView> {
        self.get(&format!("/v1/systems/{}/scan", segment(name))).await
    }

    /// `mode` is `enforce` or `observe`.
    pub async fn set_mode(&self, name: &str, mode: &str) -> Answer<SystemAnswer> {
        self.post(&format!("/v1/systems/{}/{mode}", segment(name)), &()).await
    }

    pub async fn restored(&self, name: &str, body: &RestoredBody) -> Answer<ReapplyView> {
        self.post(&format!("/v1/systems/{}/restored", segment(name)), body).await
    }

    pub async fn reapply(&self, body: &ReapplyBody) -> Answer<ReapplyView> {
        self.post("/v1/reapplies", body).await
    }

    pub async fn reapplied(&self, id: &str) -> Answer<ReapplyView> {
        self.get(&format!("/v1/reapplies/{}", segment(id))).await
    }

    pub async fn retire_system(&self, name: &str) -> Answer<()> {
        let path = format!("/v1/systems/{}", segment(name));
        self.done(self.request(Method::DELETE, &path)).await.map(drop)
    }

    // Sources and dead letters.

    pub async fn put_source(&self, name: &str, source: Vec<u8>) -> Answer<SourceAnswer> {
        self.put(&format!("/v1/sources/{}", segment(name)), source).await
    }

    pub async fn sources(&self) -> Answer<Vec<SourceView>> {
        self.all("/v1/sources").await
    }

    pub async fn source(&self, name: &str) -> Answer<SourceView> {
        self.get(&format!("/v1/sources/{}", segment(name))).await
    }

    pub async fn retire_source(&self, name: &str) -> Answer<()> {
        let path = format!("/v1/sources/{}", segment(name));
        self.done(self.request(Method::DELETE, &path)).await.map(drop)
    }

    /// Records of a file, one a line; the first is number `from`.
    pub async fn import(&self, name: &str, file: &str, from: u64, lines: Vec<u8>) -> Answer<ImportAnswer> {
        let path = format!("/v1/sources/{}/import?file={}&from={from}", segment(name), segment(file));
        let request = self.request(Method::POST, &path).header("Idempotency-Key", key()?);
        self.read(request.header(CONTENT_TYPE, "application/x-ndjson").body(lines)).await
    }

    pub async fn dead_letters(&self) -> Answer<Vec<DeadLetterView>> {
        self.all("/v1/dead-letters").await
    }

    pub async fn dead_letter(&self, id: &str) -> Answer<DeadLetterView> {
        self.get(&format!("/v1/dead-letters/{}", segment(id))).await
    }

    pub async fn retry_dead_letter(&self, id: &str) -> Answer<()> {
        let path = format!("/v1/dead-letters/{}/retry", segment(id));
        let request = self.request(Method::POST, &path).header("Idempotency-Key", key()?);
        self.done(request).await.map(drop)
    }

    // Requests.

    pub async fn receive(&self, body: &RequestBody) -> Answer<RequestView> {
        self.post("/v1/requests", body).await
    }

    pub async fn requests(&self) -> Answer<Vec<RequestView>> {
        self.all("/v1/requests").await
    }

    pub async fn request_of(&self, id: &str) -> Answer<RequestView> {
        self.get(&format!("/v1/requests/{}", segment(id))).await
    }

    /// `verb` is `cancel`, `decide` or `extend`.
    pub async fn move_request(&self, id: &str, verb: &str, body: &MoveBody) -> Answer<RequestView> {
        self.post(&format!("/v1/requests/{}/{verb}", segment(id)), body).await
    }

    // Holds.

    pub async fn place_hold(&self, body: &HoldBody, wait: Duration) -> Answer<HoldView> {
        self.post(&format!("/v1/holds?wait={}ms", wait.as_millis()), body).await
    }

    pub async fn plan_hold(&self, body: &HoldBody) -> Answer<HoldPlan> {
        self.post("/v1/holds?plan=true", body).await
    }

    pub async fn holds(&self) -> Answer<Vec<HoldView>> {
        self.all("/v1/holds").await
    }

    pub async fn hold(&self, id: &str) -> Answer<HoldView> {
        self.get(&format!("/v1/holds/{}", segment(id))).await
    }

    pub async fn release_hold(&self, id: &str, body: &ReleaseBody) -> Answer<HoldView> {
        self.post(&format!("/v1/holds/{}/release", segment(id)), body).await
    }

    // Sweeps.

    pub async fn plan_sweep(&self) -> Answer<Plan> {
        self.post("/v1/sweeps", &SweepBody { plan: true, rows: false }).await
    }

    /// The plan with every row of it.
    pub async fn plan_sweep_rows(&self) -> Answer<Plan> {
        self.post("/v1/sweeps", &SweepBody { plan: true, rows: true }).await
    }

    pub async fn start_sweep(&self) -> Answer<SweepStarted> {
        self.post("/v1/sweeps", &SweepBody::default()).await
    }

    pub async fn sweep(&self, id: &str) -> Answer<SweepView> {
        self.get(&format!("/v1/sweeps/{}", segment(id))).await
    }

    pub async fn approve_sweep(&self, id: &str) -> Answer<SweepStarted> {
        self.post(&format!("/v1/sweeps/{}/approve", segment(id)), &()).await
    }

    /// `verb` is `stop` or `resume`.
    pub async fn switch_sweeps(&self, verb: &str) -> Answer<SwitchView> {
        self.post(&format!("/v1/sweeps/{verb}"), &()).await
    }

    // Items, the audit, the clock.

    /// Every page of a look-up.
    pub async fn look_up(&self, body: &LookupBody) -> Answer<Vec<ItemView>> {
        let mut body = LookupBody { limit: Some(PAGE), ..body.clone() };
        let mut out = Vec::new();
        loop {
            let page: LookupAnswer = self.post("/v1/items/lookup", &body).await?;
            out.extend(page.items);
            match page.next {
                Some(next) => body.cursor = Some(next),
                None => return Ok(out),
            }
        }
    }

    /// An item, or a place.
    pub async fn explain(&self, body: &ExplainBody) -> Answer<ExplainView> {
        self.post("/v1/explain", body).await
    }

    /// Every item of a subject, as many as one page holds.
    pub async fn explain_subject(&self, body: &ExplainBody) -> Answer<Page<ExplainView>> {
        self.post("/v1/explain", body).await
    }

    pub async fn verify(&self) -> Answer<VerifyView> {
        self.post("/v1/audit/verify", &()).await
    }

    pub async fn checkpoints(&self) -> Answer<Vec<CheckpointView>> {
        self.all("/v1/audit/checkpoint").await
    }

    pub async fn audit_keys(&self) -> Answer<Vec<KeyView>> {
        self.all("/v1/audit/keys").await
    }

    pub async fn proof(&self, partition: u32, n: u64) -> Answer<ProofView> {
        self.get(&format!("/v1/audit/entries/{partition}/{n}/proof")).await
    }

    /// `of` is `requests` or `sweeps`.
    pub async fn certificate(&self, of: &str, id: &str) -> Answer<Certificate> {
        self.get(&format!("/v1/{of}/{}/certificate", segment(id))).await
    }

    pub async fn exposure(&self, body: &ExposureBody) -> Answer<ExposureView> {
        self.post("/v1/exposures", body).await
    }

    pub async fn state_digest(&self) -> Answer<DigestView> {
        self.get("/v1/audit/state-digest").await
    }

    pub async fn accept_clock(&self) -> Answer<ClockView> {
        self.post("/v1/clock/accept", &()).await
    }

    // How a call is made.

    async fn get<T: DeserializeOwned>(&self, path: &str) -> Answer<T> {
        self.read(self.request(Method::GET, path)).await
    }

    async fn post<B: Serialize + ?Sized, T: DeserializeOwned>(&self, path: &str, body: &B) -> Answer<T> {
        let body = serde_json::to_value(body).map_err(|cause| ClientError::Usage(cause.to_string()))?;
        let request = self.request(Method::POST, path).header("Idempotency-Key", key()?);
        // Nothing to say is no body.
        self.read(if body.is_null() { request } else { request.json(&body) }).await
    }

    async fn put<T: DeserializeOwned>(&self, path: &str, document: Vec<u8>) -> Answer<T> {
        self.read(self.request(Method::PUT, path).header(CONTENT_TYPE, "application/yaml").body(document))
            .await
    }

    /// Every page of a list.
    async fn all<T: DeserializeOwned>(&self, path: &str) -> Answer<Vec<T>> {
        let mut out = Vec::new();
        let mut cursor = None;
        loop {
            let after = cursor.map(|c: String| format!("&cursor={}", segment(&c))).unwrap_or_default();
            let page: Page<T> = self.get(&format!("{path}?limit={PAGE}{after}")).await?;
            out.extend(page.items);
            match page.next {
                Some(next) => cursor = Some(next),
                None => return Ok(out),
            }
        }
    }

    fn request(&self, method: Method, path: &str) -> RequestBuilder {
        let mut request = self.http.request(method, format!("{}{path}", self.url));
        if let Some(token) = &self.token {
            request = request.header(AUTHORIZATION, token.clone());
        }
        match trace::current() {
            Some(parent) => request.header("traceparent", parent),
            None => request,
        }
    }

    async fn read<T: DeserializeOwned>(&self, request: RequestBuilder) -> Answer<T> {
        let response = self.done(request).await?;
        let body = response.bytes().await.map_err(|error| self.failed(&error))?;
        serde_json::from_slice(&body).map_err(|cause| self.strange(&cause.to_string()))
    }

    /// The response, when it says that the call went well.
    async fn done(&self, request: RequestBuilder) -> Answer<Response> {
        let response = request.send().await.map_err(|error| self.failed(&error))?;
        let status = response.status();
        if status.is_success() {
            return Ok(response);
        }
        let body = response.bytes().await.map_err(|error| self.failed(&error))?;
        match serde_json::from_slice::<Problem>(&body) {
            Ok(problem) => Err(ClientError::Problem(Box::new(problem))),
            Err(_) => Err(self.strange(&format!("status {status} without a problem"))),
        }
    }

    fn strange(&self, cause: &str) -> ClientError {
        ClientError::Strange { url: self.url.clone(), cause: cause.to_owned() }
    }

    fn failed(&self, error: &reqwest::Error) -> ClientError {
        if error.is_timeout() {
            return ClientError::Timeout { url: self.url.clone() };
        }
        if error.is_builder() {
            return ClientError::Usage(format!(
                "--url {}: write http://HOST:PORT or https://HOST:PORT",
                self.url
            ));
        }
        let (url, root) = (self.url.clone(), innermost(error));
        let cause = root.to_string();
        match root.downcast_ref() {
            Some(rustls::Error::InvalidCertificate(_)) => ClientError::Untrusted { url, cause },
            _ => ClientError::Unreachable { url, cause },
        }
    }
}

/// The root of it: the errors above it only say that a call failed.
fn innermost(error: &reqwest::Error) -> &(dyn std::error::Error + 'static) {
    let mut at: &(dyn std::error::Error + 'static) = error;
    while let Some(below) = at.source() {
        at = below;
    }
    at
}

fn bearer(token: &str) -> Answer<HeaderValue> {
    let mut value = HeaderValue::from_str(&format!("Bearer {}", token.trim())).map_err(|_| {
        ClientError::Usage("--token: a token has no line breaks or control characters".to_owned())
    })?;
    value.set_sensitive(true);
    Ok(value)
}

/// 128 random bits: no two calls share one.
fn key() -> Answer<String> {
    let mut bytes = [0u8; 16];
    aws_lc_rs::rand::fill(&mut bytes)
        .map_err(|_| ClientError::Usage("the system gives no random bytes".to_owned()))?;
    Ok(data_encoding::HEXLOWER.encode(&bytes))
}

/// A name as one segment of a path, or one value of a query.
fn segment(name: &str) -> String {
    name.bytes().fold(String::with_capacity(name.len()), |mut out, byte| {
        if byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.' | b'~') {
            out.push(char::from(byte));
        } else {
            // Writing to a String cannot fail.
            let _ = write!(out, "%{byte:02X}");
        }
        out
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_stays_one_segment() {
        assert_eq!(segment("shop-db"), "shop-db");
        assert_eq!(segment("../holds?x=1&y=ü"), "..%2Fholds%3Fx%3D1%26y%3D%C3%BC");
    }

    #[test]
    fn only_a_url_is_called() {
        let new = |url: &str, token: Option<&str>| Client::new(url, token, CONNECT);
        assert!(new("127.0.0.1:7070", None).unwrap_err().to_string().contains("--url"));
        assert!(new("http://127.0.0.1:7070/", None).is_ok_and(|c| c.url == "http://127.0.0.1:7070"));
        let wrong = new("http://a", Some("two\nlines")).unwrap_err().to_string();
        assert!(wrong.contains("--token") && !wrong.contains("two"));
    }

    #[test]
    fn no_token_shows_in_debug() {
        let client = Client::new("http://a", Some("s3cret"), CONNECT).unwrap();
        assert!(!format!("{client:?}").contains("s3cret"));
    }
}
