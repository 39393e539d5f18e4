//! The laws of the protocol, tried on whatever connector listens, in the system `conform` and its dataset
//! `conform.people`.
//!
//! Invariant: a law sees the target through the connector's own `verify`, for nobody else can look there; a connector
//! that lies about that passes, and so what it says is `confirmed` and never more.

mod laws;
mod trial;

use std::collections::BTreeMap;
use std::time::Duration;

use quietus_contract::Failure;
use quietus_core::system::Manifest;

use crate::config::Config;
use crate::{Now, open};

pub use laws::Law;

/// The secret of `connector conform` and of the examples when they are given none; good for nothing else.
pub const SECRET: &str = "whsec_Y29uZm9ybS1vbmx5LW5vdC1mb3ItcHJvZHVjdGlvbg==";
const SYSTEM: &str = "conform";

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Judged {
    pub law: Law,
    pub outcome: Outcome,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    Held,
    /// What was seen instead.
    Broken(String),
    /// The connector refuses what this law is about.
    NotApplicable(String),
}

/// Every law in order. `settings` are a system's `connection`; `nonce` makes this run's ids its own. An error = no
/// connector answers there, so that nothing is known of it.
pub async fn run(
    settings: &BTreeMap<String, String>,
    within: Duration,
    nonce: &str,
    now: Now,
) -> Result<Vec<Judged>, Failure> {
    let mut settings = settings.clone();
    settings.entry("secret".to_owned()).or_insert_with(|| SECRET.to_owned());
    let manifest = Manifest { system: SYSTEM.to_owned(), ..Manifest::default() };
    let link = open(Config::new(&manifest, &settings)?, &now, None, true)?;
    settings.insert("secret".to_owned(), format!("not the secret of {nonce}"));
    let stranger = open(Config::new(&manifest, &settings)?, &now, None, true)?;
    let trial = trial::Trial::new(link, stranger, within, nonce, now);
    trial.is_answered().await?;
    let mut judged = Vec::new();
    for law in Law::ALL {
        judged.push(Judged { law, outcome: law.check(&trial).await });
    }
    Ok(judged)
}
