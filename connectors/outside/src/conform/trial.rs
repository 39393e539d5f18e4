//! One run: records of its own, commands under ids of its own, each waited for.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use quietus_contract::Failure;
use tokio::time::Instant;

use super::{Outcome, SYSTEM};
use crate::link::Link;
use crate::{Command, Confirmation, Now};

const LEASE: i64 = 60_000;
const POLL: Duration = Duration::from_millis(20);
/// How long a connector that must not answer is given to do it all the same.
const SILENCE: Duration = Duration::from_millis(1_500);

pub(crate) struct Trial {
    link: Arc<dyn Link>,
    /// The same way, with a secret that is not the system's.
    stranger: Arc<dyn Link>,
    within: Duration,
    nonce: String,
    now: Now,
    number: AtomicU32,
}

/// Why a law did not hold.
pub(crate) enum Flaw {
    Broken(String),
    NotApplicable(String),
}

pub(crate) type Held = Result<(), Flaw>;

impl From<Held> for Outcome {
    fn from(held: Held) -> Self {
        match held {
            Ok(()) => Self::Held,
            Err(Flaw::Broken(what)) => Self::Broken(what),
            Err(Flaw::NotApplicable(why)) => Self::NotApplicable(why),
        }
    }
}

pub(crate) fn broken(what: impl Into<String>) -> Flaw {
    Flaw::Broken(what.into())
}

impl Trial {
    pub(crate) fn new(
        link: Arc<dyn Link>,
        stranger: Arc<dyn Link>,
        within: Duration,
        nonce: &str,
        now: Now,
    ) -> Self {
        let nonce = nonce.chars().filter(char::is_ascii_hexdigit).take(24).collect();
        Self { link, stranger, within, nonce, now, number: AtomicU32::new(0) }
    }

    fn number(&self) -> u32 {
        self.number.fetch_add(1, Ordering::Relaxed)
    }

    /// A record that nothing else of this run is about.
    pub(crate) fn record(&self) -> String {
        format!("{}-{}", self.nonce, self.number())
    }

    /// A command of its own about a record.
    pub(crate) fn command(&self, action: &str, record: &str) -> Command {
        let now = (self.now)();
        Command {
            id: format!("cm_{:0>24}{:08x}", self.nonce, self.number()),
            attempt: 1,
            system: SYSTEM.to_owned(),
            action: action.to_owned(),
            dataset: "conform.people".into(),
            locator: [("id".to_owned(), record.to_owned())].into(),
            not_after: now.saturating_add(LEASE),
            issued_at: now,
            policy_version: 1,
            control_k: 1,
            ..Command::default()
        }
    }

    /// Tells it and waits for the answer to this telling.
    pub(crate) async fn tell(&self, command: &Command) -> Result<Confirmation, Flaw> {
        self.said(command).await.map_err(|failure| broken(format!("{}: {}", command.action, failure.detail)))
    }

    async fn said(&self, command: &Command) -> Result<Confirmation, Failure> {
        let before = self.link.heard(&command.id);
        let one = std::slice::from_ref(command);
        let first =
            |told: Vec<Result<Option<Confirmation>, Failure>>| told.into_iter().next().unwrap_or(Ok(None));
        let started = Instant::now();
        loop {
            match first(self.link.tell(one).await) {
                Ok(Some(said)) => return self.mine(command, said),
                Ok(None) => break,
                // The way there may not be open yet.
                Err(failure) if failure.code != "unreachable" || started.elapsed() > self.within => {
                    return Err(failure);
                }
                Err(_) => tokio::time::sleep(POLL * 10).await,
            }
        }
        while started.elapsed() <= self.within {
            if self.link.heard(&command.id) > before
                && let Ok(Some(said)) = first(self.link.hear(one).await)
            {
                return self.mine(command, said);
            }
            tokio::time::sleep(POLL).await;
        }
        Err(Failure::unknown("no_answer", format!("no answer within {:?}", self.within)))
    }

    fn mine(&self, command: &Command, said: Confirmation) -> Result<Confirmation, Failure> {
        match said.id == command.id && said.attempt == command.attempt && said.system == SYSTEM {
            true => Ok(said),
            false => Err(Failure::fatal("conflict", "the answer is not to this id, attempt and system")),
        }
    }

    /// Somebody is there.
    pub(crate) async fn is_answered(&self) -> Result<(), Failure> {
        self.said(&self.command("verify", &self.record())).await.map(|_| ())
    }

    /// Tells it as somebody who does not know the secret; true when it was answered.
    pub(crate) async fn tell_as_stranger(&self, command: &Command) -> bool {
        let before = self.link.heard(&command.id);
        let told = self.stranger.tell(std::slice::from_ref(command)).await;
        tokio::time::sleep(SILENCE).await;
        let at_once = told.into_iter().any(|answer| matches!(answer, Ok(Some(_))));
        at_once || self.link.heard(&command.id) > before
    }

    /// Puts a record there; `stubborn` = it comes back when it is deleted.
    pub(crate) async fn put(&self, record: &str, stubborn: bool) -> Held {
        let mut command = self.command("prepare", record);
        command.values.insert("user.contact.email".to_owned(), Some(format!("{record}@example.org")));
        if stubborn {
            command.values.insert("conform.stubborn".to_owned(), Some("true".to_owned()));
        }
        let said = self.tell(&command).await?;
        match said.outcome.as_str() {
            "changed" => Ok(()),
            other => Err(broken(format!("prepare was answered {other}"))),
        }
    }

    pub(crate) async fn is_there(&self, record: &str) -> Result<bool, Flaw> {
        let said = self.tell(&self.command("verify", record)).await?;
        match said.outcome.as_str() {
            "found" => Ok(true),
            "gone" => Ok(false),
            other => Err(broken(format!("verify was answered {other}"))),
        }
    }

    pub(crate) fn late(&self, mut command: Command) -> Command {
        command.not_after = (self.now)().saturating_sub(LEASE);
        command
    }
}
