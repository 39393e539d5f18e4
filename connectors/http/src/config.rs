//! Where the partner is and how it is talked to: never shown, the settings are secrets.
//!
//! Telling and reading back have a client each, so that they share no connection.

use std::collections::BTreeMap;
use std::time::Duration;

use quietus_contract::{Failure, Secret};
use quietus_core::system::{HttpCalls, Manifest};
use reqwest::header::{AUTHORIZATION, HeaderMap, HeaderName, HeaderValue};
use reqwest::redirect::Policy;
use reqwest::{Client, Method, RequestBuilder, Url};
use serde_json::Value;

use crate::people::{CORRECTIONS, PEOPLE, has_place};
use crate::sign::Signer;

const CONNECT_WITHIN: Duration = Duration::from_secs(10);
/// How long a partner may take to answer one request: `connection.timeout` in seconds.
const ANSWER_WITHIN: Duration = Duration::from_secs(30);

pub(crate) struct Config {
    pub(crate) system: String,
    pub(crate) calls: HttpCalls,
    /// People in one request.
    pub(crate) batch: usize,
    /// `dataset.collection` of the origins; None among them = every one.
    pub(crate) origins: Vec<Option<String>>,
    base: Secret,
    signer: Option<Signer>,
    acting: Client,
    reading: Client,
}

/// Who is asking.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum By {
    Acting,
    Reading,
}

impl Config {
    pub(crate) fn new(system: &Manifest, settings: &BTreeMap<String, String>) -> Result<Self, Failure> {
        let calls = system.http.clone().ok_or_else(|| wrong("the manifest has no `http:`"))?;
        names_people(calls.submit.body.as_ref(), "submit")?;
        if let Some(call) = &calls.read_back {
            names_people(call.body.as_ref(), "read_back")?;
        }
        if let Some(call) = &calls.correct {
            names_people(call.call.body.as_ref(), "correct")?;
            let set = call.call.body.as_ref().is_some_and(|body| has_place(body, CORRECTIONS));
            if !set {
                return Err(wrong(
                    "http.correct does not say what is to be set: write \"{corrections}\" into its body",
                ));
            }
        }
        let base = settings.get("url").map(String::as_str).unwrap_or_default().trim_end_matches('/');
        if Url::parse(base).map_or(true, |url| !url.has_host()) {
            return Err(wrong("connection.url is no URL of a partner: https://HOST/PATH"));
        }
        let client = || client(settings);
        Ok(Self {
            system: system.system.clone(),
            calls,
            batch: usize::try_from(system.limits.batch.max(1)).unwrap_or(1),
            origins: system.copies_of.iter().map(|c| c.dataset.clone()).collect(),
            base: Secret::new(base),
            signer: settings.get("secret").map(|s| Signer::new(s)).transpose().map_err(|why| wrong(&why))?,
            acting: client()?,
            reading: client()?,
        })
    }

    /// A request to a path below the partner's URL, signed where there is a secret. `id` names it, the same for every
    /// attempt.
    pub(crate) fn request(
        &self,
        by: By,
        method: Method,
        path: &str,
        body: Option<&Value>,
        id: &str,
        now: i64,
    ) -> RequestBuilder {
        let client = if by == By::Acting { &self.acting } else { &self.reading };
        let mut request = client.request(method, format!("{}{path}", self.base.reveal()));
        let body = body.map(Value::to_string).unwrap_or_default();
        if let Some(signer) = &self.signer {
            for (name, value) in signer.headers(id, now, body.as_bytes()) {
                request = request.header(name, value);
            }
        }
        if body.is_empty() {
            return request;
        }
        request.header("content-type", "application/json").body(body)
    }

    /// By whoever holds the secret, and not long ago.
    pub(crate) fn is_signed(&self, headers: &BTreeMap<String, String>, body: &[u8], now: i64) -> bool {
        let header = |name: &str| headers.get(name).map(String::as_str);
        self.signer.as_ref().is_some_and(|signer| signer.is_signed(header, body, Some(now)))
    }

    /// Identities cross the network in clear.
    pub(crate) fn is_open(&self) -> bool {
        let url = Url::parse(self.base.reveal()).ok();
        let local = |url: &Url| matches!(url.host_str(), Some("localhost" | "127.0.0.1" | "[::1]"));
        url.is_some_and(|url| url.scheme() == "http" && !local(&url))
    }
}

fn client(settings: &BTreeMap<String, String>) -> Result<Client, Failure> {
    let within = match settings.get("timeout") {
        None => ANSWER_WITHIN,
        Some(text) => {
            let seconds = text.strip_suffix('s').unwrap_or(text).parse::<u64>().ok().filter(|s| *s > 0);
            Duration::from_secs(seconds.ok_or_else(|| wrong("connection.timeout is no number of seconds"))?)
        }
    };
    let built = Client::builder()
        .connect_timeout(CONNECT_WITHIN)
        .timeout(within)
        .redirect(Policy::none())
        .default_headers(credentials(settings)?)
        .user_agent(concat!("quietus/", env!("CARGO_PKG_VERSION")))
        .build();
    built.map_err(|_| wrong("no HTTP client could be made: are there certificates on this machine?"))
}

/// `token` is a bearer token, `header` a whole header: `X-Api-Key: …`.
fn credentials(settings: &BTreeMap<String, String>) -> Result<HeaderMap, Failure> {
    let mut headers = HeaderMap::new();
    let mut add = |name: HeaderName, text: &str| {
        let mut value =
            HeaderValue::from_str(text.trim()).map_err(|_| wrong("a credential is no header value"))?;
        value.set_sensitive(true);
        headers.insert(name, value);
        Ok::<(), Failure>(())
    };
    if let Some(token) = settings.get("token") {
        add(AUTHORIZATION, &format!("Bearer {}", token.trim()))?;
    }
    if let Some(header) = settings.get("header") {
        let (name, value) =
            header.split_once(':').ok_or_else(|| wrong("connection.header is not NAME: VALUE"))?;
        let name = HeaderName::from_bytes(name.trim().as_bytes());
        add(name.map_err(|_| wrong("connection.header has no header's name"))?, value)?;
    }
    Ok(headers)
}

/// Without the people in it a call would mean nobody, or everybody.
fn names_people(body: Option<&Value>, call: &str) -> Result<(), Failure> {
    if body.is_some_and(|body| has_place(body, PEOPLE)) {
        return Ok(());
    }
    Err(wrong(&format!("http.{call} does not say whom it means: write \"{{values}}\" into its body")))
}

fn wrong(why: &str) -> Failure {
    Failure::fatal("cannot_execute", why)
}
