//! `quietus bench …`: one JSON object on stdout, exit 1 on a miss.

use clap::Subcommand;
use serde::Serialize;

use super::output::say;
use super::serve::End;
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
    /// Items through intake, ledger and store, beside PostgreSQL.
    Ingest {
        /// How many items.
        #[arg(long, default_value_t = 1_000_000)]
        items: u64,
        /// Over 5 years and 50 shapes in no order; else one shape, oldest first.
        #[arg(long)]
        spread: bool,
        /// Without PostgreSQL beside it: what compares is null and not judged.
        #[arg(long)]
        alone: bool,
    },
    /// What is due becomes duties, beside PostgreSQL.
    Sweep {
        /// How many items.
        #[arg(long, default_value_t = 1_000_000)]
        items: u64,
        /// Over 5 years and 50 shapes in no order; else one shape, oldest first.
        #[arg(long)]
        spread: bool,
        /// Of the items so many ran out.
        #[arg(long, value_name = "PERCENT", default_value_t = 50)]
        due: u64,
        /// Of the items so many were touched.
        #[arg(long, value_name = "PERCENT", default_value_t = 10)]
        touched: u64,
        /// Of the persons so many took their consent back.
        #[arg(long, value_name = "PERCENT", default_value_t = 30)]
        withdrawn: u64,
        /// Without PostgreSQL beside it: what compares is null and not judged.
        #[arg(long)]
        alone: bool,
    },
    /// What one rule over half of all items would change, counted, beside PostgreSQL.
    Replan {
        /// How many items.
        #[arg(long, default_value_t = 1_000_000)]
        items: u64,
        /// Over 5 years and 50 shapes in no order, half of them under the rule; else one shape, oldest first.
        #[arg(long)]
        spread: bool,
        /// Of the items so many were touched, for the second count.
        #[arg(long, value_name = "PERCENT", default_value_t = 10)]
        touched: u64,
        /// Of the persons so many took their consent back, for the second count.
        #[arg(long, value_name = "PERCENT", default_value_t = 30)]
        withdrawn: u64,
        /// Without PostgreSQL beside it: what compares is null and not judged.
        #[arg(long)]
        alone: bool,
    },
    /// A store built anew from its ledger, beside the ingest that wrote it.
    Rebuild {
        /// How many items.
        #[arg(long, default_value_t = 1_000_000)]
        items: u64,
        /// Over 5 years and 50 shapes in no order; else one shape, oldest first.
        #[arg(long)]
        spread: bool,
    },
    /// Holds at a node that takes in events while a sweep erases rows in PostgreSQL: how soon they are effective.
    Hold {
        /// How many items.
        #[arg(long, default_value_t = 100_000)]
        items: u64,
        /// Those that are kept: over 5 years and 50 shapes in no order; else one shape, oldest first.
        #[arg(long)]
        spread: bool,
    },
    /// Rows erased in PostgreSQL, beside a hand-written batched DELETE, and through a node.
    Erase {
        /// How many rows, by each.
        #[arg(long, default_value_t = 50_000)]
        items: u64,
    },
    /// Topics into a durable ledger, beside a plain consumer that produces the same bytes again.
    Kafka {
        /// Brokers: HOST:PORT, more with commas between.
        #[arg(long, value_name = "LIST", env = "QUIETUS_TEST_KAFKA")]
        brokers: String,
        /// How many records, of each format and number of partitions.
        #[arg(long, default_value_t = 200_000)]
        items: u64,
    },
}

impl Bench {
    /// Whoever is interrupted leaves neither folder nor database behind.
    pub async fn run(self, out: &mut Output) -> Result<Exit, Failure> {
        let mut end = End::take()?;
        tokio::select! {
            measured = self.measure(out) => measured,
            () = end.come() => Err(Failure::unknown("interrupted: nothing was measured".to_owned())),
        }
    }

    async fn measure(self, out: &mut Output) -> Result<Exit, Failure> {
        let unknown = |e: bench::BenchError| Failure::unknown(e.to_string());
        match self {
            Self::Http { items } => {
                let figure = bench::http(items, &mut |line| say(line)).await.map_err(unknown)?;
                print(out, &figure, figure.ok)
            }
            Self::Ingest { items, spread, alone } => {
                let figure =
                    bench::ingest(items, spread, alone, &mut |line| say(line)).await.map_err(unknown)?;
                print(out, &figure, figure.ok)
            }
            Self::Sweep { items, spread, due, touched, withdrawn, alone } => {
                let shares = bench::Shares { run_out: due, touched, withdrawn };
                let figure = bench::sweep(items, spread, shares, alone, &mut |line| say(line))
                    .await
                    .map_err(unknown)?;
                print(out, &figure, figure.ok)
            }
            Self::Replan { items, spread, touched, withdrawn, alone } => {
                let told = (touched, withdrawn);
                let figure = bench::replan(items, spread, told, alone, &mut |line| say(line))
                    .await
                    .map_err(unknown)?;
                print(out, &figure, figure.ok)
            }
            Self::Rebuild { items, spread } => {
                let figure = bench::rebuild(items, spread, &mut |line| say(line)).await.map_err(unknown)?;
                print(out, &figure, figure.ok)
            }
            Self::Hold { items, spread } => {
                let figure = bench::hold(items, spread, &mut |line| say(line)).await.map_err(unknown)?;
                print(out, &figure, figure.ok)
            }
            Self::Erase { items } => {
                let figure = bench::erase(items, &mut |line| say(line)).await.map_err(unknown)?;
                print(out, &figure, figure.ok)
            }
            Self::Kafka { brokers, items } => {
                let figure = bench::kafka(&brokers, items, &mut |line| say(line)).await.map_err(unknown)?;
                print(out, &figure, figure.ok)
            }
        }
    }
}

fn print(out: &mut Output, figure: &impl Serialize, ok: bool) -> Result<Exit, Failure> {
    let json = serde_json::to_string(figure).map_err(|e| Failure::unknown(e.to_string()))?;
    out.line(&json);
    Ok(if ok { Exit::Done } else { Exit::No })
}
