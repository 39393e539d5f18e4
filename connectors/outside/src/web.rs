//! The same over HTTP: commands by POST as JSON, confirmations in the answer, both signed.
//!
//! Whoever has not finished answers `accepted` and is told again later: a repeat is answered from memory.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use quietus_contract::{Failure, Problem, Secret};
use quietus_http::Signer;
use reqwest::{Client, Url};
use serde::{Deserialize, Serialize};

use crate::config::wrong;
use crate::link::Link;
use crate::{Command, Confirmation, Now};

const CONNECT_WITHIN: Duration = Duration::from_secs(5);
const ANSWER_WITHIN: Duration = Duration::from_secs(30);

pub(crate) struct WebLink {
    url: Secret,
    signer: Arc<Signer>,
    now: Now,
    client: Client,
    heard: Mutex<BTreeMap<String, usize>>,
    counts: bool,
}

#[derive(Serialize)]
struct Asked<'a> {
    commands: &'a [Command],
}

#[derive(Deserialize)]
struct Answered {
    confirmations: Vec<Confirmation>,
}

impl WebLink {
    /// `counts` = answers are counted by command, for whoever tries the connector out.
    pub(crate) fn open(url: Secret, signer: Arc<Signer>, now: Now, counts: bool) -> Result<Self, Failure> {
        if Url::parse(url.reveal()).map_or(true, |url| !url.has_host()) {
            return Err(wrong("connection.url is no URL of a connector: https://HOST/PATH"));
        }
        let client = Client::builder()
            .connect_timeout(CONNECT_WITHIN)
            .timeout(ANSWER_WITHIN)
            .redirect(reqwest::redirect::Policy::none())
            .user_agent(concat!("quietus/", env!("CARGO_PKG_VERSION")))
            .build();
        let client = client
            .map_err(|_| wrong("no HTTP client could be made: are there certificates on this machine?"))?;
        Ok(Self { url, signer, now, client, heard: Mutex::default(), counts })
    }

    /// An empty list asks whether somebody listens.
    async fn post(&self, commands: &[Command]) -> Result<Vec<Confirmation>, Failure> {
        let name = commands.first().map_or("cm_none", |first| &first.id);
        let internal = |_| Failure::fatal("internal", "commands cannot be written");
        let body = serde_json::to_vec(&Asked { commands }).map_err(internal)?;
        let mut request = self.client.post(self.url.reveal()).header("content-type", "application/json");
        for (name, value) in self.signer.headers(name, (self.now)(), &body) {
            request = request.header(name, value);
        }
        let answer = request.body(body).send().await.map_err(|error| unanswered(&error))?;
        let status = answer.status().as_u16();
        match status {
            200..300 => {}
            401 | 403 => {
                return Err(Failure::retry(
                    "denied",
                    format!("the connector answered {status}: is the secret the same?"),
                ));
            }
            429 | 503 => return Err(Failure::retry("busy", format!("the connector answered {status}"))),
            400..500 => return Err(Failure::fatal("refused", format!("the connector answered {status}"))),
            _ => return Err(Failure::unknown("connector", format!("the connector answered {status}"))),
        }
        let headers = answer.headers().clone();
        let body = answer.bytes().await.map_err(|error| unanswered(&error))?;
        let header = |name: &str| headers.get(name).and_then(|value| value.to_str().ok());
        if !self.signer.is_signed(header, &body, Some((self.now)())) {
            let why = "the answer is not signed with the system's secret";
            return Err(Failure::unknown("denied", why));
        }
        let answered = serde_json::from_slice::<Answered>(&body);
        answered
            .map(|a| a.confirmations)
            .map_err(|_| Failure::unknown("conflict", "the answer is no {\"confirmations\": […]}"))
    }
}

fn unanswered(error: &reqwest::Error) -> Failure {
    if error.is_connect() {
        Failure::retry("unreachable", "the connector cannot be reached")
    } else {
        Failure::unknown("timeout", "the connector did not answer")
    }
}

#[async_trait]
impl Link for WebLink {
    async fn tell(&self, commands: &[Command]) -> Vec<Result<Option<Confirmation>, Failure>> {
        let said = match self.post(commands).await {
            Ok(said) => said,
            Err(failure) => return commands.iter().map(|_| Err(failure.clone())).collect(),
        };
        if self.counts {
            let mut heard = self.heard.lock().unwrap_or_else(PoisonError::into_inner);
            said.iter().for_each(|one| *heard.entry(one.id.clone()).or_default() += 1);
        }
        let mut answers: BTreeMap<String, Confirmation> =
            said.into_iter().map(|c| (c.id.clone(), c)).collect();
        commands.iter().map(|command| Ok(answers.remove(&command.id))).collect()
    }

    async fn hear(&self, commands: &[Command]) -> Vec<Result<Option<Confirmation>, Failure>> {
        self.tell(commands).await
    }

    fn heard(&self, id: &str) -> usize {
        self.heard.lock().unwrap_or_else(PoisonError::into_inner).get(id).copied().unwrap_or_default()
    }

    fn is_current(&self) -> bool {
        true
    }

    async fn check(&self) -> Vec<Problem> {
        let open = Url::parse(self.url.reveal()).is_ok_and(|url| {
            url.scheme() == "http" && !matches!(url.host_str(), Some("localhost" | "127.0.0.1" | "[::1]"))
        });
        let warning = open.then(|| Problem {
            fatal: false,
            code: "denied",
            place: "connection.url".to_owned(),
            detail: "identities cross the network in clear".to_owned(),
            fix: "use https".to_owned(),
        });
        let reached = self.post(&[]).await.err().map(|failure| Problem {
            fatal: true,
            code: if failure.code == "denied" { "denied" } else { "unreachable" },
            place: "connection.url".to_owned(),
            detail: failure.detail,
            fix: "start the connector with this system's name and secret".to_owned(),
        });
        warning.into_iter().chain(reached).collect()
    }
}
