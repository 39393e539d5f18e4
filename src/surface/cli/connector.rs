//! `quietus connector …`

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use clap::{Args, Subcommand};
use serde::Serialize;

use super::{Exit, Failure, Output};
use crate::clock::SystemClock;
use crate::node::conform::{self, Judged, Outcome};

#[derive(Debug, Subcommand)]
pub enum Connector {
    /// Try the laws of the protocol on a connector in another language; exit 1 names the law it breaks.
    Conform(Conform),
}

#[derive(Debug, Args)]
pub struct Conform {
    /// Its topic of commands; confirmations are expected on the one beside it.
    #[arg(long, value_name = "NAME", requires = "brokers", required_unless_present = "connector_url")]
    topic: Option<String>,
    /// Brokers: HOST:PORT, more with commas between.
    #[arg(long, value_name = "LIST", requires = "topic")]
    brokers: Option<String>,
    /// Its address, where it is told over HTTP.
    #[arg(long = "url", id = "connector_url", value_name = "URL", conflicts_with = "topic")]
    connector_url: Option<String>,
    /// What it signs with; left out, the secret of the examples.
    #[arg(long, value_name = "SECRET", env = "QUIETUS_CONNECTOR_SECRET", hide_env_values = true)]
    secret: Option<String>,
    /// How long it may take over one command.
    #[arg(long, value_name = "TIME", default_value = "30s", value_parser = super::node::time)]
    timeout: Duration,
}

#[derive(Serialize)]
struct Told {
    laws: Vec<LawTold>,
}

#[derive(Serialize)]
struct LawTold {
    law: &'static str,
    /// `held`, `broken`, `not_applicable`.
    outcome: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    detail: Option<String>,
}

impl Connector {
    pub async fn run(self, out: &mut Output) -> Result<Exit, Failure> {
        let Self::Conform(conform) = self;
        conform.run(out).await
    }
}

impl Conform {
    async fn run(self, out: &mut Output) -> Result<Exit, Failure> {
        let named = [
            ("topic", self.topic),
            ("brokers", self.brokers),
            ("url", self.connector_url),
            ("secret", self.secret),
        ];
        let connection: BTreeMap<String, String> =
            named.into_iter().filter_map(|(name, value)| Some((name.to_owned(), value?))).collect();
        let judged = conform::conform(&connection, self.timeout, Arc::new(SystemClock::new())).await;
        let judged = judged.map_err(|failure| {
            Failure::unknown(format!(
                "no connector answers there: {}; start it, then ask again",
                failure.detail
            ))
        })?;
        let is_broken = |j: &Judged| matches!(j.outcome, Outcome::Broken(_));
        let exit = if judged.iter().any(is_broken) { Exit::No } else { Exit::Done };
        let told = Told { laws: judged.into_iter().map(told).collect() };
        out.answer(&told, show)?;
        Ok(exit)
    }
}

fn told(judged: Judged) -> LawTold {
    let (outcome, detail) = match judged.outcome {
        Outcome::Held => ("held", None),
        Outcome::Broken(what) => ("broken", Some(what)),
        Outcome::NotApplicable(why) => ("not_applicable", Some(why)),
    };
    LawTold { law: judged.law.id(), outcome, detail }
}

fn show(out: &mut Output, told: &Told) {
    let row =
        |l: &LawTold| vec![l.law.to_owned(), l.outcome.to_owned(), l.detail.clone().unwrap_or_default()];
    let rows: Vec<_> = told.laws.iter().map(row).collect();
    out.table(&["law", "outcome", "detail"], &rows);
}
