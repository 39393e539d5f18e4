//! `quietus bench …`: one JSON object on stdout, exit 1 on a miss.

use clap::Subcommand;

use super::output::say;
use super::{Exit, Failure, Output};
use crate::bench;

#[derive(Debug, Subcommand)]
pub enum Bench {
    /// CloudEvents over HTTP, in batches of 1,000, each answered once it is fsynced.
    Http {
        /// How many events.
        #[arg(long, default_value_t = 200_000)]
        items: u64,
    },
}

impl Bench {
    pub async fn run(self, out: &mut Output) -> Result<Exit, Failure> {
        let Self::Http { items } = self;
        let figure = bench::http(items, &mut |line| say(line)).await;
        let figure = figure.map_err(|e| Failure::unknown(e.to_string()))?;
        let json = serde_json::to_string(&figure).map_err(|e| Failure::unknown(e.to_string()))?;
        out.line(&json);
        Ok(if figure.ok { Exit::Done } else { Exit::No })
    }
}
